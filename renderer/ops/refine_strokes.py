"""Strokes of a stroke map scored, refined or differentiated, each in one call from the strokes to the error and back.

What `agents.planner`, `agents.optimal_colour` and `painter.optimize` compute from a brush, a canvas and strokes by many
operations of PyTorch, this does in compiled code: geometry, perceptron, alphas, compositing, the gradient and Adam's steps.
There is no implementation in PyTorch here: callers have one, which defines what is computed, and take it where `fused` is
None.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn.functional import pad

from renderer.errors import InputError
from renderer.ops import native
from renderer.ops.decode_stroke_map import MAX_GRID, MAX_SHARPNESS

if TYPE_CHECKING:
    from renderer.brush import Brush

SOURCE = native.FOLDER / "refine_strokes.c"
COLUMNS = 13  # of a stroke
LANES, PANEL = 16, 64  # columns of a vector and of a panel, as in stroke_map_pixels.h and stroke_map_network.h


class StrokeMapWeights(NamedTuple):
    """What draws strokes: the weights of `renderer.learned.stroke_map.StrokeMap`, which must not need a gradient.

    weights: `(n,)`, those of `pack`
    hidden: width of the perceptron
    grid: nodes a side of the maps
    sharpness: of the outline
    radius: a radius of 1 as a fraction of the canvas' short side
    mirrored: below which side of a stroke, in its own frame, its mirror image is mixed in; 0 for never
    """

    weights: Tensor
    hidden: int
    grid: int
    sharpness: float
    radius: float
    mirrored: float = 0.0


def pack(layers: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """Arrange the perceptron as the operations read it.

    Args:
        layers: Matrix `(out, in)` and bias `(out,)` of each layer.

    Returns:
        `(n,)`: of each layer, the matrices of the forward and the backward pass and the bias, all padded to whole vectors.
    """
    parts = []
    for i, (matrix, bias) in enumerate(layers):
        shift = 0.5 if i == len(layers) - 1 else 0.0  # maps are 0.5 + outputs
        parts += [*_panels(matrix.mT), *_panels(matrix), *_panels(bias[None] + shift)]
    return torch.cat(parts).contiguous()


def _panels(matrix: Tensor) -> list[Tensor]:
    """The columns of a matrix `(rows, columns)` in panels that lie together, each `(n,)`, padded to whole vectors."""
    padded = pad(matrix.detach(), (0, _padded(matrix.shape[1]) - matrix.shape[1]))
    return [panel.flatten() for panel in padded.split(PANEL, 1)]


def _padded(columns: int) -> int:
    return -(-columns // LANES) * LANES


class Limits(NamedTuple):
    """Which strokes are allowed: radii in [0, 1] of their column, whether opacity is 1, and a palette `(P, 3)` if any."""

    min_radius: float = 0.0
    max_radius: float = 1.0
    opaque: bool = False
    palette: Tensor | None = None


def fused(brush: Brush, strokes: Tensor, *pictures: Tensor) -> StrokeMapWeights | None:
    """What the operations here draw the strokes of `brush` from; None where they cannot be used.

    They need a brush with a stroke map, single precision on the CPU, a compiler, and one stroke at least.
    """
    if strokes.numel() == 0 or native.load_for(SOURCE, strokes, *pictures) is None:
        return None
    return brush.stroke_map()


def score_strokes(
    strokes: Tensor, canvas: Tensor, target: Tensor, brush: StrokeMapWeights, palette: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Compute the gain and the optimal colour of each stroke by itself, as `agents.optimal_colour.score_candidates`.

    Args:
        strokes: `(B, M, 13)` in [0, 1].
        canvas: `(B, 3, H, W)`.
        target: `(B, 3, H, W)`.
        brush: Draws the strokes.
        palette: `(P, 3)`, the only colours allowed; None allows all.

    Returns:
        The gain `(B, M)`, a sum of squared errors over pixels and channels, and the colour `(B, M, 3)`. No gradient.
    """
    strokes, canvas, target = (tensor.detach().contiguous() for tensor in (strokes, canvas, target))
    B, M = strokes.shape[:2]
    gain, colour = strokes.new_zeros(B, M), strokes.new_zeros(B, M, 3)
    colours = 0 if palette is None else len(palette)
    operands = (
        *_pictures(strokes, canvas, target, brush),
        native.optional_floats(palette, colours, 3),
        native.floats(gain, B, M),
        native.floats(colour, B, M, 3),
    )
    native.call(SOURCE, "score_strokes", operands, *_sizes(strokes, canvas, brush), colours, *_scales(canvas, brush))
    return gain, colour


