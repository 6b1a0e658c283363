"""Pooled features of pretrained networks, which KID and FID compare images by."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kaokore.classify.efficientnet_lite import EfficientNetLite0
from kaokore.classify.networks import build, imagenet_weights
from kaokore.loading import Track, untracked

Features = Callable[[Tensor], Tensor]
"""Images (N, 3, H, W), sRGB in [0, 1] -> features (N, F)."""


def load_features(
    source: Literal["lite0", "inception"], device: torch.device | str = "cpu", track: Track = untracked
) -> Features:
    """Load a pretrained network as a function from images to features on the CPU.

    "lite0": EfficientNet-Lite0 (ImageNet), the last layer before the classes, averaged over 4x4 places, 1,280 numbers;
    its weights are installed with this project. "inception": torchvision's Inception-v3, the layer before the classes,
    2,048 numbers, downloaded; these are not the weights of the published FID, so that results are near to published
    ones but not comparable with them.

    Raises:
        InputError: The weights are not installed or cannot be downloaded.
    """
    name = "efficientnet_lite0" if source == "lite0" else "inception_v3"
    network = build(name, 1000)
    weights = imagenet_weights(name)
    network.load_state_dict({key: value for key, value in weights.items() if not key.startswith("AuxLogits")})
    network.eval().requires_grad_(False).to(device).to(memory_format=torch.channels_last)
    if isinstance(network, EfficientNetLite0):
        lite = network.features
        return batched(lambda x: lite((x * 255 - 127) / 128).mean((2, 3)), 128, device, track=track)
    network.fc = nn.Identity()
    return batched(lambda x: network(x * 2 - 1), 299, device, track=track)


def batched(
    function: Features, side: int, device: torch.device | str = "cpu", *, batch: int = 32, track: Track = untracked
) -> Features:
    """Wrap a function so that it is applied to any number of images, without gradients.

    Args:
        function: Images (B, 3, side, side) in [0, 1] -> features (B, F).
        side: Pixels that images are resized to.
        device: Where `function` works.
        batch: Images at once.
        track: Wraps the list of batches, for example in a progress bar.
    """

    @torch.no_grad()
    def features(images: Tensor) -> Tensor:
        parts = []
        for part in track(images.split(batch)):
            part = F.interpolate(part.to(device), (side, side), mode="bilinear", antialias=True, align_corners=False)
            parts.append(function(part.clamp(0, 1).contiguous(memory_format=torch.channels_last)).float().cpu())
        return torch.cat(parts)

    return features
