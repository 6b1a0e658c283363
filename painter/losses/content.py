"""Content loss: what a pretrained network sees in a picture, independent of how it is painted.

Nakano (2019) compares a canvas with its target by such features only. Pixels are free, so that strokes stay visible as
strokes, and the style is the brush's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from painter.losses.perceptual import Features, Source, find_layers
from painter.losses.pixels import Loss, mse
from renderer.errors import InputError

Norm = Literal["l1", "l2"]
STRIDE = 16
"""Pixels between windows: all layers up to the fourth pooling then lie on the same grid."""


@dataclass(frozen=True)
class ContentConfig:
    """Which features of the target the canvas should have. Raises `InputError` for invalid values."""

    source: Source = "hed"
    """The network: hed (VGG16, installed), imagenet (VGG16) or vgg19 (both downloaded)."""
    layers: tuple[str, ...] = ("relu1_2", "relu2_2", "relu3_3")
    """Layers of the network by name, such as conv3_3, relu3_3, pool3."""
    weights: tuple[float, ...] = ()
    """Weight of each layer; by default, all are 1."""
    norm: Norm = "l1"
    """l2: squared differences; l1: absolute differences, which weigh a few large errors less."""
    pixels: float = 0.0
    """Weight of the squared error of the pixels, as if they were a layer."""
    scale: float = 1.0
    """Scale of the pictures that the network gets: at 0.5, a step takes a quarter of the time."""
    window: float = 1.0
    """Side of the random window that each step compares, as a fraction of the canvas' sides."""

    def __post_init__(self) -> None:
        find_layers(self.layers, self.source)
        if not self.layers and self.pixels <= 0:
            raise InputError("A content loss needs layers or a weight for pixels.")
        if len(set(self.layers)) < len(self.layers):
            raise InputError(f"Name each layer once, not {', '.join(self.layers)}.")
        if self.weights and len(self.weights) != len(self.layers):
            raise InputError(
                f"There are {len(self.layers)} layers and {len(self.weights)} weights; give one per layer."
            )
        if not all(0 <= weight < float("inf") for weight in (*self.weights, self.pixels)):
            raise InputError("Weights of layers and pixels are finite numbers from 0 on.")
        if self.norm not in get_args(Norm):
            raise InputError(f"Unknown norm {self.norm!r}; choose l1 or l2.")
        if not (0 < self.scale <= 1 and 0 < self.window <= 1):
            raise InputError(f"Scale and window are in (0, 1], not {self.scale} and {self.window}.")


class Content(nn.Module):
    """Content loss: 0 for equal pictures, about 1 per layer (l2) for a canvas with none of the target's features.

    For each layer, the mean difference of the features divided by the mean of the target's features (both squared or
    absolute), so that weights mean the same for all layers and networks. The last target's features are cached.

    Args:
        config: Layers, weights and norm.
        generator: Draws the windows, on the CPU; None for PyTorch's default generator.

    Raises:
        InputError: The network's weights are not available.
    """

    def __init__(self, config: ContentConfig = ContentConfig(), generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.config, self.generator = config, generator
        self.features = Features(config.source, config.layers) if config.layers else None
        order = sorted(range(len(config.layers)), key=lambda i: find_layers(config.layers, config.source)[i])
        self.weights = [config.weights[i] if config.weights else 1.0 for i in order]
        self._target: Tensor | None = None
        self._cache: dict[tuple[int, ...], list[Tensor]] = {}

    def forward(self, canvas: Tensor, target: Tensor) -> Tensor:
        """`(B, 3, H, W)` twice, sRGB in [0, 1] -> `(B,)`."""
        total = canvas.new_zeros(len(canvas))
        if self.config.pixels > 0:
            spread = target.var((1, 2, 3), unbiased=False) + 1e-4  # finite for a flat target
            total = total + self.config.pixels * mse(canvas, target) / spread
        if self.features is None:
            return total
        box = self._box(canvas.shape[-2], canvas.shape[-1])
        features = self.features(_window(canvas, box, self.config.scale))
        for weight, ours, theirs in zip(self.weights, features, self._target_features(target, box), strict=True):
            difference, size = ours - theirs, theirs
            if self.config.norm == "l2":
                difference, size = difference.square(), theirs.square()
            total = total + weight * difference.abs().mean((1, 2, 3)) / (size.abs().mean((1, 2, 3)) + 1e-8)
        return total

    @torch.no_grad()
    def _target_features(self, target: Tensor, box: tuple[int, ...]) -> list[Tensor]:
        assert self.features is not None
        if self._target is None or not (self._target.shape == target.shape and torch.equal(self._target, target)):
            self._target, self._cache = target.detach().clone(), {}
        if box not in self._cache:
            self._cache[box] = self.features(_window(target, box, self.config.scale))
        return self._cache[box]

    def _box(self, height: int, width: int) -> tuple[int, ...]:
        """Draw (top, left, height, width) of a window from a coarse grid, so that few target features are cached."""
        box: list[int] = []
        for side in (height, width):
            part = min(side, max(STRIDE, round(self.config.window * side / STRIDE) * STRIDE))
            positions = -((part - side) // STRIDE) + 1
            drawn = int(torch.randint(positions, (1,), generator=self.generator)) if positions > 1 else 0
            box += [min(drawn * STRIDE, side - part), part]
        top, h, left, w = box
        return top, left, h, w


def content_loss(
    config: ContentConfig = ContentConfig(),
    *,
    device: torch.device | str = "cpu",
    generator: torch.Generator | None = None,
) -> Loss:
    """Make a `Content` loss on a device. Raises `InputError` if the network's weights are not available."""
    return Content(config, generator).to(device)


def _window(picture: Tensor, box: tuple[int, ...], scale: float) -> Tensor:
    top, left, height, width = box
    picture = picture[..., top : top + height, left : left + width]
    if scale == 1:
        return picture
    size = [max(1, round(side * scale)) for side in (height, width)]
    return F.interpolate(picture, size, mode="bilinear", antialias=True, align_corners=False)
