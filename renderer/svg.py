"""A painting as true vectors: every stroke one filled outline, at home in any drawing program.

A departure from the raster: where opacity changes along a stroke, the brush gives each place the opacity of the last
disc that touches it, and the outline is filled with a gradient that SVG knows: around a point where the stroke closes
in on itself, else along a straight line. The two differ in bends.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from renderer.bezier import curves
from renderer.files import atomic
from renderer.painting import Painting
from renderer.space import BEZIER

SAME = 1 / 255  # opacities nearer than this are one
UNSEEN = 0.005  # pixels: what the two decimals of the file cannot tell from nothing
NEAR = 0.05  # pixels: how far an outline may be from its stroke
DISCS, CAP = 64, 47  # points of an outline along each side and around each end, before most are left out
BERNSTEIN = np.array([[27, 27, 9, 1], [8, 24, 24, 8], [1, 9, 27, 27]]) / 64  # a cubic at 1/4, 1/2, 3/4
# The last disc to touch a place lies ahead of it, by a radius in the middle of the stroke and by nothing at its sides;
# this is the mean, of sqrt(1 - x^2).
AHEAD = np.pi / 4


def write_svg(painting: Painting, path: str | Path, longest: int | None = None) -> None:
    """Writes `to_svg(painting)`, whole or not at all. Raises `InputError`."""
    text = to_svg(painting, longest)
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def to_svg(painting: Painting, longest: int | None = None) -> str:
    """An SVG 1.1 document; `longest`: pixels at which it is first shown. Raises `SpaceError` unless strokes are Beziers.

    Strokes that cannot be seen, for want of width or opacity, are left out.
    """
    BEZIER.require(painting.space)
    height, width = painting.size(longest)
    view = f'width="{width}" height="{height}" viewBox="0 0 {painting.width} {painting.height}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {view}>',
        f'<rect width="100%" height="100%" fill="{_hex(painting.background)}"/>',
    ]
    strokes = painting.strokes.detach().cpu().double()
    colours = map(_hex, BEZIER.get(strokes, "colour").tolist())
    parts = (part.numpy() for part in curves(strokes, (painting.height, painting.width)))
    for i, (colour, start, control, end, radius, opacity) in enumerate(zip(colours, *parts, strict=True)):
        if radius.max() < UNSEEN or opacity.max() < SAME / 2:
            continue
        # From here on in the stroke's own frame: x along the chord, in which the curve never turns back.
        chord = end - start if np.hypot(*(end - start)) > UNSEEN else np.array([1.0, 0.0])
        x, y = chord / np.hypot(*chord)
        frame = np.array([[x, y], [-y, x]])  # local points @ frame + start are points of the picture
        curve = (np.stack((start, control, end)) - start) @ frame.T
        flat = abs(opacity[0] - opacity[1]) <= SAME or radius[1] - radius[0] >= curve[2, 0]  # the last disc covers all
        if flat:
            fill = f'"{colour}" fill-opacity="{_number(opacity[1], 3)}"'
        else:
            fill = f'"url(#g{i})"'
            name = f'id="g{i}" gradientUnits="userSpaceOnUse"'
            lines.append(_gradient(name, colour, curve, radius, opacity, frame, start))
        lines.append(f'<path fill={fill} d="{_path(_outline(curve, radius) @ frame + start)}"/>')
    return "\n".join([*lines, "</svg>", ""])


def _outline(curve: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """The outline of a stroke, curve (3, 2) in its own frame and radii (2,), as closed cubic pieces `(n, 4, 2)`.

    On the disc at t, the point in direction n is on the envelope where n . c' = -r': there, discs before and after do
    not cover it. On the first disc it need only be <= (nothing comes before), on the last >=. Points of the envelope
    may still be covered from afar, where a fat stroke bends or its width changes fast; they are dropped. Since the
    curve never turns back along x, what is left is a top and a bottom, each in the order of x.
    """
    centres, velocity, radii = _discs(curve, radius, DISCS)
    speed = np.hypot(*velocity.T)
    along = np.where(speed > 1e-9, np.arctan2(velocity[:, 1], velocity[:, 0]), 0.0)
    lean = np.arccos(np.clip((radius[0] - radius[1]) / np.maximum(speed, 1e-9), -1, 1))  # between n and c'
    around = np.linspace(-1, 1, CAP + 2)[1:-1]
    first, last = along[0] + np.pi + around * (np.pi - lean[0]), along[-1] + around * lean[-1]
    angle = np.concatenate((along + lean, along - lean, first, last))
    disc = np.concatenate((np.arange(DISCS), np.arange(DISCS), np.zeros(CAP, int), np.full(CAP, DISCS - 1)))
    normals = np.stack((np.cos(angle), np.sin(angle)), 1)
    points = centres[disc] + radii[disc, None] * normals
    depth = radii - np.hypot(*(points[:, None] - centres).transpose(2, 0, 1))
    seen = depth.max(1) < 1e-3 * radii.max() + 1e-9
    top, bottom = (np.flatnonzero(seen & half) for half in (normals[:, 1] >= 0, normals[:, 1] < 0))
    order = np.concatenate((top[points[top, 0].argsort()], bottom[points[bottom, 0].argsort()[::-1]]))
    return _pieces(points[order], normals[order])


def _discs(curve: np.ndarray, radius: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Centres and velocities (count, 2), radii (count,) of discs along a curve."""
    t = (1 - np.cos(np.linspace(0, np.pi, count)))[:, None] / 2  # closer at the ends, where most can happen
    centres = (1 - t) ** 2 * curve[0] + 2 * t * (1 - t) * curve[1] + t**2 * curve[2]
    inner = t.clip(1e-3, 1 - 1e-3)  # a control point on an end leaves no direction there
    velocity = 2 * (1 - inner) * (curve[1] - curve[0]) + 2 * inner * (curve[2] - curve[1])
    return centres, velocity, ((1 - t) * radius[0] + t * radius[1])[:, 0]


