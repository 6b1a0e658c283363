"""Intrinsic style transfer (Nakano 2019): optimise strokes through a renderer until they show a picture's content.

The style is never in the loss: it is the brush. Strokes are added coarse to fine where the error is, along the
picture's own lines, and all of them are optimised together by gradient descent; those that turn out to be worth little
are taken up again and placed where the error is now.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from painter.losses import Loss, pixels
from painter.placement import place
from renderer.canvas import paint
from renderer.limits import FREE, Limits
from renderer.protocol import Renderer
from renderer.worth import worth


@dataclass(frozen=True)
class TransferConfig:
    """How strokes are optimised."""

    steps: int = 1000
    """Gradient steps, when no time budget is given."""
    seconds: float | None = None
    """Time budget; replaces `steps`. A result then depends on the machine's speed."""
    stages: int = 8
    """How often strokes are added; each time more, and smaller ones."""
    growth: float = 0.5
    """The part of the budget during which strokes are added."""
    moves: int = 5
    """How often, after that, the strokes that are worth least are placed anew."""
    moved: float = 0.06
    """The share of the strokes that are placed anew each time."""
    radius: tuple[float, float] = (0.15, 0.01)
    """Radius of the first and of the last strokes as they are placed, as fractions of the short side."""
    shape_rate: float = 0.008
    """Adam's learning rate for shapes, in [0, 1] units; falls to a twentieth by a cosine."""
    colour_rate: float = 0.02
    """The same for colour and opacity."""


@dataclass(frozen=True)
class Progress:
    """After each gradient step: the part of the budget that is spent, the loss before it, and the strokes so far (n, P)."""

    step: int
    spent: float
    loss: float
    strokes: Tensor


def transfer(
    target: Tensor,
    renderer: Renderer,
    count: int,
    canvas: Tensor,
    config: TransferConfig = TransferConfig(),
    loss: Loss = pixels,
    start: Tensor | None = None,
    generator: torch.Generator | None = None,
    limits: Limits = FREE,
) -> Iterator[Progress]:
    """Yields after each gradient step; the last `strokes`, `(count, P)`, are the painting of `target` (3, H, W).

    `canvas` (3, H, W) is the ground. `start` (n, P) are strokes to refine; the others up to `count` are added.
    `limits` hold for all strokes, also while they are optimised.
    """
    begun, step, spent = time.monotonic(), 0, 0.0
    strokes = target.new_zeros(count, renderer.space.width)
    painted = 0 if start is None else min(len(start), count)
    if start is not None:
        strokes[:painted] = start[:painted]
    # Optimising strokes / rate with one learning rate gives each field its own.
    rate = _rates(renderer, config).to(strokes)
    scaled = (strokes / rate).requires_grad_()
    optimizer = torch.optim.Adam([scaled], betas=(0.9, 0.99))
    events = _plan(config, count, painted)
    while spent < 1:
        while events and spent >= events[0].when:
            event = events.pop(0)
            with torch.no_grad():
                strokes = limits.apply(scaled * rate, renderer.space)
                if event.move:
                    order = worth(canvas, strokes, renderer, target).argsort(descending=True)
                    order = torch.cat((order[: -event.count].sort().values, order[-event.count :]))
                    _reorder(optimizer, scaled, order)
                    painted, strokes = count - event.count, strokes[order]
                now = paint(canvas, strokes[:painted], renderer)
                scaled[painted : painted + event.count] = (
                    place(target, now, event.count, event.radius, generator, renderer.space) / rate
                )
                painted += event.count
        allowed = limits.apply(scaled[:painted] * rate, renderer.space)
        value = loss(paint(canvas, allowed, renderer)[None], target[None])[0]
        optimizer.zero_grad()
        value.backward()
        optimizer.param_groups[0]["lr"] = 0.05 + 0.95 * (1 + math.cos(math.pi * spent)) / 2
        optimizer.step()
        with torch.no_grad():
            scaled.copy_(torch.minimum(scaled.clamp(min=0), 1 / rate))
            strokes = limits.apply((scaled * rate).clamp(0, 1), renderer.space)
        step += 1
        spent = step / config.steps if config.seconds is None else (time.monotonic() - begun) / config.seconds
        spent = min(spent, 1.0)
        yield Progress(step, spent, value.item(), strokes[:painted])


@dataclass(frozen=True)
class _Event:
    when: float  # part of the budget
    count: int  # strokes to place
    radius: float
    move: bool  # take them from those already there


def _plan(config: TransferConfig, count: int, painted: int) -> list[_Event]:
    """When how many strokes of which radius are placed. With nothing to add, refinement may move strokes from the start."""
    events = []
    large, small = config.radius
    missing = count - painted
    begin = 0.0
    if missing > 0:
        stages = min(config.stages, missing)
        # Few large strokes and many small ones: the total grows as the square of the stage.
        totals = [round(missing * ((i + 1) / stages) ** 3) for i in range(stages)]
        totals = [max(total, i + 1) for i, total in enumerate(totals)]
        for i, (old, new) in enumerate(zip([0, *totals], totals, strict=False)):
            radius = large * (small / large) ** (i / max(1, stages - 1))
            events.append(_Event(config.growth * i / stages, new - old, radius, False))
        begin = config.growth
    move = int(config.moved * count)
    for i in range(config.moves if move else 0):
        events.append(_Event(begin + (0.85 - begin) * i / config.moves, move, 1.5 * small, True))
    return events


def _reorder(optimizer: torch.optim.Optimizer, scaled: Tensor, order: Tensor) -> None:
    """Puts the rows of the parameter and of Adam's averages into `order`."""
    for rows in (scaled.data, *(value for value in optimizer.state[scaled].values() if value.shape == scaled.shape)):
        rows.copy_(rows[order])


def _rates(renderer: Renderer, config: TransferConfig) -> Tensor:
    rate = torch.full((renderer.space.width,), config.shape_rate)
    for name in ("opacity", "colour"):
        rate[renderer.space.columns(name)] = config.colour_rate
    return rate
