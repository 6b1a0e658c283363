"""The classifier commands at their smallest: train, resume exactly, evaluate, tabulate, refuse invalid options."""

import dataclasses
import json
import os

import pytest
import torch
from safetensors import safe_open

from experiments import train_classifier as training
from experiments.classify import Evaluate, evaluate, main
from experiments.figures.classifier_table import PUBLISHED, Table, collect, markdown, table
from experiments.train_classifier import TINY, Train, train
from kaokore import KaoKore, write_fake_kaokore
from kaokore.classify import load_classifier, networks
from kaokore.loading import load_images
from renderer.errors import InputError
from renderer.io.checkpoint import Checkpoint
from tests.experiments.interruptions import contents, stopped_and_resumed
from tests.experiments.refusals import exit_code, option_list, refusal

LEARNING = dataclasses.replace(
    TINY,
    weights="imagenet",
    size=48,
    epochs=8,
    evaluate_every=2,
    warmup=0.5,
    ema=0.7,
    balance=0.0,
    augment=0.3,
    patience=20,
)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return str(write_fake_kaokore(tmp_path_factory.mktemp("kaokore"), n=72))


@pytest.fixture(scope="module")
def learned(root, tmp_path_factory):
    return train(dataclasses.replace(LEARNING, root=root, runs=str(tmp_path_factory.mktemp("runs"))))


def test_it_learns(root, learned, tmp_path):
    """Gender is visible in synthetic faces. With a learning rate of almost 0, the classifier guesses."""
    figures = evaluate(Evaluate(str(learned / "best.safetensors"), root, "train"))
    assert figures["accuracy"] >= 0.9
    assert figures["nll"] < 0.4
    lame = train(dataclasses.replace(LEARNING, root=root, runs=str(tmp_path), learning_rate=1e-9, epochs=1))
    assert evaluate(Evaluate(str(lame / "best.safetensors"), root, "train"))["nll"] > 0.6


def test_the_run_folder_is_the_record(learned, root):
    assert {"config.json", "state.safetensors", "best.safetensors", "evaluation.json"} <= set(os.listdir(learned))
    assert list(learned.glob("events*"))
    best = load_classifier(learned / "best.safetensors")
    assert best.about["pretrained"] == "imagenet"
    assert best.about["train_faces"] == len(load_images(root, "train", 8, task="gender").labels)
    assert "CC BY-SA" in best.about["data"]
    assert {"command", "commit", "seed"} <= best.about.keys()
    written = json.loads((learned / "evaluation.json").read_text())
    assert written == best.about["evaluation"] == evaluate(Evaluate(str(learned / "best.safetensors"), root, "dev"))
    assert written["temperature"] == best.temperature != 1
    assert (learned / "best.safetensors").stat().st_size < 10e6


@pytest.fixture(scope="module")
def whole(root, tmp_path_factory):
    """Configuration and run folder of a training that was never stopped."""
    runs = tmp_path_factory.mktemp("whole")
    config = dataclasses.replace(TINY, root=root, task="status", minutes_between_saves=0.0, runs=str(runs), batch=12)
    return config, train(config)


@pytest.mark.parametrize("stop_at", [1, 3])
def test_it_resumes_exactly(whole, tmp_path, monkeypatch, stop_at):
    """After its first step, and in its second epoch."""
    config, folder = whole
    config = dataclasses.replace(config, runs=str(tmp_path))
    stopped = stopped_and_resumed(monkeypatch, train, config, saves=stop_at)
    for file in ("state.safetensors", "best.safetensors"):
        assert contents(folder / file) == contents(stopped / file)

    # There is nothing left to do, and nothing is done.
    before = (stopped / "state.safetensors").stat().st_mtime_ns
    assert train(Train(resume=str(stopped))) == stopped
    assert (stopped / "state.safetensors").stat().st_mtime_ns == before


