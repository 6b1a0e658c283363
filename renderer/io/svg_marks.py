"""Tracing of marks: the alpha of a stroke as nested contours of a few levels.

A mark is quantised (Lloyd 1982): level i is the region where alpha exceeds a threshold, filled so that the composite of
the levels up to i has the alpha of its band. Contours are iso-lines of bilinear alpha (marching squares, Lorensen and Cline
1987), simplified by the algorithm of Ramer, Douglas and Peucker. A grainy mark is blurred until it has few enough contours
to edit and to store.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from contourpy import LineType, contour_generator
from numpy.typing import NDArray
from torch import Tensor

from renderer.brush import Brush
from renderer.io.images import fitted_size

Array = NDArray[Any]

COARSE, FINE = 512, 2048  # pixels on the long side at which marks are traced, at least and at most ...
SHARP = 8.0  # ... until a stroke's radius has so many pixels
FAINT = 1 / 255  # alphas closer than this count as equal
MOST_LEVELS = 12
BANDS = 0.01  # mean error of alpha on the mark, above which more levels are added
CELL = 4  # pixels: errors are averaged over squares of this side, in which the errors on both sides of an edge cancel
BINS = 256  # of alpha's histogram
TOLERANCE = 0.25  # pixels between a contour and its iso-line
SPECK = 0.02  # area in pixels of the painting times opacity: smaller contours are left out
MOST_POINTS = 4000  # of a mark's contours, about
BLURS = (0.0, 0.1, 0.2, 0.4, 0.8, 1.6)  # sigmas in pixels of the painting, tried until the points are few enough


class Level(NamedTuple):
    """A region of one opacity inside its contours by the even-odd rule, each (n, 2) of x, y in pixels of the painting."""

    opacity: float
    contours: list[Array]


class Trace(NamedTuple):
    """A stroke as nested levels, the outermost first, laid over one another in one sRGB colour."""

    colour: tuple[float, ...]
    levels: list[Level]


class Patch(NamedTuple):
    """The mark of one stroke: alpha (h, w), and colour (3, h, w) or flat (3, 1, 1), at canvas pixel left, top."""

    left: int
    top: int
    alpha: Tensor
    colour: Tensor


@torch.no_grad()
def trace(brush: Brush, stroke: Tensor, size: tuple[int, int]) -> Trace | None:
    """Trace a stroke (P,) of a painting of `size` (height, width) pixels; None when nothing is visible."""
    fine = _resolution(float(brush.space.get(stroke, "radius").max()), size)
    patch = _patch(brush, stroke[None], fine)
    if patch.alpha.numel() == 0 or patch.alpha.max() < FAINT / 2:
        return None
    weight = patch.alpha / patch.alpha.sum()
    colour = (patch.colour * weight).sum((1, 2)).clamp(0, 1).tolist()
    scale = size[1] / fine[1], size[0] / fine[0]
    for sigma in BLURS:
        levels = _levels(*_framed(patch, fine, sigma / scale[0]), scale)
        if sum(len(contour) for level in levels for contour in level.contours) <= MOST_POINTS:
            break
    return Trace(tuple(colour), levels) if levels else None


def _resolution(radius: float, size: tuple[int, int]) -> tuple[int, int]:
    """(height, width) at which a stroke is traced; radius as a fraction of the short side."""
    longest = max(COARSE, *size)
    while longest < FINE and radius * min(size) * longest / max(size) < SHARP:
        longest *= 2
    return fitted_size(size, longest)


def _patch(brush: Brush, stroke: Tensor, size: tuple[int, int]) -> Patch:
    """The mark of one stroke (1, P)."""
    patches = brush.patches(stroke, size)
    left, top, width, height = patches.box[0].tolist()
    return Patch(left, top, patches.alpha.view(height, width), patches.pigment(0))


def _framed(patch: Patch, size: tuple[int, int], sigma: float) -> tuple[Array, tuple[float, float]]:
    """Alpha, blurred by a Gaussian, in a frame of zeros that closes all contours, and the position of its first pixel, x, y.

    At the canvas' edges alpha is continued beyond them, so that no contour runs along them inside.
    """
    height, width = patch.alpha.shape
    margin = int(4 * sigma) + 1
    edges = (patch.top <= 0, patch.top + height >= size[0], patch.left <= 0, patch.left + width >= size[1])
    top, bottom, left, right = (margin * edge for edge in edges)
    alpha: Array = np.pad(patch.alpha.float().cpu().numpy(), ((top, bottom), (left, right)), "edge")
    alpha = np.pad(alpha, ((margin - top, margin - bottom), (margin - left, margin - right)))
    if sigma > 0:
        alpha = cv2.GaussianBlur(alpha, (0, 0), sigma)
    return np.pad(alpha, 1), (patch.left - margin - 0.5, patch.top - margin - 0.5)


def _levels(alpha: Array, corner: tuple[float, float], scale: tuple[float, float]) -> list[Level]:
    values = _quantised(alpha)
    lines = contour_generator(z=alpha, name="serial", line_type=LineType.Separate)
    levels, below = [], 0.0
    for value, threshold in zip(values, _thresholds(values), strict=True):
        opacity = (value - below) / (1 - below)
        contours = []
        for line in lines.lines(threshold):
            closed = np.asarray(line, np.float32)[:-1, None]
            points = ((cv2.approxPolyDP(closed, TOLERANCE, True)[:, 0] + corner) * scale).astype(np.float32)
            if len(points) > 2 and cv2.contourArea(points) * opacity > SPECK:
                contours.append(points)
        if contours:
            levels.append(Level(opacity, contours))
            below = value
    return levels


def _quantised(alpha: Array) -> list[float]:
    """As few values as represent alpha well, besides 0, in rising order."""
    counts, edges = np.histogram(alpha, BINS, (0, float(alpha.max())))
    centres = (edges[1:] + edges[:-1]) / 2
    cells = -(-np.array(alpha.shape) // CELL)
    values: list[float] = []
    for count in range(1, MOST_LEVELS + 1):
        values = _lloyd(counts, centres, count)
        error = alpha - np.array([0.0, *values], np.float32)[np.digitize(alpha, _thresholds(values))]
        shape = int(cells[1]), int(cells[0])
        visible = cv2.resize(alpha, shape, interpolation=cv2.INTER_AREA) > FAINT
        if np.abs(cv2.resize(error, shape, interpolation=cv2.INTER_AREA)[visible]).sum() <= BANDS * max(
            1, visible.sum()
        ):
            break
    return values


def _lloyd(counts: Array, centres: Array, count: int) -> list[float]:
    """At most `count` values that, with 0, represent a histogram best (least squares)."""
    values = centres[-1] * np.arange(1, count + 1) / count
    for _ in range(20):
        band = np.digitize(centres, _thresholds(values))
        number, total = (np.bincount(band, weights, count + 1)[1:] for weights in (counts, counts * centres))
        values = np.where(number > 0, total / np.maximum(number, 1), values)
    values = values[number > 0]
    return [float(value) for value in values[np.diff(values, prepend=0.0) > FAINT]]


def _thresholds(values: Sequence[float] | Array) -> Array:
    """The midpoints between each value and the one before, the first between 0 and the first value."""
    return np.array((np.append(0.0, values[:-1]) + values) / 2)
