"""Grounds between paper and paint: gold leaf."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from renderer.errors import InputError
from renderer.material.noise_tiles import Array, canvas_field

GROUND_COLOURS = {"gold": (0.80, 0.64, 0.30)}
"""The mean colours of the grounds, sRGB: the background to paint with."""
LEAVES = 4.6  # squares of leaf along the short side


@dataclass(frozen=True)
class Ground:
    """A ground at one size.

    colour: (h, w, 3), sRGB
    relief: (h, w), as a fraction of the short side
    tilt: (h, w, 2) how much each place turns its face to the right and down, for its sparkle
    """

    colour: Array
    relief: Array
    tilt: Array


def gold(size: tuple[int, int], seed: int = 0) -> Ground:
    """Squares of gold leaf that overlap at their seams, slightly different in tone, worn in places."""
    short, random = min(size), np.random.default_rng(seed)
    y = (np.arange(size[0], dtype=np.float32)[:, None] + 0.5) / short * LEAVES + 0.3
    x = (np.arange(size[1], dtype=np.float32)[None] + 0.5) / short * LEAVES + 0.6
    # Leaves are laid by hand: seams waver and are shifted a little from row to row.
    y = y + 0.018 * canvas_field(size, 0.05, seed)
    shifts = 0.10 * random.standard_normal(256).astype(np.float32)
    row = np.floor(y).astype(np.int64)
    x = x + 0.018 * canvas_field(size, 0.05, seed + 1) + shifts[row % 256]
    column = np.floor(x).astype(np.int64)
    tones = random.standard_normal((64, 64, 3)).astype(np.float32)
    leaf = tones[row % 64, column % 64]
    overlap = 0.045
    seam = (((x % 1) < overlap) | ((y % 1) < overlap)).astype(np.float32)
    seam_edge = np.exp(-np.minimum(np.abs((x % 1) - overlap), np.abs((y % 1) - overlap)) / 0.006)
    wear = (
        0.6 * canvas_field(size, 0.004, seed + 2)
        + 0.6 * canvas_field(size, 0.02, seed + 3)
        + 0.5 * canvas_field(size, 0.09, seed + 4)
    )
    worn = np.clip(0.8 * wear - 1.25, 0, 1)[..., None]
    value = 1 + 0.035 * leaf[..., :1] + 0.022 * wear[..., None] + 0.05 * seam[..., None] - 0.05 * seam_edge[..., None]
    colour = (
        np.array(GROUND_COLOURS["gold"], np.float32)
        * value
        * (1 + leaf[..., 1:2] * np.array([0.0, -0.008, -0.03], np.float32))
    )
    bole = np.array([0.56, 0.33, 0.20], np.float32)  # the red clay below the leaf
    colour = colour + 0.45 * worn * (bole - colour)
    relief = 1.4e-4 * seam + 5e-5 * canvas_field(size, 0.0024, seed + 5) + 2.2e-4 * canvas_field(size, 0.03, seed + 6)
    tilt = 0.10 * leaf[..., 1:] + 0.10 * np.stack([canvas_field(size, 0.012, seed + 7 + k) for k in range(2)], -1)
    grit = np.stack([canvas_field(size, 0.0012, seed + 10 + k) for k in range(2)], -1)  # of the leaf's wrinkles
    tilt = tilt + 0.07 * grit
    return Ground(np.clip(colour, 0, 1).astype(np.float32), relief.astype(np.float32), tilt.astype(np.float32))


GROUNDS = {"gold": gold}


def check_ground(name: str) -> None:
    """Raise `InputError` unless `name` is a ground."""
    if name not in GROUNDS:
        raise InputError(f"There is no ground {name!r}; choose {', '.join(GROUNDS)}. A plain colour is a --background.")
