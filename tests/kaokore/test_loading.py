"""Loading images into memory: which, in which order, with which labels."""

import numpy as np
import pytest
import torch

from kaokore import UNLABELLED, DatasetError, KaoKore, image_name, read_labels, write_fake_kaokore
from kaokore.dataset import read_face
from kaokore.labels import read_corrections
from kaokore.loading import draw_images, list_images, load_images
from renderer.errors import InputError
from renderer.io.images import fit_square


def test_both_labels_and_names_in_the_order_of_the_data_set(fake_once):
    official = KaoKore(fake_once, split="train", target="none")
    images, labels, names = load_images(fake_once, "train", 32)
    assert images.dtype == torch.uint8
    assert names == [image_name(i) for i in official.ids]
    assert labels.tolist() == [list(pair) for pair in zip(official.genders, official.statuses, strict=True)]
    for index in (0, 3, len(names) - 1):
        assert torch.equal(images[index], torch.from_numpy(fit_square(read_face(official.path(index)), 32).copy()))


def test_unlabelled_images_are_loaded(fake_once):
    labelled = {row.image_id for row in read_labels(fake_once)}
    everything = KaoKore(fake_once, split="all", target="none")
    free = [image_name(i) for i in everything.ids if i not in labelled]
    images, labels, names = load_images(fake_once, "unlabelled", 16)
    assert names == free != []
    assert (labels == UNLABELLED).all()
    assert len(images) == len(labels) == len(names)
    assert load_images(fake_once, "all", 16).names == [image_name(i) for i in everything.ids]
    assert load_images(fake_once, "all", 16, task="gender").labels.tolist() == everything.genders
    assert load_images(fake_once, "unlabelled", 16, task="gender").labels.tolist() == [UNLABELLED] * len(free)


def test_some_images_evenly_or_in_a_random_order(fake_once):
    every = load_images(fake_once, "train", 16)
    n = len(every.names)
    even = load_images(fake_once, "train", 16, count=4)
    assert even.names == [every.names[i] for i in np.linspace(0, n - 1, 4).astype(int)]
    assert load_images(fake_once, "train", 16, count=n + 5).names == every.names
    drawn = [load_images(fake_once, "train", 16, count=count, seed=3) for count in (4, 6)]
    assert drawn[0].names == drawn[1].names[:4] != even.names
    assert set(drawn[1].names) < set(every.names)
    for found in (even, *drawn):
        for image, label, name in zip(*found, strict=True):
            index = every.names.index(name)
            assert torch.equal(image, every.images[index])
            assert torch.equal(label, every.labels[index])


def test_progress_wraps_the_list_of_files(fake_once):
    seen = []

    def track(files):
        for file in files:
            seen.append(file.path.name)
            yield file

    assert load_images(fake_once, "dev", 16, track=track).names == seen


def test_listing_reads_no_image(fake):
    (fake / "images_256" / image_name(KaoKore(fake, split="dev").ids[0])).write_bytes(b"no image")
    assert len(list_images(fake, "dev")) == len(KaoKore(fake, split="dev"))
    with pytest.raises(DatasetError, match="does not decode"):
        load_images(fake, "dev", 16)


@pytest.mark.parametrize("options", [{"task": "age"}, {"split": "validation"}, {"version": "2.0"}], ids=str)
def test_unknown_options(fake_once, options):
    with pytest.raises(DatasetError, match="choose one of"):
        load_images(fake_once, **{"split": "train", "size": 16, **options})


def test_labels_require_a_task(fake_once, tmp_path):
    with pytest.raises(InputError, match="requires a task"):
        load_images(fake_once, "train", 16, labels=tmp_path / "labels.csv")


def test_no_images(tmp_path):
    with pytest.raises(DatasetError, match="no train images"):
        load_images(write_fake_kaokore(tmp_path, n=0), "train", 8, task="gender")


def test_drawn_images_are_mirrored_or_not():
    images = torch.randint(256, (5, 3, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    drawn, chosen = draw_images(images, 200, torch.Generator().manual_seed(1))
    assert drawn.dtype == torch.uint8
    plain = (drawn == images[chosen]).flatten(1).all(1)
    mirrored = (drawn == images[chosen].flip(-1)).flatten(1).all(1)
    assert (plain != mirrored).all()
    assert 60 < plain.sum() < 140
    assert set(chosen.tolist()) == set(range(5))


def test_only_labelled_faces_of_the_split(fake_once):
    for split in ("train", "dev", "test"):
        official = KaoKore(fake_once, split=split, target="none", missing="skip")
        faces = load_images(fake_once, split, 16, task="status")
        assert faces.images.shape == (len(official.ids), 3, 16, 16)
        assert sorted(faces.labels.tolist()) == sorted(official.statuses)


def test_corrections_replace_and_add_labels_of_training_faces_only(fake_once, tmp_path):
    faces = {split: KaoKore(fake_once, split=split, missing="skip") for split in ("train", "dev", "all")}
    (free,) = [i for i, gender in zip(faces["all"].ids, faces["all"].genders, strict=True) if gender == -1][:1]
    first = faces["train"].ids[0]
    wrong = 1 - faces["train"].genders[0]
    path = tmp_path / "labels.csv"
    path.write_text(
        f"image,gender\n{first:08d}.jpg,{wrong}\n{free},female\n{faces['dev'].ids[0]},{wrong}\n5,\n99999,male\n"
    )
    before, after = (load_images(fake_once, "train", 8, task="gender", labels=labels) for labels in (None, path))
    assert len(after.labels) == len(before.labels) + 1
    changed = (after.labels.sum() - before.labels.sum()).item()
    assert changed == 1 + (1 if wrong else -1)
    dev = load_images(fake_once, "dev", 8, task="gender", labels=path)
    assert torch.equal(dev.labels, load_images(fake_once, "dev", 8, task="gender").labels)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image,status\n1,noble\n", "columns image and gender"),
        ("image,status\n", "columns image and gender"),
        ("", "columns image and gender"),
        ("image,gender\n1,2\n", "Line 2"),
        ("image,gender\n1,-1\n", "Line 2"),
        ("image,gender\n1,male\nface.jpg,male\n", "Line 3"),
        ("image,gender\n1,boy\n", "male, female"),
        ("image,gender\n,male\n", "Line 2"),
    ],
)
def test_bad_corrections(tmp_path, text, message):
    path = tmp_path / "labels.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_corrections(path, "gender")


def test_corrections_that_cannot_be_read(tmp_path):
    (tmp_path / "bytes.csv").write_bytes(b"\xff\xfe\x00")
    for path in (tmp_path / "none.csv", tmp_path, tmp_path / "bytes.csv"):
        with pytest.raises(InputError, match="cannot be read"):
            read_corrections(path, "gender")
