"""What all brushes with weights have in common."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from renderer.brush import Brush, Size
from renderer.checks import check_weights

MIRRORED = 0.002  # narrow, so that few strokes are drawn otherwise than by version 0.1


def mirrored_weight(side: Tensor) -> Tensor:
    """How much of the mirror image to mix in where the sign of `side` chooses the frame: 1/2 at 0, none beyond MIRRORED."""
    return (0.5 - 0.5 * side.abs() / MIRRORED).clamp(min=0)


def mix_mirrored(own: Tensor, side: Tensor, image: Callable[[Tensor | slice], Tensor]) -> Tensor:
    """Mix mirror images in, so that what is drawn is continuous where the sign of `side` chooses the frame.

    Args:
        own: (B, i, j, k), in the frame of each stroke.
        side: (B,), whose sign chose the frames.
        image: rows, as (B,) booleans or a slice -> the mirror images of those strokes, `(n, i, j, k)`.

    Returns:
        (B, i, j, k).
    """
    weight = mirrored_weight(side)[:, None, None, None]
    if own.device.type != "cpu":  # it would have to wait for the numbers of the strokes
        return torch.lerp(own, image(slice(None)), weight)
    near = weight[:, 0, 0, 0] > 0
    if not near.any():
        return own
    return own.index_put((near,), torch.lerp(own[near], image(near), weight[near]))


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
