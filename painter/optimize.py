"""Intrinsic style transfer (Nakano 2019): optimise strokes through a differentiable brush until they show a picture.

    Algorithm: paint target t with n strokes, within a budget of steps or seconds
    S <- ()
    while the budget lasts:
        at the start of each stage, coarse to fine:
            add strokes to S, where |paint(canvas, S) - t|^2 is large       `painter.placement`
        `relocations` times, once all strokes are there:
            remove the strokes of least importance, and add as many anew    `painter.importance`
        S <- Adam step on loss(lay(canvas, S), g) + penalty(S), projected onto the constraints

    where g is t until half of the budget is used, and then, taken anew a few times (defect correction),
        g <- t + lay(canvas, S) - what the reference brush draws of S
    so that the errors of the learned brush are made up for. Losses on features see t.

The style is not in the loss: it is the brush's. All strokes are optimised together.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from painter.descent import CompiledDescent, Descent, TorchDescent
from painter.importance import importance
from painter.losses.pixels import Loss, mse
from painter.placement import place
from renderer.brush import Brush
from renderer.canvas import lay
from renderer.checks import check_painting, check_pictures
from renderer.constraints import UNCONSTRAINED, StrokeConstraints
from renderer.ops.refine_strokes import fused, squared_error
from renderer.ops.triton_strokes import usable
from renderer.strokes import StrokeSpace


@dataclass(frozen=True)
class OptimizeConfig:
    """How strokes are optimised."""

    steps: int = 1000
    """Gradient steps, if no time budget is given."""
    seconds: float | None = None
    """Time budget; replaces `steps`. The result then depends on the speed of the machine."""
    stages: int = 8
    """Number of times strokes are added, each time more and smaller ones."""
    stage_shares: tuple[float, ...] | None = None
    """Relative number of strokes per stage, coarse to fine, such as 1 3 10; replaces `stages`. By default, the total grows
    as the cube of the stage, so that there are few large strokes and many small ones."""
    growth: float = 0.5
    """Fraction of the budget during which strokes are added."""
    relocations: int = 5
    """Number of times, after that, the least important strokes are removed and placed anew."""
    relocate_fraction: float = 0.06
    """Fraction of the strokes that each relocation removes and places anew."""
    radius: tuple[float, float] = (0.15, 0.01)
    """Radius of the first and of the last strokes when they are added, as fractions of the canvas' short side."""
    geometry_lr: float = 0.008
    """Adam's learning rate for positions, bend and radius, in [0, 1] units; falls to a twentieth by a cosine."""
    colour_lr: float = 0.02
    """Adam's learning rate for colour and opacity; falls likewise."""
    relative_lr: float | None = None
    """Learning rate in units of each stroke's own thickness, instead of the two above; falls likewise."""
    betas: tuple[float, float] = (0.9, 0.99)
    """Adam's decay rates of the mean and of the square of gradients."""


DEFAULT_CONFIG = OptimizeConfig()

Proposer = Callable[[Tensor, Tensor, int], Tensor]
"""Canvas and target `(3, H, W)` and a number -> as many strokes `(n, P)` to add."""

MAX_RELOCATION_TIME = 0.3  # of the time spent so far: with a time budget, relocations are left out where they take more


# The learned brush is nearly, but not exactly, the reference brush that draws the painting at last.
CORRECTED = (0.5, 0.95)  # of the budget, when the first and the last correction is made
MOST_CORRECTIONS = 10
MAX_CORRECTION_TIME = 0.1  # of the time spent so far, with a time budget


@dataclass(frozen=True)
class OptimizeStep:
    """State after a gradient step.

    step: number of gradient steps done, from 1
    progress: fraction of the budget used, in (0, 1]
    mean_loss: before the step, averaged over the pictures of a batch, `()`
    strokes: all strokes so far, `(n, P)`, or `(B, n, P)` for a batch
    """

    step: int
    progress: float
    mean_loss: Tensor
    strokes: Tensor

    @property
    def loss(self) -> float:
        """`mean_loss` as a number. On a GPU this waits until the step is done."""
        return self.mean_loss.item()


