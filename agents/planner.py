"""Planning: strokes are improved on the model before they are painted.

The policy's guess of a shape is near the best one but seldom on it. What a stroke gains is differentiable in its shape,
so that some steps of gradient descent on the known model move it to where it gains more: first each promising proposal
alone (greedy: one stroke ahead), then the strokes of a round together, each knowing what will be painted over it (a
horizon of the whole round). This is model-predictive control by gradients: plan, act, look again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from agents.optimal_colour import score_candidates
from renderer.brush import Brush
from renderer.canvas import paint
from renderer.constraints import UNCONSTRAINED, StrokeConstraints
from renderer.strokes import StrokeSpace


@dataclass(frozen=True)
class Planning:
    """How much is planned before each round."""

    independent_steps: int = 7
    """Steps on the most promising proposals, each by itself."""
    joint_steps: int = 40
    """Steps on the round's strokes as they will lie over one another."""
    lr: float = 0.1
    """Length of the first step, in a stroke's own scale; it falls linearly."""


DEFAULT_PLANNING = Planning()
NO_PLANNING = Planning(independent_steps=0, joint_steps=0)


def top_k_per_cell(gain: Tensor, group: Tensor, count: int) -> Tensor:
    """The indices `(B, count)` of proposals with the largest gains `(B, K)`, at most one of each group `(K,)`.

    Proposals of one group (a cell) would end as the same stroke. Fewer are returned where there are fewer groups.
    """
    groups = int(group.max()) + 1
    best = torch.full((len(gain), groups), -torch.inf, device=gain.device, dtype=gain.dtype)
    best = best.scatter_reduce(1, group.expand_as(gain), gain, "amax")
    alone = torch.where(gain >= best[:, group], gain, -torch.inf)
    return alone.topk(min(count, groups), 1).indices


def refine_independently(
    strokes: Tensor,
    cell: Tensor,
    canvas: Tensor,
    target: Tensor,
    renderer: Brush,
    steps: int,
    rate: float = Planning.lr,
    constraints: StrokeConstraints = UNCONSTRAINED,
) -> Tensor:
    """Descends on the shapes of strokes `(B, M, P)`, each alone on the canvas, up the gradient of its gain.

    cell (B, M): the side of the cell that each comes from, as a fraction of the canvas' short side, which is how far a
    step of rate 1 goes. canvas, target (B, 3, H, W).
    """

    def loss(shapes: Tensor) -> Tensor:
        allowed = constraints.apply(shapes, renderer.space)
        return -score_candidates(canvas, target, allowed, renderer, constraints.colours).gain.sum()

    pace = _pace(strokes, cell, (canvas.shape[-2], canvas.shape[-1]), renderer.space)
    return constraints.apply(_descend(loss, strokes, pace, steps, rate), renderer.space)


def refine_jointly(
    strokes: Tensor,
    real: Tensor,
    canvas: Tensor,
    target: Tensor,
    renderer: Brush,
    steps: int,
    rate: float = Planning.lr,
    constraints: StrokeConstraints = UNCONSTRAINED,
) -> Tensor:
    """Descends on strokes `(B, M, P)`, painted one over another, down the error of what they leave; colours included.

    real (B, M): which strokes there are; the others stay blank. canvas, target (B, 3, H, W). Where the plan turns out no
    better, the strokes stay what they were.
    """
    space = renderer.space
    size = (canvas.shape[-2], canvas.shape[-1])

    there = torch.ones_like(strokes)
    there[..., space.columns("opacity")] = real[..., None].to(strokes)

    def allowed(shapes: Tensor) -> Tensor:
        return constraints.apply(shapes, space) * there

    def error(shapes: Tensor) -> Tensor:
        return (paint(canvas, allowed(shapes), renderer) - target).square().sum((1, 2, 3))

    # A stroke's scale is its width, of which a thin one has at least two pixels.
    width = 2 * space.get(strokes, "radius").amax(-1).clamp(min=2 / min(size))
    pace = _pace(strokes, width, size, space)
    pace[..., space.columns("colour")] = 0.3
    planned = _descend(lambda shapes: error(shapes).sum(), strokes, pace, steps, rate)
    better = error(planned) < error(strokes)
    return torch.where(better[:, None, None], allowed(planned), strokes)


def _pace(strokes: Tensor, scale: Tensor, size: tuple[int, int], space: StrokeSpace) -> Tensor:
    """How far each column may go in a step of rate 1, for strokes of a `scale` given as a fraction of the short side."""
    height, width = size
    pace = torch.zeros_like(strokes)
    for name in ("start", "end"):
        pace[..., space.columns(name)] = scale[..., None] * (min(size) / scale.new_tensor([width, height]))
    for name in ("bend", "opacity"):
        pace[..., space.columns(name)] = 1.0
    pace[..., space.columns("radius")] = scale[..., None] / space.field("radius").high / 2
    for field in space.fields:
        if field.name in ("pressure", "brush"):  # of MyPaint's brushes
            pace[..., space.columns(field.name)] = 0.5
    return pace


@torch.enable_grad()
def _descend(loss: Callable[[Tensor], Tensor], strokes: Tensor, pace: Tensor, steps: int, rate: float) -> Tensor:
    """Adam with a short memory, since there are few steps; the bias corrections are exact from the first on."""
    mean, square = torch.zeros_like(strokes), torch.zeros_like(strokes)
    for step in range(steps):
        shapes = strokes.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(loss(shapes), shapes)
        mean = 0.8 * mean + 0.2 * gradient
        square = 0.9 * square + 0.1 * gradient * gradient
        direction = (mean / (1 - 0.8 ** (step + 1))) / ((square / (1 - 0.9 ** (step + 1))).sqrt() + 1e-12)
        strokes = (strokes - rate * (1 - step / steps) * pace * direction).clamp(0, 1).detach()
    return strokes
