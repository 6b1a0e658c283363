import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaokore import DatasetError, Tags, format_tags, parse_tags

LINE = (
    "00000001.jpg:タグ=中国;タグ=外国;制作年=from 1600;制作年=to 1700;制作年=江戸前期;"
    "原典=鳳闕見聞図説;原典ID=10.20730/200020290 ;向き=横;性別=男;所蔵=国文学研究資料館;身分=貴族\n"
)

words = st.text(st.characters(exclude_characters=";=\n", codec="utf-8", exclude_categories=("C", "Z")), max_size=6)
some = st.lists(words.filter(bool), max_size=3).map(tuple)
records = st.builds(
    Tags,
    image_id=st.integers(0, 99_999_999),
    tags=some,
    years_made=some,
    source_work=words,
    source_id=words,
    direction=words,
    gender=words,
    institution=words,
    status=words,
    other=st.lists(st.tuples(words.map("x".__add__), words.filter(bool)), max_size=2).map(tuple),
)


def test_english_fields() -> None:
    assert parse_tags(LINE) == {
        1: Tags(
            image_id=1,
            tags=("中国", "外国"),
            years_made=("from 1600", "to 1700", "江戸前期"),
            source_work="鳳闕見聞図説",
            source_id="10.20730/200020290",
            direction="横",
            gender="男",
            institution="国文学研究資料館",
            status="貴族",
        )
    }
    assert parse_tags(LINE)[1].name == "00000001.jpg"


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ("制作年=from 1500;制作年=to 1600;制作年=室町末期", (1500, 1600, "室町末期")),
        ("制作年=1651;制作年=慶安4", (1651, 1651, "慶安4")),
        ("制作年=;制作年=;制作年=江戸前期", (None, None, "江戸前期")),
        ("制作年=不明 ", (None, None, "")),
        ("制作年=;制作年=;制作年=", (None, None, "")),
        ("", (None, None, "")),
    ],
)
def test_years_repeat(entries: str, expected: tuple[int | None, int | None, str]) -> None:
    record = parse_tags(f"00000000.jpg:{entries}")[0]
    assert (record.year_from, record.year_to, record.era) == expected


def test_empty_values_and_empty_keys() -> None:
    record = parse_tags("00001764.jpg:=;タグ=;制作年=;原典=;向き=四分の三")[1764]
    assert record == Tags(1764, direction="四分の三")


def test_nothing_is_lost() -> None:
    record = parse_tags("00000000.jpg:季節=春;=名無し;性別=男;性別=女;原典=a=b;孤立")[0]
    assert record.other == (("季節", "春"), ("", "名無し"), ("性別", "女"))
    assert record.source_work == "a=b"


@pytest.mark.parametrize(
    "key", ["原典ID", "DOI", "京都大学貴重資料デジタルアーカイブレコードID", "慶応義塾大学請求記号"]
)
def test_version_1_3_names_the_source_id_by_owner(key: str) -> None:
    assert parse_tags(f"00000000.jpg:{key}=RB00013603;原典=病草子")[0].source_id == "RB00013603"


@given(st.lists(records, max_size=4, unique_by=lambda record: record.image_id))
def test_round_trip(written: list[Tags]) -> None:
    assert list(parse_tags(format_tags(written)).values()) == written


@pytest.mark.parametrize("line", ["face.jpg:性別=男", "性別=男", "<html>"])
def test_not_the_official_form(line: str) -> None:
    with pytest.raises(DatasetError, match="Line 2 of original_tags"):
        parse_tags(f"00000000.jpg:性別=男\n{line}\n")
