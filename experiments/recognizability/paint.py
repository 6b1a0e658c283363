"""Repaint labelled faces by several methods and brushes with several numbers of strokes, and classify the paintings."""

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
from experiments.recognizability.rows import UNPAINTED, Key, Row, Rows
from experiments.recognizability.run_file import record
from kaokore import parse_id
from kaokore.classify import CLASSES, Classifier, load_classifier
from kaokore.loading import load_images
from painter import Painter
from painter.methods import METHODS, Method
from painter.optimize import OptimizeConfig
from renderer.brush import require_gradient
from renderer.errors import InputError
from renderer.io.checkpoint import Checkpoint, find
from renderer.io.files import check_writable
from renderer.io.painting import MissingBrushError, reference_brush

PAINTERS = ("agent", "hybrid", "optimize", "agent:ink", "agent:watercolour", "agent:flat", "lines:flat+ink")
SETTINGS = ("split", "version", "size", "steps", "seed")  # the same for all rows of a run
BRUSH = "bezier"


@dataclass(frozen=True)
class Paint:
    """Repaint labelled faces and classify the paintings; resumes a stopped run."""

    root: str | None = None
    """KaoKore's folder; by default KAOKORE_ROOT, or data/kaokore."""
    split: Literal["train", "dev", "test"] = "dev"
    version: str = "1.1"
    """Version of KaoKore."""
    n: int = 100
    """Faces: the first ones in a random order, so that a larger number adds faces."""
    painters: tuple[str, ...] = PAINTERS
    """METHOD or METHOD:BRUSH. The others are compared with the first one."""
    strokes: tuple[int, ...] = (10, 20, 50, 100, 200, 500, 1000)
    size: int = 128
    """Pixels a side while painting, and of the images that are classified."""
    steps: int = 200
    """Gradient steps of optimize and hybrid; lines takes a fifth."""
    agent: str = "agent"
    """The agent's checkpoint."""
    gender: str = "kaokore-gender"
    """The classifiers' checkpoints."""
    status: str = "kaokore-status"
    minutes: float = float("inf")
    """Time limit; the same command resumes."""
    seed: int = 0
    device: str = "auto"
    """auto, cpu, cuda, cuda:1 ..."""
    out: str = "runs/recognizability"
    """Folder of this run; paintings that are there are not repeated."""


@dataclass(frozen=True)
class Face:
    """A labelled face: its ID, its image (3, size, size) in [0, 1], and its class by task."""

    id: int
    image: Tensor
    labels: Mapping[str, str]


def paint(config: Paint) -> Path:
    """Write `rows.csv` and `run.json` to the run's folder and return it. Raises `InputError`."""
    require(config, n=1, size=16, steps=1)
    if not config.painters or not config.strokes or min(config.strokes) < 1 or not config.minutes > 0:
        raise InputError(
            "Give at least one of --painters and of --strokes, strokes of at least 1 and --minutes above 0."
        )
    out, deadline = Path(config.out), time.monotonic() + 60 * config.minutes
    device, painters = choose_device(config.device), load_painters(config)
    classifiers = {task: load_classifier(getattr(config, task), device) for task in CLASSES}
    for task, classifier in classifiers.items():
        if classifier.task != task:
            raise InputError(
                f"--{task} needs a classifier of {task}; {getattr(config, task)} is one of {classifier.task}."
            )
    faces = Faces(config)
    check_writable(out)
    with closing(Rows(out / "rows.csv")) as rows:
        record(out / "run.json", {name: getattr(config, name) for name in SETTINGS}, _checkpoints(config))
        work = list(_work(config, faces.ids, list(painters)))
        todo = [key for key in work if key not in rows.done]
        face = None
        for key in tqdm(todo, desc="paintings", initial=len(work) - len(todo), total=len(work), disable=None):
            if time.monotonic() > deadline:
                break
            face = faces.load(key.face) if face is None or face.id != key.face else face
            rows.append(_row(key, face, painters.get(key.painter), classifiers, device))
        done = sum(key in rows.done for key in work)
        print(
            f"{out}/rows.csv holds {done} of {len(work)} paintings"
            + (", the same command resumes" if done < len(work) else "")
            + f"; summarise them with: python -m experiments.recognizability report {out}"
        )
    return out


