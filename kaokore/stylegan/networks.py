"""StyleGAN2's generator, mapping and synthesis, conditional on the class of a face.

Karras et al. (2020), "Analyzing and Improving the Image Quality of StyleGAN": the skip generator of figure 7. Classes
enter as in Karras et al. (2020b), "Training Generative Adversarial Networks with Limited Data": embedded beside z.

Images are sRGB in [-1, 1] here. A class is an integer, gender * 4 + status; see `kaokore.stylegan.data.joint_class`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kaokore.stylegan.layers import Linear, ModulatedConv, activate, upsample
from kaokore.versions import GENDERS, STATUSES
from renderer.errors import InputError

CLASSES = len(GENDERS) * len(STATUSES)


@dataclass(frozen=True)
class NetworkConfig:
    """Sizes of generator and discriminator."""

    size: int = 64
    """Pixels of an image's side: a power of two, 8 or more."""
    channels: int = 1024
    """The number of channels at a resolution is this number divided by the resolution, ..."""
    most_channels: int = 256
    """... and at most this number."""
    latent: int = 128
    """Dimensions of z and of w."""
    mapping: int = 4
    """Layers of the mapping network."""
    conditional: bool = True
    """Whether the networks are conditioned on gender and status."""
    noise: bool = True
    """Whether the generator has noise inputs; Karras et al. (2021, StyleGAN3) leave them out."""

    def __post_init__(self) -> None:
        bounds = {"size": (8, 1024), "channels": (1, 2**20), "most_channels": (1, 8192), "latent": (1, 8192)}
        for name, (least, most) in {**bounds, "mapping": (0, 64)}.items():
            if not least <= getattr(self, name) <= most:
                raise InputError(f"A StyleGAN's {name} is from {least} to {most}, not {getattr(self, name)}.")
        if self.size & (self.size - 1):
            raise InputError(f"A StyleGAN's size is a power of two, not {self.size}.")

    def resolutions(self) -> list[int]:
        """Return 4, 8, ... size."""
        return [2**k for k in range(2, self.size.bit_length())]

    def width(self, resolution: int) -> int:
        """Return the number of channels at a resolution."""
        return max(1, min(self.channels // resolution, self.most_channels))

    @property
    def styles(self) -> int:
        """The number of layers with a style: the convolutions, and the last conversion to RGB."""
        return 2 * len(self.resolutions())


def encode(classes: Tensor) -> Tensor:
    """Encode classes (B,) int64 as one-hot gender and status (B, 6), so that rare pairs share both embeddings."""
    genders = F.one_hot(classes // len(STATUSES), len(GENDERS))
    return torch.cat((genders, F.one_hot(classes % len(STATUSES), len(STATUSES))), 1).float()


class Mapping(nn.Module):
    """The mapping network: z (B, D) from N(0, 1) and classes (B,) -> w (B, D)."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        D = config.latent
        self.embed = Linear(len(GENDERS) + len(STATUSES), D) if config.conditional else None
        first = 2 * D if config.conditional else D
        # Karras et al. (2019): a learning rate that is a hundred times smaller.
        self.layers = nn.ModuleList(Linear(first if i == 0 else D, D, rate=0.01) for i in range(config.mapping))

    def forward(self, z: Tensor, classes: Tensor) -> Tensor:
        """See the class; an unconditional network ignores the classes."""
        x = normalise(z)
        if self.embed is not None:
            x = torch.cat((x, normalise(self.embed(encode(classes).to(x)))), 1)
        for layer in self.layers:
            x = activate(layer(x))
        return x


class StyledConv(nn.Module):
    """A modulated 3x3 convolution, noise, bias and rectifier: (B, C, H, W), w (B, D), noise (B, 1, H, W) or None."""

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
        return activate(x + self.bias[:, None, None].to(x.dtype))  # or half precision would end here


class ToRGB(nn.Module):
    """Features (B, C, H, W) and w (B, D) -> an image (B, 3, H, W), which is added to that of the lower resolutions."""

    def __init__(self, channels: int, style: int) -> None:
        super().__init__()
        self.conv = ModulatedConv(channels, 3, 1, style, demodulate=False)
        self.bias = nn.Parameter(torch.zeros(3))

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """See the class."""
        return self.conv(x, w) + self.bias[:, None, None]


class Generator(nn.Module):
    """Mapping and synthesis: `generator(generator.mapping(z, classes))` is (B, 3, S, S), sRGB around [-1, 1].

    `means` (CLASSES, D) is the mean w of each class (equal rows when unconditional), which truncation moves styles
    towards; see `set_means`.
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
        """Generate images of styles (B, D) or (B, L, D), L = `config.styles`; noise as in `draw_noise`, or None."""
        if w.ndim == 2:
            w = w[:, None].expand(-1, self.config.styles, -1)
        x = self.constant.expand(len(w), -1, -1, -1).contiguous(memory_format=torch.channels_last)
        image: Tensor | None = None
        for i, conv in enumerate(self.convs):
            x = conv(x, w[:, i], noise[i] if noise is not None and self.config.noise else None)
            if i % 2 == 0:  # the last convolution of a resolution
                part = self.rgbs[i // 2](x, w[:, i + 1])
                image = part if image is None else upsample(image) + part
        assert image is not None
        return image

    def draw_noise(self, n: int, draws: torch.Generator) -> list[Tensor]:
        """Draw noise (n, 1, H, W) from N(0, 1) for each convolution."""
        device = self.constant.device
        sides = [4, *(r for r in self.config.resolutions()[1:] for _ in range(2))]
        return [torch.randn(n, 1, r, r, generator=draws).to(device) for r in sides]

    def draw_latent(self, n: int, draws: torch.Generator) -> Tensor:
        """Draw z (n, D) from N(0, 1)."""
        return torch.randn(n, self.config.latent, generator=draws).to(self.constant.device)

    def truncate(self, w: Tensor, classes: Tensor, psi: float) -> Tensor:
        """Move styles (B, D) towards the mean of their class (Karras et al. 2019, 4.1): psi 1 keeps them, 0 is the mean."""
        return torch.lerp(self.means[classes], w, psi)

    @torch.no_grad()
    def set_means(self, n: int = 2048) -> None:
        """Estimate `means` from n draws of z, the same ones for each class and in each call.

        The authors average w during training; this costs little and is exact for the present weights.
        """
        z = self.draw_latent(n, torch.Generator().manual_seed(0))
        for k in range(CLASSES):
            self.means[k] = self.mapping(z, torch.full((n,), k, device=z.device)).mean(0)


def normalise(x: Tensor) -> Tensor:
    """Scale rows to mean square 1."""
    return x * torch.rsqrt(x.square().mean(1, keepdim=True) + 1e-8)
