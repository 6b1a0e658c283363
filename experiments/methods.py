"""The three ways to paint: an agent alone, the optimiser alone, and the agent's strokes refined by the optimiser."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Literal, Protocol, get_args

import torch
from torch import Tensor

from agents.huang2019 import Actor, paint_in_bundles
from agents.planning import USUAL, Planning
from agents.policy import Policy
from agents.rounds import paint_picture
from painter.transfer import TransferConfig, transfer
from renderer.canvas import blank
from renderer.checkpoint import Checkpoint
from renderer.limits import FREE, Limits
from renderer.protocol import Renderer

Method = Literal["agent", "optimize", "hybrid"]
METHODS = get_args(Method)
AGENTS = {"policy": Policy, "huang2019-actor": Actor}


class Agent(Protocol):
    """Paints one picture, canvas and target (3, H, W), with exactly `count` strokes; yields canvas and new strokes."""

    def __call__(
        self, canvas: Tensor, target: Tensor, count: int, *, limits: Limits = FREE
    ) -> Iterator[tuple[Tensor, Tensor]]: ...


@dataclass(frozen=True)
class Progress:
    """How far a painting is: the part of the work that is done, and the strokes so far `(n, P)`."""

    spent: float
    strokes: Tensor


def load_agent(name: str, renderer: Renderer, device: torch.device | str = "cpu", planning: Planning = USUAL) -> Agent:
    """An agent by checkpoint name or file: ours, which plans, or one learned by Huang's recipe. Raises `CheckpointError`."""
    checkpoint = Checkpoint.load(name, *AGENTS)
    network = checkpoint.build(AGENTS, device)
    renderer.space.require(checkpoint.space or network.space)
    if isinstance(network, Actor):
        return partial(paint_in_bundles, network, renderer)
    return partial(paint_picture, network.to(memory_format=torch.channels_last), renderer, planning=planning)


def paint_with(
    method: Method,
    target: Tensor,
    count: int,
    renderer: Renderer,
    agent: Agent | None,
    config: TransferConfig,
    generator: torch.Generator,
    limits: Limits = FREE,
) -> Iterator[Progress]:
    """Yields as `target` (3, H, W) is painted on white with exactly `count` strokes; the last `strokes` are the painting."""
    ground = blank((target.shape[-2], target.shape[-1]), device=target.device)
    strokes = target.new_zeros(0, renderer.space.width)
    if method != "optimize":
        assert agent is not None, "agent and hybrid need an agent"
        for _, fresh in agent(ground, target, count, limits=limits):
            strokes = torch.cat((strokes, fresh))
            share = 1.0 if method == "agent" else 0.1
            yield Progress(share * len(strokes) / count, strokes)
    if method != "agent":
        start = strokes if method == "hybrid" else None
        for step in transfer(target, renderer, count, ground, config, start=start, generator=generator, limits=limits):
            yield Progress(step.spent, step.strokes)
