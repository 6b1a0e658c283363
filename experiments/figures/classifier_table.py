"""Table of KaoKore classifiers: published figures and ours; cells without a measurement stay empty."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from experiments.figures.elements import markdown_table
from kaokore.classify import CLASSES, load_classifier
from kaokore.classify.networks import MODELS
from renderer.errors import InputError
from renderer.io.read import guarded, read_json

# Test accuracy (gender, status) by the data set's authors, Tian et al. (2020).
# Version 1.0: README.md of github.com/rois-codh/kaokore (for 1.0, as the paper, ICCC 2020). Version 1.1: the authors'
# slides.
PUBLISHED: dict[str, dict[str, tuple[float, float]]] = {
    "1.0": {
        "vgg11": (0.9203, 0.7874),
        "alexnet": (0.9127, 0.7893),
        "resnet18": (0.9298, 0.8216),
        "resnet34": (0.9355, 0.8482),
        "mobilenet_v2": (0.9506, 0.8235),
        "densenet121": (0.9431, 0.7970),
        "inception_v3": (0.9658, 0.8425),
    },
    "1.1": {
        "vgg11": (0.9318, 0.7882),
        "alexnet": (0.9318, 0.7415),
        "resnet18": (0.9300, 0.8330),
        "resnet34": (0.9354, 0.7935),
        "mobilenet_v2": (0.9408, 0.8402),
        "densenet121": (0.9479, 0.8025),
        "inception_v3": (0.9497, 0.8509),
    },
}
HEADS = {
    "title": "network",
    "task": "task",
    "published_1.0": "published, v1.0 test",
    "published_1.1": "published, v1.1 test",
    "accuracy": "ours",
    "balanced_accuracy": "balanced",
    "ece": "ECE",
    "split": "split",
    "n": "images",
    "pretrained": "weights",
    "size": "px",
}


@dataclass(frozen=True)
class Table:
    """Compare measured figures with the published ones."""

    paths: Annotated[tuple[Path, ...], tyro.conf.Positional] = ()
    """Run folders, checkpoints, or output files of evaluate. Test is preferred to dev, and later to earlier paths."""
    format: Literal["markdown", "json"] = "markdown"


def table(config: Table) -> list[dict[str, Any]]:
    """Print the table and return its rows. Raises `InputError` when a path holds no evaluation."""
    rows = collect([figures for path in config.paths for figures in evaluations(path)])
    print(json.dumps(rows) if config.format == "json" else markdown(rows))
    return rows


def evaluations(path: Path) -> list[dict[str, Any]]:
    """All evaluations of a run folder, a checkpoint, or a JSON file. Raises `InputError` when there is none."""
    found = list(_evaluations(path))
    for figures in found:
        if not _is_valid(figures):
            raise InputError(f"{path} holds no valid output of `evaluate`; evaluate again.")
    if not found:
        raise InputError(f"{path} holds no evaluation; the training is unfinished, or another script wrote it.")
    return found


def _evaluations(path: Path) -> Iterator[Any]:
    if path.is_dir():
        for file in sorted(path.glob("evaluation*.json")):
            yield from _evaluations(file)
    elif path.suffix == ".safetensors":
        figures = load_classifier(path).about.get("evaluation")
        if figures is not None:
            yield figures
    else:
        with guarded(path, InputError, "is not a run folder, checkpoint or evaluation"):
            figures = read_json(path)
        yield figures


def _is_valid(figures: Any) -> bool:
    try:
        numbers = [figures[key] for key in ("accuracy", "n", "size")]
        numbers += [figures[key] for key in ("balanced_accuracy", "ece") if figures[key] is not None]
        known = figures["model"] in MODELS and figures["task"] in CLASSES and figures["split"] in ("dev", "test")
    except (KeyError, TypeError):
        return False
    return known and all(isinstance(number, (int, float)) for number in numbers)


def collect(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A row for each network and task, with published and measured figures; None where there is no measurement."""
    ours: dict[tuple[str, str], dict[str, Any]] = {}
    for figures in found:
        key = (figures["model"], figures["task"])
        if key not in ours or ours[key]["split"] != "test" or figures["split"] == "test":
            ours[key] = figures
    rows = []
    for task_index, task in enumerate(CLASSES):
        for model, architecture in MODELS.items():
            row: dict[str, Any] = {"model": model, "title": architecture.title, "task": task}
            for version, published in PUBLISHED.items():
                row[f"published_{version}"] = published[model][task_index] if model in published else None
            measured = ours.get((model, task), {})
            rows.append(row | {key: measured.get(key) for key in HEADS if key not in row})
    return rows


def markdown(rows: list[dict[str, Any]]) -> str:
    """The rows as a Markdown table, shares with four digits as published."""

    def cell(value: Any) -> str:
        if value is None:
            return ""
        return f"{value:.4f}".removeprefix("0") if isinstance(value, float) else str(value)

    return markdown_table(list(HEADS.values()), [[cell(row[key]) for key in HEADS] for row in rows])
