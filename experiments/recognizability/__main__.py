"""The accuracy of classifiers on paintings, by number of strokes: `python -m experiments.recognizability paint | report`."""

from __future__ import annotations

from experiments.cli import Command, run_subcommand
from experiments.recognizability.paint import Paint, paint
from experiments.recognizability.report import Report, report


def main() -> None:
    """Read the command line and run one subcommand."""
    run_subcommand({"paint": Command(paint, Paint), "report": Command(report, Report)}, __doc__)


if __name__ == "__main__":
    main()
