"""Trainings in several processes, which `torchrun` starts.

torchrun --nproc-per-node 2 -m experiments.train_agent --root data/kaokore
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from datetime import timedelta

import torch
import torch.distributed as dist

from renderer.errors import InputError
from renderer.learned.processes import ALONE, Processes

LONGEST_WAIT = timedelta(hours=12)  # of the other processes, while the first one evaluates


@contextmanager
def join_processes(batch: int, device: torch.device, multiple: int = 1) -> Iterator[Processes]:
    """Join the processes of `torchrun`; without it, there is one process. Only the first one prints.

    Args:
        batch: size of a whole batch.
        device: of this process; GPUs use NCCL, others Gloo.
        multiple: each process's part of a batch must be a multiple of this.

    Raises:
        InputError: The batch cannot be divided.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield ALONE
        return
    if batch % (count * multiple):
        raise InputError(f"--batch must be a multiple of {count * multiple} with {count} processes, not {batch}.")
    joined = dist.is_initialized()
    if not joined:
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=LONGEST_WAIT)
    processes = Processes(dist.get_rank(), count)
    try:
        with open(os.devnull, "w") as nothing, redirect_stdout(nothing if processes.rank > 0 else sys.stdout):
            yield processes
    finally:
        if not joined:
            dist.destroy_process_group()


def refuse_processes(what: str) -> None:
    """Raise `InputError` if `torchrun` started several processes."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise InputError(f"{what} runs in one process; start it without torchrun.")
