"""Painting in rounds: propose strokes on several grids, weigh them with the known model, paint the best.

The policy proposes; the model of the canvas is known (it is the renderer), so that each proposal's best colour and gain
are computed and not guessed, and the strokes of a round go down in the order of what they gain. Whole grids compete, so
that large strokes come first and small ones go where they are needed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from agents.policy import Policy
from renderer.fitted import candidates, paint_fitted
from renderer.protocol import Renderer

Grid = tuple[int, int]


class Round(NamedTuple):
    """What one round did.

    canvas: (B, 3, H, W) afterwards
    strokes: (B, limit, P) in painting order; where `real` (B, limit) is false, a blank stands in
    gain: (B, K) of all that was proposed, each alone; grid: (K,) the index of the grid that each came from
    """

    canvas: Tensor
    strokes: Tensor
    real: Tensor
    gain: Tensor
    grid: Tensor


def play(
    policy: Policy,
    renderer: Renderer,
    canvas: Tensor,
    target: Tensor,
    grids: list[Grid],
    limit: int,
    patience: float = 0.5,
    noise: Tensor | None = None,
) -> Round:
    """One round on canvas and target (B, 3, H, W). At most `limit` strokes are painted.

    A stroke whose gain has fallen below `patience` times what it was, because others of the round went before it, is
    left for a later round. `noise` (B, K) multiplies gains for the order only (exploration).
    """
    parts = [policy(canvas, target, grid) for grid in grids]
    proposed = candidates(canvas, target, torch.cat(parts, 1), renderer)
    gain = proposed.gain.detach()
    B, K = gain.shape
    order = (gain if noise is None else gain * noise).argsort(1, descending=True)
    order = order + torch.arange(B, device=order.device)[:, None] * K
    # Below the floor a stroke changes nothing that could be seen.
    least = (gain * patience).clamp(min=1e-6) if patience > 0 else torch.full_like(gain, -torch.inf)
    canvas, strokes, real = paint_fitted(canvas, target, proposed, order, least, limit, renderer)
    grid = torch.repeat_interleave(torch.arange(len(parts)), torch.tensor([part.shape[1] for part in parts]))
    return Round(canvas, strokes, real, proposed.gain, grid.to(gain.device))


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


@torch.no_grad()
def paint_picture(
    policy: Policy, renderer: Renderer, canvas: Tensor, target: Tensor, count: int, growth: float = 0.25
) -> Iterator[tuple[Tensor, Tensor]]:
    """Paints one picture, canvas and target (3, H, W), with exactly `count` strokes; every stroke count is a painting.

    Yields after each round: the canvas and the strokes of the round `(n, P)`. A round adds `growth` times the strokes
    that are there already, so that early strokes, which change most, are chosen one by one or nearly so.
    """
    size = (target.shape[-2], target.shape[-1])
    done = 0
    patience, ahead = 0.5, 0
    while done < count:
        limit = min(max(2, int(done * growth)), count - done)
        grids = grids_for(size, done + ahead)
        played = play(policy, renderer, canvas[None], target[None], grids, limit, patience)
        strokes = played.strokes[0, played.real[0]]
        if len(strokes) > 0:
            canvas, done = played.canvas[0], done + len(strokes)
            yield canvas, strokes
        elif ahead < 4 * count:
            ahead = 4 * (done + ahead + 4)  # nothing helps any more on these grids: try finer ones
        else:
            patience = -math.inf  # nothing helps at all: the least harmful strokes, since `count` were asked for
