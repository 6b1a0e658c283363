"""The same command, seed, machine and number of threads give the same bytes, in every file but for times."""

import dataclasses
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from agents.policy import Policy
from experiments import (
    classify,
    evaluate,
    repaint,
    replay,
    stylegan,
    stylize,
    train_agent,
    train_classifier,
    train_huang2019,
    train_ppo,
    train_renderer,
    train_stylegan,
    visualize,
)
from kaokore import write_fake_kaokore
from painter.losses.activation import ViewConfig
from renderer.io.checkpoint import Checkpoint
from renderer.strokes import BEZIER
from tests.experiments.interruptions import contents

CHANGING = {"seconds", "seconds_a_face", "out", "runs"}  # times, and where the files are
SMALL: dict[str, Any] = {"renderer": "bezier", "strokes": 4, "size": 32, "video_size": 32}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image, a small untrained agent, a generated data set, and a StyleGAN and a classifier trained on it."""
    folder = tmp_path_factory.mktemp("inputs")
    generator = torch.Generator().manual_seed(0)
    pixels = (255 * torch.rand(4, 6, 3, generator=generator)).byte().numpy()
    Image.fromarray(pixels).resize((36, 24), Image.Resampling.BICUBIC).save(folder / "face.png")
    torch.manual_seed(0)
    settings = {"width": 16, "blocks": 1, "each": 2}
    Checkpoint("policy", settings, Policy(**settings).state_dict(), BEZIER).save(folder / "agent.safetensors")
    write_fake_kaokore(folder / "kaokore", n=24)
    return folder


def files_of(folder: Path) -> dict[str, Any]:
    """The content of every file but curves: bytes, of tables and records without times and of checkpoints by entry."""
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or "tfevents" in path.name:
            continue
        name: Any = path.relative_to(folder)
        if len(name.parts) > 1 and name.parts[0][:2] == "20":  # the time of a training's start
            name = Path(*name.parts[1:])
        data: Any = path.read_bytes()
        if path.suffix == ".csv":
            head, *rows = [line.split(",") for line in path.read_text().splitlines()]
            data = [dict(zip(head, row, strict=True)) for row in rows]
        elif path.suffix == ".json":
            data = json.loads(path.read_text())
        elif path.suffix == ".safetensors" and "about" in (entries := contents(path)):
            data = entries | {"about": json.loads(entries["about"])}
        found[str(name)] = steady(data, str(folder))
    return found


def steady(data: Any, folder: str) -> Any:
    """A record without the entries that may change, and without the folder that it is in."""
    if isinstance(data, dict):
        return {key: steady(value, folder) for key, value in data.items() if key not in CHANGING}
    if isinstance(data, list):
        return [steady(value, folder) for value in data]
    return data.replace(folder, "") if isinstance(data, str) else data


def assert_same(run: Callable[[Path], object], tmp_path: Path, least: int = 1) -> None:
    """Run a command twice, in folders whose paths differ in length; between them, the global generator moves on."""
    for name in ("one", "another"):
        run(tmp_path / name)
        torch.rand(3)
    one, another = files_of(tmp_path / "one"), files_of(tmp_path / "another")
    assert len(one) >= least
    assert one.keys() == another.keys()
    assert [name for name in one if one[name] != another[name]] == []


@pytest.mark.parametrize("method", ["agent", "optimize", "hybrid", "lines"])
def test_repaint(inputs: Path, tmp_path: Path, method: str) -> None:
    """Strokes, image, vectors, both videos and the row of metrics."""

    def run(out: Path) -> None:
        agent = str(inputs / "agent.safetensors")
        options = {**SMALL, "steps": 10, "agent": agent, "seed": 3}
        repaint.repaint(repaint.Config((str(inputs / "face.png"),), str(out), method=method, **options))

    assert_same(run, tmp_path, 6)


def test_stylize(inputs: Path, tmp_path: Path) -> None:
    def run(out: Path) -> None:
        face = str(inputs / "face.png")
        stylize.stylize(stylize.Config(face, str(out), style=face, steps=2, seed=3, curve_weight=1, **SMALL))

    assert_same(run, tmp_path, 5)


def test_visualize(tmp_path: Path) -> None:
    def run(out: Path) -> None:
        view = ViewConfig(views=2, side=32)
        visualize.visualize(visualize.Config(str(out), feature="relu2_1:3", steps=2, seed=3, view=view, **SMALL))

    assert_same(run, tmp_path, 5)


def test_evaluate(inputs: Path, tmp_path: Path) -> None:
    def run(out: Path) -> None:
        few: dict[str, Any] = {"methods": ("hybrid",), "strokes": (3,), "steps": 2, "n": 2, "size": 24}
        agent, root = str(inputs / "agent.safetensors"), str(inputs / "kaokore")
        evaluate.evaluate(evaluate.Config(root, out=str(out), agent=agent, **few))

    assert_same(run, tmp_path, 2)


TRAININGS: dict[str, tuple[Callable[[Any], Path], Any]] = {
    "renderer": (train_renderer.train_renderer, dataclasses.replace(train_renderer.TINY, steps=2)),
    "agent": (train_agent.train_agent, dataclasses.replace(train_agent.TINY, episodes=1)),
    "ppo": (train_ppo.train_ppo, train_ppo.TINY),
    "huang2019": (
        train_huang2019.train_huang2019,
        dataclasses.replace(train_huang2019.TINY, episodes=2, evaluate_every=2, evaluate_faces=1),
    ),
    "classifier": (train_classifier.train, dataclasses.replace(train_classifier.TINY, epochs=1)),
    "stylegan": (train_stylegan.train, dataclasses.replace(train_stylegan.TINY, images=0.012)),
}


def begin(inputs: Path, name: str, folder: Path) -> Path:
    """Train in `folder`; returns the run folder."""
    train, config = TRAININGS[name]
    root = {"root": str(inputs / "kaokore")} if hasattr(config, "root") else {}
    return train(dataclasses.replace(config, runs=str(folder), seed=3, minutes_between_saves=0.0, **root))


@pytest.mark.parametrize("name", TRAININGS)
def test_trainings(inputs: Path, tmp_path: Path, name: str) -> None:
    """States, checkpoints and samples."""
    assert_same(lambda folder: begin(inputs, name, folder), tmp_path, 3)
    states = [path.read_bytes() for path in tmp_path.glob("*/*/state.safetensors")]
    assert states[0] == states[1], "equal bytes, not only equal entries"
    here = str(tmp_path).encode()
    named = [path.name for path in tmp_path.rglob("*") if path.is_file() and here in path.read_bytes()]
    assert set(named) <= {"config.json"}, "only what --resume reads knows the folder"


def test_generated_faces(inputs: Path, tmp_path: Path) -> None:
    checkpoint = str(begin(inputs, "stylegan", tmp_path / "runs") / "latest.safetensors")

    def run(out: Path) -> None:
        options: dict[str, Any] = {"checkpoint": checkpoint, "seed": 3, "n": 2}
        stylegan.sample(stylegan.Sample(**options, out=str(out / "samples")))
        stylegan.interpolate(stylegan.Interpolate(**options, seconds=0.1, video_size=32, out=str(out / "loop.mp4")))
        stylegan.mix(stylegan.Mix(checkpoint, rows=1, columns=2, seed=3, out=str(out / "mix.png")))
        face = str(out / "samples" / "faces" / "sample-0000.png")
        few = stylegan.ProjectionConfig(steps=2)
        stylegan.project(stylegan.Project(face, checkpoint, str(out / "projection"), few, seed=3))

    assert_same(run, tmp_path, 10)


def test_classifiers_are_evaluated_the_same(inputs: Path, tmp_path: Path) -> None:
    checkpoint = str(begin(inputs, "classifier", tmp_path) / "best.safetensors")
    config = classify.Evaluate(checkpoint, str(inputs / "kaokore"), split="dev")
    assert classify.evaluate(config) == classify.evaluate(config)


def test_replay(inputs: Path, tmp_path: Path) -> None:
    repaint.repaint(repaint.Config((str(inputs / "face.png"),), str(tmp_path / "paintings"), **SMALL))

    def run(out: Path) -> None:
        for suffix in ("png", "jpg", "svg", "mp4", "gif", "json"):
            strokes = str(tmp_path / "paintings" / "face" / "strokes.safetensors")
            replay.replay(replay.Config(strokes, str(out / f"face.{suffix}"), size=64))

    assert_same(run, tmp_path, 6)
    here = str(tmp_path).encode()
    assert not [path for path in tmp_path.rglob("face*.*") if here in path.read_bytes()]


def test_commands_are_recorded_without_folders(monkeypatch: pytest.MonkeyPatch, inputs: Path, tmp_path: Path) -> None:
    options = ["--root", str(inputs / "kaokore"), f"--runs={tmp_path}", "--episodes", "1"]
    monkeypatch.setattr(sys, "argv", ["train_agent.py", *options])
    about = Checkpoint.load(begin(inputs, "agent", tmp_path) / "latest.safetensors").about
    assert about["command"].endswith(f" --root kaokore --runs={tmp_path.name} --episodes 1")
