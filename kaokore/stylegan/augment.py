"""Adaptive discriminator augmentation (Karras et al. 2020b, "Training GANs with Limited Data").

The discriminator sees augmented images only, real and generated, so that it cannot memorise the few real ones; as long
as each augmentation has a probability p well below 1, the generator does not reproduce the augmentations. p follows the
overfitting of the discriminator. Geometry is kornia's. Its changes of colour clamp values to [0, 1], which would remove
the gradient outside; colour is a matrix here, as in the paper.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

MAX_P = 0.85  # above, augmentations leak into the generated images (section 2.2)


class Changes(NamedTuple):
    """The augmentation of each of B images, drawn in advance, so that `augment` has no randomness.

    coordinates: (B, 2, 3), affine, from positions in the new image to those in the old one, both in [-1, 1].
    colour, offset: (B, 3, 3) and (B, 3, 1), affine, from old colours to new ones.
    """

    coordinates: Tensor
    colour: Tensor
    offset: Tensor


def augment(images: Tensor, changes: Changes) -> Tensor:
    """Apply changes to images (B, 3, S, S) in [-1, 1]. Differentiable in the images."""
    images = _warp(images, changes.coordinates)
    return torch.einsum("bij,bjhw->bihw", changes.colour, images) + changes.offset[:, :, :, None]


def draw_changes(n: int, side: int, p: float, draws: torch.Generator) -> Changes:
    """Draw the augmentation of n images of `side` pixels: each of eleven changes with probability p per image.

    The changes and strengths of appendix B: quarter turns, whole and fractional shifts, isotropic and anisotropic scale,
    rotation, then brightness, contrast, inverted luma, hue, saturation. Mirroring happens earlier, in `Faces.draw`.

    Args:
        n: Images.
        side: Pixels of their side.
        p: Probability of each change, in [0, 1].
        draws: Random numbers, on the CPU.
    """
    from kornia.geometry.conversions import normalize_homography  # here, because only training needs kornia
    from kornia.geometry.transform import get_affine_matrix2d

    def maybe(value: Tensor, otherwise: float = 0.0, probability: float = p) -> Tensor:
        """`value` with a probability, else `otherwise`; one draw per image."""
        applied = torch.rand(n, generator=draws) < probability
        return torch.where(applied.view(-1, *[1] * (value.ndim - 1)), value, otherwise)

    def normal(*shape: int) -> Tensor:
        return torch.randn(n, *shape, generator=draws)

    def uniform(*shape: int) -> Tensor:
        return 2 * torch.rand(n, *shape, generator=draws) - 1

    turns = maybe(90.0 * torch.randint(4, (n,), generator=draws))
    whole = maybe((uniform(2) * 0.125 * side).round())
    scale = maybe((0.2 * math.log(2) * normal(1)).exp(), 1.0)
    rotation = 1 - math.sqrt(1 - p)  # twice, so that a share p of the images is rotated
    before, after = (maybe(180 * uniform(), probability=rotation) for _ in range(2))
    stretch = maybe((0.2 * math.log(2) * normal(1)).exp(), 1.0)
    shift = maybe(0.125 * side * normal(2))

    centre = torch.full((n, 2), (side - 1) / 2)
    none, one = torch.zeros(n, 2), torch.ones(n, 2)
    first = get_affine_matrix2d(whole, centre, scale.expand(-1, 2), turns + before)
    second = get_affine_matrix2d(none, centre, torch.cat((stretch, 1 / stretch), 1), torch.zeros(n))
    third = get_affine_matrix2d(shift, centre, one, after)
    coordinates = torch.linalg.inv(normalize_homography(third @ second @ first, (side, side), (side, side)))[:, :2]

    luma = torch.full((3, 1), 1 / math.sqrt(3))
    along, identity = luma @ luma.T, torch.eye(3)
    brightness = maybe(0.2 * normal(1))
    contrast = maybe((0.5 * math.log(2) * normal(1, 1)).exp(), 1.0)
    flipped = maybe(torch.randint(2, (n, 1, 1), generator=draws).float())
    hue = maybe(math.pi * uniform(1, 1))
    saturation = maybe((math.log(2) * normal(1, 1)).exp(), 1.0)
    across = (identity - along) * hue.cos() + _cross(luma[:, 0]) * hue.sin()  # Rodrigues' rotation about grey
    colour = contrast * (along * (1 - 2 * flipped) + across * saturation)
    return Changes(coordinates, colour, colour @ brightness[:, :, None].expand(-1, 3, -1))


class View(NamedTuple):
    """How the projected discriminator sees each of B images, drawn in advance.

    shift: (B, 2), whole pixels to the right and down.
    colour: (B, 3), factors of saturation and contrast, and a summand of brightness.
    hole: (B, 2), centre of a grey square, in pixels; outside the image where there is none.
    """

    shift: Tensor
    colour: Tensor
    hole: Tensor


def draw_views(n: int, side: int, draws: torch.Generator) -> View:
    """Draw the views of n images of `side` pixels: shifts of up to an eighth, slight changes of colour, some holes.

    The changes of Zhao et al. (2020), "Differentiable Augmentation for Data-Efficient GAN Training", but weaker: what a
    discriminator sees in all colours, a generator shows in any.
    """
    limit = side // 8
    shifts = torch.randint(-limit, limit + 1, (n, 2), generator=draws)
    colour = torch.tensor([0.8, 0.85, -0.1]) + torch.tensor([0.4, 0.3, 0.2]) * torch.rand(n, 3, generator=draws)
    hole = torch.randint(side, (n, 2), generator=draws)
    holed = torch.rand(n, 1, generator=draws) < 0.25
    return View(shifts, colour, torch.where(holed, hole, -side))


def see(images: Tensor, view: View) -> Tensor:
    """Apply views to images (B, 3, S, S) in [-1, 1]. Differentiable in the images; the border is reflected."""
    saturation, contrast, brightness = view.colour[:, :, None, None, None].unbind(1)
    grey = images.mean(1, keepdim=True)
    images = (images - grey) * saturation + grey
    mean = images.mean((1, 2, 3), keepdim=True)
    images = shift((images - mean) * contrast + mean + brightness, view.shift)
    side = images.shape[-1]
    near = (torch.arange(side, device=images.device) - view.hole[:, :, None]).abs() < side // 8
    return images.masked_fill((near[:, 1, :, None] & near[:, 0, None])[:, None], 0.0)


def shift(images: Tensor, pixels: Tensor) -> Tensor:
    """Shift images (B, 3, S, S) by `pixels` (B, 2) to the right and down; the border is reflected."""
    coordinates = torch.eye(2, 3, device=images.device).repeat(len(images), 1, 1)
    coordinates[:, :, 2] = -2 * pixels / (images.shape[-1] - 1)
    return _warp(images, coordinates)


def adapt(p: float, signs: float, shown: int, *, target: float, speed: float) -> float:
    """Adapt the probability of augmentation (section 3).

    Args:
        p: The probability so far.
        signs: r_t = E[sign D(real)]; p rises when it is above the target and falls when it is below.
        shown: Images since the last call.
        target: Of r_t.
        speed: Images in which p can go from 0 to 1.

    >>> adapt(0.5, 0.9, 64, target=0.6, speed=640.0), adapt(0.0, 0.1, 64, target=0.6, speed=640.0)
    (0.6, 0.0)
    """
    direction = (signs > target) - (signs < target)
    return min(MAX_P, max(0.0, p + direction * shown / speed))


def _warp(images: Tensor, coordinates: Tensor) -> Tensor:
    """Bilinear, the border reflected. kornia's `warp_affine` would invert the matrix on the GPU and wait for it."""
    grid = F.affine_grid(coordinates, list(images.shape), align_corners=True)
    return F.grid_sample(images, grid, padding_mode="reflection", align_corners=True)


def _cross(axis: Tensor) -> Tensor:
    """The matrix of the cross product with an axis (3,)."""
    x, y, z = axis.tolist()
    return torch.tensor([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
