"""Metrics between a painting and its target."""

from __future__ import annotations

import importlib.util
import math
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import Module

from renderer.errors import InputError

if TYPE_CHECKING:
    from painter.losses.perceptual import Perceptual


@dataclass(frozen=True)
class Metrics:
    """Distances and similarities of two pictures.

    mse: mean squared error over sRGB in [0, 1]
    psnr: dB
    ssim: Wang et al. (2004), 11x11 window, averaged over the channels
    perceptual: distance in feature space, see `painter.losses.perceptual`; of larger pictures, at 384 px on the long side
    """

    mse: float
    psnr: float
    ssim: float
    perceptual: float


BAND = 256  # rows that SSIM looks at together: its memory is that of one band
PERCEPTUAL_SIDE = 384  # pixels; the features of 1,024 px take 1.3 GiB
LPIPS_SIDE = 64  # pixels of the short side that AlexNet needs


@torch.no_grad()
def compute_metrics(painting: Tensor, target: Tensor, perceptual: Perceptual) -> Metrics:
    """Compare a painting with its target, both `(3, H, W)`, sRGB in [0, 1]; in bounded memory beside the two."""
    mse = (painting - target).square().mean().item()
    psnr = -10 * math.log10(mse) if mse > 0 else math.inf
    small, wanted = _reduced(painting), _reduced(target)
    return Metrics(mse, psnr, _ssim(painting, target), perceptual(small[None], wanted[None]).item())


def _ssim(a: Tensor, b: Tensor) -> float:
    """The mean over all pixels and channels, band by band; each band sees its neighbours' rows that its windows reach."""
    from kornia.metrics import ssim  # here, because it takes long to import

    height, width = a.shape[1:]
    window = min(11, *(side - 1 + side % 2 for side in (height, width)))  # odd, and not larger than the picture
    total = 0.0
    for top in range(0, height, BAND):
        bottom = min(top + BAND, height)
        if height - bottom < window:  # a last band would be smaller than a window
            bottom = height
        first, last = max(0, top - window), min(height, bottom + window)
        values = ssim(a[None, :, first:last], b[None, :, first:last], window)
        total += values[:, :, top - first : bottom - first].double().sum().item()
        if bottom == height:
            break
    return total / a.numel()


def _reduced(picture: Tensor) -> Tensor:
    """At most `PERCEPTUAL_SIDE` pixels on the long side, by area averaging."""
    height, width = picture.shape[1:]
    scale = PERCEPTUAL_SIDE / max(height, width)
    if scale >= 1:
        return picture
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    return torch.nn.functional.interpolate(picture[None], size, mode="area")[0]


def load_lpips() -> Module | None:
    """LPIPS with AlexNet (Zhang et al. 2018, version 0.1) from the package `lpips`; None where it is not installed.

    Raises `InputError` when the weights of AlexNet, which torchvision downloads on first use, cannot be had.
    """
    if importlib.util.find_spec("lpips") is None:
        return None
    import lpips  # here, because it is optional and imports torchvision

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the package uses names that torchvision has deprecated
            network: Module = lpips.LPIPS(net="alex", verbose=False)
    except OSError as error:
        raise InputError(f"the weights of AlexNet cannot be downloaded ({error}).") from error
    return network.eval().requires_grad_(False)


@torch.no_grad()
def lpips_distance(network: Module, painting: Tensor, target: Tensor) -> float:
    """Distance of two pictures `(3, H, W)` in [0, 1]; of larger pictures, at 384 px, as the perceptual distance."""
    pair = torch.stack((_reduced(painting), _reduced(target)))
    if min(pair.shape[2:]) < LPIPS_SIDE:
        scale = LPIPS_SIDE / min(pair.shape[2:])
        pair = torch.nn.functional.interpolate(pair, [round(side * scale) for side in pair.shape[2:]], mode="bilinear")
    return float(network(*(2 * pair - 1).split(1)).item())