def optimize(
    target: Tensor,
    brush: Brush,
    count: int,
    *,
    canvas: Tensor,
    config: OptimizeConfig = DEFAULT_CONFIG,
    loss: Loss = mse,
    start: Tensor | None = None,
    generator: torch.Generator | Sequence[torch.Generator] | None = None,
    constraints: StrokeConstraints = UNCONSTRAINED,
    penalty: Callable[[Tensor], Tensor] | None = None,
    locked: Tensor | None = None,
    propose: Proposer | None = None,
) -> Iterator[OptimizeStep]:
    """Optimise `count` strokes until they show `target`.

    Args:
        target: `(3, H, W)`, sRGB in [0, 1], or `(B, 3, H, W)` for a batch of pictures painted at once.
        brush: A differentiable brush.
        count: Number of strokes per picture.
        canvas: `(3, H, W)` or `(B, 3, H, W)`, the canvas to paint on.
        config: Budget, stages and learning rates.
        loss: Maps canvas and target, both `(B, 3, H, W)`, to `(B,)`.
        start: `(n, P)` or `(B, n, P)`, strokes to refine; further strokes are added up to `count`.
        generator: Draws the positions of new strokes, on the CPU; None for PyTorch's default generator. With one for each
            picture of a batch, the positions are those of each picture alone.
        constraints: Which strokes are allowed, at every step.
        penalty: Maps the strokes `(B, n, P)` to `(B,)`, added to the loss (`painter.losses.guidance`).
        locked: `(n,)` booleans, which strokes of `start` stay bit for bit as they are. With locked strokes, none are
            relocated, so that the painting order stays too.
        propose: Proposes the strokes that relocations place anew; by default, `painter.placement.place` does.

    Yields:
        The state after each gradient step; its `strokes` are `(count, P)` or `(B, count, P)` at the end.

    Raises:
        InputError: Canvas, target and start do not belong together, or a value of start is not finite.
    """
    if target.dim() == 3:
        batch = optimize(
            target[None],
            brush,
            count,
            canvas=canvas[None],
            config=config,
            loss=loss,
            start=None if start is None else start[None],
            generator=generator,
            constraints=constraints,
            penalty=penalty,
            locked=locked,
            propose=propose,
        )
        yield from (replace(step, strokes=step.strokes[0]) for step in batch)
        return
    check_pictures(canvas, target, values=True)
    if start is not None:
        check_painting(canvas, start, brush.space)
    generators = generator if isinstance(generator, Sequence) else [generator] * len(target)
    if locked is not None:
        config = replace(config, relocations=0)

    def allowed(strokes: Tensor) -> Tensor:
        """The nearest allowed strokes; locked ones as they were."""
        nearest = constraints.apply(strokes, brush.space)
        if locked is None or start is None:
            return nearest
        n = len(locked)
        return torch.cat((torch.where(locked[:, None], start[:, :n], nearest[:, :n]), nearest[:, n:]), 1)

    def lr_of(strokes: Tensor) -> Tensor:
        return _learning_rates(brush.space, config, strokes, (target.shape[-2], target.shape[-1]))

    started, step, progress = time.monotonic(), 0, 0.0
    goal = target.clone(memory_format=torch.contiguous_format)  # g of the algorithm above
    empty = target.new_zeros(len(target), 0, brush.space.width)
    given = empty if start is None else start[:, :count]
    weights = fused(brush, target.new_zeros(1, count, brush.space.width), canvas, target) if loss is mse else None
    reference = None if weights is None else brush.quick_reference()
    corrections = [] if reference is None else _corrections(config)

    def value_of(strokes: Tensor) -> Tensor:
        current = allowed(strokes)
        if weights is None:
            value = loss(lay(canvas, current, brush), target)
        else:
            value = squared_error(current, canvas, goal, weights) / target[0].numel()
        return value if penalty is None else value + penalty(current)

    limits = constraints.limits(brush.space)
    descent: Descent
    if weights is not None and penalty is None and limits is not None:
        descent = CompiledDescent(empty, canvas, goal, weights, limits=limits, locked=locked, betas=config.betas)
    else:
        # Other losses and penalties may draw random numbers, which a recorded step would repeat.
        record = loss is mse and penalty is None
        descent = TorchDescent(empty, count, value_of, betas=config.betas, record=record)
    descent.add(given, lr_of(given))
    strokes = given  # so far

    def placed(new: _Placement, canvas: Tensor, picture: Tensor, generator: torch.Generator | None) -> Tensor:
        """New strokes (n, P) on a picture's canvas."""
        if new.relocate and propose is not None:
            return propose(canvas, picture, new.count)
        return place(picture, canvas, new.count, radius=new.radius, generator=generator, space=brush.space)

    @torch.no_grad()
    def put(new: _Placement) -> None:
        if new.relocate:
            descent.keep(_most_important(canvas, allowed(descent.strokes()), target, count - new.count, brush))
        current = lay(canvas, allowed(descent.strokes()), brush)
        added = torch.stack([placed(new, *given) for given in zip(current, target, generators, strict=True)])
        descent.add(added, lr_of(added))

    placements = _schedule(config, count, strokes.shape[1])
    relocation_time = correction_time = 0.0
    while progress < 1 or strokes.shape[1] < count:  # a budget that is over too early still gives all strokes
        while placements and progress >= placements[0].at:
            new, begun = placements.pop(0), time.monotonic()
            too_slow = config.seconds is not None and relocation_time > MAX_RELOCATION_TIME * (begun - started)
            if new.relocate and too_slow:
                continue
            put(new)
            if new.relocate:
                relocation_time += time.monotonic() - begun
        while reference is not None and corrections and strokes.shape[1] == count and progress >= corrections[0]:
            corrections.pop(0)
            begun = time.monotonic()
            if config.seconds is None or correction_time <= MAX_CORRECTION_TIME * (begun - started):
                with torch.no_grad():
                    current = allowed(descent.strokes())
                    goal.copy_(target + lay(canvas, current, brush) - lay(canvas, current, reference))
                correction_time += time.monotonic() - begun
        descent.step(0.05 + 0.95 * (1 + math.cos(math.pi * progress)) / 2)
        with torch.no_grad():
            strokes = allowed(descent.strokes())
        step += 1
        if config.seconds is not None and usable(strokes):
            torch.cuda.synchronize(target.device)  # the clock must not run ahead of the GPU
        used = step / config.steps if config.seconds is None else (time.monotonic() - started) / config.seconds
        progress = min(used, 1.0)
        yield OptimizeStep(step, progress, descent.mean_loss.clone(), strokes)


