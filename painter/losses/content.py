"""Content as a pretrained network sees it: what is to be shown, without how it is painted.

Nakano (2019) holds a canvas against its picture by such features alone: pixels are free, so that strokes need not hide
that they are strokes, and the style is the brush's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from painter.losses.perceptual import Features, Source, find_layers
from painter.losses.pixels import Loss, pixels
from renderer.errors import InputError

Norm = Literal["l1", "l2"]
STRIDE = 16  # pixels between windows: where all layers up to the fourth pooling fall on the same grid


@dataclass(frozen=True)
class ContentConfig:
    """What of a picture has to be found again on the canvas. Raises `InputError` for what cannot be meant."""

    source: Source = "hed"
    """The network: hed (VGG16, installed), imagenet (VGG16) or vgg19, which are downloaded."""
    layers: tuple[str, ...] = ("relu1_2", "relu2_2", "relu3_3")
    """Its layers by name, such as conv3_3, relu3_3, pool3."""
    weights: tuple[float, ...] = ()
    """Of each layer; without any, all count the same."""
    norm: Norm = "l1"
    """l2: squared differences; l1: absolute ones, which forgive a few large mistakes."""
    pixels: float = 0.0
    """Weight of the pixels' own squared difference, as if they were a layer."""
    scale: float = 1.0
    """Resolution at which the network looks: at 0.5, a step takes a quarter of the time."""
    window: float = 1.0
    """Side of the part of the canvas that each step looks at, another one each time, as a fraction of its sides."""

    def __post_init__(self) -> None:
        find_layers(self.layers, self.source)
        if not self.layers and self.pixels <= 0:
            raise InputError("A content loss needs layers or a weight for pixels, or there is nothing to paint.")
        if len(set(self.layers)) < len(self.layers):
            raise InputError(f"Each layer can be named once only, not {', '.join(self.layers)}.")
        if self.weights and len(self.weights) != len(self.layers):
            raise InputError(f"There are {len(self.layers)} layers and {len(self.weights)} weights; give one a layer.")
        if not all(0 <= weight < float("inf") for weight in (*self.weights, self.pixels)):
            raise InputError("Weights of layers and pixels are numbers from 0 on.")
        if self.norm not in get_args(Norm):
            raise InputError(f"There is no norm {self.norm!r}; choose l1 or l2.")
        if not (0 < self.scale <= 1 and 0 < self.window <= 1):
            raise InputError(f"Scale and window are fractions above 0, up to 1, not {self.scale} and {self.window}.")


class Content(nn.Module):
    """A `Loss`: 0 for equal pictures, about 1 a layer (l2) for a canvas on which nothing is found.

    Of each layer, the differences' mean (of squares or of absolute values) over that of the target's features
    themselves, so that weights mean the same for all layers and networks. Remembers the last target's features.
    `generator` draws the windows; None takes PyTorch's own.
    """

    def __init__(self, config: ContentConfig = ContentConfig(), generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.config, self.generator = config, generator
        self.features = Features(config.source, config.layers) if config.layers else None
        order = sorted(range(len(config.layers)), key=lambda i: find_layers(config.layers, config.source)[i])
        self.weights = [config.weights[i] if config.weights else 1.0 for i in order]
        self._target: Tensor | None = None
        self._known: dict[tuple[int, ...], list[Tensor]] = {}

    def forward(self, canvas: Tensor, target: Tensor) -> Tensor:
        """(B, 3, H, W) sRGB in [0, 1] twice -> (B,)."""
        total = canvas.new_zeros(len(canvas))
        if self.config.pixels > 0:
            spread = target.var((1, 2, 3), unbiased=False) + 1e-4  # or a flat target would weigh without end
            total = total + self.config.pixels * pixels(canvas, target) / spread
        if self.features is None:
            return total
        box = self._box(canvas.shape[-2], canvas.shape[-1])
        seen = self.features(_look(canvas, box, self.config.scale))
        for weight, ours, theirs in zip(self.weights, seen, self._target_features(target, box), strict=True):
            difference, size = ours - theirs, theirs
            if self.config.norm == "l2":
                difference, size = difference.square(), theirs.square()
            total = total + weight * difference.abs().mean((1, 2, 3)) / (size.abs().mean((1, 2, 3)) + 1e-8)
        return total

    @torch.no_grad()
    def _target_features(self, target: Tensor, box: tuple[int, ...]) -> list[Tensor]:
        assert self.features is not None
        if self._target is None or not (self._target.shape == target.shape and torch.equal(self._target, target)):
            self._target, self._known = target.detach().clone(), {}
        if box not in self._known:
            self._known[box] = self.features(_look(target, box, self.config.scale))
        return self._known[box]

    def _box(self, height: int, width: int) -> tuple[int, ...]:
        """Top, left, height and width of the window to look at, one of few, so that the target is seen once in each."""
        box: list[int] = []
        for side in (height, width):
            part = min(side, max(STRIDE, round(self.config.window * side / STRIDE) * STRIDE))
            places = -((part - side) // STRIDE) + 1
            drawn = int(torch.randint(places, (1,), generator=self.generator)) if places > 1 else 0
            box += [min(drawn * STRIDE, side - part), part]
        top, h, left, w = box
        return top, left, h, w


def content_loss(
    config: ContentConfig = ContentConfig(),
    device: torch.device | str = "cpu",
    generator: torch.Generator | None = None,
) -> Loss:
    """The `Loss` that `config` describes, see `Content`. Raises `InputError` when a network's weights cannot be had."""
    return Content(config, generator).to(device)


def _look(picture: Tensor, box: tuple[int, ...], scale: float) -> Tensor:
    top, left, height, width = box
    picture = picture[..., top : top + height, left : left + width]
    if scale == 1:
        return picture
    size = [max(1, round(side * scale)) for side in (height, width)]
    return F.interpolate(picture, size, mode="bilinear", antialias=True, align_corners=False)
