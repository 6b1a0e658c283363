"""Intrinsic style transfer (Nakano 2019): optimise strokes through a renderer until they show a picture's content.

The style is never in the loss: it is the brush. Strokes are added coarse to fine where the error is, along the
picture's own lines, and all of them are optimised together by gradient descent; those that turn out to be worth little
are taken up again and placed where the error is now.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from painter.importance import importance
from painter.losses.pixels import Loss, pixels
from painter.placement import place
from renderer.brush import Brush
from renderer.canvas import paint
from renderer.constraints import UNCONSTRAINED, StrokeConstraints


@dataclass(frozen=True)
class OptimizeConfig:
    """How strokes are optimised."""

    steps: int = 1000
    """Gradient steps, when no time budget is given."""
    seconds: float | None = None
    """Time budget; replaces `steps`. A result then depends on the machine's speed."""
    stages: int = 8
    """How often strokes are added; each time more, and smaller ones."""
    stage_shares: tuple[float, ...] | None = None
    """How the strokes are shared out among the stages, coarse to fine (1, 3, 10): as many numbers as there are to be stages.
    By default few large and many small ones: the total grows as the cube of the stage."""
    growth: float = 0.5
    """The part of the budget during which strokes are added."""
    relocations: int = 5
    """How often, after that, the strokes that are worth least are placed anew."""
    relocate_fraction: float = 0.06
    """The share of the strokes that are placed anew each time."""
    radius: tuple[float, float] = (0.15, 0.01)
    """Radius of the first and of the last strokes as they are placed, as fractions of the short side."""
    geometry_lr: float = 0.008
    """Adam's learning rate for shapes, in [0, 1] units; falls to a twentieth by a cosine."""
    colour_lr: float = 0.02
    """The same for colour and opacity."""


DEFAULT_CONFIG = OptimizeConfig()


@dataclass(frozen=True)
class Progress:
    """After each gradient step: the part of the budget that is spent, the loss before it (of several pictures, the mean),
    and the strokes so far, (n, P) or (B, n, P)."""

    step: int
    spent: float
    loss: float
    strokes: Tensor


def optimize(
    target: Tensor,
    renderer: Brush,
    count: int,
    canvas: Tensor,
    config: OptimizeConfig = OptimizeConfig(),
    loss: Loss = pixels,
    start: Tensor | None = None,
    generator: torch.Generator | None = None,
    constraints: StrokeConstraints = UNCONSTRAINED,
    penalty: Callable[[Tensor], Tensor] | None = None,
    locked: Tensor | None = None,
) -> Iterator[Progress]:
    """Yields after each gradient step; the last `strokes`, `(count, P)`, are the painting of `target` (3, H, W).

    `canvas` (3, H, W) is the ground. `start` (n, P) are strokes to refine; the others up to `count` are added.
    `limits` hold for all strokes, also while they are optimised. `penalty` (B, n, P) -> (B,) is added to the loss: what
    strokes themselves should be, whatever picture they leave. Several pictures of one size are painted at once: target and
    canvas (B, 3, H, W), start (B, n, P), strokes (B, count, P). `locked` (n,) bool: which strokes of `start` stay bit for
    bit as they are; no stroke is relocated then, so that the order of painting stays, too.
    """
    if target.dim() == 3:
        start = None if start is None else start[None]
        batch = optimize(
            target[None], renderer, count, canvas[None], config, loss, start, generator, constraints, penalty, locked
        )
        yield from (replace(progress, strokes=progress.strokes[0]) for progress in batch)
        return
    if locked is not None:
        config = replace(config, relocations=0)

    def allowed_strokes(values: Tensor) -> Tensor:
        allowed = constraints.apply(values, renderer.space)
        if locked is None or start is None:
            return allowed
        n = len(locked)
        return torch.cat((torch.where(locked[:, None], start[:, :n], allowed[:, :n]), allowed[:, n:]), 1)

    begun, step, spent = time.monotonic(), 0, 0.0
    strokes = target.new_zeros(len(target), count, renderer.space.width)
    painted = 0 if start is None else min(start.shape[1], count)
    if start is not None:
        strokes[:, :painted] = start[:, :painted]
    # Optimising strokes / rate with one learning rate gives each field its own.
    rate = _rates(renderer, config).to(strokes)
    scaled = (strokes / rate).requires_grad_()
    optimizer = torch.optim.Adam([scaled], betas=(0.9, 0.99))
    events = _plan(config, count, painted)
    while spent < 1:
        while events and spent >= events[0].when:
            event = events.pop(0)
            with torch.no_grad():
                strokes = allowed_strokes(scaled * rate)
                if event.move:
                    pictures = zip(canvas, strokes, target, strict=True)
                    order = torch.stack([_by_worth(*parts, event.count, renderer) for parts in pictures])
                    _reorder(optimizer, scaled, order)
                    painted = count - event.count
                    strokes = allowed_strokes(scaled * rate)
                now = paint(canvas, strokes[:, :painted], renderer)
                for k, picture in enumerate(target):
                    placed = place(picture, now[k], event.count, event.radius, generator, renderer.space)
                    scaled[k, painted : painted + event.count] = placed / rate
                painted += event.count
        allowed = allowed_strokes(scaled[:, :painted] * rate)
        value = loss(paint(canvas, allowed, renderer), target)
        if penalty is not None:
            value = value + penalty(allowed)
        optimizer.zero_grad()
        value.sum().backward()
        optimizer.param_groups[0]["lr"] = 0.05 + 0.95 * (1 + math.cos(math.pi * spent)) / 2
        optimizer.step()
        with torch.no_grad():
            scaled.copy_(torch.minimum(scaled.clamp(min=0), 1 / rate))
            strokes = allowed_strokes((scaled * rate).clamp(0, 1))
        step += 1
        spent = step / config.steps if config.seconds is None else (time.monotonic() - begun) / config.seconds
        spent = min(spent, 1.0)
        yield Progress(step, spent, value.mean().item(), strokes[:, :painted])


