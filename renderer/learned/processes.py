"""Several processes that train one network: each takes its part of a batch, and their gradients are averaged.

All processes start from the same weights, draw the same random numbers for the whole batch and take their parts of these,
so that a training differs from that of one process by rounding only.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor


@dataclass(frozen=True)
class Processes:
    """The processes of `torch.distributed`'s default group; a single one needs no group.

    Attributes:
        rank: number of this process; the first one, 0, also evaluates and writes files.
        count: how many processes there are.
    """

    rank: int = 0
    count: int = 1

    def part(self, batch: Tensor, dim: int = 0) -> Tensor:
        """Return this process's part of a batch, whose size along `dim` is a multiple of the number of processes."""
        return batch.chunk(self.count, dim)[self.rank]

    def average(self, parameters: Iterable[Tensor], *values: Tensor) -> tuple[Tensor, ...]:
        """Average the gradients of `parameters` over all processes, in place, and return the means of scalars ()."""
        if self.count == 1:
            return values
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        parts = [*gradients, *(value.detach() for value in values)]
        flat = torch.cat([part.reshape(-1) for part in parts])
        dist.all_reduce(flat)
        means = (flat / self.count).split([part.numel() for part in parts])
        for gradient, mean in zip(gradients, means, strict=False):
            gradient.copy_(mean.view(gradient.shape))
        return tuple(mean.reshape(()) for mean in means[len(gradients) :])

    def total(self, value: Tensor) -> Tensor:
        """Return the sum of a tensor over all processes."""
        if self.count > 1:
            value = value.clone()
            dist.all_reduce(value)
        return value

    def agree(self, *flags: bool) -> tuple[bool, ...]:
        """Return the flags of the first process; clocks and evaluations differ between processes."""
        if self.count == 1:
            return flags
        shared = torch.tensor(flags, dtype=torch.int32, device="cuda" if dist.get_backend() == "nccl" else "cpu")
        dist.broadcast(shared, 0)
        return tuple(bool(flag) for flag in shared.tolist())


ALONE = Processes()
