"""Paint in rounds: propose strokes on several grids, refine them through the renderer, and paint the best.

    Algorithm: paint target t with n strokes
    gain(s | c) = |c - t|^2 - min_colour |over(c, s, colour) - t|^2        closed form, `agents.optimal_colour`

    c <- background;  done <- 0
    while done < n:
        k     <- min(max(min_strokes, growth * done), n - done)            strokes of this round
        grids <- 2x2, 4x4, ... cells, up to about 4 * done cells           `grids_for`
        S     <- union over grids g of policy(c, t, g)                     proposals of all scales compete
        S     <- the 2k + 2 with the largest gain(s | c), one per cell     `top_k_per_cell`
        S     <- ascend gain(s | c) in the shape of each s                 `refine_independently`
        R     <- (),  c' <- c
        for s in S, largest gain(s | c) first, until |R| = k:              `paint_greedily`
            if gain(s | c') >= min_gain_ratio * gain(s | c):
                c' <- over(c', s, best colour);  R <- R + (s)
        R     <- descend |paint(c, R) - t|^2 in all strokes of R           `paint_refined`
        c     <- paint(c, R);  done <- done + |R|
    descend |paint(background, all R) - t|^2 in all strokes                `refine_painting`

The policy only proposes. Gains and colours are computed from the canvas, which is known exactly (model-based). Because
cells of all sizes compete by gain, large strokes come first and small strokes go where detail is missing.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from agents.optimal_colour import gains, paint_greedily, score_candidates
from agents.planner import (
    DEFAULT_PLANNING,
    NO_PLANNING,
    Planning,
    paint_refined,
    refine_independently,
    refine_painting,
    top_k_per_cell,
)
from agents.policy import Policy
from renderer.brush import Brush
from renderer.canvas import lay
from renderer.checks import check_pictures
from renderer.constraints import UNCONSTRAINED, StrokeConstraints
from renderer.convert import translation
from renderer.errors import InputError
from renderer.ops.triton_strokes import usable

Grid = tuple[int, int]
"""(rows, columns) of cells on a canvas."""

CELL_PIXELS = 16  # side of the smallest cells of a round, at most


class Round(NamedTuple):
    """Result of a round on B pictures.

    canvas: `(B, 3, H, W)` after the round
    strokes: `(B, max_strokes, P)` in painting order; blank strokes (opacity 0) fill up each row
    mask: `(B, max_strokes)`, False for the blank strokes
    gain: `(B, K)` of all K proposals, each by itself on the canvas before the round; differentiable
    """

    canvas: Tensor
    strokes: Tensor
    mask: Tensor
    gain: Tensor


def rollout_round(
    policy: Policy,
    brush: Brush,
    canvas: Tensor,
    target: Tensor,
    *,
    grids: list[Grid],
    max_strokes: int | Sequence[int],
    min_gain_ratio: float = 0.5,
    noise: Tensor | None = None,
    planning: Planning = NO_PLANNING,
    constraints: StrokeConstraints = UNCONSTRAINED,
    translate: Callable[[Tensor], Tensor] | None = None,
) -> Round:
    """Paint one round on a batch of canvases (the body of the loop above).

    Args:
        policy: Proposes strokes.
        brush: Paints them; differentiable.
        canvas: `(B, 3, H, W)`, sRGB in [0, 1].
        target: `(B, 3, H, W)`, the pictures to paint.
        grids: The policy proposes strokes on each of these grids.
        max_strokes: Number of strokes painted at most, k above; of all pictures or of each.
        min_gain_ratio: A stroke is left for a later round when strokes painted before it have reduced its gain to less
            than this fraction. At 0 or less, every stroke is painted, even one that raises the error.
        noise: `(B, K)`, multiplies the gains that strokes are sorted by (exploration in training).
        planning: How much strokes are refined.
        constraints: Which strokes are allowed.
        translate: Converts the policy's strokes to the brush's stroke space (`renderer.convert`); None for no conversion.

    Returns:
        The round, differentiable in the policy's weights unless strokes are refined.

    Raises:
        InputError: The shapes do not belong together.
    """
    check_pictures(canvas, target)
    parts = [_propose(policy, canvas, target, grid) for grid in grids]
    strokes = torch.cat(parts, 1)
    strokes = constraints.apply(strokes if translate is None else translate(strokes), brush.space)
    if planning.independent_steps > 0 and not torch.is_grad_enabled():  # only some of them will be painted
        proposed_gain = gains(strokes, canvas, target, brush, palette=constraints.colours)
    else:
        candidates = score_candidates(strokes, canvas, target, brush, palette=constraints.colours)
        proposed_gain = candidates.gain
    limits = [max_strokes] * len(canvas) if isinstance(max_strokes, int) else list(max_strokes)
    most = max(limits)
    equal = min(limits) == most

    if planning.independent_steps > 0:
        cell, cell_size = _cells(grids, policy.each, proposed_gain)
        chosen = top_k_per_cell(proposed_gain.detach(), cell, 2 * most + 2)
        strokes = strokes.gather(1, chosen[..., None].expand(-1, -1, strokes.shape[-1]))
        strokes = refine_independently(
            strokes,
            canvas,
            target,
            brush,
            cell_size=cell_size[chosen],
            steps=planning.independent_steps,
            lr=planning.lr,
            constraints=constraints,
        )
        candidates = score_candidates(strokes, canvas, target, brush, palette=constraints.colours)

    gain = candidates.gain.detach()
    order = (gain if noise is None else gain * noise).argsort(1, descending=True)
    # A stroke with a gain below 1e-6 makes no visible difference.
    min_gain = (gain * min_gain_ratio).clamp(min=1e-6) if min_gain_ratio > 0 else torch.full_like(gain, -torch.inf)
    if planning.independent_steps > 0 and not equal:
        # What has been refined for pictures with more strokes is no candidate of those with fewer.
        min_gain = min_gain.masked_fill(~_first([2 * limit + 2 for limit in limits], min_gain), torch.inf)
    before = canvas
    canvas, strokes, mask = paint_greedily(
        candidates,
        canvas,
        target,
        brush,
        order=order,
        min_gain=min_gain,
        max_strokes=most,
        palette=constraints.colours,
    )
    if not equal:  # strokes are painted in their order, so that the first ones are those of a lower limit
        mask = mask & _first(limits, mask)
        strokes[..., brush.space.columns("opacity")] *= mask[..., None]
        if planning.joint_steps == 0:
            canvas = lay(before, strokes, brush)

    if planning.joint_steps > 0:
        # Few strokes converge in few steps. Compiled steps are cheap: twice as many lower the error by a tenth.
        times = 2 if brush.has_stroke_map and not usable(before) else 1
        steps = [times * min(planning.joint_steps, 8 + 2 * n) for n in mask.sum(1).tolist()]
        strokes, canvas = paint_refined(
            strokes, before, target, brush, mask=mask, steps=steps, lr=planning.lr, constraints=constraints
        )
    return Round(canvas, strokes, mask, proposed_gain)


def grids_for(size: tuple[int, int], stroke_count: int, *, min_cell_pixels: int = 4) -> list[Grid]:
    """List the grids to propose strokes on, coarse to fine: 2, 4, 8 ... cells on the short side, cells nearly square.

    Args:
        size: (height, width) of the canvas in pixels.
        stroke_count: Strokes on the canvas so far. A grid has at most about four times as many cells, so that early
            strokes are large.
        min_cell_pixels: Smallest side of a cell in pixels.

    Returns:
        (rows, columns) of each grid; one grid at least.
    """
    grids = []
    side = 2
    while side == 2 or (side * side <= 4 * (stroke_count + 4) and side * min_cell_pixels <= min(size)):
        cell = min(size) / side
        grids.append((max(1, round(size[0] / cell)), max(1, round(size[1] / cell))))
        side *= 2
    return grids


@torch.no_grad()
def paint_picture(
    policy: Policy,
    brush: Brush,
    canvas: Tensor,
    target: Tensor,
    count: int,
    *,
    planning: Planning = DEFAULT_PLANNING,
    constraints: StrokeConstraints = UNCONSTRAINED,
    growth: float = 0.5,
    min_strokes: int = 6,
    cell_pixels: int = CELL_PIXELS,
    existing: int = 0,
    seconds: float | None = None,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Paint one picture with exactly `count` strokes (the whole algorithm above).

    Args:
        policy: Proposes strokes.
        brush: Paints them; differentiable. The policy's strokes are converted to its stroke space.
        canvas: `(3, H, W)`, sRGB in [0, 1], the canvas to paint on.
        target: `(3, H, W)`, the picture to paint.
        count: Number of strokes.
        planning: How much strokes are refined before they are painted.
        constraints: Which strokes are allowed.
        growth: Strokes that a round adds, as a fraction of those already there.
        min_strokes: Strokes that a round adds at least. Early strokes change most, so they are chosen a few at a time.
        cell_pixels: Side in pixels that the smallest cell of a round has at most: a round of large cells works on a
            reduced picture.
        existing: Strokes that the canvas shows already, so that the new ones are as small as those after them.
        seconds: Time budget: strokes are refined less as it runs out. The result then depends on the speed of the machine.

    Yields:
        After each round, the canvas `(3, H, W)` and the strokes of that round `(n, P)`, n > 0, in painting order.

    Raises:
        InputError: Canvas and target do not belong together, or the policy proposes no finite strokes.
    """
    rounds = paint_pictures(
        policy,
        brush,
        [canvas],
        [target],
        count,
        planning=planning,
        constraints=constraints,
        growth=growth,
        min_strokes=min_strokes,
        cell_pixels=cell_pixels,
        existing=existing,
        seconds=seconds,
    )
    for _, painted, strokes in rounds:
        yield painted, strokes


