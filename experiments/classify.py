"""Classify gender and social status of KaoKore faces: `python -m experiments.classify train | evaluate | table`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

from experiments.cli import Command, choose_device, progress, require, run_subcommand
from experiments.figures.classifier_table import Table, table
from experiments.train_classifier import Train, train
from kaokore.classify import load_classifier
from kaokore.classify.evaluate import evaluate as evaluate_classifier
from kaokore.loading import load_images


@dataclass(frozen=True)
class Evaluate:
    """Evaluate a classifier on a split of KaoKore; prints one line of JSON."""

    checkpoint: str
    """A file that `train` wrote, or the name of a shipped one."""
    root: str | None = None
    """KaoKore's folder; else KAOKORE_ROOT, else data/kaokore."""
    split: Literal["train", "dev", "test"] = "test"
    version: str = "1.1"
    """Of KaoKore."""
    batch: int = 64
    device: str = "auto"


def evaluate(config: Evaluate) -> dict[str, Any]:
    """Print the metrics of a classifier on the labelled images of a split as JSON, and return them."""
    require(config, batch=1)
    device = choose_device(config.device)
    classifier = load_classifier(config.checkpoint, device)
    images, labels, _ = load_images(
        config.root,
        config.split,
        classifier.size,
        task=classifier.task,
        version=config.version,
        track=progress(f"{config.split} images"),
    )
    metrics = evaluate_classifier(
        classifier,
        images,
        labels,
        split=config.split,
        device=device,
        batch=config.batch,
        track=progress("classifier", "batch"),
    )
    print(json.dumps(metrics))
    return metrics


def main() -> None:
    """Read the command line and run one subcommand."""
    commands = {"train": Command(train, Train), "evaluate": Command(evaluate, Evaluate), "table": Command(table, Table)}
    run_subcommand(commands, __doc__)


if __name__ == "__main__":
    main()
