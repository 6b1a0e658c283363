"""Paint one object of a class on a plain ground, without a target: strokes and ground are optimised for a classifier.

    S <- (), ground g <- grey
    for each stage, coarse to fine:
        add to S strokes in the middle, in the colours that the painting has there
        for each step:
            v <- random views of the painting on g, or on a ground near g; blurred, the more the earlier the stage
            Adam step on area of the strokes + chroma + total variation + distance from the middle - margin of the class on v

The ground goes on beyond the canvas, and views show the whole object, at most as large as on the canvas, never parts of it
enlarged: else parts would be repeated. A ground that varies leaves no use for strokes that only fill it: the object gets an
outline. Blur decides the large forms first; what raises a score in fine grain only does not survive it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from painter.losses.activation import random_strokes
from painter.losses.pixels import variation
from renderer.brush import Brush
from renderer.canvas import lay
from renderer.constraints import UNCONSTRAINED, StrokeConstraints
from renderer.errors import InputError


@dataclass(frozen=True)
class Stage:
    """Strokes that are added together.

    strokes, steps: shares of the painting's strokes and of all steps
    radius: of the first and of the last of them, fractions of the side
    blur: range of the standard deviation of the views' blur, fractions of a view's side
    """

    strokes: float
    steps: float
    radius: tuple[float, float]
    blur: tuple[float, float]


@dataclass(frozen=True)
class ObjectConfig:
    """How an object is painted. Raises `InputError` for invalid values."""

    steps: int = 240
    """Gradient steps."""
    stages: tuple[Stage, ...] = (
        Stage(1, 1, (0.1, 0.04), (0.014, 0.036)),
        Stage(2, 1, (0.05, 0.025), (0.007, 0.022)),
        Stage(3, 1, (0.025, 0.012), (0.0, 0.014)),
    )
    """Coarse to fine."""
    geometry_lr: float = 0.02
    """Adam's learning rate for geometry; falls in each stage."""
    colour_lr: float = 0.03
    """Adam's learning rate for colour and opacity; falls likewise."""
    ground_lr: float = 0.02
    """Adam's learning rate for the ground's colour."""
    views: int = 6
    """Views per step."""
    side: int = 112
    """Side of a view in pixels."""
    zoom: tuple[float, float] = (0.6, 1.05)
    """Range of the canvas' side in a view, as a fraction of the view's."""
    shift: float = 0.08
    """Largest shift of the canvas in a view, as a fraction of the view's side."""
    turn: float = 12.0
    """Largest rotation in degrees."""
    jitter: float = 0.05
    """Range of the brightness, and standard deviation of the mixing of colours; contrast varies by twice as much."""
    noise: float = 0.1
    """Greatest standard deviation of the noise of a view's pixels."""
    other_grounds: float = 0.5
    """Share of the steps on a ground that is not the painting's."""
    ground_range: float = 0.25
    """How far such a ground is from it at most, per channel."""
    opacity: float = 0.5
    """Of new strokes."""
    spread: float = 0.25
    """Radius of the disc in which strokes begin, as a fraction of the side."""
    reach: float = 0.42
    """Distance from the middle beyond which ends of strokes are drawn back, as a fraction of the side."""
    area: float = 8.0
    """Weight of the mean difference of the painting from its ground."""
    variation: float = 8.0
    """Weight of the total variation."""
    chroma: float = 10.0
    """Weight of the mean difference of channels from their mean: strong colours have to be worth it."""

    def __post_init__(self) -> None:
        if self.steps < 1 or self.views < 1 or self.side < 8 or not self.stages:
            raise InputError("An object needs 1 step, 1 stage and 1 view of 8 pixels at least.")
        values = (self.ground_lr, self.shift, self.turn, self.jitter, self.noise)
        weights = (self.area, self.variation, self.chroma, self.reach, self.spread)
        positive = (self.geometry_lr, self.colour_lr, *self.zoom)
        if not all(0 <= value < math.inf for value in (*values, *weights)) or not all(
            0 < v < math.inf for v in positive
        ):
            raise InputError(
                "Ranges and weights of an object are finite numbers from 0 on; rates and zoom are above 0."
            )


OBJECT_CONFIG = ObjectConfig()
MARGIN, LOGIT = 1.0, 0.15  # of the score: the distance to the other classes, and the class's own logit
LAST_RATE = 0.08  # of a stage, as a fraction of its first
PULL = 20.0  # towards the middle


