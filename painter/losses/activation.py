"""Activation maximisation with strokes: paint a class or a feature of a pretrained network, without a target.

Nakano (2019), "visualizing ImageNet classes": strokes instead of the pixels of Erhan et al. (2009) or the Fourier basis of
Olah et al. (2017, "Feature Visualization"). Random views, as in Olah et al., remove what raises the score at a single
position, scale and rotation only.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from painter.losses.perceptual import Features, Source, find_layers
from painter.losses.pixels import Loss, variation
from painter.optimize import OptimizeConfig, OptimizeStep, optimize
from renderer.brush import Brush
from renderer.constraints import UNCONSTRAINED, StrokeConstraints
from renderer.errors import InputError
from renderer.strokes import StrokeSpace

Score = Callable[[Tensor], Tensor]
"""Pictures `(B, 3, H, W)`, sRGB in [0, 1] -> `(B,)`, to be maximised."""


@dataclass(frozen=True)
class ViewConfig:
    """Random views of a canvas, and the weight of its total variation. Raises `InputError` for invalid values."""

    views: int = 4
    """Number of random views per step; their scores are averaged."""
    side: int = 160
    """Side of a view in pixels."""
    shift: float = 0.15
    """Largest shift of a view, as a fraction of the canvas."""
    zoom: float = 0.4
    """Largest change of scale: 0.4 is from 1 / 1.4 to 1.4 times."""
    turn: float = 15.0
    """Largest rotation in degrees."""
    jitter: float = 0.05
    """Range of the brightness and standard deviation of each pixel's noise; contrast varies by twice as much."""
    variation: float = 0.0
    """Weight of the total variation (mean absolute difference of neighbouring pixels)."""

    def __post_init__(self) -> None:
        if self.views < 1 or self.side < 8:
            raise InputError(f"At least 1 view of 8 pixels is needed, not {self.views} of {self.side}.")
        if not all(0 <= value < math.inf for value in (self.shift, self.zoom, self.turn, self.jitter, self.variation)):
            raise InputError("Shift, zoom, turn, jitter and variation of views are finite numbers from 0 on.")


DEFAULT_VIEWS = ViewConfig()
# Larger steps than with a target, because strokes start at random; no relocations, because without a target there is no
# error to place strokes by.
ACTIVATION_CONFIG = OptimizeConfig(steps=400, relocations=0, geometry_lr=0.02, colour_lr=0.04)


def random_views(canvas: Tensor, config: ViewConfig, generator: torch.Generator | None = None) -> Tensor:
    """Draw random views `(B * views, 3, side, side)` of canvases `(B, 3, H, W)`, those of a canvas next to each other.

    The canvas is mirrored at its edges. Random numbers are drawn on the CPU. Without shift, zoom, turn and jitter, views
    are the canvas, resized.
    """
    canvas = canvas.repeat_interleave(config.views, 0)
    n = len(canvas)

    def uniform(*shape: int) -> Tensor:
        return (2 * torch.rand(n, *shape, generator=generator) - 1).to(canvas)

    factor = (1 + config.zoom) ** -uniform()
    angle = math.radians(config.turn) * uniform()
    cos, sin, shift = factor * angle.cos(), factor * angle.sin(), 2 * config.shift * uniform(2)
    affine = torch.stack((cos, -sin, shift[:, 0], sin, cos, shift[:, 1]), 1).view(n, 2, 3)
    # Resized first: sampling a large canvas at few points would alias.
    if max(canvas.shape[-2:]) > config.side:
        canvas = F.interpolate(canvas, (config.side, config.side), mode="bilinear", antialias=True, align_corners=False)
    grid = F.affine_grid(affine, [n, 3, config.side, config.side], align_corners=False)
    views = F.grid_sample(canvas, grid, padding_mode="reflection", align_corners=False)
    if config.jitter > 0:
        noise = torch.randn(n, 3, config.side, config.side, generator=generator).to(canvas)
        contrast, brightness = 1 + 2 * config.jitter * uniform(1, 1, 1), config.jitter * uniform(1, 1, 1)
        views = 0.5 + contrast * (views - 0.5) + brightness + config.jitter * noise
    return views


def activation_loss(score: Score, config: ViewConfig = DEFAULT_VIEWS, generator: torch.Generator | None = None) -> Loss:
    """Make a loss that maximises `score` on random views of the canvas; it ignores the target."""

    def loss(canvas: Tensor, target: Tensor) -> Tensor:
        value = -score(random_views(canvas, config, generator)).view(len(canvas), config.views).mean(1)
        if config.variation > 0:
            value = value + config.variation * variation(canvas)
        return value

    return loss


