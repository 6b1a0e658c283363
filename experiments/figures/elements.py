"""Elements of figures and pages: Markdown tables, contact sheets and plots."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from renderer.errors import InputError
from renderer.io.images import write_png

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table.

    >>> print(markdown_table(["brush", "mse"], [["ink", ".01"]]))
    | brush | mse |
    | --- | --- |
    | ink | .01 |
    """
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, ["---"] * len(head), *rows))


def contact_sheet(
    rows: Sequence[Sequence[Tensor]], *, gap: int = 4, margin: int | None = None, top: int | None = None
) -> Tensor:
    """Arrange images in rows of equal columns on white.

    Args:
        rows: images (3, h, w) in [0, 1] of any size, top left in their cells; a row is as high as its highest image.
        gap: pixels between images, and around them.
        margin: pixels left of the first column, such as for captions; else `gap`.
        top: pixels above the first row; else `gap`.

    Returns:
        The sheet, (3, H, W).
    """
    left, y = gap if margin is None else margin, gap if top is None else top
    step = max(image.shape[2] for row in rows for image in row) + gap
    heights = [max(image.shape[1] for image in row) + gap for row in rows]
    sheet = torch.ones(3, y + sum(heights), left + max(map(len, rows)) * step)
    for row, height in zip(rows, heights, strict=True):
        for i, image in enumerate(row):
            x = left + i * step
            sheet[:, y : y + image.shape[1], x : x + image.shape[2]] = image
        y += height
    return sheet


def plot_curves(
    curves: Iterable[tuple[str, Sequence[float], Sequence[float]]], path: str | Path, *, marker: str = "", **axes: Any
) -> None:
    """Plot curves over a logarithmic y axis and write the plot as a PNG.

    Args:
        curves: label, x and y values of each.
        path: the file.
        marker: Matplotlib's marker of single points; none by default.
        axes: what `Axes.set` takes: labels, scales, title.

    Raises:
        InputError: when the file cannot be written.
    """
    from matplotlib.figure import Figure  # imported here: it takes a second, and most commands draw no plot

    figure = Figure(figsize=(6, 4))
    axis = figure.subplots()
    for label, x, y in curves:
        axis.plot(x, y, marker=marker, label=label)
    axis.set(yscale="log", **axes)
    axis.grid(alpha=0.3, which="both")
    axis.legend()
    save_plot(figure, path, dpi=120)


def save_plot(figure: Figure, path: str | Path, *, dpi: int, colours: int | None = None) -> None:
    """Write a Matplotlib figure as a PNG, of at most `colours` colours. Raises `InputError` when it cannot be written."""
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=dpi, bbox_inches="tight", format="png")
    write_png(np.asarray(Image.open(buffer).convert("RGB")), path, colours=colours, optimize=True)


def png_path(out: str) -> Path:
    """The path of a PNG to write. Raises `InputError` for another suffix."""
    if Path(out).suffix.lower() != ".png":
        raise InputError(f"--out must end in .png, not {Path(out).name!r}.")
    return Path(out)
