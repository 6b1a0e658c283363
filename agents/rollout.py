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
        R     <- descend |paint(c, R) - t|^2 in all strokes of R           `refine_jointly`
        c     <- paint(c, R);  done <- done + |R|

The policy only proposes. Gains and colours are computed from the canvas, which is known exactly (model-based). Because
cells of all sizes compete by gain, large strokes come first and small strokes go where detail is missing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from agents.optimal_colour import paint_greedily, score_candidates
from agents.planner import DEFAULT_PLANNING, NO_PLANNING, Planning, refine_independently, refine_jointly, top_k_per_cell
from agents.policy import Policy
from renderer.brush import Brush
from renderer.canvas import paint
from renderer.constraints import UNCONSTRAINED, StrokeConstraints
from renderer.convert import translation
from renderer.errors import InputError

Grid = tuple[int, int]
"""(rows, columns) of cells on a canvas."""


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
    max_strokes: int,
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
        max_strokes: Number of strokes painted at most, k above.
        min_gain_ratio: A stroke is left for a later round when strokes painted before it have reduced its gain to less
            than this fraction. At 0 or less, every stroke is painted, even one that raises the error.
        noise: `(B, K)`, multiplies the gains that strokes are sorted by (exploration in training).
        planning: How much strokes are refined.
        constraints: Which strokes are allowed.
        translate: Converts the policy's strokes to the brush's stroke space (`renderer.convert`); None for no conversion.

    Returns:
        The round, differentiable in the policy's weights unless strokes are refined.
    """
    parts = [policy(canvas, target, grid) for grid in grids]
    strokes = torch.cat(parts, 1)
    strokes = constraints.apply(strokes if translate is None else translate(strokes), brush.space)
    candidates = score_candidates(strokes, canvas, target, brush, palette=constraints.colours)
    proposed_gain = candidates.gain

    if planning.independent_steps > 0:
        cell, cell_size = _cells(grids, policy.each, proposed_gain)
        chosen = top_k_per_cell(proposed_gain.detach(), cell, 2 * max_strokes + 2)
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
    before = canvas
    canvas, strokes, mask = paint_greedily(
        candidates,
        canvas,
        target,
        brush,
        order=order,
        min_gain=min_gain,
        max_strokes=max_strokes,
        palette=constraints.colours,
    )

    if planning.joint_steps > 0:
        steps = min(planning.joint_steps, 8 + 2 * int(mask.sum(1).max()))  # few strokes converge in few steps
        strokes = refine_jointly(
            strokes, before, target, brush, mask=mask, steps=steps, lr=planning.lr, constraints=constraints
        )
        canvas = paint(before, strokes, brush)
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
    cell_pixels: int = 16,
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

    Yields:
        After each round, the canvas `(3, H, W)` and the strokes of that round `(n, P)`, n > 0, in painting order.

    Raises:
        InputError: The policy proposes no finite strokes.
    """
    size = (target.shape[-2], target.shape[-1])
    translate = translation(brush, {"brush": constraints.brush or 0.0})
    done = 0
    extra, min_gain_ratio = 0, 0.3  # `extra` strokes are added to those done, to propose on finer grids
    while done < count:
        grids = grids_for(size, done + extra)
        # Strokes are independent of resolution, so that a round of large cells can work on a small picture.
        scale = cell_pixels * min(grids[-1]) / min(size)
        small = (max(1, round(size[0] * scale)), max(1, round(size[1] * scale)))
        small_canvas, small_target = (_reduce(picture, small) for picture in (canvas, target))
        result = rollout_round(
            policy,
            brush,
            small_canvas,
            small_target,
            grids=grids,
            max_strokes=min(max(min_strokes, int(done * growth)), count - done),
            min_gain_ratio=min_gain_ratio,
            planning=planning,
            constraints=constraints,
            translate=translate,
        )
        strokes = result.strokes[0, result.mask[0]]
        if len(strokes) > 0:
            canvas = result.canvas[0] if small_canvas.shape[2:] == size else paint(canvas, strokes, brush)
            done += len(strokes)
            yield canvas, strokes
        elif extra < 4 * count:
            extra = 4 * (done + extra + 4)  # no stroke of these grids lowers the error: try finer grids
        elif min_gain_ratio > 0:
            min_gain_ratio = -math.inf  # no stroke of any grid does: take those that raise it least
        else:
            raise InputError("The policy proposes no finite strokes; its checkpoint is damaged.")


def _cells(grids: list[Grid], per_cell: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """For each of the K proposals of all grids, a number of its cell and the cell's side (of the short side), `(K,)`."""
    numbers, sides, first = [], [], 0
    for rows, columns in grids:
        count = rows * columns
        numbers.append(torch.arange(first, first + count, device=like.device).repeat(per_cell))
        sides.append(like.new_full((per_cell * count,), 1 / min(rows, columns)))
        first += count
    return torch.cat(numbers), torch.cat(sides)


def _reduce(picture: Tensor, size: tuple[int, int]) -> Tensor:
    """`(3, H, W)` -> `(1, 3, h, w)` by area averaging; unchanged where that would enlarge it."""
    if size[0] >= picture.shape[-2] or size[1] >= picture.shape[-1]:
        return picture[None]
    return F.interpolate(picture[None], size, mode="area")
