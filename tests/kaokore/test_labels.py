import pytest

from kaokore import VERSIONS, DatasetError, Label, find_version, parse_labels
from kaokore.versions import check_version, recognise

HEAD = "image,gender,status,set\n"


def test_rows_keep_the_official_order() -> None:
    labels = parse_labels(HEAD + "00001117.jpg,0,0,train\n00000003.jpg,1,3,dev\n")
    assert labels == [Label(1117, 0, 0, "train"), Label(3, 1, 3, "dev")]


@pytest.mark.parametrize(
    "row", ["face.jpg,0,0,train", "00000001.jpg,2,0,train", "00000001.jpg,0,0,val", "00000001.jpg,0", "x"]
)
def test_not_the_official_form(row: str) -> None:
    with pytest.raises(DatasetError, match=r"Line 3 of labels\.csv"):
        parse_labels(f"{HEAD}00000000.jpg,0,0,train\n{row}\n")


@pytest.mark.parametrize(
    ("name", "lines", "images", "splits"),
    [
        ("1.0", 5_824, 5_552, (4_238, 533, 527)),
        ("1.1", 8_845, 8_573, (6_568, 826, 821)),
        ("1.2", 8_848, 8_848, (6_756, 845, 845)),
        ("1.3", 9_683, 9_683, (7_405, 926, 926)),
    ],
)
def test_official_counts(name: str, lines: int, images: int, splits: tuple[int, int, int]) -> None:
    version = find_version(name)
    assert (version.lines, version.images, (version.train, version.dev, version.test)) == (lines, images, splits)


def test_names_are_per_version() -> None:
    """A folder of one version must not pass for another: every label would be wrong."""
    for held in VERSIONS.values():
        urls = ["http://a/b.jpg"] * held.lines
        assert recognise(urls) == held
        check_version(urls, held.name)
        for other in VERSIONS.keys() - {held.name}:
            with pytest.raises(DatasetError, match=f"holds version {held.name} of KaoKore, not {other}"):
                check_version(urls, other)


def test_synthetic_data_is_of_any_version() -> None:
    assert recognise(["http://a/b.jpg"] * 24) is None
    check_version(["http://a/b.jpg"] * 24, "1.3")


def test_unknown_version() -> None:
    with pytest.raises(DatasetError, match=r"choose one of 1\.0, 1\.1, 1\.2, 1\.3"):
        find_version("2.0")
