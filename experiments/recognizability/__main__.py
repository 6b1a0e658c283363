"""`python -m experiments.recognizability paint | report`: after how many strokes can a classifier tell who was painted?"""

from __future__ import annotations

import sys
from dataclasses import dataclass

import tyro

from experiments.cli import run
from experiments.recognizability.paint import Paint, paint
from experiments.recognizability.report import Report, report


@tyro.conf.configure(tyro.conf.OmitSubcommandPrefixes)
@dataclass(frozen=True)
class Options:
    """What to do; each explains itself with --help."""

    command: Paint | Report


def main(options: Options) -> object:
    """Does what the subcommand says."""
    match options.command:
        case Paint():
            return paint(options.command)
        case Report():
            return report(options.command)


if __name__ == "__main__":
    sys.argv[0] = "legibility"  # what help and the run's record call this, instead of __main__
    run(main, Options, __doc__)
