"""StyleGAN2's discriminator, conditional on the class of a face.

Karras et al. (2020), "Analyzing and Improving the Image Quality of StyleGAN": the residual discriminator of figure 7.
Classes enter by projection (Miyato and Koyama 2018), as in Karras et al. (2020b).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from kaokore import GENDERS, STATUSES
from kaokore.stylegan.layers import GAIN, Conv, Linear, activate, downsample
from kaokore.stylegan.networks import NetworkConfig, describe, normalise

GROUP, SPREAD = 4, 1e-8  # pictures that are compared with one another; least variance


class Discriminator(nn.Module):
    """Pictures (B, 3, S, S) and classes (B,) -> logits (B,), positive for what seems real."""

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

    def forward(self, pictures: Tensor, classes: Tensor) -> Tensor:
        """See the class."""
        x = activate(self.from_rgb(pictures.contiguous(memory_format=torch.channels_last)))
        for block in self.blocks:
            x = block(x)
        x = activate(self.last(torch.cat((x, spread(x)), 1)))
        x = self.out(activate(self.flat(x.flatten(1))))
        if self.embed is None:
            return x[:, 0]
        return (x * normalise(self.embed(describe(classes).to(x)))).sum(1) / math.sqrt(x.shape[1])


class Residual(nn.Module):
    """Half the height and width, of two paths: (B, before, H, W) -> (B, after, H / 2, W / 2).

    Pictures are filtered and halved before the second convolution; the authors' convolution takes every other pixel of
    the filtered picture. That costs the same, and one filter serves both paths.
    """

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.first, self.second = Conv(before, before, 3), Conv(before, after, 3)
        self.skip = Conv(before, after, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        y = activate(self.second(downsample(activate(self.first(x)))))
        return (y + self.skip(downsample(x))) / GAIN


def spread(x: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, 1, H, W): mean standard deviation of features over groups of 4 neighbours.

    Karras et al. (2018), "Progressive Growing of GANs", section 3: lets the discriminator see a lack of variety.
    A batch that 4 does not divide is one group.
    """
    B, _, H, W = x.shape
    group = GROUP if B % GROUP == 0 else B
    deviation = (x.unflatten(0, (B // group, group)).var(1, unbiased=False) + SPREAD).sqrt()
    return deviation.mean((1, 2, 3)).repeat_interleave(group)[:, None, None, None].expand(B, 1, H, W)