def _corrections(config: OptimizeConfig) -> list[float]:
    """At which progress the difference between the brush and the reference brush is taken anew."""
    first, last = CORRECTED
    count = MOST_CORRECTIONS if config.seconds is not None else min(MOST_CORRECTIONS, config.steps // 30)
    return [first + (last - first) * i / max(1, count - 1) for i in range(count)]


@dataclass(frozen=True)
class _Placement:
    at: float  # fraction of the budget
    count: int  # strokes to place
    radius: float  # fraction of the short side
    relocate: bool  # whether as many strokes are removed before


def _schedule(config: OptimizeConfig, count: int, painted: int) -> list[_Placement]:
    """When strokes are added and relocated."""
    placements = []
    large, small = config.radius
    missing = count - painted
    grown = 0.0
    if missing > 0:
        shares = config.stage_shares or tuple((i + 1) ** 3 - i**3 for i in range(config.stages))
        shares = shares[:missing]  # each stage adds one stroke at least
        stages = len(shares)
        totals = [round(missing * sum(shares[: i + 1]) / sum(shares)) for i in range(stages)]
        totals = [max(total, i + 1) for i, total in enumerate(totals)]
        for i, (before, after) in enumerate(zip([0, *totals], totals, strict=False)):
            radius = large * (small / large) ** (i / max(1, stages - 1))
            placements.append(_Placement(config.growth * i / stages, after - before, radius, relocate=False))
        grown = config.growth
    relocated = int(config.relocate_fraction * count)
    first = int(missing <= 0)  # strokes that are there from the start are optimised before
    for i in range(config.relocations if relocated else 0):
        at = grown + (0.85 - grown) * (i + first) / (config.relocations + first)
        placements.append(_Placement(at, relocated, 1.5 * small, relocate=True))
    return placements


def _most_important(canvas: Tensor, strokes: Tensor, target: Tensor, kept: int, brush: Brush) -> Tensor:
    """The indices `(B, kept)` of the most important strokes `(B, N, P)`, in painting order."""
    order = importance(strokes, canvas, target, brush).argsort(descending=True)
    return order[:, :kept].sort().values


def _learning_rates(space: StrokeSpace, config: OptimizeConfig, strokes: Tensor, size: tuple[int, int]) -> Tensor:
    """The learning rate of each number of strokes (B, N, P), of the same shape."""
    if config.relative_lr is not None:
        return config.relative_lr * space.step_sizes_of(strokes, size)
    rates = [config.colour_lr if field.kind == "appearance" else config.geometry_lr for field in space.fields]
    columns = torch.tensor(rates).repeat_interleave(torch.tensor([field.size for field in space.fields]))
    return columns.to(strokes).expand_as(strokes).clone()
