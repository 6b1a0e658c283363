from pathlib import Path

import numpy as np
import pytest

from kaokore import Tags, find_url, image_ids, parse_region, read_labels, read_tags, read_urls, write_fake_kaokore
from kaokore.fake_faces import BALD, draw_face


def test_irregularities_of_the_real_data_set(fake_once: Path) -> None:
    urls, tags = read_urls(fake_once), read_tags(fake_once)
    ids = image_ids(urls)
    assert len(ids) == 24 < len(urls)
    assert len(tags) > len(ids)  # blank lines have tags too
    assert len(read_labels(fake_once)) < len(ids)
    assert min(parse_region(find_url(urls, image_id)).x for image_id in ids) < 0
    assert tags[1].tags == ("少年", "外国")
    text = (fake_once / "original_tags.txt").read_text(encoding="utf-8")
    assert ":=;" in text
    assert all(isinstance(record, Tags) for record in tags.values())


def test_every_class_is_in_training(fake_once: Path) -> None:
    labels = [label for label in read_labels(fake_once) if label.split == "train"]
    assert {label.gender for label in labels} == {0, 1}
    assert {label.status for label in labels} == {0, 1, 2, 3}


def test_equal_seeds_give_equal_data(tmp_path: Path) -> None:
    def contents(name: str, seed: int) -> list[bytes]:
        root = write_fake_kaokore(tmp_path / name, n=3, seed=seed)
        return [path.read_bytes() for path in sorted(root.rglob("*.*"))]

    assert contents("a", 1) == contents("b", 1) != contents("c", 2)


@pytest.mark.parametrize("n", [0, 1, 4])
def test_any_number(tmp_path: Path, n: int) -> None:
    assert len(image_ids(read_urls(write_fake_kaokore(tmp_path, n=n)))) == n


@pytest.mark.parametrize("female", [False, True])
@pytest.mark.parametrize("status", [0, 1, 2, 3, BALD])
def test_faces_are_images(female: bool, status: int) -> None:
    face = draw_face(np.random.default_rng(0), female=female, status=status)
    assert face.shape == (256, 256, 3)
    assert face.dtype == np.uint8
    assert face.std() > 20