def refine_each(
    strokes: Tensor,
    canvas: Tensor,
    target: Tensor,
    brush: StrokeMapWeights,
    *,
    step_size: Tensor,
    steps: int,
    lr: float,
    limits: Limits,
) -> Tensor:
    """Ascend the gain of each stroke by itself, as `agents.planner.refine_independently`, before the limits are applied.

    Args:
        strokes: `(B, M, 13)` in [0, 1].
        canvas: `(B, 3, H, W)`.
        target: `(B, 3, H, W)`.
        brush: Draws the strokes.
        step_size: `(B, M, 13)`, how far the first step at rate 1 goes.
        steps: Number of steps.
        lr: Rate of the first step; falls linearly to 0.
        limits: Which strokes are allowed.

    Returns:
        Strokes `(B, M, 13)`.
    """
    strokes = strokes.detach().clone(memory_format=torch.contiguous_format)
    canvas, target, step_size = (tensor.detach().contiguous() for tensor in (canvas, target, step_size))
    colours = 0 if limits.palette is None else len(limits.palette)
    operands = (
        *_pictures(strokes, canvas, target, brush),
        native.optional_floats(limits.palette, colours, 3),
        native.floats(step_size, *strokes.shape),
    )
    numbers = (*_sizes(strokes, canvas, brush), colours, int(limits.opaque), steps)
    rates = (*_scales(canvas, brush), float(lr), float(limits.min_radius), float(limits.max_radius))
    native.call(SOURCE, "refine_each", operands, *numbers, *rates)
    return strokes


def refine_together(
    strokes: Tensor,
    canvas: Tensor,
    target: Tensor,
    brush: StrokeMapWeights,
    *,
    step_size: Tensor,
    mask: Tensor,
    steps: Sequence[int],
    lr: float,
    limits: Limits,
) -> tuple[Tensor, Tensor]:
    """Descend the squared error after all strokes, as `agents.planner.paint_refined`.

    Args:
        strokes: `(B, M, 13)` in [0, 1], in painting order.
        canvas: `(B, 3, H, W)`, before the strokes.
        target: `(B, 3, H, W)`.
        brush: Draws the strokes.
        step_size: `(B, M, 13)`, how far the first step at rate 1 goes.
        mask: `(B, M)`, False for blank strokes.
        steps: Number of steps of each picture.
        lr: Rate of the first step; falls linearly to 0.
        limits: Which strokes are allowed.

    Returns:
        Strokes `(B, M, 13)`, those of a picture whose error did not fall as they were; and the canvas `(B, 3, H, W)` after
        them.

    Raises:
        InputError: The error is not finite.
    """
    strokes = strokes.detach().clone(memory_format=torch.contiguous_format)
    canvas, target, step_size = (tensor.detach().contiguous() for tensor in (canvas, target, step_size))
    B, M = strokes.shape[:2]
    painted = torch.empty_like(canvas)
    colours = 0 if limits.palette is None else len(limits.palette)
    operands = (
        *_pictures(strokes, canvas, target, brush),
        native.optional_floats(limits.palette, colours, 3),
        native.floats(step_size, *strokes.shape),
        native.floats(mask.to(strokes).contiguous(), B, M),
        native.integers(torch.tensor(steps), B),
        native.floats(painted, *canvas.shape),
    )
    numbers = (*_sizes(strokes, canvas, brush), colours, int(limits.opaque), max(steps, default=0))
    rates = (*_scales(canvas, brush), float(lr), float(limits.min_radius), float(limits.max_radius))
    native.call(SOURCE, "refine_together", operands, *numbers, *rates)
    return strokes, painted


class Averages(NamedTuple):
    """What Adam remembers of strokes `(B, M, 13)`: the mean and the square of the gradient of strokes / lr.

    mean: `(B, M, 13)`
    square: `(B, M, 13)`
    betas: decay rates of both
    """

    mean: Tensor
    square: Tensor
    betas: tuple[float, float]


EPSILON = 1e-8  # as torch.optim.Adam adds it


