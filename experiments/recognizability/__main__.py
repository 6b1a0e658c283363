"""`python -m experiments.recognizability paint | report`: the accuracy of classifiers on paintings, by number of strokes."""

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
    """The subcommand; each has its own --help."""

    command: Paint | Report


def main(options: Options) -> object:
    """Run the subcommand."""
    match options.command:
        case Paint():
            return paint(options.command)
        case Report():
            return report(options.command)


if __name__ == "__main__":
    sys.argv[0] = "recognizability"  # the name in --help and in the run's record, instead of __main__
    run(main, Options, __doc__)
