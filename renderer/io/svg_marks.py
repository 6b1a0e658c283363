"""Marks without a formula as vectors: the alpha of a stroke traced as nested contours of a few levels.

A mark is quantised (Lloyd 1982): level i is the region where alpha exceeds a threshold, filled so that the composite of
the levels up to i has the alpha of its band. Contours are iso-lines of bilinear alpha (marching squares, Lorensen and Cline
1987), simplified by Ramer, Douglas and Peucker. A grainy mark is softened until its contours are few enough for a person
to edit and for a file to hold.
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

COARSE, FINE = 512, 2048  # pixels on the long side at which marks are traced: at least, and at most for the sake of ...
SHARP = 8.0  # ... pixels of a brush's radius
FAINT = 1 / 255  # alphas nearer than this are one
MOST_LEVELS = 12
BANDS = 0.01  # mean error of alpha, where a mark is, that more levels are to mend
CELL = 4  # pixels: error is looked at in squares of this side, in which the two sides of an edge are even
BINS = 256  # of alpha's histogram
NEAR = 0.25  # pixels: how far a contour may be from its iso-line
SPECK = 0.02  # pixels of the painting times opacity: a contour of less is left out
MOST_POINTS = 4000  # of a mark's contours, more or less
SOFTER = (0.0, 0.1, 0.2, 0.4, 0.8, 1.6)  # pixels of the painting: by how much a grainy mark may be softened for that


class Level(NamedTuple):
    """A region of one opacity inside its contours by the even-odd rule, each (n, 2) of x, y in pixels of the painting."""

    opacity: float
    contours: list[Array]


class Trace(NamedTuple):
    """A stroke as nested levels, the outermost first, to be laid over one another in one sRGB colour."""

    colour: tuple[float, ...]
    levels: list[Level]


class Patch(NamedTuple):
    """A mark where it is: alpha (h, w), and colour (3, h, w) or flat (3, 1, 1), at canvas pixel left, top."""

    left: int
    top: int
    alpha: Tensor
    colour: Tensor


@torch.no_grad()
def trace(renderer: Brush, stroke: Tensor, size: tuple[int, int]) -> Trace | None:
    """A stroke (P,) of a painting of `size` (height, width) pixels, drawn by `renderer`; None where nothing is seen."""
    fine = _resolution(float(renderer.space.get(stroke, "radius").max()), size)
    patch = _patch(renderer, stroke[None], fine)
    if patch.alpha.numel() == 0 or patch.alpha.max() < FAINT / 2:
        return None
    weight = patch.alpha / patch.alpha.sum()
    colour = (patch.colour * weight).sum((1, 2)).clamp(0, 1).tolist()
    scale = size[1] / fine[1], size[0] / fine[0]
    for softer in SOFTER:
        levels = _levels(*_framed(patch, fine, softer / scale[0]), scale)
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
    """The mark of one stroke (1, P) where it is, as far as the brush can tell."""
    patches = brush.patches(stroke, size)
    left, top, width, height = patches.box[0].tolist()
    return Patch(left, top, patches.alpha.view(height, width), patches.pigment(0))


def _framed(patch: Patch, size: tuple[int, int], softer: float) -> tuple[Array, tuple[float, float]]:
    """Alpha, softened by a Gaussian, in a frame of zeros that closes all contours, and where its first pixel is, x, y.

    At the canvas' edges what lies there goes on beyond them, so that no contour runs along inside.
    """
    height, width = patch.alpha.shape
    margin = int(4 * softer) + 1
    edges = (patch.top <= 0, patch.top + height >= size[0], patch.left <= 0, patch.left + width >= size[1])
    top, bottom, left, right = (margin * edge for edge in edges)
    alpha: Array = np.pad(patch.alpha.float().cpu().numpy(), ((top, bottom), (left, right)), "edge")
    alpha = np.pad(alpha, ((margin - top, margin - bottom), (margin - left, margin - right)))
    if softer > 0:
        alpha = cv2.GaussianBlur(alpha, (0, 0), softer)
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
            points = ((cv2.approxPolyDP(closed, NEAR, True)[:, 0] + corner) * scale).astype(np.float32)
            if len(points) > 2 and cv2.contourArea(points) * opacity > SPECK:
                contours.append(points)
        if contours:
            levels.append(Level(opacity, contours))
            below = value
    return levels


def _quantised(alpha: Array) -> list[float]:
    """As few values as stand for all of alpha, 0 besides, rising."""
    counts, edges = np.histogram(alpha, BINS, (0, float(alpha.max())))
    centres = (edges[1:] + edges[:-1]) / 2
    cells = -(-np.array(alpha.shape) // CELL)
    values: list[float] = []
    for count in range(1, MOST_LEVELS + 1):
        values = _lloyd(counts, centres, count)
        error = alpha - np.array([0.0, *values], np.float32)[np.digitize(alpha, _thresholds(values))]
        shape = int(cells[1]), int(cells[0])
        seen = cv2.resize(alpha, shape, interpolation=cv2.INTER_AREA) > FAINT
        if np.abs(cv2.resize(error, shape, interpolation=cv2.INTER_AREA)[seen]).sum() <= BANDS * max(1, seen.sum()):
            break
    return values


def _lloyd(counts: Array, centres: Array, count: int) -> list[float]:
    """`count` values or fewer that, with 0, stand best for a histogram in the least squares' sense."""
    values = centres[-1] * np.arange(1, count + 1) / count
    for _ in range(20):
        band = np.digitize(centres, _thresholds(values))
        number, total = (np.bincount(band, weights, count + 1)[1:] for weights in (counts, counts * centres))
        values = np.where(number > 0, total / np.maximum(number, 1), values)
    values = values[number > 0]
    return [float(value) for value in values[np.diff(values, prepend=0.0) > FAINT]]


def _thresholds(values: Sequence[float] | Array) -> Array:
    """Halfway from each value to the one before, the first to 0."""
    return np.array((np.append(0.0, values[:-1]) + values) / 2)
