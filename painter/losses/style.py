"""Style from a reference picture: losses on the canvas that draw its textures and colours towards another picture's.

Intrinsic style transfer needs none of this (the style is the brush); it is a further option on top. What looks at
strokes instead of the canvas is in `painter.losses.guidance`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from painter.losses.perceptual import Features, Source, find_layers
from painter.losses.pixels import Loss
from renderer.errors import InputError

Measure = Literal["gram", "nearest"]


@dataclass(frozen=True)
class StyleConfig:
    """How the canvas is held against the style picture. Raises `InputError` for what cannot be meant."""

    measure: Measure = "nearest"
    """gram: correlations of features (Gatys et al. 2016); nearest: each place looks like some place of the style
    picture (Kolkin et al. 2022)."""
    source: Source = "hed"
    """The network: hed (VGG16, installed), imagenet (VGG16) or vgg19, which are downloaded."""
    layers: tuple[str, ...] = ("relu2_2", "relu3_3", "relu4_1")
    """Its layers by name."""

    def __post_init__(self) -> None:
        find_layers(self.layers, self.source)
        if not self.layers:
            raise InputError("A style loss needs one layer at least, such as relu3_3.")
        if self.measure not in get_args(Measure):
            raise InputError(f"There is no style loss {self.measure!r}; choose gram or nearest.")


class Style(nn.Module):
    """A `Loss` that knows its style picture (3, h, w), of any size; the target, which is the content, it leaves alone.

    0 for the style picture itself; about 1 for a canvas without any of it. What is needed of the style picture is
    computed once.
    """

    def __init__(self, picture: Tensor, config: StyleConfig = StyleConfig()) -> None:
        super().__init__()
        self.measure = config.measure
        self.features = Features(config.source, config.layers).to(picture.device)
        with torch.no_grad():
            taps = self.features(picture[None])
            self.known = [gram(tap) for tap in taps] if self.measure == "gram" else [columns(taps)]

    def forward(self, canvas: Tensor, target: Tensor) -> Tensor:
        """(B, 3, H, W) sRGB in [0, 1] twice -> (B,)."""
        taps = self.features(canvas)
        if self.measure == "nearest":
            return nearest(columns(taps), self.known[0])
        parts = []
        for tap, known in zip(taps, self.known, strict=True):
            parts.append((gram(tap) - known).square().sum((1, 2)) / (known.square().sum() + 1e-12))
        return torch.stack(parts).mean(0)


def style_loss(picture: Tensor, config: StyleConfig = StyleConfig()) -> Loss:
    """The `Loss` that draws a canvas to the style of `picture` (3, h, w), on whose device it works; see `Style`."""
    return Style(picture, config)


def gram(features: Tensor) -> Tensor:
    """(B, C, h, w) -> (B, C, C): products of channels, averaged over places (Gatys et al. 2016, eq. 3). Where things are
    does not matter."""
    flat = features.flatten(2)
    return flat @ flat.mT / flat.shape[2]


def columns(taps: list[Tensor]) -> Tensor:
    """Hypercolumns (B, C, n): at each of n places, the features of all layers, each layer with the same weight.

    All are averaged on the grid of the coarsest (of relu4 an eighth of the picture's side), so that places stay few.
    """
    size = (taps[-1].shape[-2], taps[-1].shape[-1])
    scaled = []
    for tap in taps:
        fitted = F.adaptive_avg_pool2d(tap, size)
        strength = fitted.detach().square().sum(1).mean((1, 2)).sqrt() + 1e-8
        scaled.append(fitted / strength[:, None, None, None])
    return torch.cat(scaled, 1).flatten(2)


def nearest(ours: Tensor, theirs: Tensor) -> Tensor:
    """Mean cosine distance of each of our hypercolumns (B, C, n) to the nearest of theirs (1, C, m): (B,) in [0, 2].

    Both are centred by their own mean first (Kolkin et al. 2022, section 3.2), so that it is contrasts that match.
    """
    ours, theirs = (F.normalize(x - x.mean(2, keepdim=True), dim=1) for x in (ours, theirs))
    return (1 - (ours.mT @ theirs).amax(2)).mean(1)


def match_colours(picture: Tensor, style: Tensor) -> Tensor:
    """`picture` (3, H, W) with the mean and the covariance of colour of `style` (3, h, w), as far as [0, 1] has room.

    The Monge-Kantorovich map (Pitié and Kokaram 2007): of all linear ones, the one that changes colours least.
    """
    pixels, theirs = picture.flatten(1).double(), style.flatten(1).double()
    a, b = (_covariance(x) for x in (pixels, theirs))
    root = _power(a, 0.5)
    inverse = _power(a, -0.5)
    turn = inverse @ _power(root @ b @ root, 0.5) @ inverse
    matched = turn @ (pixels - pixels.mean(1, keepdim=True)) + theirs.mean(1, keepdim=True)
    return matched.clamp(0, 1).view_as(picture).to(picture)


def _covariance(pixels: Tensor) -> Tensor:
    """(3, n) -> (3, 3); a little is added, so that a picture of one grey has one, too."""
    centred = pixels - pixels.mean(1, keepdim=True)
    return centred @ centred.T / pixels.shape[1] + 1e-5 * torch.eye(3, dtype=pixels.dtype, device=pixels.device)


def _power(matrix: Tensor, exponent: float) -> Tensor:
    values, vectors = torch.linalg.eigh(matrix)
    return vectors @ (values.clamp(min=1e-12) ** exponent).diag() @ vectors.T
