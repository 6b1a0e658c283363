"""Pigment and ink on paper: the drawing operations of `experiments.figures.draw_face`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Pair = tuple[float, float]
LEFT, TOP, SIDE = 56.0, 38.0, 424.0  # the square of the drawing that the image shows
SAMPLES = 4  # per pixel and direction
INK, PAPER, GRIME = "#241d1b", "#c69c5a", "#b08a58"


def curve(knots: str, count: int = 80) -> Array:
    """`count` points of a Catmull-Rom spline through knots written as in an SVG: "x,y x,y".

    >>> curve("0,0 8,2", count=3).round().tolist()
    [[0.0, 0.0], [4.0, 1.0], [8.0, 2.0]]
    """
    k = np.array([pair.split(",") for pair in knots.split()], float)
    k = k[[0, *range(len(k)), -1]]
    t = np.linspace(0, len(k) - 3 - 1e-9, count)
    i, u = t.astype(int), (t % 1)[:, None]
    a, b, c, d = k[i], k[i + 1], k[i + 2], k[i + 3]
    return 0.5 * (2 * b + (c - a) * u + (2 * a - 5 * b + 4 * c - d) * u**2 + (3 * b - a - 3 * c + d) * u**3)


def closed(knots: str, steps: int = 14) -> Array:
    """A smooth closed outline through `knots`; the last point equals the first."""
    pairs = knots.split()
    around = curve(" ".join([pairs[-1], *pairs, *pairs[:2]]), (len(pairs) + 2) * steps + 1)
    return around[steps:-steps]


def translate(points: Array, x: float, y: float) -> Array:
    """Translate points to the right and down."""
    return points + np.array([x, y])


def rotate(points: Array, degrees: float, centre: Pair = (0, 0)) -> Array:
    """Rotate points clockwise around `centre`."""
    a = np.deg2rad(degrees)
    return (points - centre) @ np.array([[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]]) + centre


def colour(code: str) -> Array:
    """`#rrggbb` as three numbers in [0, 1]."""
    return np.array([int(code[i : i + 2], 16) / 255 for i in (1, 3, 5)], np.float32)


class Sheet:
    """A canvas of paper for pigment and ink, with `SAMPLES` x `SAMPLES` samples per pixel."""

    def __init__(self, size: int, rng: np.random.Generator) -> None:
        self.size, self.side, self.scale, self.rng = size, size * SAMPLES, size * SAMPLES / SIDE, rng
        self.canvas: Array = np.full((self.side, self.side, 3), colour(PAPER))
        self.body = np.clip(0.99 + 0.012 * self.mottle(24, 90), 0.96, 1)  # uneven opacity of pigment

    def mottle(self, *grids: int) -> Array:
        """Smooth noise of mean 0 and deviation about 1: one octave for each number of cells per side."""
        noise = (self.rng.standard_normal((grid, grid)).astype(np.float32) for grid in grids)
        octaves = [cv2.resize(n, (self.side, self.side), interpolation=cv2.INTER_CUBIC) for n in noise]
        return np.sum(octaves, 0) * np.float32(1.4 / len(grids) ** 0.5)

    def corners(self, points: Array) -> Array:
        """Points in the units of OpenCV's drawing functions: sixteenths of a sample."""
        return np.round((points - (LEFT, TOP)) * self.scale * 16).astype(np.int32)

    def area(self, *outlines: Array) -> Array:
        """The mask, in [0, 1], of the inside of outlines."""
        mask = np.zeros((self.side, self.side), np.uint8)
        for outline in outlines:
            cv2.fillPoly(mask, [self.corners(outline)], 255, cv2.LINE_AA, 4)
        return mask.astype(np.float32) / 255

    def lay(self, mask: Array, pigment: str, opacity: float = 1.0) -> None:
        """Cover the canvas with a pigment under a mask."""
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        if len(rows):
            box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
            self.canvas[box] += opacity * mask[box][..., None] * (colour(pigment) - self.canvas[box])

    def fill(self, outline: Array, pigment: str) -> Array:
        """Fill an outline with pigment and return its mask."""
        mask = self.area(outline)
        self.lay(mask * self.body, pigment)
        return mask

    def ink(
        self,
        strokes: Iterable[Array],
        width: float,
        pigment: str = INK,
        opacity: float = 0.9,
        ends: Pair = (1, 1),
        within: Array | None = None,
    ) -> None:
        """Draw brush lines, `width` units wide in the middle and `ends` times that at start and end."""
        mask = np.zeros((self.side, self.side), np.uint8)
        for points in strokes:
            swell = np.interp(np.linspace(0, 1, len(points)), (0, 0.3, 0.6, 1), (ends[0], 1, 1, ends[1]))
            samples = width * self.scale * swell * self.rng.uniform(0.85, 1.15)
            corners = self.corners(points).tolist()
            for start, end, wide in zip(corners, corners[1:], samples.tolist(), strict=False):
                cv2.line(mask, start, end, int(255 * min(1, wide)), max(1, round(wide)), cv2.LINE_AA, 4)
        cover = mask.astype(np.float32) / 255
        self.lay(cover if within is None else cover * within, pigment, opacity)

    def smudge(self, centre: Array, radii: Pair, angle: float, pigment: str, opacity: float) -> None:
        """Draw a soft ellipse."""
        x = np.arange(self.side) / self.scale + LEFT - centre[0]
        y = np.arange(self.side)[:, None] / self.scale + TOP - centre[1]
        c, s = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
        squared = ((c * x + s * y) / radii[0]) ** 2 + ((c * y - s * x) / radii[1]) ** 2
        mask = np.exp(-(squared**1.4)) * (0.92 + 0.08 * self.mottle(150))
        self.lay(np.where(mask > 0.004, mask, 0), pigment, opacity)

    def age(self) -> None:
        """Imitate age: wavering lines, pigment rubbed off in specks, uneven tone."""
        y, x = np.mgrid[: self.side, : self.side].astype(np.float32)
        sway = [self.scale * (0.4 * self.mottle(28) + 0.12 * self.mottle(110)) for _ in "xy"]
        swayed = cv2.remap(self.canvas, x + sway[0], y + sway[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
        self.canvas = np.asarray(swayed)
        rubbed = self.mottle(360) + 0.4 * self.mottle(9) + 0.4 * self.mottle(40) - 3.3
        self.lay(np.clip(2 * rubbed, 0, 1), PAPER, 0.45)
        tone = 1 + 0.022 * self.mottle(2, 5, 14) + 0.008 * self.mottle(200, 420)
        self.canvas *= tone[..., None] * np.array([1, 0.992, 0.97], np.float32)
        self.canvas += 0.025 * (colour(GRIME) - self.canvas)

    def image(self) -> NDArray[np.uint8]:
        """The drawing at its final size, (size, size, 3)."""
        soft = cv2.GaussianBlur(self.canvas, (0, 0), 0.45 * SAMPLES)
        small = cv2.resize(soft, (self.size, self.size), interpolation=cv2.INTER_AREA)
        return np.round(np.clip(small, 0, 1) * 255).astype(np.uint8)
