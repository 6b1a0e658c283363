"""SVG for plotters: the path of each stroke as one open line, grouped by colour and pen as layers, in mm."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from renderer.errors import InputError
from renderer.io.files import atomic
from renderer.io.svg import INKSCAPE, hex_of, open_layer, stroke_id

if TYPE_CHECKING:
    from renderer.io.painting import Painting

LONGEST = 300.0  # mm of the long side by default
PENS = (0.3, 0.8, 2.0)  # mm
FAINT = 0.25  # opacity below which a stroke is no line, as of solid marks
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


class Placement(NamedTuple):
    """A painting in the middle of a canvas: its width and height in mm, mm for a pixel of the painting, and the margins."""

    canvas: tuple[float, float]
    scale: float
    offset: tuple[float, float]


def place_on(painting: Painting, canvas: tuple[float, float] | None = None) -> Placement:
    """As large as it fits in the middle of a canvas of (width, height) mm; by default 300 mm on the long side, filled.

    Raises `InputError` for a canvas of less than 10 or more than 20,000 mm.
    """
    longest = max(painting.size())
    width, height = canvas or (painting.width * LONGEST / longest, painting.height * LONGEST / longest)
    if canvas is not None and (min(canvas) < 10 or max(canvas) > 20_000):
        raise InputError(f"A canvas is 10 to 20,000 mm wide and high, not {width:g}x{height:g}.")
    scale = min(width / painting.width, height / painting.height)
    offset = (width - scale * painting.width) / 2, (height - scale * painting.height) / 2
    return Placement((width, height), scale, offset)


def write_centre_lines(
    painting: Painting,
    path: str | Path,
    canvas: tuple[float, float] | None = None,
    pens: Sequence[float] = PENS,
) -> None:
    """Write `centre_lines` of the other arguments, whole or not at all. Raises `InputError`."""
    text = centre_lines(painting, canvas, pens)
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def centre_lines(painting: Painting, canvas: tuple[float, float] | None = None, pens: Sequence[float] = PENS) -> str:
    """Convert a painting to an SVG document of open lines, a layer for each colour and pen, light colours first.

    Args:
        painting: of a space with quadratic paths (start, bend, end), as all brushes here; strokes of less opacity than 0.25
            are left out.
        canvas: see `place_on`.
        pens: widths in mm; each stroke is drawn with the one nearest to its mean diameter.

    Raises:
        InputError: for another space, for pens that cannot be and for a canvas that cannot be.
    """
    if not pens or not all(0 < pen <= 100 for pen in pens):
        raise InputError(f"Pens are 0 to 100 mm wide, not {', '.join(f'{pen:g}' for pen in pens) or 'none'}.")
    space = painting.space
    for name in ("start", "bend", "end", "radius", "opacity", "colour"):
        if name not in space:
            raise InputError(f"Strokes of the space {space.name!r} have no centre lines: they have no {name}.")
    placement = place_on(painting, canvas)
    strokes = painting.strokes.detach().cpu().double()
    start, bend, end, colours = (space.get(strokes, name).numpy() for name in ("start", "bend", "end", "colour"))
    control = start + (end - start) * bend
    diameter = 2 * space.get(strokes, "radius").mean(1).numpy() * min(painting.size()) * placement.scale
    pen = np.abs(np.log(diameter.clip(min=1e-3))[:, None] - np.log(pens)).argmin(1)
    visible = (space.get(strokes, "opacity").amax(1).numpy() >= FAINT) & (diameter > 0)
    size = np.array([painting.width, painting.height]) * placement.scale
    points = np.stack((start, control, end), 1) * size + placement.offset
    groups: dict[tuple[str, int], list[str]] = {}
    luma: dict[str, float] = {}
    for i in np.flatnonzero(visible):
        code = hex_of(colours[i])
        luma[code] = float(colours[i] @ LUMA)
        (x, y), (cx, cy), (ex, ey) = points[i]
        line = f'<path id="{stroke_id(int(i))}" d="M{x:.2f} {y:.2f}Q{cx:.2f} {cy:.2f} {ex:.2f} {ey:.2f}"/>'
        groups.setdefault((code, int(pen[i])), []).append(line)
    width, height = placement.canvas
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {INKSCAPE} width="{width:g}mm" height="{height:g}mm" '
        f'viewBox="0 0 {width:g} {height:g}">'
    ]
    order = sorted(groups, key=lambda group: (-luma[group[0]], group[0], -group[1]))
    for number, (code, which) in enumerate(order, 1):
        # Programs for plotters take the number of a layer from its label.
        layer = open_layer(f"layer-{number:02}", f"{number} {code} {pens[which]:g} mm")
        style = f'fill="none" stroke="{code}" stroke-width="{pens[which]:g}" stroke-linecap="round"'
        lines += [layer.replace(">", f" {style}>"), *groups[code, which], "</g>"]
    return "\n".join([*lines, "</svg>", ""])
