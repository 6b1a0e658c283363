"""What all brushes with weights have in common."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from renderer.brush import Brush, Size
from renderer.checks import check_weights


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
