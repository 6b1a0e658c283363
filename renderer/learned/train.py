"""Training of a learned brush: random strokes, the reference brush's alpha, mean squared error."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from renderer.brush import Brush
from renderer.learned.processes import ALONE, Processes

# Canvas sides to train on, in turn: a stroke map has no resolution of its own, and small canvases are cheap.
SIDES = (48, 64, 96, 128)


@dataclass(frozen=True)
class Progress:
    """One training step: its number, from 1, and its loss (alpha MSE)."""

    step: int
    loss: float


class RandomStrokes(Dataset[tuple[Tensor, Tensor]]):
    """`steps` batches of random strokes `(batch, P)` with the reference brush's alpha `(batch, 1, side, side)`.

    Batch i depends on (seed, i) alone, so that a resumed training gets the same batches as an uninterrupted one. Half of
    the strokes are thinner than those of a uniform sample, down to hairlines, since painters use many of these. Of several
    processes, each gets its part of the batch.
    """

    def __init__(
        self,
        brush: Brush,
        batch: int,
        steps: int,
        seed: int,
        sides: tuple[int, ...] = SIDES,
        processes: Processes = ALONE,
    ) -> None:
        self.brush, self.batch, self.steps, self.seed, self.sides = brush, batch, steps, seed, sides
        self.processes = processes

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, i: int) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + i)
        strokes = self.brush.space.sample(self.batch, generator)
        thin = torch.rand(self.batch // 2, 1, generator=generator) ** 2
        strokes[: self.batch // 2, self.brush.space.columns("radius")] *= thin
        side = self.sides[i % len(self.sides)]
        strokes = self.processes.part(strokes)
        return strokes, self.brush(strokes, (side, side)).alpha


def alpha_loss(network: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    """Alpha MSE of a network on a batch of `RandomStrokes`."""
    strokes, alpha = batch
    return (network(strokes, (alpha.shape[-2], alpha.shape[-1])).alpha - alpha).square().mean()


def fit(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    data: Dataset[Any],
    done: int = 0,
    learning_rate: float = 2e-3,
    workers: int = 1,
    loss: Callable[[nn.Module, Any], Tensor] = alpha_loss,
    processes: Processes = ALONE,
) -> Iterator[Progress]:
    """Train a network; yields after each step.

    Args:
        network: the brush to train.
        optimizer: over its weights.
        data: one batch for each step, of the type that `loss` takes.
        done: how many steps were taken before; training starts with the next one.
        learning_rate: at the start, after a short warm-up; it falls linearly to zero.
        workers: processes that compute batches.
        loss: network and batch to a scalar.
        processes: those that share the training; `data` gives the part of this one.
    """
    device = next(network.parameters()).device
    for step, batch in supply(data, done, workers, device):
        set_rate(optimizer, learning_rate, step, len(data))  # type: ignore[arg-type]
        value = loss(network, batch)
        optimizer.zero_grad()
        value.backward()
        (value,) = processes.average(network.parameters(), value)
        optimizer.step()
        yield Progress(step, value.item())


def supply(data: Dataset[Any], done: int, workers: int, device: torch.device) -> Iterator[tuple[int, Any]]:
    """Yield the batches from index `done` on, on `device`, with the numbers of their steps (from 1)."""
    numbers = range(done, len(data))  # type: ignore[arg-type]
    loader = DataLoader(data, batch_size=None, sampler=numbers, num_workers=workers, worker_init_fn=_one_thread)
    for step, batch in enumerate(loader, done + 1):
        yield step, _to(batch, device)


def set_rate(optimizer: torch.optim.Optimizer, learning_rate: float, step: int, steps: int) -> None:
    """Set the learning rate of `step` (from 1) of `steps`: it falls linearly to zero."""
    for group in optimizer.param_groups:
        # The warm-up keeps Adam's first steps small, whose scale is not known yet.
        group["lr"] = learning_rate * min(step / 100, 1 - (step - 1) / steps)


def _to(batch: Any, device: torch.device) -> Any:
    """Tensors in tuples and named tuples on another device."""
    if isinstance(batch, Tensor):
        return batch.to(device)
    if isinstance(batch, tuple | list):
        parts = [_to(part, device) for part in batch]
        return type(batch)(*parts) if hasattr(batch, "_fields") else tuple(parts)
    return batch


def _one_thread(_: int) -> None:
    import cv2

    cv2.setNumThreads(1)
    torch.set_num_threads(1)


@torch.no_grad()
def alpha_error(learned: Brush, reference: Brush, n: int, seed: int, side: int = 128, batch: int = 100) -> float:
    """Mean squared error of alpha against the reference brush.

    Args:
        learned: the brush to measure.
        reference: the brush to compare with.
        n: number of uniformly random strokes.
        seed: of the strokes.
        side: of the canvas in pixels.
        batch: strokes drawn at once.
    """
    device = learned.device
    generator = torch.Generator().manual_seed(seed)
    total = 0.0
    for first in range(0, n, batch):
        strokes = reference.space.sample(min(batch, n - first), generator)
        expected = reference(strokes, (side, side)).alpha.to(device)
        total += (learned(strokes.to(device), (side, side)).alpha - expected).square().mean((1, 2, 3)).sum().item()
    return total / n
