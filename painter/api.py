"""The ways to paint: an agent alone, the optimiser alone, the agent's strokes refined by the optimiser, or masses first
and lines on them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, Protocol, get_args

import torch
from torch import Tensor

from agents.huang2019 import Actor, paint_in_bundles
from agents.planner import USUAL, Planning
from agents.policy import Policy
from agents.rollout import paint_picture
from painter.lines import lines, masses
from painter.optimize import TransferConfig, transfer
from renderer.canvas import blank
from renderer.io.checkpoint import Checkpoint
from renderer.constraints import FREE, Limits
from renderer.brush import Renderer, expected
from renderer.convert import translation

Colour = tuple[float, float, float]
WHITE: Colour = (1.0, 1.0, 1.0)
Method = Literal["agent", "optimize", "hybrid", "lines"]
METHODS = get_args(Method)
LINES = 0.6  # of the strokes, at most, are lines
MASS = 0.012  # radius that the strokes of masses have at least, as a fraction of the short side
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
    renderer = expected(renderer)  # chance cannot be planned
    if isinstance(network, Actor):
        renderer.strokes.require(network.space)
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
    ground: Colour = WHITE,
) -> Iterator[Progress]:
    """Yields as `target` (3, H, W) is painted on `ground` with exactly `count` strokes; the last `strokes` are the painting.

    agent: the policy paints; optimize: strokes are optimised; hybrid: the policy's strokes are; lines: the policy paints
    the masses, and strokes that follow the ink lines are laid on them (`painter.lines`), with the last of mixed brushes.
    """
    renderer = expected(renderer)
    if method == "lines":
        assert agent is not None, "lines need an agent for the masses"
        yield from _masses_and_lines(target, count, renderer, agent, config, generator, limits, ground)
        return
    canvas = blank((target.shape[-2], target.shape[-1]), ground, target.device)
    strokes = target.new_zeros(0, renderer.strokes.width)
    if method != "optimize":
        assert agent is not None, "agent and hybrid need an agent"
        for _, fresh in agent(canvas, target, count, limits=limits):
            strokes = torch.cat((strokes, fresh))
            share = 1.0 if method == "agent" else 0.1
            yield Progress(share * len(strokes) / count, strokes)
    if method != "agent":
        start = strokes if method == "hybrid" else None
        for step in transfer(target, renderer, count, canvas, config, start=start, generator=generator, limits=limits):
            yield Progress(step.spent, step.strokes)


def _masses_and_lines(
    target: Tensor,
    count: int,
    renderer: Renderer,
    agent: Agent,
    config: TransferConfig,
    generator: torch.Generator,
    limits: Limits,
    ground: Colour,
) -> Iterator[Progress]:
    bare = canvas = blank((target.shape[-2], target.shape[-1]), ground, target.device)
    traced = translation(renderer, 1.0)(lines(target, int(LINES * count)))
    strokes = target.new_zeros(0, renderer.strokes.width)
    broad = replace(limits, smallest=max(limits.smallest, min(MASS, limits.largest)), brush=0.0)
    for painted, fresh in agent(bare, masses(target), count - len(traced), limits=broad):
        canvas, strokes = painted, torch.cat((strokes, fresh))
        yield Progress(0.3 * len(strokes) / count, strokes)
    if len(traced) == 0:
        return
    # Nothing is placed anew: a line that is worth little is still a line. And lines only settle: descending freely on the
    # error, they would blur into the noise of old paper. A fifth of the steps is enough for that.
    steps = -(-config.steps // 5)
    refined = replace(
        config, steps=steps, moves=0, shape_rate=config.shape_rate / 6, colour_rate=config.colour_rate / 8
    )
    thin = replace(limits, brush=1.0)
    for step in transfer(
        target, renderer, len(traced), canvas, refined, start=traced, generator=generator, limits=thin
    ):
        yield Progress(0.3 + 0.7 * step.spent, torch.cat((strokes, step.strokes)))
