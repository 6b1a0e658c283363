"""Optimise strokes on a reduced picture first, where a step costs little, and at full size at last.

    s <- a size at which the strokes are a few pixels wide
    S <- optimize(t reduced to s), for most of the budget             strokes are added and relocated here
    S <- optimize(t, start=S), with small steps                       strokes only settle

Strokes are independent of resolution, so that what is found at one size is a start at another. (Others report the same: a
fit at 128 px and 40 joint steps at 256 px are better than 256 px alone, at a seventh of the cost.)
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from torch import Tensor
from torch.nn.functional import interpolate

from painter.optimize import OptimizeConfig, OptimizeStep, optimize
from renderer.brush import Brush
from renderer.io.images import fitted_size

LEAST_SIDE = 256  # pixels on the long side of a reduced picture
# Pixels on its long side for each square root of a stroke: the finest strokes stay wider than a pixel.
SIDE_PER_ROOT = 4.0
WORTHWHILE = 0.75  # of the long side: a picture that would be reduced less is not
SETTLING_STEPS = 40  # gradient steps at full size, at most a fifth of all
SETTLING_SECONDS = 0.45  # of a time budget
SETTLING_RATE = 0.25  # of the learning rates
FINEST_RADIUS = 0.14  # of the short side, divided by the square root of the number of strokes


def optimize_coarse_to_fine(
    target: Tensor, brush: Brush, count: int, *, canvas: Tensor, config: OptimizeConfig, **options: Any
) -> Iterator[OptimizeStep]:
    """Optimise strokes as `painter.optimize.optimize` does; large pictures at two sizes, small ones as they are.

    Args:
        target: `(B, 3, H, W)`, sRGB in [0, 1].
        brush: as for `optimize`.
        count: number of strokes per picture.
        canvas: `(B, 3, H, W)`.
        config: the budget is that of both sizes together.
        options: as for `optimize`.

    Yields:
        The state after each gradient step.

    Raises:
        InputError: as `optimize`.
    """
    size = reduced_size((target.shape[2], target.shape[3]), count)
    settling = min(SETTLING_STEPS, config.steps // 5)
    if size is None or (config.seconds is None and settling == 0):
        yield from optimize(target, brush, count, canvas=canvas, config=config, **options)
        return
    large, small = config.radius
    finest = min(small, FINEST_RADIUS / math.sqrt(count))
    seconds = config.seconds
    found = replace(
        config,
        steps=config.steps - settling,
        seconds=None if seconds is None else (1 - SETTLING_SECONDS) * seconds,
        radius=(max(large, finest), finest),
    )
    settle = replace(
        config,
        steps=settling,
        seconds=None if seconds is None else SETTLING_SECONDS * seconds,
        relocations=0,
        geometry_lr=SETTLING_RATE * config.geometry_lr,
        colour_lr=SETTLING_RATE * config.colour_lr,
        relative_lr=None if config.relative_lr is None else SETTLING_RATE * config.relative_lr,
    )
    share = found.steps / config.steps if seconds is None else 1 - SETTLING_SECONDS
    start, done = options.pop("start", None), 0
    small_target, small_canvas = (interpolate(pictures, size, mode="area") for pictures in (target, canvas))
    for step in optimize(small_target, brush, count, canvas=small_canvas, config=found, start=start, **options):
        start, done = step.strokes, step.step
        yield replace(step, progress=share * step.progress)
    for step in optimize(target, brush, count, canvas=canvas, config=settle, start=start, **options):
        yield replace(step, step=done + step.step, progress=share + (1 - share) * step.progress)


def reduced_size(size: tuple[int, int], count: int) -> tuple[int, int] | None:
    """The height and width on which `count` strokes are found, or None where that is the picture's own size.

    >>> reduced_size((512, 768), 512), reduced_size((1200, 1200), 16_000), reduced_size((128, 128), 200)
    ((171, 256), (506, 506), None)
    """
    longest = max(LEAST_SIDE, round(SIDE_PER_ROOT * math.sqrt(count)))
    return fitted_size(size, longest) if longest <= WORTHWHILE * max(size) else None
