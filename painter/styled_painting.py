"""Paint a picture in the strokes of another one, and keep its face.

    c <- the picture in the colours of the style                        `painter.style_colours`
    for each radius, coarse to fine:                                    the style's widths
        r <- c blurred to the radius; without its lines for broad strokes
        where the canvas is far from r, and everywhere at first:
            follow the directions of the picture, and of the style where the picture has none, as long as r has the
            stroke's colour (Hertzmann 1998) and the style's strokes are long; lay a curve along the path
    lay the picture's lines on top                                      `painter.lines`

Style acts on palette, width, length, curvature, direction and density of the strokes. Where the picture has features
(lines, eyes), strokes are fine, follow them, and lines are laid on top, so that a face stays that face.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from painter.api import Layers, layer_record, layers_after
from painter.faint_features import strengthen_features
from painter.lines import remove_lines, trace_lines
from painter.losses.guidance import orientation
from painter.methods import Step
from painter.style_analysis import StyleAnalysis, analyse_style, from_lab, to_lab
from painter.style_colours import restyle_colours, towards_palette
from renderer.brush import Brush
from renderer.canvas import magnification, paint
from renderer.checks import check_canvas
from renderer.constraints import parse_palette
from renderer.convert import translation
from renderer.errors import InputError
from renderer.io.images import resize
from renderer.io.painting import Painting
from renderer.strokes import BEZIER

Array = NDArray[Any]


@dataclass(frozen=True)
class StyledConfig:
    """How a picture is painted in a style."""

    layers: int = 4
    """Number of radii, from the broadest, each half of the one before."""
    colours: float = 1.0
    """How far colours become those of the style, 0 to 1."""
    directions: float = 0.7
    """How far strokes take the style's directions where the picture has none, 0 to 1."""
    features: float = 1.0
    """How much more closely features are painted than the rest, 0 to 4; and how much their contrast is raised."""
    line_share: float = 0.35
    """Greatest share of the strokes that become the picture's lines."""
    scale: float = 1.0
    """Factor of all radii."""

    def check(self) -> None:
        """Raise `InputError` for invalid values."""
        if not 1 <= self.layers <= 8:
            raise InputError(f"A styled painting has 1 to 8 layers, not {self.layers}.")
        for name, most in (("colours", 1), ("directions", 1), ("features", 4), ("line_share", 1)):
            if not 0 <= getattr(self, name) <= most:
                raise InputError(f"{name} is a number from 0 to {most}, not {getattr(self, name)}.")
        if not 0.2 <= self.scale <= 5:
            raise InputError(f"The scale of strokes is from 0.2 to 5, not {self.scale}.")


DEFAULT_STYLED = StyledConfig()
FINE = (0.0045, 0.011)  # range of the radius of the finest strokes, fractions of the short side
FINENESS = 0.058  # of the finest strokes, in roots of the style's half width: fine styles differ more than broad ones
LENGTHS = 0.57  # of strokes, in lengths of the style's lines
FEATURE_RADIUS = 0.0048  # down to which strokes on features are halved further
FEATURE = 0.3  # above which a place is one
LAYER_SHARE = 0.4  # of the strokes that are left, what a layer between the first and the last may take
LINE_WIDTHS = (0.85, 1.35)  # range of the factor by which the picture's lines take the width of the style's
INK_CONTRAST = 12.0  # of the style's lines, CIE L*, at which the picture's lines take their colour in full
ASPECT = (4.0, 16.0)  # range of the length of strokes, in radii
THRESHOLD = 0.06  # root of the mean squared difference, CIE L*a*b* / 100, above which a place is painted over
USUAL_SPACING = 0.02  # of a style's lines; where they are closer, more places are painted over
FEATURE_REACH = 0.02  # how far from a feature strokes are fine, as a fraction of the short side


