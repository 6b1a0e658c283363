"""Draw the curves of trainings from their run folders.

Examples:

    python -m experiments.figures.curves runs/FOLDER runs/OTHER --tag dev/mse --out curves.png
    python -m experiments.figures.curves runs/A runs/B --names greedy rounds --out curves.png
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro

from experiments.cli import run
from experiments.figures.elements import plot_curves
from renderer.errors import InputError
from renderer.io.training_curves import average, read_curve


@dataclass(frozen=True)
class Config:
    """What is drawn."""

    runs: tyro.conf.Positional[tuple[str, ...]]
    """Run folders."""
    tag: str = "train/mse"
    """Which curve, by its name in TensorBoard."""
    names: tuple[str, ...] = ()
    """Names of the runs in the legend; by default those of the folders."""
    smooth: int = 1
    """Values averaged into each point."""
    xlabel: str = "episodes"
    out: str = "curves.png"


def curves(config: Config) -> Path:
    """Draw the curves of trainings from their run folders."""
    names = config.names or tuple(Path(folder).name for folder in config.runs)
    if not config.runs or len(names) != len(config.runs) or config.smooth < 1:
        raise InputError("Give run folders, as many --names as folders, and --smooth of at least 1.")
    found = [average(*read_curve(Path(folder), config.tag), config.smooth) for folder in config.runs]
    lines = [(name, *curve) for name, curve in zip(names, found, strict=True)]
    plot_curves(lines, config.out, xlabel=config.xlabel, ylabel=config.tag)
    print(f"{config.out}: {config.tag} of {len(names)} runs.")
    return Path(config.out)


if __name__ == "__main__":
    run(curves, Config, __doc__)