@torch.no_grad()
def paint_pictures(
    policy: Policy,
    brush: Brush,
    canvases: Sequence[Tensor],
    targets: Sequence[Tensor],
    count: int,
    *,
    planning: Planning = DEFAULT_PLANNING,
    constraints: StrokeConstraints = UNCONSTRAINED,
    growth: float = 0.5,
    min_strokes: int = 6,
    cell_pixels: int = CELL_PIXELS,
    existing: int = 0,
    seconds: float | None = None,
) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Paint several pictures, each with exactly `count` strokes, as `paint_picture` paints one.

    Pictures of one size that have come equally far are painted in one round. Those ahead wait for the others, so that
    rounds stay large. Each picture is painted as it would be alone, within rounding.

    Args:
        policy: As of `paint_picture`, like all arguments that are not listed.
        brush: Paints the strokes.
        canvases: B canvases `(3, H, W)`; sizes may differ.
        targets: B pictures to paint, each of the size of its canvas.
        count: Number of strokes of each picture.
        planning: How much strokes are refined.
        constraints: Which strokes are allowed, on all pictures.
        growth: Strokes that a round adds, as a fraction of those already there.
        min_strokes: Strokes that a round adds at least.
        cell_pixels: Side in pixels that the smallest cell of a round has at most.
        existing: Strokes that each canvas shows already.
        seconds: Time budget of all pictures.

    Yields:
        For each picture of each round, its index in [0, B), its canvas `(3, H, W)` and the strokes of that round `(n, P)`,
        n > 0, in painting order.

    Raises:
        InputError: A canvas and its target do not belong together, or the policy proposes no finite strokes.
    """
    for pair in zip(canvases, targets, strict=True):
        check_pictures(*pair, dims=3, values=True)
    translate = translation(brush, {"brush": constraints.brush or 0.0})
    pictures = [_Picture(i, *pair, existing=existing) for i, pair in enumerate(zip(canvases, targets, strict=True))]
    pace = _Pace(seconds, count * len(pictures))
    while unfinished := [picture for picture in pictures if picture.done < count]:
        stage = min(picture.stage() for picture in unfinished)
        group = [picture for picture in unfinished if picture.stage() == stage]
        size, grids, min_gain_ratio = stage
        share = pace.share(sum(picture.done for picture in pictures))
        most = [min(max(min_strokes, int((p.done + p.existing) * growth)), count - p.done) for p in group]
        if share < LEAST_SHARE:  # no time to look at the canvas again
            most, min_gain_ratio = [count - p.done for p in group], min(min_gain_ratio, 0.1)
        # Strokes are independent of resolution, so that a round of large cells can work on a small picture.
        small = _size_for(grids[-1], size, cell_pixels)
        canvas, target = _stack([p.canvas for p in group]), _stack([p.target for p in group])
        small_canvas, small_target = _reduce(canvas, small), _reduce(target, small)
        result = rollout_round(
            policy,
            brush,
            small_canvas,
            small_target,
            grids=grids,
            max_strokes=most,
            min_gain_ratio=min_gain_ratio,
            planning=_reduced(planning, share),
            constraints=constraints,
            translate=translate,
        )
        painted = result.mask.sum(1).tolist()
        if any(painted):
            reduced = small_canvas.shape != canvas.shape
            canvas = lay(canvas, result.strokes[:, : max(painted)], brush) if reduced else result.canvas
        for i, (picture, n) in enumerate(zip(group, painted, strict=True)):
            if n > 0:
                picture.canvas = canvas[i]
                picture.done += n
                yield picture.index, picture.canvas, result.strokes[i, :n]
            elif picture.extra < 4 * count:
                picture.extra = 4 * (picture.done + picture.extra + 4)  # no stroke lowers the error: try finer grids
            elif picture.min_gain_ratio > 0:
                picture.min_gain_ratio = -math.inf  # no stroke of any grid does: take those that raise it least
            else:
                raise InputError("The policy proposes no finite strokes; its checkpoint is damaged.")


LEAST_SHARE = 0.1  # of the refinement; with less, strokes are painted as they are proposed


def _reduced(planning: Planning, share: float) -> Planning:
    """A share in [0, 1] of the steps of `planning`."""
    if share >= 1:
        return planning
    if share < LEAST_SHARE:
        return replace(planning, independent_steps=0, joint_steps=0)
    independent, joint = round(share * planning.independent_steps), round(share * planning.joint_steps)
    return replace(planning, independent_steps=independent, joint_steps=joint)


class _Pace:
    """How much of the refinement a time budget leaves time for: all of it, where there is none."""

    def __init__(self, seconds: float | None, strokes: int) -> None:
        self._seconds, self._strokes = seconds, strokes
        self._started = self._last = time.monotonic()
        self._done = 0
        self._share = 1.0
        self._full = 0.0  # seconds of a stroke that is refined in full

    def share(self, done: int) -> float:
        """The share in [0, 1] of the refinement for the next round, after `done` strokes of all."""
        if self._seconds is None:
            return 1.0
        now = time.monotonic()
        if done > self._done:
            # About a quarter of a round's time is not refinement.
            self._full = (now - self._last) / (done - self._done) / (0.25 + 0.75 * self._share)
        self._last, self._done = now, done
        left = self._seconds - (now - self._started)
        wanted = self._full * (self._strokes - done)
        if left <= 0:
            self._share = 0.0
        else:
            self._share = 1.0 if wanted <= left else max(0.0, (left / wanted - 0.25) / 0.75)
        return self._share


@dataclass(eq=False)
class _Picture:
    """A picture in progress."""

    index: int
    canvas: Tensor  # (3, H, W)
    target: Tensor
    done: int = 0  # strokes
    existing: int = 0  # strokes on the canvas at the start
    extra: int = 0  # added to those done, to propose on finer grids
    min_gain_ratio: float = 0.3

    def stage(self) -> tuple[tuple[int, int], list[Grid], float]:
        """What pictures painted in one round must have in common; of one size, the coarser grids come first."""
        size = (self.target.shape[-2], self.target.shape[-1])
        return size, grids_for(size, self.existing + self.done + self.extra), self.min_gain_ratio


class PolicyAgent:
    """An agent that paints with a policy: an `agents.registry.BatchAgent`, `AdjustableAgent` and `RefiningAgent`.

    Args:
        policy: Proposes strokes.
        brush: Paints them; differentiable.
        planning: How much strokes are refined.
        seconds: Time budget for a picture; None for none.
        existing: Strokes that canvases show already.
    """

    def __init__(
        self,
        policy: Policy,
        brush: Brush,
        planning: Planning = DEFAULT_PLANNING,
        *,
        seconds: float | None = None,
        existing: int = 0,
    ) -> None:
        self.policy = policy
        self.brush = brush
        self.planning = planning
        self.seconds = seconds
        self.existing = existing

    def adjusted(self, *, seconds: float | None = None, existing: int = 0) -> PolicyAgent:
        """See `agents.registry.AdjustableAgent`."""
        return PolicyAgent(self.policy, self.brush, self.planning, seconds=seconds, existing=existing)

    def __call__(
        self, canvas: Tensor, target: Tensor, count: int, *, constraints: StrokeConstraints = UNCONSTRAINED
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Paint one picture; see `paint_picture`."""
        rounds = self.paint_batch([canvas], [target], count, constraints=constraints)
        return ((painted, strokes) for _, painted, strokes in rounds)

    def paint_batch(
        self,
        canvases: Sequence[Tensor],
        targets: Sequence[Tensor],
        count: int,
        *,
        constraints: StrokeConstraints = UNCONSTRAINED,
    ) -> Iterator[tuple[int, Tensor, Tensor]]:
        """Paint several pictures; see `paint_pictures`."""
        return paint_pictures(
            self.policy,
            self.brush,
            canvases,
            targets,
            count,
            planning=self.planning,
            constraints=constraints,
            existing=self.existing,
            seconds=None if self.seconds is None else self.seconds * len(targets),
        )

    def refine(
        self,
        canvases: Tensor,
        targets: Tensor,
        strokes: Tensor,
        *,
        constraints: StrokeConstraints = UNCONSTRAINED,
        seconds: float | None = None,
    ) -> Tensor:
        """Refine all strokes of finished paintings; see `agents.planner.refine_painting`.

        Like the last round, on pictures that are no larger than so many strokes need.
        """
        size = (targets.shape[-2], targets.shape[-1])
        small = _size_for(grids_for(size, strokes.shape[1])[-1], size, CELL_PIXELS)
        canvases, targets = _reduce(canvases, small), _reduce(targets, small)
        with torch.no_grad():
            return refine_painting(
                strokes,
                canvases,
                targets,
                self.brush,
                planning=self.planning,
                constraints=constraints,
                seconds=seconds,
            )


