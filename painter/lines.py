"""Masses and lines: what a picture of flat colours and ink line is made of, and strokes that follow the lines.

The faces of KaoKore are painted masses first, then lines with a brush full of ink. So are they painted here: the lines are
taken out of the picture, what is left is painted broadly, and strokes are laid along the lines' own middles.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from skimage.filters import apply_hysteresis_threshold
from skimage.morphology import remove_small_objects, skeletonize
from torch import Tensor

from renderer.strokes import BEZIER

Array = NDArray[Any]
BROADEST = 0.04  # breadth of what still counts as a line, as a fraction of the short side
CRACK = 0.01  # and of a light crack in a dark mass
FAINT, DARK = 0.05, 0.12  # how much darker than its surroundings a line is: everywhere, and somewhere along it
SHORTEST = 0.02  # length of a line, fraction of the short side
CLOSE = 0.6  # pixels that a stroke may stray from its line


def masses(target: Tensor) -> Tensor:
    """A picture (3, H, W) without its lines and in flatter colours, of the same shape.

    Dark lines are filled by a morphological closing, as broad as `BROADEST`; small variation goes by a median and a
    mean-shift filter (Comaniciu and Meer 2002), which keep the edges of masses.
    """
    closed, _ = _closed(target)
    height, width = closed.shape[:2]
    flat = cv2.medianBlur(closed, 2 * max(1, round(0.01 * min(height, width))) + 1)
    flat = cv2.pyrMeanShiftFiltering(flat, max(2.0, 0.03 * min(height, width)), 12)
    return torch.from_numpy(flat).permute(2, 0, 1).to(target) / 255


def lines(target: Tensor, count: int) -> Tensor:
    """At most `count` strokes of BEZIER, `(n, 13)`, along the dark lines of a picture (3, H, W), the most visible ones.

    Ridges of the black top-hat, thinned to a pixel (Zhang and Suen 1984), are followed through crossings in the
    straightest way and cut into quadratic curves that keep within `CLOSE` pixels; a stroke is as broad as its line, and
    of the line's colour. In the order of drawing: line by line, the most visible first.
    """
    closed, picture = _closed(target)
    hat = (closed.astype(np.float32) - picture).mean(-1) / 255
    height, width = hat.shape
    short = min(height, width)
    mask = apply_hysteresis_threshold(hat, FAINT, DARK)
    mask = remove_small_objects(mask, max_size=max(2, int(SHORTEST * short)), connectivity=2)
    if not mask.any() or count < 1:
        return target.new_zeros(0, BEZIER.width)
    breadth = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5)
    found = []
    for path in follow(skeletonize(mask)):
        if len(path) < max(3, SHORTEST * short):
            continue
        curves = fit_curves(_smooth(path + 0.5), CLOSE)
        strokes = [_stroke(first, control, last, hat, breadth, picture) for first, control, last in curves]
        found.append(strokes)
    found.sort(key=lambda strokes: -sum(stroke[0] for stroke in strokes))
    weighed = [stroke for strokes in found for stroke in strokes]
    least = sorted((weight for weight, _ in weighed), reverse=True)[:count][-1] if weighed else 0.0
    kept = [values for weight, values in weighed if weight >= least][:count]
    return torch.tensor(np.array(kept).reshape(-1, BEZIER.width), dtype=target.dtype, device=target.device)


def _closed(target: Tensor) -> tuple[Array, Array]:
    """The picture with its dark lines filled, and the picture, both (H, W, 3) uint8."""
    picture = (target.detach().cpu().clamp(0, 1) * 255).round().byte().permute(1, 2, 0).contiguous().numpy()
    short = min(picture.shape[:2])
    # Light cracks first, or worn hair would be filled with their colour.
    opened = cv2.morphologyEx(picture, cv2.MORPH_OPEN, _disc(CRACK * short))
    closed = cv2.morphologyEx(opened, cv2.MORPH_CLOSE, _disc(BROADEST * short))
    return np.maximum(closed, opened), picture


def _disc(breadth: float) -> Array:
    side = 2 * max(1, round(breadth / 2)) + 1
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))


def follow(skeleton: Array) -> list[Array]:
    """Paths (n, 2) of x, y that together visit every pixel of a skeleton (H, W) bool, each straight on where it can."""
    left = {(int(x), int(y)) for y, x in zip(*skeleton.nonzero(), strict=True)}
    everywhere = frozenset(left)

    def around(x: int, y: int, among: set[tuple[int, int]] | frozenset[tuple[int, int]]) -> list[tuple[int, int]]:
        return [(x + i, y + j) for i in (-1, 0, 1) for j in (-1, 0, 1) if (i or j) and (x + i, y + j) in among]

    def walk(path: list[tuple[int, int]]) -> None:
        while near := around(*path[-1], left):
            x, y = path[-1]
            back = path[-min(len(path), 6)]
            dx, dy = x - back[0], y - back[1]

            def straight(to: tuple[int, int], x: int = x, y: int = y, dx: int = dx, dy: int = dy) -> float:
                i, j = to[0] - x, to[1] - y
                return float((i * dx + j * dy) / np.hypot(i, j)) - 0.1 * abs(i * j)  # over a side before over a corner

            step = max(near, key=straight)
            left.discard(step)
            path.append(step)

    paths = []
    ends = sorted(pixel for pixel in left if len(around(*pixel, left)) == 1)
    for pixel in [*ends, *sorted(left)]:
        if pixel not in left:
            continue
        left.discard(pixel)
        # A branch begins on the line that it leaves.
        met = [other for other in around(*pixel, everywhere) if other not in left]
        path = [*met[:1], pixel]
        walk(path)
        if not met:
            path.reverse()
            walk(path)  # a closed line is cut somewhere: go on at the other side
        paths.append(np.array(path, dtype=np.float64))
    return paths


def fit_curves(path: Array, close: float) -> list[tuple[Array, Array, Array]]:
    """Quadratic Bezier curves (start, control, end) along a path (n, 2), none further from it than `close`.

    Least squares for the control point at given parameters (chord length), inside the box of start and end, as BEZIER
    wants it; where that strays too far, the path is cut (Schneider 1990).
    """
    first, last = path[0], path[-1]
    lengths = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(path, axis=0).T))])
    t = (lengths / max(lengths[-1], 1e-9))[:, None]
    weight = 2 * t * (1 - t)
    rest = path - (1 - t) ** 2 * first - t**2 * last
    control = (weight * rest).sum(0) / max(float((weight**2).sum()), 1e-9)
    control = np.clip(control, np.minimum(first, last), np.maximum(first, last))
    away = np.hypot(*(rest - weight * control).T)
    if len(path) < 6 or away.max() <= close:
        return [(first, control, last)]
    cut = int(np.clip(away.argmax(), len(path) // 4, len(path) - 1 - len(path) // 4))
    return fit_curves(path[: cut + 1], close) + fit_curves(path[cut:], close)


def _smooth(path: Array, sigma: float = 1.5) -> Array:
    """Without the steps of pixels; its ends stay where they are."""
    smooth = cv2.GaussianBlur(path[:, None, :], (1, 9), sigmaX=0.1, sigmaY=sigma, borderType=cv2.BORDER_REPLICATE)[:, 0]
    smooth[0], smooth[-1] = path[0], path[-1]
    return smooth


def _stroke(
    first: Array, control: Array, last: Array, hat: Array, breadth: Array, picture: Array
) -> tuple[float, Array]:
    """How visible a stroke is, and its values."""
    height, width = hat.shape
    t = np.linspace(0, 1, 9)[:, None]
    at = (1 - t) ** 2 * first + 2 * t * (1 - t) * control + t**2 * last
    x, y = (at[:, i].astype(int).clip(0, side - 1) for i, side in ((0, width), (1, height)))
    wide = np.maximum(0.8 * breadth[y, x], 0.6)  # what is faint at its edges counts less
    scale = np.array([width, height])
    span = np.where(np.abs(last - first) < 1e-6, np.inf, last - first)
    bend = np.where(np.isinf(span), 0.5, (control - first) / span)
    radius = np.array([wide[:5].mean(), wide[4:].mean()]) / min(height, width)
    length = float(np.hypot(*np.diff(at, axis=0).T).sum())
    colour = np.percentile(picture[y, x], 10, axis=0) / 255  # its middle is darker than its edges
    values = [*first / scale, *bend, *last / scale, *radius / BEZIER.field("radius").high, 0.9, 0.9, *colour]
    return (length + 1) * float(wide.mean() * hat[y, x].mean()), np.clip(values, 0, 1)
