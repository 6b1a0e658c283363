"""Strokes that take the colour that suits the target best, and what they gain: the model-based part of an agent.

Because the canvas is known, the best colour of a mark and the error that it takes away have a closed form. For a mark of
coverage a over a canvas b with target t, and d = t - b, the squared error left by colour c is E - 2 c A + c^2 B with
A = sum a (d + a b), B = sum a^2, E = sum (d + a b)^2; hence c = A / B, clamped to [0, 1]. As B is the same for all
channels, the best colour of a palette is the one nearest to A / B.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from renderer.brush import Brush
from renderer.canvas import Patches, draw_patches
from renderer.constraints import nearest
from renderer.ops import native

SOURCE = native.FOLDER / "optimal_colour.c"


@dataclass(frozen=True)
class Candidates:
    """Strokes under consideration, the same number K for each of B pictures.

    strokes: (B, K, P), with the colour that suits each best on the canvas that they were proposed for
    gain:    (B, K) how much squared error (a sum over pixels and channels) each alone takes away, by its shape
    """

    strokes: Tensor
    gain: Tensor
    drawn: Patches | Tensor  # the alphas: ragged, or (B * K, 1, H, W) where there is no kernel


def score_candidates(
    canvas: Tensor, target: Tensor, strokes: Tensor, renderer: Brush, palette: Tensor | None = None
) -> Candidates:
    """Weighs strokes `(B, K, P)` against canvas and target `(B, 3, H, W)`, in any colour or those of `palette` (n, 3).
    `gain` is differentiable in the strokes' shapes (not in the canvas)."""
    B, K, _ = strokes.shape
    size = (canvas.shape[-2], canvas.shape[-1])
    flat = strokes.flatten(0, 1)
    drawn: Patches | Tensor
    if _kernel(canvas) is not None:
        drawn = draw_patches(renderer, flat, size)
        gain, colour = _Gains.apply(
            canvas.contiguous(), target.contiguous(), drawn.alpha, drawn.box, drawn.start, palette
        )
    else:
        drawn = renderer(flat, size).alpha
        alpha = drawn.view(B, K, 1, *size)
        gain, colour, _ = _fit(canvas.detach()[:, None], target[:, None], alpha, palette)
    colour = colour.view(B, K, 3).detach()
    columns = renderer.space.columns("colour")
    coloured = torch.cat((strokes[..., : columns.start], colour, strokes[..., columns.stop :]), -1)
    return Candidates(coloured, gain.view(B, K), drawn)


