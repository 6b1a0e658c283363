"""Painting without a picture: strokes that a pretrained network takes for a class, or that please one of its features.

Nakano (2019), "visualizing ImageNet classes": brush strokes in place of the pixels of Erhan et al. (2009) and the
Fourier basis of Olah et al. (2017, "Feature Visualization"), whose robustness by random views this borrows: what only
works at one place, size and tilt is noise that the network cannot help seeing, and not a thing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from painter.losses.perceptual import Features, Source, find_layers
from painter.losses.pixels import Loss
from painter.optimize import OptimizeConfig, Progress, optimize
from renderer.brush import Brush
from renderer.constraints import UNCONSTRAINED, StrokeConstraints
from renderer.errors import InputError
from renderer.strokes import StrokeSpace

Score = Callable[[Tensor], Tensor]  # pictures (B, 3, H, W), sRGB in [0, 1] -> (B,): higher is better


@dataclass(frozen=True)
class ViewConfig:
    """How a canvas is looked at, and how much its roughness counts. Raises `InputError` for what cannot be meant."""

    views: int = 4
    """Random views of the canvas in each step, whose scores are averaged."""
    side: int = 160
    """Pixels of a view's sides, as the network gets it."""
    shift: float = 0.15
    """Views are moved by up to this part of the canvas."""
    zoom: float = 0.4
    """They are enlarged or reduced by up to this much: .4 is from 1 / 1.4 to 1.4 times."""
    turn: float = 15.0
    """And turned by up to so many degrees."""
    jitter: float = 0.05
    """Standard deviation of brightness and of each pixel's noise; contrast varies by twice as much."""
    variation: float = 0.0
    """Weight of the total variation: of the mean absolute step between neighbouring pixels."""

    def __post_init__(self) -> None:
        if self.views < 1 or self.side < 8:
            raise InputError(f"There is 1 view at least, of 8 pixels or more, not {self.views} of {self.side}.")
        if not all(0 <= value < math.inf for value in (self.shift, self.zoom, self.turn, self.jitter, self.variation)):
            raise InputError("Shift, zoom, turn, jitter and variation of views are numbers from 0 on.")


VIEWS = ViewConfig()
# Larger steps than after a picture, because nothing has placed the strokes well; nothing says where to move any either.
RATES = OptimizeConfig(steps=400, relocations=0, geometry_lr=0.02, colour_lr=0.04)


def look(canvas: Tensor, config: ViewConfig, generator: torch.Generator | None = None) -> Tensor:
    """Random views of canvases (B, 3, H, W): (B * views, 3, side, side), those of one canvas next to one another.

    Beyond the canvas' edges it is mirrored. Chance is drawn on the CPU. Without shift, zoom, turn and jitter, the canvas
    itself, resized.
    """
    canvas = canvas.repeat_interleave(config.views, 0)
    n = len(canvas)

    def chance(*shape: int) -> Tensor:
        return (2 * torch.rand(n, *shape, generator=generator) - 1).to(canvas)

    factor = (1 + config.zoom) ** -chance()
    angle = math.radians(config.turn) * chance()
    cos, sin, move = factor * angle.cos(), factor * angle.sin(), 2 * config.shift * chance(2)
    turn = torch.stack((cos, -sin, move[:, 0], sin, cos, move[:, 1]), 1).view(n, 2, 3)
    # Averaged down first, or a large canvas would be sampled at few of its pixels.
    if max(canvas.shape[-2:]) > config.side:
        canvas = F.interpolate(canvas, (config.side, config.side), mode="bilinear", antialias=True, align_corners=False)
    grid = F.affine_grid(turn, [n, 3, config.side, config.side], align_corners=False)
    views = F.grid_sample(canvas, grid, padding_mode="reflection", align_corners=False)
    if config.jitter > 0:
        noise = torch.randn(n, 3, config.side, config.side, generator=generator).to(canvas)
        contrast, brightness = 1 + 2 * config.jitter * chance(1, 1, 1), config.jitter * chance(1, 1, 1)
        views = 0.5 + contrast * (views - 0.5) + brightness + config.jitter * noise
    return views


