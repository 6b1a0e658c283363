"""Textures looked up pixel by pixel, on whatever boxes strokes have."""

from __future__ import annotations

import ctypes

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from renderer.ops import native

SOURCE = native.FOLDER / "textures.c"


def pixels_of(box: Tensor, start: Tensor, total: int) -> tuple[Tensor, Tensor, Tensor]:
    """Of the pixels of boxes (N, 4) as in `renderer.canvas.Patches`: which box, and x and y of their centres, `(total,)`."""
    left, top, width, height = box.unbind(1)
    owner = torch.arange(len(box), device=box.device).repeat_interleave(width * height, output_size=total)
    within = torch.arange(total, device=box.device) - start[owner]
    wide = width[owner]
    return owner, (left[owner] + within % wide) + 0.5, (top[owner] + within // wide) + 0.5


def lookup(grids: Tensor, owner: Tensor, row: Tensor, column: Tensor) -> Tensor:
    """Linear interpolation in `grids` (B, R, C), each pixel in that of its `owner`, at row and column in nodes: `(T,)`."""
    rows, columns = grids.shape[1:]
    i, j = row.detach().floor().clamp(0, rows - 2), column.detach().floor().clamp(0, columns - 2)
    f, g = row - i, column - j
    first = (owner * rows + i.long()) * columns + j.long()
    flat = grids.flatten()
    above = torch.lerp(flat.index_select(0, first), flat.index_select(0, first + 1), g)
    below = torch.lerp(flat.index_select(0, first + columns), flat.index_select(0, first + columns + 1), g)
    return torch.lerp(above, below, f)


def wrapped(shapes: Tensor, textures: Tensor, box: Tensor, start: Tensor, total: int) -> Tensor | None:
    """The alphas `(total,)` of boxes as in `renderer.canvas.Patches`, in one fused kernel; None where there is none.

    shapes (N, 15): of each stroke its `Sweep.packed`, its length in reaches, and by what the texture's alpha is multiplied;
    textures (N, along, across): logits
    """
    if _kernel(shapes) is None:
        return None
    alpha: Tensor = _Wrapped.apply(shapes, textures, box, start, total)
    return alpha


def _kernel(shapes: Tensor) -> ctypes.CDLL | None:
    return native.load_for(shapes, SOURCE)


class _Wrapped(Function):
    """Every pixel is visited once; only its curve parameter is kept for the way back."""

    @staticmethod
    def forward(ctx, shapes, textures, box, start, total):  # type: ignore[no-untyped-def]
        shapes, textures = shapes.contiguous(), textures.contiguous()
        alpha, t = shapes.new_empty(2, total).unbind()
        native.call(
            _kernel(shapes),
            "textures_forward",
            (shapes, textures, box, start, alpha, t),
            len(shapes),
            *textures.shape[1:],
        )
        ctx.save_for_backward(shapes, textures, box, start, t)
        return alpha

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):  # type: ignore[no-untyped-def]
        shapes, textures = ctx.saved_tensors[:2]
        grads = torch.zeros_like(shapes), torch.zeros_like(textures)
        tensors = (*ctx.saved_tensors, grad.contiguous(), *grads)
        native.call(_kernel(shapes), "textures_backward", tensors, len(shapes), *textures.shape[1:])
        return *grads, None, None, None
