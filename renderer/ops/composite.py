"""Composite strokes over a canvas, each on its own box."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn.functional import pad

from renderer.checks import check_boxes
from renderer.ops import native

SOURCE = native.FOLDER / "composite.c"


def composite(
    canvas: Tensor,
    alpha: Tensor,
    colour: Tensor,
    box: Tensor,
    start: Tensor,
    picture: Tensor,
    texture: Tensor | None = None,
) -> Tensor:
    """Lay marks over canvases: Porter and Duff's *over* with an opaque canvas, mark after mark.

    Differentiable in `canvas`, `alpha`, `colour` and `texture`.

    Args:
        canvas: `(B, 3, H, W)`.
        alpha: `(T,)` in [0, 1], laid out by `box` and `start` as `renderer.ops` describes.
        colour: `(N, 3)`, one flat colour for each mark.
        box: `(N, 4)` left, top, width, height, inside the canvas.
        start: `(N,)` index of the first pixel of each mark in `alpha`.
        picture: `(N,)` which canvas, 0 to B - 1, each mark lies on; marks of one canvas in painting order.
        texture: `(3, T)`, a colour for every pixel instead of `colour`.

    Returns:
        The canvases afterwards, `(B, 3, H, W)`.
    """
    if texture is None and native.load_for(SOURCE, canvas, alpha, colour) is not None:
        keep = torch.is_grad_enabled()  # inside a Function it is always off
        painted: Tensor = _Native.apply(canvas, alpha, colour, box, start, picture, keep)
        return painted
    return reference(canvas, alpha, colour, box, start, picture, texture)


def error_without(canvas: Tensor, target: Tensor, alpha: Tensor, colour: Tensor, box: Tensor, start: Tensor) -> Tensor:
    """Compute in C how much the squared error after all marks grows without each of them, as `painter.importance`.

    Args:
        canvas: `(3, H, W)`, before the marks.
        target: `(3, H, W)`.
        alpha: as of `composite`, like the others.
        colour: `(N, 3)`.
        box: `(N, 4)`.
        start: `(N,)`.

    Returns:
        `(N,)`, sums over pixels and channels. No gradient.
    """
    sizes = (len(box), len(alpha), 1, *canvas.shape[1:])
    marks = [tensor.detach().contiguous() for tensor in (alpha, colour, box, start, torch.zeros_like(start))]
    worth = canvas.new_zeros(len(box))
    operands = (
        native.floats(canvas.detach().clone(memory_format=torch.contiguous_format), 3, *canvas.shape[1:]),
        *_operands(*marks, canvas.new_empty(3, len(alpha)), *sizes),
        native.floats(target.detach().contiguous(), *canvas.shape),
        native.floats(torch.ones_like(canvas[0], memory_format=torch.contiguous_format), *canvas.shape[1:]),
        native.floats(worth, len(box)),
    )
    native.call(SOURCE, "composite_without", operands, *sizes)
    return worth


def reference(
    canvas: Tensor,
    alpha: Tensor,
    colour: Tensor,
    box: Tensor,
    start: Tensor,
    picture: Tensor,
    texture: Tensor | None = None,
) -> Tensor:
    """`composite` in PyTorch."""
    height, width = canvas.shape[-2:]
    check_boxes(box, (height, width))
    canvases = list(canvas.unbind())
    rows = zip(picture.tolist(), box.tolist(), start.tolist(), strict=True)
    for i, (p, (left, top, w, h), first) in enumerate(rows):
        mark = alpha[first : first + w * h].view(h, w)
        pigment = colour[i, :, None, None] if texture is None else texture[:, first : first + w * h].view(3, h, w)
        below = canvases[p][:, top : top + h, left : left + w]
        change = mark * (pigment - below)
        canvases[p] = canvases[p] + pad(change, (left, width - left - w, top, height - top - h))
    return torch.stack(canvases)


class _Native(Function):
    """`composite` in C; the backward pass walks the strokes in reverse.

    Autograd would copy the whole canvas for every stroke; this keeps only what each stroke covered.
    """

    @staticmethod
    def forward(ctx, canvas, alpha, colour, box, start, picture, keep):  # type: ignore[no-untyped-def]
        canvas = canvas.clone(memory_format=torch.contiguous_format)
        drawn = alpha.contiguous(), colour.contiguous(), box.contiguous(), start.contiguous(), picture.contiguous()
        before = alpha.new_empty(3, len(alpha)) if keep else None
        ctx.sizes = (len(box), len(alpha), len(canvas), *canvas.shape[-2:])
        operands = (
            native.floats(canvas, *canvas.shape[:1], 3, *canvas.shape[-2:]),
            *_operands(*drawn, before, *ctx.sizes),
        )
        native.call(SOURCE, "composite_forward", operands, *ctx.sizes)
        ctx.save_for_backward(*drawn, before)
        return canvas

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):  # type: ignore[no-untyped-def]
        grad = grad.clone(memory_format=torch.contiguous_format)
        alpha, colour = ctx.saved_tensors[:2]
        N, T, B, H, W = ctx.sizes
        grad_alpha = torch.empty_like(alpha)
        grad_colour = torch.empty_like(colour)
        rows = alpha.new_zeros(int(ctx.saved_tensors[2][:, 3].sum()), 3)
        operands = (
            native.floats(grad, B, 3, H, W),
            *_operands(*ctx.saved_tensors, *ctx.sizes),
            native.floats(grad_alpha, T),
            native.floats(rows, *rows.shape),
            native.floats(grad_colour, N, 3),
        )
        native.call(SOURCE, "composite_backward", operands, *ctx.sizes)
        return grad, grad_alpha, grad_colour, None, None, None, None


def _operands(alpha, colour, box, start, picture, before, N, T, *_):  # type: ignore[no-untyped-def]
    """What both passes read, and `before`."""
    return (
        native.floats(alpha, T),
        native.floats(colour, N, 3),
        native.integers(box, N, 4),
        native.integers(start, N),
        native.integers(picture, N),
        native.optional_floats(before, 3, T),
    )
