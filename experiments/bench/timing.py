"""Timing of alternatives in turns, and the figures that come of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping
from statistics import median
from typing import Any, TypeVar

from renderer.io.checkpoint import CheckpointError, find

TURNS = 3  # at least, even if one takes long

Name = TypeVar("Name", bound=Hashable)
Figures = dict[str, Any]


def in_turns(calls: Mapping[Name, Callable[[], object]], seconds_each: float) -> dict[Name, list[float]]:
    """Time several calls in turns, so that a slower phase of the machine affects all of them alike.

    Args:
        calls: what to time, by name; each is called once before, as a warm-up.
        seconds_each: time budget for the turns of each call; `TURNS` turns are taken in any case.

    Returns:
        The seconds of every turn, by name.
    """
    times: dict[Name, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call()  # loads kernels and allocates memory
    end, turns = time.perf_counter() + seconds_each * len(calls), 0
    while turns < TURNS or time.perf_counter() < end:
        for name, call in calls.items():
            begun = time.perf_counter()
            call()
            times[name].append(time.perf_counter() - begun)
        turns += 1
    return times


def put(figures: Figures, key: str, values: list[float]) -> None:
    """Enter the median of single turns as `key`, and their range as `key`_range."""
    figures[key], figures[f"{key}_range"] = median(values), [min(values), max(values)]


def why_missing(checkpoint: str) -> str | None:
    """Why there is no such checkpoint; None if there is one."""
    try:
        find(checkpoint)
    except CheckpointError as error:
        return str(error)
    return None
