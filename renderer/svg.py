"""A painting as true vectors: every stroke one filled outline, at home in any drawing program.

A departure from the raster: where opacity changes along a stroke, the outline is filled with a linear gradient from
start to end, while the brush gives each place the opacity of the last disc over it. They differ in sharp bends only.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from renderer.bezier import BEZIER, curves
from renderer.files import atomic
from renderer.painting import Painting

SAME = 1 / 255  # opacities nearer than this are one flat opacity


def write_svg(painting: Painting, path: str | Path) -> None:
    """Writes `to_svg(painting)`, whole or not at all. Raises `InputError`."""
    with atomic(path) as temporary:
        temporary.write_text(to_svg(painting), encoding="utf-8")


def to_svg(painting: Painting) -> str:
    """An SVG 1.1 document of the painting's size in user units. Raises `SpaceError` for strokes that are no Beziers."""
    BEZIER.require(painting.space)
    strokes = painting.strokes.double()
    curve = [part.numpy() for part in curves(strokes, (painting.height, painting.width))]
    colours = (painting.space.get(strokes, "colour").numpy() * 255).round().astype(int)
    gradients, paths = [], []
    for i in range(len(strokes)):
        start, control, end, radius, opacity = (part[i] for part in curve)
        red, green, blue = colours[i]
        colour = f"#{red:02x}{green:02x}{blue:02x}"
        fill = f'fill="{colour}" fill-opacity="{_number(opacity[0], 3)}"'
        length = float(np.hypot(*(end - start)))
        if abs(opacity[0] - opacity[1]) > SAME and length > 1e-3:
            ends = f'x1="{_number(start[0])}" y1="{_number(start[1])}" x2="{_number(end[0])}" y2="{_number(end[1])}"'
            stops = "".join(
                f'<stop offset="{offset}" stop-color="{colour}" stop-opacity="{_number(value, 3)}"/>'
                for offset, value in zip((0, 1), opacity, strict=True)
            )
            gradients.append(
                f'<linearGradient id="g{i}" gradientUnits="userSpaceOnUse" {ends}>{stops}</linearGradient>'
            )
            fill = f'fill="url(#g{i})"'
        paths.append(f'<path {fill} d="{_outline(start, control, end, radius)}"/>')
    ground = "#" + "".join(f"{round(255 * value):02x}" for value in painting.background)
    width, height = painting.width, painting.height
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">',
            "<defs>",
            *gradients,
            "</defs>",
            f'<rect width="{width}" height="{height}" fill="{ground}"/>',
            *paths,
            "</svg>\n",
        ]
    )


def _outline(start: np.ndarray, control: np.ndarray, end: np.ndarray, radius: np.ndarray) -> str:
    """The outline of the discs of changing radius along a curve: both envelopes and round ends, as one closed path.

    The tangent points of discs whose radius changes by r' for each unit of length lie not at right angles to the path
    but turned forward, by the angle whose sine is -r'. Where r' is beyond 1, one disc holds the next: it alone is seen.
    """
    chord = np.abs(end - start).sum() + np.abs(control - start).sum()
    steps = int(np.clip(chord / 3, 4, 24))
    t = np.linspace(0, 1, steps + 1)[:, None]
    points = (1 - t) ** 2 * start + 2 * t * (1 - t) * control + t**2 * end
    radii = ((1 - t) * radius[0] + t * radius[1])[:, 0]
    velocity = 2 * (1 - t) * (control - start) + 2 * t * (end - control)
    speed = np.hypot(velocity[:, 0], velocity[:, 1])
    growth = (radius[1] - radius[0]) / np.maximum(speed, 1e-9)
    outside = np.abs(growth) < 1
    if not outside.any():
        return _disc(start if radius[0] >= radius[1] else end, max(radius))
    points, radii, velocity, growth = points[outside], radii[outside], velocity[outside], growth[outside]
    along = np.arctan2(velocity[:, 1], velocity[:, 0])
    turn = np.arccos(np.clip(-growth, -1, 1))
    left = points + radii[:, None] * np.stack((np.cos(along - turn), np.sin(along - turn)), 1)
    right = points + radii[:, None] * np.stack((np.cos(along + turn), np.sin(along + turn)), 1)
    # The caps run around the outside of the end discs; more than half a circle where the far disc is larger.
    far = f"A{_number(radii[-1])} {_number(radii[-1])} 0 {int(growth[-1] > 0)} 1 {_point(right[-1])}"
    near = f"A{_number(radii[0])} {_number(radii[0])} 0 {int(growth[0] < 0)} 1 {_point(left[0])}"
    line = "L".join(_point(point) for point in left)
    back = "L".join(_point(point) for point in right[::-1][1:])
    body = f"M{line}{far}" + (f"L{back}" if len(right) > 1 else "") + f"{near}Z"
    # A disc that swallows the stroke's end is an end of its own.
    ends = [
        _disc(p, r) for p, r, inside in ((start, radius[0], outside[0]), (end, radius[1], outside[-1])) if not inside
    ]
    return body + "".join(ends)


def _disc(centre: np.ndarray, radius: float) -> str:
    r = _number(radius)
    left, right = (_point(centre + np.array([side * radius, 0.0])) for side in (-1, 1))
    return f"M{left}A{r} {r} 0 1 1 {right}A{r} {r} 0 1 1 {left}Z"


def _point(point: np.ndarray) -> str:
    return f"{_number(point[0])} {_number(point[1])}"


def _number(value: float, digits: int = 2) -> str:
    return f"{value:.{digits}f}".rstrip("0").rstrip(".") or "0"
