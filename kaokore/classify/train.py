"""The training step of a classifier; all random numbers are passed in."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from renderer.learned.ema import update_ema
from renderer.learned.processes import ALONE, Processes


def make_optimizer(network: nn.Module, learning_rate: float, weight_decay: float) -> torch.optim.AdamW:
    """Make an AdamW (Loshchilov and Hutter 2019) of the parameters that are not frozen.

    Biases and normalisation are not decayed. Fused: one pass over the weights, which for VGG11's 129 million is nine
    times as fast on a CPU.
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
    """Return the factor of the learning rate: linear to 1 in `warmup` steps, then half a cosine to 0.

    >>> [round(schedule(step, 10, 2), 2) for step in (0, 1, 2, 6, 9)]
    [0.5, 1.0, 1.0, 0.5, 0.04]
    """
    if step < warmup:
        return (step + 1) / warmup
    return (1 + math.cos(math.pi * (step - warmup) / max(steps - warmup, 1))) / 2


def class_weights(labels: Tensor, classes: int, balance: float) -> Tensor:
    """Weight each class by its frequency to the power of -balance: (C,), of mean 1 over the images.

    `balance` 0 weights all images equally, 1 gives every class the same total weight.

    >>> class_weights(torch.tensor([0, 0, 0, 1]), 2, 1.0)
    tensor([0.6667, 2.0000])
    """
    weights = torch.bincount(labels, minlength=classes).clamp(min=1).float() ** -balance
    return weights / weights[labels].mean()


def epoch_order(n: int, seed: int, epoch: int) -> Tensor:
    """Return the random order (n,) of the images in an epoch; a resumed training gets the same one."""
    return torch.randperm(n, generator=torch.Generator().manual_seed(seed * 100_003 + epoch))


def freeze(parts: Sequence[nn.Module], share: float) -> list[nn.Module]:
    """Freeze the first `share` in [0, 1] of the parts and return them; the caller keeps them in evaluation mode."""
    frozen = list(parts[: round(share * len(parts))])
    for part in frozen:
        part.requires_grad_(False)
    return frozen


def train_step(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    images: Tensor,
    labels: Tensor,
    *,
    weights: Tensor,
    smoothing: float,
    frozen: Sequence[nn.Module] = (),
    precision: torch.dtype = torch.float32,
    processes: Processes = ALONE,
) -> float:
    """Take one optimiser step on a batch.

    Args:
        network: Images -> logits (B, C).
        optimizer: Of the network's parameters.
        images: (B, 3, H, W), normalised.
        labels: (B,) int64.
        weights: (C,), the weight of each class in the loss.
        smoothing: Share of a label that is spread over all classes (Szegedy et al. 2016).
        frozen: Parts that stay in evaluation mode, so that their statistics do not change.
        precision: Of convolutions and matrix products (autocast).
        processes: Those that share the training; images and labels are the part of this one.

    Returns:
        The loss: cross-entropy in nats.
    """
    network.train()
    for part in frozen:
        part.eval()
    with torch.autocast(images.device.type, precision, enabled=precision != torch.float32):
        scores = network(images)
    loss = F.cross_entropy(scores.float(), labels, weights, label_smoothing=smoothing)
    if processes.count > 1:  # the mean over a batch is weighted
        weight = weights[labels].sum()
        loss = loss * weight * processes.count / processes.total(weight)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    (loss,) = processes.average(network.parameters(), loss)
    nn.utils.clip_grad_norm_(network.parameters(), 5.0)  # without normalisation layers, the first gradients are large
    optimizer.step()
    return loss.item()


def update_average(average: nn.Module, network: nn.Module, step: int, decay: float) -> None:
    """Update the exponential moving average of the network's weights and statistics.

    Args:
        average: A copy of the network, updated in place.
        network: The trained network.
        step: The number of the step, from 0.
        decay: Per step; smaller in the first steps, so that the initial weights are soon forgotten.
    """
    update_ema(average, network, min(decay, (1 + step) / (10 + step)), average_buffers=True)
