"""SVG export: every stroke one shape, in painting order, editable in any drawing program.

A Bezier stroke is one filled outline. A difference from the raster image: where opacity changes along a stroke, the brush
gives each point the opacity of the last disc that touches it, and the outline is filled with a gradient of SVG: around a
point where the last disc lies inside the first, else along a straight line. The two differ where a stroke bends.

Marks of other brushes are traced (`renderer.io.svg_marks`): one group each, of nested paths.

The background and the layers of the painting (`renderer.io.layered`) are layers of Inkscape, which are groups elsewhere.
Every stroke has an id, stroke-0001 for the first.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from xml.sax.saxutils import quoteattr

import numpy as np

from renderer.brush import Brush
from renderer.brushes.bezier import curves
from renderer.io.files import atomic
from renderer.io.layered import layers_of
from renderer.io.svg_marks import Trace, trace
from renderer.io.svg_outlines import discs, outline
from renderer.strokes import BEZIER

if TYPE_CHECKING:
    from renderer.io.painting import Painting

SAME = 1 / 255  # opacities closer than this count as equal
INVISIBLE = 0.005  # pixels: less than the two decimals of the file can show
INKSCAPE = 'xmlns:inkscape="http://www.inkscape.org/namespaces/inkscape"'
# The last disc that touches a point lies ahead of it, by a radius in the middle of the stroke and by 0 at its sides; this is
# the mean, of sqrt(1 - x^2).
AHEAD = np.pi / 4


def write_svg(
    painting: Painting,
    path: str | Path,
    longest: int | None = None,
    brush: Brush | None = None,
    every: int | None = None,
) -> None:
    """Write `to_svg` of the other arguments, whole or not at all. Raises `InputError`."""
    text = to_svg(painting, longest, brush, every)
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def to_svg(painting: Painting, longest: int | None = None, brush: Brush | None = None, every: int | None = None) -> str:
    """Convert a painting to an SVG 1.1 document. Invisible strokes, without width or opacity, are left out.

    Args:
        painting: the painting.
        longest: pixels on the long side at which the document is first shown; as it was painted for None.
        brush: marks are traced as this brush draws them. By default, Bezier strokes are outlines, and other strokes are
            traced as `Painting.default_brush` draws them.
        every: strokes in each layer, see `renderer.io.layered.layers_of`.

    Raises:
        InputError: for layers that cannot be.
        SpaceError: for a brush of another space.
        PaintingError: when the reference brush is missing.
    """
    height, width = painting.size(longest)
    view = f'width="{width}" height="{height}" viewBox="0 0 {painting.width} {painting.height}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {INKSCAPE} {view}>',
        open_layer("background", "background"),
        f'<rect width="100%" height="100%" fill="{hex_of(painting.background)}"/>',
        "</g>",
    ]
    layers = layers_of(painting, every)
    shapes = _outlines(painting) if brush is None and painting.space == BEZIER else _traces(painting, longest, brush)
    for number, layer in enumerate(layers, 1):
        lines.append(open_layer(f"layer-{number:02}", layer.name))
        lines.extend(shape for shape in itertools.islice(shapes, layer.end - layer.first) if shape)
        lines.append("</g>")
    return "\n".join([*lines, "</svg>", ""])


def open_layer(name: str, label: str) -> str:
    """The opening tag of a layer with the id `name`."""
    return f'<g id="{name}" inkscape:groupmode="layer" inkscape:label={quoteattr(label)}>'


def stroke_id(index: int) -> str:
    """The id of a stroke, which people count from 1.

    >>> stroke_id(0)
    'stroke-0001'
    """
    return f"stroke-{index + 1:04}"


def _traces(painting: Painting, longest: int | None, brush: Brush | None) -> Iterator[str]:
    """An element for each stroke as `brush` draws it; empty where nothing is visible."""
    size = painting.height, painting.width
    brush = painting.default_brush(longest) if brush is None else brush
    brush.space.require(painting.space)
    for i, stroke in enumerate(painting.strokes.detach().cpu().float()):
        mark = trace(brush, stroke, size)
        yield "" if mark is None else _group(stroke_id(i), mark)


def _outlines(painting: Painting) -> Iterator[str]:
    """An element for each Bezier stroke, with its gradient before it; empty where nothing is visible."""
    strokes = painting.strokes.detach().cpu().double()
    colours = map(hex_of, BEZIER.get(strokes, "colour").tolist())
    parts = (part.numpy() for part in curves(strokes, (painting.height, painting.width)))
    for i, (colour, start, control, end, radius, opacity) in enumerate(zip(colours, *parts, strict=True)):
        if radius.max() < INVISIBLE or opacity.max() < SAME / 2:
            yield ""
            continue
        # From here on in the stroke's own frame: x along the chord, in which the curve is monotone.
        chord = end - start if np.hypot(*(end - start)) > INVISIBLE else np.array([1.0, 0.0])
        x, y = chord / np.hypot(*chord)
        frame = np.array([[x, y], [-y, x]])  # local points @ frame + start are points of the picture
        curve = (np.stack((start, control, end)) - start) @ frame.T
        flat = abs(opacity[0] - opacity[1]) <= SAME or radius[1] - radius[0] >= curve[2, 0]  # the last disc covers all
        gradient = ""
        if flat:
            fill = f'"{colour}" fill-opacity="{_number(opacity[1], 3)}"'
        else:
            fill = f'"url(#g{i})"'
            name = f'id="g{i}" gradientUnits="userSpaceOnUse"'
            gradient = _gradient(name, colour, curve, radius, opacity, frame, start) + "\n"
        yield f'{gradient}<path id="{stroke_id(i)}" fill={fill} d="{_path(outline(curve, radius) @ frame + start)}"/>'


def _group(name: str, mark: Trace) -> str:
    """A traced mark: its levels, the lowest first."""
    paths = (
        f'<path fill-opacity="{_number(opacity, 3)}" d="{"".join(map(_polygon, contours))}"/>'
        for opacity, contours in mark.levels
    )
    return f'<g id="{name}" fill="{hex_of(mark.colour)}" fill-rule="evenodd">{"".join(paths)}</g>'


def _gradient(
    name: str,
    colour: str,
    curve: np.ndarray,
    radius: np.ndarray,
    opacity: np.ndarray,
    frame: np.ndarray,
    start: np.ndarray,
) -> str:
    """The gradient element of a stroke, given in its own frame."""
    first, last = opacity
    if radius[0] - radius[1] > 1.02 * curve[2, 0]:
        # The last disc lies inside the first: circles around a focus, which is the tip of the cone that they lie on.
        inner = radius[1] / radius[0]
        focus = curve[2] / (1 - inner) @ frame + start
        circle = f'cx="{_number(start[0])}" cy="{_number(start[1])}" r="{_number(radius[0])}"'
        circle += f' fx="{_number(focus[0])}" fy="{_number(focus[1])}"'
        return f"<radialGradient {name} {circle}>{_stops(colour, ((inner, last), (1, first)))}</radialGradient>"
    centres, _, radii = discs(curve, radius, 3)
    reach = np.maximum.accumulate(centres[:, 0] - AHEAD * radii)  # where each disc begins to be the last one
    length = max(reach[2] - reach[0], INVISIBLE)
    (x1, y1), (x2, y2) = np.array([[reach[0], 0], [reach[0] + length, 0]]) @ frame + start
    halfway = (reach[1] - reach[0]) / length
    bent = abs((halfway - 0.5) * (last - first)) > SAME
    stops = _stops(colour, ((0, first), *([(halfway, (first + last) / 2)] if bent else []), (1, last)))
    line = f'x1="{_number(x1)}" y1="{_number(y1)}" x2="{_number(x2)}" y2="{_number(y2)}"'
    return f"<linearGradient {name} {line}>{stops}</linearGradient>"


def _stops(colour: str, stops: Iterable[tuple[float, float]]) -> str:
    return "".join(
        f'<stop offset="{_number(offset, 3)}" stop-color="{colour}" stop-opacity="{_number(opacity, 3)}"/>'
        for offset, opacity in stops
    )


def _path(pieces: np.ndarray) -> str:
    """Cubics (n, 4, 2) as path data. Steps are between rounded points, so that rounding errors do not add up."""
    pieces = pieces.round(2)
    moving = (pieces != pieces[:, :1]).any((1, 2))
    pieces = pieces[moving] if moving.any() else pieces
    return f"M{_numbers(pieces[0, 0])}c{_numbers(pieces[:, 1:] - pieces[:, :1])}z"


def _polygon(points: np.ndarray) -> str:
    """A closed contour (n, 2) as path data."""
    points = points.astype(float).round(2)
    return f"M{_numbers(points[0])}l{_numbers(np.diff(points, axis=0))}z"


def hex_of(colour: Iterable[float]) -> str:
    """`#rrggbb` of sRGB in [0, 1]."""
    return "#" + "".join(f"{round(255 * value):02x}" for value in colour)


def _numbers(values: np.ndarray) -> str:
    text = " ".join(map(_number, values.ravel())).replace(" -", "-")
    return re.sub(r"(\.\d+) (?=\.)", r"\1", text)  # after a decimal point, the next point begins a number


def _number(value: float, digits: int = 2) -> str:
    """The shortest text of a number.

    >>> _number(-0.5), _number(30.0), _number(-0.001)
    ('-.5', '30', '0')
    """
    text = f"{abs(value):.{digits}f}".rstrip("0").rstrip(".").removeprefix("0") or "0"
    return f"-{text}" if value < 0 and text != "0" else text