@dataclass(frozen=True)
class ObjectStep:
    """The painting after a step: done part in (0, 1], score before the step, strokes `(n, P)` and ground, sRGB in [0, 1]."""

    progress: float
    score: float
    strokes: Tensor
    ground: tuple[float, float, float]


def paint_object(
    logits: Callable[[Tensor], Tensor],
    index: int,
    brush: Brush,
    count: int,
    *,
    size: int = 128,
    config: ObjectConfig = OBJECT_CONFIG,
    generator: torch.Generator | None = None,
    constraints: StrokeConstraints = UNCONSTRAINED,
    device: torch.device | str = "cpu",
) -> Iterator[ObjectStep]:
    """Paint an object of class `index` in `count` strokes.

    Args:
        logits: A classifier: pictures `(B, 3, H, W)`, sRGB in [0, 1] -> `(B, classes)`.
        index: The class.
        brush: A differentiable brush.
        count: Number of strokes.
        size: Side of the square canvas in pixels.
        config: See there.
        generator: Of all randomness, on the CPU; None for PyTorch's default generator.
        constraints: Which strokes are allowed.
        device: Of the work; the classifier's.

    Yields:
        The state after each step; the last one has `count` strokes.

    Raises:
        InputError: There is no such class.
    """
    space = brush.space
    appearance = torch.cat([torch.full((field.size,), field.kind == "appearance") for field in space.fields])
    rates = torch.where(appearance, config.colour_lr, config.geometry_lr).to(device)
    ground = torch.full((3,), 0.6, device=device, requires_grad=True)
    strokes = torch.zeros(0, space.width, device=device)

    def on(colour: Tensor, strokes: Tensor) -> Tensor:
        return lay(colour.view(1, 3, 1, 1).expand(1, 3, size, size), strokes[None], brush)

    done = 0
    for stage, new, steps in _schedule(config, count):
        with torch.no_grad():
            canvas = on(ground, strokes)[0]
            added = _first_strokes(new, brush, stage, config, canvas if len(strokes) else None, generator)
            strokes = constraints.apply(torch.cat((strokes, added.to(strokes))), space)
        # Adam's step does not depend on the scale of its gradient: in units of their rates, all numbers have the rate 1.
        units = (strokes / rates).requires_grad_()
        optimizer = torch.optim.Adam([{"params": [units]}, {"params": [ground]}], betas=(0.9, 0.99))
        for step in range(steps):
            fall = LAST_RATE + (1 - LAST_RATE) * (1 + math.cos(math.pi * step / steps)) / 2
            optimizer.param_groups[0]["lr"] = fall
            optimizer.param_groups[1]["lr"] = config.ground_lr * (1 - done / config.steps)
            current = (units * rates).clamp(0, 1)
            colour = ground
            if torch.rand(1, generator=generator) < config.other_grounds:
                apart = 2 * torch.rand(3, generator=generator) - 1
                colour = (ground + config.ground_range * apart.to(ground)).clamp(0, 1)
            painted = on(colour, current)
            score = class_margin(logits(object_views(painted, colour, config, stage.blur, generator)), index).mean()
            ends = torch.stack((space.get(current, "start"), space.get(current, "end"))) - 0.5
            outside = ((ends**2).sum(-1) + 1e-12).sqrt() - config.reach
            loss = (
                config.area * (painted - colour.detach().view(1, 3, 1, 1)).abs().mean()
                + config.variation * variation(painted).mean()
                + config.chroma * (painted - painted.mean(1, keepdim=True)).abs().mean()
                + PULL * (outside.clamp(min=0) ** 2).sum()
                - score
            )
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            with torch.no_grad():
                strokes = constraints.apply((units * rates).clamp(0, 1), space)
                units.copy_(strokes / rates)
                ground.clamp_(0, 1)
            done += 1
            red, green, blue = ground.tolist()
            yield ObjectStep(done / config.steps, score.item(), strokes, (red, green, blue))


def class_margin(logits: Tensor, index: int) -> Tensor:
    """How far a class is ahead: logits `(B, classes)` -> `(B,)`: its logit against the soft maximum of all others.

    A share of the logit itself is added, because the margin alone can be raised by lowering the others. Raises `InputError`
    if there is no such class.
    """
    classes = logits.shape[1]
    if not 0 <= index < classes:
        raise InputError(f"No class {index}; classes are 0 to {classes - 1}.")
    others = torch.arange(classes, device=logits.device) != index
    own = logits[:, index]
    return MARGIN * (own - logits[:, others].logsumexp(1)) + LOGIT * own


