"""Pixels of boxes in one row of memory, and linear interpolation in grids at such pixels."""

from __future__ import annotations

import torch
from torch import Tensor


def pixels_of(box: Tensor, start: Tensor, total: int) -> tuple[Tensor, Tensor, Tensor]:
    """List the pixels of boxes.

    Args:
        box: `(N, 4)` left, top, width, height in whole pixels.
        start: `(N,)` index of the first pixel of each box in the row of memory.
        total: T, the number of pixels of all boxes.

    Returns:
        `owner` (T,), the index of the box that each pixel belongs to, and the pixel centres `x` and `y` (T,) in pixels
        of the canvas. The boxes must fill the row without gaps; their order in memory is free.
    """
    left, top, width, height = box.unbind(1)
    order = start.argsort()
    owner = order.repeat_interleave((width * height)[order], output_size=total)
    within = torch.arange(total, device=box.device) - start[owner]
    columns = width[owner]
    return owner, (left[owner] + within % columns) + 0.5, (top[owner] + within // columns) + 0.5


def lookup(grids: Tensor, owner: Tensor, row: Tensor, column: Tensor) -> Tensor:
    """Interpolate linearly in `grids` (B, R, C), for each pixel in the grid of its `owner` (T,).

    `row` and `column` (T,) are in nodes; beyond the border the interpolation goes on linearly. Returns `(T,)`.
    """
    rows, columns = grids.shape[1:]
    i, j = row.detach().floor().clamp(0, rows - 2), column.detach().floor().clamp(0, columns - 2)
    f, g = row - i, column - j
    first = (owner * rows + i.long()) * columns + j.long()
    flat = grids.flatten()
    above = torch.lerp(flat.index_select(0, first), flat.index_select(0, first + 1), g)
    below = torch.lerp(flat.index_select(0, first + columns), flat.index_select(0, first + columns + 1), g)
    return torch.lerp(above, below, f)
