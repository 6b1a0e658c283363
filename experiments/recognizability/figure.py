"""Figure of a run: accuracy against strokes and against error by painter, and recall by class."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from experiments.figures.elements import save_plot

# Okabe and Ito (2008), distinguishable with any colour vision; without yellow, which is too light for lines on white.
PAINTERS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#56B4E9", "#E69F00", "#8C6D46", "#7F7F7F")
MARKERS = "osD^vPX<>"
# Classes: Tol's "muted" (2021), different from the colours of painters.
CLASSES = (("#332288", "-"), ("#AA4499", "--"), ("#117733", "-."), ("#B8860B", (0, (1.2, 1.2))))
STYLE: Any = {
    "font.size": 10.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 11.5,
    "axes.titleweight": "bold",
    "axes.grid": True,
    "grid.color": "#E4E4E4",
    "grid.linewidth": 0.7,
    "axes.axisbelow": True,
    "lines.linewidth": 1.7,
    "lines.markersize": 5.5,
}


def draw(summary: dict[str, Any], path: str | Path) -> None:
    """Write the figure (PNG) of the summary that `summarise` returns. Raises `InputError` when it cannot be written."""
    import matplotlib  # imported here: it takes a second, and `paint` draws no plot
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(14, 7.6))
        axes = figure.subplots(2, 3, gridspec_kw={"width_ratios": (1.1, 1.1, 1)})
        for row, (task, found) in enumerate(summary["tasks"].items()):
            _accuracies(axes[row], task, found, row == 1)
            _recalls(axes[row][2], summary["reference"], task, found, row == 1)
        handles, labels = axes[0][0].get_legend_handles_labels()
        figure.tight_layout(rect=(0, 0.06, 1, 1), w_pad=2.5, h_pad=2)
        figure.legend(handles, labels, loc="lower center", ncols=min(9, len(labels)), frameon=False)
        save_plot(figure, path, dpi=110, colours=128)


def _accuracies(axes: Any, task: str, found: dict[str, Any], last: bool) -> None:
    """Plot accuracy against strokes and against error, with ceiling and floor."""
    from matplotlib.ticker import LogLocator

    for axis, measure in zip(axes[:2], ("strokes", "mse"), strict=True):
        lowest, highest, counts = 1.0, 0.0, set()
        for place, (name, painter) in enumerate(found["painters"].items()):
            cells = painter["cells"]
            x, y = [cell[measure] for cell in cells], [100 * cell["accuracy"]["share"] for cell in cells]
            colour = PAINTERS[place % len(PAINTERS)]
            axis.plot(x, y, MARKERS[place % len(MARKERS)] + "-", color=colour, label=name, mec="white", mew=0.5)
            if place == 0:
                low, high = zip(*([100 * end for end in cell["accuracy"]["interval"]] for cell in cells), strict=True)
                axis.fill_between(x, low, high, color=colour, alpha=0.13, lw=0)
            counts |= {cell["strokes"] for cell in cells}
            lowest, highest = min(lowest, min(y) / 100), max(highest, max(y) / 100)
        ceiling, floor = found["unpainted"]["accuracy"]["share"], found["floor"]["share"]
        # Labels where no curve is: of the ceiling on the left, of the floor on the right.
        for level, style, label, left, up, ha, va in (
            (ceiling, "--", "unpainted", 0.01, 3, "left", "bottom"),
            (floor, ":", f"always “{found['floor']['class']}”", 0.99, -3, "right", "top"),
        ):
            axis.axhline(100 * level, color="#444444", ls=style, lw=1.1, zorder=1)
            axis.annotate(
                label, (left, 100 * level), xycoords=axis.get_yaxis_transform(), xytext=(0, up), textcoords="offset points",
                ha=ha, va=va, color="#444444", fontsize=9,
            )  # fmt: skip
        axis.set_ylim(max(-2.0, 100 * min(lowest, floor, ceiling) - 9), 100 * max(highest, ceiling, floor) + 7)
        axis.set_xscale("log")
        if measure == "strokes":
            axis.set_xticks(sorted(counts), [f"{count:,}" for count in sorted(counts)])
            axis.set_xticks([], minor=True)
            axis.set_ylabel("accuracy (%)")
            axis.set_title(f"{task}, by strokes")
        else:
            axis.invert_xaxis()  # so that more strokes are further right, as beside it
            axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.xaxis.set_major_formatter(lambda x, _: f"{x:g}".lstrip("0"))
            axis.set_xticks([], minor=True)
            axis.set_title(f"{task}, by error")
        if last:
            axis.set_xlabel("strokes" if measure == "strokes" else "mean squared error (decreasing)")


def _recalls(axis: Any, name: str, task: str, found: dict[str, Any], last: bool) -> None:
    """Plot the recall of every class against strokes for one painter, and at the right edge for the unpainted faces."""
    cells = found["painters"][name]["cells"]
    counts = [cell["strokes"] for cell in cells]
    edge = counts[-1] * (counts[-1] / counts[0]) ** 0.2 if len(counts) > 1 else counts[0] * 2
    ends = []
    for (kind, unpainted), (colour, style) in zip(found["unpainted"]["recall"].items(), CLASSES, strict=False):
        drawn = [cell for cell in cells if cell["recall"][kind]["n"]]
        if not drawn:
            continue
        y = [100 * cell["recall"][kind]["share"] for cell in drawn]
        axis.plot([cell["strokes"] for cell in drawn], y, color=colour, ls=style, marker="o", ms=4)
        axis.plot(edge, 100 * unpainted["share"], "_", color=colour, ms=13, mew=2.4)
        ends.append([100 * unpainted["share"], f"{kind} ({unpainted['n']})", colour])
    place = 107.0
    for level, label, colour in sorted(ends, reverse=True):
        place = min(level, place - 7)  # labels are at least a line apart
        axis.annotate(
            label, (edge, place), xytext=(10, 0), textcoords="offset points", color=colour, va="center", fontsize=10
        )
    axis.set(xscale="log", ylim=(-3, 104))
    axis.set_xticks([*counts, edge], [*(f"{count:,}" for count in counts), "unpainted"])
    axis.set_xticks([], minor=True)
    axis.tick_params("x", labelsize=9)
    axis.get_xticklabels()[-1].set_ha("left")
    axis.set_ylabel("recall (%)")
    axis.set_title(f"{task}, by class: {name}")
    if last:
        axis.set_xlabel("strokes")