def paint_in_style(
    target: Tensor,
    style: Tensor,
    brush: Brush,
    count: int,
    *,
    analysis: StyleAnalysis | None = None,
    config: StyledConfig = DEFAULT_STYLED,
    seed: int = 0,
) -> Iterator[Step]:
    """Paint a picture in the strokes of a style picture.

    Args:
        target: `(3, H, W)`, sRGB in [0, 1], at the size of the work.
        style: `(3, h, w)`, the style picture; the target itself for strokes without another style.
        brush: draws the strokes; they are found on its mean.
        count: number of strokes at most.
        analysis: of the style picture; by default, it is made here.
        config: what of the style is taken.
        seed: of the order of strokes and their variation.

    Yields:
        The painting after each layer, with `layer` as its name: broad strokes first, the picture's lines last. The canvas
        begins with the lightest colour that covers some of the style picture, like its paper.

    Raises:
        InputError: for pictures that are none, less than one stroke, and an invalid configuration.
    """
    config.check()
    check_canvas(target, "An image", values=True)
    if count < 1:
        raise InputError(f"At least 1 stroke is needed, not {count}.")
    plan = _Plan(target.detach().cpu(), style.detach().cpu(), analysis or analyse_style(style), config, seed)
    mean = brush.mean_brush()
    as_strokes = translation(mean)
    start = plan.background[:, None, None].expand_as(target).to(target).contiguous()
    canvas, strokes = start, target.new_zeros(0, brush.space.width)
    lines = trace_lines(plan.own, int(config.line_share * count))
    radii = plan.radii()
    for i, radius in enumerate(radii):
        left = count - len(lines) - len(strokes)
        # The first layer covers the canvas; the later ones leave room for what is finer.
        allowed = left if i in (0, len(radii) - 1) else int(LAYER_SHARE * left)
        curves = plan.layer(canvas, radius, i, allowed)
        if len(curves):
            fresh = as_strokes(curves.to(target))
            canvas = paint(canvas, fresh, mean).clamp(0, 1)
            strokes = torch.cat((strokes, fresh))
            yield Step((i + 1) / (len(radii) + 1), strokes, start, mean, plan.layer_name(i))
    if len(lines):
        yield Step(1.0, torch.cat((strokes, as_strokes(plan.styled_lines(lines).to(target)))), start, mean, "lines")


def styled_paintings(
    target: Tensor,
    style: Tensor,
    brush: Brush,
    count: int,
    *,
    provenance: Mapping[str, Any] | None = None,
    **options: Any,
) -> Iterator[tuple[float, Painting]]:
    """`paint_in_style` as paintings of the target's size, which record their layers; the last one is finished.

    Args:
        target: `(3, H, W)`, see `paint_in_style`; with less than 8 pixels on the short side, it is enlarged for the work.
        style: `(3, h, w)`.
        brush: see there.
        count: see there.
        provenance: what the paintings record beside their layers.
        options: further ones of `paint_in_style`.

    Yields:
        The done part of the work, in [0, 1], and the painting so far.

    Raises:
        InputError: as `paint_in_style`.
    """
    size = (target.shape[1], target.shape[2])
    times = magnification(size)
    if times > 1:
        target = resize(target, (times * size[0], times * size[1])).to(target)
    layers: Layers = []
    before = 0
    for step in paint_in_style(target, style, brush, count, **options):
        layers, before = layers_after(layers, step, before), len(step.strokes)
        red, green, blue = step.background[:, 0, 0].tolist()
        record = {**(provenance or {}), **layer_record(layers)}
        yield step.progress, Painting.by(brush, step.strokes, size, (red, green, blue), record)


