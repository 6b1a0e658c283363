"""Adaptive discriminator augmentation (Karras et al. 2020b, "Training GANs with Limited Data").

The discriminator sees nothing but augmented pictures, real and dreamt alike, so that it cannot learn the few real ones
by heart; as long as each augmentation happens with a probability p well below 1, the generator does not learn them.
p follows how far the discriminator overfits. Geometry is kornia's. Its changes of colour cut values to [0, 1], which
would take the gradient from whatever lies outside; colour is a matrix here, as in the paper.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from kornia.geometry.conversions import normalize_homography
from kornia.geometry.transform import get_affine_matrix2d
from torch import Tensor

MOST = 0.85  # of p; beyond, what is augmented leaks into what is dreamt (section 2.2)


class Changes(NamedTuple):
    """What happens to each of B pictures, drawn before it does: `augment` itself has no randomness and waits for nothing.

    places: (B, 2, 3), from places in the new picture to those in the old one, both in [-1, 1]; colour: (B, 3, 3), and
    offset: (B, 3, 1), of new colours from old ones.
    """

    places: Tensor
    colour: Tensor
    offset: Tensor


def augment(pictures: Tensor, changes: Changes) -> Tensor:
    """(B, 3, S, S) in [-1, 1] -> the same, changed. Differentiable in the pictures."""
    pictures = _warp(pictures, changes.places)
    return torch.einsum("bij,bjhw->bihw", changes.colour, pictures) + changes.offset[:, :, :, None]


def draw_changes(n: int, side: int, p: float, draws: torch.Generator) -> Changes:
    """Each of eleven changes with probability p, to each of n pictures of `side` pixels for itself.

    The strengths of appendix B: quarter turns, whole and fractional shifts, scale of both sides and of one, rotation,
    then brightness, contrast, inverted luma, hue, saturation. Mirrored they are before, when faces are drawn.
    """

    def happens(chance: float = p) -> Tensor:
        return torch.rand(n, generator=draws) < chance

    def maybe(value: Tensor, otherwise: float = 0.0, chance: float = p) -> Tensor:
        """The value where it happens; one draw a picture."""
        there = happens(chance)
        return torch.where(there.view(-1, *[1] * (value.ndim - 1)), value, otherwise)

    def normal(*shape: int) -> Tensor:
        return torch.randn(n, *shape, generator=draws)

    def uniform(*shape: int) -> Tensor:
        return 2 * torch.rand(n, *shape, generator=draws) - 1

    turns = maybe(90.0 * torch.randint(4, (n,), generator=draws))
    whole = maybe((uniform(2) * 0.125 * side).round())
    scale = maybe((0.2 * math.log(2) * normal(1)).exp(), 1.0)
    rotation = 1 - math.sqrt(1 - p)  # twice, so that p of the pictures turn
    before, after = (maybe(180 * uniform(), chance=rotation) for _ in range(2))
    stretch = maybe((0.2 * math.log(2) * normal(1)).exp(), 1.0)
    shift = maybe(0.125 * side * normal(2))

    centre = torch.full((n, 2), (side - 1) / 2)
    none, one = torch.zeros(n, 2), torch.ones(n, 2)
    first = get_affine_matrix2d(whole, centre, scale.expand(-1, 2), turns + before)
    second = get_affine_matrix2d(none, centre, torch.cat((stretch, 1 / stretch), 1), torch.zeros(n))
    third = get_affine_matrix2d(shift, centre, one, after)
    places = torch.linalg.inv(normalize_homography(third @ second @ first, (side, side), (side, side)))[:, :2]

    luma = torch.full((3, 1), 1 / math.sqrt(3))
    along, identity = luma @ luma.T, torch.eye(3)
    brightness = maybe(0.2 * normal(1))
    contrast = maybe((0.5 * math.log(2) * normal(1, 1)).exp(), 1.0)
    flipped = maybe(torch.randint(2, (n, 1, 1), generator=draws).float())
    hue = maybe(math.pi * uniform(1, 1))
    saturation = maybe((math.log(2) * normal(1, 1)).exp(), 1.0)
    across = (identity - along) * hue.cos() + _cross(luma[:, 0]) * hue.sin()  # Rodrigues' rotation about grey
    colour = contrast * (along * (1 - 2 * flipped) + across * saturation)
    return Changes(places, colour, colour @ brightness[:, :, None].expand(-1, 3, -1))


def shift(pictures: Tensor, pixels: Tensor) -> Tensor:
    """(B, 3, S, S), each moved by so many pixels (B, 2) to the right and down; the border is reflected."""
    places = torch.eye(2, 3, device=pictures.device).repeat(len(pictures), 1, 1)
    places[:, :, 2] = -2 * pixels / (pictures.shape[-1] - 1)
    return _warp(pictures, places)


def adapt(p: float, signs: float, shown: int, target: float, speed: float) -> float:
    """p after `shown` more pictures: up when r_t = E[sign D(real)] lies above the target, down when below (section 3).

    speed: pictures in which p can go from 0 to 1.

    >>> adapt(0.5, 0.9, 64, 0.6, 640.0), adapt(0.0, 0.1, 64, 0.6, 640.0)
    (0.6, 0.0)
    """
    direction = (signs > target) - (signs < target)
    return min(MOST, max(0.0, p + direction * shown / speed))


def _warp(pictures: Tensor, places: Tensor) -> Tensor:
    """Bilinear, the border reflected. kornia's `warp_affine` would invert `places` where the pictures are, and wait."""
    grid = F.affine_grid(places, list(pictures.shape), align_corners=True)
    return F.grid_sample(pictures, grid, padding_mode="reflection", align_corners=True)


def _cross(axis: Tensor) -> Tensor:
    """The matrix that takes a vector to axis x vector."""
    x, y, z = axis.tolist()
    return torch.tensor([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
