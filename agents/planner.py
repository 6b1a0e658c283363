"""Refine strokes by gradient descent through the renderer before they are painted (model-predictive control).

The policy's proposals are close to good strokes but seldom optimal. What a stroke gains is differentiable in its shape.
First each of the best proposals is refined by itself (a horizon of one stroke), then all strokes of a round together,
where each stroke is adjusted to what is painted over it (a horizon of the round). After the round, the agent looks at
the new canvas and plans again. At last, the strokes of all rounds are refined together.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from agents.optimal_colour import score_candidates
from renderer.brush import Brush
from renderer.canvas import lay
from renderer.checks import check_painting, check_pictures, check_shape
from renderer.constraints import UNCONSTRAINED, StrokeConstraints
from renderer.ops.cuda_graph import RepeatedStep
from renderer.ops.refine_strokes import fused, refine_each, refine_together
from renderer.ops.triton_strokes import usable


@dataclass(frozen=True)
class Planning:
    """How much strokes are refined, in each round and at last."""

    independent_steps: int = 7
    """Gradient steps on the best proposals, each by itself."""
    joint_steps: int = 40
    """Gradient steps on the strokes of the round together, at most; twice as many with the brush bezier."""
    final_steps: int = 40
    """Gradient steps on all strokes of the finished painting together; half as many with brushes other than bezier."""
    lr: float = 0.1
    """Size of the first step in units of the stroke's own size; falls linearly to 0. Final steps are half as large."""


DEFAULT_PLANNING = Planning()
NO_PLANNING = Planning(independent_steps=0, joint_steps=0, final_steps=0)
FINAL_RATE = 0.5  # of the rate: the strokes are good already
FEWEST_FINAL_STEPS = 5  # fewer gain nothing


def top_k_per_cell(gain: Tensor, cell: Tensor, k: int) -> Tensor:
    """Indices `(B, k)` of the k proposals with the largest gain `(B, K)`, at most one from each cell.

    cell `(K,)` numbers the cell of each proposal from 0. Refinement would turn proposals of one cell into the same
    stroke. Where there are fewer than k cells, fewer indices are returned.
    """
    cells = int(cell.max()) + 1
    best = torch.full((len(gain), cells), -torch.inf, device=gain.device, dtype=gain.dtype)
    best = best.scatter_reduce(1, cell.expand_as(gain), gain, "amax")
    best_of_cell = torch.where(gain >= best[:, cell], gain, -torch.inf)
    return best_of_cell.topk(min(k, cells), 1).indices


def refine_independently(
    strokes: Tensor,
    canvas: Tensor,
    target: Tensor,
    brush: Brush,
    *,
    cell_size: Tensor,
    steps: int,
    lr: float = Planning.lr,
    constraints: StrokeConstraints = UNCONSTRAINED,
) -> Tensor:
    """Ascend the gain of each stroke by itself on the canvas, in its shape; its colour is always the optimal one.

    Args:
        strokes: `(B, M, P)` in [0, 1].
        canvas: `(B, 3, H, W)`, sRGB in [0, 1].
        target: `(B, 3, H, W)`, the pictures to paint.
        brush: A differentiable brush.
        cell_size: `(B, M)`, side of the cell that each stroke comes from as a fraction of the canvas' short side; steps
            are proportional to it.
        steps: Number of gradient steps.
        lr: Size of the first step.
        constraints: Which strokes are allowed.

    Returns:
        Refined strokes `(B, M, P)`, without a gradient.

    Raises:
        InputError: The shapes do not belong together.
    """
    check_pictures(canvas, target)
    check_painting(canvas, strokes, brush.space, values=False)
    check_shape(cell_size, strokes, 2, "cell_size")

    step_size = brush.space.step_sizes(cell_size, (canvas.shape[-2], canvas.shape[-1]))
    limits, weights = constraints.limits(brush.space), fused(brush, strokes, canvas, target)
    if weights is not None and limits is not None:
        brush.check(strokes.flatten(0, 1), (canvas.shape[-2], canvas.shape[-1]))
        constraints.apply(strokes[:0], brush.space)  # refuses constraints that no stroke of the brush satisfies
        refined = refine_each(strokes, canvas, target, weights, step_size=step_size, steps=steps, lr=lr, limits=limits)
        return constraints.apply(refined, brush.space)

    def loss(shapes: Tensor) -> Tensor:
        allowed = constraints.apply(shapes, brush.space)
        return -score_candidates(allowed, canvas, target, brush, palette=constraints.colours).gain.sum()

    return constraints.apply(
        _adam(loss, strokes, step_size, steps, lr, kind=f"gain {type(brush).__name__}"), brush.space
    )


