"""The exponential moving average of a network."""

from __future__ import annotations

import torch
from torch import Tensor, nn


@torch.no_grad()
def update_ema(average: nn.Module, model: nn.Module, decay: float, *, average_buffers: bool = False) -> None:
    """Move `average`, a copy of `model`, towards it: average <- decay average + (1 - decay) model, in place.

    Parameters are averaged. Buffers (statistics of normalisation) are copied; with `average_buffers`, those of floating
    point are averaged too.
    """
    means: list[Tensor] = list(average.parameters())
    values: list[Tensor] = list(model.parameters())
    for mean, value in zip(average.buffers(), model.buffers(), strict=True):
        if average_buffers and mean.is_floating_point():
            means.append(mean)
            values.append(value)
        else:
            mean.copy_(value)
    torch._foreach_lerp_(means, values, 1 - decay)
