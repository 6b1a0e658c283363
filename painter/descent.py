"""Strokes under optimisation by Adam (Kingma and Ba 2015), each number with a learning rate of its own.

`CompiledDescent` makes a step in one call of compiled code; `TorchDescent` does the same with PyTorch, for every brush, loss
and device.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from renderer.ops.cuda_graph import RepeatedStep
from renderer.ops.refine_strokes import Averages, Limits, StrokeMapWeights, descend
from renderer.ops.triton_strokes import usable


class Descent(Protocol):
    """Some strokes of B pictures in painting order, and what Adam remembers of them.

    mean_loss: before the last step, averaged over the pictures, `()`
    """

    mean_loss: Tensor

    def strokes(self) -> Tensor:
        """The strokes `(B, n, P)` in [0, 1], not yet limited by constraints."""
        ...

    def add(self, strokes: Tensor, lr: Tensor) -> None:
        """Add strokes `(B, n, P)` with their learning rates `(B, n, P)` after the others."""
        ...

    def keep(self, order: Tensor) -> None:
        """Keep the strokes with the indices `(B, n)`, in this order."""
        ...

    def step(self, rate: float) -> None:
        """Make a step; `rate` multiplies the learning rates."""
        ...


class CompiledDescent:
    """A `Descent` on the mean squared error of strokes of a stroke map, on the CPU.

    Args:
        empty: `(B, 0, P)`.
        canvas: `(B, 3, H, W)`, before the strokes.
        target: `(B, 3, H, W)`; it may be changed in place.
        weights: Draw the strokes.
        limits: Which strokes are allowed.
        locked: `(n,)` booleans of the first strokes: those that stay as they are.
        betas: Decay rates of Adam.
    """

    def __init__(
        self,
        empty: Tensor,
        canvas: Tensor,
        target: Tensor,
        weights: StrokeMapWeights,
        *,
        limits: Limits,
        locked: Tensor | None,
        betas: tuple[float, float],
    ) -> None:
        self.mean_loss = target.new_zeros(())
        self._canvas, self._target, self._weights = canvas.contiguous(), target, weights
        self._limits, self._locked = limits, locked
        self._strokes = self._lr = empty
        self._averages = Averages(empty, empty, betas)
        self._steps = 0

    def strokes(self) -> Tensor:
        """See `Descent.strokes`."""
        return self._strokes.clone()

    def add(self, strokes: Tensor, lr: Tensor) -> None:
        """See `Descent.add`."""
        self._strokes, self._lr = torch.cat((self._strokes, strokes), 1), torch.cat((self._lr, lr), 1)
        none = torch.zeros_like(strokes)
        mean, square, betas = self._averages
        self._averages = Averages(torch.cat((mean, none), 1), torch.cat((square, none), 1), betas)

    def keep(self, order: Tensor) -> None:
        """See `Descent.keep`."""
        self._strokes, self._lr = _rows(self._strokes, order), _rows(self._lr, order)
        mean, square, betas = self._averages
        self._averages = Averages(_rows(mean, order), _rows(square, order), betas)

    def step(self, rate: float) -> None:
        """See `Descent.step`."""
        locked = None
        if self._locked is not None:
            locked = self._strokes.new_zeros(self._strokes.shape[1])
            locked[: len(self._locked)] = self._locked.to(locked)
        error = descend(
            self._strokes,
            self._canvas,
            self._target,
            self._weights,
            lr=self._lr,
            averages=self._averages,
            step=self._steps,
            rate=rate,
            limits=self._limits,
            locked=locked,
        )
        self.mean_loss = error.mean()
        self._steps += 1


class TorchDescent:
    """A `Descent` on any loss, on any device.

    Args:
        empty: `(B, 0, P)`.
        most: Largest number of strokes of a picture.
        loss: Maps strokes `(B, n, P)` to `(B,)`.
        betas: Decay rates of Adam.
        record: Whether a step may be recorded and repeated on a GPU: only where `loss` draws no random numbers.
    """

    def __init__(
        self, empty: Tensor, most: int, loss: Callable[[Tensor], Tensor], *, betas: tuple[float, float], record: bool
    ) -> None:
        self.mean_loss = empty.new_zeros(())
        self._loss, self._count = loss, 0
        # Adam has one learning rate per tensor: optimising strokes / lr with a rate of 1 gives each number its own.
        self._scaled = empty.new_zeros(len(empty), most, empty.shape[2]).requires_grad_()
        self._lr = torch.ones_like(self._scaled, requires_grad=False)
        on_gpu = usable(self._scaled)
        self._optimizer = torch.optim.Adam([self._scaled], betas=betas, fused=on_gpu or None, capturable=on_gpu)
        self._record = record and on_gpu
        self._recorded: dict[int, RepeatedStep] = {}  # by the number of strokes
        if on_gpu:
            self._optimizer.param_groups[0]["lr"] = empty.new_ones(())  # a number would be the same in every replay
            # Some steps run before they are recorded, which is no mistake.
            self._optimizer._warned_capturable_if_run_uncaptured = True

    @torch.no_grad()
    def strokes(self) -> Tensor:
        """See `Descent.strokes`."""
        return (self._scaled * self._lr)[:, : self._count].clamp(0, 1)

    @torch.no_grad()
    def add(self, strokes: Tensor, lr: Tensor) -> None:
        """See `Descent.add`."""
        added = slice(self._count, self._count + strokes.shape[1])
        self._lr[:, added] = lr
        self._scaled[:, added] = strokes / lr
        for average in self._averages():
            average[:, added] = 0
        self._count = added.stop

    @torch.no_grad()
    def keep(self, order: Tensor) -> None:
        """See `Descent.keep`."""
        self._count = order.shape[1]
        for rows in (self._scaled, self._lr, *self._averages()):
            rows[:, : self._count] = _rows(rows, order)

    def step(self, rate: float) -> None:
        """See `Descent.step`."""
        group = self._optimizer.param_groups[0]
        group["lr"] = group["lr"].fill_(rate) if isinstance(group["lr"], Tensor) else rate
        if self._count not in self._recorded:
            self._recorded[self._count] = RepeatedStep(self._step, record=self._record)
        self._recorded[self._count]()

    def _step(self) -> None:
        value = self._loss((self._scaled * self._lr)[:, : self._count])
        (self._scaled.grad,) = torch.autograd.grad(value.sum(), self._scaled)
        self._optimizer.step()
        with torch.no_grad():
            self._scaled.copy_(torch.minimum(self._scaled.clamp(min=0), 1 / self._lr))
            self.mean_loss.copy_(value.mean())

    def _averages(self) -> list[Tensor]:
        """Adam's, as large as all strokes."""
        state = self._optimizer.state[self._scaled].values()
        return [value for value in state if isinstance(value, Tensor) and value.shape == self._scaled.shape]


def _rows(values: Tensor, order: Tensor) -> Tensor:
    """The rows of values `(B, n, P)` with the indices `(B, m)`."""
    return values.gather(1, order[..., None].expand(-1, -1, values.shape[-1]))
