"""Generate faces: `python -m experiments.stylegan train | sample | interpolate | mix | project | evaluate`."""

from __future__ import annotations

from experiments.cli import Command, run_subcommand
from experiments.train_stylegan import PRESETS, Train, train
from kaokore.stylegan.evaluate import Evaluate, evaluate
from kaokore.stylegan.projection import Project, project
from kaokore.stylegan.sample import Interpolate, Mix, Sample, interpolate, mix, sample


def main() -> None:
    """Read the command line and run one subcommand."""
    commands = {
        "train": Command(train, Train, PRESETS),
        "sample": Command(sample, Sample),
        "interpolate": Command(interpolate, Interpolate),
        "mix": Command(mix, Mix),
        "project": Command(project, Project),
        "evaluate": Command(evaluate, Evaluate),
    }
    run_subcommand(commands, __doc__, renamed={"--film-size": "--video-size"})


if __name__ == "__main__":
    main()
