"""Faces that might as well have been drawn, photographed or cropped a little otherwise: a batch at a time, as tensors."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Augmentation:
    """Largest changes; each is drawn uniformly and for each face alone.

    The pages differ in paper, ink and light, and crops are by hand, so colour and place vary. Faces are upright, and
    which way they look says nothing.
    """

    degrees: float = 12.0
    """Rotation."""
    scale: float = 0.15
    """Enlargement or reduction, as a natural logarithm."""
    shift: float = 0.06
    """Of the side."""
    contrast: float = 0.25
    brightness: float = 0.1
    saturation: float = 0.3
    tint: float = 0.06
    """Brightness of each colour for itself: yellowed paper."""
    erase: float = 0.25
    """Probability of a grey rectangle (Zhong et al. 2020, random erasing) of 2 to 20 % of the face."""


def augment(images: Tensor, strength: float, generator: torch.Generator, limits: Augmentation) -> Tensor:
    """(B, 3, H, W) uint8 -> float in [0, 1], each mirrored or not, turned, moved, coloured, partly erased.

    `strength` scales all changes but the mirror; 0 leaves faces as they are or mirrored. Random numbers are drawn on
    `generator`'s device.
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
    """(N, 1, H, W) bool: rectangles of 2 to 20 % of the area and sides of up to 1 to 3, each there with `probability`."""
    draws = torch.rand(5, n, generator=generator)
    area, ratio = 0.02 + 0.18 * draws[0], torch.exp((2 * draws[1] - 1) * math.log(3))
    sides = ((area * ratio).sqrt().clamp(max=1), (area / ratio).sqrt().clamp(max=1))
    there = draws[4] < probability
    inside = []
    for length, side, draw in zip(size, sides, draws[2:4], strict=True):
        place = (torch.arange(length) + 0.5) / length
        begin = draw * (1 - side)
        inside.append((place >= begin[:, None]) & (place < (begin + side)[:, None]))
    return (inside[0][:, None, :, None] & inside[1][:, None, None, :]) & there[:, None, None, None]
