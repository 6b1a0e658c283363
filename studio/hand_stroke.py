"""A line that a person draws as strokes of a brush: curves within a tolerance of the line, with radii from the pressure."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from renderer.constraints import parse_colour
from renderer.errors import InputError
from renderer.strokes import StrokeSpace

MAX_POINTS = 20_000  # of a line; a pen sends some hundred a second
MAX_PIECES = 200  # strokes of one line
LIGHTEST = 0.15  # of the radius, at no pressure
TOLERANCE = 0.25  # of the radius between the line and its curves, and at least ...
LEAST_TOLERANCE = 0.002  # ... of the short side
STEPS = 16  # points along a curve at which its distance from the line is measured


def strokes_of_line(
    points: Sequence[Sequence[float]],
    space: StrokeSpace,
    size: tuple[int, int],
    *,
    radius: float,
    colour: str,
    opacity: float = 1.0,
) -> Tensor:
    """Strokes that follow a line.

    A stroke is a quadratic curve that runs in one direction along both axes (`renderer.strokes`), so that a line is cut at
    its turns, and further where one curve does not follow it closely.

    Args:
        points: of the line, in the order drawn, each x, y as fractions of width and height, and pressure in [0, 1].
        space: of the brush.
        size: (height, width) of the canvas in pixels, for the ratio of its sides.
        radius: at full pressure, as a fraction of the short side.
        colour: `#rrggbb`.
        opacity: in [0, 1].

    Returns:
        (n, P) in [0, 1], n of at least 1; neighbours share their ends.

    Raises:
        InputError: for no points or too many, values out of range, and what is no colour.
    """
    if not 1 <= len(points) <= MAX_POINTS or any(len(point) != 3 for point in points):
        raise InputError(f"A line has 1 to {MAX_POINTS:,} points of x, y and pressure.")
    line = np.asarray(points, dtype=np.float64)
    largest = space.field("radius").high
    if not np.isfinite(line).all() or np.abs(line).max() > 10:
        raise InputError("The points of a line are finite numbers, as fractions of the canvas.")
    if not 0 < radius <= largest:
        raise InputError(f"The radius of a stroke is above 0 and at most {largest}, not {radius}.")
    if not 0 <= opacity <= 1:
        raise InputError(f"An opacity is from 0 to 1, not {opacity}.")
    red, green, blue = parse_colour(colour)
    height, width = size
    short = min(size)
    line = _distinct(line.clip(0, 1))
    scaled = line * [width / short, height / short, 1]
    pieces = _pieces(scaled, max(LEAST_TOLERANCE, TOLERANCE * radius))
    rows = [_stroke(line[first : last + 1], scaled[first : last + 1], space, radius) for first, last in pieces]
    strokes = torch.cat(rows)
    for name, value in (("colour", [red, green, blue]), ("opacity", [opacity] * space.field("opacity").size)):
        strokes = space.put(strokes, name, torch.tensor(value).expand(len(strokes), -1))
    return strokes


def _distinct(line: np.ndarray) -> np.ndarray:
    """The line without points that repeat the one before; a dot has one point."""
    moved = np.ones(len(line), dtype=bool)
    moved[1:] = np.abs(np.diff(line[:, :2], axis=0)).max(1) > 1e-5
    return line[moved]


def _pieces(line: np.ndarray, tolerance: float) -> list[tuple[int, int]]:
    """First and last points of pieces that one curve follows."""
    last = len(line) - 1
    if last == 0:
        return [(0, 0)]
    pieces: list[tuple[int, int]] = []
    waiting = [piece for piece in reversed(_monotone(line, tolerance))]
    while waiting:
        first, end = waiting.pop()
        error, worst = _error(line[first : end + 1])
        if error <= tolerance or end - first < 2 or len(pieces) + len(waiting) + 2 > MAX_PIECES:
            pieces.append((first, end))
        else:
            middle = first + min(max(worst, 1), end - first - 1)
            waiting += [(middle, end), (first, middle)]
    return pieces


def _monotone(line: np.ndarray, tolerance: float) -> list[tuple[int, int]]:
    """Pieces within which neither x nor y turns back by more than `tolerance`."""
    cuts = [0]
    extreme = [line[0, :2].copy(), line[0, :2].copy()]  # least and greatest since the last cut
    where = [[0, 0], [0, 0]]
    for i in range(1, len(line)):
        for axis in (0, 1):
            value = line[i, axis]
            if value < extreme[0][axis]:
                extreme[0][axis], where[0][axis] = value, i
            if value > extreme[1][axis]:
                extreme[1][axis], where[1][axis] = value, i
        for axis in (0, 1):
            begin, value = line[cuts[-1], axis], line[i, axis]
            back_from_high = extreme[1][axis] - max(value, begin)
            back_from_low = min(value, begin) - extreme[0][axis]
            if max(back_from_high, back_from_low) > tolerance:
                cut = where[1][axis] if back_from_high > back_from_low else where[0][axis]
                if cut <= cuts[-1]:
                    continue
                cuts.append(cut)
                part = line[cut : i + 1, :2]
                extreme = [part.min(0), part.max(0)]
                where = [(cut + part.argmin(0)).tolist(), (cut + part.argmax(0)).tolist()]
                break
    ends = [*cuts[1:], len(line) - 1]
    return [(first, end) for first, end in zip(cuts, ends, strict=True) if end > first]


def _bend(piece: np.ndarray) -> np.ndarray:
    """The control point of the curve nearest to a piece, per axis: 0 at its start and 1 at its end; in [0, 1]."""
    begin, end = piece[0, :2], piece[-1, :2]
    steps = np.hypot(*np.diff(piece[:, :2], axis=0).T)
    t = np.concatenate(([0.0], steps.cumsum()))[:, None]
    t = t / t[-1] if t[-1] > 0 else t
    weight = (2 * t * (1 - t))[:, 0]
    bend = np.full(2, 0.5)
    for axis in (0, 1):
        extent = end[axis] - begin[axis]
        rest = piece[:, axis] - begin[axis] - extent * t[:, 0] ** 2
        if abs(extent) > 1e-6 and (weight**2).sum() > 0:
            bend[axis] = (weight * rest).sum() / ((weight**2).sum() * extent)
    return bend.clip(0, 1)


def _error(piece: np.ndarray) -> tuple[float, int]:
    """How far a piece of a line lies from its curve at most, and at which point."""
    begin, end = piece[0, :2], piece[-1, :2]
    control = begin + _bend(piece) * (end - begin)
    t = np.linspace(0, 1, STEPS)[:, None]
    curve = (1 - t) ** 2 * begin + 2 * t * (1 - t) * control + t**2 * end
    # From each point to the nearest segment of the curve.
    a, along = curve[:-1], np.diff(curve, axis=0)
    length = np.maximum((along**2).sum(1), 1e-18)
    u = (((piece[:, None, :2] - a) * along).sum(2) / length).clip(0, 1)
    distance = np.hypot(*(piece[:, None, :2] - a - u[..., None] * along).transpose(2, 0, 1)).min(1)
    return float(distance.max()), int(distance.argmax())


def _stroke(piece: np.ndarray, scaled: np.ndarray, space: StrokeSpace, radius: float) -> Tensor:
    """One stroke (1, P) along a piece of a line."""
    third = max(1, math.ceil(len(piece) / 3))
    pressure = np.array([part[:, 2].mean() for part in (piece[:third], piece, piece[-third:])]).clip(0, 1)
    stroke = space.default_strokes(1)
    values = {"start": piece[0, :2], "end": piece[-1, :2], "bend": _bend(scaled)}
    weight = LIGHTEST + (1 - LIGHTEST) * pressure
    if "pressure" in space:  # which the brush draws in its own way
        values["pressure"] = pressure if space.field("pressure").size == 3 else pressure[1:2]
        values["radius"] = np.full(space.field("radius").size, radius)
    else:
        values["radius"] = radius * (weight[[0, 2]] if space.field("radius").size == 2 else weight[1:2])
    for name, value in values.items():
        stroke = space.put(stroke, name, torch.tensor(np.asarray(value), dtype=torch.float32)[None])
    return stroke
