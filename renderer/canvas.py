"""Canvases and compositing: strokes laid over one another, each only on the pixels that it touches.

A canvas is a tensor (..., 3, H, W) of sRGB values in [0, 1]. Strokes are composited on these values, not on linear light, as
in SVG viewers and in all systems that this project is compared with.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from renderer.brush import Brush, Mark
from renderer.checks import check_painting, check_size
from renderer.errors import InputError
from renderer.ops.composite import composite
from renderer.ops.triton_strokes import composite_codes, encode

LEAST_SIDE = 8  # pixels on the short side of a canvas on which strokes look as they do on larger ones


def blank(
    size: tuple[int, int], colour: tuple[float, float, float] = (1.0, 1.0, 1.0), device: torch.device | str = "cpu"
) -> Tensor:
    """A canvas `(3, H, W)` of one colour, sRGB in [0, 1]. Raises `InputError` for a size without pixels."""
    check_size(size)
    return torch.tensor(colour, device=device)[:, None, None].expand(3, *size).clone()


def magnification(size: tuple[int, int]) -> int:
    """How many times as large a canvas of `size` (height, width) is drawn, so that its short side has `LEAST_SIDE` pixels.

    On a smaller canvas, most strokes are shorter than a pixel; brushes have soft edges of about a pixel, so that they would
    draw such strokes darker than the same strokes are on a large canvas.
    """
    return -(-LEAST_SIDE // min(size))


def over(canvas: Tensor, mark: Mark) -> Tensor:
    """Lay marks over canvases `(B, 3, H, W)`: *over* of Porter and Duff (1984) with an opaque canvas."""
    return canvas + mark.alpha * (mark.colour - canvas)


def paint(canvas: Tensor, strokes: Tensor, brush: Brush) -> Tensor:
    """Lay strokes over a canvas. Differentiable in the canvas, and in strokes if the brush is.

    Time and memory grow with the number of pixels that strokes touch.

    Args:
        canvas: `(3, H, W)`, or `(B, 3, H, W)`.
        strokes: `(N, P)`, or `(B, N, P)`, the first at the bottom.
        brush: draws them.

    Returns:
        The canvas afterwards.

    Raises:
        InputError: The shapes do not belong together, the strokes are of another space, or a value is not finite.
    """
    check_painting(canvas, strokes, brush.space)
    if canvas.dim() == 3:
        return lay(canvas[None], strokes[None], brush)[0]
    return lay(canvas, strokes, brush)


def lay(canvas: Tensor, strokes: Tensor, brush: Brush) -> Tensor:
    """`paint` on a batch, for loops: it never waits for a GPU, where the values of strokes are not checked.

    Args:
        canvas: `(B, 3, H, W)`.
        strokes: `(B, N, P)`, the first at the bottom.
        brush: draws them.

    Returns:
        The canvases afterwards.

    Raises:
        InputError: The shapes do not belong together, or the strokes are of another space.
    """
    check_painting(canvas, strokes, brush.space, values=False)
    B, N, _ = strokes.shape
    flat, size = strokes.flatten(0, 1), (canvas.shape[-2], canvas.shape[-1])
    codes = encode(brush, flat, size)
    if codes is not None:
        return composite_codes(canvas, codes)
    patches = brush.patches(flat, size)
    picture = torch.arange(B, device=canvas.device).repeat_interleave(N)
    return composite(canvas, patches.alpha, patches.colour, patches.box, patches.start, picture, patches.texture)


@torch.no_grad()
def paint_steps(canvas: Tensor, strokes: Tensor, brush: Brush, every: int = 1, chunk: int = 256) -> Iterator[Tensor]:
    """Yield the canvas before the first stroke, after every `every` strokes, and after the last.

    It is the same tensor each time, changed in place: copy what is to be kept.

    Args:
        canvas: `(3, H, W)`.
        strokes: `(N, P)`, the first at the bottom.
        brush: draws them.
        every: strokes between two canvases.
        chunk: how many strokes are drawn at once at most, which limits the memory.

    Raises:
        InputError: As of `paint`, and for numbers below 1.
    """
    check_painting(canvas, strokes, brush.space)
    if canvas.dim() != 3 or min(every, chunk) < 1:
        raise InputError("paint_steps needs one canvas (3, H, W), and every and chunk of at least 1.")
    canvas = canvas.clone()
    yield canvas
    done = 0
    for patches in brush.stream(strokes, (canvas.shape[-2], canvas.shape[-1]), chunk):
        for i in range(len(patches)):
            below, alpha = patches.on(canvas, i)
            below.lerp_(patches.pigment(i), alpha)
            done += 1
            if done % every == 0 or done == len(strokes):
                yield canvas
