"""The ways to paint: an agent alone, the optimiser alone, the agent's strokes refined by the optimiser, or masses first
and lines on them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, get_args

import torch
from torch import Tensor

from agents.registry import Agent
from painter.lines import lines, masses
from painter.optimize import OptimizeConfig, optimize
from renderer.brush import Brush, expected
from renderer.canvas import blank
from renderer.constraints import UNCONSTRAINED, StrokeConstraints
from renderer.convert import translation

Colour = tuple[float, float, float]
WHITE: Colour = (1.0, 1.0, 1.0)
Method = Literal["agent", "optimize", "hybrid", "lines"]
METHODS = get_args(Method)
LINES = 0.6  # of the strokes, at most, are lines
MASS = 0.012  # radius that the strokes of masses have at least, as a fraction of the short side


@dataclass(frozen=True)
class Progress:
    """How far a painting is: the part of the work that is done, and the strokes so far `(n, P)`."""

    spent: float
    strokes: Tensor


def paint_with(
    method: Method,
    target: Tensor,
    count: int,
    renderer: Brush,
    agent: Agent | None,
    config: OptimizeConfig,
    generator: torch.Generator,
    constraints: StrokeConstraints = UNCONSTRAINED,
    background: Colour = WHITE,
) -> Iterator[Progress]:
    """Yields as `target` (3, H, W) is painted on `ground` with exactly `count` strokes; the last `strokes` are the painting.

    agent: the policy paints; optimize: strokes are optimised; hybrid: the policy's strokes are; lines: the policy paints
    the masses, and strokes that follow the ink lines are laid on them (`painter.lines`), with the last of mixed brushes.
    """
    renderer = expected(renderer)
    if method == "lines":
        assert agent is not None, "lines need an agent for the masses"
        yield from _masses_and_lines(target, count, renderer, agent, config, generator, constraints, background)
        return
    canvas = blank((target.shape[-2], target.shape[-1]), background, target.device)
    strokes = target.new_zeros(0, renderer.space.width)
    if method != "optimize":
        assert agent is not None, "agent and hybrid need an agent"
        for _, fresh in agent(canvas, target, count, constraints=constraints):
            strokes = torch.cat((strokes, fresh))
            share = 1.0 if method == "agent" else 0.1
            yield Progress(share * len(strokes) / count, strokes)
    if method != "agent":
        start = strokes if method == "hybrid" else None
        for step in optimize(
            target, renderer, count, canvas, config, start=start, generator=generator, constraints=constraints
        ):
            yield Progress(step.spent, step.strokes)


def _masses_and_lines(
    target: Tensor,
    count: int,
    renderer: Brush,
    agent: Agent,
    config: OptimizeConfig,
    generator: torch.Generator,
    constraints: StrokeConstraints,
    background: Colour,
) -> Iterator[Progress]:
    bare = canvas = blank((target.shape[-2], target.shape[-1]), background, target.device)
    traced = translation(renderer, 1.0)(lines(target, int(LINES * count)))
    strokes = target.new_zeros(0, renderer.space.width)
    broad = replace(constraints, min_radius=max(constraints.min_radius, min(MASS, constraints.max_radius)), brush=0.0)
    for painted, fresh in agent(bare, masses(target), count - len(traced), constraints=broad):
        canvas, strokes = painted, torch.cat((strokes, fresh))
        yield Progress(0.3 * len(strokes) / count, strokes)
    if len(traced) == 0:
        return
    # Nothing is placed anew: a line that is worth little is still a line. And lines only settle: descending freely on the
    # error, they would blur into the noise of old paper. A fifth of the steps is enough for that.
    steps = -(-config.steps // 5)
    refined = replace(
        config, steps=steps, relocations=0, geometry_lr=config.geometry_lr / 6, colour_lr=config.colour_lr / 8
    )
    thin = replace(constraints, brush=1.0)
    for step in optimize(
        target, renderer, len(traced), canvas, refined, start=traced, generator=generator, constraints=thin
    ):
        yield Progress(0.3 + 0.7 * step.spent, torch.cat((strokes, step.strokes)))
