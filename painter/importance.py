"""What a stroke is worth: how much worse the finished picture would be without it."""

from __future__ import annotations

import torch
from torch import Tensor

from renderer.brush import Brush


@torch.no_grad()
def importance(canvas: Tensor, strokes: Tensor, renderer: Brush, target: Tensor) -> Tensor:
    """`(N,)`: the exact rise of the mean squared error if that one stroke were left out; negative for a harmful one.

    canvas and target (3, H, W), strokes (N, P). Leaving out stroke i changes the finished picture by
    d = T a (before - colour): a its alpha, `before` the canvas that it covers and T what later strokes let through.
    With r the present residual, the squared error rises by the sum of 2 r d + d^2. Linear in the pixels touched.
    """
    patches = renderer.patches(strokes, (canvas.shape[-2], canvas.shape[-1]))
    canvas = canvas.clone()
    before = []
    for i in range(len(strokes)):
        below, alpha = patches.on(canvas, i)
        before.append(below.clone())
        below.lerp_(patches.pigment(i), alpha)
    residual = canvas - target
    through = torch.ones_like(canvas[:1])
    result = canvas.new_zeros(len(strokes))
    for i in reversed(range(len(strokes))):
        visible, alpha = patches.on(through, i)
        change = visible * alpha * (before[i] - patches.pigment(i))
        result[i] = (change * (2 * patches.on(residual, i)[0] + change)).sum()
        visible.mul_(1 - alpha)
    return result / target.numel()
