"""Learning to paint by a known model: gradients of what a painting becomes, back through canvas and renderer.

The model of the world is exact and differentiable (the canvas is `over`, the renderer was learned before), so the
policy needs no guess of it: it paints a round of up to 72 strokes, one over another, and the error after them is
differentiated through all of them into its weights (a model-based value gradient; Heess et al. 2015 call it
SVG(infinity), here with the horizon cut). Huang et al. (2019) instead learn a critic that looks one bundle ahead through
the renderer. What a horizon of no, one and three rounds gives is measured in `docs/agent.md`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from agents.policy import Policy
from agents.rollout import Round, grids_for, rollout_round
from renderer.brush import Brush


@dataclass(frozen=True)
class TrainConfig:
    """The algorithm's numbers."""

    constraints: tuple[int, ...] = (4, 8, 12, 20, 28, 36, 44, 56, 72)
    """Strokes of each round of an episode."""
    horizon: int = 1
    """Rounds that gradients flow back through, each of many strokes; 0 looks at each stroke alone (greedy)."""
    proposals: float = 0.3
    """Weight of the relative gain of everything proposed, painted or not: a signal for every cell in every round."""
    exploration: float = 0.5
    """Standard deviation of the noise on log gains that decides which proposals are painted while learning."""


DEFAULT_PLANNING = TrainConfig()


@dataclass(frozen=True)
class Progress:
    """After each update: rounds of the episode done, mean squared error of the canvases, loss."""

    round: int
    mse: float
    loss: float
    canvas: Tensor


def train_episode(
    policy: Policy,
    optimizer: torch.optim.Optimizer,
    renderer: Brush,
    target: Tensor,
    config: TrainConfig,
    generator: torch.Generator | None = None,
) -> Iterator[Progress]:
    """Paints a batch of targets (B, 3, H, W) once from a white canvas, with an update after every `horizon` rounds."""
    canvas = torch.ones_like(target)
    done = 0
    loss = target.new_zeros(())
    for number, limit in enumerate(config.constraints, 1):
        before = canvas.detach()
        played = _rollout_round(policy, renderer, canvas, target, done, limit, config, generator)
        canvas, done = played.canvas, done + limit
        # Relative errors: late rounds and easy pictures count as much as early ones and hard pictures.
        error = (canvas - target).square().mean((1, 2, 3))
        error_before = (before - target).square().mean((1, 2, 3)) + 1e-5
        if config.horizon > 0:
            loss = loss + (error / error_before).mean()
        loss = loss - config.proposals * _relative_gain(played, before, target)
        if number % max(1, config.horizon) == 0 or number == len(config.constraints):
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(policy.parameters(), 1.0)
            optimizer.step()
            canvas = canvas.detach()
            yield Progress(number, error.mean().item(), loss.item(), canvas)
            loss = target.new_zeros(())


def _rollout_round(
    policy: Policy,
    renderer: Brush,
    canvas: Tensor,
    target: Tensor,
    done: int,
    limit: int,
    config: TrainConfig,
    generator: torch.Generator | None,
) -> Round:
    size = (target.shape[-2], target.shape[-1])
    grids = grids_for(size, done)
    proposals = policy.each * sum(rows * columns for rows, columns in grids)
    noise = torch.randn(len(target), proposals, generator=generator).mul(config.exploration).exp().to(target)
    return rollout_round(policy, renderer, canvas, target, grids=grids, max_strokes=limit, noise=noise)


def _relative_gain(played: Round, canvas: Tensor, target: Tensor) -> Tensor:
    """What all proposals would gain, each alone, relative to the error seen: a window of nine cells for each cell."""
    error = (canvas - target).square().sum((1, 2, 3)) + 1e-5 * target[0].numel()  # as `error_before`: never 0
    return (played.gain.sum(1) / (9 * error)).mean()
