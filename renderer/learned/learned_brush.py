"""What all brushes with weights have in common."""

from __future__ import annotations

import torch
from torch import nn

from renderer.brush import Brush


class LearnedBrush(nn.Module, Brush):
    """A brush that is a network: differentiable, and on the device of its weights."""

    differentiable = True

    @property
    def device(self) -> torch.device:
        """The device of the weights, which is where strokes have to be."""
        return next(self.parameters()).device