def activation_loss(score: Score, config: ViewConfig = VIEWS, generator: torch.Generator | None = None) -> Loss:
    """A `Loss` that falls as `score` of random views of the canvas rises; the target does not matter."""

    def loss(canvas: Tensor, target: Tensor) -> Tensor:
        value = -score(look(canvas, config, generator)).view(len(canvas), config.views).mean(1)
        if config.variation > 0:
            rough = canvas.diff(dim=-1).abs().mean((1, 2, 3)) + canvas.diff(dim=-2).abs().mean((1, 2, 3))
            value = value + config.variation * rough
        return value

    return loss


def class_score(logits: Callable[[Tensor], Tensor], index: int) -> Score:
    """The score of class `index` of a classifier, pictures (B, 3, H, W) -> (B, classes): its logit over the mean of all."""

    def score(pictures: Tensor) -> Tensor:
        all_of_them = logits(pictures)
        if not 0 <= index < all_of_them.shape[1]:
            raise InputError(f"There is no class {index}; there are 0 to {all_of_them.shape[1] - 1}.")
        return all_of_them[:, index] - all_of_them.mean(1)

    return score


def channel_score(layer: Callable[[Tensor], Tensor], channel: int) -> Score:
    """The score of one channel of features (B, C, h, w): its mean over places, in the layer's own standard deviations.

    Raises `InputError`, when first used, if there is no such channel.
    """

    def score(pictures: Tensor) -> Tensor:
        features = layer(pictures)
        if not 0 <= channel < features.shape[1]:
            raise InputError(f"There is no channel {channel}; this layer has 0 to {features.shape[1] - 1}.")
        spread = features.detach().std(dim=(1, 2, 3)) + 1e-8
        return features[:, channel].mean((1, 2)) / spread

    return score


def vgg_layer(name: str, source: Source = "hed", device: torch.device | str = "cpu") -> Callable[[Tensor], Tensor]:
    """A layer of `Features` for `channel_score`. Raises `InputError` for a name that is not known."""
    features = Features(source, find_layers([name], source)).to(device)
    return lambda pictures: features(pictures)[0]


def imagine(
    loss: Loss,
    renderer: Brush,
    count: int,
    canvas: Tensor,
    config: OptimizeConfig = RATES,
    generator: torch.Generator | None = None,
    constraints: StrokeConstraints = UNCONSTRAINED,
) -> Iterator[Progress]:
    """Yields after each gradient step; the last `strokes`, (count, P), are a painting on `canvas` (3, H, W) that `loss`
    alone asked for. All strokes are there from the start, at random (`scatter`), since no picture says where to put them."""
    start = scatter(count, renderer.space, generator).to(canvas)
    config = replace(config, relocations=0)
    yield from optimize(canvas, renderer, count, canvas, config, loss, start, generator, constraints)


def scatter(
    count: int, space: StrokeSpace, generator: torch.Generator | None = None, opacity: float = 0.5, vivid: float = 0.5
) -> Tensor:
    """`(count, P)` short random strokes all over the canvas, the broadest first; `vivid` 0 makes them all grey."""
    strokes = space.sample(count, generator)
    share = (torch.arange(count) / max(1, count - 1))[:, None]
    radius = 0.12 * (0.015 / 0.12) ** share
    centre = torch.rand(count, 2, generator=generator)
    angle = 2 * math.pi * torch.rand(count, 1, generator=generator)
    half = 2 * radius * torch.cat((angle.cos(), angle.sin()), 1)
    colour = 0.5 + vivid * (space.get(strokes, "colour") - 0.5)
    values = {"start": centre - half, "end": centre + half, "radius": radius, "colour": colour}
    values |= {"opacity": torch.full((count, 1), opacity), "pressure": torch.full((count, 1), 0.7)}
    for field in space.fields:
        if field.name in values:
            strokes = space.put(strokes, field.name, values[field.name].expand(count, field.size))
    return strokes
