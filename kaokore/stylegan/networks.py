"""StyleGAN2's generator, mapping and synthesis, conditional on the class of a face.

Karras et al. (2020), "Analyzing and Improving the Image Quality of StyleGAN": the skip generator of figure 7. Classes
enter as in Karras et al. (2020b), "Training Generative Adversarial Networks with Limited Data": embedded beside z.

Pictures are sRGB in [-1, 1] here. A class is an integer, gender * 4 + status; see
`kaokore.stylegan.data.class_of`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kaokore import GENDERS, STATUSES
from kaokore.stylegan.layers import Linear, ModulatedConv, activate, upsample

CLASSES = len(GENDERS) * len(STATUSES)


@dataclass(frozen=True)
class NetworkConfig:
    """Sizes of both networks."""

    size: int = 64
    """Pixels of a face's side: a power of two, from 8 on."""
    channels: int = 1024
    """Channels at each resolution are this over the resolution, ..."""
    most_channels: int = 256
    """... but never more than this."""
    latent: int = 128
    """Numbers of z and of w."""
    mapping: int = 4
    """Layers of the mapping network."""
    conditional: bool = True
    """Whether gender and status say what is dreamt."""
    noise: bool = True
    """Whether noise makes detail; Karras et al. (2021, StyleGAN3) do without."""

    def resolutions(self) -> list[int]:
        """4, 8, ... size."""
        return [2**k for k in range(2, self.size.bit_length())]

    def width(self, resolution: int) -> int:
        """Channels at a resolution."""
        return max(1, min(self.channels // resolution, self.most_channels))

    @property
    def styles(self) -> int:
        """Layers that a style speaks to: each resolution's convolutions, and the last picture."""
        return 2 * len(self.resolutions())


def describe(classes: Tensor) -> Tensor:
    """(B,) int64 -> (B, 6): gender and status, one-hot each. Rare pairs share what is known of both."""
    genders = F.one_hot(classes // len(STATUSES), len(GENDERS))
    return torch.cat((genders, F.one_hot(classes % len(STATUSES), len(STATUSES))), 1).float()


class Mapping(nn.Module):
    """z (B, D) from N(0, 1) and classes (B,) -> w (B, D)."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        D = config.latent
        self.embed = Linear(len(GENDERS) + len(STATUSES), D) if config.conditional else None
        first = 2 * D if config.conditional else D
        # Karras et al. (2019): the mapping network learns a hundred times slower.
        self.layers = nn.ModuleList(Linear(first if i == 0 else D, D, rate=0.01) for i in range(config.mapping))

    def forward(self, z: Tensor, classes: Tensor) -> Tensor:
        """See the class; classes are not looked at by an unconditional network."""
        x = normalise(z)
        if self.embed is not None:
            x = torch.cat((x, normalise(self.embed(describe(classes).to(x)))), 1)
        for layer in self.layers:
            x = activate(layer(x))
        return x


class StyledConv(nn.Module):
    """Modulated 3x3 convolution, noise, bias and rectifier: (B, C, H, W), w (B, D), noise (B, 1, H, W) or None."""

    def __init__(self, before: int, after: int, style: int, up: bool = False) -> None:
        super().__init__()
        self.conv = ModulatedConv(before, after, 3, style, up=up)
        self.bias = nn.Parameter(torch.zeros(after))
        self.strength = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor, w: Tensor, noise: Tensor | None) -> Tensor:
        """See the class."""
        x = self.conv(x, w)
        if noise is not None:
            x = x + noise * self.strength
        return activate(x + self.bias[:, None, None])


class ToRGB(nn.Module):
    """Features (B, C, H, W) and w (B, D) -> a picture (B, 3, H, W) to add to that of the resolution below."""

    def __init__(self, channels: int, style: int) -> None:
        super().__init__()
        self.conv = ModulatedConv(channels, 3, 1, style, demodulate=False)
        self.bias = nn.Parameter(torch.zeros(3))

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """See the class."""
        return self.conv(x, w) + self.bias[:, None, None]


class Generator(nn.Module):
    """Dreams faces: `generator(generator.mapping(z, classes))` is (B, 3, S, S), sRGB around [-1, 1].

    `means` (CLASSES, D) is the mean w of each class (all rows alike when unconditional), see `set_means`: what
    truncation draws towards.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        D, width, resolutions = config.latent, config.width, config.resolutions()
        self.mapping = Mapping(config)
        self.constant = nn.Parameter(torch.randn(1, width(4), 4, 4))
        convs, rgbs = [StyledConv(width(4), width(4), D)], [ToRGB(width(4), D)]
        for r in resolutions[1:]:
            convs += [StyledConv(width(r // 2), width(r), D, up=True), StyledConv(width(r), width(r), D)]
            rgbs.append(ToRGB(width(r), D))
        self.convs, self.rgbs = nn.ModuleList(convs), nn.ModuleList(rgbs)
        self.register_buffer("means", torch.zeros(CLASSES, D))
        self.means: Tensor

    def forward(self, w: Tensor, noise: Sequence[Tensor] | None = None) -> Tensor:
        """Styles (B, D), or one for each layer (B, L, D), L = `config.styles`; noise as `draw_noise` gives it, or none."""
        if w.ndim == 2:
            w = w[:, None].expand(-1, self.config.styles, -1)
        x = self.constant.expand(len(w), -1, -1, -1).contiguous(memory_format=torch.channels_last)
        picture: Tensor | None = None
        for i, conv in enumerate(self.convs):
            x = conv(x, w[:, i], noise[i] if noise is not None and self.config.noise else None)
            if i % 2 == 0:  # the last convolution of a resolution
                part = self.rgbs[i // 2](x, w[:, i + 1])
                picture = part if picture is None else upsample(picture) + part
        assert picture is not None
        return picture

    def draw_noise(self, n: int, draws: torch.Generator) -> list[Tensor]:
        """(n, 1, H, W) from N(0, 1) for each convolution, drawn on the generator's device."""
        device = self.constant.device
        sides = [4, *(r for r in self.config.resolutions()[1:] for _ in range(2))]
        return [torch.randn(n, 1, r, r, generator=draws).to(device) for r in sides]

    def draw_latent(self, n: int, draws: torch.Generator) -> Tensor:
        """z (n, D) from N(0, 1)."""
        return torch.randn(n, self.config.latent, generator=draws).to(self.constant.device)

    def truncate(self, w: Tensor, classes: Tensor, psi: float) -> Tensor:
        """Styles (B, D) drawn towards the mean of their class: 1 leaves them, 0 is the mean (Karras et al. 2019, 4.1)."""
        return torch.lerp(self.means[classes], w, psi)

    @torch.no_grad()
    def set_means(self, n: int = 2048) -> None:
        """Measures `means` with n draws of z, the same ones for each class and at each call.

        The authors average w while training; to measure it costs nothing and is exact for these weights.
        """
        z = self.draw_latent(n, torch.Generator().manual_seed(0))
        for k in range(CLASSES):
            self.means[k] = self.mapping(z, torch.full((n,), k, device=z.device)).mean(0)


def normalise(x: Tensor) -> Tensor:
    """Rows of mean square 1."""
    return x * torch.rsqrt(x.square().mean(1, keepdim=True) + 1e-8)
