"""Painting as a Markov decision process (Huang et al. 2019, section 3.2): pure, batched, differentiable functions.

State: canvas, target and number of bundles painted. Action: a bundle of strokes. Reward: the decrease of the distance
between canvas and target. The functions work on tensors of any device, and a gradient flows from the reward to the action
if the brush is differentiable. The gymnasium environments are thin wrappers around these functions; training needs none.

    state = begin(targets)
    while not finished(state, steps).all():
        after = step(state, actor(observe(state, steps)), brush)
        reward = l2(state, after)
        state = after

Departures from the authors' code: the canvas is white at first (theirs is black) and stays in floating point (theirs is
rounded to 8 bits after each bundle).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from renderer.brush import Brush
from renderer.canvas import blank, paint

Colour = tuple[float, float, float]
WHITE: Colour = (1.0, 1.0, 1.0)


class State(NamedTuple):
    """A batch of B paintings in progress.

    canvas: `(B, 3, H, W)`, sRGB in [0, 1]
    target: `(B, 3, H, W)`, the pictures to paint
    step: `(B,)` integers, number of bundles painted
    """

    canvas: Tensor
    target: Tensor
    step: Tensor


Distance = Callable[[Tensor, Tensor], Tensor]
"""(canvas, target), both `(B, 3, H, W)` -> `(B,)`."""

Reward = Callable[[State, State], Tensor]
"""(state before a bundle, state after the bundle) -> `(B,)`."""


def begin(target: Tensor, background: Colour = WHITE) -> State:
    """Start painting `target` (B, 3, H, W) on canvases of one colour, sRGB in [0, 1]."""
    size = (target.shape[-2], target.shape[-1])
    canvas = blank(size, background, target.device).to(target.dtype).expand_as(target).clone()
    return State(canvas, target, torch.zeros(len(target), dtype=torch.long, device=target.device))


def step(state: State, action: Tensor, brush: Brush) -> State:
    """Paint a bundle of strokes `(B, N, P)` in [0, 1] on each canvas, the first stroke lowest.

    >>> from renderer.brushes.bezier import AnalyticBezier
    >>> state = begin(torch.zeros(2, 3, 8, 8))
    >>> after = step(state, torch.full((2, 5, 13), 0.5), AnalyticBezier())
    >>> after.canvas.shape, after.step
    (torch.Size([2, 3, 8, 8]), tensor([1, 1]))
    """
    return State(paint(state.canvas, action, brush), state.target, state.step + 1)


def finished(state: State, steps: int) -> Tensor:
    """`(B,)` booleans: whether `steps` bundles are painted."""
    return state.step >= steps


def observe(state: State, steps: int) -> Tensor:
    """Observation of a policy, `(B, 9, H, W)` in [0, 1]: canvas (3), target (3), fraction of `steps` done (1), y, x.

    The coordinate channels give convolutions their position (Huang et al. 2019).
    """
    B, _, H, W = state.canvas.shape
    done = (state.step.to(state.canvas) / steps).view(B, 1, 1, 1).expand(B, 1, H, W)
    y = torch.linspace(0, 1, H, device=state.canvas.device).to(state.canvas).view(1, 1, H, 1).expand(B, 1, H, W)
    x = torch.linspace(0, 1, W, device=state.canvas.device).to(state.canvas).view(1, 1, 1, W).expand(B, 1, H, W)
    return torch.cat((state.canvas, state.target, done, y, x), 1)


def mse(canvas: Tensor, target: Tensor) -> Tensor:
    """Mean squared error over channels and pixels, `(B,)`: the L2 distance of Huang et al. (2019)."""
    return (canvas - target).square().flatten(1).mean(1)


def relative(distance: Distance, background: Colour = WHITE) -> Distance:
    """Divide `distance` by its value for the blank canvas: 1 at the start of a painting, 0 for a perfect one.

    Dark and light targets then count the same, as in the authors' environment. The divisor is at least 1e-4, because the
    blank canvas may equal the target.
    """
    return partial(_relative, distance, background)  # not a closure, so that environments can be pickled


def decrease(distance: Distance) -> Reward:
    """Make a reward of a distance L: r = L(canvas before, target) - L(canvas after, target).

    The rewards of an episode sum to the decrease from the first to the last canvas.
    """
    return partial(_decrease, distance)


def _relative(distance: Distance, background: Colour, canvas: Tensor, target: Tensor) -> Tensor:
    return distance(canvas, target) / distance(begin(target, background).canvas, target).clamp(min=1e-4)


def _decrease(distance: Distance, before: State, after: State) -> Tensor:
    return distance(before.canvas, before.target) - distance(after.canvas, after.target)


l2: Reward = decrease(mse)
