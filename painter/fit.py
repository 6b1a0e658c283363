"""Fitting a network to a brush: random strokes, the true brush's alpha, mean squared error."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from renderer.protocol import Renderer

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

    def __init__(self, brush: Renderer, batch: int, steps: int, seed: int, sides: tuple[int, ...] = SIDES) -> None:
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


def fit(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    data: RandomStrokes,
    done: int = 0,
    learning_rate: float = 2e-3,
    workers: int = 1,
) -> Iterator[Progress]:
    """Takes the steps `done + 1 .. len(data)`, yielding after each. The learning rate falls linearly to zero."""
    device = next(network.parameters()).device
    loader = DataLoader(
        data, batch_size=None, sampler=range(done, len(data)), num_workers=workers, worker_init_fn=_one_thread
    )
    for step, (strokes, alpha) in enumerate(loader, done + 1):
        for group in optimizer.param_groups:
            # A short warm-up keeps Adam's first, badly scaled steps small.
            group["lr"] = learning_rate * min(step / 100, 1 - (step - 1) / len(data))
        predicted = network(strokes.to(device), (alpha.shape[-2], alpha.shape[-1])).alpha
        loss = (predicted - alpha.to(device)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        yield Progress(step, loss.item())


def _one_thread(_: int) -> None:
    cv2.setNumThreads(1)
    torch.set_num_threads(1)


@torch.no_grad()
def alpha_error(renderer: Renderer, brush: Renderer, n: int, seed: int, side: int = 128, batch: int = 100) -> float:
    """Mean squared error of alpha against the true brush, over `n` uniformly random strokes on a side x side canvas."""
    device = next(renderer.parameters()).device if isinstance(renderer, nn.Module) else torch.device("cpu")
    generator = torch.Generator().manual_seed(seed)
    total = 0.0
    for first in range(0, n, batch):
        strokes = brush.space.sample(min(batch, n - first), generator)
        true = brush(strokes, (side, side)).alpha.to(device)
        total += (renderer(strokes.to(device), (side, side)).alpha - true).square().mean((1, 2, 3)).sum().item()
    return total / n
