"""Smooth random fields, reproducible and independent of resolution: tiles that repeat, and fields over a whole canvas.

All have mean 0 and variance 1, and nearly a normal distribution.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
"""Numbers of single precision, unless said otherwise."""

TILE = 512  # cells a side of a tile
ROW = 4096  # cells of a field's lattice, a side; canvases of extreme proportions repeat it


def _filtered(shape: tuple[int, int], parts: tuple[tuple[float, float, float], ...], seed: int) -> Array:
    """White noise on a torus, filtered by Gaussians: `parts` are (weight, sigma down, sigma across) in cells."""
    noise = np.random.default_rng(seed).standard_normal((len(parts), *shape))
    fy, fx = (np.fft.fftfreq(n) for n in shape)
    total = np.zeros(shape)
    for white, (weight, down, across) in zip(noise, parts, strict=True):
        spectrum = np.exp(-2 * np.pi**2 * ((fy * down)[:, None] ** 2 + (fx * across)[None, :] ** 2))
        smooth = np.fft.ifft2(np.fft.fft2(white) * spectrum).real
        total += weight * smooth / smooth.std()
    return ((total - total.mean()) / total.std()).astype(np.float32)


@functools.cache
def bristle_tile() -> Array:
    """Streaks `(TILE, TILE)`: rows lie along a stroke, columns across it; a hair is about 3 cells broad."""
    return _filtered((TILE, TILE), ((0.62, 60.0, 1.2), (0.5, 90.0, 5.0), (0.35, 14.0, 1.1), (0.3, 40.0, 16.0)), 1)


@functools.cache
def clump_tile() -> Array:
    """Three independent fields of broad streaks `(TILE, TILE, 3)`, for colours that vary between bristles."""
    parts = ((0.8, 70.0, 4.0), (0.5, 50.0, 12.0), (0.35, 30.0, 1.4))
    return np.stack([_filtered((TILE, TILE), parts, 10 + k) for k in range(3)], -1)


@functools.cache
def speckle_tile() -> Array:
    """Grains `(TILE, TILE)` of about 3 cells, with some larger ones; without a direction."""
    return _filtered((TILE, TILE), ((0.8, 1.1, 1.1), (0.5, 2.4, 2.4), (0.35, 7.0, 7.0)), 3)


@functools.cache
def cloud_tile() -> Array:
    """Two independent fields of soft clouds `(TILE, TILE, 2)`, from 8 to 60 cells broad, for displacements."""
    parts = ((0.7, 18.0, 18.0), (0.5, 7.0, 7.0), (0.35, 3.0, 3.0))
    return np.stack([_filtered((TILE, TILE), parts, 20 + k) for k in range(2)], -1)


@functools.cache
def pool_tile() -> Array:
    """Soft clouds `(TILE, TILE)`, as of pigment in water."""
    return _filtered((TILE, TILE), ((0.8, 9.0, 9.0), (0.5, 3.5, 3.5), (0.3, 1.5, 1.5)), 30)


def canvas_field(size: tuple[int, int], cell: float | tuple[float, float], seed: int, blur: float = 1.0) -> Array:
    """A random field over a canvas, which does not repeat and shows no lattice.

    White noise on a lattice is blurred by `blur` cells, so that no frequency near the lattice's own is left, and
    interpolated by cubic splines.

    Args:
        size: (height, width) in pixels.
        cell: the lattice's spacing, as a fraction of the short side; one number, or down and across.
        seed: of the noise.
        blur: standard deviation in cells.
    """
    import cv2

    short = min(size)
    down, across = (cell, cell) if isinstance(cell, float) else cell
    rows = min(ROW, int(size[0] / short / down) + 8)
    columns = min(ROW, int(size[1] / short / across) + 8)
    # Rows of a fixed length: a cell's value does not depend on how many cells the canvas has.
    lattice: Array = np.random.default_rng(seed).standard_normal((rows, ROW), np.float32)[:, :columns]
    lattice = cv2.GaussianBlur(lattice, (0, 0), blur, borderType=cv2.BORDER_REFLECT)
    scale = np.array([[1 / (short * across), 0, 3.0], [0, 1 / (short * down), 3.0]])
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    field = cv2.warpAffine(lattice, scale, (size[1], size[0]), flags=flags, borderMode=cv2.BORDER_WRAP)
    return np.asarray(field / (0.5 / (blur * np.sqrt(np.pi))), np.float32)
