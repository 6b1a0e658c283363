"""How near a painting is to its picture."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from kornia.metrics import ssim
from torch import Tensor

from painter.losses.perceptual import Perceptual


@dataclass(frozen=True)
class Measures:
    """mse over RGB in [0, 1]; psnr in dB; ssim (Wang et al. 2004, 11x11 window, mean over RGB); perceptual distance."""

    mse: float
    psnr: float
    ssim: float
    perceptual: float


@torch.no_grad()
def measure(painting: Tensor, target: Tensor, perceptual: Perceptual) -> Measures:
    """Both (3, H, W) sRGB in [0, 1]."""
    mse = (painting - target).square().mean().item()
    psnr = -10 * math.log10(mse) if mse > 0 else math.inf
    window = min(11, *(side - 1 + side % 2 for side in painting.shape[1:]))  # odd, and not larger than the picture
    similarity = ssim(painting[None], target[None], window).mean().item()
    return Measures(mse, psnr, similarity, perceptual(painting[None], target[None]).item())