def object_views(
    painted: Tensor, ground: Tensor, config: ObjectConfig, blur: tuple[float, float], generator: torch.Generator | None
) -> Tensor:
    """Draw random views `(views, 3, side, side)` of a painting `(1, 3, H, W)` whose ground `(3,)` goes on beyond it.

    Args:
        painted: The painting.
        ground: Its colour where there are no strokes.
        config: Range of the views.
        blur: Range of the blur's standard deviation, as a fraction of a view's side.
        generator: Of all randomness, on the CPU.
    """
    from kornia.filters import gaussian_blur2d  # here, because it takes long to import

    n, side = config.views, config.side

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return (low + (high - low) * torch.rand(n, *shape, generator=generator)).to(painted)

    scale = uniform(math.log(config.zoom[0]), math.log(config.zoom[1])).exp()
    angle = math.radians(config.turn) * uniform(-1, 1)
    mirrored = uniform(-1, 1).sign()
    shift = 2 * config.shift * uniform(-1, 1, 2)
    rows = (mirrored * angle.cos(), -angle.sin(), shift[:, 0], mirrored * angle.sin(), angle.cos(), shift[:, 1])
    affine = (torch.stack(rows, 1) / scale[:, None]).view(n, 2, 3)
    ground = ground.view(1, 3, 1, 1)
    apart = painted - ground
    if max(apart.shape[-2:]) > side:  # sampling a large canvas at few points would alias
        apart = F.interpolate(apart, (side, side), mode="bilinear", antialias=True)
    grid = F.affine_grid(affine, [n, 3, side, side], align_corners=False)
    views = F.grid_sample(apart.expand(n, -1, -1, -1), grid, align_corners=False) + ground
    if blur[1] > 0:
        sigma = (side * uniform(*blur, 1)).clamp(min=0.1).expand(n, 2)
        kernel = 2 * math.ceil(2.5 * side * blur[1]) + 1
        views = gaussian_blur2d(views, (min(kernel, side - 1 + side % 2),) * 2, sigma, "replicate")
    mixing = torch.randn(n, 3, 3, generator=generator).to(painted)
    mixing = torch.eye(3).to(painted) + config.jitter * mixing
    contrast, brightness = 1 + 2 * config.jitter * uniform(-1, 1, 1, 1, 1), config.jitter * uniform(-1, 1, 1, 1, 1)
    grain = torch.randn(n, 3, side, side, generator=generator).to(painted)
    views = contrast * torch.einsum("bij,bjhw->bihw", mixing, views - 0.5) + 0.5 + brightness
    return views + config.noise * uniform(0, 1, 1, 1, 1) * grain


def _schedule(config: ObjectConfig, count: int) -> Iterator[tuple[Stage, int, int]]:
    """The stages with their numbers of new strokes and of steps; all strokes are there before the last steps."""
    strokes, steps = sum(stage.strokes for stage in config.stages), sum(stage.steps for stage in config.stages)
    part = spent = painted = done = 0.0
    for stage in config.stages:
        part, spent = part + stage.strokes / strokes, spent + stage.steps / steps
        # The first stroke comes with the first stage, and the last stage has a step.
        up_to, until = math.ceil(part * count - 1e-6), math.floor(spent * config.steps + 1e-6)
        yield stage, int(up_to - painted), int(until - done)
        painted, done = up_to, until


def _first_strokes(
    count: int,
    brush: Brush,
    stage: Stage,
    config: ObjectConfig,
    canvas: Tensor | None,
    generator: torch.Generator | None,
) -> Tensor:
    """Random strokes `(count, P)` in the middle, with the colours of the canvas (3, H, W), or greyish ones."""
    space = brush.space
    strokes = random_strokes(
        count,
        space,
        radius=stage.radius,
        disc=config.spread,
        opacity=config.opacity,
        saturation=0.2,
        generator=generator,
    )
    if canvas is None:
        return strokes
    middle = (space.get(strokes, "start") + space.get(strokes, "end")).to(canvas) - 1
    seen = F.grid_sample(canvas[None], middle[None, :, None], align_corners=False)[0, :, :, 0].T
    seen = seen + 0.1 * torch.randn(count, 3, generator=generator).to(canvas)
    return space.put(strokes.to(canvas), "colour", seen.clamp(0, 1))
