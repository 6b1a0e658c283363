"""Leave-one-out importance of strokes: how much worse the finished picture would be without each of them."""

from __future__ import annotations

import torch
from torch import Tensor

from renderer.brush import Brush, Patches
from renderer.checks import check_painting, check_pictures
from renderer.ops import native
from renderer.ops.composite import SOURCE, error_without
from renderer.ops.triton_strokes import encode, importance_of_codes


@torch.no_grad()
def importance(strokes: Tensor, canvas: Tensor, target: Tensor, brush: Brush) -> Tensor:
    """Compute the exact increase of the mean squared error if a single stroke were left out, for each stroke.

    Leaving out stroke i changes the finished picture by d = T a (b - c), where a is its alpha, c its colour, b the canvas
    that it covers and T the transmittance of the strokes above it. With the residual r of the finished picture, the
    squared error increases by sum(2 r d + d^2). Time and memory are linear in the pixels that strokes touch.

    Args:
        strokes: `(N, P)` in [0, 1], in painting order; `(B, N, P)` for several pictures.
        canvas: `(3, H, W)` or `(B, 3, H, W)`, sRGB in [0, 1], before the strokes.
        target: `(3, H, W)` or `(B, 3, H, W)`.
        brush: Paints the strokes.

    Returns:
        `(N,)` or `(B, N)`, in units of the mean squared error; negative for a stroke that makes the picture worse.

    Raises:
        InputError: The shapes do not belong together.
    """
    check_painting(canvas, strokes, brush.space, values=False)
    check_pictures(canvas, target, dims=canvas.dim())
    size = (canvas.shape[-2], canvas.shape[-1])
    codes = encode(brush, strokes.flatten(0, -2), size)
    if codes is not None:
        canvases, targets = canvas.view(-1, 3, *size), target.view(-1, 3, *size)
        return importance_of_codes(canvases, targets, codes).view(strokes.shape[:-1]) / targets[0].numel()
    if strokes.dim() == 3:
        pictures = zip(strokes, canvas, target, strict=True)
        return torch.stack([importance(*picture, brush) for picture in pictures])
    return importance_of_patches(brush.patches(strokes, size), canvas, target)


def importance_of_patches(patches: Patches, canvas: Tensor, target: Tensor) -> Tensor:
    """`importance` of the strokes (N,) of one picture that are drawn already."""
    drawn = patches.alpha, patches.colour
    if patches.texture is None and native.load_for(SOURCE, canvas, target, *drawn) is not None:
        return error_without(canvas, target, *drawn, patches.box, patches.start) / target.numel()
    canvas = canvas.clone()
    covered = []
    for i in range(len(patches)):
        below, alpha = patches.on(canvas, i)
        covered.append(below.clone())
        below.lerp_(patches.pigment(i), alpha)
    residual = canvas - target
    transmittance = torch.ones_like(canvas[:1])
    result = canvas.new_zeros(len(patches))
    for i in reversed(range(len(patches))):
        visible, alpha = patches.on(transmittance, i)
        change = visible * alpha * (covered[i] - patches.pigment(i))
        result[i] = (change * (2 * patches.on(residual, i)[0] + change)).sum()
        visible.mul_(1 - alpha)
    return result / target.numel()
