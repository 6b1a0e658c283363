"""Losses on pixels, and the weighted sum of losses."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

Loss = Callable[[Tensor, Tensor], Tensor]
"""Canvas and target, both `(B, 3, H, W)`, sRGB in [0, 1] -> one value per picture, `(B,)`."""


def mse(canvas: Tensor, target: Tensor) -> Tensor:
    """Mean squared error: `(B, 3, H, W)` twice -> `(B,)`."""
    return (canvas - target).square().mean((1, 2, 3))


def total_variation(canvas: Tensor, target: Tensor) -> Tensor:
    """Total variation of the canvas in excess of the target's: `(B, 3, H, W)` twice -> `(B,)`, at least 0.

    Anisotropic, L1, per pixel. Rudin et al. (1992) penalise all variation; here the target's own is free, so that its
    lines may stay.
    """
    return (variation(canvas) - variation(target)).clamp(min=0)


def variation(image: Tensor) -> Tensor:
    """Mean absolute difference of neighbouring pixels, horizontal plus vertical: `(B, 3, H, W)` -> `(B,)`."""
    horizontal = image.diff(dim=-1).abs().mean((1, 2, 3))
    return horizontal + image.diff(dim=-2).abs().mean((1, 2, 3))


def weighted(*parts: tuple[float, Loss]) -> Loss:
    """Sum losses, given as pairs (weight, loss); a loss of weight 0 is not computed."""
    counted = [(weight, loss) for weight, loss in parts if weight != 0]

    def total(canvas: Tensor, target: Tensor) -> Tensor:
        return sum((weight * loss(canvas, target) for weight, loss in counted), canvas.new_zeros(len(canvas)))

    return total
