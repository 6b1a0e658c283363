"""Agents by name: shipped checkpoints, checkpoint files of registered kinds, and classes in importable modules."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from agents.planner import DEFAULT_PLANNING, Planning
from renderer.brush import Brush
from renderer.constraints import UNCONSTRAINED, StrokeConstraints
from renderer.extensions import import_callable
from renderer.io.checkpoint import Checkpoint
from renderer.io.hub import is_address


class Agent(Protocol):
    """Paint one picture with exactly `count` strokes, in one or more rounds."""

    def __call__(
        self, canvas: Tensor, target: Tensor, count: int, *, constraints: StrokeConstraints = UNCONSTRAINED
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Paint.

        Args:
            canvas: `(3, H, W)`, sRGB in [0, 1], the canvas to paint on.
            target: `(3, H, W)`, the picture to paint.
            count: Number of strokes.
            constraints: Which strokes are allowed.

        Yields:
            After each round, the canvas `(3, H, W)` and the strokes of that round `(n, P)` in [0, 1], in painting order.
        """
        ...


@runtime_checkable
class BatchAgent(Protocol):
    """An `Agent` that can also paint several pictures at once."""

    def __call__(
        self, canvas: Tensor, target: Tensor, count: int, *, constraints: StrokeConstraints = UNCONSTRAINED
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Paint one picture, as `Agent`."""
        ...

    def paint_batch(
        self,
        canvases: Sequence[Tensor],
        targets: Sequence[Tensor],
        count: int,
        *,
        constraints: StrokeConstraints = UNCONSTRAINED,
    ) -> Iterator[tuple[int, Tensor, Tensor]]:
        """Paint several pictures, each as it would be painted alone, within rounding.

        Args:
            canvases: B canvases `(3, H, W)`; sizes may differ.
            targets: B pictures, each of the size of its canvas.
            count: Number of strokes of each picture.
            constraints: Which strokes are allowed, on all pictures.

        Yields:
            After each round of a picture, its index in [0, B), its canvas and the strokes of that round `(n, P)`.
        """
        ...


@runtime_checkable
class AdjustableAgent(Protocol):
    """An `Agent` that knows time budgets and canvases with strokes on them."""

    def adjusted(self, *, seconds: float | None = None, existing: int = 0) -> Agent:
        """The same agent for other circumstances.

        Args:
            seconds: Time budget for a picture; it may be exceeded a little, but every stroke is painted.
            existing: Strokes that the canvas shows already: new strokes are as small as those after them.
        """
        ...


@runtime_checkable
class RefiningAgent(Protocol):
    """An `Agent` that refines what it has painted."""

    def refine(
        self,
        canvases: Tensor,
        targets: Tensor,
        strokes: Tensor,
        *,
        constraints: StrokeConstraints = UNCONSTRAINED,
        seconds: float | None = None,
    ) -> Tensor:
        """Refine all strokes of finished paintings.

        Args:
            canvases: `(B, 3, H, W)`, what the first stroke fell on.
            targets: `(B, 3, H, W)`, the pictures to paint.
            strokes: `(B, N, P)` in [0, 1], in painting order.
            constraints: Which strokes are allowed.
            seconds: Time for all of it, if it is limited.

        Returns:
            As many strokes `(B, N, P)` in the same order.
        """
        ...


def adjusted(agent: Agent, *, seconds: float | None = None, existing: int = 0) -> Agent:
    """The agent for a time budget or a canvas with strokes where it is an `AdjustableAgent`, else the agent as it is."""
    return agent.adjusted(seconds=seconds, existing=existing) if isinstance(agent, AdjustableAgent) else agent


AgentLoader = Callable[[Checkpoint, Brush, torch.device | str, Planning], Agent]
"""(checkpoint, brush, device, planning) -> agent."""


def register_agent(kind: str, loader: AgentLoader) -> None:
    """Let `load_agent` read checkpoints of `kind` with `loader`; a loader registered earlier for `kind` is replaced."""
    _LOADERS[kind] = loader


def load_agent(
    name: str, brush: Brush, device: torch.device | str = "cpu", planning: Planning = DEFAULT_PLANNING
) -> Agent:
    """Load an agent that paints with `brush`.

    Args:
        name: A shipped checkpoint ("agent"), a checkpoint file of a registered kind, an address of the Hub
            (`renderer.io.hub`), or "module:Class". A class is called as `Class(brush, device, planning)` and must return
            an `Agent`.
        brush: The brush to paint with. Of a stochastic brush, agents see the mean.
        device: Where the agent's network runs.
        planning: How much the agent refines its strokes before it paints them; agents that do not plan ignore it.

    Returns:
        The agent.

    Raises:
        InputError: The module or class does not exist.
        CheckpointError: The checkpoint is missing, damaged, or of a kind that is not registered.
    """
    brush = brush.mean_brush()
    if ":" in name and not os.path.isfile(name) and not is_address(name):
        agent: Agent = import_callable(name, "agent", 3)(brush, device, planning)
        return agent
    checkpoint = Checkpoint.load(name, *_LOADERS)
    return _LOADERS[checkpoint.kind](checkpoint, brush, device, planning)


def _load_policy(checkpoint: Checkpoint, brush: Brush, device: torch.device | str, planning: Planning) -> Agent:
    from agents.policy import Policy
    from agents.rollout import PolicyAgent

    policy = checkpoint.build({checkpoint.kind: Policy}, device)
    return PolicyAgent(policy.to(memory_format=torch.channels_last), brush, planning)


def _load_huang2019(checkpoint: Checkpoint, brush: Brush, device: torch.device | str, planning: Planning) -> Agent:
    from agents.huang2019 import Actor, paint_in_bundles  # here, because it imports torchvision

    actor = checkpoint.build({checkpoint.kind: Actor}, device)
    brush.space.require(actor.space)
    return partial(paint_in_bundles, actor, brush)


_LOADERS: dict[str, AgentLoader] = {"policy": _load_policy, "huang2019-actor": _load_huang2019}
