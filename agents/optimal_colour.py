"""Strokes that take the colour that suits the target best, and what they gain: the model-based part of an agent.

Because the canvas is known, the best colour of a mark and the error that it takes away have a closed form. For a mark of
coverage a over a canvas b with target t, and d = t - b, the squared error left by colour c is E - 2 c A + c^2 B with
A = sum a (d + a b), B = sum a^2, E = sum (d + a b)^2; hence c = A / B, clamped to [0, 1]. As B is the same for all
channels, the best colour of a palette is the one nearest to A / B.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from renderer.brush import Brush
from renderer.canvas import Patches, draw_patches
from renderer.ops.optimal_compositing import composite_greedily, score_marks
from renderer.ops.triton_strokes import StrokeCodes, composite_codes_greedily, encode, score_codes


@dataclass(frozen=True)
class Candidates:
    """Strokes under consideration, the same number K for each of B pictures.

    strokes: (B, K, P), with the colour that suits each best on the canvas that they were proposed for
    gain:    (B, K) how much squared error (a sum over pixels and channels) each alone takes away, by its shape
    drawn:   the B * K strokes, as patches or, on a GPU, as the codes that its kernels draw
    """

    strokes: Tensor
    gain: Tensor
    drawn: Patches | StrokeCodes


def score_candidates(
    canvas: Tensor, target: Tensor, strokes: Tensor, renderer: Brush, palette: Tensor | None = None
) -> Candidates:
    """Weighs strokes `(B, K, P)` against canvas and target `(B, 3, H, W)`, in any colour or those of `palette` (n, 3).
    `gain` is differentiable in the strokes' shapes (not in the canvas)."""
    B, K, _ = strokes.shape
    size = (canvas.shape[-2], canvas.shape[-1])
    drawn: Patches | StrokeCodes
    codes = encode(renderer, strokes.flatten(0, 1), size)
    if codes is None:
        drawn = draw_patches(renderer, strokes.flatten(0, 1), size)
        gain, colour = score_marks(canvas, target, drawn.alpha, drawn.box, drawn.start, palette)
    else:
        drawn = codes
        gain, colour = score_codes(canvas, target, codes, palette)
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
    drawn = proposed.drawn
    if isinstance(drawn, StrokeCodes) and drawn.shapes.requires_grad and torch.is_grad_enabled():
        # The kernel for a whole round has no backward pass.
        drawn = draw_patches(renderer, proposed.strokes.flatten(0, 1), (canvas.shape[-2], canvas.shape[-1]))
    if isinstance(drawn, StrokeCodes):
        canvas, index, colour = composite_codes_greedily(canvas, target, drawn, order, least, limit, palette)
    else:
        canvas, index, colour = composite_greedily(
            canvas, target, drawn.alpha, drawn.box, drawn.start, order, least, limit, palette
        )
    real = index >= 0
    strokes = proposed.strokes.flatten(0, 1)[index.clamp(min=0)]
    strokes[..., renderer.space.columns("colour")] = colour.view(-1, 3)[index.clamp(min=0)]
    strokes[..., renderer.space.columns("opacity")] *= real[..., None]
    return canvas, strokes, real
