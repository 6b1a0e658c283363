"""Options of how to paint, which several commands share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from experiments.cli import require, whole_number
from painter.api import MAX_SIZE, MAX_STROKES, Painter, background_colour, default_size
from painter.faint_features import DEFAULT_FEATURES, check_amount
from painter.methods import METHODS, Method
from painter.optimize import OptimizeConfig
from renderer.brush import require_gradient
from renderer.constraints import StrokeConstraints, parse_palette
from renderer.errors import InputError
from renderer.strokes import BEZIER


@dataclass(frozen=True, kw_only=True)
class PaintingOptions:
    """How to paint an image."""

    method: str = "agent"
    """agent: a policy and planning; optimize: gradient descent on the strokes; hybrid: the agent's strokes, optimised;
    lines: the agent paints masses, then ink lines are traced on them."""
    strokes: int = 200
    """How many strokes, exactly."""
    size: int | None = None
    """Pixels on the long side while painting. By default 128 for up to 200 strokes, and more for more strokes: 200 for 500,
    640 for 5,000."""
    renderer: str = "bezier"
    """The brush: bezier, a learned MyPaint brush (ink, watercolour ...), two or more of them (watercolour+ink; with
    --method lines, the last one draws the lines), analytic, a checkpoint of your own, or module:Class."""
    blend: float | None = None
    """Of several brushes, paint with this mixture only: 0 is the first, 1 the last."""
    agent: str = "agent"
    """The agent's checkpoint, or module:Class."""
    steps: int = OptimizeConfig.steps
    """Gradient steps of optimize and hybrid when no --seconds are given; lines take a fifth."""
    opaque: bool = False
    """No transparency, as a physical painter needs it."""
    min_radius: float = StrokeConstraints.min_radius
    """Least radius of a stroke, as a fraction of the short side."""
    max_radius: float = StrokeConstraints.max_radius
    """Greatest radius of a stroke, as a fraction of the short side."""
    palette: str | None = None
    """The only colours: how many to choose from each image (8), or which ('#1a1a1a,#c0392b,#f5e6c8')."""
    background: str = "#ffffff"
    """The colour that the painting begins on: '#c69c5a', or mean, the image's mean colour."""
    features: float = DEFAULT_FEATURES
    """How much of their contrast faint features gain while the agent paints, 0 to 4: closed eyes on a white face, say."""
    seed: int = 0
    """Of all randomness. Equal seeds and numbers of threads (OMP_NUM_THREADS) give equal paintings."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1 ..."""

    def check(self) -> None:
        """Raise `InputError` for options out of range, before any work."""
        if self.method not in METHODS:
            raise InputError(f"There is no method {self.method!r}; choose one of {', '.join(METHODS)}.")
        if not 1 <= self.strokes <= MAX_STROKES:
            raise InputError(f"--strokes must be between 1 and {MAX_STROKES:,}, not {self.strokes}.")
        if self.size is not None and not 1 <= self.size <= MAX_SIZE:
            raise InputError(f"--size must be between 1 and {MAX_SIZE} pixels, not {self.size}.")
        require(self, steps=1)
        check_amount(self.features)
        self.constraints().for_image(torch.zeros(3, 1, 1)).apply(BEZIER.sample(1), BEZIER)
        background_colour(self.background, torch.zeros(3, 1, 1))
        require_gradient(self.renderer)

    def working_size(self) -> int:
        """Pixels on the long side while painting."""
        return default_size(self.strokes) if self.size is None else self.size

    def constraints(self) -> StrokeConstraints:
        """The constraints of the strokes. Raises `InputError`."""
        palette: Tensor | int | None = None
        if self.palette is not None:
            count = whole_number(self.palette)
            palette = parse_palette(self.palette) if count is None else count
        return StrokeConstraints(self.opaque, self.min_radius, self.max_radius, palette, self.blend)

    def painter(self, device: str | None = None) -> Painter:
        """Load a painter, on `device` or that of the options. Raises `InputError`."""
        return Painter(
            cast(Method, self.method),  # see `check`
            brush=self.renderer,
            agent=self.agent,
            device=device or self.device,
            config=OptimizeConfig(steps=self.steps),
        )
