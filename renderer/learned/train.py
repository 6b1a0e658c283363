"""Fitting a network to a brush: random strokes, the true brush's alpha, mean squared error."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from renderer.brush import Brush

# Canvas sides to learn at, in turn: a stroke map has no resolution of its own, and small canvases are cheap.
SIDES = (48, 64, 96, 128)


@dataclass(frozen=True)
class Progress:
    """After one step of fitting: its number (from 1) and its loss (alpha MSE)."""

    step: int
    loss: float


class RandomStrokes(Dataset[tuple[Tensor, Tensor]]):
    """Batch `i` of an endless on-line supply: strokes `(batch, P)` and the true brush's alpha `(batch, 1, side, side)`.

    A batch depends on (seed, i) alone, so that a resumed training sees what an uninterrupted one would have seen.
    Half of the strokes are made thinner than a uniform sample holds, down to hairlines: painters use many of those.
    """

    def __init__(self, brush: Brush, batch: int, steps: int, seed: int, sides: tuple[int, ...] = SIDES) -> None:
        self.brush, self.batch, self.steps, self.seed, self.sides = brush, batch, steps, seed, sides

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, i: int) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + i)
        strokes = self.brush.space.sample(self.batch, generator)
        thin = torch.rand(self.batch // 2, 1, generator=generator) ** 2
        strokes[: self.batch // 2, self.brush.space.columns("radius")] *= thin
        side = self.sides[i % len(self.sides)]
        return strokes, self.brush(strokes, (side, side)).alpha


def alpha_loss(network: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    """The alpha MSE of a batch of `RandomStrokes`."""
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
) -> Iterator[Progress]:
    """Takes the steps `done + 1 .. len(data)`, yielding after each. The learning rate falls linearly to zero.

    data: batches by number, of whatever `loss` takes; drawn in `workers` processes
    """
    device = next(network.parameters()).device
    for step, batch in supply(data, done, workers, device):
        set_rate(optimizer, learning_rate, step, len(data))  # type: ignore[arg-type]
        value = loss(network, batch)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        yield Progress(step, value.item())


def supply(data: Dataset[Any], done: int, workers: int, device: torch.device) -> Iterator[tuple[int, Any]]:
    """The batches from number `done` (counted from 0) on, with the numbers of their steps, on `device`."""
    numbers = range(done, len(data))  # type: ignore[arg-type]
    loader = DataLoader(data, batch_size=None, sampler=numbers, num_workers=workers, worker_init_fn=_one_thread)
    for step, batch in enumerate(loader, done + 1):
        yield step, _to(batch, device)


def set_rate(optimizer: torch.optim.Optimizer, learning_rate: float, step: int, steps: int) -> None:
    """The learning rate of `step` (from 1) of `steps`: it falls linearly to zero."""
    for group in optimizer.param_groups:
        # A short warm-up keeps Adam's first, badly scaled steps small.
        group["lr"] = learning_rate * min(step / 100, 1 - (step - 1) / steps)


def _to(batch: Any, device: torch.device) -> Any:
    """Tensors in tuples, named ones too, on another device."""
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
def alpha_error(renderer: Brush, brush: Brush, n: int, seed: int, side: int = 128, batch: int = 100) -> float:
    """Mean squared error of alpha against the true brush, over `n` uniformly random strokes on a side x side canvas."""
    device = renderer.device
    generator = torch.Generator().manual_seed(seed)
    total = 0.0
    for first in range(0, n, batch):
        strokes = brush.space.sample(min(batch, n - first), generator)
        true = brush(strokes, (side, side)).alpha.to(device)
        total += (renderer(strokes.to(device), (side, side)).alpha - true).square().mean((1, 2, 3)).sum().item()
    return total / n
