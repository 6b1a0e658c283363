"""Repaint labelled faces by several painters with several numbers of strokes, and ask the classifiers who it is."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor
from tqdm import tqdm

from experiments.cli import choose_device, require
from experiments.recognizability.painters import Painter, load_painter, parse_painter
from experiments.recognizability.rows import UNPAINTED, Key, Row, Rows
from experiments.recognizability.run_file import record
from kaokore import parse_id
from kaokore.classify import CLASSES, Classifier, load_classifier
from kaokore.loading import load_images
from painter.optimize import OptimizeConfig
from renderer.errors import InputError
from renderer.io.checkpoint import Checkpoint, find
from renderer.io.files import check_writable

PAINTERS = ("agent", "hybrid", "optimize", "agent:ink", "agent:watercolour", "agent:flat", "lines:flat+ink")
SETTINGS = ("split", "version", "size", "steps", "seed")  # that rows of one run share


@dataclass(frozen=True)
class Paint:
    """Repaint labelled faces and ask the classifiers; goes on where it was stopped."""

    root: str | None = None
    """KaoKore's folder; else KAOKORE_ROOT, else data/kaokore."""
    split: Literal["train", "dev", "test"] = "dev"
    version: str = "1.1"
    """Of KaoKore."""
    n: int = 100
    """Faces: the first ones of a random order, so that more of them later are the same ones and others."""
    painters: tuple[str, ...] = PAINTERS
    """METHOD or METHOD:RENDERER. The first one is whom the others are compared with."""
    strokes: tuple[int, ...] = (10, 20, 50, 100, 200, 500, 1000)
    size: int = 128
    """Pixels a side while painting, and of what the classifiers see."""
    steps: int = 200
    """Gradient steps of optimize, hybrid and lines."""
    agent: str = "agent"
    """The agent's checkpoint."""
    gender: str = "kaokore-gender"
    """The classifiers' checkpoints."""
    status: str = "kaokore-status"
    minutes: float = float("inf")
    """Stop after so long; the same command goes on."""
    seed: int = 0
    device: str = "auto"
    out: str = "runs/legibility"
    """Folder of this run; what is there already is not done again."""


@dataclass(frozen=True)
class Face:
    """A labelled face: its ID, its picture (3, size, size) in [0, 1], and its class by task."""

    id: int
    picture: Tensor
    labels: Mapping[str, str]


def paint(config: Paint) -> Path:
    """Writes `rows.csv` and `run.json` in the run's folder, and returns it. Raises `InputError`."""
    require(config, n=1, size=16, steps=1)
    if not config.painters or not config.strokes or min(config.strokes) < 1 or not config.minutes > 0:
        raise InputError("--painters and --strokes are one or more, strokes from 1 up, and --minutes is more than 0.")
    device, out, deadline = choose_device(config.device), Path(config.out), time.monotonic() + 60 * config.minutes
    classifiers = {task: load_classifier(getattr(config, task), device) for task in CLASSES}
    for task, classifier in classifiers.items():
        if classifier.task != task:
            raise InputError(
                f"--{task} wants a classifier of {task}; {getattr(config, task)} is one of {classifier.task}."
            )
    loaded = [load_painter(name, config.agent, device) for name in dict.fromkeys(config.painters)]
    painters = {painter.name: painter for painter in loaded}
    faces = Faces(config)
    check_writable(out)
    with closing(Rows(out / "rows.csv")) as rows:
        record(out / "run.json", {name: getattr(config, name) for name in SETTINGS}, _checkpoints(config))
        work = list(_work(config, faces.ids, list(painters)))
        todo = [key for key in work if key not in rows.done]
        face = None
        for key in tqdm(todo, desc="paintings", initial=len(work) - len(todo), total=len(work)):
            if time.monotonic() > deadline:
                break
            face = faces.load(key.face) if face is None or face.id != key.face else face
            rows.append(_row(key, face, painters.get(key.painter), config, classifiers, device))
        left = sum(key not in rows.done for key in work)
        print(
            f"{out}/rows.csv holds {len(work) - left} of {len(work)} paintings"
            + (", the same command goes on" if left else "")
            + f"; see what they say: python -m experiments.recognizability report {out}"
        )
    return out


class Faces:
    """The first n labelled faces of a split, in a random order. Raises `DatasetError` when there are none."""

    def __init__(self, config: Paint) -> None:
        loaded = load_images(
            config.root, config.split, config.size, count=config.n, seed=config.seed, version=config.version
        )
        self.ids = [parse_id(name) for name in loaded.names]
        self._faces = dict(zip(self.ids, zip(loaded.images, loaded.labels.tolist(), strict=True), strict=True))

    def load(self, face: int) -> Face:
        """The face of an ID of `ids`."""
        pixels, classes = self._faces[face]
        labels = {task: names[k] for (task, names), k in zip(CLASSES.items(), classes, strict=True)}
        return Face(face, pixels / 255, labels)


def _work(config: Paint, ids: list[int], painters: list[str]) -> Iterator[Key]:
    """Face by face, so that whenever this stops all painters and numbers of strokes have as many, give or take one."""
    for face in ids:
        yield Key(face, UNPAINTED, 0, config.seed)
        for count in sorted(set(config.strokes)):
            for name in painters:
                yield Key(face, name, count, config.seed)


def _row(
    key: Key,
    face: Face,
    painter: Painter | None,
    config: Paint,
    classifiers: dict[str, Classifier],
    device: torch.device,
) -> Row:
    """Paints a face, or leaves it unpainted, and asks the classifiers."""
    picture, brush, seconds = face.picture, "", 0.0
    if painter is not None:
        begun = time.process_time()
        optimize = OptimizeConfig(steps=config.steps)
        strokes = painter.strokes(face.picture.to(device), key.strokes, optimize, config.seed)
        seconds = time.process_time() - begun
        picture = painter.picture(strokes, (config.size, config.size)).cpu()
        brush = "true" if painter.brush is None else "learned"
    said: dict[str, Any] = {}
    for task, classifier in classifiers.items():
        chances = classifier.probabilities(picture[None].to(device))[0].cpu()
        said[task] = face.labels[task]
        said[f"{task}_answer"] = classifier.classes[int(chances.argmax())]
        said[f"{task}_probability"] = float(chances[classifier.classes.index(face.labels[task])])
    mse = float((picture - face.picture).square().mean())
    return Row(*key, brush=brush, mse=mse, cpu_seconds=seconds, **said)


def _checkpoints(config: Paint) -> dict[str, str]:
    """The fingerprints of all networks that have a say in the figures, by what they are for."""
    names = {brush for name in config.painters for brush in parse_painter(name)[1].split("+")}
    prints = {f"brush {find(name).stem}": Checkpoint.load(name).hash() for name in sorted(names - {"analytic"})}
    return prints | {role: Checkpoint.load(getattr(config, role)).hash() for role in ("agent", *CLASSES)}
