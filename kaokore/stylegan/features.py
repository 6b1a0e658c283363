"""What KID and FID compare pictures by: pooled features of a network that knows pictures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

from kaokore.classify.efficientnet_lite import EfficientNetLite0
from kaokore.classify.networks import build, imagenet_weights
from painter.losses.perceptual import Features

Source = Literal["lite0", "hed", "inception"]


def load_features(source: Source, device: torch.device | str = "cpu") -> Callable[[Tensor], Tensor]:
    """A function from pictures (N, 3, H, W), sRGB in [0, 1], to features (N, F) on the CPU.

    "lite0": EfficientNet-Lite0 (ImageNet), the last layer before the classes, averaged over 4x4 places, 1,280 numbers.
    "hed": VGG16 (ImageNet, then edges), mean of each channel of the last three blocks, 1,280 numbers.
    "inception": torchvision's Inception-v3, the layer before the classes, 2,048 numbers; not the weights of the
    published FID, so that figures are near to but not those of publications. The first two are installed with this
    project; the last is downloaded. Raises `InputError` when weights cannot be had.
    """
    if source == "hed":
        vgg = Features("hed", (15, 22, 29)).to(device)
        return _batched(lambda x: torch.cat([tap.mean((2, 3)) for tap in vgg(x)], 1), 128, device)
    name = "efficientnet_lite0" if source == "lite0" else "inception_v3"
    network = build(name, 1000)
    weights = imagenet_weights(name)
    network.load_state_dict({key: value for key, value in weights.items() if not key.startswith("AuxLogits")})
    network.eval().requires_grad_(False).to(device).to(memory_format=torch.channels_last)
    if isinstance(network, EfficientNetLite0):
        features = network.features
        return _batched(lambda x: features((x * 255 - 127) / 128).mean((2, 3)), 128, device)
    network.fc = nn.Identity()
    return _batched(lambda x: network(x * 2 - 1), 299, device)


def _batched(function: Callable[[Tensor], Tensor], side: int, device: torch.device | str) -> Callable[[Tensor], Tensor]:
    @torch.no_grad()
    def all_of(pictures: Tensor) -> Tensor:
        parts = []
        for part in tqdm(pictures.split(32), desc="features", leave=False):
            part = F.interpolate(part.to(device), (side, side), mode="bilinear", antialias=True, align_corners=False)
            parts.append(function(part.clamp(0, 1).contiguous(memory_format=torch.channels_last)).float().cpu())
        return torch.cat(parts)

    return all_of
