"""Line mode: separate a picture into flat areas (masses) and dark lines, and trace the lines as strokes.

The faces of KaoKore were painted as flat areas first, then lines with a wet brush. The painter does the same: it removes
the lines from the picture, paints the rest, and adds strokes along the centres of the lines.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from renderer.strokes import BEZIER

Array = NDArray[Any]

MAX_LINE_WIDTH = 0.04
"""Width of the widest line, as a fraction of the canvas' short side."""
MAX_CRACK_WIDTH = 0.01
"""Width of the widest light crack in a dark area that is ignored, as a fraction of the short side."""
MIN_CONTRAST, PEAK_CONTRAST = 0.05, 0.12
"""How much darker than its surroundings a line is: everywhere, and at its darkest place at least."""
MIN_LINE_LENGTH = 0.02
"""Length of the shortest line, as a fraction of the short side."""
TOLERANCE = 0.6
"""Largest distance of a stroke from its line in pixels."""


def remove_lines(target: Tensor) -> Tensor:
    """Remove the dark lines of a picture `(3, H, W)`, sRGB in [0, 1], and flatten its colours.

    Lines up to `MAX_LINE_WIDTH` are filled by a morphological closing. A median and a mean-shift filter (Comaniciu and Meer
    2002) remove small variation and keep the edges of areas.
    """
    import cv2  # here, because it takes long to import

    closed, _ = _closed(target)
    height, width = closed.shape[:2]
    flat = cv2.medianBlur(closed, 2 * max(1, round(0.01 * min(height, width))) + 1)
    flat = cv2.pyrMeanShiftFiltering(flat, max(2.0, 0.03 * min(height, width)), 12)
    return torch.from_numpy(flat).permute(2, 0, 1).to(target) / 255


def trace_lines(target: Tensor, count: int) -> Tensor:
    """Trace the dark lines of a picture as strokes of the space BEZIER.

    The black top-hat of the picture is thresholded with hysteresis and thinned to one pixel (Zhang and Suen 1984). Paths
    through it continue straight at crossings and are cut into quadratic curves that keep within `TOLERANCE` pixels.
    A stroke has the width and the colour of its line.

    Args:
        target: `(3, H, W)`, sRGB in [0, 1].
        count: Number of strokes at most; the most visible ones are kept.

    Returns:
        Strokes `(n, 13)` in [0, 1], n <= count, line by line, the most visible line first.
    """
    import cv2  # here, as the next ones, because it takes long to import
    from skimage.filters import apply_hysteresis_threshold
    from skimage.morphology import remove_small_objects, skeletonize

    closed, picture = _closed(target)
    hat = (closed.astype(np.float32) - picture).mean(-1) / 255
    height, width = hat.shape
    short = min(height, width)
    mask = apply_hysteresis_threshold(hat, MIN_CONTRAST, PEAK_CONTRAST)
    mask = remove_small_objects(mask, max_size=max(2, int(MIN_LINE_LENGTH * short)), connectivity=2)
    if not mask.any() or count < 1:
        return target.new_zeros(0, BEZIER.width)
    half_width = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5)
    traced = []
    for path in follow(skeletonize(mask)):
        if len(path) < max(3, MIN_LINE_LENGTH * short):
            continue
        curves = fit_curves(smooth_path(path + 0.5), TOLERANCE)
        strokes = [_stroke(first, control, last, hat, half_width, picture) for first, control, last in curves]
        traced.append(strokes)
    traced.sort(key=lambda strokes: -sum(stroke[0] for stroke in strokes))
    candidates = [stroke for strokes in traced for stroke in strokes]
    threshold = sorted((visibility for visibility, _ in candidates), reverse=True)[:count][-1] if candidates else 0.0
    kept = [values for visibility, values in candidates if visibility >= threshold][:count]
    return torch.tensor(np.array(kept).reshape(-1, BEZIER.width), dtype=target.dtype, device=target.device)


def _closed(target: Tensor) -> tuple[Array, Array]:
    """The picture with its dark lines filled, and the picture itself, both (H, W, 3) uint8."""
    import cv2

    picture = (target.detach().cpu().clamp(0, 1) * 255).round().byte().permute(1, 2, 0).contiguous().numpy()
    short = min(picture.shape[:2])
    # Light cracks are removed first; otherwise worn dark hair would be filled with the colour of its cracks.
    opened = cv2.morphologyEx(picture, cv2.MORPH_OPEN, disc(MAX_CRACK_WIDTH * short))
    closed = cv2.morphologyEx(opened, cv2.MORPH_CLOSE, disc(MAX_LINE_WIDTH * short))
    return np.maximum(closed, opened), picture


