"""Where new strokes go: to where the error is, along the picture's own lines, in its own colours."""

from __future__ import annotations

import math

import torch
from kornia.filters import gaussian_blur2d, spatial_gradient
from torch import Tensor

from renderer.strokes import BEZIER, StrokeSpace


@torch.no_grad()
def place(
    target: Tensor,
    canvas: Tensor,
    count: int,
    radius: float,
    generator: torch.Generator | None = None,
    space: StrokeSpace = BEZIER,
    elongation: float = 3.0,
    opacity: float = 0.9,
    pressure: float = 0.7,
) -> Tensor:
    """`(count, P)` straight strokes of one `radius` (fraction of the short side) for a canvas that should become target.

    target, canvas (3, H, W). Places are drawn with probability as the square of the local error, away from one another;
    each stroke lies along the local edge (the minor axis of the structure tensor, as in Litwinowicz 1997) and takes
    the target's mean colour there. Brushes that feel pressure are pressed well: lightly, some hardly mark.
    """
    H, W = target.shape[1:]
    reach = radius * min(H, W)
    error = _blur((target - canvas).square().mean(0, keepdim=True), 0.7 * reach)[0]
    gradient = spatial_gradient(target.mean(0)[None, None])[0, 0]  # (x and y, H, W)
    tensor = _blur(torch.stack((gradient[0] ** 2, gradient[0] * gradient[1], gradient[1] ** 2)), max(0.7 * reach, 1.0))
    angle = torch.atan2(2 * tensor[1], tensor[0] - tensor[2]) / 2 + math.pi / 2
    colour = _blur(target, 0.5 * reach)

    y = torch.arange(H, device=target.device)[:, None]
    x = torch.arange(W, device=target.device)
    chance = (error + 1e-9) ** 2
    # Drawn on the CPU, where the caller's generator lives, whatever device the picture is on.
    spots = []
    for _ in range(count):
        spot = int(torch.multinomial(chance.flatten().cpu(), 1, generator=generator))
        spots.append(spot)
        square = (x - spot % W) ** 2 + (y - spot // W) ** 2
        chance = chance * (1 - 0.95 * torch.exp(-square / (2 * (1.3 * reach) ** 2 + 1e-9))) ** 2
        chance = chance / chance.max()  # or many strokes on a small picture would leave nothing but zeros
    at = torch.tensor(spots, device=target.device, dtype=torch.long)
    centre = torch.stack((at % W + 0.5, at // W + 0.5), -1)
    local = angle.flatten()[at]
    half = torch.stack((local.cos(), local.sin()), -1) * (elongation * reach / 2)
    scale = centre.new_tensor([W, H])
    strokes = target.new_full((count, space.width), 0.5)
    even = {"radius": radius, "opacity": opacity, "pressure": pressure}
    for field in space.fields:
        if field.name in even:
            strokes = space.put(strokes, field.name, strokes.new_full((count, field.size), even[field.name]))
    for name, value in (
        ("start", (centre - half) / scale),
        ("end", (centre + half) / scale),
        ("colour", colour.flatten(1)[:, at].T),
    ):
        strokes = space.put(strokes, name, value.to(strokes))
    return strokes


def _blur(image: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of (C, H, W); nothing below a third of a pixel."""
    if sigma < 0.3:
        return image
    # The kernel may not be wider than what reflection at the border can fill.
    side = min(2 * math.ceil(3 * sigma) + 1, 2 * (min(image.shape[1:]) - 1) + 1)
    if side < 3:
        return image
    return gaussian_blur2d(image[None], (side, side), (sigma, sigma), "reflect")[0]
