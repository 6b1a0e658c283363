"""Style loss: textures and colours of a reference picture.

Intrinsic style transfer needs no style loss (the style is the brush's); this is an option in addition. Penalties on
strokes instead of the canvas are in `painter.losses.guidance`.
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
    """How the canvas is compared with the style picture. Raises `InputError` for invalid values."""

    measure: Measure = "nearest"
    """gram: correlations of features (Gatys et al. 2016); nearest: distance of each position's features to the nearest ones
    of the style picture (Kolkin et al. 2022)."""
    source: Source = "hed"
    """The network: hed (VGG16, installed), imagenet (VGG16) or vgg19 (both downloaded)."""
    layers: tuple[str, ...] = ("relu2_2", "relu3_3", "relu4_1")
    """Layers of the network by name."""

    def __post_init__(self) -> None:
        find_layers(self.layers, self.source)
        if not self.layers:
            raise InputError("A style loss needs one layer at least, such as relu3_3.")
        if self.measure not in get_args(Measure):
            raise InputError(f"Unknown style loss {self.measure!r}; choose gram or nearest.")


class Style(nn.Module):
    """Style loss: 0 for the style picture itself, about 1 for an unrelated canvas. The target is ignored.

    Args:
        picture: `(3, h, w)`, sRGB in [0, 1], the style picture, of any size; its features are computed once.
        config: Measure, network and layers.

    Raises:
        InputError: The network's weights are not available.
    """

    def __init__(self, picture: Tensor, config: StyleConfig = StyleConfig()) -> None:
        super().__init__()
        self.measure = config.measure
        self.features = Features(config.source, config.layers).to(picture.device)
        with torch.no_grad():
            features = self.features(picture[None])
            self.style = [gram_matrix(f) for f in features] if self.measure == "gram" else [hypercolumns(features)]

    def forward(self, canvas: Tensor, target: Tensor) -> Tensor:
        """`(B, 3, H, W)` twice, sRGB in [0, 1] -> `(B,)`."""
        features = self.features(canvas)
        if self.measure == "nearest":
            return nearest_distance(hypercolumns(features), self.style[0])
        parts = []
        for ours, style in zip(features, self.style, strict=True):
            parts.append((gram_matrix(ours) - style).square().sum((1, 2)) / (style.square().sum() + 1e-12))
        return torch.stack(parts).mean(0)


def style_loss(picture: Tensor, config: StyleConfig = StyleConfig()) -> Loss:
    """Make a `Style` loss for a style picture `(3, h, w)`, on its device."""
    return Style(picture, config)


def gram_matrix(features: Tensor) -> Tensor:
    """Gram matrix `(B, C, C)` of features `(B, C, h, w)`: products of channels averaged over positions.

    Gatys et al. 2016, eq. 3.
    """
    flat = features.flatten(2)
    return flat @ flat.mT / flat.shape[2]


def hypercolumns(features: list[Tensor]) -> Tensor:
    """Hypercolumns `(B, C, n)` of the features `(B, C_i, h_i, w_i)` of several layers, each layer with the same norm.

    All layers are averaged on the grid of the last, coarsest one (relu4: an eighth of the picture's side), to keep n small.
    """
    size = (features[-1].shape[-2], features[-1].shape[-1])
    scaled = []
    for layer in features:
        pooled = F.adaptive_avg_pool2d(layer, size)
        norm = pooled.detach().square().sum(1).mean((1, 2)).sqrt() + 1e-8
        scaled.append(pooled / norm[:, None, None, None])
    return torch.cat(scaled, 1).flatten(2)


def nearest_distance(ours: Tensor, theirs: Tensor) -> Tensor:
    """Mean cosine distance of each of our hypercolumns `(B, C, n)` to the nearest of theirs `(1, C, m)`: `(B,)` in [0, 2].

    Both sets are centred by their own mean first (Kolkin et al. 2022, section 3.2).
    """
    ours, theirs = (F.normalize(x - x.mean(2, keepdim=True), dim=1) for x in (ours, theirs))
    return (1 - (ours.mT @ theirs).amax(2)).mean(1)


def match_colours(picture: Tensor, style: Tensor) -> Tensor:
    """Give `picture` (3, H, W) the mean and covariance of the colours of `style` (3, h, w), clipped to [0, 1].

    The Monge-Kantorovich map (Pitié and Kokaram 2007): the linear map that changes colours least.
    """
    pixels, theirs = picture.flatten(1).double(), style.flatten(1).double()
    a, b = (_covariance(x) for x in (pixels, theirs))
    root = _power(a, 0.5)
    inverse = _power(a, -0.5)
    linear = inverse @ _power(root @ b @ root, 0.5) @ inverse
    matched = linear @ (pixels - pixels.mean(1, keepdim=True)) + theirs.mean(1, keepdim=True)
    return matched.clamp(0, 1).view_as(picture).to(picture)


def _covariance(pixels: Tensor) -> Tensor:
    """(3, n) -> (3, 3); regularised, so that a picture of a single colour has an invertible one."""
    centred = pixels - pixels.mean(1, keepdim=True)
    return centred @ centred.T / pixels.shape[1] + 1e-5 * torch.eye(3, dtype=pixels.dtype, device=pixels.device)


def _power(matrix: Tensor, exponent: float) -> Tensor:
    """Power of a symmetric positive matrix."""
    values, vectors = torch.linalg.eigh(matrix)
    return vectors @ (values.clamp(min=1e-12) ** exponent).diag() @ vectors.T
