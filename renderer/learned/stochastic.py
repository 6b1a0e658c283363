"""Per-stroke noise of stochastic brushes: a function of the stroke, so that it is the same whenever it is drawn."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from renderer.strokes import MYPAINT

TILE = 64  # nodes a side of the tile of grain, which repeats
GRAIN = 0.25  # radii between two nodes of the grain


class StrokeNoise(NamedTuple):
    """The noise of B strokes.

    latent: (B, L) numbers of mean 0 and variance 1
    shift: (B, 2) where in the tile each stroke begins, in nodes
    tile: (channels, TILE, TILE) of grain, or None
    """

    latent: Tensor
    shift: Tensor
    tile: Tensor | None


class Grain(nn.Module):
    """White noise shaped by convolutions into `channels` fields that repeat without a seam.

    The receptive field, 13 nodes or 3 radii, is about the distance over which most stochastic brushes scatter dabs.
    """

    noise: Tensor

    def __init__(self, channels: int, width: int = 16) -> None:
        super().__init__()
        self.register_buffer("noise", torch.randn(2, TILE, TILE))
        self.shape = nn.Sequential(
            nn.Conv2d(2, width, 7, padding=3, padding_mode="circular"),
            nn.SiLU(),
            nn.Conv2d(width, width, 5, padding=2, padding_mode="circular"),
            nn.SiLU(),
            nn.Conv2d(width, channels, 3, padding=1, padding_mode="circular"),
        )

    def tile(self, noise: Tensor | None = None) -> Tensor:
        """`(channels, TILE, TILE)` of mean 0 and variance 1, from `noise` (2, TILE, TILE) or the brush's own."""
        tile: Tensor = self.shape((self.noise if noise is None else noise)[None])[0]
        return (tile - tile.mean((1, 2), True)) / (tile.std((1, 2), keepdim=True) + 1e-4)


def stroke_noise(strokes: Tensor, latent: int, grain: Grain | None) -> StrokeNoise:
    """Compute the noise of strokes `(B, 14)`: `latent` numbers, nearly normal, and a position in the grain.

    Smooth in the strokes' ends, so that gradient descent is not disturbed: a stroke that moves by a hundredth of the
    canvas has other noise, one that moves by a thousandth nearly the same.
    """
    ends = torch.cat([MYPAINT.get(strokes.detach(), name) for name in ("start", "end")], -1)  # (B, 4)
    steps = torch.arange(1, latent + 3, dtype=ends.dtype, device=ends.device)[:, None]
    # Phases of different speeds: a few turns over a canvas.
    speeds = 3 + 4 * torch.cos(steps * torch.tensor([2.4, 3.9, 5.1, 7.3], dtype=ends.dtype, device=ends.device))
    phase = ends @ speeds.T
    numbers = math.sqrt(2) * torch.sin(2 * math.pi * phase[:, 2:])  # mean 0, variance 1
    return StrokeNoise(numbers, phase[:, :2] * TILE, None if grain is None else grain.tile())
