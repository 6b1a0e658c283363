"""A projected discriminator: a second discriminator on the features of a pretrained network.

Sauer et al. (2021), "Projected GANs Converge Faster": images are projected to features of four depths of a frozen
network, which are mixed over channels (1x1 convolutions) and over scales (3x3, from the deepest upwards) with fixed
random weights, so that no depth can be ignored; each of the four has a small discriminator. A new generator also needs
StyleGAN2's own (Kumari et al. 2022, "Ensembling Off-the-shelf Models for GAN Training"), which sees colours and a lack of
variety; a trained one is refined without it.

The frozen network is EfficientNet-Lite0 with ImageNet weights (Sauer et al.: Lite1), which is installed with this project.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.nn.utils.parametrizations import spectral_norm

from kaokore.classify.efficientnet_lite import EfficientNetLite0, SameConv, imagenet_weights
from kaokore.stylegan.discriminator import group_deviation
from kaokore.stylegan.layers import Linear
from kaokore.stylegan.networks import CLASSES, NetworkConfig, encode, normalise
from kaokore.versions import GENDERS, STATUSES

ENDS = (4, 6, 12, 17)  # parts of Lite0 after which features have 1/4, 1/8, 1/16 and 1/32 of the image's side
CHANNELS = (24, 40, 112, 320)  # of these features
WIDTHS = (32, 64, 128, 256)  # channels after mixing
DEVIATIONS = (10.0, 8.0, 6.0, 4.0)  # typical standard deviations of mixed features of faces, which they are divided by
SHARPNESS = 3.0  # of the softmax over classes: the relativistic loss keeps logits within a few units
MAX_MAP, WIDEST = (
    8,
    128,
)  # pixels and channels of a feature map that is judged: larger ones are halved, wider ones mixed


class Projected(nn.Module):
    """Images (B, 3, S, S) in [-1, 1] and classes (B,) -> logits (B, K) of each depth, positive for real images.

    Args:
        config: Sizes of the generator.
        view: Pixels that smaller images are enlarged to. The strides of Lite0 are 4 to 32 of these pixels: more show it
            finer detail and take longer.

    Raises:
        InputError: Lite0's weights are not installed.
    """

    def __init__(self, config: NetworkConfig, view: int = 64) -> None:
        super().__init__()
        self.view = max(view, config.size)
        self.project = Projection()
        self.judges = nn.ModuleList(
            FeatureDiscriminator(width, math.ceil(self.view / 4 / 2**i), config.latent, config.conditional)
            for i, width in enumerate(WIDTHS)
        )

    def features(self, images: Tensor) -> list[Tensor]:
        """Compute the mixed features of each depth, the finest first: (B, WIDTHS[i], view / 4 / 2**i, the same)."""
        if images.shape[-1] < self.view:
            images = F.interpolate(images, (self.view, self.view), mode="bilinear", align_corners=False)
        return self.project(images.contiguous(memory_format=torch.channels_last))

    def logits(self, features: list[Tensor]) -> list[Tensor]:
        """Compute logits (B, CLASSES, K), for each class, at the K positions of each depth's mixed features.

        (B, 1, K) when unconditional. See `of_classes`.
        """
        return [judge(x) for judge, x in zip(self.judges, features, strict=True)]

    def forward(self, images: Tensor, classes: Tensor) -> list[Tensor]:
        """See the class."""
        return of_classes(self.logits(self.features(images)), classes)


def of_classes(logits: list[Tensor], classes: Tensor) -> list[Tensor]:
    """Select from each depth's logits (B, CLASSES or 1, K) those of the images' own classes (B,): (B, K)."""
    return [x[torch.arange(len(x), device=x.device), classes if x.shape[1] > 1 else 0] for x in logits]


def classification_loss(logits: list[Tensor], classes: Tensor) -> Tensor:
    """Compute the cross-entropy of the classes (B,) by each depth's logits (B, CLASSES, K), averaged over depths: ().

    Makes the logits of an image's own class higher than those of the others (Odena et al. 2017, "Conditional Image
    Synthesis with Auxiliary Classifier GANs", but by the discriminator's own logits).
    """
    return torch.stack([F.cross_entropy(SHARPNESS * x.mean(2), classes) for x in logits]).mean()


class Projection(nn.Module):
    """The frozen network and the frozen random mixing (sections 3.1 and 3.2): images -> four feature maps."""

    def __init__(self) -> None:
        super().__init__()
        lite = EfficientNetLite0(1000)
        lite.load_state_dict(imagenet_weights())
        parts, begins = list(_frozen(lite.features.eval()).children()), (0, *ENDS[:-1])
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
            coarse = F.interpolate(maps[i + 1], maps[i].shape[2:], mode="bilinear", align_corners=False)
            maps[i] = (maps[i] + self.down[i](coarse)) / math.sqrt(2)
        return [mixed / deviation for mixed, deviation in zip(maps, DEVIATIONS, strict=True)]


class FeatureDiscriminator(nn.Module):
    """(B, width, side, side) -> logits (B, CLASSES or 1, positions): halves to 8x8; convolutions have norm 1."""

    def __init__(self, width: int, side: int, latent: int, conditional: bool) -> None:
        super().__init__()
        parts: list[nn.Module] = []
        if width > WIDEST:
            parts, width = [_conv(width, WIDEST, 1, 1), nn.LeakyReLU(0.2)], WIDEST
        if side <= MAX_MAP:
            parts += [_conv(width, WIDEST, 3, 1), nn.BatchNorm2d(WIDEST), nn.LeakyReLU(0.2)]
            width = WIDEST
        while side > MAX_MAP:
            wider = min(2 * width, WIDEST)
            parts += [_conv(width, wider, 4, 2), nn.BatchNorm2d(wider), nn.LeakyReLU(0.2)]
            width, side = wider, side // 2
        self.body = nn.Sequential(*parts)
        self.variety = nn.Parameter(torch.zeros(width, 1, 1))
        self.last = nn.Sequential(_conv(width, WIDEST, 3, 1), nn.LeakyReLU(0.2))
        outputs = latent if conditional else 1
        self.out = _conv(WIDEST, outputs, 1, 1)
        self.embed = Linear(len(GENDERS) + len(STATUSES), outputs) if conditional else None

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        x = self.body(x)
        # Added, not concatenated: a channel more than a multiple of 16 costs a quarter of the training's time.
        x = x + (self.variety * group_deviation(x.float())).to(x.dtype)
        x = self.out(self.last(x)).float().flatten(2)
        if self.embed is not None:  # projection (Miyato and Koyama 2018), at each position
            every = encode(torch.arange(CLASSES, device=x.device))
            x = normalise(self.embed(every).float()) @ x / math.sqrt(x.shape[1])
        return x


class FrozenDepthwise(nn.Module):
    """A convolution of each channel with constant weights: (B, C, H, W) -> (B, C, H', W')."""

    def __init__(self, convolution: SameConv) -> None:
        super().__init__()
        self.convolution = convolution

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        convolution = self.convolution
        x = convolution.pad(x)
        if x.is_cuda:
            return F.conv2d(x, convolution.weight, convolution.bias, convolution.stride, groups=x.shape[1])
        return _Depthwise.apply(x, convolution.weight, convolution.bias, convolution.stride[0])


class _Depthwise(torch.autograd.Function):
    """Its gradient in the input as a convolution: on a CPU, PyTorch's own is several times slower in half precision."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, stride: int) -> Tensor:
        ctx.save_for_backward(weight)
        ctx.stride, ctx.shape = stride, x.shape
        return F.conv2d(x, weight, bias, stride, groups=len(weight))

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor, None, None, None]:
        (weight,), (slope,) = ctx.saved_tensors, slopes
        side = weight.shape[-1]
        B, C, H, W = ctx.shape
        spread = slope
        if ctx.stride > 1:  # zeros between the values
            spread = slope.new_zeros(B, C, H - side + 1, W - side + 1).contiguous(memory_format=torch.channels_last)
            spread[:, :, :: ctx.stride, :: ctx.stride] = slope
        turned = weight.flip(2, 3).to(slope.dtype)
        return F.conv2d(spread, turned, padding=side - 1, groups=C), None, None, None


def _conv(before: int, after: int, kernel: int, stride: int) -> nn.Module:
    return spectral_norm(nn.Conv2d(before, after, kernel, stride, (kernel - 1) // 2, bias=False))


def _frozen(network: nn.Module) -> nn.Module:
    """Fold each normalisation of a network in evaluation mode into the convolution before it, in place."""
    for (name, child), (following, other) in pairwise(list(network.named_children())):
        if isinstance(child, nn.Conv2d) and isinstance(other, nn.BatchNorm2d):
            folded = fuse_conv_bn_eval(child, other)
            setattr(
                network, name, FrozenDepthwise(folded) if isinstance(folded, SameConv) and folded.groups > 1 else folded
            )
            setattr(network, following, nn.Identity())
    for child in network.children():
        if not isinstance(child, FrozenDepthwise):
            _frozen(child)
    return network
