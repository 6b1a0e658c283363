"""Painting as a decision process (Huang et al. 2019, section 3.2): pure, batched, differentiable.

State: canvas, target and how many bundles were laid. Action: a bundle of strokes. Reward: how much nearer the canvas
came to the target. Everything is a function of tensors on any device; a gradient flows from the reward to the action
wherever the renderer passes one. The gymnasium environments are thin shells on these functions; training needs none.

    state = begin(targets)
    while not finished(state, steps).all():
        after = step(state, actor(observe(state, steps)), renderer)
        reward = l2(state, after)
        state = after

Departures from the authors' code: painting begins on white (theirs on black), and the canvas stays in floating point
(theirs is cut to 8 bits after each bundle).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from renderer.brush import Brush
from renderer.canvas import blank, paint

Colour = tuple[float, float, float]
WHITE: Colour = (1.0, 1.0, 1.0)


class State(NamedTuple):
    """A batch of unfinished paintings, each beside what it shall become.

    canvas, target: (B, 3, H, W), sRGB in [0, 1]
    step: (B,) whole numbers, the bundles laid so far
    """

    canvas: Tensor
    target: Tensor
    step: Tensor


Distance = Callable[[Tensor, Tensor], Tensor]
"""(canvas, target), both `(B, 3, H, W)` -> `(B,)`."""

Reward = Callable[[State, State], Tensor]
"""(state before a bundle, state after it) -> `(B,)`."""


def begin(target: Tensor, background: Colour = WHITE) -> State:
    """Blank canvases of one colour in front of `target` (B, 3, H, W)."""
    size = (target.shape[-2], target.shape[-1])
    canvas = blank(size, background, target.device).to(target.dtype).expand_as(target).clone()
    return State(canvas, target, torch.zeros(len(target), dtype=torch.long, device=target.device))


def step(state: State, action: Tensor, renderer: Brush) -> State:
    """Lays a bundle `(B, N, P)` of strokes in [0, 1] over each canvas, the first stroke below.

    >>> from renderer.brushes.bezier import AnalyticBezier
    >>> state = begin(torch.zeros(2, 3, 8, 8))
    >>> after = step(state, torch.full((2, 5, 13), 0.5), AnalyticBezier())
    >>> after.canvas.shape, after.step
    (torch.Size([2, 3, 8, 8]), tensor([1, 1]))
    """
    return State(paint(state.canvas, action, renderer), state.target, state.step + 1)


def finished(state: State, steps: int) -> Tensor:
    """`(B,)` booleans: whether all `steps` bundles were laid."""
    return state.step >= steps


def observe(state: State, steps: int) -> Tensor:
    """What a policy sees, `(B, 9, H, W)` in [0, 1]: canvas 3, target 3, the part of the `steps` done 1, coordinates 2.

    The coordinates (y, then x, from 0 to 1) tell convolutions where they are (as in Huang et al. 2019).
    """
    B, _, H, W = state.canvas.shape
    done = (state.step.to(state.canvas) / steps).view(B, 1, 1, 1).expand(B, 1, H, W)
    y = torch.linspace(0, 1, H, device=state.canvas.device).to(state.canvas).view(1, 1, H, 1).expand(B, 1, H, W)
    x = torch.linspace(0, 1, W, device=state.canvas.device).to(state.canvas).view(1, 1, 1, W).expand(B, 1, H, W)
    return torch.cat((state.canvas, state.target, done, y, x), 1)


def mse(canvas: Tensor, target: Tensor) -> Tensor:
    """`(B,)` mean squared error over colours and pixels: the distance L2 of Huang et al. (2019)."""
    return (canvas - target).square().flatten(1).mean(1)


def relative(distance: Distance, background: Colour = WHITE) -> Distance:
    """`distance` as a part of the blank canvas' distance: 1 where painting begins, 0 where it should end.

    The authors' environment divides by it too, so that dark and light targets weigh alike. The floor keeps a target
    that the blank canvas already matches from being worth everything.
    """

    def part(canvas: Tensor, target: Tensor) -> Tensor:
        return distance(canvas, target) / distance(begin(target, background).canvas, target).clamp(min=1e-4)

    return part


def decrease(distance: Distance) -> Reward:
    """The reward that a distance gives: r = L(canvas before, target) - L(canvas after, target).

    Its sum over an episode is the whole decrease, whatever the steps between.
    """

    def reward(before: State, after: State) -> Tensor:
        return distance(before.canvas, before.target) - distance(after.canvas, after.target)

    return reward


l2: Reward = decrease(mse)