class Faces:
    """The first n labelled faces of a split in a random order. Raises `DatasetError` when there are none."""

    def __init__(self, config: Paint) -> None:
        loaded = load_images(
            config.root, config.split, config.size, count=config.n, seed=config.seed, version=config.version
        )
        self.ids = [parse_id(name) for name in loaded.names]
        self._faces = dict(zip(self.ids, zip(loaded.images, loaded.labels.tolist(), strict=True), strict=True))

    def load(self, face: int) -> Face:
        """The face with an ID in `ids`."""
        pixels, classes = self._faces[face]
        labels = {task: names[k] for (task, names), k in zip(CLASSES.items(), classes, strict=True)}
        return Face(face, pixels / 255, labels)


def _work(config: Paint, ids: list[int], painters: list[str]) -> Iterator[Key]:
    """Keys face by face, so that in a stopped run all painters and numbers of strokes have equally many faces, up to one."""
    for face in ids:
        yield Key(face, UNPAINTED, 0, config.seed)
        for count in sorted(set(config.strokes)):
            for name in painters:
                yield Key(face, name, count, config.seed)


def parse_painter(name: str) -> tuple[Method, str]:
    """Method and brush of `METHOD` or `METHOD:BRUSH`. Raises `InputError`.

    >>> parse_painter("agent"), parse_painter("lines:flat+ink")
    (('agent', 'bezier'), ('lines', 'flat+ink'))
    """
    method, _, brush = name.partition(":")
    if method not in METHODS:
        raise InputError(f"A painter is METHOD or METHOD:BRUSH with one of {', '.join(METHODS)}, not {name!r}.")
    require_gradient(brush)
    return method, brush or BRUSH


def load_painters(config: Paint) -> dict[str, Painter]:
    """The painters by name, each once; the default brush is left out of the name. Raises `InputError`."""
    painters = {}
    for method, brush in dict.fromkeys(map(parse_painter, config.painters)):
        name = method if brush == BRUSH else f"{method}:{brush}"
        optimize = OptimizeConfig(steps=config.steps)
        painters[name] = Painter(method, brush=brush, agent=config.agent, device=config.device, config=optimize)
    return painters


def _row(
    key: Key, face: Face, painter: Painter | None, classifiers: dict[str, Classifier], device: torch.device
) -> Row:
    """Paint a face, or leave it unpainted for `painter` None, and classify it."""
    image, brush, seconds = face.image, "", 0.0
    if painter is not None:
        begun = time.process_time()
        painting = painter.paint(face.image, strokes=key.strokes, size=face.image.shape[1], seed=key.seed)
        seconds = time.process_time() - begun
        image, brush = painting.render(), _drawn_by(painter)
    answers: dict[str, Any] = {}
    for task, classifier in classifiers.items():
        probabilities = classifier.probabilities(image[None].to(device))[0].cpu()
        answers[task] = face.labels[task]
        answers[f"{task}_answer"] = classifier.classes[int(probabilities.argmax())]
        answers[f"{task}_probability"] = float(probabilities[classifier.classes.index(face.labels[task])])
    mse = float((image - face.image).square().mean())
    return Row(*key, brush=brush, mse=mse, cpu_seconds=seconds, **answers)


def _drawn_by(painter: Painter) -> str:
    """Which brush renders the paintings of `painter`, see `Row.brush`."""
    try:
        reference_brush(painter.brush.space, (1, 1), painter.brush.provenance())
    except MissingBrushError:
        return "learned"
    return "reference"


def _checkpoints(config: Paint) -> dict[str, str]:
    """Hashes of all networks that the figures depend on, by role."""
    names = {brush for name in config.painters for brush in parse_painter(name)[1].split("+")}
    hashes = {f"brush {find(name).stem}": Checkpoint.load(name).hash() for name in sorted(names - {"analytic"})}
    return hashes | {role: Checkpoint.load(getattr(config, role)).hash() for role in ("agent", *CLASSES)}
