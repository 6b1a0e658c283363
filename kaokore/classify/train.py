"""How a classifier learns: one step at a time, everything that is random handed in."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def optimizer_of(network: nn.Module, learning_rate: float, weight_decay: float) -> torch.optim.AdamW:
    """AdamW (Loshchilov and Hutter 2019) on what is not frozen; biases and normalisation are not decayed.

    Fused: one pass over the weights, which for VGG11's 129 million is nine times as fast on a CPU.
    """
    free = [parameter for parameter in network.parameters() if parameter.requires_grad]
    return torch.optim.AdamW(
        [
            {"params": [p for p in free if p.ndim > 1], "weight_decay": weight_decay},
            {"params": [p for p in free if p.ndim <= 1], "weight_decay": 0.0},
        ],
        learning_rate,
        fused=True,
    )


def schedule(step: int, steps: int, warmup: int) -> float:
    """Factor of the learning rate: linear to 1 in `warmup` steps, then half a cosine to 0.

    >>> [round(schedule(step, 10, 2), 2) for step in (0, 1, 2, 6, 9)]
    [0.5, 1.0, 1.0, 0.5, 0.04]
    """
    if step < warmup:
        return (step + 1) / warmup
    return (1 + math.cos(math.pi * (step - warmup) / max(steps - warmup, 1))) / 2


def class_weights(labels: Tensor, classes: int, balance: float) -> Tensor:
    """(C,): what a face of each class counts, mean 1 over the faces: 0 all the same, 1 each class the same in all.

    >>> class_weights(torch.tensor([0, 0, 0, 1]), 2, 1.0)
    tensor([0.6667, 2.0000])
    """
    weights = torch.bincount(labels, minlength=classes).clamp(min=1).float() ** -balance
    return weights / weights[labels].mean()


def order_of(n: int, seed: int, epoch: int) -> Tensor:
    """The order of `n` faces in an epoch, which a resumed training finds again."""
    return torch.randperm(n, generator=torch.Generator().manual_seed(seed * 100_003 + epoch))


def freeze(parts: Sequence[nn.Module], share: float) -> list[nn.Module]:
    """Freezes the first `share` in [0, 1] of the parts and returns them; they are to stay in evaluation mode."""
    frozen = list(parts[: round(share * len(parts))])
    for part in frozen:
        part.requires_grad_(False)
    return frozen


def learn(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    images: Tensor,
    labels: Tensor,
    weights: Tensor,
    smoothing: float,
    frozen: Sequence[nn.Module] = (),
    precision: torch.dtype = torch.float32,
) -> float:
    """One step on normalised images (B, 3, H, W); returns the loss, cross-entropy in nats.

    `weights`: of the classes; `smoothing`: what of a label is spread over all classes (Szegedy et al. 2016);
    `frozen`: parts whose statistics stay as they are, too; `precision`: of convolutions and products (autocast).
    """
    network.train()
    for part in frozen:
        part.eval()
    with torch.autocast(images.device.type, precision, enabled=precision != torch.float32):
        scores = network(images)
    loss = F.cross_entropy(scores.float(), labels, weights, label_smoothing=smoothing)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(network.parameters(), 5.0)  # a network without normalisation may leap at the start
    optimizer.step()
    return loss.item()


@torch.no_grad()
def follow(average: nn.Module, network: nn.Module, step: int, decay: float) -> None:
    """Moves `average` towards `network`: the exponential moving average of weights, and of statistics.

    The first steps count less than `decay` says, so that the start is soon forgotten.
    """
    decay = min(decay, (1 + step) / (10 + step))
    for mean, now in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
        if mean.is_floating_point():
            mean.lerp_(now, 1 - decay)
        else:
            mean.copy_(now)
