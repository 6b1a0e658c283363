"""Place new strokes where the error is large, along the edges of the target and in its colours."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from renderer.strokes import BEZIER, StrokeSpace


@torch.no_grad()
def place(
    target: Tensor,
    canvas: Tensor,
    count: int,
    *,
    radius: float,
    generator: torch.Generator | None = None,
    space: StrokeSpace = BEZIER,
    elongation: float = 3.0,
) -> Tensor:
    """Draw straight strokes of one radius that bring the canvas closer to the target.

    Positions are drawn with probability proportional to the square of the local error, and repel one another. Each stroke
    lies along the local edge (the minor axis of the structure tensor; Litwinowicz 1997) and has the target's mean colour.

    Args:
        target: `(3, H, W)`, sRGB in [0, 1].
        canvas: `(3, H, W)`, the canvas so far.
        count: Number of strokes.
        radius: Of all strokes, as a fraction of the canvas' short side.
        generator: Draws the positions, on the CPU; None for PyTorch's default generator.
        space: Stroke space of the result.
        elongation: Length of a stroke in radii.

    Returns:
        Strokes `(count, P)` in [0, 1].
    """
    H, W = target.shape[1:]
    reach = radius * min(H, W)
    error = _blur((target - canvas).square().mean(0, keepdim=True), 0.7 * reach)[0]
    angle = _edge_angle(target, max(0.7 * reach, 1.0))
    colour = _blur(target, 0.5 * reach)
    at = _draw_positions((error + 1e-9) ** 2, count, 1.3 * reach, generator)

    centre = torch.stack((at % W + 0.5, at // W + 0.5), -1)
    along = angle.flatten()[at]
    half = torch.stack((along.cos(), along.sin()), -1) * (elongation * reach / 2)
    scale = centre.new_tensor([W, H])
    strokes = space.default_strokes(count).to(target)
    for name, value in (
        ("radius", strokes.new_full((count, space.field("radius").size), radius)),
        ("start", (centre - half) / scale),
        ("end", (centre + half) / scale),
        ("colour", colour.flatten(1)[:, at].T),
    ):
        strokes = space.put(strokes, name, value.to(strokes))
    return strokes


def _edge_angle(target: Tensor, sigma: float) -> Tensor:
    """Direction of the edges of a picture (3, H, W), averaged over `sigma` pixels: (H, W), radians."""
    from kornia.filters import spatial_gradient  # here, because it takes long to import

    gradient = spatial_gradient(target.mean(0)[None, None])[0, 0]  # (x and y, H, W)
    tensor = _blur(torch.stack((gradient[0] ** 2, gradient[0] * gradient[1], gradient[1] ** 2)), sigma)
    return torch.atan2(2 * tensor[1], tensor[0] - tensor[2]) / 2 + math.pi / 2


def _draw_positions(weight: Tensor, count: int, distance: float, generator: torch.Generator | None) -> Tensor:
    """Draw pixels, as indices (count,) into `weight` (H, W) flattened; each one lowers the weight around it.

    Weights divided by exponential noise are largest at a pixel with a probability proportional to its weight: so does
    `torch.multinomial` draw on the CPU, and without replacement where the same noise is kept (Efraimidis and Spirakis 2006).
    The noise comes from the CPU, where the generator is, and nothing waits for another device, which gets the same
    positions. A position changes only weights near it, so that many of them on a large picture cost little.
    """
    H, W = weight.shape
    noise = torch.empty(H * W, dtype=weight.dtype).exponential_(generator=generator).clamp(min=1e-30).view(H, W)
    reach = math.ceil(3.5 * distance)
    offset = torch.arange(-reach, reach + 1, device=weight.device)
    square = offset[:, None] ** 2 + offset**2
    lower = 2 * torch.log1p(
        -0.95 * torch.exp(-square / (2 * distance**2 + 1e-9))
    )  # of logarithms, which cannot underflow
    # With a border, so that all of the neighbourhood of a position can be indexed.
    key = torch.nn.functional.pad(weight.log() - noise.log().to(weight), (reach,) * 4, value=-torch.inf)
    best = key.amax(1)  # of each row
    positions = torch.zeros(count, dtype=torch.long, device=weight.device)
    for i in range(count):
        y = best.argmax()
        x = key[y].argmax()
        positions[i] = (y - reach) * W + x - reach
        rows = y + offset
        key[rows[:, None], x + offset] += lower
        best[rows] = key[rows].amax(1)
    return positions


def _blur(image: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of (C, H, W); none for a sigma below a third of a pixel."""
    if sigma < 0.3:
        return image
    # Reflection at the border limits the width of the kernel.
    side = min(2 * math.ceil(3 * sigma) + 1, 2 * (min(image.shape[1:]) - 1) + 1)
    if side < 3:
        return image
    from kornia.filters import gaussian_blur2d

    return gaussian_blur2d(image[None], (side, side), (sigma, sigma), "reflect")[0]