@dataclass(frozen=True)
class _Event:
    when: float  # part of the budget
    count: int  # strokes to place
    radius: float
    move: bool  # take them from those already there


def _plan(config: OptimizeConfig, count: int, painted: int) -> list[_Event]:
    """When how many strokes of which radius are placed. With nothing to add, refinement may move strokes from the start."""
    events = []
    large, small = config.radius
    missing = count - painted
    begin = 0.0
    if missing > 0:
        shares = config.stage_shares or tuple((i + 1) ** 3 - i**3 for i in range(config.stages))
        shares = shares[:missing]  # each stage has one stroke at least
        stages = len(shares)
        totals = [round(missing * sum(shares[: i + 1]) / sum(shares)) for i in range(stages)]
        totals = [max(total, i + 1) for i, total in enumerate(totals)]
        for i, (old, new) in enumerate(zip([0, *totals], totals, strict=False)):
            radius = large * (small / large) ** (i / max(1, stages - 1))
            events.append(_Event(config.growth * i / stages, new - old, radius, False))
        begin = config.growth
    move = int(config.relocate_fraction * count)
    for i in range(config.relocations if move else 0):
        events.append(_Event(begin + (0.85 - begin) * i / config.relocations, move, 1.5 * small, True))
    return events


def _by_worth(canvas: Tensor, strokes: Tensor, target: Tensor, last: int, renderer: Brush) -> Tensor:
    """An order (N,) of one picture's strokes in which the `last` ones are those worth least, the others as they were."""
    order = importance(canvas, strokes, renderer, target).argsort(descending=True)
    return torch.cat((order[:-last].sort().values, order[-last:]))


def _reorder(optimizer: torch.optim.Optimizer, scaled: Tensor, order: Tensor) -> None:
    """Puts the strokes of the parameter (B, N, P) and of Adam's averages into `order` (B, N)."""
    index = order[..., None].expand_as(scaled)
    for rows in (scaled.data, *(value for value in optimizer.state[scaled].values() if value.shape == scaled.shape)):
        rows.copy_(rows.gather(1, index))


def _rates(renderer: Brush, config: OptimizeConfig) -> Tensor:
    rate = torch.full((renderer.space.width,), config.geometry_lr)
    for name in ("opacity", "colour"):
        rate[renderer.space.columns(name)] = config.colour_lr
    return rate
