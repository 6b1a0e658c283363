"""Metrics between a painting and its target."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from painter.losses.perceptual import Perceptual


@dataclass(frozen=True)
class Metrics:
    """Distances and similarities of two pictures.

    mse: mean squared error over sRGB in [0, 1]
    psnr: dB
    ssim: Wang et al. (2004), 11x11 window, averaged over the channels
    perceptual: distance in feature space, see `painter.losses.perceptual`
    """

    mse: float
    psnr: float
    ssim: float
    perceptual: float


@torch.no_grad()
def compute_metrics(painting: Tensor, target: Tensor, perceptual: Perceptual) -> Metrics:
    """Compare a painting with its target, both `(3, H, W)`, sRGB in [0, 1]."""
    from kornia.metrics import ssim  # here, because it takes long to import

    mse = (painting - target).square().mean().item()
    psnr = -10 * math.log10(mse) if mse > 0 else math.inf
    window = min(11, *(side - 1 + side % 2 for side in painting.shape[1:]))  # odd, and not larger than the picture
    similarity = ssim(painting[None], target[None], window).mean().item()
    return Metrics(mse, psnr, similarity, perceptual(painting[None], target[None]).item())