def class_score(logits: Callable[[Tensor], Tensor], index: int) -> Score:
    """Score a class of a classifier, pictures `(B, 3, H, W)` -> logits `(B, classes)`: its logit minus the mean of all.

    The score raises `InputError` if there is no such class.
    """

    def score(pictures: Tensor) -> Tensor:
        values = logits(pictures)
        if not 0 <= index < values.shape[1]:
            raise InputError(f"No class {index}; classes are 0 to {values.shape[1] - 1}.")
        return values[:, index] - values.mean(1)

    return score


def channel_score(layer: Callable[[Tensor], Tensor], channel: int) -> Score:
    """Score a channel of a layer, pictures `(B, 3, H, W)` -> features `(B, C, h, w)`.

    The score is the channel's mean over positions, in standard deviations of the layer. It raises `InputError` if there is
    no such channel.
    """

    def score(pictures: Tensor) -> Tensor:
        features = layer(pictures)
        if not 0 <= channel < features.shape[1]:
            raise InputError(f"No channel {channel}; channels of this layer are 0 to {features.shape[1] - 1}.")
        spread = features.detach().std(dim=(1, 2, 3)) + 1e-8
        return features[:, channel].mean((1, 2)) / spread

    return score


def vgg_layer(name: str, source: Source = "hed", device: torch.device | str = "cpu") -> Callable[[Tensor], Tensor]:
    """Make a layer of VGG for `channel_score`. Raises `InputError` for an unknown name."""
    features = Features(source, find_layers([name], source)).to(device)
    return lambda pictures: features(pictures)[0]


def paint_without_target(
    loss: Loss,
    brush: Brush,
    count: int,
    *,
    canvas: Tensor,
    config: OptimizeConfig = ACTIVATION_CONFIG,
    generator: torch.Generator | None = None,
    constraints: StrokeConstraints = UNCONSTRAINED,
) -> Iterator[OptimizeStep]:
    """Optimise `count` strokes for a loss that needs no target, starting with random strokes (`random_strokes`).

    Args:
        loss: Such as `activation_loss`.
        brush: A differentiable brush.
        count: Number of strokes.
        canvas: `(3, H, W)`, the canvas to paint on.
        config: Budget and learning rates; strokes are never relocated.
        generator: Draws the first strokes, on the CPU; None for PyTorch's default generator.
        constraints: Which strokes are allowed.

    Yields:
        The state after each gradient step; `strokes` is `(count, P)`.
    """
    start = random_strokes(count, brush.space, generator=generator).to(canvas)
    yield from optimize(
        canvas,
        brush,
        count,
        canvas=canvas,
        config=replace(config, relocations=0),
        loss=loss,
        start=start,
        generator=generator,
        constraints=constraints,
    )


def random_strokes(
    count: int,
    space: StrokeSpace,
    *,
    generator: torch.Generator | None = None,
    radius: tuple[float, float] = (0.12, 0.015),
    disc: float | None = None,
    opacity: float = 0.5,
    saturation: float = 0.5,
) -> Tensor:
    """Draw short random strokes `(count, P)`, the widest first.

    Args:
        count: Number of strokes.
        space: Of the strokes.
        generator: Of all randomness, on the CPU; None for PyTorch's default generator.
        radius: Of the first and of the last one, as fractions of the short side.
        disc: Radius of the disc in the middle that has their centres, as a fraction of the side; None for the whole canvas.
        opacity: Of all of them.
        saturation: From 0, grey, to 1.
    """
    strokes = space.sample(count, generator)
    share = (torch.arange(count) / max(1, count - 1))[:, None]
    first, last = radius
    radii = first * (last / first) ** share
    centre = torch.rand(count, 2, generator=generator)
    if disc is not None:
        turn = 2 * math.pi * centre[:, :1]
        centre = 0.5 + disc * centre[:, 1:].sqrt() * torch.cat((turn.cos(), turn.sin()), 1)
    angle = 2 * math.pi * torch.rand(count, 1, generator=generator)
    half = 2 * radii * torch.cat((angle.cos(), angle.sin()), 1)
    colour = 0.5 + saturation * (space.get(strokes, "colour") - 0.5)
    values = {"start": centre - half, "end": centre + half, "radius": radii, "colour": colour}
    values["opacity"] = torch.full((count, 1), opacity)
    if "pressure" in space:  # some brushes hardly mark at low pressure
        values["pressure"] = torch.full((count, 1), space.field("pressure").default)
    for name, value in values.items():
        strokes = space.put(strokes, name, value.expand(count, space.field(name).size))
    return strokes
