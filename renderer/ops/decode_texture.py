"""Decode the textures of `renderer.learned.neural_brush.NeuralBrush` to the alphas of strokes."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from renderer.errors import InputError
from renderer.learned.curve_coordinates import Place, locate
from renderer.ops import native
from renderer.ops.patch_pixels import lookup, pixels_of

SOURCE = native.FOLDER / "decode_texture.c"

CAP = 4  # rows of a texture that lie before the start of the path, and as many behind its end


def decode_texture(shapes: Tensor, logits: Tensor, box: Tensor, start: Tensor, total: int) -> Tensor:
    """Draw strokes on boxes of the canvas from textures in curve coordinates (`renderer.learned.curve_coordinates`).

    Differentiable in `shapes` and `logits`.

    Args:
        shapes: `(N, 15)`: the 13 numbers of `Sweep.packed` (lengths in pixels), the path's length in reaches, and the
            factor of alpha.
        logits: `(N, along, across)`, the texture of each stroke.
        box: `(N, 4)` left, top, width, height.
        start: `(N,)` index of the first pixel of each box.
        total: T, the number of pixels of all boxes.

    Returns:
        Alphas `(T,)`, laid out by `box` and `start` as `renderer.ops` describes; 0 beyond a stroke's reach.
    """
    if native.load_for(SOURCE, shapes, logits) is not None:
        alpha: Tensor = _Native.apply(shapes, logits, box, start, total)
        return alpha
    return reference(shapes, logits, box, start, total)


def reference(shapes: Tensor, logits: Tensor, box: Tensor, start: Tensor, total: int) -> Tensor:
    """`decode_texture` in PyTorch."""
    owner, x, y = pixels_of(box, start, total)
    place = locate(shapes[:, :13], owner, x.to(shapes), y.to(shapes))
    row, column = texture_nodes(place, shapes[:, 13][owner], logits.shape[1], logits.shape[2])
    value = lookup(logits, owner, row, column)
    return torch.sigmoid(value) * shapes[:, 14][owner] * (place.distance < 1)


def texture_nodes(place: Place, length: Tensor, along: int, across: int) -> tuple[Tensor, Tensor]:
    """Where pixels lie in their textures of `along` x `across` nodes: row and column in nodes, each `(T,)`.

    `length` (T,) is the length of each pixel's path in reaches.
    """
    # Half of the rows are for what happens within a few reaches of both ends, however long the stroke is.
    full = 1 + length / (1 + length)
    t = place.t
    early, late = t * length, (1 - t) * length
    body = (t + 0.5 * (early / (1 + early) - late / (1 + late)) + 0.5 * (full - 1)) / full
    # The ends are fans around the path's ends: by angle and distance, since round ends are what most brushes leave.
    beyond = place.before + place.behind
    angle = beyond / (beyond.abs() + place.side.abs() + 1e-6)  # from 0 at the sides to -1 or 1 along the path
    row = CAP * (1 + angle.clamp(max=0)) + (along - 1 - 2 * CAP) * body + CAP * angle.clamp(min=0)
    distance = torch.where(place.side < 0, -place.distance, place.distance)
    return row, (distance + 1) * ((across - 1) / 2)


class _Native(Function):
    """`decode_texture` in C: every pixel is visited once; only its curve parameter is kept for the backward pass."""

    @staticmethod
    def forward(ctx, shapes, logits, box, start, total):  # type: ignore[no-untyped-def]
        drawn = shapes.contiguous(), logits.contiguous(), box.contiguous(), start.contiguous()
        alpha, t = shapes.new_empty(2, total).unbind()
        numbers = (len(shapes), total, *logits.shape[1:])
        operands = (*_operands(*drawn), native.floats(alpha, total), native.floats(t, total))
        native.call(SOURCE, "decode_texture_forward", operands, *numbers)
        ctx.save_for_backward(*drawn, t)
        ctx.numbers = numbers
        return alpha

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):  # type: ignore[no-untyped-def]
        *drawn, t = ctx.saved_tensors
        grad, T = grad.contiguous(), ctx.numbers[1]
        grads = torch.zeros_like(drawn[0]), torch.zeros_like(drawn[1])
        written = (native.floats(tensor, *tensor.shape) for tensor in grads)
        operands = (*_operands(*drawn), native.floats(t, T), native.floats(grad, T), *written)
        native.call(SOURCE, "decode_texture_backward", operands, *ctx.numbers)
        return *grads, None, None, None


def _operands(shapes: Tensor, logits: Tensor, box: Tensor, start: Tensor) -> tuple[native.Operand, ...]:
    """What both passes read."""
    N, along, across = len(shapes), *logits.shape[1:]
    if along < 2 * CAP + 2 or across < 3:
        raise InputError(f"A texture of {along} x {across} nodes cannot hold a stroke.")
    return (
        native.floats(shapes, N, 15),
        native.floats(logits, N, along, across),
        native.integers(box, N, 4),
        native.integers(start, N),
    )
