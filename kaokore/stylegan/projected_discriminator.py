"""A projected discriminator: a second discriminator on the features of a pretrained network.

Sauer et al. (2021), "Projected GANs Converge Faster": images are projected to features of four depths of a frozen
network, which are mixed over channels (1x1 convolutions) and over scales (3x3, from the deepest upwards) with fixed
random weights, so that no depth can be ignored; each of the four has a small discriminator. As in Kumari et al. (2022),
"Ensembling Off-the-shelf Models for GAN Training", it is used together with StyleGAN2's own, which also sees colours and
a lack of variety.

The frozen network is EfficientNet-Lite0 with ImageNet weights (Sauer et al.: Lite1), which is installed with this project.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.nn.utils.parametrizations import spectral_norm

from kaokore.classify.efficientnet_lite import EfficientNetLite0, imagenet_weights
from kaokore.stylegan.discriminator import group_deviation
from kaokore.stylegan.layers import Linear, upsample
from kaokore.stylegan.networks import NetworkConfig, encode, normalise
from kaokore.versions import GENDERS, STATUSES

ENDS = (4, 6, 12, 17)  # parts of Lite0 after which features have 1/4, 1/8, 1/16 and 1/32 of the image's side
CHANNELS = (24, 40, 112, 320)  # of these features
WIDTHS = (32, 64, 128, 256)  # channels after mixing
DEVIATIONS = (10.0, 8.0, 6.0, 4.0)  # typical standard deviations of mixed features of faces, which they are divided by
MIN_VIEW, MIN_MAP = 64, 4  # pixels: smaller images are enlarged; larger feature maps are halved


class Projected(nn.Module):
    """Images (B, 3, S, S) in [-1, 1] and classes (B,) -> logits (B, K) at K positions, positive for real images.

    Raises:
        InputError: Lite0's weights are not installed.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.view = max(MIN_VIEW, config.size)
        self.project = Projection()
        self.judges = nn.ModuleList(
            FeatureDiscriminator(width, self.view // 4 >> i, config.latent, config.conditional)
            for i, width in enumerate(WIDTHS)
        )

    def features(self, images: Tensor) -> list[Tensor]:
        """Compute the mixed features of each depth, the finest first: (B, WIDTHS[i], view / 4 / 2**i, the same)."""
        if images.shape[-1] < self.view:
            images = F.interpolate(images, (self.view, self.view), mode="bilinear", align_corners=False)
        return self.project(images.contiguous(memory_format=torch.channels_last))

    def logits(self, features: list[Tensor], classes: Tensor) -> Tensor:
        """Compute logits (B, K) of mixed features."""
        return torch.cat([judge(x, classes) for judge, x in zip(self.judges, features, strict=True)], 1)

    def forward(self, images: Tensor, classes: Tensor) -> Tensor:
        """See the class."""
        return self.logits(self.features(images), classes)


class Projection(nn.Module):
    """The frozen network and the frozen random mixing (sections 3.1 and 3.2): images -> four feature maps."""

    def __init__(self) -> None:
        super().__init__()
        lite = EfficientNetLite0(1000)
        lite.load_state_dict(imagenet_weights())
        parts, begins = list(_folded(lite.features.eval()).children()), (0, *ENDS[:-1])
        self.depths = nn.ModuleList(nn.Sequential(*parts[a:b]) for a, b in zip(begins, ENDS, strict=True))
        self.across = nn.ModuleList(nn.Conv2d(c, w, 1) for c, w in zip(CHANNELS, WIDTHS, strict=True))
        self.down = nn.ModuleList(nn.Conv2d(w, b, 3, padding=1) for w, b in zip(WIDTHS[1:], WIDTHS[:-1], strict=True))
        for convolution in (*self.across, *self.down):
            nn.init.kaiming_normal_(convolution.weight)
            nn.init.zeros_(convolution.bias)
        self.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> Projection:
        """Stay in evaluation mode, because Lite0 drops blocks at random in training mode."""
        return super().train(False)

    def forward(self, x: Tensor) -> list[Tensor]:
        """See the class: (B, 3, V, V) in [-1, 1] -> (B, WIDTHS[i], V / 4 / 2**i, the same)."""
        x = (x * 127.5 + 0.5) / 128  # the normalisation of Lite0's training
        maps = []
        for depth, across in zip(self.depths, self.across, strict=True):
            x = depth(x)
            maps.append(across(x))
        for i in reversed(range(len(maps) - 1)):
            maps[i] = (maps[i] + self.down[i](upsample(maps[i + 1]))) / math.sqrt(2)
        return [mixed / deviation for mixed, deviation in zip(maps, DEVIATIONS, strict=True)]


class FeatureDiscriminator(nn.Module):
    """(B, width, side, side) and classes (B,) -> logits (B, positions): halves to 4x4; convolutions have norm 1."""

    def __init__(self, width: int, side: int, latent: int, conditional: bool) -> None:
        super().__init__()
        parts: list[nn.Module] = []
        while side > MIN_MAP:
            wider = min(2 * width, WIDTHS[-1])
            parts += [_conv(width, wider, 4, 2), nn.BatchNorm2d(wider), nn.LeakyReLU(0.2)]
            width, side = wider, side // 2
        self.body = nn.Sequential(*parts)
        self.last = nn.Sequential(_conv(width + 1, width, 3, 1), nn.LeakyReLU(0.2))
        outputs = latent if conditional else 1
        self.out = _conv(width, outputs, 1, 1)
        self.embed = Linear(len(GENDERS) + len(STATUSES), outputs) if conditional else None

    def forward(self, x: Tensor, classes: Tensor) -> Tensor:
        """See the class."""
        x = self.body(x)
        x = self.out(self.last(torch.cat((x, group_deviation(x)), 1)))
        if self.embed is not None:  # projection (Miyato and Koyama 2018), at each position
            wanted = normalise(self.embed(encode(classes).to(x)))
            x = (x * wanted[:, :, None, None]).sum(1) / math.sqrt(x.shape[1])
        return x.flatten(1)


def _conv(before: int, after: int, kernel: int, stride: int) -> nn.Module:
    return spectral_norm(nn.Conv2d(before, after, kernel, stride, (kernel - 1) // 2, bias=False))


def _folded(network: nn.Module) -> nn.Module:
    """Fold each normalisation of a network in evaluation mode into the convolution before it, in place."""
    for (name, child), (following, other) in pairwise(list(network.named_children())):
        if isinstance(child, nn.Conv2d) and isinstance(other, nn.BatchNorm2d):
            setattr(network, name, fuse_conv_bn_eval(child, other))
            setattr(network, following, nn.Identity())
    for child in network.children():
        _folded(child)
    return network
