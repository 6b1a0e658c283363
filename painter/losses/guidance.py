"""Penalties on strokes: colour and curve guidance (Kotovenko et al. 2021).

A penalty maps strokes `(N, P)` or `(B, N, P)` in [0, 1] to one value per painting. `painter.optimize` adds it to its loss.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from renderer.errors import InputError
from renderer.strokes import StrokeSpace

Penalty = Callable[[Tensor], Tensor]
"""Strokes `(N, P)` or `(B, N, P)` -> `()` or `(B,)`."""

DIRECTIONS = 16
"""Number of projections of the sliced Wasserstein distance."""

FIELDS = ("circles", "rays", "waves")
"""Names that `direction_field` knows."""


def colour_guide(picture: Tensor, space: StrokeSpace, samples: int = 2048) -> Penalty:
    """Make a penalty on the difference between the strokes' colours and those of `picture` (3, h, w), as distributions.

    The sliced Wasserstein distance (Rabin et al. 2011; squared, sRGB in [0, 1]) between the strokes' colours, weighted
    by area and opacity, and the picture's pixels, over fixed evenly spread directions. 0 for equal distributions.

    Args:
        picture: `(3, h, w)`, sRGB in [0, 1].
        space: Stroke space of the strokes.
        samples: Number of the picture's pixels that are compared at most, taken at regular distances.

    Returns:
        The penalty.
    """
    height, width = picture.shape[-2:]
    pixels = picture.flatten(1).mT
    if height * width > samples:
        pixels = pixels[torch.linspace(0, height * width - 1, samples, device=picture.device).long()]
    directions = _directions().to(pixels)
    known = (pixels @ directions).sort(0).values  # (n, D)

    def penalty(strokes: Tensor) -> Tensor:
        area = _areas(strokes.detach(), space)[..., None]  # (..., N, 1)
        values, order = (space.get(strokes, "colour") @ directions).sort(-2)  # (..., N, D)
        weight = (area / area.sum(-2, keepdim=True)).expand_as(values).gather(-2, order)
        rank = (weight.cumsum(-2) - weight / 2).clamp(0, 1)  # of the middle of each stroke's weight
        place = rank * len(known) - 0.5
        low = place.floor().clamp(0, len(known) - 1)
        high = (low + 1).clamp(max=len(known) - 1)
        index = [i.long().movedim(-1, 0).flatten(1) for i in (low, high)]
        below, above = (known.T.gather(1, i).view(-1, *values.shape[:-1]).movedim(0, -1) for i in index)
        wanted = below + (above - below) * (place - low).clamp(0, 1)
        return (weight * (values - wanted).square()).sum(-2).mean(-1)

    return penalty


def curve_guide(field: Tensor, space: StrokeSpace) -> Penalty:
    """Make a penalty on the angle between strokes and a direction field: 0 for parallel strokes, 1 for perpendicular ones.

    The squared sine of the angle between the stroke's tangent and the field at start, middle and end of each stroke,
    weighted by the coherence of the field there. The gradient rotates and bends strokes but does not move them. Strokes
    shorter than a pixel have no direction and no penalty.

    Args:
        field: `(2, H, W)`, from `orientation` or `direction_field`.
        space: Stroke space of the strokes.

    Returns:
        The penalty.
    """
    height, width = field.shape[-2:]
    scale = field.new_tensor([width, height])

    def penalty(strokes: Tensor) -> Tensor:
        start, end = space.get(strokes, "start"), space.get(strokes, "end")
        control = start + (end - start) * space.get(strokes, "bend")
        positions = torch.stack((start, (start + 2 * control + end) / 4, end), -2).detach()  # (..., N, 3, 2)
        tangent = torch.stack((control - start, (end - start) / 2, end - control), -2) * scale
        length = tangent.square().sum(-1, keepdim=True)
        x, y = tangent.unbind(-1)
        doubled = torch.stack((x * x - y * y, 2 * x * y), -1) / (length + 1)  # about 0 below a pixel
        grid = (2 * positions - 1).view(1, -1, 1, 2)
        along = F.grid_sample(field[None].to(grid), grid, padding_mode="border", align_corners=False)[0, :, :, 0]
        along = along.T.reshape(positions.shape)
        coherence = along.norm(dim=-1) * (length / (length + 1))[..., 0]
        return ((coherence - (along * doubled).sum(-1)) / 2).mean((-2, -1))

    return penalty


def orientation(picture: Tensor, spread: float = 0.03) -> Tensor:
    """Compute the direction field of the lines of `picture` (3, H, W) from its structure tensor (Bigün and Granlund 1987).

    Args:
        picture: `(3, H, W)`.
        spread: Standard deviation of the averaging, as a fraction of the short side.

    Returns:
        `(2, H, W)`: coherence * (cos 2a, sin 2a), with the coherence in [0, 1] and the angle a clockwise from the x axis,
        doubled because a line has no sign.
    """
    from kornia.filters import gaussian_blur2d, spatial_gradient  # here, because it takes long to import

    sigma = max(1.0, spread * min(picture.shape[1:]))
    gradient = spatial_gradient(picture[None])[0]  # (3, x and y, H, W)
    x, y = gradient.unbind(1)
    tensor = torch.stack((x * x - y * y, 2 * x * y, x * x + y * y), 0).sum(1)
    side = 2 * math.ceil(2 * sigma) + 1
    tensor = gaussian_blur2d(tensor[None], (side, side), (sigma, sigma), "replicate")[0]
    energy = tensor[2]
    # The constant lowers the coherence where the picture is nearly flat and gradients are noise.
    field: Tensor = -tensor[:2] / (energy + 0.01 * energy.mean() + 1e-8)
    return field


def direction_field(name: str, size: tuple[int, int]) -> Tensor:
    """Make a direction field `(2, H, W)` of coherence 1, in the form of `orientation`.

    name: "circles" or "rays" around the centre, "waves", or an angle in degrees clockwise from the x axis. Raises
    `InputError` for anything else.

    >>> direction_field("90", (1, 1)).flatten().round().tolist()
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
            raise InputError(f"Unknown direction field {name!r}; choose {', '.join(FIELDS)} or an angle in degrees.")
    return torch.stack((torch.cos(2 * angle), torch.sin(2 * angle)))


def weighted_penalty(*parts: tuple[float, Penalty]) -> Penalty | None:
    """Sum penalties, given as pairs (weight, penalty); None if there are none with a weight above 0."""
    counted = [(weight, penalty) for weight, penalty in parts if weight > 0]
    if not counted:
        return None
    return lambda strokes: torch.stack([weight * penalty(strokes) for weight, penalty in counted]).sum(0)


def _directions() -> Tensor:
    """(3, DIRECTIONS) unit vectors, a Fibonacci lattice on half the sphere; opposite directions are equivalent."""
    i = torch.arange(DIRECTIONS, dtype=torch.float64) + 0.5
    z = 1 - i / DIRECTIONS
    angle = i * math.pi * (1 + math.sqrt(5))
    ring = (1 - z * z).sqrt()
    return torch.stack((ring * angle.cos(), ring * angle.sin(), z))


def _areas(strokes: Tensor, space: StrokeSpace) -> Tensor:
    """Approximate area of each stroke times its opacity, (..., N), in units of the canvas' area."""
    length = (space.get(strokes, "end") - space.get(strokes, "start")).norm(dim=-1)
    radius = space.get(strokes, "radius").mean(-1)
    return (length + 2 * radius) * 2 * radius * space.get(strokes, "opacity").mean(-1) + 1e-9
