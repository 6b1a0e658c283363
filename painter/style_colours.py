"""Give a picture the colours of a style picture and keep its lines: lightness stays in order, contrasts are not lost."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from painter.style_analysis import from_lab, to_lab

Array = NDArray[Any]

QUANTILES = np.linspace(0, 1, 128)
ROTATIONS = 16  # of the iterative transfer of distributions
LIGHTNESS = 0.6  # of its weight beside hue and chroma: colours of like lightness are exchanged
EVEN = 0.015  # how far changes of colour are averaged, as a fraction of the short side
LEAST_CONTRAST = 0.85  # of the picture's own spread of lightness, which the result has at least
MOST_SHIFT = 22.0  # of the mean lightness: a face in the dark is none


def restyle_colours(picture: Tensor, style: Tensor, amount: float = 1.0) -> Tensor:
    """Give a picture the colours of another.

    Lightness is mapped by quantiles, smoothed, with a least contrast and a greatest shift, so that what is lighter stays
    lighter. Hue and chroma follow the iterative transfer of distributions (Pitié et al. 2007): the shares of the style's
    colours.

    Args:
        picture: `(3, H, W)`, sRGB in [0, 1].
        style: `(3, h, w)`, likewise.
        amount: 0 returns the picture's colours, 1 is the full change.

    Returns:
        `(3, H, W)` in [0, 1].
    """
    import cv2  # here, because it takes long to import

    own, theirs = to_lab(picture), to_lab(style)
    result = own.copy()
    result[..., 0] = _lightness(own[..., 0], theirs[..., 0])
    change = (_transferred(own, theirs) - own)[..., 1:]
    # Evenly over an area: a face whose shades are mapped to two colours would be mottled.
    change = cv2.GaussianBlur(change, (0, 0), max(EVEN * min(own.shape[:2]), 0.5))
    result[..., 1:] += change
    return from_lab(own + amount * (result - own)).to(picture)


def towards_palette(colours: Tensor, palette: Tensor, amount: float) -> Tensor:
    """Move the hue and chroma of colours `(n, 3)` towards the nearest of a palette `(K, 3)`; their lightness stays."""
    if len(colours) == 0:
        return colours
    own, known = to_lab(colours.T[..., None])[:, 0], to_lab(palette.T[..., None])[:, 0]
    distance = np.square((own[:, None] - known[None]) * np.array([0.5, 1.0, 1.0])).sum(-1)
    nearest = known[distance.argmin(1)]
    own[:, 1:] += amount * (nearest[:, 1:] - own[:, 1:])
    return from_lab(own[:, None])[..., 0].T.to(colours)


def _lightness(own: Array, theirs: Array) -> Array:
    """Lightness `(H, W)` with about the distribution of `theirs`, in its own order."""
    before, after = np.quantile(own, QUANTILES), np.quantile(theirs, QUANTILES)
    if before[-1] - before[0] < 1:
        return own
    # Half of it is a straight line between the ends: a style of two tones would posterise a face.
    straight = np.interp(before, (before[0], before[-1]), np.quantile(after, (0.02, 0.98)))
    mapped = np.interp(own, before, 0.5 * (after + straight))
    contrast = max(1.0, LEAST_CONTRAST * float(own.std()) / max(float(mapped.std()), 1e-6))
    mean = own.mean() + float(np.clip(mapped.mean() - own.mean(), -MOST_SHIFT, MOST_SHIFT))
    mapped = mean + contrast * (mapped - mapped.mean())
    low, high = mapped.min(), mapped.max()
    # Squeezed into the range, so that nothing is clipped away.
    squeezed: Array = np.interp(mapped, (low, mean, high), (max(low, 2.0), np.clip(mean, 3.0, 97.0), min(high, 98.0)))
    return squeezed


def _transferred(own: Array, theirs: Array) -> Array:
    """Colours `(H, W, 3)` with the distribution of `theirs`: quantiles of three axes matched, in several rotations."""
    random = np.random.default_rng(0)
    scale = np.array([LIGHTNESS, 1.0, 1.0])
    pixels, goal = (lab.reshape(-1, 3).astype(np.float64) * scale for lab in (own, theirs))
    for _ in range(ROTATIONS):
        axes, _ = np.linalg.qr(random.standard_normal((3, 3)))
        along, wanted = pixels @ axes, goal @ axes
        matched = np.stack([_matched(along[:, i], wanted[:, i]) for i in range(3)], -1)
        pixels = pixels + (matched - along) @ axes.T
    return (pixels / scale).reshape(own.shape).astype(np.float32)


def _matched(values: Array, wanted: Array) -> Array:
    before, after = np.quantile(values, QUANTILES), np.quantile(wanted, QUANTILES)
    before = before + 1e-6 * np.arange(len(before))  # strictly increasing, also for a flat picture
    matched: Array = np.interp(values, before, after)
    return matched