def paint_refined(
    strokes: Tensor,
    canvas: Tensor,
    target: Tensor,
    brush: Brush,
    *,
    mask: Tensor,
    steps: int | Sequence[int],
    lr: float = Planning.lr,
    constraints: StrokeConstraints = UNCONSTRAINED,
) -> tuple[Tensor, Tensor]:
    """Descend the squared error of the canvas after all strokes, in their shapes and colours, and paint them.

    Args:
        strokes: `(B, M, P)` in [0, 1], in painting order.
        canvas: `(B, 3, H, W)`, sRGB in [0, 1], before the strokes.
        target: `(B, 3, H, W)`, the pictures to paint.
        brush: A differentiable brush.
        mask: `(B, M)`, False for blank strokes, which stay blank.
        steps: Number of gradient steps, of all pictures or of each.
        lr: Size of the first step.
        constraints: Which strokes are allowed.

    Returns:
        Refined strokes `(B, M, P)`, without a gradient. Where the error did not fall, those of the picture as they were. And
        the canvas `(B, 3, H, W)` after them.

    Raises:
        InputError: The shapes do not belong together.
    """
    check_pictures(canvas, target)
    check_painting(canvas, strokes, brush.space, values=False)
    check_shape(mask, strokes, 2, "mask", torch.bool)
    space = brush.space
    size = (canvas.shape[-2], canvas.shape[-1])

    visible = torch.ones_like(strokes)
    visible[..., space.columns("opacity")] = mask[..., None].to(strokes)

    def allowed(shapes: Tensor) -> Tensor:
        return constraints.apply(shapes, space) * visible

    step_size = space.step_sizes_of(strokes, size)
    limits, weights = constraints.limits(space), fused(brush, strokes, canvas, target)
    if weights is not None and limits is not None:
        brush.check(strokes.flatten(0, 1), size)
        counts = [steps] * len(strokes) if isinstance(steps, int) else steps
        return refine_together(
            strokes, canvas, target, weights, step_size=step_size, mask=mask, steps=counts, lr=lr, limits=limits
        )

    def error(shapes: Tensor) -> Tensor:
        return (lay(canvas, allowed(shapes), brush) - target).square().sum((1, 2, 3))

    def total(shapes: Tensor) -> Tensor:
        """`error` of all pictures, in a single operation."""
        return mse_loss(lay(canvas, allowed(shapes), brush), target, reduction="sum")

    refined = _adam(total, strokes, step_size, steps, lr, kind=f"error {type(brush).__name__}")
    better = error(refined) < error(strokes)
    strokes = torch.where(better[:, None, None], allowed(refined), strokes)
    return strokes, lay(canvas, strokes, brush)


