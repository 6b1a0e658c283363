"""Canvases and compositing: strokes laid over one another, each only where it falls.

A canvas is a tensor (..., 3, H, W) of sRGB values in [0, 1]. Compositing happens on these values directly (not on linear
light), as in every system that this project is compared with, in SVG viewers, and by `over` below: stated once, here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from renderer.brush import Brush, Mark, Window
from renderer.brushes.bezier import bounds
from renderer.ops.composite import composite
from renderer.ops.triton_strokes import composite_codes, encode


def blank(
    size: tuple[int, int], colour: tuple[float, float, float] = (1.0, 1.0, 1.0), device: torch.device | str = "cpu"
) -> Tensor:
    """A canvas `(3, H, W)` of one colour."""
    return torch.tensor(colour, device=device)[:, None, None].expand(3, *size).clone()


def over(canvas: Tensor, mark: Mark) -> Tensor:
    """Lays a mark over a canvas, both `(B, 3, H, W)`: Porter and Duff's *over* with an opaque canvas."""
    return canvas + mark.alpha * (mark.colour - canvas)


def paint(canvas: Tensor, strokes: Tensor, renderer: Brush) -> Tensor:
    """Lays strokes over a canvas, the first below. Differentiable in canvas and strokes.

    canvas `(3, H, W)` with strokes `(N, P)`, or `(B, 3, H, W)` with `(B, N, P)`. Time and memory grow with the
    pixels that strokes touch.
    """
    if canvas.dim() == 3:
        return paint(canvas[None], strokes[None], renderer)[0]
    B, N, _ = strokes.shape
    size = (canvas.shape[-2], canvas.shape[-1])
    windows = not hasattr(renderer, "paint_steps")  # a brush that knows itself where its marks fall has no windows here
    if N > 0 and windows:
        codes = encode(renderer, strokes.flatten(0, 1), size)
        if codes is not None:
            return composite_codes(canvas, codes)
        patches = draw_patches(renderer, strokes.flatten(0, 1), size)
        picture = torch.arange(B, device=canvas.device).repeat_interleave(N)
        return composite(canvas, patches.alpha, patches.colour, patches.box, patches.start, picture)
    canvas = canvas.clone()
    for i in range(N):
        canvas = over(canvas, renderer(strokes[:, i], size))
    return canvas


@torch.no_grad()
def paint_steps(canvas: Tensor, strokes: Tensor, renderer: Brush, every: int = 1, chunk: int = 256) -> Iterator[Tensor]:
    """Yields the canvas `(3, H, W)` before the first and after every `every` strokes, last the finished picture.

    The same tensor each time, changed in place: copy what is to be kept.
    """
    if hasattr(renderer, "paint_steps"):  # brushes of another stroke space know where their marks fall
        yield from renderer.paint_steps(canvas, strokes, every)
        return
    canvas = canvas.clone()
    size = (canvas.shape[-2], canvas.shape[-1])
    yield canvas
    for first in range(0, len(strokes), chunk):
        patches = draw_patches(renderer, strokes[first : first + chunk], size)
        for i in range(len(patches.start)):
            canvas_patch, alpha = patches.on(canvas, i)
            canvas_patch.lerp_(patches.colour[i, :, None, None], alpha)
            if (first + i + 1) % every == 0 or first + i + 1 == len(strokes):
                yield canvas


@dataclass(frozen=True)
class Patches:
    """The alphas of many strokes of one flat colour each, every one only on its own box of the canvas.

    alpha:  (T,) the pixels of all boxes, row by row, in one row of memory
    colour: (N, 3)
    box:    (N, 4) left, top, width, height in whole pixels, inside the canvas
    start:  (N,) where each stroke's pixels begin in `alpha`
    """

    alpha: Tensor
    colour: Tensor
    box: Tensor
    start: Tensor

    def on(self, canvas: Tensor, i: int) -> tuple[Tensor, Tensor]:
        """The part of `canvas` (3, H, W) below stroke i, `(3, h, w)`, and the stroke's alpha, `(h, w)`, both as views."""
        left, top, width, height = self.box[i].tolist()
        begin = int(self.start[i])
        alpha = self.alpha[begin : begin + width * height].view(height, width)
        return canvas[:, top : top + height, left : left + width], alpha


def draw_patches(renderer: Brush, strokes: Tensor, size: tuple[int, int]) -> Patches:
    """Draws every stroke of `(N, P)` on the part of the canvas that it touches. Differentiable where the renderer is.

    A renderer of other strokes than BEZIER's says where they fall: `bounds(strokes, size)`.
    One may offer `patch_alphas(strokes, size, box, start, total) -> alpha or None` to draw boxes of all shapes at once;
    others are called once for each shape of window.
    """
    left, top, right, bottom = getattr(renderer, "bounds", bounds)(strokes, size)
    width, height = (right - left).clamp(min=1), (bottom - top).clamp(min=1)
    start, total = _starts(width * height)
    box = torch.stack((left, top, width, height), -1)
    if hasattr(renderer, "patch_alphas"):
        alpha = renderer.patch_alphas(strokes, size, box, start, total)
        if alpha is not None:
            return Patches(alpha, renderer.space.get(strokes, "colour"), box, start)

    # Sides are rounded up so that few different shapes are left; a window pushed over the far edge is shifted back.
    width, height = (_round_up(side).clamp(max=limit) for side, limit in ((width, size[1]), (height, size[0])))
    box = torch.stack((torch.minimum(left, size[1] - width), torch.minimum(top, size[0] - height), width, height), -1)
    start = torch.empty_like(left)
    alphas, total = [], 0
    for w, h in torch.stack((width, height), -1).unique(dim=0).tolist():
        rows = ((width == w) & (height == h)).nonzero()[:, 0]
        mark = renderer(strokes[rows], size, Window(box[rows, 0], box[rows, 1], h, w))
        alphas.append(mark.alpha.flatten())
        start[rows] = total + torch.arange(len(rows), device=start.device) * (h * w)
        total += len(rows) * h * w
    return Patches(torch.cat(alphas), renderer.space.get(strokes, "colour"), box, start)


def _starts(areas: Tensor) -> tuple[Tensor, int]:
    ends = areas.cumsum(0)
    return ends - areas, int(ends[-1])


def _round_up(side: Tensor) -> Tensor:
    """To 8, 16, 24, 32, then 48, 64, 96, 128, 192 ...: 1.5 and 2 times the powers of two."""
    power = 2 ** side.clamp(min=8).double().log2().ceil().long()
    return torch.where(side <= power * 3 // 4, power * 3 // 4, power)
