"""Painting in rounds: propose strokes on several grids, weigh and improve them with the known model, paint the best.

The policy proposes; the model of the canvas is known (it is the renderer), so that each proposal's best colour and gain
are computed and not guessed, and the strokes of a round go down in the order of what they gain. Whole grids compete, so
that large strokes come first and small ones go where they are needed.
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

Grid = tuple[int, int]


class Round(NamedTuple):
    """What one round did.

    canvas: (B, 3, H, W) afterwards
    strokes: (B, limit, P) in painting order; where `real` (B, limit) is false, a blank stands in
    gain: (B, K) of all that was proposed, each alone
    """

    canvas: Tensor
    strokes: Tensor
    real: Tensor
    gain: Tensor


def rollout_round(
    policy: Policy,
    renderer: Brush,
    canvas: Tensor,
    target: Tensor,
    grids: list[Grid],
    limit: int,
    min_gain_ratio: float = 0.5,
    noise: Tensor | None = None,
    planning: Planning = NO_PLANNING,
    constraints: StrokeConstraints = UNCONSTRAINED,
    translate: Callable[[Tensor], Tensor] | None = None,
) -> Round:
    """One round on canvas and target (B, 3, H, W). At most `limit` strokes are painted.

    A stroke whose gain has fallen below `patience` times what it was, because others of the round went before it, is
    left for a later round. `noise` (B, K) multiplies gains for the order only (exploration). `translate` turns the
    policy's strokes into the renderer's, where that has others (`renderer.convert`).
    """
    parts = [policy(canvas, target, grid) for grid in grids]
    strokes = torch.cat(parts, 1)
    strokes = constraints.apply(strokes if translate is None else translate(strokes), renderer.space)
    proposed = score_candidates(canvas, target, strokes, renderer, constraints.colours)
    offered = proposed.gain
    if planning.independent_steps > 0:
        chosen = top_k_per_cell(offered.detach(), _cells(grids, policy.each, canvas.device), 2 * limit + 2)
        strokes = strokes.gather(1, chosen[..., None].expand(-1, -1, strokes.shape[-1]))
        sides = torch.cat(
            [offered.new_full((part.shape[1],), 1 / min(grid)) for part, grid in zip(parts, grids, strict=True)]
        )
        strokes = refine_independently(
            strokes, sides[chosen], canvas, target, renderer, planning.independent_steps, planning.lr, constraints
        )
        proposed = score_candidates(canvas, target, strokes, renderer, constraints.colours)
    gain = proposed.gain.detach()
    B, K = gain.shape
    order = (gain if noise is None else gain * noise).argsort(1, descending=True)
    order = order + torch.arange(B, device=order.device)[:, None] * K
    # Below the floor a stroke changes nothing that could be seen.
    least = (gain * min_gain_ratio).clamp(min=1e-6) if min_gain_ratio > 0 else torch.full_like(gain, -torch.inf)
    before = canvas
    canvas, strokes, real = paint_greedily(canvas, target, proposed, order, least, limit, renderer, constraints.colours)
    if planning.joint_steps > 0:
        steps = min(planning.joint_steps, 8 + 2 * int(real.sum(1).max()))  # few strokes agree soon
        strokes = refine_jointly(strokes, real, before, target, renderer, steps, planning.lr, constraints)
        canvas = paint(before, strokes, renderer)
    return Round(canvas, strokes, real, offered)


def _cells(grids: list[Grid], each: int, device: torch.device) -> Tensor:
    """(K,): a number for the cell that each proposal of `play` belongs to, of all grids."""
    numbers, first = [], 0
    for rows, columns in grids:
        numbers.append(torch.arange(first, first + rows * columns, device=device).repeat(each))
        first += rows * columns
    return torch.cat(numbers)


def grids_for(size: tuple[int, int], done: int, finest: int = 4) -> list[Grid]:
    """The grids to propose on when `done` strokes are there, on a canvas of `size` (height, width).

    Square cells; 2, 4, 8 ... on the short side, while the cells are not many more than the strokes already there, and
    at least `finest` pixels wide.
    """
    grids = []
    side = 2
    while side == 2 or (side * side <= 4 * (done + 4) and side * finest <= min(size)):
        cell = min(size) / side
        grids.append((max(1, round(size[0] / cell)), max(1, round(size[1] / cell))))
        side *= 2
    return grids


def _reduced(picture: Tensor, size: tuple[int, int]) -> Tensor:
    """(3, H, W) -> (1, 3, h, w) by area averaging, never larger than it was."""
    if size[0] >= picture.shape[-2] or size[1] >= picture.shape[-1]:
        return picture[None]
    return F.interpolate(picture[None], size, mode="area")


@torch.no_grad()
def paint_picture(
    policy: Policy,
    renderer: Brush,
    canvas: Tensor,
    target: Tensor,
    count: int,
    planning: Planning = DEFAULT_PLANNING,
    constraints: StrokeConstraints = UNCONSTRAINED,
    growth: float = 0.5,
    cell_pixels: int = 16,
    least: int = 6,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Paints one picture, canvas and target (3, H, W), with exactly `count` strokes; every stroke count is a painting.

    Yields after each round: the canvas and the strokes of the round `(n, P)`. A round adds `growth` times the strokes
    that are there already, `least` at first, so that early strokes, which change most, are chosen few at a time. With
    another brush than the one that the policy has learned, its strokes are translated, and then planned. A round
    works on a picture of `thought` pixels for each of its smallest cells, at most on the whole canvas.
    """
    size = (target.shape[-2], target.shape[-1])
    translate = translation(renderer, constraints.brush or 0.0)
    done = 0
    min_gain_ratio, ahead = 0.3, 0
    while done < count:
        limit = min(max(least, int(done * growth)), count - done)
        grids = grids_for(size, done + ahead)
        # Strokes have no resolution: while all cells are large, a round can look at a small picture.
        scale = cell_pixels * min(grids[-1]) / min(size)
        small = (max(1, round(size[0] * scale)), max(1, round(size[1] * scale)))
        seen, wanted = (_reduced(picture, small) for picture in (canvas, target))
        played = rollout_round(
            policy, renderer, seen, wanted, grids, limit, min_gain_ratio, None, planning, constraints, translate
        )
        strokes = played.strokes[0, played.real[0]]
        if len(strokes) > 0:
            canvas = played.canvas[0] if seen.shape[2:] == size else paint(canvas, strokes, renderer)
            done += len(strokes)
            yield canvas, strokes
        elif ahead < 4 * count:
            ahead = 4 * (done + ahead + 4)  # nothing helps any more on these grids: try finer ones
        else:
            min_gain_ratio = -math.inf  # nothing helps at all: the least harmful strokes, since `count` were asked for
