"""Optimal colours of strokes, and the error that strokes remove: the model-based part of an agent.

The canvas is known exactly, so the best colour of a stroke and its gain have a closed form. A stroke of coverage a in
colour c over a canvas b leaves, for a target t and with d = t - b, the squared error

    sum_pixels (d + a b - a c)^2 = E - 2 c A + c^2 B   per channel,
    A = sum a (d + a b),   B = sum a^2,   E = sum (d + a b)^2,

which is least at c = A / B, clamped to [0, 1]. The gain is sum d^2 minus what is left, summed over channels. As B is the
same for all channels, the best colour of a palette is the one nearest to A / B.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from renderer.brush import Brush, Patches
from renderer.checks import check_painting, check_palette_for, check_pictures, check_shape
from renderer.errors import InputError
from renderer.ops.optimal_compositing import composite_greedily, score_marks
from renderer.ops.refine_strokes import fused, score_strokes
from renderer.ops.triton_strokes import StrokeCodes, composite_codes_greedily, encode, score_codes


@dataclass(frozen=True)
class Candidates:
    """K candidate strokes for each of B pictures.

    strokes: `(B, K, P)`, in their optimal colours on the canvas that they were scored on
    gain: `(B, K)`, squared error (summed over pixels and channels) that each stroke by itself removes; differentiable in
        the strokes' shapes
    drawn: the alphas of the B * K strokes; on a GPU the codes that its kernels draw
    """

    strokes: Tensor
    gain: Tensor
    drawn: Patches | StrokeCodes


def score_candidates(
    strokes: Tensor, canvas: Tensor, target: Tensor, brush: Brush, *, palette: Tensor | None = None
) -> Candidates:
    """Compute the optimal colour and the gain of each stroke by itself.

    Args:
        strokes: `(B, K, P)` in [0, 1]; their colours are ignored.
        canvas: `(B, 3, H, W)`, sRGB in [0, 1].
        target: `(B, 3, H, W)`.
        brush: Paints the strokes, each in one flat colour.
        palette: `(n, 3)`, the only colours allowed; None for all colours.

    Returns:
        The candidates.

    Raises:
        InputError: The shapes do not belong together, or the strokes are of another space.
    """
    check_pictures(canvas, target)
    check_painting(canvas, strokes, brush.space, values=False)
    palette = check_palette_for(palette, canvas)
    B, K, _ = strokes.shape
    size = (canvas.shape[-2], canvas.shape[-1])
    drawn: Patches | StrokeCodes
    codes = encode(brush, strokes.flatten(0, 1), size)
    if codes is None:
        drawn = brush.patches(strokes.flatten(0, 1), size)
        gain, colour = score_marks(canvas, target, drawn.alpha, drawn.box, drawn.start, palette)
    else:
        drawn = codes
        gain, colour = score_codes(canvas, target, codes, palette)
    colour = colour.view(B, K, 3).detach()
    columns = brush.space.columns("colour")
    coloured = torch.cat((strokes[..., : columns.start], colour, strokes[..., columns.stop :]), -1)
    return Candidates(coloured, gain.view(B, K), drawn)


@torch.no_grad()
def gains(strokes: Tensor, canvas: Tensor, target: Tensor, brush: Brush, *, palette: Tensor | None = None) -> Tensor:
    """The gains `(B, K)` of `score_candidates`, without what painting the candidates needs, and without a gradient."""
    weights = fused(brush, strokes, canvas, target)
    if weights is None:
        return score_candidates(strokes, canvas, target, brush, palette=palette).gain
    check_pictures(canvas, target)
    check_painting(canvas, strokes, brush.space, values=False)
    brush.check(strokes.flatten(0, 1), (canvas.shape[-2], canvas.shape[-1]))
    return score_strokes(strokes, canvas, target, weights, check_palette_for(palette, canvas))[0]


def paint_greedily(
    candidates: Candidates,
    canvas: Tensor,
    target: Tensor,
    brush: Brush,
    *,
    order: Tensor,
    min_gain: Tensor,
    max_strokes: int,
    palette: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Paint candidates one after another, each in the colour that is optimal on the canvas at its turn.

    Args:
        candidates: K strokes for each of B pictures.
        canvas: `(B, 3, H, W)`, sRGB in [0, 1].
        target: `(B, 3, H, W)`.
        brush: The brush that the candidates were scored with.
        order: `(B, K)`, indices in [0, K) of each picture's candidates, in painting order.
        min_gain: `(B, K)`, a candidate is skipped if its gain at its turn is less.
        max_strokes: Number of strokes painted on each picture at most.
        palette: `(n, 3)`, the only colours allowed; None for all colours.

    Returns:
        The canvas `(B, 3, H, W)`, differentiable in the canvas and the strokes' shapes; the strokes painted
        `(B, max_strokes, P)`, with blank strokes (opacity 0) at the end; and a mask `(B, max_strokes)`, False for these.

    Raises:
        InputError: The shapes do not belong together.
    """
    check_pictures(canvas, target)
    palette = check_palette_for(palette, canvas)
    check_painting(canvas, candidates.strokes, brush.space, values=False)
    drawn = candidates.drawn
    B, K = candidates.strokes.shape[:2]
    for tensor, what in ((min_gain, "min_gain"), (candidates.gain, "gain")):
        check_shape(tensor, candidates.strokes, 2, what)
    check_shape(order, candidates.strokes, 2, "order", torch.long)
    if order.device.type == "cpu" and bool(((order < 0) | (order >= K)).any()):
        raise InputError(f"order has indices of {K} candidates, from 0 to {K - 1}.")
    if max_strokes < 0:
        raise InputError(f"The number of strokes is at least 0, not {max_strokes}.")
    order = order + torch.arange(B, device=order.device)[:, None] * K
    if isinstance(drawn, StrokeCodes) and drawn.shapes.requires_grad and torch.is_grad_enabled():
        # The kernel that paints a whole round has no backward pass.
        drawn = brush.patches(candidates.strokes.flatten(0, 1), (canvas.shape[-2], canvas.shape[-1]))
    if isinstance(drawn, StrokeCodes):
        canvas, index, colour = composite_codes_greedily(canvas, target, drawn, order, min_gain, max_strokes, palette)
    else:
        canvas, index, colour = composite_greedily(
            canvas, target, drawn.alpha, drawn.box, drawn.start, order, min_gain, max_strokes, palette
        )
    mask = index >= 0
    index = index.clamp(min=0)
    strokes = candidates.strokes.flatten(0, 1)[index]
    strokes[..., brush.space.columns("colour")] = colour.view(-1, 3)[index]
    strokes[..., brush.space.columns("opacity")] *= mask[..., None]
    return canvas, strokes, mask
