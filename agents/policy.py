"""The policy: a fully convolutional network that proposes strokes for every cell of a grid.

It sees canvas and target at a fixed number of pixels per cell. One set of weights therefore serves every grid (from four
cells for large areas to thousands for lines), every resolution and every aspect ratio.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from renderer.strokes import BEZIER, StrokeSpace

CELL_PIXELS = 8
"""Side of a cell in pixels, as the policy sees it."""


class Policy(nn.Module):
    """Propose `each` Bezier strokes per cell.

    Start and end of a stroke lie in the 3x3 cells around its own, inside the canvas; its radius is at most one cell. Its
    colour is the target's mean in the cell, a placeholder that `agents.optimal_colour` replaces.

    Args:
        width: Channels of the network.
        blocks: Number of residual blocks.
        each: Proposals per cell.
    """

    space: StrokeSpace = BEZIER

    def __init__(self, width: int = 64, blocks: int = 3, each: int = 4) -> None:
        if not (1 <= width <= 4096 and 0 <= blocks <= 1000 and 1 <= each <= 1000):
            raise ValueError(f"a policy has no {width} channels, {blocks} blocks and {each} proposals")
        super().__init__()
        self.each = each
        self.stem = nn.Sequential(
            nn.Conv2d(10, width // 2, 3, 2, 1),
            nn.SiLU(),
            nn.Conv2d(width // 2, width, 3, 2, 1),
            nn.SiLU(),
            nn.Conv2d(width, width, 3, 2, 1),
        )
        self.blocks = nn.ModuleList(_Block(width) for _ in range(blocks))
        self.head = nn.Conv2d(width, 10 * each, 1)
        nn.init.zeros_(self.head.bias)  # type: ignore[arg-type]

    def forward(self, canvas: Tensor, target: Tensor, grid: tuple[int, int]) -> Tensor:
        """Canvas and target `(B, 3, H, W)` and a grid (rows, columns) -> strokes `(B, each * rows * columns, P)`.

        All proposals of a picture are in [0, 1], ordered by proposal, row and column.
        """
        B, _, H, W = canvas.shape
        rows, columns = grid
        seen = F.interpolate(torch.cat((canvas, target), 1), (rows * CELL_PIXELS, columns * CELL_PIXELS), mode="area")
        difference = seen[:, 3:] - seen[:, :3]
        # The scale of the grid. As the convolutions pad with zeros, this plane also shows where the picture ends.
        level = seen.new_full((B, 1, rows * CELL_PIXELS, columns * CELL_PIXELS), math.log2(min(rows, columns) + 1) / 4)
        x = self.stem(torch.cat((seen, difference * 4, level), 1).contiguous(memory_format=torch.channels_last))
        for block in self.blocks:
            x = block(x)
        raw = self.head(F.silu(x)).contiguous().view(B * self.each, 10, rows, columns)
        strokes = self._strokes(raw, seen[:, 3:].repeat_interleave(self.each, 0), (H, W))
        return strokes.reshape(B, -1, strokes.shape[-1])

    def _strokes(self, raw: Tensor, target: Tensor, size: tuple[int, int]) -> Tensor:
        """Network output `(N, 10, rows, columns)` -> strokes `(N, rows * columns, P)`."""
        rows, columns = raw.shape[-2:]
        y, x = torch.meshgrid(
            torch.arange(rows, device=raw.device) + 0.5, torch.arange(columns, device=raw.device) + 0.5, indexing="ij"
        )
        cell = torch.stack((x, y))  # (2, rows, columns), centre of each cell in cells
        scale = torch.tensor([columns, rows], device=raw.device, dtype=raw.dtype)[:, None, None]
        start = ((cell + 1.5 * torch.tanh(raw[:, 0:2])) / scale).clamp(0, 1)
        end = ((cell + 1.5 * torch.tanh(raw[:, 2:4])) / scale).clamp(0, 1)
        bend = torch.sigmoid(raw[:, 4:6])
        side = min(size[0] / rows, size[1] / columns) / min(size)  # of a cell, in short sides of the canvas
        radius = torch.sigmoid(raw[:, 6:8] - 1) * (side / self.space.field("radius").high)
        opacity = torch.sigmoid(raw[:, 8:10] + 2)
        colour = F.avg_pool2d(target, CELL_PIXELS)
        return torch.cat((start, bend, end, radius.clamp(max=1), opacity, colour), 1).flatten(2).mT


class _Block(nn.Module):
    """Residual block of two 3x3 convolutions."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(8, width)
        self.first = nn.Conv2d(width, width, 3, 1, 1)
        self.second = nn.Conv2d(width, width, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(F.silu(self.first(F.silu(self.norm(x)))))
