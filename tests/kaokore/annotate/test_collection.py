"""Annotation: which faces come, in which order, a table that others read, and mistakes on the command line."""

import csv
import dataclasses
import importlib.util
import socket
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import nn

from experiments import cli
from experiments.annotate import Options, annotate
from experiments.train_classifier import TINY, train
from kaokore import KaoKore, image_name, parse_labels
from kaokore.annotate.annotations import Record
from kaokore.annotate.collection import believe, corrected, entropy, of_folder, of_kaokore, ordered
from kaokore.annotate.label_table import COLUMNS, Known
from kaokore.annotate.queue import Face, Queue
from kaokore.classify import CLASSES
from kaokore.classify.classifier import Classifier
from kaokore.classify.data import load_labelled, read_corrections
from renderer.errors import InputError

MODEL = ("some-model", "0123")


def rows_of(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


# Which faces, in which order


class Brightness(nn.Module):
    """Believes that bright faces are of the first class."""

    def forward(self, images):
        bright = 6 * images.mean((1, 2, 3))
        return torch.stack([bright, -bright], 1)


def seer(task="gender"):
    return Classifier("inception_v3", task, 16, Brightness())


def paint(folder, **greys):
    folder.mkdir(exist_ok=True)
    for name, grey in greys.items():
        Image.new("RGB", (24, 40), (grey, grey, grey)).save(folder / f"{name}.png")


def test_the_uncertain_come_first_and_the_unreadable_not_at_all(tmp_path, capsys):
    paint(tmp_path / "faces", bright=250, middle=130, dark=3, dim=100)
    (tmp_path / "faces" / "broken.png").write_bytes(b"no picture")
    faces = believe(seer(), of_folder(tmp_path / "faces"), batch=3)
    assert "broken.png" in capsys.readouterr().err
    assert [face.name for face in ordered(faces, "uncertain")] == ["middle.png", "dim.png", "bright.png", "dark.png"]
    assert [face.name for face in ordered(faces, "given")] == ["bright.png", "dark.png", "dim.png", "middle.png"]
    assert [face.suggested for face in faces] == [0, 1, 1, 0]
    for face in faces:
        assert sum(face.belief) == pytest.approx(1, abs=1e-5)
    with pytest.raises(InputError, match="--order wrong needs faces with a label"):
        ordered(faces, "wrong")


def test_the_least_believed_labels_come_first():
    faces = [
        Face("sure", Path(), (0.9, 0.1), 0),
        Face("free", Path(), (0.6, 0.4)),
        Face("wrong", Path(), (0.95, 0.05), 1),
        Face("torn", Path(), (0.5, 0.5), 1),
        Face("freer", Path(), (0.5, 0.5)),
    ]
    assert [face.name for face in ordered(faces, "wrong")] == ["wrong", "torn", "sure", "freer", "free"]


def test_entropy_is_largest_for_the_uniform():
    assert entropy([0.25] * 4) == pytest.approx(torch.tensor(4.0).log().item())
    assert entropy([0.0, 1.0]) == 0
    assert entropy([0.7, 0.1, 0.1, 0.1]) < entropy([0.4, 0.3, 0.2, 0.1])


def test_unlabelled_faces_are_those_without_an_official_label(root):
    everything = KaoKore(root, split="all", missing="skip")
    free = [image_name(i) for i, gender in zip(everything.ids, everything.genders, strict=True) if gender == -1]
    collection = of_kaokore(root, "1.1", "unlabelled", "gender")
    assert list(collection.pictures) == free != []
    assert all(path.is_file() for path in collection.pictures.values())
    assert len(of_kaokore(root, "1.1", "all", "gender").pictures) == len(everything)
    dev = believe(seer(), of_kaokore(root, "1.1", "dev", "gender"))
    assert [face.official for face in dev] == KaoKore(root, split="dev", missing="skip").genders


def test_an_earlier_table_stands_for_the_official_labels(root, tmp_path):
    (tmp_path / "genders.csv").write_text("image,gender,status\n7,female,\n")
    collection = of_kaokore(root, "1.1", "all", "status")
    changed = corrected(collection, tmp_path / "genders.csv").known["00000007.jpg"]
    assert changed == collection.known.get("00000007.jpg", Known())._replace(gender=1)


# The table


def labelled_table(root, tmp_path, split="dev", task="gender"):
    """All faces of a split, labelled with the class that they are not, and their official labels."""
    collection = of_kaokore(root, "1.1", split, task)
    record = Record(tmp_path / f"{task}.csv", task, CLASSES[task], collection.source, collection.known)
    queue = Queue(believe(seer(task), collection), record, MODEL)
    seat = queue.sit('ann, "the" 花子')
    while seat.place is not None:
        queue.answer(seat, 1 - (queue.face(seat).official or 0))
    record.close()
    return tmp_path / f"{task}.csv", queue


def test_the_table_is_read_by_those_that_read_official_ones(root, tmp_path):
    path, queue = labelled_table(root, tmp_path)
    official = {row.image_id: row for row in parse_labels((Path(root) / "labels.csv").read_text())}
    rows = parse_labels(path.read_text(encoding="utf-8"))
    assert len(rows) == len(queue.faces) > 2
    for row in rows:
        was = official[row.image_id]
        assert row == was._replace(gender=1 - was.gender)
    assert read_corrections(path, "gender") == {row.image_id: row.gender for row in rows}


def test_the_table_says_who_when_and_what_the_model_thought(root, tmp_path):
    path, queue = labelled_table(root, tmp_path)
    rows = rows_of(path)
    assert tuple(rows[0]) == COLUMNS
    for row, face in zip(rows, queue.faces, strict=True):
        assert row["image"] == face.name
        assert row["who"] == 'ann, "the" 花子'
        assert row["when"].endswith("Z")
        assert (row["checkpoint"], row["checkpoint_hash"]) == MODEL
        assert int(row["suggested"]) == face.suggested
        assert float(row["suggested_belief"]) == pytest.approx(max(face.belief), abs=1e-4)
        assert float(row["belief"]) == pytest.approx(face.belief[int(row["gender"])], abs=1e-4)


def test_training_uses_the_table(root, tmp_path):
    """Labels of unlabelled faces join the training, corrected ones replace the official, those of dev do not count."""
    before = load_labelled(root, "train", "gender", 16)
    (tmp_path / "free").mkdir()
    free, queue = labelled_table(root, tmp_path / "free", "unlabelled")
    after = load_labelled(root, "train", "gender", 16, free)
    assert len(after.labels) == len(before.labels) + len(queue.faces)
    flipped, _ = labelled_table(root, tmp_path, "train")
    assert torch.equal(load_labelled(root, "train", "gender", 16, flipped).labels, 1 - before.labels)
    folder = train(dataclasses.replace(TINY, root=root, labels=str(free), runs=str(tmp_path / "runs"), epochs=1))
    assert (folder / "best.safetensors").is_file()


def test_training_uses_pictures_of_a_folder(root, tmp_path):
    paint(tmp_path / "faces", bright=250, dark=5)
    record = Record(tmp_path / "labels.csv", "gender", CLASSES["gender"], "a folder")
    queue = Queue(believe(seer(), of_folder(tmp_path / "faces")), record, MODEL)
    seat = queue.sit("ann")
    queue.answer(seat, 1)
    queue.answer(seat, 0)
    table, folder = tmp_path / "labels.csv", tmp_path / "faces"
    plain = load_labelled(root, "train", "gender", 16)
    faces = load_labelled(root, "train", "gender", 16, table, folder=folder)
    assert faces.labels[len(plain.labels) :].tolist() == [1, 0]
    assert faces.images[-2:].float().mean((1, 2, 3)).tolist() == [250, 5]
    assert torch.equal(faces.images[:-2], plain.images)
    assert len(load_labelled(root, "dev", "gender", 16, table, folder=folder).labels) == len(
        load_labelled(root, "dev", "gender", 16).labels
    )
    with pytest.raises(InputError, match="not an image of KaoKore"):
        load_labelled(root, "train", "gender", 16, table)
    with pytest.raises(InputError, match="--labels"):
        load_labelled(root, "train", "gender", 16, folder=folder)
    (folder / "dark.png").unlink()
    with pytest.raises(InputError, match=r"no picture .*dark\.png"):
        load_labelled(root, "train", "gender", 16, table, folder=folder)


# Command line


def exit_code(monkeypatch, *arguments):
    """As from the command line."""
    monkeypatch.setattr(sys, "argv", ["annotate", *map(str, arguments)])
    try:
        cli.run(annotate, Options)
    except SystemExit as stopped:
        return stopped.code
    return 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"task": "age"}, "age"),
        ({"checkpoint": "kaokore-status"}, "tells status, not gender"),
        ({"checkpoint": "nowhere"}, "no checkpoint nowhere"),
        ({"root": "nowhere"}, "no data set folder nowhere"),
        ({"folder": "nowhere", "root": None}, "no folder nowhere"),
        ({"folder": "."}, "exclude each other"),
        ({"labels": "nowhere.csv"}, "nowhere.csv"),
        ({"order": "wrong"}, "--order wrong needs"),
        ({"version": "2.0"}, "2.0"),
        ({"port": -1}, "--port"),
        ({"port": 70000}, "70000"),
        ({"host": "256.0.0.1"}, "choose another --port or --host"),
        ({"batch": 0}, "--batch"),
        ({"device": "meta"}, "meta"),
    ],
    ids=str,
)
def test_impossible_options_are_one_sentence(root, tmp_path, monkeypatch, capsys, options, message):
    pytest.importorskip("nicegui")
    options = {"root": root, "task": "gender", "out": tmp_path / "labels.csv", "port": 0, **options}
    arguments = [part for key, value in options.items() if value is not None for part in (f"--{key}", value)]
    assert exit_code(monkeypatch, *arguments) == 2
    said = capsys.readouterr().err
    assert message in said
    assert "Traceback" not in said


def test_a_port_that_is_taken(root, tmp_path, monkeypatch, capsys):
    pytest.importorskip("nicegui")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        asked = ["--root", root, "--task", "gender", "--out", tmp_path / "labels.csv", "--port", port]
        assert exit_code(monkeypatch, *asked) == 2
    assert f"127.0.0.1:{port}" in capsys.readouterr().err


def test_without_nicegui_it_says_what_to_install(root, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert exit_code(monkeypatch, "--root", root, "--task", "gender", "--out", tmp_path / "labels.csv") == 2
    assert "pip install" in capsys.readouterr().err
