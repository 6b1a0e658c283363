"""What all brushes with weights have in common."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from renderer.brush import Brush, Size
from renderer.checks import check_weights

MIRRORED = 0.002  # narrow, so that few strokes are drawn otherwise than by version 0.1


def mirrored_weight(side: Tensor) -> Tensor:
    """How much of the mirror image to mix in where the sign of `side` chooses the frame: 1/2 at 0, none beyond MIRRORED."""
    return (0.5 - 0.5 * side.abs() / MIRRORED).clamp(min=0)


class LearnedBrush(nn.Module, Brush):
    """A brush that is a network: differentiable, and on the device of its weights."""

    differentiable = True

    @property
    def device(self) -> torch.device:
        """The device of the weights, which is where strokes have to be."""
        return next(self.parameters()).device

    def check(self, strokes: Tensor, size: Size) -> None:
        """See `renderer.brush.Brush`; strokes also need the precision and the device of the weights."""
        super().check(strokes, size)
        check_weights(strokes, next(self.parameters()))
