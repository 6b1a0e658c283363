"""StyleGAN2's discriminator, conditional on the class of a face.

Karras et al. (2020), "Analyzing and Improving the Image Quality of StyleGAN": the residual discriminator of figure 7.
Classes enter by projection (Miyato and Koyama 2018), as in Karras et al. (2020b).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from kaokore.stylegan.layers import GAIN, Conv, Linear, activate, downsample
from kaokore.stylegan.networks import NetworkConfig, encode, normalise
from kaokore.versions import GENDERS, STATUSES

GROUP, EPSILON = 4, 1e-8  # images that are compared with one another; added to their variance


class Discriminator(nn.Module):
    """Images (B, 3, S, S) and classes (B,) -> logits (B,), positive for real images."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        width, top = config.width, config.width(4)
        self.from_rgb = Conv(3, width(config.size), 1)
        self.blocks = nn.ModuleList(Residual(width(r), width(r // 2)) for r in reversed(config.resolutions()[1:]))
        self.last = Conv(top + 1, top, 3)
        self.flat = Linear(top * 16, top)
        outputs = config.latent if config.conditional else 1
        self.out = Linear(top, outputs)
        self.embed = Linear(len(GENDERS) + len(STATUSES), outputs) if config.conditional else None

    def forward(self, images: Tensor, classes: Tensor) -> Tensor:
        """See the class."""
        x = activate(self.from_rgb(images.contiguous(memory_format=torch.channels_last)))
        for block in self.blocks:
            x = block(x)
        x = activate(self.last(torch.cat((x, group_deviation(x)), 1)))
        x = self.out(activate(self.flat(x.flatten(1))))
        if self.embed is None:
            return x[:, 0]
        return (x * normalise(self.embed(encode(classes).to(x)))).sum(1) / math.sqrt(x.shape[1])


class Residual(nn.Module):
    """A residual block that halves height and width: (B, before, H, W) -> (B, after, H / 2, W / 2).

    Features are filtered and halved before the second convolution; the authors' convolution takes every other pixel of
    the filtered features. That costs the same, and one filter serves both paths.
    """

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.first, self.second = Conv(before, before, 3), Conv(before, after, 3)
        self.skip = Conv(before, after, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        y = activate(self.second(downsample(activate(self.first(x)))))
        return (y + self.skip(downsample(x))) / GAIN


def group_deviation(x: Tensor) -> Tensor:
    """Compute the mean standard deviation of features over groups of 4 neighbours: (B, C, H, W) -> (B, 1, H, W).

    Karras et al. (2018), "Progressive Growing of GANs", section 3: shows the discriminator a lack of variety. A batch
    that is not a multiple of 4 is one group.
    """
    B, _, H, W = x.shape
    group = GROUP if B % GROUP == 0 else B
    grouped = x.unflatten(0, (B // group, group))
    variance = (grouped - grouped.mean(1, keepdim=True)).square().mean(1)  # `var` takes five times as long on a CPU
    deviation = (variance + EPSILON).sqrt()
    return deviation.mean((1, 2, 3)).repeat_interleave(group)[:, None, None, None].expand(B, 1, H, W)
