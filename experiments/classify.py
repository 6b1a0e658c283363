"""`python -m experiments.classify train | evaluate | table`: tell gender and social status of KaoKore faces."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import tyro

from experiments.cli import run
from experiments.figures.classifier_table import Table, table
from experiments.train_classifier import Train, train
from kaokore.classify.evaluate import Evaluate, evaluate


@tyro.conf.configure(tyro.conf.OmitSubcommandPrefixes)
@dataclass(frozen=True)
class Options:
    """What to do; each explains itself with --help."""

    command: Train | Evaluate | Table


def main(options: Options) -> object:
    """Does what the subcommand says."""
    match options.command:
        case Train():
            return train(options.command)
        case Evaluate():
            return evaluate(options.command)
        case Table():
            return table(options.command)


if __name__ == "__main__":
    sys.argv[0] = "classify"  # what help and the runs' record call this, instead of __main__
    run(main, Options, __doc__)
