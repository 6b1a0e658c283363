"""Draw the curves of trainings from their run folders.

python -m experiments.figures.curves runs/FOLDER runs/OTHER --tag dev/mse --out curves.png
python -m experiments.figures.curves runs/A runs/B --names greedy rounds --out curves.png
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import matplotlib
import tyro

from experiments.cli import run
from renderer.errors import InputError
from renderer.io.files import atomic


@dataclass(frozen=True)
class Config:
    """What is drawn."""

    runs: tyro.conf.Positional[tuple[str, ...]]
    """Run folders."""
    tag: str = "train/mse"
    """Which curve, as TensorBoard names it."""
    names: tuple[str, ...] = ()
    """What to call the runs; else their folders' names."""
    smooth: int = 1
    """Values averaged into each point."""
    xlabel: str = "episodes"
    out: str = "curves.png"


def curves(config: Config) -> Path:
    """Draw the curves of trainings from their run folders."""
    names = config.names or tuple(Path(folder).name for folder in config.runs)
    if not config.runs or len(names) != len(config.runs) or config.smooth < 1:
        raise InputError("Give run folders, as many --names as folders, and --smooth of at least 1.")
    lines = [read_curve(Path(folder), config.tag) for folder in config.runs]
    matplotlib.use("Agg")  # a figure for a file needs no window
    from matplotlib import pyplot as plt

    figure, axis = plt.subplots(figsize=(6, 4))
    for name, (steps, values) in zip(names, lines, strict=True):
        groups = range(0, len(values) - config.smooth + 1, config.smooth)
        means = [sum(values[i : i + config.smooth]) / config.smooth for i in groups]
        axis.plot([steps[i + config.smooth - 1] for i in groups], means, label=name)
    axis.set(yscale="log", xlabel=config.xlabel, ylabel=config.tag)
    axis.grid(alpha=0.3, which="both")
    axis.legend()
    with atomic(config.out) as temporary:
        figure.savefig(temporary, dpi=120, bbox_inches="tight")
    plt.close(figure)
    print(f"{config.out}: {config.tag} of {len(lines)} runs.")
    return Path(config.out)


def read_curve(folder: Path, tag: str) -> tuple[list[int], list[float]]:
    """Steps and values of one curve. A resumed run took some steps twice, exactly alike: each is there once.

    Raises `InputError` when the folder has no such curve.
    """
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    if not folder.is_dir():
        raise InputError(f"There is no run folder {folder}.")
    points: dict[int, float] = {}
    tags: set[str] = set()
    for file in sorted(folder.glob("events.out.tfevents.*")):
        events = EventAccumulator(str(file), {"scalars": 0})
        events.Reload()
        tags |= set(events.Tags()["scalars"])
        if tag in events.Tags()["scalars"]:
            points |= {event.step: event.value for event in events.Scalars(tag)}
    if not points:
        raise InputError(f"{folder} has no curve {tag}; it has {', '.join(sorted(tags)) or 'none'}.")
    steps = sorted(points)
    return steps, [points[step] for step in steps]


if __name__ == "__main__":
    run(curves, Config, __doc__)
