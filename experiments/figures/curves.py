"""Draw the curves of trainings from their run folders.

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
from renderer.io.read import guarded, one_line


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


def average(steps: list[int], values: list[float], count: int) -> tuple[list[int], list[float]]:
    """The means of each `count` values, at the last of their steps.

    >>> average([1, 2, 3, 4, 5], [1.0, 3.0, 5.0, 7.0, 9.0], 2)
    ([2, 4], [2.0, 6.0])
    """
    starts = range(0, len(values) - count + 1, count)
    return [steps[i + count - 1] for i in starts], [sum(values[i : i + count]) / count for i in starts]


def read_curve(folder: Path, tag: str) -> tuple[list[int], list[float]]:
    """Steps and values of one curve. A step that a resumed run took twice counts once.

    Raises `InputError` when the folder has no such curve.
    """
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    if not folder.is_dir():
        raise InputError(f"There is no run folder {folder}.")
    points: dict[int, float] = {}
    tags: set[str] = set()
    for file in sorted(folder.glob("events.out.tfevents.*")):
        with guarded(file, InputError, "is no log of TensorBoard that can be read"):
            if not file.is_file():
                raise ValueError("it is no regular file")
            events = EventAccumulator(str(file), {"scalars": 0})
            events.Reload()
            tags |= set(events.Tags()["scalars"])
            if tag in events.Tags()["scalars"]:
                points |= {event.step: event.value for event in events.Scalars(tag)}
    if not points:
        raise InputError(f"{folder} has no curve {tag}; it has {one_line(', '.join(sorted(tags)) or 'none', 300)}.")
    steps = sorted(points)
    return steps, [points[step] for step in steps]


if __name__ == "__main__":
    run(curves, Config, __doc__)