def _pieces(points: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """A closed row of points with normals, (n, 2) each, as few cubics `(m, 4, 2)` that stay within `NEAR` of it."""
    nodes = np.arange(0, len(points), max(1, len(points) // 4))
    while True:
        _, error = _between(points, normals, nodes)
        following = np.append(nodes[1:], len(points))
        split = (error > NEAR) & (following - nodes > 1)
        if not split.any():
            break
        nodes = np.sort(np.concatenate((nodes, (nodes + following)[split] // 2)))
    for first in (1, 2, 1, 2):  # every other node is left out where one piece is as good as two
        without, left_out = np.delete(nodes, np.s_[first::2]), nodes[first::2]
        _, error = _between(points, normals, without)
        needed = left_out[error[np.searchsorted(without, left_out) - 1] > NEAR]
        nodes = np.sort(np.concatenate((without, needed)))
    return _between(points, normals, nodes)[0]


def _between(points: np.ndarray, normals: np.ndarray, nodes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cubics `(m, 4, 2)` between some of the points, and how far they are from all, `(m,)`: infinite in a sharp turn."""
    tangents = normals[nodes, ::-1] * [1, -1]
    pieces = _smooth(points[nodes], tangents)
    middle = np.einsum("sk,nkd->nsd", BERNSTEIN, pieces)
    nearest = np.hypot(*(middle[:, :, None] - points).transpose(3, 0, 1, 2)).argmin(2)
    error = np.abs(((middle - points[nearest]) * normals[nearest]).sum(2)).max(1)
    return pieces, np.where((tangents * np.roll(tangents, -1, 0)).sum(1) < -0.1, np.inf, error)


def _smooth(points: np.ndarray, tangents: np.ndarray) -> np.ndarray:
    """A closed curve through points with unit tangents, (n, 2) each, as cubics `(n, 4, 2)`; circles come out as circles."""
    following, ahead = np.roll(points, -1, 0), np.roll(tangents, -1, 0)
    bend = np.clip((tangents * ahead).sum(1), 0, 1)  # cosine of the angle a between the tangents
    # An arc of angle a has handles of 4/3 tan(a/4) radii, which are 2/3 / (1 + cos(a/2)) chords.
    handle = (np.hypot(*(following - points).T) * 2 / 3 / (1 + np.sqrt((1 + bend) / 2)))[:, None]
    return np.stack((points, points + handle * tangents, following - handle * ahead, following), 1)


def _gradient(
    name: str,
    colour: str,
    curve: np.ndarray,
    radius: np.ndarray,
    opacity: np.ndarray,
    frame: np.ndarray,
    start: np.ndarray,
) -> str:
    """How opacity changes over a stroke, given in its own frame."""
    first, last = opacity
    if radius[0] - radius[1] > 1.02 * curve[2, 0]:
        # The last disc lies inside the first: circles around a point, which is the tip of the cone that they lie on.
        inner = radius[1] / radius[0]
        focus = curve[2] / (1 - inner) @ frame + start
        circle = f'cx="{_number(start[0])}" cy="{_number(start[1])}" r="{_number(radius[0])}"'
        circle += f' fx="{_number(focus[0])}" fy="{_number(focus[1])}"'
        return f"<radialGradient {name} {circle}>{_stops(colour, ((inner, last), (1, first)))}</radialGradient>"
    centres, _, radii = _discs(curve, radius, 3)
    reach = np.maximum.accumulate(centres[:, 0] - AHEAD * radii)  # where each disc begins to be the last
    length = max(reach[2] - reach[0], UNSEEN)
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
    """Cubics (n, 4, 2) as path data. Steps are between rounded points, so that roundings do not add up."""
    pieces = pieces.round(2)
    moving = (pieces != pieces[:, :1]).any((1, 2))
    pieces = pieces[moving] if moving.any() else pieces
    text = " ".join(map(_number, (pieces[:, 1:] - pieces[:, :1]).ravel())).replace(" -", "-")
    text = re.sub(r"(\.\d+) (?=\.)", r"\1", text)  # after one point the next begins a number
    return f"M{_number(pieces[0, 0, 0])} {_number(pieces[0, 0, 1])}c{text}z"


def _hex(colour: Iterable[float]) -> str:
    return "#" + "".join(f"{round(255 * value):02x}" for value in colour)


def _number(value: float, digits: int = 2) -> str:
    """As few characters as say the number.

    >>> _number(-0.5), _number(30.0), _number(-0.001)
    ('-.5', '30', '0')
    """
    text = f"{abs(value):.{digits}f}".rstrip("0").rstrip(".").removeprefix("0") or "0"
    return f"-{text}" if value < 0 and text != "0" else text
