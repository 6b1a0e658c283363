"""Draw strokes that are rows of discs, as the reference brush of Bezier strokes does, in C."""

from __future__ import annotations

import torch
from torch import Tensor

from renderer.errors import InputError
from renderer.ops import native

SOURCE = native.FOLDER / "draw_discs.c"
MAX_SAMPLES = 16


def draw_discs(curves: Tensor, box: Tensor, start: Tensor, total: int, samples: int, outline_error: float) -> Tensor:
    """Draw strokes on boxes of the canvas; later discs of a stroke replace earlier ones. Not differentiable.

    Args:
        curves: `(N, 10)`, lengths in pixels: the curve (a t + b) t + c as a, b, c of x and a, b, c of y; radius at the start
            and its change to the end; opacity at the start and its change to the end.
        box: `(N, 4)` left, top, width, height; a box may hang over the canvas' edge.
        start: `(N,)` index of the first pixel of each box.
        total: T, the number of pixels of all boxes.
        samples: Per pixel and axis, at most `MAX_SAMPLES`.
        outline_error: How far the outline of the discs may lie inside of the curve's, in samples.

    Returns:
        Alphas `(T,)`, laid out by `box` and `start` as `renderer.ops` describes.

    Raises:
        InputError: A curve or a box cannot be drawn.
    """
    if not 1 <= samples <= MAX_SAMPLES:
        raise InputError(f"A pixel has 1 to {MAX_SAMPLES} samples an axis, not {samples}.")
    count = len(curves)
    alpha = torch.empty(total)
    operands = (
        native.floats(curves.detach().contiguous(), count, 10),
        native.integers(box.contiguous(), count, 4),
        native.integers(start.contiguous(), count),
        native.floats(alpha, total),
    )
    native.call(SOURCE, "draw_discs", operands, count, total, samples, float(outline_error))
    return alpha
