"""What the README of the data set says, asserted on the official files where they are."""

from collections import Counter
from pathlib import Path

import pytest

from kaokore import (
    IN_ENGLISH,
    STATUSES,
    UNLABELLED,
    VERSIONS,
    DatasetError,
    KaoKore,
    image_ids,
    parse_region,
    read_labels,
    read_tags,
    read_urls,
)

V = VERSIONS["1.1"]
PUBLISHERS = {
    "codh.rois.ac.jp": "国文学研究資料館",
    "iiif.lib.keio.ac.jp": "慶應義塾大学",
    "rmda.kulib.kyoto-u.ac.jp": "京都大学",
}


def test_official_counts(real: Path) -> None:
    urls, labels, tags = read_urls(real), read_labels(real), read_tags(real)
    assert (len(urls), len(image_ids(urls))) == (V.lines, V.images)
    assert Counter(label.split for label in labels) == {"train": V.train, "dev": V.dev, "test": V.test}
    assert Counter(label.gender for label in labels) == {0: 6_323, 1: 1_892}
    assert Counter(label.status for label in labels) == {0: 3_967, 1: 2_761, 2: 714, 3: 773}
    assert len(tags) == 8_613
    assert Counter(label.split for label in labels if not urls[label.image_id]) == {"train": 26, "dev": 6, "test": 8}


def test_line_index_is_identity(real: Path) -> None:
    """A shift by one blank line would set works of one library beside URLs of another."""
    urls, tags = read_urls(real), read_tags(real)
    assert set(image_ids(urls)) <= tags.keys()
    for image_id in image_ids(urls):
        page = parse_region(urls[image_id]).page
        assert PUBLISHERS[page.split("/")[0]] == tags[image_id].institution
        source = tags[image_id].source_id.removeprefix("10.20730/").replace("@", "-")
        assert f"/{source}" in page


def test_labels_are_the_tags(real: Path) -> None:
    tags = read_tags(real)
    for label in read_labels(real):
        assert "男女"[label.gender] == tags[label.image_id].gender
        assert STATUSES[label.status] == IN_ENGLISH[tags[label.image_id].status]


def test_tags_are_understood(real: Path) -> None:
    tags = read_tags(real).values()
    assert not any(record.other for record in tags)
    for field in ("direction", "gender", "institution", "status"):
        assert {getattr(record, field) for record in tags} <= IN_ENGLISH.keys() | {""}
    spans = Counter((record.year_from, record.year_to) for record in tags)
    assert spans == {
        (None, None): 5_933,
        (1600, 1700): 2_093,
        (1500, 1600): 407,
        (1500, 1700): 74,
        (1651, 1651): 64,
        (1688, 1704): 27,
        (1602, 1602): 15,
    }


def test_regions(real: Path) -> None:
    urls = read_urls(real)
    regions = [parse_region(urls[image_id]) for image_id in image_ids(urls)]
    assert len(set(regions)) == V.images
    assert sum(region.x < 0 or region.y < 0 for region in regions) == 8


def test_images_of_this_machine(real: Path) -> None:
    """Counts of the shared folder; a full download has the official ones, less the rows without a URL."""
    counts = tuple(len(KaoKore(real, split=split, missing="skip")) for split in ("train", "dev", "test"))
    assert counts in {(5_303, 688, 0), (V.train - 26, V.dev - 6, V.test - 8)}
    everything = KaoKore(real, split="all", missing="skip")
    assert everything.genders.count(UNLABELLED) == len(everything) - sum(counts)
    if counts[2] == 0:
        assert len(everything) == 6_267
        with pytest.raises(DatasetError, match="813 of 813 images of the split 'test' are missing"):
            KaoKore(real, split="test")


def test_images_open(real: Path) -> None:
    data = KaoKore(real, split="dev", missing="skip", target="none", size=None)
    sizes = {data[index].size for index in range(0, len(data), 5)}
    assert {(256, 256), (200, 200)} <= sizes <= {(256, 256), (200, 200), (199, 200)}


def test_another_version_is_refused(real: Path) -> None:
    with pytest.raises(DatasetError, match=r"holds version 1\.1"):
        KaoKore(real, version="1.0", missing="skip")