class _Plan:
    """What strokes of all layers share: pictures to paint, directions, features."""

    def __init__(self, target: Tensor, style: Tensor, analysis: StyleAnalysis, config: StyledConfig, seed: int) -> None:
        import cv2

        self.analysis, self.config = analysis, config
        self.random = np.random.default_rng(seed)
        self.height, self.width = target.shape[1:]
        self.short = min(self.height, self.width)
        self.own = strengthen_features(target, config.features) if config.features else target
        self.lined = restyle_colours(self.own, style, config.colours) if config.colours else self.own
        self.flat = to_lab(remove_lines(self.lined))
        self.full = to_lab(self.lined)
        self.palette = parse_palette(",".join(analysis.palette))
        share = torch.tensor(analysis.shares)
        light = torch.from_numpy(to_lab(self.palette.T[..., None])[:, 0, 0])
        # The ground: the lightest colour of the style that covers some of it, like paper.
        self.background = self.palette[int(torch.where(share > 0.08, light, torch.full_like(light, -1)).argmax())]
        own_field = orientation(self.lined, 0.012).numpy()
        broad_field = orientation(self.lined, 0.05).numpy()
        coherence = np.hypot(*own_field)
        weight = (coherence / 0.5).clip(0, 1) ** 2
        field = weight * own_field + (1 - weight) * broad_field
        theirs = torch.nn.functional.interpolate(
            orientation(style, 0.03)[None], (self.height, self.width), mode="bilinear", align_corners=False
        )[0].numpy()
        strength = config.directions * (1 - (np.hypot(*field) / 0.6).clip(0, 1))
        field = (1 - strength) * field + strength * theirs + 1e-4
        self.angle = np.arctan2(field[1], field[0]) / 2
        detail = np.abs(self.full[..., 0] - self.flat[..., 0]) / 100
        reach = FEATURE_REACH * self.short
        blurred = cv2.GaussianBlur(detail, (0, 0), reach)
        self.feature = (blurred / max(float(np.quantile(blurred, 0.97)), 0.02)).clip(0, 1)

    def radii(self) -> list[float]:
        """Radii of the layers as fractions of the short side, the broadest first."""
        fine = float(np.clip(FINENESS * self.analysis.radius[1] ** 0.5, *FINE)) * self.config.scale
        radii = [min(fine * 2.0**i, 0.2) for i in reversed(range(self.config.layers))]
        while self.config.features and radii[-1] > FEATURE_RADIUS * self.config.scale:
            radii.append(radii[-1] / 2)
        return radii

    def layer_name(self, index: int) -> str:
        """A name of the layer for files with layers."""
        return f"strokes {index + 1}" if index < self.config.layers else f"features {index + 1 - self.config.layers}"

    def aspect(self) -> float:
        """Length of strokes in radii: that of the style's lines, roughly."""
        median, width = self.analysis.length[0], max(self.analysis.radius[1], 1e-3)
        return float(np.clip(LENGTHS * median / width, *ASPECT))

    def layer(self, canvas: Tensor, radius: float, index: int, count: int) -> Tensor:
        """Curves (n, 13) of one radius that bring the canvas closer to the picture, in painting order."""
        import cv2

        reach = radius * self.short
        source = self.full if index >= self.config.layers - 1 else self.flat
        reference = cv2.GaussianBlur(source, (0, 0), max(0.4 * reach, 0.5))
        painted = cv2.GaussianBlur(to_lab(canvas), (0, 0), max(0.3 * reach, 0.5))
        error = np.square((reference - painted) / 100).sum(-1)
        seeds = self._seeds(error, reach, index, count)
        if len(seeds) == 0:
            return torch.zeros(0, BEZIER.width)
        paths, reached = self._trace(seeds, reference, painted, reach)
        return self._curves(paths, reached, reference, radius)

    def _seeds(self, error: Array, reach: float, index: int, count: int) -> Array:
        """Where strokes begin (n, 2), x and y: in each cell of a grid, the place of the largest error."""
        import cv2

        step = max(1, round(1.1 * reach))
        rows, columns = self.height // step, self.width // step
        if rows == 0 or columns == 0 or count < 1:
            return np.zeros((0, 2))
        cells = error[: rows * step, : columns * step].reshape(rows, step, columns, step)
        mean = cells.mean((1, 3))
        weight = 1 + 3 * self.config.features * cv2.resize(self.feature, (columns, rows), interpolation=cv2.INTER_AREA)
        place = cells.transpose(0, 2, 1, 3).reshape(rows, columns, -1).argmax(-1)
        gain = mean * weight
        chosen = np.ones_like(gain, bool) if index == 0 else np.sqrt(gain) > self._threshold()
        if index >= self.config.layers:
            chosen &= weight > 1 + 3 * self.config.features * FEATURE
        order = np.flatnonzero(chosen)
        order = order[(-gain.ravel()[order]).argsort(kind="stable")][:count]
        self.random.shuffle(order)
        y, x = (
            order // columns * step + place.ravel()[order] // step,
            order % columns * step + place.ravel()[order] % step,
        )
        return np.stack((x, y), -1).astype(float)

    def _threshold(self) -> float:
        spacing = self.analysis.spacing or USUAL_SPACING
        return THRESHOLD * float(np.clip(spacing / USUAL_SPACING, 0.6, 1.3))

    def _trace(self, seeds: Array, reference: Array, painted: Array, reach: float) -> tuple[Array, Array]:
        """Follow the directions both ways from seeds: paths (n, k, 2) and, for each point, whether the stroke gets there."""
        half = max(2, math.ceil(self.aspect() / 2))
        colour = self._at(reference, seeds)
        bends = float(np.clip(self.analysis.curvature / 4, 0.35, 0.9))
        sides = []
        for sign in (1.0, -1.0):
            at, going = seeds.copy(), np.ones(len(seeds), bool)
            heading = np.zeros((len(seeds), 2))
            points, alive = [], []
            for _ in range(half):
                angle = self._at(self.angle, at)
                move = np.stack((np.cos(angle), np.sin(angle)), -1)
                turn = np.where((move * heading).sum(-1) < 0, -1.0, 1.0) if heading.any() else np.full(len(at), sign)
                heading = bends * move * turn[:, None] + (1 - bends) * heading
                heading /= np.hypot(*heading.T)[:, None] + 1e-9
                at = at + reach * heading
                inside = (at >= 0).all(-1) & (at < (self.width, self.height)).all(-1)
                here = self._at(reference, at)
                # Further on, the stroke's colour would be worse than what is there.
                good = np.square(here - colour).sum(-1) <= np.square(here - self._at(painted, at)).sum(-1) + 9
                close = np.square(here - colour).sum(-1) < 15.0**2
                going = going & inside & good & close
                points.append(at.copy())
                alive.append(going.copy())
            sides.append((np.stack(points, 1), np.stack(alive, 1)))
        (ahead, ahead_alive), (back, back_alive) = sides
        path: Array = np.concatenate((back[:, ::-1], seeds[:, None], ahead), 1)
        reached: Array = np.concatenate((back_alive[:, ::-1], np.ones((len(seeds), 1), bool), ahead_alive), 1)
        return path, reached

    def _curves(self, paths: Array, alive: Array, reference: Array, radius: float) -> Tensor:
        """Quadratic curves (n, 13) along paths."""
        n, k, _ = paths.shape
        first, last = alive.argmax(1), k - 1 - alive[:, ::-1].argmax(1)
        rows = np.arange(n)
        start, end = paths[rows, first], paths[rows, last]
        middle = paths[rows, (first + last) // 2]
        control = 2 * middle - (start + end) / 2
        scale = np.array([self.width, self.height])
        span = end - start
        safe = np.where(np.abs(span) < 1e-3, 1.0, span)
        bend = np.where(np.abs(span) < 1e-3, 0.5, (control - start) / safe).clip(0, 1)
        colour = from_lab(self._at(reference, paths[:, k // 2])[:, None])[..., 0].T
        colour = towards_palette(colour, self.palette, 0.4 * self.config.colours)
        wide = radius * np.exp(0.15 * self.random.standard_normal((n, 1))).repeat(2, 1)
        high = BEZIER.field("radius").high
        values = np.concatenate(
            ((start / scale), bend, (end / scale), wide / high, np.full((n, 2), 0.95), colour.numpy()), 1
        )
        return torch.from_numpy(values.clip(0, 1)).float()

    def styled_lines(self, lines: Tensor) -> Tensor:
        """The picture's lines in the colours and the ink of the style, as far as its lines stand out, and of their width."""
        start, bend, end = (BEZIER.get(lines, name).double().numpy() for name in ("start", "bend", "end"))
        control = start + bend * (end - start)
        scale = np.array([self.width, self.height])
        parts = [(1 - t) ** 2 * start + 2 * t * (1 - t) * control + t * t * end for t in np.linspace(0.1, 0.9, 5)]
        samples = np.stack([self._at(self.full, part * scale) for part in parts])
        darkest = samples[samples[..., 0].argmin(0), np.arange(len(lines))]
        amount = self.config.colours * min(1.0, self.analysis.contrast / INK_CONTRAST)
        ink = to_lab(parse_palette(self.analysis.ink).T[..., None])[0]
        # Only dark lines: a pale one would become a scar.
        darkest += amount * (1 - darkest[:, :1] / 100).clip(0, 1) * (ink - darkest)
        lines = BEZIER.put(lines, "colour", from_lab(darkest[:, None])[..., 0].T)
        radius = BEZIER.get(lines, "radius")
        factor = float(np.clip((1.4 * self.analysis.radius[0] / max(float(radius.mean()), 1e-4)) ** 0.5, *LINE_WIDTHS))
        return BEZIER.put(lines, "radius", (factor * radius).clamp(min=1.0 / self.short))

    def _at(self, values: Array, points: Array) -> Array:
        """Values (H, W, ...) at points (n, 2)."""
        x = points[:, 0].astype(int).clip(0, self.width - 1)
        y = points[:, 1].astype(int).clip(0, self.height - 1)
        return values[y, x]
