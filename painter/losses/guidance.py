"""Guidance of strokes themselves, not of the canvas: their colours and their courses (Kotovenko et al. 2021).

A penalty takes strokes (N, P), or (B, N, P), in [0, 1] and returns one value a painting. `painter.optimize` adds it to
its loss.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from kornia.filters import gaussian_blur2d, spatial_gradient
from torch import Tensor

from renderer.errors import InputError
from renderer.strokes import StrokeSpace

Penalty = Callable[[Tensor], Tensor]
DIRECTIONS = 16  # in which colours are compared
FIELDS = ("circles", "rays", "waves")


def colour_guide(picture: Tensor, space: StrokeSpace, samples: int = 2048) -> Penalty:
    """Draws strokes to the colours of `picture` (3, h, w), and to as much of each as it has.

    The sliced Wasserstein distance (Rabin et al. 2011; squared, sRGB in [0, 1]) of the strokes' colours, each counting
    by its area and opacity, to the picture's pixels, over fixed directions spread evenly. It is 0 for strokes whose
    colours are distributed as the picture's are.
    """
    height, width = picture.shape[-2:]
    pixels = picture.flatten(1).mT
    if height * width > samples:  # evenly, so that nothing is left to chance
        pixels = pixels[torch.linspace(0, height * width - 1, samples, device=picture.device).long()]
    directions = _directions().to(pixels)
    known = (pixels @ directions).sort(0).values  # (n, D)

    def penalty(strokes: Tensor) -> Tensor:
        area = _areas(strokes.detach(), space)[..., None]  # (..., N, 1)
        values, order = (space.get(strokes, "colour") @ directions).sort(-2)  # (..., N, D)
        weight = (area / area.sum(-2, keepdim=True)).expand_as(values).gather(-2, order)
        rank = (weight.cumsum(-2) - weight / 2).clamp(0, 1)  # of each stroke's middle among all that is painted
        place = rank * len(known) - 0.5
        low = place.floor().clamp(0, len(known) - 1)
        high = (low + 1).clamp(max=len(known) - 1)
        index = [i.long().movedim(-1, 0).flatten(1) for i in (low, high)]
        below, above = (known.T.gather(1, i).view(-1, *values.shape[:-1]).movedim(0, -1) for i in index)
        wanted = below + (above - below) * (place - low).clamp(0, 1)
        return (weight * (values - wanted).square()).sum(-2).mean(-1)

    return penalty


def curve_guide(field: Tensor, space: StrokeSpace) -> Penalty:
    """Turns strokes along a field of directions (2, H, W), see `orientation`; 0 when all follow it, 1 when all cross it.

    At start, middle and end of each stroke, the squared sine of the angle between its course and the field's, times how
    sure the field is there. Strokes are turned and bent, not moved to where the field would suit them. Dots, which have
    no direction, are free.
    """
    height, width = field.shape[-2:]
    scale = field.new_tensor([width, height])

    def penalty(strokes: Tensor) -> Tensor:
        start, end = space.get(strokes, "start"), space.get(strokes, "end")
        control = start + (end - start) * space.get(strokes, "bend")
        places = torch.stack((start, (start + 2 * control + end) / 4, end), -2).detach()  # (..., N, 3, 2)
        course = torch.stack((control - start, (end - start) / 2, end - control), -2) * scale
        length = course.square().sum(-1, keepdim=True)
        x, y = course.unbind(-1)
        doubled = torch.stack((x * x - y * y, 2 * x * y), -1) / (length + 1)  # shorter than a pixel: no direction
        grid = (2 * places - 1).view(1, -1, 1, 2)
        along = F.grid_sample(field[None].to(grid), grid, padding_mode="border", align_corners=False)[0, :, :, 0]
        along = along.T.reshape(places.shape)
        sure = along.norm(dim=-1) * (length / (length + 1))[..., 0]
        return ((sure - (along * doubled).sum(-1)) / 2).mean((-2, -1))

    return penalty


def orientation(picture: Tensor, spread: float = 0.03) -> Tensor:
    """Which way the lines of `picture` (3, H, W) run: (2, H, W), sure * (cos 2a, sin 2a), a clockwise from the x axis.

    From the structure tensor (Bigün and Granlund 1987), averaged over `spread` of the short side; *sure*, in [0, 1], is
    its coherence. Twice the angle, because a line has no sense of direction.
    """
    sigma = max(1.0, spread * min(picture.shape[1:]))
    gradient = spatial_gradient(picture[None])[0]  # (3, x and y, H, W)
    x, y = gradient.unbind(1)
    tensor = torch.stack((x * x - y * y, 2 * x * y, x * x + y * y), 0).sum(1)
    side = 2 * math.ceil(2 * sigma) + 1
    tensor = gaussian_blur2d(tensor[None], (side, side), (sigma, sigma), "replicate")[0]
    energy = tensor[2]
    # Where hardly anything is to be seen, noise has a direction, too.
    field: Tensor = -tensor[:2] / (energy + 0.01 * energy.mean() + 1e-8)
    return field


def prescribed(name: str, size: tuple[int, int]) -> Tensor:
    """A field (2, H, W) as `orientation` gives them, sure everywhere: circles or rays around the centre, waves, or an
    angle in degrees, clockwise from the x axis. Raises `InputError` for anything else.

    >>> prescribed("90", (1, 1)).flatten().round().tolist()
    [-1.0, -0.0]
    """
    height, width = size
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    around = torch.atan2(y - height / 2, x - width / 2)
    if name == "circles":
        angle = around + math.pi / 2
    elif name == "rays":
        angle = around
    elif name == "waves":
        angle = 0.7 * torch.cos(x * (4 * math.pi / width))
    else:
        try:
            angle = torch.full((height, width), math.radians(float(name)))
        except ValueError:
            angle = torch.tensor(math.nan)
        if not angle.isfinite().all():
            raise InputError(f"There is no field {name!r}; choose {', '.join(FIELDS)} or an angle in degrees.")
    return torch.stack((torch.cos(2 * angle), torch.sin(2 * angle)))


class Weighted(NamedTuple):
    """A penalty and how much it counts."""

    weight: float
    penalty: Penalty


def together(parts: list[Weighted]) -> Penalty | None:
    """One penalty of several; None of none, or where all weigh nothing."""
    parts = [part for part in parts if part.weight > 0]
    if not parts:
        return None
    return lambda strokes: torch.stack([part.weight * part.penalty(strokes) for part in parts]).sum(0)


def _directions() -> Tensor:
    """(3, DIRECTIONS) unit vectors spread over half the sphere by Fibonacci's lattice, and so over all of it."""
    i = torch.arange(DIRECTIONS, dtype=torch.float64) + 0.5
    z = 1 - i / DIRECTIONS
    angle = i * math.pi * (1 + math.sqrt(5))
    ring = (1 - z * z).sqrt()
    return torch.stack((ring * angle.cos(), ring * angle.sin(), z))


def _areas(strokes: Tensor, space: StrokeSpace) -> Tensor:
    """About how much each stroke covers, (..., N), in squares of the canvas' side."""
    length = (space.get(strokes, "end") - space.get(strokes, "start")).norm(dim=-1)
    radius = space.get(strokes, "radius").mean(-1)
    return (length + 2 * radius) * 2 * radius * space.get(strokes, "opacity").mean(-1) + 1e-9
