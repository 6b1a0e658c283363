"""Classify gender and social status of KaoKore faces: `python -m experiments.classify train | evaluate | table`."""

from __future__ import annotations

from experiments.cli import Command, run_subcommand
from experiments.figures.classifier_table import Table, table
from experiments.train_classifier import Train, train
from kaokore.classify.evaluate import Evaluate, evaluate


def main() -> None:
    """Read the command line and run one subcommand."""
    commands = {"train": Command(train, Train), "evaluate": Command(evaluate, Evaluate), "table": Command(table, Table)}
    run_subcommand(commands, __doc__)


if __name__ == "__main__":
    main()
