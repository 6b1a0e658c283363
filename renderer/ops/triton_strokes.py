"""Learned strokes on the GPU: what the Triton kernels are given, and when they are used."""

from __future__ import annotations

import functools
import importlib.util
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

if TYPE_CHECKING:
    from renderer.brush import Brush


class StrokeCodes(NamedTuple):
    """All that a pixel needs to know of N strokes of a learned brush.

    shapes:    (N, 14) of a stroke map, (N, 15) of a texture, see `renderer.ops.triton_decode`
    grids:     (N, 2, G, G) a stroke map's two maps, or (N, along, across) logits of a texture
    sharpness: () of a stroke map's edge; unused by textures
    box:       (N, 4) int32: left, top, right, bottom of what a stroke may touch, in whole pixels
    colour:    (N, 3)
    """

    shapes: Tensor
    grids: Tensor
    sharpness: Tensor
    box: Tensor
    colour: Tensor


def usable(tensor: Tensor) -> bool:
    """Whether the Triton kernels can work on `tensor`: single precision on a CUDA device, with Triton installed."""
    return tensor.is_cuda and tensor.dtype == torch.float32 and _installed()


def encode(brush: Brush, strokes: Tensor, size: tuple[int, int]) -> StrokeCodes | None:
    """The codes of strokes (N, P) on a canvas of `size` (height, width); None where the kernels cannot draw them."""
    return brush.codes(strokes, size) if usable(strokes) else None


def encode_stroke_map(
    strokes: Tensor, weights: list[Tensor], size: tuple[int, int]
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Shapes, maps, box and colour of strokes (N, 13), see `renderer.ops.triton_encode.encode_stroke_map`."""
    from renderer.ops.triton_encode import encode_stroke_map as fused

    shapes, maps, box, colour = fused(strokes, weights, *size)
    return shapes, maps, box, colour


def corners(left: Tensor, top: Tensor, right: Tensor, bottom: Tensor) -> Tensor:
    """Bounds (N,) as `box` of `StrokeCodes`; a box holds one pixel at least."""
    return torch.stack((left, top, torch.maximum(right, left + 1), torch.maximum(bottom, top + 1)), -1).int()


def composite_codes(canvas: Tensor, codes: StrokeCodes) -> Tensor:
    """Lay B * N strokes over canvases (B, 3, H, W), see `renderer.ops.triton_composite.composite`."""
    from renderer.ops.triton_composite import composite

    painted: Tensor = composite(canvas, *codes[:3], codes.colour, codes.box)
    return painted


def importance_of_codes(canvas: Tensor, target: Tensor, codes: StrokeCodes) -> Tensor:
    """By how much the squared error grows without each of B * N strokes, see `renderer.ops.triton_composite.importance`."""
    from renderer.ops.triton_composite import composite, importance

    drawn = (canvas, *codes[:3], codes.colour, codes.box)
    increase: Tensor = importance(*drawn, composite(*drawn) - target)
    return increase


def score_codes(canvas: Tensor, target: Tensor, codes: StrokeCodes, palette: Tensor | None) -> tuple[Tensor, Tensor]:
    """Gains and best colours of B * K strokes, see `renderer.ops.triton_optimal_colour.score`."""
    from renderer.ops.triton_optimal_colour import score

    gain, colour = score(canvas.detach(), target.detach(), *codes[:4], palette)
    return gain, colour


def composite_codes_greedily(
    canvas: Tensor,
    target: Tensor,
    codes: StrokeCodes,
    order: Tensor,
    least: Tensor,
    limit: int,
    palette: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Paint a round's strokes in order, see `renderer.ops.triton_optimal_colour.paint_greedily`."""
    from renderer.ops.triton_optimal_colour import paint_greedily

    canvas, painted, colour = paint_greedily(canvas, target, *codes[:4], order, least, limit, palette)
    return canvas, painted, colour


@functools.cache
def _installed() -> bool:
    return importlib.util.find_spec("triton") is not None
