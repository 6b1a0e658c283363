"""Decode the maps of `renderer.learned.stroke_map.StrokeMap` to the alphas of strokes."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from renderer.errors import InputError
from renderer.ops import native
from renderer.ops.patch_pixels import lookup, pixels_of

SOURCE = native.FOLDER / "decode_stroke_map.c"
MAX_GRID = 64  # nodes a side for which the C code has room
MAX_SHARPNESS = 1e4  # beyond, single precision overflows


def decode_stroke_map(
    shapes: Tensor, maps: Tensor, sharpness: Tensor, box: Tensor, start: Tensor, total: int
) -> Tensor:
    """Draw strokes on boxes of the canvas from maps of curve parameters.

    Differentiable in `shapes`, `maps` and `sharpness`.

    Args:
        shapes: `(N, 14)`, lengths in pixels: centre x, y of the stroke's own frame; signed scale x, y of the frame
            (frame = (canvas - centre) * scale); the curve (a t + b) t + c as a, b, c of x and a, b, c of y; radius at
            the start and its change to the end; opacity at the start and its change to the end.
        maps: `(N, 2, G, G)` over the frame's square [-1, 1]^2, G at most `MAX_GRID`: the parameter t of the nearest
            disc, and t of the last disc that holds the pixel.
        sharpness: `()`, of the outline's sigmoid, per pixel.
        box: `(N, 4)` left, top, width, height; a box may hang over the canvas' edge.
        start: `(N,)` index of the first pixel of each box.
        total: T, the number of pixels of all boxes.

    Returns:
        Alphas `(T,)`, laid out by `box` and `start` as `renderer.ops` describes.
    """
    if native.load_for(SOURCE, shapes, maps, sharpness) is not None:
        alpha: Tensor = _Native.apply(shapes, maps, sharpness, box, start, total)
        return alpha
    return reference(shapes, maps, sharpness, box, start, total)


def reference(shapes: Tensor, maps: Tensor, sharpness: Tensor, box: Tensor, start: Tensor, total: int) -> Tensor:
    """`decode_stroke_map` in PyTorch."""
    owner, x, y = pixels_of(box, start, total)
    x, y = x.to(shapes), y.to(shapes)
    centre_x, centre_y, scale_x, scale_y, ax, bx, cx, ay, by, cy, r0, dr, w0, dw = shapes.T.index_select(1, owner)
    last_node = maps.shape[-1] - 1
    column = (((x - centre_x) * scale_x + 1) * (last_node / 2)).clamp(0, last_node)
    row = (((y - centre_y) * scale_y + 1) * (last_node / 2)).clamp(0, last_node)
    nearest, last = (lookup(maps[:, k], owner, row, column).clamp(0, 1) for k in range(2))
    dx = x - ((ax * nearest + bx) * nearest + cx)
    dy = y - ((ay * nearest + by) * nearest + cy)
    radius = r0 + dr * nearest
    distance = (dx * dx + dy * dy + 1e-6).sqrt()
    # The second edge is the far side of the stroke: it makes lines thinner than a pixel fade instead of vanish.
    cover = torch.sigmoid(sharpness * (radius - distance)) - torch.sigmoid(sharpness * (-radius - distance))
    return cover * (w0 + dw * last)


class _Native(Function):
    """`decode_stroke_map` in C: every pixel is visited once and no intermediate value is stored."""

    @staticmethod
    def forward(ctx, shapes, maps, sharpness, box, start, total):  # type: ignore[no-untyped-def]
        if not abs(float(sharpness)) <= MAX_SHARPNESS:
            raise InputError(f"The sharpness of a stroke map is {float(sharpness)}; its weights are damaged.")
        drawn = shapes.contiguous(), maps.contiguous(), box.contiguous(), start.contiguous()
        alpha = shapes.new_empty(total)
        numbers = (len(shapes), total, maps.shape[-1], float(sharpness))
        operands = (*_operands(*drawn), native.floats(alpha, total))
        native.call(SOURCE, "decode_stroke_map_forward", operands, *numbers)
        ctx.save_for_backward(*drawn)
        ctx.numbers = numbers
        return alpha

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):  # type: ignore[no-untyped-def]
        shapes, maps, box, start = ctx.saved_tensors
        grad = grad.contiguous()
        grads = torch.zeros_like(shapes), torch.zeros_like(maps), shapes.new_zeros(len(shapes))
        written = (native.floats(tensor, *tensor.shape) for tensor in grads)
        operands = (*_operands(shapes, maps, box, start), native.floats(grad, ctx.numbers[1]), *written)
        native.call(SOURCE, "decode_stroke_map_backward", operands, *ctx.numbers)
        return grads[0], grads[1], grads[2].sum(), None, None, None


def _operands(shapes: Tensor, maps: Tensor, box: Tensor, start: Tensor) -> tuple[native.Operand, ...]:
    """What both passes read."""
    N, G = len(shapes), maps.shape[-1]
    if not 2 <= G <= MAX_GRID:
        raise InputError(f"A stroke map has 2 to {MAX_GRID} nodes a side, not {G}.")
    return (
        native.floats(shapes, N, 14),
        native.floats(maps, N, 2, G, G),
        native.integers(box, N, 4),
        native.integers(start, N),
    )
