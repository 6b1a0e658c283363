"""The policy: a fully convolutional network that proposes strokes for every cell of a grid.

It sees canvas and target at a fixed number of pixels a cell, so that the same weights serve every grid, from a few
cells for masses to thousands for lines, every size and every aspect ratio.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from renderer.strokes import BEZIER, StrokeSpace

PIXELS = 8  # a cell's side as the policy sees it


class Policy(nn.Module):
    """canvas, target (B, 3, H, W) and a grid (rows, columns) -> strokes (B, each * rows * columns, P).

    A stroke lies in the window of 3x3 cells around its own, cut at the canvas' edge, with a radius of at most one cell.
    Its colour is a placeholder (the target's mean in the cell): the known model of the canvas gives the best one.
    """

    space: StrokeSpace = BEZIER

    def __init__(self, width: int = 64, blocks: int = 3, each: int = 4) -> None:
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
        """Proposals for one grid."""
        B, _, H, W = canvas.shape
        rows, columns = grid
        seen = F.interpolate(torch.cat((canvas, target), 1), (rows * PIXELS, columns * PIXELS), mode="area")
        difference = seen[:, 3:] - seen[:, :3]
        # How small a cell is; the constant plane also shows the convolutions where the picture ends.
        level = seen.new_full((B, 1, rows * PIXELS, columns * PIXELS), math.log2(min(rows, columns) + 1) / 4)
        x = self.stem(torch.cat((seen, difference * 4, level), 1).contiguous(memory_format=torch.channels_last))
        for block in self.blocks:
            x = block(x)
        raw = self.head(F.silu(x)).contiguous().view(B * self.each, 10, rows, columns)
        strokes = self._strokes(raw, seen[:, 3:].repeat_interleave(self.each, 0), (H, W))
        return strokes.reshape(B, -1, strokes.shape[-1])

    def _strokes(self, raw: Tensor, target: Tensor, size: tuple[int, int]) -> Tensor:
        rows, columns = raw.shape[-2:]
        y, x = torch.meshgrid(
            torch.arange(rows, device=raw.device) + 0.5, torch.arange(columns, device=raw.device) + 0.5, indexing="ij"
        )
        cell = torch.stack((x, y))  # (2, rows, columns), in cells
        scale = torch.tensor([columns, rows], device=raw.device, dtype=raw.dtype)[:, None, None]
        start = ((cell + 1.5 * torch.tanh(raw[:, 0:2])) / scale).clamp(0, 1)
        end = ((cell + 1.5 * torch.tanh(raw[:, 2:4])) / scale).clamp(0, 1)
        bend = torch.sigmoid(raw[:, 4:6])
        side = min(size[0] / rows, size[1] / columns) / min(size)  # of a cell, as a fraction of the short side
        radius = torch.sigmoid(raw[:, 6:8] - 1) * (side / self.space.field("radius").high)
        opacity = torch.sigmoid(raw[:, 8:10] + 2)
        colour = F.avg_pool2d(target, PIXELS)
        return torch.cat((start, bend, end, radius.clamp(max=1), opacity, colour), 1).flatten(2).mT


class _Block(nn.Module):
    """A residual block."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(8, width)
        self.first = nn.Conv2d(width, width, 3, 1, 1)
        self.second = nn.Conv2d(width, width, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(F.silu(self.first(F.silu(self.norm(x)))))
