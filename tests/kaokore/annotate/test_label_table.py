"""The table of annotations, which is read as an official one."""

import pytest
import torch

from kaokore import parse_labels
from kaokore.annotate.annotations import Annotations
from kaokore.annotate.collection import collect_folder, collect_kaokore, predict_faces
from kaokore.annotate.label_table import COLUMNS, write_table
from kaokore.annotate.queue import Queue
from kaokore.classify import CLASSES
from kaokore.labels import read_corrections, read_label_table
from kaokore.loading import load_images
from renderer.errors import InputError
from tests.kaokore.annotate.examples import CHECKPOINT, brightness, rows_of, write_images


def labelled_table(fake_once, tmp_path, split="dev", task="gender"):
    """All faces of a split, labelled with the class that they are not, and their official labels."""
    collection = collect_kaokore(fake_once, "1.1", split)
    annotations = Annotations(tmp_path / f"{task}.csv", task, CLASSES[task], collection.source, known=collection.known)
    queue = Queue(list(predict_faces(brightness(task), collection)), annotations, CHECKPOINT)
    screen = queue.join('ann, "the" 花子')
    while screen.place is not None:
        queue.label(screen, 1 - (queue.face(screen).official or 0))
    annotations.close()
    return tmp_path / f"{task}.csv", queue


def test_the_table_is_read_as_an_official_one(fake_once, tmp_path):
    path, queue = labelled_table(fake_once, tmp_path)
    official = {row.image_id: row for row in parse_labels((fake_once / "labels.csv").read_text())}
    rows = parse_labels(path.read_text(encoding="utf-8"))
    assert len(rows) == len(queue.faces) > 2
    for row in rows:
        was = official[row.image_id]
        assert row == was._replace(gender=1 - was.gender)
    assert read_corrections(path, "gender") == {row.image_id: row.gender for row in rows}


def test_the_table_says_who_when_and_what_was_predicted(fake_once, tmp_path):
    path, queue = labelled_table(fake_once, tmp_path)
    rows = rows_of(path)
    assert tuple(rows[0]) == COLUMNS
    for row, face in zip(rows, queue.faces, strict=True):
        assert row["image"] == face.name
        assert row["who"] == 'ann, "the" 花子'
        assert row["when"].endswith("Z")
        assert (row["checkpoint"], row["checkpoint_hash"]) == CHECKPOINT
        assert int(row["suggested"]) == face.suggested
        assert float(row["suggested_belief"]) == pytest.approx(max(face.probabilities), abs=1e-4)
        assert float(row["belief"]) == pytest.approx(face.probabilities[int(row["gender"])], abs=1e-4)


def test_labels_are_loaded_for_training(fake_once, tmp_path):
    """Labels of unlabelled faces are added, corrected ones replace the official ones."""
    before = load_images(fake_once, "train", 16, task="gender")
    (tmp_path / "free").mkdir()
    free, queue = labelled_table(fake_once, tmp_path / "free", "unlabelled")
    after = load_images(fake_once, "train", 16, task="gender", labels=free)
    assert len(after.labels) == len(before.labels) + len(queue.faces)
    flipped, _ = labelled_table(fake_once, tmp_path, "train")
    assert torch.equal(load_images(fake_once, "train", 16, task="gender", labels=flipped).labels, 1 - before.labels)


def test_labels_of_a_folder_are_loaded_for_training(fake_once, tmp_path):
    table, folder = tmp_path / "labels.csv", tmp_path / "faces"
    write_images(folder, bright=250, dark=5)
    annotations = Annotations(table, "gender", CLASSES["gender"], "a folder")
    queue = Queue(list(predict_faces(brightness(), collect_folder(folder))), annotations, CHECKPOINT)
    screen = queue.join("ann")
    queue.label(screen, 1)
    queue.label(screen, 0)
    plain = load_images(fake_once, "train", 16, task="gender")
    images, labels, names = load_images(fake_once, "train", 16, task="gender", labels=table, folder=folder)
    assert labels[len(plain.labels) :].tolist() == [1, 0]
    assert names[-2:] == ["bright.png", "dark.png"]
    assert images[-2:].float().mean((1, 2, 3)).tolist() == [250, 5]
    assert torch.equal(images[:-2], plain.images)
    dev = load_images(fake_once, "dev", 16, task="gender", labels=table, folder=folder)
    assert len(dev.labels) == len(load_images(fake_once, "dev", 16, task="gender").labels)
    with pytest.raises(InputError, match="not an image of KaoKore"):
        load_images(fake_once, "train", 16, task="gender", labels=table)
    with pytest.raises(InputError, match="--folder requires --labels"):
        load_images(fake_once, "train", 16, task="gender", folder=folder)
    (folder / "dark.png").unlink()
    with pytest.raises(InputError, match=r"no image .*dark\.png"):
        load_images(fake_once, "train", 16, task="gender", labels=table, folder=folder)


@pytest.mark.parametrize(
    "name", ["=cmd|' /C calc'!A0.png", "+1.png", "-1.png", "@SUM(A1).png", "'=1.png", "'plain.png"]
)
def test_names_are_not_formulas(tmp_path, name):
    """A spreadsheet opens the table without evaluating a name, and the name is read back as it was."""
    known = {"suggested": "male", "suggested_belief": 0.5, "belief": 0.5, "checkpoint": "=1", "checkpoint_hash": "0"}
    row = {"image": name, "label": "male", "who": "=2+2", "when": "", **known}
    write_table(tmp_path / "labels.csv", [row], task="gender", classes=CLASSES["gender"], known={})
    (written,) = rows_of(tmp_path / "labels.csv")
    for cell in written.values():
        assert cell[:1] not in tuple("=+-@\t\r")
    assert read_label_table(tmp_path / "labels.csv", "gender") == {name: 0}
