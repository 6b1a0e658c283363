"""What a painting is held against its target by. Each loss takes (B, 3, H, W) twice and returns one value a picture."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

Loss = Callable[[Tensor, Tensor], Tensor]


def pixels(canvas: Tensor, target: Tensor) -> Tensor:
    """Mean squared error over RGB in [0, 1]."""
    return (canvas - target).square().mean((1, 2, 3))


def total_variation(canvas: Tensor, target: Tensor) -> Tensor:
    """How much more the canvas varies between neighbouring pixels than the target does (anisotropic, L1; never below 0).

    Rudin et al. (1992) charge all variation; here the target's own is free, so that lines may stay.
    """
    difference = _variation(canvas) - _variation(target)
    return difference.clamp(min=0)


def _variation(image: Tensor) -> Tensor:
    across = image.diff(dim=-1).abs().mean((1, 2, 3))
    return across + image.diff(dim=-2).abs().mean((1, 2, 3))


def weighted(*parts: tuple[float, Loss]) -> Loss:
    """The sum of losses, each times its weight; those that weigh nothing are not computed."""
    counted = [(weight, loss) for weight, loss in parts if weight != 0]

    def total(canvas: Tensor, target: Tensor) -> Tensor:
        return sum((weight * loss(canvas, target) for weight, loss in counted), canvas.new_zeros(len(canvas)))

    return total
