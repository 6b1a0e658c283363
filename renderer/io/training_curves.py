"""The curves of trainings, from the logs of TensorBoard in their run folders."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

from renderer.errors import InputError
from renderer.io.read import guarded, one_line, read_json
from renderer.io.rich_display import picture_and_facts

MOST_CURVES = 8  # in one figure
SPAN = 12  # of the points of a curve, one in so many is averaged over


@dataclass(frozen=True)
class TrainingRun:
    """A run folder, which a notebook shows as its curves: those on dev pictures first, each smoothed and as measured.

    Attributes:
        folder: of the run.

    Raises:
        InputError: for a folder without curves.
    """

    folder: str | Path

    def __post_init__(self) -> None:
        if not self.curves():
            raise InputError(f"{self.folder} has no curves.")

    def curves(self) -> dict[str, tuple[list[int], list[float]]]:
        """Steps and values by the name of each curve; those that begin with `dev` first."""
        found = _read_all(Path(self.folder))
        return {tag: found[tag] for tag in sorted(found, key=lambda tag: (not tag.startswith("dev"), tag))}

    def _repr_html_(self) -> str:
        facts: dict[str, object] = {}
        for tag, (steps, values) in self.curves().items():
            facts[tag] = f"{smoothed(values)[-1]:.5g} (smoothed, at {steps[-1]:,})"
        config = Path(self.folder) / "config.json"
        if config.is_file():
            with guarded(config, InputError, "cannot be read"):
                record = read_json(config)
            facts |= {name: one_line(record[name], 120) for name in ("script", "command", "commit") if name in record}
        return picture_and_facts(self.figure(), f"Curves of {Path(self.folder).name}", facts)

    def figure(self) -> bytes:
        """The curves as a PNG."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        curves = list(self.curves().items())[:MOST_CURVES]
        rows = -(-len(curves) // 2)
        figure = Figure((7, 2.2 * rows), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots(rows, 2 if len(curves) > 1 else 1, squeeze=False)
        for axis, (tag, (steps, values)) in zip(axes.flat, curves, strict=False):
            axis.plot(steps, values, color="#9db4c8", linewidth=0.8)
            axis.plot(steps, smoothed(values), color="#1f4e79", linewidth=1.8)
            axis.set_title(tag, fontsize=9)
            axis.grid(alpha=0.3)
        for axis in axes.flat[len(curves) :]:
            axis.axis("off")
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=100)
        return buffer.getvalue()


def smoothed(values: list[float]) -> list[float]:
    """An exponential average over about a twelfth of the points, without the bias of its beginning.

    >>> smoothed([1.0, 1.0, 1.0]), smoothed([2.0])
    ([1.0, 1.0, 1.0], [2.0])
    """
    keep = 1 - 1 / max(1.0, len(values) / SPAN)
    total = weight = 0.0
    result = []
    for value in values:
        total, weight = keep * total + value, keep * weight + 1
        result.append(total / weight)
    return result


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
    found = _read_all(folder, tag)
    if tag not in found:
        known = ", ".join(sorted(_read_all(folder))) or "none"
        raise InputError(f"{folder} has no curve {tag}; it has {one_line(known, 300)}.")
    return found[tag]


def _read_all(folder: Path, tag: str | None = None) -> dict[str, tuple[list[int], list[float]]]:
    """All curves, or one, by name."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    if not folder.is_dir():
        raise InputError(f"There is no run folder {folder}.")
    points: dict[str, dict[int, float]] = {}
    for file in sorted(folder.glob("events.out.tfevents.*")):
        with guarded(file, InputError, "is no log of TensorBoard that can be read"):
            if not file.is_file():
                raise ValueError("it is no regular file")
            events = EventAccumulator(str(file), {"scalars": 0})
            events.Reload()
            for name in events.Tags()["scalars"]:
                if tag in (None, name):
                    points.setdefault(name, {}).update({event.step: event.value for event in events.Scalars(name)})
    ordered = {name: sorted(values.items()) for name, values in points.items()}
    return {name: ([step for step, _ in pairs], [value for _, value in pairs]) for name, pairs in ordered.items()}
