import os
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader
from torchvision.transforms import ToTensor

from kaokore import UNLABELLED, DatasetError, KaoKore, image_ids, image_path, read_labels, read_tags, read_urls


@pytest.mark.parametrize("target", ["gender", "status", "both", "none"])
@pytest.mark.parametrize("split", ["train", "all"])
def test_default_collate_takes_every_target(fake_once: Path, split: str, target: str) -> None:
    data = KaoKore(fake_once, split=split, target=target, transform=ToTensor())
    batch: Any = next(iter(DataLoader(data, batch_size=len(data))))
    images = batch if target == "none" else batch[0]
    assert images.shape == (len(data), 3, 256, 256)
    if target == "both":
        assert [part.tolist() for part in batch[1]] == [data.genders, data.statuses]
    elif target != "none":
        assert batch[1].tolist() == {"gender": data.genders, "status": data.statuses}[target]
        assert batch[1].dtype == torch.int64


def test_items_carry_the_label_of_their_file(fake_once: Path) -> None:
    """Blank lines of `urls.txt` shift nothing: item, name, label, tags and URL are of the same face."""
    labels = {label.image_id: label for label in read_labels(fake_once)}
    tags, urls = read_tags(fake_once), read_urls(fake_once)
    data = KaoKore(fake_once, split="train", target="both", size=None)
    for index, image_id in enumerate(data.ids):
        image, target = data[index]
        with Image.open(image_path(fake_once, image_id)) as file:
            assert image.tobytes() == file.convert("RGB").tobytes()
        assert target == (labels[image_id].gender, labels[image_id].status)
        assert tags[image_id].gender == "男女"[target[0]]
        assert urls[image_id]


def test_splits_do_not_overlap_and_all_holds_every_image(fake_once: Path) -> None:
    splits = [set(KaoKore(fake_once, split=split).ids) for split in ("train", "dev", "test")]
    everything = KaoKore(fake_once, split="all")
    assert everything.ids == image_ids(read_urls(fake_once))
    assert sum(map(len, splits)) == len(set.union(*splits)) < len(everything)
    assert set.union(*splits) == {
        i for i, gender in zip(everything.ids, everything.genders, strict=True) if gender >= 0
    }


def test_unlabelled_images_are_served(fake_once: Path) -> None:
    data = KaoKore(fake_once, split="all", target="both")
    index = data.genders.index(UNLABELLED)
    assert data[index][1] == (UNLABELLED, UNLABELLED)
    assert data.ids[index] not in {label.image_id for label in read_labels(fake_once)}


def test_a_label_without_an_image_is_no_item(fake_once: Path) -> None:
    """Forty rows of the official 1.1 are on blank lines; they are not missing, for nobody has them."""
    urls = read_urls(fake_once)
    orphans = [label.image_id for label in read_labels(fake_once) if not urls[label.image_id]]
    assert orphans
    assert not set(orphans) & set(KaoKore(fake_once, split="train", missing="error").ids)


def test_sizes_and_modes_vary(fake_once: Path) -> None:
    published = KaoKore(fake_once, split="all", target="none", size=None)
    assert {published[index].size for index in range(len(published))} == {(256, 256), (200, 200), (199, 200)}
    modes = set()
    for index in range(len(published)):
        with Image.open(published.path(index)) as file:
            modes.add(file.mode)
    assert modes == {"RGB", "L"}
    data = KaoKore(fake_once, split="all", target="none")
    assert {(image.size, image.mode) for image in (data[index] for index in range(len(data)))} == {((256, 256), "RGB")}


def test_missing_images(fake: Path) -> None:
    first, *rest = KaoKore(fake, split="dev").ids
    image_path(fake, first).unlink()
    with pytest.raises(
        DatasetError, match=r"1 of \d+ images of the split 'dev' are missing .*python -m kaokore download"
    ):
        KaoKore(fake, split="dev")
    assert KaoKore(fake, split="dev", missing="skip").ids == rest
    assert len(KaoKore(fake, split="train")) > 0


def test_no_image_at_all(fake: Path) -> None:
    for path in (fake / "images_256").iterdir():
        path.unlink()
    (fake / "images_256").rmdir()
    assert len(KaoKore(fake, split="test", missing="skip")) == 0


@pytest.mark.parametrize("name", ["urls.txt", "labels.csv"])
def test_missing_metadata(fake: Path, name: str) -> None:
    (fake / name).unlink()
    with pytest.raises(DatasetError, match=f"has no {name}; fetch it"):
        KaoKore(fake)


def test_missing_root(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no data set folder"):
        KaoKore(tmp_path / "nowhere")


def test_root_from_the_environment(fake_once: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAOKORE_ROOT", os.fspath(fake_once))
    assert len(KaoKore()) == len(KaoKore(fake_once))


@pytest.mark.parametrize("option", ["version", "split", "target", "missing"])
def test_unknown_options(fake_once: Path, option: str) -> None:
    with pytest.raises(DatasetError, match="choose one of"):
        KaoKore(fake_once, **{option: "validation"})  # type: ignore[arg-type]


@pytest.mark.parametrize("content", [b"", b"not an image", None], ids=["empty", "text", "truncated"])
def test_an_image_that_does_not_decode_is_named(fake: Path, content: bytes | None) -> None:
    data = KaoKore(fake)
    path = data.path(0)
    path.write_bytes(path.read_bytes()[:2000] if content is None else content)
    with pytest.raises(DatasetError, match=f"{path.name} does not decode"):
        data[0]


def test_repr_says_what_it_is(fake_once: Path) -> None:
    assert "Split: dev\n    Target: status" in repr(KaoKore(fake_once, split="dev", target="status"))
