"""Strokes on a photographed sheet of paper, straightened to the strips of a brush (`renderer.brushes.scanned`).

The paper under the strokes is estimated and divided out, so that uneven light and the paper's colour do not matter. What is
darker is ink: each connected part is a stroke, if it has one centre line (its medial axis) and ends on the sheet.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from renderer.brushes.scanned import MAX_BODY, REACH, UNIT
from renderer.errors import InputError

Array = NDArray[np.floating]

BLOCKS = 40  # per side, of which the median colours are compared with the paper
DEGREE = 3  # of the polynomial of the paper's colour
LEAST_INK = 0.12  # alpha of a visible mark
LEAST_RADIUS = 5.0  # pixels
BROADEST = 1 / 8  # of the long side: broader marks may be shadows
FRAGMENT = 0.5  # of the usual radius: smaller marks are parts of strokes
LEAST_LENGTH = 2.0  # of the path, in radii: a dab has no direction
BRANCHES = 1.6  # the medial axis of one stroke may be so much longer than its centre line
MARGIN = 3.0  # radii around the centre line in which a stroke's outline is searched


@dataclass(frozen=True, eq=False)
class SheetStroke:
    """A stroke on a sheet.

    strip: (rows, ACROSS) uint8 alpha, see `renderer.brushes.scanned.Scanned`; begins at the left end (or the upper one)
    path: (n, 2) x, y of its centre line in pixels of the sheet, from radius to radius before its ends
    radius: half of its breadth, in pixels
    """

    strip: Tensor
    path: Array
    radius: float


def find_strokes(image: Tensor) -> list[SheetStroke]:
    """Find the strokes on a sheet, in reading order.

    Strokes that touch the image's border, cross or branch, dabs, and fragments of dry strokes are left out.

    Args:
        image: (3, H, W), sRGB in [0, 1]: dark strokes on light paper, which do not touch, all of one brush.

    Raises:
        InputError: if there are none, or they are too small.
    """
    from skimage.measure import regionprops

    alpha = ink(image)
    labels, reach = _parts(alpha)
    parts = regionprops(labels)
    if not parts:
        raise InputError("There are no strokes: the sheet should show separate dark strokes on light paper.")
    found, widest = [], 0.0
    for part in parts:
        top, left, bottom, right = part.bbox
        if top <= 1 or left <= 1 or bottom >= alpha.shape[0] - 1 or right >= alpha.shape[1] - 1:
            continue
        line, radius = _centre_line(part.image, reach)
        if line is None:
            continue
        margin = int(MARGIN * radius) + 2
        window = tuple(slice(max(0, low - margin), high + margin) for low, high in ((top, bottom), (left, right)))
        own = np.where(np.isin(labels[window], (0, part.label)), alpha[window], 0)
        offset = np.array([window[1].start, window[0].start])
        stroke = _straighten(own, line + np.array([left, top]) - offset, radius)
        widest = max(widest, 0 if stroke is None else stroke.radius)
        if stroke is not None and stroke.radius >= LEAST_RADIUS:
            found.append(SheetStroke(stroke.strip, stroke.path + offset, stroke.radius))
    if not found and widest > 0:
        raise InputError(
            f"The strokes are too small: {2 * widest:.0f} pixels broad, where {2 * LEAST_RADIUS:.0f} are needed; "
            "photograph the sheet closer, or scan it at a higher resolution."
        )
    if not found:
        raise InputError(
            f"None of the {len(parts)} marks is a stroke: strokes should be longer than broad, not touch each other, and "
            "end on the sheet."
        )
    radii, areas = (
        [*values] for values in zip(*((s.radius, s.strip.numel() * s.radius**2) for s in found), strict=True)
    )
    usual = np.quantile(radii, 0.5, weights=areas, method="inverted_cdf")
    return [stroke for stroke in found if stroke.radius > FRAGMENT * usual]


def ink(image: Tensor) -> Array:
    """The alpha (H, W) of the ink on a sheet `image` (3, H, W): 0 is paper, 1 the darkest ink."""
    values = image.double().permute(1, 2, 0).numpy()
    darkness = (1 - values / _paper(values)).max(-1)
    # Noise of the paper: what the lighter half of the sheet scatters around its median.
    middle = float(np.median(darkness))
    noise = middle + 4 * 1.4826 * float(np.median(np.abs(darkness - middle)))
    alpha = ((darkness - noise) / max(1 - noise, 1e-3)).clip(0, 1)
    marks = alpha[alpha > LEAST_INK]
    darkest = float(np.percentile(marks, 90)) if marks.size else 1.0
    return np.asarray((alpha / max(darkest, LEAST_INK)).clip(0, 1))


def _paper(values: Array) -> Array:
    """The colour of the paper everywhere, (H, W, 3): a polynomial through the blocks without ink, times `_shadows`."""
    height, width = values.shape[:2]
    rows, columns = (np.linspace(0, side, min(BLOCKS, side) + 1).astype(int) for side in (height, width))
    blocks = np.array(
        [
            [np.median(values[y0:y1, x0:x1], (0, 1)) for x0, x1 in itertools.pairwise(columns)]
            for y0, y1 in itertools.pairwise(rows)
        ]
    )
    at_y, at_x = ((edges[1:] + edges[:-1]) / side - 1 for edges, side in ((rows, height), (columns, width)))
    terms = _terms(at_x[None, :], at_y[:, None]).reshape(-1, (DEGREE + 1) * (DEGREE + 2) // 2)
    colours = blocks.reshape(-1, 3)
    light = colours.mean(1)
    kept = light >= np.median(light)
    for _ in range(8):  # ink makes blocks darker than the fit: leave them out, and fit again
        weights = np.linalg.lstsq(terms[kept], colours[kept], rcond=None)[0]
        difference = light - (terms @ weights).mean(1)
        spread = 1.4826 * np.median(np.abs(difference[kept]))
        kept = np.abs(difference) < 3 * spread + 0.01
    y, x = (2 * (np.arange(side) + 0.5) / side - 1 for side in (height, width))
    paper = np.stack([_terms(x[None, :], row) @ weights for row in y[:, None, None]])[:, 0].clip(0.05, None)
    return paper * _shadows(values / paper)


def _shadows(ratio: Array) -> Array:
    """What is left of an image (H, W, 3) without dark marks narrower than `BROADEST`: light and shadow on the paper."""
    import cv2

    height, width = ratio.shape[:2]
    small = cv2.resize(ratio, (max(1, width // 8), max(1, height // 8)), interpolation=cv2.INTER_AREA)
    side = max(3, round(BROADEST * max(small.shape[:2])))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    closed = cv2.GaussianBlur(cv2.morphologyEx(small, cv2.MORPH_CLOSE, disc), (0, 0), side / 6)
    return np.asarray(cv2.resize(closed, (width, height), interpolation=cv2.INTER_LINEAR).clip(0.05, None))


def _terms(x: Array, y: Array) -> Array:
    """The terms of the polynomial at x and y in [-1, 1]: (..., terms)."""
    return np.stack([x**i * y**j for i in range(DEGREE + 1) for j in range(DEGREE + 1 - i)], -1)


def _parts(alpha: Array) -> tuple[NDArray[np.int64], int]:
    """Connected marks, labelled from 1, and how far apart bristles of one mark may be, in pixels."""
    from skimage.filters import apply_hysteresis_threshold, gaussian
    from skimage.measure import label
    from skimage.morphology import remove_small_objects

    gap = max(1, round(max(alpha.shape) / 500))
    mask = apply_hysteresis_threshold(gaussian(alpha, 1), LEAST_INK, 2 * LEAST_INK)
    mask = _closed(mask, gap)
    return label(remove_small_objects(mask, max_size=(4 * gap) ** 2)), gap


def _closed(mask: NDArray[np.bool_], reach: int) -> NDArray[np.bool_]:
    import cv2

    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    return cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_CLOSE, disc).astype(bool)


def _centre_line(mask: NDArray[np.bool_], reach: int) -> tuple[Array | None, float]:
    """x, y (n, 2) along the longest path of the medial axis, None if the mark branches; and the mark's radius in pixels."""
    from skimage.graph import MCP
    from skimage.measure import label
    from skimage.morphology import medial_axis, skeletonize

    padded = _closed(np.pad(mask, 4 * reach), 3 * reach)
    outside = label(~padded, connectivity=1)
    padded = outside != outside[0, 0]  # without holes
    _, distance = medial_axis(padded, return_distance=True)
    axis = skeletonize(padded)
    costs = np.where(axis, 1.0, -1.0)  # negative: no way
    ends = [tuple(np.argwhere(axis)[0])]
    for _ in range(2):  # the farthest point from the farthest point
        graph = MCP(costs)
        lengths, _ = graph.find_costs([ends[-1]])
        lengths = np.where(np.isfinite(lengths), lengths, -1)
        ends.append(tuple(np.unravel_index(lengths.argmax(), lengths.shape)))
    path = np.array(graph.traceback(ends[-1]))
    radius = float(np.median(distance[tuple(path.T)]))
    if len(path) < LEAST_LENGTH * radius or axis.sum() > BRANCHES * len(path) + 2 * radius:
        return None, radius
    # Near its ends the axis turns into a corner of the mark.
    trim = min(round(radius), (len(path) - 3) // 2)
    line = _smooth(path[trim : len(path) - trim, ::-1].astype(float), radius)
    horizontal = np.ptp(line[:, 0]) >= np.ptp(line[:, 1])
    start, end = line[0], line[-1]
    backward = start[0] > end[0] if horizontal else start[1] > end[1]
    return (line[::-1] if backward else line) - 4 * reach, radius


def _smooth(line: Array, radius: float) -> Array:
    """A line (n, 2) without the axis' detours around dry places: a cubic if it is near, as most strokes are."""
    from skimage.filters import gaussian

    t = np.linspace(-1, 1, len(line))
    cubic = np.polynomial.Polynomial
    smooth = np.stack([cubic.fit(t, line[:, k], min(3, len(line) - 1))(t) for k in range(2)], -1)
    if np.hypot(*(smooth - line).T).max() < 0.6 * radius:
        return smooth
    return np.asarray(gaussian(line, (2 * radius, 0), mode="nearest"))


def _straighten(alpha: Array, line: Array, radius: float) -> SheetStroke | None:
    """Sample a mark along and across its centre line: at first in a wide strip, then in its outline. None for a dab."""
    line = _extended(line, MARGIN * radius + 2)
    wide = _sampled(
        alpha, line, np.arange(0, _length(line), 1.0), np.arange(-MARGIN * radius, MARGIN * radius + 0.5, 1.0)
    )
    mass = np.convolve(wide.mean(1), np.ones(5) / 5, "same")
    rows = np.flatnonzero(mass > 0.04 * np.median(mass[mass > 0.5 * mass.max()]))
    seen = wide[rows] > LEAST_INK
    broad = seen.sum(1) > 0
    if broad.sum() < LEAST_LENGTH:
        return None
    first, last = seen[broad].argmax(1), seen.shape[1] - 1 - seen[broad][:, ::-1].argmax(1)
    # Many rows of a dry mark lack the bristles at its borders: radius and middle are those of its broad rows.
    radius = float(np.percentile(last - first + 1, 80)) / 2
    whole = last - first + 1 > 1.5 * radius
    at, middle = rows[broad][whole], ((first + last) / 2)[whole] - (wide.shape[1] - 1) / 2
    body = rows[-1] - rows[0] + 1 - 2 * radius
    if body < LEAST_LENGTH * radius or len(at) < LEAST_LENGTH:
        return None
    shift = np.polynomial.Polynomial.fit(at, middle, min(3, len(at) // 16))
    cells = min(MAX_BODY, max(1, round(body / radius * UNIT)))
    caps = int(REACH * UNIT)
    step = radius / UNIT
    ends, begin = (np.arange(caps) + 0.5) * step, rows[0] + radius
    inner = (np.arange(cells) + 0.5) * (body / cells)
    along = np.concatenate((begin - ends[::-1], begin + inner, begin + body + ends))
    across = (np.arange(-caps, caps) + 0.5) * step
    way = np.linspace(begin, begin + body, 64)
    offset, on_path = (_continued(shift, place, at[0], at[-1]) for place in (along, way))
    strip = _sampled(_blurred(alpha, step), line, along, across, offset)
    path = _sampling_points(line, way, np.zeros(1), on_path)[:, 0]
    return SheetStroke(torch.from_numpy(np.rint(255 * strip).astype(np.uint8)), path, radius)


def _continued(curve: np.polynomial.Polynomial, at: Array, first: float, last: float) -> Array:
    """A polynomial at places `at`, straight beyond the first and the last place that it was fitted to."""
    inside = at.clip(first, last)
    return np.asarray(curve(inside) + curve.deriv()(inside) * (at - inside), np.float64)


def _blurred(alpha: Array, step: float) -> Array:
    """Without what samples `step` pixels apart cannot show."""
    from skimage.filters import gaussian

    return np.asarray(gaussian(alpha, 0.4 * step)) if step > 1.25 else alpha


def _extended(line: Array, by: float) -> Array:
    """The line with straight ends, in points a pixel apart or less."""
    reach = min(len(line) - 1, 10)
    before, behind = line[0] - line[reach], line[-1] - line[-1 - reach]
    steps = np.arange(1, int(by) + 2)[:, None]
    before, behind = (way / max(float(np.hypot(*way)), 1e-6) for way in (before, behind))
    return np.concatenate(((line[0] + steps * before)[::-1], line, line[-1] + steps * behind))


def _length(line: Array) -> float:
    return float(np.hypot(*np.diff(line, axis=0).T).sum())


def _points(line: Array, along: Array) -> Array:
    """Points (n, 2) of a line at distances `along` (n,) from its start."""
    way = np.concatenate(([0.0], np.hypot(*np.diff(line, axis=0).T).cumsum()))
    return np.stack([np.interp(along, way, line[:, k]) for k in range(2)], -1)


def _sampling_points(line: Array, along: Array, across: Array, offset: Array | float = 0.0) -> Array:
    """Points (along, across, 2) at distances in pixels from the line's start, and `offset` + across to the right of it."""
    points = _points(line, along)
    ways = _points(line, along + 1.5) - _points(line, along - 1.5)
    ways /= np.maximum(np.hypot(*ways.T), 1e-6)[:, None]
    normals = np.stack((-ways[:, 1], ways[:, 0]), -1)
    side = np.broadcast_to(offset, along.shape)[:, None] + across
    return np.asarray(points[:, None] + side[..., None] * normals[:, None])


def _sampled(alpha: Array, line: Array, along: Array, across: Array, offset: Array | float = 0.0) -> Array:
    """Alpha (along, across) at `_sampling_points`; 0 outside."""
    import cv2

    x, y = _sampling_points(line, along, across, offset).astype(np.float32).transpose(2, 0, 1)
    return np.asarray(cv2.remap(alpha.astype(np.float32), x, y, cv2.INTER_LINEAR, borderValue=0), np.float64)
