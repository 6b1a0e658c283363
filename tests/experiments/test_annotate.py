"""The annotation command: refusals, and a training with its table."""

import dataclasses
import importlib.util
import socket
from functools import partial

import pytest

from experiments import cli
from experiments.annotate import Options, annotate
from experiments.train_classifier import TINY, train
from kaokore.annotate.annotations import Annotations, Prediction
from kaokore.annotate.collection import collect_kaokore
from kaokore.classify import CLASSES
from tests.experiments.refusals import option_list, refusal

start = partial(cli.run, annotate, Options)


def test_a_classifier_trains_on_the_table(root, tmp_path):
    collection = collect_kaokore(root, "1.1", "unlabelled")
    annotations = Annotations(tmp_path / "labels.csv", "gender", CLASSES["gender"], collection.source)
    for image in collection.images:
        annotations.label(image, "female", "ann", Prediction("male", 0.6, 0.4, "a checkpoint", "0123"))
    annotations.write()
    annotations.close()
    config = dataclasses.replace(TINY, root=root, labels=str(annotations.table), runs=str(tmp_path / "runs"), epochs=1)
    assert (train(config) / "best.safetensors").is_file()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"task": "age"}, "age"),
        ({"checkpoint": "kaokore-status"}, "predicts status, not gender"),
        ({"checkpoint": "nowhere"}, "no checkpoint nowhere"),
        ({"root": "nowhere"}, "no data set folder nowhere"),
        ({"folder": "nowhere", "root": None}, "no folder nowhere"),
        ({"folder": "."}, "exclude each other"),
        ({"labels": "nowhere.csv"}, "nowhere.csv"),
        ({"order": "wrong"}, "--order wrong needs"),
        ({"version": "2.0"}, "2.0"),
        ({"port": -1}, "--port"),
        ({"port": 70000}, "70000"),
        ({"host": "256.0.0.1"}, "--host"),
        ({"batch": 0}, "--batch"),
        ({"device": "meta"}, "meta"),
    ],
    ids=str,
)
def test_invalid_options_are_refused(root, tmp_path, monkeypatch, capsys, options, message):
    pytest.importorskip("nicegui")
    options = {"root": root, "task": "gender", "out": tmp_path / "labels.csv", "port": 0, **options}
    assert message in refusal(monkeypatch, capsys, start, "annotate", *option_list(options))


def test_a_port_that_is_taken(root, tmp_path, monkeypatch, capsys):
    pytest.importorskip("nicegui")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        options = {"root": root, "task": "gender", "out": tmp_path / "labels.csv", "port": port}
        assert f"127.0.0.1:{port}" in refusal(monkeypatch, capsys, start, "annotate", *option_list(options))


def test_without_nicegui_it_names_what_to_install(root, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    options = {"root": root, "task": "gender", "out": tmp_path / "labels.csv"}
    assert "pip install" in refusal(monkeypatch, capsys, start, "annotate", *option_list(options))
