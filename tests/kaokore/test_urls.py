import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaokore import (
    DatasetError,
    Region,
    find_url,
    image_ids,
    image_name,
    parse_id,
    parse_region,
    parse_urls,
    resolve_root,
)
from kaokore.paths import DEFAULT_ROOT, ROOT_VARIABLE

KEIO = "iiif.lib.keio.ac.jp/iipsrv/NRE/110X-445-3-2/tif/2_004.tif"


def test_blank_lines_count() -> None:
    urls = parse_urls("http://a/0.jpg\n\n   \nhttp://a/3.jpg\n")
    assert urls == ["http://a/0.jpg", "", "", "http://a/3.jpg"]
    assert image_ids(urls) == [0, 3]
    assert find_url(urls, 3) == "http://a/3.jpg"


@given(st.lists(st.just("") | st.from_regex(r"https?://[a-z]{1,9}/[0-9]{1,9}\.jpg", fullmatch=True)))
def test_an_id_is_a_line_index(lines: list[str]) -> None:
    assert parse_urls("".join(f"{line}\n" for line in lines)) == lines
    assert parse_urls("".join(f"{line}\r\n" for line in lines)) == lines
    assert image_ids(lines) == [index for index, line in enumerate(lines) if line]


@pytest.mark.parametrize(("image_id", "words"), [(1, "blank"), (3, "from 0 to 2"), (-1, "from 0 to 2")])
def test_no_such_image(image_id: int, words: str) -> None:
    with pytest.raises(DatasetError, match=words):
        find_url(["http://a/0.jpg", "", "http://a/2.jpg"], image_id)


@given(st.integers(0, 99_999_999))
def test_ids_and_names(image_id: int) -> None:
    name = image_name(image_id)
    assert {parse_id(name), parse_id(name.removesuffix(".jpg")), parse_id(str(image_id))} == {image_id}


@pytest.mark.parametrize("text", ["", "face.jpg", "-1", "1.5", "000000042", "42.png", "../42", "４２"])
def test_not_an_id(text: str) -> None:
    with pytest.raises(DatasetError, match="not an image ID"):
        parse_id(text)


def test_a_region_identifies_an_image_in_all_versions() -> None:
    """The same face in 1.0, in 1.1 and in 1.2: another line, size and scheme."""
    regions = {
        parse_region(f"http://{KEIO}/583,812,222,222/256,/0/default.jpg"),
        parse_region(f"http://{KEIO}/583,812,222,222/256,256/0/default.jpg"),
        parse_region(f"https://{KEIO}/583,812,222,222/256,256/0/default.jpg"),
    }
    assert regions == {Region(KEIO, 583, 812, 222, 222)}


@given(
    st.sampled_from([KEIO, "codh.rois.ac.jp/pmjt/iiif/200020290/200020290_00016.tif"]),
    st.integers(-3000, 9000),
    st.integers(-3000, 9000),
    st.integers(1, 3000),
    st.integers(1, 3000),
)
def test_regions_may_start_before_the_page(page: str, x: int, y: int, w: int, h: int) -> None:
    assert parse_region(f"http://{page}/{x},{y},{w},{h}/256,256/0/default.jpg") == (page, x, y, w, h)


@pytest.mark.parametrize(
    "url", ["", "http://a/0.jpg", "http://a/b.tif/full/256,256/0/default.jpg", "ftp://a/b/1,2,3,4/256,/0/d.jpg"]
)
def test_not_a_region(url: str) -> None:
    with pytest.raises(DatasetError, match="IIIF"):
        parse_region(url)


def test_where_the_root_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ROOT_VARIABLE, raising=False)
    assert resolve_root() == DEFAULT_ROOT
    monkeypatch.setenv(ROOT_VARIABLE, "/from/the/environment")
    assert str(resolve_root()) == "/from/the/environment"
    assert str(resolve_root("/given")) == "/given"
