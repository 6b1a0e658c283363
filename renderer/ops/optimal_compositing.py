"""Marks in the colours that suit a target best: what each gains, and compositing in the order of gain.

For a mark of coverage a over a canvas b with target t, and d = t - b, the squared error left by colour c is
E - 2 c A + c^2 B with A = sum a (d + a b), B = sum a^2, E = sum (d + a b)^2; hence the optimal colour is c = A / B, clamped
to [0, 1]. B is the same for all channels, so that the optimal colour of a palette is the one nearest to A / B.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn.functional import pad

from renderer.ops import native
from renderer.ops.patch_pixels import pixels_of

SOURCE = native.FOLDER / "optimal_compositing.c"


def score_marks(
    canvas: Tensor, target: Tensor, alpha: Tensor, box: Tensor, start: Tensor, palette: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Compute the optimal colour of each mark on a canvas, and the error that it removes.

    The gain is differentiable in `alpha` only. The colour is optimal, so that its own change has no effect on the gain.

    Args:
        canvas: `(B, 3, H, W)`.
        target: `(B, 3, H, W)`.
        alpha: `(T,)` in [0, 1], laid out by `box` and `start` as `renderer.ops` describes.
        box: `(B * K, 4)` left, top, width, height, inside the canvas; K marks for each canvas, canvas after canvas.
        start: `(B * K,)` index of the first pixel of each mark in `alpha`.
        palette: `(P, 3)`, the only colours allowed; None allows all.

    Returns:
        The gain `(B * K,)`, a sum of squared errors over pixels and channels, and the colour `(B * K, 3)`.
    """
    if native.load_for(SOURCE, canvas, target, alpha, palette) is not None:
        gain, colour = _Score.apply(canvas, target, alpha, box, start, palette)
        return gain, colour
    return score_marks_reference(canvas, target, alpha, box, start, palette)