def descend(
    strokes: Tensor,
    canvas: Tensor,
    target: Tensor,
    brush: StrokeMapWeights,
    *,
    lr: Tensor,
    averages: Averages,
    step: int,
    rate: float,
    limits: Limits,
    locked: Tensor | None = None,
) -> Tensor:
    """Make one step of Adam (Kingma and Ba 2015) down the mean squared error after all strokes that are allowed.

    Args:
        strokes: `(B, M, 13)` in [0, 1], in painting order; changed in place, like `averages`.
        canvas: `(B, 3, H, W)`, before the strokes.
        target: `(B, 3, H, W)`.
        brush: Draws the strokes.
        lr: `(B, M, 13)`, learning rates.
        averages: What the steps before remember; zeros before the first one.
        step: Number of steps before.
        rate: Multiplies the learning rates.
        limits: Which strokes are allowed.
        locked: `(M,)`, 1 for strokes that stay as they are, allowed or not, else 0.

    Returns:
        The mean squared error of each picture before the step, `(B,)`.

    Raises:
        InputError: The error is not finite.
    """
    strokes, canvas, target, lr, mean, square = (
        tensor.detach() for tensor in (strokes, canvas, target, lr, averages.mean, averages.square)
    )
    B, M = strokes.shape[:2]
    colours = 0 if limits.palette is None else len(limits.palette)
    error = strokes.new_zeros(B)
    operands = (
        *_pictures(strokes, canvas, target, brush),
        native.optional_floats(limits.palette, colours, 3),
        native.floats(lr, *strokes.shape),
        native.optional_floats(locked, M),
        native.floats(mean, *strokes.shape),
        native.floats(square, *strokes.shape),
        native.floats(error, B),
    )
    numbers = (*_sizes(strokes, canvas, brush), colours, int(limits.opaque), step)
    rates = (float(rate), *map(float, averages.betas), EPSILON, float(limits.min_radius), float(limits.max_radius))
    native.call(SOURCE, "descend", operands, *numbers, *_scales(canvas, brush), *rates)
    return error / target[0].numel()


def squared_error(strokes: Tensor, canvas: Tensor, target: Tensor, brush: StrokeMapWeights) -> Tensor:
    """Sum the squared error after all strokes over pixels and channels. Differentiable in `strokes`.

    Args:
        strokes: `(B, M, 13)` in [0, 1], in painting order.
        canvas: `(B, 3, H, W)`, before the strokes.
        target: `(B, 3, H, W)`.
        brush: Draws the strokes.

    Returns:
        The error of each picture, `(B,)`.
    """
    keep = torch.is_grad_enabled() and strokes.requires_grad  # inside a Function it is always off
    error: Tensor = _Error.apply(strokes, canvas, target, brush, keep)
    return error


class _Error(Function):
    """`squared_error`. The gradient is computed with the error, since both need the same."""

    @staticmethod
    def forward(ctx, strokes, canvas, target, brush, keep):  # type: ignore[no-untyped-def]
        strokes, canvas, target = (tensor.detach().contiguous() for tensor in (strokes, canvas, target))
        error, grad = strokes.new_zeros(len(strokes)), torch.zeros_like(strokes) if keep else None
        operands = (
            *_pictures(strokes, canvas, target, brush),
            native.floats(error, len(strokes)),
            native.optional_floats(grad, *strokes.shape),
        )
        numbers = (*_sizes(strokes, canvas, brush), *_scales(canvas, brush))
        native.call(SOURCE, "error_of_strokes", operands, *numbers)
        ctx.save_for_backward(grad)
        return error

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):  # type: ignore[no-untyped-def]
        (gradient,) = ctx.saved_tensors
        return grad[:, None, None] * gradient, None, None, None, None


def _pictures(strokes: Tensor, canvas: Tensor, target: Tensor, brush: StrokeMapWeights) -> tuple[native.Operand, ...]:
    """What all operations read."""
    B, M = strokes.shape[:2]
    if canvas.dim() != 4 or 0 in canvas.shape:
        raise InputError(f"A canvas has the shape (B, 3, H, W) with at least 1 pixel, not {tuple(canvas.shape)}.")
    if brush.weights is None:
        raise InputError("A stroke map has weights.")
    if not 2 <= brush.grid <= MAX_GRID:
        raise InputError(f"A stroke map has 2 to {MAX_GRID} nodes a side, not {brush.grid}.")
    if not abs(brush.sharpness) <= MAX_SHARPNESS:
        raise InputError(f"The sharpness of a stroke map is {brush.sharpness}; its weights are damaged.")
    sides = (6, brush.hidden, brush.hidden, brush.hidden, 2 * brush.grid**2)  # of the perceptron
    count = sum((n + 1) * _padded(m) + m * _padded(n) for n, m in pairwise(sides))
    shape = (B, 3, *canvas.shape[-2:])
    return (
        native.floats(strokes, B, M, COLUMNS),
        native.floats(canvas, *shape),
        native.floats(target, *shape),
        native.floats(brush.weights, count),
    )


def _sizes(strokes: Tensor, canvas: Tensor, brush: StrokeMapWeights) -> tuple[int, ...]:
    return (*strokes.shape[:2], *canvas.shape[-2:], brush.hidden, brush.grid)


def _scales(canvas: Tensor, brush: StrokeMapWeights) -> tuple[float, float, float]:
    """The sharpness, how many pixels a radius of 1 is, and where mirror images are mixed in."""
    return brush.sharpness, brush.radius * min(canvas.shape[-2:]), brush.mirrored
