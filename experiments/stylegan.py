"""`python -m experiments.stylegan train | sample | interpolate | mix | project | evaluate`: dream faces."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import tyro

from experiments.cli import run
from experiments.train_stylegan import CPU, GPU, PAPER, Train, train
from kaokore.stylegan.evaluate import Evaluate, evaluate
from kaokore.stylegan.projection import Project, project
from kaokore.stylegan.sample import Interpolate, Mix, Sample, interpolate, mix, sample


@tyro.conf.configure(tyro.conf.OmitSubcommandPrefixes)
@dataclass(frozen=True)
class Options:
    """What to do; each explains itself with --help."""

    command: Train | Sample | Interpolate | Mix | Project | Evaluate


PRESETS = {"cpu": Options(CPU), "gpu": Options(GPU), "paper": Options(PAPER)}


def main(options: Options) -> object:
    """Does what the subcommand says."""
    match options.command:
        case Train():
            return train(options.command)
        case Sample():
            return sample(options.command)
        case Interpolate():
            return interpolate(options.command)
        case Mix():
            return mix(options.command)
        case Project():
            return project(options.command)
        case Evaluate():
            return evaluate(options.command)


def start() -> None:
    """Reads the command line. Only training has presets."""
    run(main, Options, __doc__, PRESETS if "train" in sys.argv[1:] else None)


if __name__ == "__main__":
    sys.argv[0] = "stylegan"  # what help and the runs' record call this, instead of __main__
    start()