def _propose(policy: Policy, canvas: Tensor, target: Tensor, grid: Grid) -> Tensor:
    """The policy's strokes `(B, K, P)`.

    On the CPU, convolutions round differently for different B, and planning enlarges the differences. One picture after
    another takes as long there, and each gets the strokes that it gets alone.
    """
    if canvas.device.type != "cpu" or torch.is_grad_enabled():
        return policy(canvas, target, grid)
    pairs = zip(canvas.split(1), target.split(1), strict=True)
    return torch.cat([policy(*pair, grid) for pair in pairs])


def _stack(pictures: list[Tensor]) -> Tensor:
    """Pictures `(3, H, W)` as `(B, 3, H, W)`; of a single one there is no copy, since it may take a gigabyte."""
    return pictures[0][None] if len(pictures) == 1 else torch.stack(pictures)


def _first(counts: list[int], like: Tensor) -> Tensor:
    """Mask `(B, K)`, the shape of `like`, of the first `counts[i]` entries of each row i."""
    return torch.arange(like.shape[1], device=like.device) < torch.tensor(counts, device=like.device)[:, None]


def _cells(grids: list[Grid], per_cell: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """For each of the K proposals of all grids, a number of its cell and the cell's side (of the short side), `(K,)`."""
    numbers, sides, first = [], [], 0
    for rows, columns in grids:
        count = rows * columns
        numbers.append(torch.arange(first, first + count, device=like.device).repeat(per_cell))
        sides.append(like.new_full((per_cell * count,), 1 / min(rows, columns)))
        first += count
    return torch.cat(numbers), torch.cat(sides)


def _size_for(grid: Grid, size: tuple[int, int], cell_pixels: int) -> tuple[int, int]:
    """The (height, width) at which the cells of a grid have `cell_pixels` pixels on their side."""
    scale = cell_pixels * min(grid) / min(size)
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _reduce(pictures: Tensor, size: tuple[int, int]) -> Tensor:
    """`(B, 3, H, W)` -> `(B, 3, h, w)` by area averaging; unchanged where that would enlarge it."""
    if size[0] >= pictures.shape[-2] or size[1] >= pictures.shape[-1]:
        return pictures
    return F.interpolate(pictures, size, mode="area")