def disc(width: float) -> Array:
    """A disc for morphology, about `width` pixels broad."""
    import cv2

    side = 2 * max(1, round(width / 2)) + 1
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))


def follow(skeleton: Array) -> list[Array]:
    """Follow a skeleton (H, W) of booleans: paths (n, 2) of x, y that visit every pixel and go straight on at crossings."""
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
                return float((i * dx + j * dy) / np.hypot(i, j)) - 0.1 * abs(
                    i * j
                )  # a neighbour across a side before one across a corner

            step = max(near, key=straight)
            left.discard(step)
            path.append(step)

    paths = []
    ends = sorted(pixel for pixel in left if len(around(*pixel, left)) == 1)
    for pixel in [*ends, *sorted(left)]:
        if pixel not in left:
            continue
        left.discard(pixel)
        # A branch starts on the line that it leaves.
        met = [other for other in around(*pixel, everywhere) if other not in left]
        path = [*met[:1], pixel]
        walk(path)
        if not met:
            path.reverse()
            walk(path)  # a closed line is cut here: continue at the other end
        paths.append(np.array(path, dtype=np.float64))
    return paths


def fit_curves(path: Array, tolerance: float) -> list[tuple[Array, Array, Array]]:
    """Fit quadratic Bezier curves (start, control, end) to a path (n, 2), none further from it than `tolerance`.

    Least squares for the control point with chord-length parameters, clipped to the box of start and end, as the space
    BEZIER requires; where the curve is too far away, the path is cut in two (Schneider 1990).
    """
    first, last = path[0], path[-1]
    lengths = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(path, axis=0).T))])
    t = (lengths / max(lengths[-1], 1e-9))[:, None]
    weight = 2 * t * (1 - t)
    rest = path - (1 - t) ** 2 * first - t**2 * last
    control = (weight * rest).sum(0) / max(float((weight**2).sum()), 1e-9)
    control = np.clip(control, np.minimum(first, last), np.maximum(first, last))
    distance = np.hypot(*(rest - weight * control).T)
    if len(path) < 6 or distance.max() <= tolerance:
        return [(first, control, last)]
    cut = int(np.clip(distance.argmax(), len(path) // 4, len(path) - 1 - len(path) // 4))
    return fit_curves(path[: cut + 1], tolerance) + fit_curves(path[cut:], tolerance)


def smooth_path(path: Array, sigma: float = 1.5) -> Array:
    """Smooth the pixel steps of a path (n, 2); its ends stay."""
    import cv2

    smooth = cv2.GaussianBlur(path[:, None, :], (1, 9), sigmaX=0.1, sigmaY=sigma, borderType=cv2.BORDER_REPLICATE)[:, 0]
    smooth[0], smooth[-1] = path[0], path[-1]
    return smooth


def _stroke(
    first: Array, control: Array, last: Array, hat: Array, half_width: Array, picture: Array
) -> tuple[float, Array]:
    """The visibility of a curve (length times width times contrast) and its stroke (13,)."""
    height, width = hat.shape
    t = np.linspace(0, 1, 9)[:, None]
    at = (1 - t) ** 2 * first + 2 * t * (1 - t) * control + t**2 * last
    x, y = (at[:, i].astype(int).clip(0, side - 1) for i, side in ((0, width), (1, height)))
    radii = np.maximum(0.8 * half_width[y, x], 0.6)  # narrower than the mask, whose edge is faint
    scale = np.array([width, height])
    span = np.where(np.abs(last - first) < 1e-6, np.inf, last - first)
    bend = np.where(np.isinf(span), 0.5, (control - first) / span)
    radius = np.array([radii[:5].mean(), radii[4:].mean()]) / min(height, width)
    length = float(np.hypot(*np.diff(at, axis=0).T).sum())
    colour = np.percentile(picture[y, x], 10, axis=0) / 255  # dark, as at the centre of the line
    values = [*first / scale, *bend, *last / scale, *radius / BEZIER.field("radius").high, 0.9, 0.9, *colour]
    return (length + 1) * float(radii.mean() * hat[y, x].mean()), np.clip(values, 0, 1)
