"""Random augmentation of batches of faces: geometry, colour, random erasing."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Augmentation:
    """Largest changes; each is drawn uniformly, independently for each face.

    The pages differ in paper, ink and light, and were cropped by hand, so colour and position vary. Faces are upright,
    and the direction in which they look does not depend on their class.
    """

    degrees: float = 12.0
    """Rotation."""
    scale: float = 0.15
    """Enlargement or reduction, as a natural logarithm."""
    shift: float = 0.06
    """Relative to the side."""
    contrast: float = 0.25
    brightness: float = 0.1
    saturation: float = 0.3
    tint: float = 0.06
    """Brightness of each colour channel, as of yellowed paper."""
    erase: float = 0.25
    """Probability of a grey rectangle (Zhong et al. 2020, random erasing) of 2 to 20 % of the face."""


def augment(images: Tensor, strength: float, generator: torch.Generator, limits: Augmentation) -> Tensor:
    """Mirror, rotate, scale, shift, recolour and partly erase images at random.

    Args:
        images: (B, 3, H, W) uint8.
        strength: Scales all changes but mirroring; 0 only mirrors.
        generator: Random numbers, drawn on its device.
        limits: The largest changes.

    Returns:
        (B, 3, H, W) float in [0, 1].
    """
    n, device = len(images), images.device

    def between(limit: float) -> Tensor:
        return (2 * torch.rand(n, generator=generator).to(device) - 1) * limit * strength

    pixels = images.float() / 255
    angle, zoom = between(math.radians(limits.degrees)), between(limits.scale).exp()
    mirror = torch.where(torch.rand(n, generator=generator).to(device) < 0.5, -1.0, 1.0)
    cosine, sine = angle.cos() / zoom, angle.sin() / zoom
    row, column = between(2 * limits.shift), between(2 * limits.shift)
    rows = [torch.stack((cosine * mirror, -sine, row), 1), torch.stack((sine * mirror, cosine, column), 1)]
    if strength == 0:
        pixels = torch.where(mirror[:, None, None, None] < 0, pixels.flip(-1), pixels)
    else:
        grid = F.affine_grid(torch.stack(rows, 1), list(pixels.shape), align_corners=False)
        pixels = F.grid_sample(pixels, grid, mode="bilinear", padding_mode="reflection", align_corners=False)

    def each(values: Tensor) -> Tensor:
        return values[:, None, None, None]

    mean = pixels.mean((1, 2, 3), keepdim=True)
    grey = pixels.mean(1, keepdim=True)
    pixels = grey + (pixels - grey) * each(1 + between(limits.saturation))
    pixels = mean + (pixels - mean) * each(1 + between(limits.contrast)) + each(between(limits.brightness))
    tint = torch.stack([between(limits.tint) for _ in range(3)], 1)
    pixels = (pixels + tint[:, :, None, None]).clamp(0, 1)
    erased = _rectangles(n, images.shape[-2:], limits.erase * strength, generator).to(device)
    return torch.where(erased, mean, pixels)


def _rectangles(n: int, size: torch.Size, probability: float, generator: torch.Generator) -> Tensor:
    """Draw masks (N, 1, H, W): with `probability` a rectangle of 2 to 20 % of the area and an aspect ratio up to 3."""
    draws = torch.rand(5, n, generator=generator)
    area, ratio = 0.02 + 0.18 * draws[0], torch.exp((2 * draws[1] - 1) * math.log(3))
    sides = ((area * ratio).sqrt().clamp(max=1), (area / ratio).sqrt().clamp(max=1))
    applied = draws[4] < probability
    inside = []
    for length, side, draw in zip(size, sides, draws[2:4], strict=True):
        position = (torch.arange(length) + 0.5) / length
        begin = draw * (1 - side)
        inside.append((position >= begin[:, None]) & (position < (begin + side)[:, None]))
    return (inside[0][:, None, :, None] & inside[1][:, None, None, :]) & applied[:, None, None, None]