def paint_greedily(
    canvas: Tensor,
    target: Tensor,
    proposed: Candidates,
    order: Tensor,
    least: Tensor,
    limit: int,
    renderer: Brush,
    palette: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Paints the candidates of each picture in `order` (B, K), each in the colour that is best when its turn comes.

    One whose gain has by then fallen below `least` (B, K) is passed over; `limit` are painted at most. Returns the
    canvas (B, 3, H, W), differentiable in the strokes' shapes; the strokes painted (B, limit, P); and which of them
    are real, (B, limit) bool (the others are blank).
    """
    if isinstance(proposed.drawn, Patches):
        drawn = proposed.drawn
        canvas, index, colour = _PaintFitted.apply(
            canvas, target.contiguous(), drawn.alpha, drawn.box, drawn.start, order, least, limit, palette
        )
    else:
        canvas, index, colour = _paint_reference(canvas, target, proposed.drawn, order, least, limit, palette)
    real = index >= 0
    strokes = proposed.strokes.flatten(0, 1)[index.clamp(min=0)]
    strokes[..., renderer.space.columns("colour")] = colour.view(-1, 3)[index.clamp(min=0)]
    strokes[..., renderer.space.columns("opacity")] *= real[..., None]
    return canvas, strokes, real


def _fit(canvas: Tensor, target: Tensor, alpha: Tensor, palette: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """(..., 3, H, W) and alpha (..., 1, H, W) -> gain (...), colour (..., 3) as held, colour as differentiable."""
    d = target - canvas
    e = d + alpha * canvas
    A, B = (alpha * e).sum((-2, -1)), (alpha * alpha).sum((-2, -1)) + 1e-8
    best = (A / B).clamp(0, 1) if palette is None else nearest((A / B).detach(), palette)
    held = best.detach()
    gain = ((d * d - e * e).sum((-2, -1)) + 2 * held * A - held * held * B).sum(-1)
    return gain, held, best


def _paint_reference(
    canvas: Tensor,
    target: Tensor,
    alpha: Tensor,
    order: Tensor,
    least: Tensor,
    limit: int,
    palette: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """What the kernel does, in PyTorch, on any device."""
    B, K = order.shape
    alpha = alpha.view(B, K, *alpha.shape[1:])
    index = torch.full((B, limit), -1, device=canvas.device)
    colours = canvas.new_zeros(B, K, 3)
    done = torch.zeros(B, dtype=torch.long, device=canvas.device)
    rows = torch.arange(B, device=canvas.device)
    for k in range(K):
        chosen = order[:, k] - rows * K
        mark = alpha[rows, chosen]
        gain, _, colour = _fit(canvas, target, mark, palette)
        paints = (gain >= least.flatten()[order[:, k]]) & (done < limit)
        canvas = canvas + paints[:, None, None, None] * mark * (colour[..., None, None] - canvas)
        colours[rows, chosen] = torch.where(paints[:, None], colour.detach(), colours[rows, chosen])
        slot = done.clamp(max=limit - 1)
        index[rows, slot] = torch.where(paints, order[:, k], index[rows, slot])
        done = done + paints
    return canvas, index, colours


def _count(palette: Tensor | None) -> int:
    return 0 if palette is None else len(palette)


def _kernel(canvas: Tensor) -> ctypes.CDLL | None:
    return native.load_for(canvas, SOURCE)


class _Gains(Function):
    """gain (B * K,) and colour (B * K, 3); gradient into alpha only."""

    @staticmethod
    def forward(ctx, canvas, target, alpha, box, start, palette):  # type: ignore[no-untyped-def]
        gain, colour = alpha.new_empty(len(box)), alpha.new_empty(len(box), 3)
        sizes = (len(canvas), len(box) // len(canvas), *canvas.shape[-2:])
        tensors = (canvas, target, alpha, box, start, palette, gain, colour)
        native.call(_kernel(canvas), "gains_forward", tensors, *sizes, _count(palette))
        ctx.save_for_backward(canvas, target, alpha, box, start, colour)
        ctx.sizes = sizes
        ctx.mark_non_differentiable(colour)
        return gain, colour

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_gain, _):  # type: ignore[no-untyped-def]
        canvas, target, alpha, box, start, colour = ctx.saved_tensors
        grad_alpha, grad_gain = torch.empty_like(alpha), grad_gain.contiguous()
        tensors = (canvas, target, alpha, box, start, colour, grad_gain, grad_alpha)
        native.call(_kernel(canvas), "gains_backward", tensors, *ctx.sizes)
        return None, None, grad_alpha, None, None, None


class _PaintFitted(Function):
    """The canvas after, which candidates were painted (B, limit), their colours; gradient into canvas and alpha."""

    @staticmethod
    def forward(ctx, canvas, target, alpha, box, start, order, least, limit, palette):  # type: ignore[no-untyped-def]
        canvas, order, least = (
            canvas.clone(memory_format=torch.contiguous_format),
            order.contiguous(),
            least.contiguous(),
        )
        painted = torch.empty(len(canvas), limit, dtype=torch.long)
        colour, free = alpha.new_zeros(2, len(box), 3).unbind()
        weight = alpha.new_zeros(len(box))
        before = alpha.new_empty(3, len(alpha))
        H, W = canvas.shape[-2:]
        tensors = (canvas, target, alpha, box, start, order, least, palette, painted, colour, weight, free, before)
        sizes = (len(canvas), order.shape[1], limit, len(alpha), H, W, _count(palette))
        native.call(_kernel(canvas), "paint_fitted_forward", tensors, *sizes)
        ctx.save_for_backward(target, alpha, box, start, painted, colour, weight, free, before)
        ctx.sizes = (len(canvas), limit, len(alpha), H, W)
        ctx.mark_non_differentiable(painted, colour)
        return canvas, painted, colour

    @staticmethod
    @once_differentiable
    def backward(ctx, grad, *_):  # type: ignore[no-untyped-def]
        target, alpha, box, start, painted, colour, weight, free, before = ctx.saved_tensors
        grad, grad_alpha = grad.clone(memory_format=torch.contiguous_format), torch.zeros_like(alpha)
        tensors = (grad, target, alpha, box, start, painted, colour, weight, free, before, grad_alpha)
        native.call(_kernel(grad), "paint_fitted_backward", tensors, *ctx.sizes)
        return grad, None, grad_alpha, *[None] * 6
