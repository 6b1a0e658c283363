"""A few of many colours: the colours that a hand mixes before it begins to paint; and their names."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from renderer.errors import InputError

DISTINCT = 3000  # colours that are compared pairwise at most
GREY = 9.0  # CIELAB chroma below which a colour has no hue
# CIELAB hue angles in degrees up to which a hue has a name.
HUES = (
    *((20, "crimson"), (48, "red"), (72, "orange"), (103, "yellow"), (128, "yellow-green"), (178, "green")),
    *((230, "turquoise"), (300, "blue"), (330, "violet"), (350, "magenta"), (360, "crimson")),
)


def to_lab(colours: Tensor | np.ndarray) -> np.ndarray:
    """SRGB (N, 3) in [0, 1] -> CIELAB (N, 3) under D65."""
    from skimage.color import rgb2lab

    lab: np.ndarray = rgb2lab(np.asarray(colours, float)[None])[0]
    return lab


def choose_palette(colours: Tensor, weights: Tensor, count: int) -> Tensor:
    """At most `count` of the given colours that stand for all of them, from dark to light.

    Weighted k-medoids in CIELAB (Kaufman and Rousseeuw 1987, with Lloyd's alternation): each is a colour that occurs, not
    an average, which would be muddy. The lightest and the darkest colour are always among them. Deterministic.

    Args:
        colours: `(N, 3)` sRGB in [0, 1].
        weights: `(N,)`, how much of each; colours of no weight do not count.
        count: colours wanted, 1 at least.

    Returns:
        `(K, 3)`, rounded to 8 bits a channel; fewer than `count` where there are fewer, none for none.
    """
    codes = (colours[weights > 0] * 255).round().int().numpy()
    distinct, inverse = np.unique(codes, axis=0, return_inverse=True)
    weight = np.bincount(inverse.ravel(), weights[weights > 0].double().numpy(), len(distinct))
    lab = to_lab(distinct / 255)
    if len(distinct) > DISTINCT:  # the most frequent, and the extremes
        kept = np.union1d(weight.argsort()[-DISTINCT:], [lab[:, 0].argmin(), lab[:, 0].argmax()])
        distinct, weight, lab = distinct[kept], weight[kept], lab[kept]
    chosen = np.arange(len(distinct)) if len(distinct) <= count else _medoids(lab, weight, count)
    chosen = chosen[lab[chosen, 0].argsort(kind="stable")]
    return torch.from_numpy(distinct[chosen] / 255).float()


def in_few_colours(colours: Tensor, count: int) -> Tensor:
    """Each of the colours `(N, 3)` as the nearest of at most `count` of them. Raises `InputError` for a count below 1."""
    if count < 1:
        raise InputError(f"colours must be at least 1, not {count}.")
    if len(colours) == 0:
        return colours
    palette = choose_palette(colours, torch.ones(len(colours)), count)
    return palette[nearest_colours(colours, palette)]


def _medoids(lab: np.ndarray, weight: np.ndarray, count: int) -> np.ndarray:
    distance = np.linalg.norm(lab[:, None] - lab, axis=2)
    forced = [int(lab[:, 0].argmin()), int(lab[:, 0].argmax())][:count]
    medoids = list(dict.fromkeys(forced))
    fixed = len(medoids)
    while len(medoids) < count:  # each new one lowers the weighted distance most
        nearest = distance[:, medoids].min(1)
        gain = (weight[:, None] * (nearest[:, None] - distance).clip(min=0)).sum(0)
        medoids.append(int(gain.argmax()))
    for _ in range(50):
        cluster = distance[:, medoids].argmin(1)
        moved = medoids[:fixed]
        for k in range(fixed, count):
            members = np.flatnonzero(cluster == k)
            cost = distance[np.ix_(members, members)] @ weight[members]
            moved.append(int(members[cost.argmin()]) if len(members) else medoids[k])
        if moved == medoids:
            break
        medoids = moved
    return np.unique(medoids)


def nearest_colours(colours: Tensor, palette: Tensor) -> Tensor:
    """The index `(N,)` of the palette colour (K, 3) nearest to each of `colours` (N, 3), in CIELAB."""
    difference = to_lab(colours)[:, None] - to_lab(palette)
    return torch.from_numpy(np.linalg.norm(difference, axis=2).argmin(1))


def colour_name(colour: Tensor | np.ndarray) -> str:
    """A plain English name of an sRGB colour (3,) in [0, 1], from its CIELAB lightness, chroma and hue.

    >>> [colour_name(np.array(code) / 255) for code in ((0, 0, 0), (250, 250, 248), (110, 70, 40), (235, 215, 180))]
    ['black', 'white', 'brown', 'beige']
    """
    lightness, a, b = to_lab(np.asarray(colour, float)[None])[0]
    chroma, hue = float(np.hypot(a, b)), float(np.degrees(np.arctan2(b, a)) % 360)
    if chroma < GREY:
        steps = ((14, "black"), (38, "dark grey"), (62, "grey"), (90, "light grey"), (101, "white"))
        return next(name for limit, name in steps if lightness < limit)
    name = next(name for limit, name in HUES if hue <= limit)
    warm = 30 < hue < 103
    if warm and lightness < 50 and chroma < 55:
        name = "brown"
    elif warm and lightness >= 50 and chroma < 32:
        name = "beige"
    elif 60 < hue < 103 and lightness < 75 and chroma < 65:
        name = "ochre"
    elif lightness > 65 and (hue > 330 or hue < 48):
        name = "pink"
    if lightness < 25:
        return f"dark {name}"
    if lightness > 88 and name != "yellow":
        return f"pale {name}"
    return f"greyish {name}" if chroma < 16 and name != "beige" else name
