"""Mixing hints: which usual tube paints, in how many parts, come near a colour.

The model is that of Kubelka and Munk (1931) with a single constant, K/S, for each third of the spectrum (red, green and
blue in linear sRGB), which adds up in proportion to the parts. It knows that blue and yellow give green. It does not know
how much stronger one maker's paint is than another's, how thickly it lies, or how it dries; the colours below are
approximate. So a recipe is where to begin, not a measurement; it was not compared with real paint.
"""

from __future__ import annotations

import itertools
import math
from typing import NamedTuple

import numpy as np
from torch import Tensor

from painter.plan.palette import to_lab

# Approximate colours of thick paint, sRGB of 8 bits.
PAINTS = {
    "titanium white": (250, 250, 246),
    "ivory black": (24, 23, 23),
    "burnt umber": (72, 50, 41),
    "burnt sienna": (123, 62, 38),
    "yellow ochre": (198, 146, 62),
    "cadmium yellow": (255, 205, 0),
    "cadmium red": (214, 37, 24),
    "alizarin crimson": (118, 18, 35),
    "ultramarine blue": (30, 26, 120),
    "phthalo blue": (12, 40, 92),
    "viridian": (0, 84, 70),
}
MOST_PAINTS, MOST_PARTS = 3, 10
TINT = 5  # times as much white is tried, too: a touch of colour in it
DARKEST = 0.005  # reflectance: no paint is darker, and K/S stays finite
FURTHER_PAINT, TWICE_THE_PARTS = 1.5, 0.3  # CIEDE2000: what a further paint, twice the parts, have to gain


class Recipe(NamedTuple):
    """Parts of tube paints, most first; the colour that the model expects, (3,) sRGB; its CIEDE2000 from the wanted one."""

    parts: tuple[tuple[str, int], ...]
    colour: tuple[float, float, float]
    error: float

    def __str__(self) -> str:
        return " + ".join(f"{number} {name}" if len(self.parts) > 1 else name for name, number in self.parts)


def mixture(parts: np.ndarray) -> np.ndarray:
    """Colours (M, 3), sRGB in [0, 1], of mixtures of `PAINTS` given as parts (M, number of paints)."""
    reflectance = _linear(np.array(list(PAINTS.values())) / 255).clip(DARKEST, 1)
    ratio = (1 - reflectance) ** 2 / (2 * reflectance)  # K/S
    mixed = parts / parts.sum(1, keepdims=True) @ ratio
    return _encoded(1 + mixed - np.sqrt(mixed**2 + 2 * mixed))


def recipes(colours: Tensor) -> list[Recipe]:
    """The simplest near mixture of at most three paints in few parts, for each of `colours` (N, 3)."""
    from skimage.color import deltaE_ciede2000

    parts = _all_parts()
    mixed = mixture(parts)
    lab = to_lab(mixed)
    effort = FURTHER_PAINT * (parts > 0).sum(1) + TWICE_THE_PARTS * np.log2(parts.sum(1))
    names = list(PAINTS)
    found = []
    for wanted in to_lab(colours):
        error = deltaE_ciede2000(np.broadcast_to(wanted, lab.shape), lab)
        best = int((error + effort).argmin())
        used = sorted(((names[i], int(n)) for i, n in enumerate(parts[best]) if n), key=lambda part: -part[1])
        red, green, blue = mixed[best].tolist()
        found.append(Recipe(tuple(used), (red, green, blue), float(error[best])))
    return found


def _all_parts() -> np.ndarray:
    """All mixtures that are tried, (M, number of paints), without multiples of one another."""
    rows = []
    for number in range(1, MOST_PAINTS + 1):
        counts = [
            c
            for c in itertools.product(range(1, MOST_PARTS + 1), repeat=number)
            if sum(c) <= MOST_PARTS and math.gcd(*c) == 1
        ]
        for which in itertools.combinations(range(len(PAINTS)), number):
            block = np.zeros((len(counts), len(PAINTS)))
            block[:, which] = counts
            rows.append(block)
            if which[0] == 0 and number > 1:
                rows.append(block * np.where(np.arange(len(PAINTS)) == 0, TINT, 1))
    return np.concatenate(rows)


def _linear(encoded: np.ndarray) -> np.ndarray:
    """SRGB to linear light (IEC 61966-2-1)."""
    return np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)


def _encoded(linear: np.ndarray) -> np.ndarray:
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear.clip(0, 1) ** (1 / 2.4) - 0.055).clip(0, 1)
