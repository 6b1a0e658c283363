"""Who paints: a method and a brush."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from agents.registry import Agent, load_agent
from experiments.outputs import finishing_brush
from painter.methods import METHODS, Method, paint_with
from painter.optimize import OptimizeConfig
from renderer.brush import Brush
from renderer.errors import InputError
from renderer.io.painting import Painting
from renderer.learned.load import load_brush

BRUSH = "bezier"


@dataclass(frozen=True)
class Painter:
    """A method of `painter.api` and the renderer that it paints through, ready to paint.

    name: as on the command line; brush: what draws the picture in the end, None for the true brush
    """

    name: str
    method: Method
    renderer: Brush
    agent: Agent | None
    brush: Brush | None

    def strokes(self, target: Tensor, count: int, optimize: OptimizeConfig, seed: int) -> Tensor:
        """The strokes (count, P) of a painting of `target` (3, H, W)."""
        generator = torch.Generator().manual_seed(seed)
        *_, last = paint_with(self.method, target, count, self.renderer, self.agent, optimize, generator)
        return last.strokes.cpu()

    def picture(self, strokes: Tensor, size: tuple[int, int]) -> Tensor:
        """The painting (3, H, W) in [0, 1] as it ends up on paper."""
        return Painting.by(self.renderer, strokes, size).render(brush=self.brush)


def parse_painter(name: str) -> tuple[Method, str]:
    """Method and renderer of `METHOD` or `METHOD:RENDERER`. Raises `InputError`.

    >>> parse_painter("agent"), parse_painter("lines:flat+ink")
    (('agent', 'bezier'), ('lines', 'flat+ink'))
    """
    method, _, renderer = name.partition(":")
    if method not in METHODS:
        raise InputError(f"A painter is one of {', '.join(METHODS)}, or METHOD:RENDERER as agent:ink, not {name!r}.")
    if renderer == "exact" or "mypaint:" in renderer:
        raise InputError(
            f"{name} cannot paint, for a true brush has no gradient; name a learned one, such as bezier or ink."
        )
    return method, renderer or BRUSH


def load_painter(name: str, agent: str, device: torch.device) -> Painter:
    """A painter by its name, with the checkpoint of its agent. Raises `InputError`."""
    method, brush = parse_painter(name)
    renderer = load_brush(brush, device)
    policy = load_agent(agent, renderer, device) if method != "optimize" else None
    short = method if brush == BRUSH else f"{method}:{brush}"
    return Painter(short, method, renderer, policy, finishing_brush(renderer))
