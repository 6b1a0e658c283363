"""How many processor cores this process may use."""

from __future__ import annotations

import os
from pathlib import Path

QUOTA = Path("/sys/fs/cgroup/cpu.max")  # of a container: microseconds of computing in each period, or `max`


def available_cores(quota: Path = QUOTA) -> int:
    """Count the cores that the system and a container's limit leave to this process; at least 1.

    Args:
        quota: The limit's file, of version 2 of Linux' control groups.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        limit, period = quota.read_text(encoding="ascii").split()
        return max(1, min(cores, -(-int(limit) // int(period))))
    except (OSError, ValueError):  # no container, or no limit
        return cores