def test_it_restarts_without_a_saved_state(root, tmp_path, monkeypatch):
    config = dataclasses.replace(TINY, root=root, epochs=1, runs=str(tmp_path))
    whole = train(config)
    with monkeypatch.context() as patched:
        patched.setattr(training, "train_step", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            train(config)
    (stopped,) = (folder for folder in tmp_path.iterdir() if folder != whole)
    train(Train(resume=str(stopped)))
    assert contents(whole / "best.safetensors") == contents(stopped / "best.safetensors")


def test_it_stops_without_improvement(root, tmp_path, monkeypatch):
    """With a constant average, the first epoch stays the best."""
    config = dataclasses.replace(TINY, root=root, epochs=9, patience=2, runs=str(tmp_path))
    monkeypatch.setattr(training, "update_average", lambda *_: None)
    folder = train(config)
    with safe_open(folder / "state.safetensors", "pt") as state:
        step, notes = int(state.metadata()["step"]), json.loads(state.metadata()["notes"])
    assert notes["finished"]
    assert load_classifier(folder / "best.safetensors").about["epochs"] == notes["epoch"] + 1 == 1
    assert step == 3 * (len(load_images(root, "train", 8, task="gender").labels) // 8)


def test_frozen_parts_keep_imagenet(root, tmp_path):
    folder = train(dataclasses.replace(LEARNING, root=root, epochs=1, freeze=0.5, size=32, runs=str(tmp_path)))
    mine, theirs = load_classifier(folder / "best.safetensors").network, training.build("efficientnet_lite0", 2)
    training.start(theirs, "efficientnet_lite0", "imagenet")
    for name, weight in theirs.state_dict().items():
        part = int(name.split(".")[1]) if name.startswith("features") else 99
        same = torch.equal(
            mine.state_dict()[name], weight.half().to(weight.dtype) if weight.is_floating_point() else weight
        )
        assert same == (part < 9) or name.endswith("num_batches_tracked")


def test_a_blocked_network_is_reported_and_recorded(root, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(networks.requests, "get", _refuse)
    config = dataclasses.replace(
        TINY, root=root, model="resnet18", weights="auto", epochs=1, runs=str(tmp_path / "runs")
    )
    folder = train(config)
    said = capsys.readouterr().out.splitlines()[0]
    assert said.startswith("ResNet-18 starts from scratch (https://download.pytorch.org/models/resnet18-f37072fd.pth")
    assert load_classifier(folder / "best.safetensors").about["pretrained"] == "scratch"
    assert json.loads((folder / "evaluation.json").read_text())["pretrained"] == "scratch"
    for change, message in (({"weights": "imagenet"}, "cannot be downloaded"), ({"freeze": 0.5}, "freeze")):
        with pytest.raises(InputError, match=message):
            train(dataclasses.replace(config, **change))
    assert os.listdir(tmp_path / "runs") == [folder.name]


def _refuse(*_, **__):
    raise networks.requests.ConnectionError("no network")


# Command line


def test_evaluate_prints_one_line_of_json(root, learned, monkeypatch, capsys):
    asked = ("classify", "evaluate", "--checkpoint", learned / "best.safetensors", "--root", root, "--split", "test")
    assert exit_code(monkeypatch, main, *asked) == 0
    printed = capsys.readouterr().out
    assert printed.count("\n") == 1
    figures = json.loads(printed)
    assert list(figures)[:4] == ["task", "model", "accuracy", "n"]
    assert figures["task"] == "gender"
    assert figures["model"] == "efficientnet_lite0"
    assert figures["n"] == len(KaoKore(root, split="test", missing="skip").ids) == sum(map(sum, figures["confusion"]))
    assert 0 <= figures["ece"] <= 1
    assert list(figures["recall"]) == ["male", "female"]


@pytest.mark.parametrize(
    "options",
    [
        {"size": 16},
        {"model": "inception_v3", "size": 74},
        {"model": "resnet50"},
        {"task": "age"},
        {"epochs": 0},
        {"batch": 1},
        {"learning-rate": 0},
        {"learning-rate": "nan"},
        {"warmup": -1},
        {"smoothing": 1.5},
        {"balance": -0.5},
        {"freeze": 1.1},
        {"freeze": 0.5, "weights": "scratch"},
        {"augment": -1},
        {"ema": 2},
        {"patience": 0},
        {"minutes-between-saves": -1},
        {"weight-decay": -1},
        {"seed": -1},
        {"device": "meta"},
        {"root": "nowhere"},
        {"version": "2.0"},
        {"labels": "nowhere.csv"},
        {"resume": "nowhere"},
    ],
    ids=str,
)
def test_invalid_options_are_refused(root, tmp_path, monkeypatch, capsys, options):
    """And leave no run folder."""
    arguments = option_list(options)
    rest = [] if "root" in options else ["--root", root]
    said = refusal(monkeypatch, capsys, main, "classify", "train", "--runs", tmp_path / "runs", *rest, *arguments)
    assert any(name in said for name in options)
    assert not (tmp_path / "runs").exists()


def test_a_split_without_images(root, learned, tmp_path, monkeypatch, capsys):
    other = write_fake_kaokore(tmp_path / "kaokore", n=12)
    for image in KaoKore(other, split="test", missing="skip").ids:
        (other / "images_256" / f"{image:08d}.jpg").unlink()
    evaluate_command = (monkeypatch, capsys, main, "classify", "evaluate", "--checkpoint")
    best = learned / "best.safetensors"
    assert refusal(*evaluate_command, best, "--root", other).startswith("error: There are no test images")
    refusal(*evaluate_command, "bezier", "--root", root)
    refusal(*evaluate_command, "none", "--root", root)
    refusal(*evaluate_command, best, "--batch", 0)


# Table


def figures(**changes):
    known = {"task": "gender", "model": "vgg11", "accuracy": 0.9, "n": 688, "balanced_accuracy": 0.85, "ece": 0.02}
    return {**known, "split": "dev", "pretrained": "scratch", "size": 64, **changes}


def test_an_empty_table_has_the_published_results():
    rows = collect([])
    assert len(rows) == 16
    assert all(row["accuracy"] is None for row in rows)
    lines = markdown(rows).splitlines()
    assert lines[2] == "| VGG11 | gender | .9203 | .9318 |  |  |  |  |  |  |  |"
    assert lines[9] == "| EfficientNet-Lite0 | gender |  |  |  |  |  |  |  |  |  |"
    assert len(lines) == 18
    assert PUBLISHED["1.1"]["inception_v3"] == (0.9497, 0.8509)


def test_table_of_files_folders_and_checkpoints(learned, tmp_path, capsys):
    ours = json.loads((learned / "evaluation.json").read_text())
    (tmp_path / "one.json").write_text(json.dumps(figures()))
    for path in (learned, learned / "best.safetensors", learned / "evaluation.json"):
        rows = table(Table((path, tmp_path / "one.json"), "json"))
        assert json.loads(capsys.readouterr().out) == rows
        measured = {row["model"]: row for row in rows if row["accuracy"] is not None}
        assert set(measured) == {"vgg11", "efficientnet_lite0"}
        assert measured["efficientnet_lite0"]["n"] == ours["n"]
        assert measured["efficientnet_lite0"]["task"] == "gender"
    table(Table((tmp_path / "one.json",)))
    assert (
        "| VGG11 | gender | .9203 | .9318 | .9000 | .8500 | .0200 | dev | 688 | scratch | 64 |"
        in capsys.readouterr().out
    )


def test_missing_metrics_leave_empty_cells(tmp_path, capsys):
    (tmp_path / "one.json").write_text(json.dumps(figures(balanced_accuracy=None, ece=None)))
    table(Table((tmp_path / "one.json",)))
    assert "| .9000 |  |  | dev | 688 | scratch | 64 |" in capsys.readouterr().out
    (tmp_path / "one.json").write_text(json.dumps(figures(accuracy=None)))
    with pytest.raises(InputError, match="holds no valid output"):
        table(Table((tmp_path / "one.json",)))


def test_results_on_test_replace_dev_and_later_ones_earlier():
    for found, expected in (
        ([figures(), figures(accuracy=0.8)], 0.8),
        ([figures(accuracy=0.7, split="test"), figures()], 0.7),
        ([figures(), figures(accuracy=0.7, split="test")], 0.7),
        ([figures(accuracy=0.7, split="test"), figures(accuracy=0.6, split="test")], 0.6),
    ):
        (row,) = (row for row in collect(found) if row["accuracy"] is not None)
        assert row["accuracy"] == expected


@pytest.mark.parametrize(
    "text", ["", "[1]", "{}", "3", json.dumps(figures(model="resnet50")), json.dumps(figures(accuracy="good"))]
)
def test_files_without_an_evaluation_are_refused(tmp_path, text, monkeypatch, capsys):
    path = tmp_path / "evaluation.json"
    path.write_text(text)
    for place in (path, tmp_path):
        assert refusal(monkeypatch, capsys, main, "classify", "table", place).startswith("error: ")


def test_paths_without_an_evaluation_are_refused(tmp_path, monkeypatch, capsys, learned):
    made = Checkpoint.load(learned / "best.safetensors")
    unfinished = {key: value for key, value in made.about.items() if key != "evaluation"}
    dataclasses.replace(made, about=unfinished).save(tmp_path / "unfinished.safetensors")
    for path in (tmp_path, tmp_path / "none", tmp_path / "unfinished.safetensors", "checkpoints/bezier.safetensors"):
        assert refusal(monkeypatch, capsys, main, "classify", "table", path).startswith("error: ")