def refine_painting(
    strokes: Tensor,
    canvas: Tensor,
    target: Tensor,
    brush: Brush,
    *,
    planning: Planning,
    constraints: StrokeConstraints = UNCONSTRAINED,
    seconds: float | None = None,
) -> Tensor:
    """Refine all strokes of finished paintings together, the early ones with what was painted over them later.

    Args:
        strokes: `(B, N, P)` in [0, 1], in painting order.
        canvas: `(B, 3, H, W)`, sRGB in [0, 1], before the strokes.
        target: `(B, 3, H, W)`, the pictures to paint.
        brush: A differentiable brush.
        planning: Says how many steps are made, and how large they are.
        constraints: Which strokes are allowed.
        seconds: Time for all of it: fewer steps are made where those of `planning` would take longer.

    Returns:
        Strokes `(B, N, P)`; where the error did not fall, those of the picture as they were.

    Raises:
        InputError: The shapes do not belong together.
    """
    cheap = brush.has_stroke_map and not usable(canvas)  # compiled
    steps = planning.final_steps if cheap else planning.final_steps // 2
    if steps < FEWEST_FINAL_STEPS or strokes.shape[1] == 0:
        return strokes
    every = torch.ones(strokes.shape[:2], dtype=torch.bool, device=strokes.device)

    def refined(steps: int) -> Tensor:
        rate = FINAL_RATE * planning.lr
        how: dict[str, Any] = {"mask": every, "steps": steps, "lr": rate, "constraints": constraints}
        return paint_refined(strokes, canvas, target, brush, **how)[0]

    if seconds is not None:
        if seconds <= 0:
            return strokes
        begun = time.monotonic()
        refined(1)
        used = time.monotonic() - begun
        steps = min(steps, int(2 * (seconds - used) / used) - 1)  # the error is computed once more than there are steps
    return refined(steps) if steps >= FEWEST_FINAL_STEPS else strokes


@torch.enable_grad()
def _adam(
    loss: Callable[[Tensor], Tensor],
    strokes: Tensor,
    step_size: Tensor,
    steps: int | Sequence[int],
    lr: float,
    kind: str | None = None,
) -> Tensor:
    """Minimise `loss` with Adam (betas .8 and .9, since there are few steps) inside [0, 1]; `kind`: see `RepeatedStep`."""
    if usable(strokes):
        return _adam_recorded(loss, strokes, step_size, steps, lr, kind)
    mean, square = torch.zeros_like(strokes), torch.zeros_like(strokes)
    for step, rate in enumerate(torch.tensor(_rates(len(strokes), steps, lr)).to(strokes)[..., None, None]):
        shapes = strokes.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(loss(shapes), shapes)
        mean = 0.8 * mean + 0.2 * gradient
        square = 0.9 * square + 0.1 * gradient * gradient
        direction = (mean / (1 - 0.8 ** (step + 1))) / ((square / (1 - 0.9 ** (step + 1))).sqrt() + 1e-12)
        strokes = (strokes - rate * step_size * direction).clamp(0, 1).detach()
    return strokes


def _adam_recorded(
    loss: Callable[[Tensor], Tensor],
    strokes: Tensor,
    step_size: Tensor,
    steps: int | Sequence[int],
    lr: float,
    kind: str | None = None,
) -> Tensor:
    """`_adam` on a GPU, where one recorded step is repeated: it changes its tensors in place."""
    strokes = strokes.detach().clone()
    mean, square = torch.zeros_like(strokes), torch.zeros_like(strokes)
    rows = [
        [*(rate / (1 - 0.8 ** (i + 1)) for rate in row), 1 - 0.9 ** (i + 1)]
        for i, row in enumerate(_rates(len(strokes), steps, lr))
    ]
    schedule = strokes.new_tensor(rows)  # (steps, B rates of the mean and the correction of the square)
    now = strokes.new_zeros(len(strokes) + 1)

    def step() -> None:
        shapes = strokes.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(loss(shapes), shapes)
        with torch.no_grad():
            mean.lerp_(gradient, 0.2)
            square.mul_(0.9).addcmul_(gradient, gradient, value=0.1)
            deviation = (square / now[-1]).sqrt_().add_(1e-12)
            strokes.addcdiv_(mean * step_size * now[:-1, None, None], deviation, value=-1).clamp_(0, 1)

    repeated = RepeatedStep(step, record=usable(strokes), kind=kind)
    for row in schedule:
        now.copy_(row)
        repeated()
    return strokes


def _rates(pictures: int, steps: int | Sequence[int], lr: float) -> list[list[float]]:
    """The learning rate of every step for each picture: from `lr` down to 0 in the steps of that picture.

    With a rate of 0, a picture stays as it is while others go on, so that its result does not depend on the others.
    """
    counts = [steps] * pictures if isinstance(steps, int) else steps
    return [[lr * max(1 - step / count, 0) for count in counts] for step in range(max(counts))]
