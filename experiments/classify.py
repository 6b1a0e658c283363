"""`python -m experiments.classify train | evaluate | table`: predict gender and social status of KaoKore faces."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import Any, Literal

import tyro

from experiments.cli import choose_device, progress, require, run
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


@tyro.conf.configure(tyro.conf.OmitSubcommandPrefixes)
@dataclass(frozen=True)
class Options:
    """The command; each has its own --help."""

    command: Train | Evaluate | Table


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


def main(options: Options) -> object:
    """Run the subcommand."""
    match options.command:
        case Train():
            return train(options.command)
        case Evaluate():
            return evaluate(options.command)
        case Table():
            return table(options.command)


if __name__ == "__main__":
    sys.argv[0] = "classify"  # the name in the help and in the record of a run, instead of __main__
    run(main, Options, __doc__)