def composite_greedily(
    canvas: Tensor,
    target: Tensor,
    alpha: Tensor,
    box: Tensor,
    start: Tensor,
    order: Tensor,
    least: Tensor,
    limit: int,
    palette: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Lay the marks of each canvas over it in a given order, each in the colour that is optimal at its turn.

    A mark whose gain has by then fallen below `least` is passed over. The canvas is differentiable in `canvas` and
    `alpha`, through the colours too.

    Args:
        canvas: `(B, 3, H, W)`.
        target: `(B, 3, H, W)`.
        alpha: `(T,)` in [0, 1], laid out by `box` and `start` as `renderer.ops` describes.
        box: `(B * K, 4)` left, top, width, height, inside the canvas; K marks for each canvas, canvas after canvas.
        start: `(B * K,)` index of the first pixel of each mark in `alpha`.
        order: `(B, K)` indices of marks (of all B * K) in painting order.
        least: `(B * K,)` or `(B, K)`, the least gain of each mark.
        limit: how many marks are painted on each canvas at most.
        palette: `(P, 3)`, the only colours allowed; None allows all.

    Returns:
        The canvases `(B, 3, H, W)`; the indices of the marks painted `(B, limit)` in painting order, -1 where there were
        fewer; and the colours `(B * K, 3)` of the marks that were painted.
    """
    if native.load_for(SOURCE, canvas, target, alpha, least, palette) is not None:
        painted, index, colour = _Greedy.apply(canvas, target, alpha, box, start, order, least, limit, palette)
        return painted, index, colour
    return composite_greedily_reference(canvas, target, alpha, box, start, order, least, limit, palette)


def score_marks_reference(
    canvas: Tensor, target: Tensor, alpha: Tensor, box: Tensor, start: Tensor, palette: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """`score_marks` in PyTorch."""
    owner, x, y = pixels_of(box, start, len(alpha))
    picture, row, column = owner // (len(box) // len(canvas)), y.long(), x.long()
    b, t = (pictures.detach()[picture, :, row, column].mT for pictures in (canvas, target))  # (3, T)

    def sums(values: Tensor) -> Tensor:
        """Sum values `(C, T)` over the pixels of each mark: `(B * K, C)`."""
        return values.new_zeros(len(box), len(values)).index_add(0, owner, values.mT)

    d = t - b
    e = d + alpha * b
    A, B = sums(alpha * e), sums((alpha * alpha)[None]) + 1e-8
    colour = _optimal_colour(A, B, palette).detach()
    gain = (sums(d * d - e * e) + 2 * colour * A - colour * colour * B).sum(-1)
    return gain, colour


def composite_greedily_reference(
    canvas: Tensor,
    target: Tensor,
    alpha: Tensor,
    box: Tensor,
    start: Tensor,
    order: Tensor,
    least: Tensor,
    limit: int,
    palette: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """`composite_greedily` in PyTorch."""
    height, width = canvas.shape[-2:]
    index = torch.full((len(canvas), limit), -1, device=canvas.device)
    colours = canvas.new_zeros(len(box), 3)
    boxes, starts, least = box.tolist(), start.tolist(), least.flatten()
    canvases = list(canvas.unbind())
    for p, marks in enumerate(order.tolist()):
        done = 0
        for i in marks:
            if done == limit:
                break
            left, top, w, h = boxes[i]
            mark = alpha[starts[i] : starts[i] + w * h].view(h, w)
            below, wanted = (c[:, top : top + h, left : left + w] for c in (canvases[p], target[p]))
            d = wanted - below
            e = d + mark * below
            A, B = (mark * e).sum((-2, -1)), (mark * mark).sum() + 1e-8
            colour = _optimal_colour(A, B, palette)
            held = colour.detach()
            gain = ((d * d - e * e).sum((-2, -1)) + 2 * held * A - held * held * B).sum()
            if gain < least[i]:
                continue
            change = mark * (colour[:, None, None] - below)
            canvases[p] = canvases[p] + pad(change, (left, width - left - w, top, height - top - h))
            colours[i] = held
            index[p, done] = i
            done += 1
    return torch.stack(canvases), index, colours


def _optimal_colour(A: Tensor, B: Tensor, palette: Tensor | None) -> Tensor:
    """A (..., 3) and B (...) or (..., 1) as in the module's docstring -> colours (..., 3)."""
    if palette is None:
        return (A / B).clamp(0, 1)
    distance = ((A / B)[..., None, :] - palette).square().sum(-1)
    return palette[distance.argmin(-1)]


def _count(palette: Tensor | None) -> int:
    return 0 if palette is None else len(palette)


class _Score(Function):
    """`score_marks` in C."""

    @staticmethod
    def forward(ctx, canvas, target, alpha, box, start, palette):  # type: ignore[no-untyped-def]
        drawn = tuple(tensor.contiguous() for tensor in (canvas, target, alpha, box, start))
        gain, colour = alpha.new_empty(len(box)), alpha.new_empty(len(box), 3)
        ctx.sizes = (len(canvas), len(box) // len(canvas), len(alpha), *canvas.shape[-2:])
        N = len(box)
        operands = (
            *_operands(*drawn, *ctx.sizes),
            _colours(palette),
            native.floats(gain, N),
            native.floats(colour, N, 3),
        )
        native.call(SOURCE, "score_marks_forward", operands, *ctx.sizes, _count(palette))
        ctx.save_for_backward(*drawn, colour)
        ctx.mark_non_differentiable(colour)
        return gain, colour

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_gain, _):  # type: ignore[no-untyped-def]
        *drawn, colour = ctx.saved_tensors
        N, T = len(colour), ctx.sizes[2]
        grad_alpha, grad_gain = torch.empty_like(drawn[2]), grad_gain.contiguous()
        more = (native.floats(colour, N, 3), native.floats(grad_gain, N), native.floats(grad_alpha, T))
        native.call(SOURCE, "score_marks_backward", (*_operands(*drawn, *ctx.sizes), *more), *ctx.sizes)
        return None, None, grad_alpha, None, None, None


class _Greedy(Function):
    """`composite_greedily` in C."""

    @staticmethod
    def forward(ctx, canvas, target, alpha, box, start, order, least, limit, palette):  # type: ignore[no-untyped-def]
        canvas = canvas.clone(memory_format=torch.contiguous_format)
        target, alpha, box, start = (tensor.contiguous() for tensor in (target, alpha, box, start))
        order, least = order.contiguous(), least.flatten()
        (B, K), (H, W), N, T = order.shape, canvas.shape[-2:], len(box), len(alpha)
        painted = torch.empty(len(canvas), limit, dtype=torch.long)
        colour, free = alpha.new_zeros(2, N, 3).unbind()
        weight, before = alpha.new_zeros(N), alpha.new_empty(3, T)
        operands = (
            *_operands(canvas, target, alpha, box, start, B, K, T, H, W),
            native.integers(order, B, K),
            native.floats(least, N),
            _colours(palette),
            native.integers(painted, B, limit),
            native.floats(colour, N, 3),
            native.floats(weight, N),
            native.floats(free, N, 3),
            native.floats(before, 3, T),
        )
        native.call(SOURCE, "composite_greedily_forward", operands, B, K, limit, T, H, W, _count(palette))
        ctx.save_for_backward(target, alpha, box, start, painted, colour, weight, free, before)
        ctx.sizes = (B, K, limit, T, H, W)
        ctx.mark_non_differentiable(painted, colour)
        return canvas, painted, colour

    @staticmethod
    @once_differentiable
    def backward(ctx, grad, *_):  # type: ignore[no-untyped-def]
        target, alpha, box, start, painted, colour, weight, free, before = ctx.saved_tensors
        grad, grad_alpha = grad.clone(memory_format=torch.contiguous_format), torch.zeros_like(alpha)
        B, K, limit, T, H, W = ctx.sizes
        operands = (
            *_operands(grad, target, alpha, box, start, B, K, T, H, W),
            native.integers(painted, B, limit),
            native.floats(colour, B * K, 3),
            native.floats(weight, B * K),
            native.floats(free, B * K, 3),
            native.floats(before, 3, T),
            native.floats(grad_alpha, T),
        )
        native.call(SOURCE, "composite_greedily_backward", operands, *ctx.sizes)
        return grad, None, grad_alpha, *[None] * 6


def _operands(canvas, target, alpha, box, start, B, K, T, H, W):  # type: ignore[no-untyped-def]
    """What all kernels of this module begin with."""
    return (
        native.floats(canvas, B, 3, H, W),
        native.floats(target, B, 3, H, W),
        native.floats(alpha, T),
        native.integers(box, B * K, 4),
        native.integers(start, B * K),
    )


def _colours(palette: Tensor | None) -> native.Operand:
    return native.optional_floats(None if palette is None else palette.contiguous(), _count(palette), 3)
