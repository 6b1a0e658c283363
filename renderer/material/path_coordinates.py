"""Coordinates along and across strokes for all pixels of their boxes, computed on a coarse grid and interpolated."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from renderer.learned.curve_coordinates import Sweep, sweeps
from renderer.material.noise_tiles import Array
from renderer.ops.patch_pixels import pixels_of
from renderer.strokes import MYPAINT, StrokeSpace

COARSE = 4  # pixels between nodes of the grid, in a broad stroke


@dataclass(frozen=True)
class PathCoordinates:
    """Where the pixels (h, w) of a stroke's box lie, in pixels.

    along: from the path's start, by arc length; negative before it, beyond the length behind its end
    across: to the right of the path; negative to the left
    length: of the path
    """

    along: Array
    across: Array
    length: float


def half_widths(strokes: Tensor, space: StrokeSpace) -> Tensor:
    """The radius (N,) of strokes (N, P), the larger of two, as a fraction of the short side."""
    return space.get(strokes, "radius").amax(-1)


def paths(strokes: Tensor, space: StrokeSpace) -> Tensor:
    """Strokes (N, P) as rows (N, 14) of MYPAINT with the same paths; straight where the space has no bend."""
    rows = torch.full((len(strokes), MYPAINT.width), 0.5)
    for name in ("start", "bend", "end"):
        if name in space:
            rows = MYPAINT.put(rows, name, space.get(strokes.float(), name))
    return rows


@torch.no_grad()
def coordinates(strokes: Tensor, space: StrokeSpace, size: tuple[int, int], box: Tensor) -> list[PathCoordinates]:
    """The coordinates of the pixels of a box for each stroke.

    Args:
        strokes: (N, P) on the CPU.
        space: theirs; with fields start and end.
        size: (height, width) of the canvas in pixels.
        box: (N, 4) left, top, width, height in pixels.
    """
    reach = 1.5 * half_widths(strokes.float(), space)[:, None] * min(size) + 1
    sweep = sweeps(paths(strokes, space), size, reach)
    steps = (reach[:, 0] / 3).clamp(1, COARSE).floor().long()
    grid = torch.cat((box[:, :2], -(-box[:, 2:] // steps[:, None]) + 1), 1)
    area = grid[:, 2] * grid[:, 3]
    start = area.cumsum(0) - area
    owner, x, y = pixels_of(grid, start, int(area.sum()))
    # Nodes lie at the centre of every step-th pixel.
    x = box[owner, 0] + (x - 0.5 - box[owner, 0]) * steps[owner] + 0.5
    y = box[owner, 1] + (y - 0.5 - box[owner, 1]) * steps[owner] + 0.5
    along, across, length = _located(sweep, owner, x.float(), y.float())
    result = []
    for i, (first, step) in enumerate(zip(start.tolist(), steps.tolist(), strict=True)):
        _, _, columns, rows = grid[i].tolist()
        width, height = box[i, 2:].tolist()
        u, v = (part[first : first + rows * columns].view(rows, columns).numpy() for part in (along, across))
        whole = enlarged(np.stack((u, v), -1), step, height, width)
        result.append(PathCoordinates(whole[..., 0], whole[..., 1], float(length[i])))
    return result


def _located(sweep: Sweep, owner: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Along and across (T,) of points, and the lengths (N,) of paths, in pixels."""
    place = sweep.locate(owner, x, y)
    reach = sweep.reach[:, 0][owner]
    along = sweep.arc(owner, place.t) + reach * (place.before + place.behind)
    everyone = torch.arange(len(sweep.start))
    return along, place.side * reach, sweep.arc(everyone, torch.ones(len(everyone)))


def enlarged(nodes: Array, step: int, height: int, width: int) -> Array:
    """Nodes at every step-th pixel, interpolated linearly to all pixels."""
    import cv2

    if step == 1:
        return np.ascontiguousarray(nodes[:height, :width])
    scale = np.array([[1 / step, 0, 0], [0, 1 / step, 0]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(nodes, scale, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE))
