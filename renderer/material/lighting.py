"""Light on a relief: what a raking lamp shows of paint, paper and gold."""

from __future__ import annotations

import math

import numpy as np

from renderer.material.noise_tiles import Array

ELEVATION = 42.0  # degrees of the light above the canvas
SHADE = 0.85  # of the difference from flat that is shown at relief 1
STEEP = 1.4  # slopes are drawn so many times as steep at relief 1
SHININESS = 24


def lit(
    colour: Array,
    height: Array,
    short: int,
    *,
    relief: float,
    azimuth: float,
    gloss: Array | float = 0.0,
    sparkle: tuple[Array, Array] | None = None,
) -> Array:
    """Light a picture.

    What is flat keeps its colour, so that relief changes no mean.

    Args:
        colour: (h, w, 3), sRGB in [0, 1].
        height: (h, w), as a fraction of the short side.
        short: the canvas' short side in pixels.
        relief: in [0, 1]; 0 changes nothing.
        azimuth: degrees from which light falls, counter-clockwise from the right; 135 is the upper left.
        gloss: of highlights, (h, w) or one number.
        sparkle: of gold, its share (h, w) of each pixel and its tilt (h, w, 2).

    Returns:
        (h, w, 3) in [0, 1].
    """
    if relief <= 0:
        return colour
    import cv2

    steep = STEEP * relief * short
    # Central differences; height and distance are both fractions of the short side.
    down = steep * cv2.Sobel(height, cv2.CV_32F, 0, 1, ksize=3, scale=1 / 8, borderType=cv2.BORDER_REPLICATE)
    right = steep * cv2.Sobel(height, cv2.CV_32F, 1, 0, ksize=3, scale=1 / 8, borderType=cv2.BORDER_REPLICATE)
    elevation, turn = math.radians(ELEVATION), math.radians(azimuth)
    lx, ly, lz = math.cos(elevation) * math.cos(turn), -math.cos(elevation) * math.sin(turn), math.sin(elevation)
    norm = 1 / np.sqrt(1 + right * right + down * down)
    shade = (lz - lx * right - ly * down) * norm / lz - 1  # 0 where it is flat
    shade = SHADE * shade / (1 + 0.6 * np.abs(shade))  # soft, so that nothing is black or burnt
    factor = 1 + shade
    result = colour * factor[..., None]
    # Shadows are a little cooler than light.
    result += np.minimum(shade, 0)[..., None] * np.array([0.012, 0.004, -0.016], np.float32)
    hx, hy, hz = lx, ly, lz + 1
    length = math.sqrt(hx * hx + hy * hy + hz * hz)
    if np.any(gloss):
        mirror = np.maximum((hz - hx * right - hy * down) * norm / length, 0) ** SHININESS
        flat = (hz / length) ** SHININESS
        result += (relief * gloss * np.maximum(mirror - flat, 0))[..., None]
    if sparkle is not None:
        share, tilt = sparkle
        facing = (hz + hx * (tilt[..., 0] - 0.6 * right) + hy * (tilt[..., 1] - 0.6 * down)) / length
        shine = np.maximum(facing, 0) ** 10 / (hz / length) ** 10 - 1
        result += (relief * share * np.clip(0.28 * shine, -0.12, 0.5))[..., None] * np.array(
            [1.0, 0.86, 0.52], np.float32
        )
    return np.asarray(np.clip(result, 0, 1), np.float32)
