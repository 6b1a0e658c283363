"""Train the policy through the differentiable canvas and brush (model-based value gradients).

The model of the environment is exact and differentiable: the canvas is alpha compositing (`over`) and the brush is a
neural network that was trained before. So no value function is needed: the policy paints a round of up to 72 strokes, one
over the other, and the error after the round is differentiated through all of them with respect to the policy's weights.
This is SVG(infinity) of Heess et al. (2015, arXiv:1510.09142) with a known, deterministic model and a truncated horizon.
Huang et al. (2019, section 3.3) instead train a critic that looks one bundle of strokes ahead through the brush.
`docs/agent.md` has measurements of horizons of zero, one and three rounds.

Algorithm, for a batch of targets:

    canvas = white
    for k in rounds:
        canvas' = canvas with `round_strokes[k]` of the policy's proposals
        loss   += mean(|canvas' - target|^2 / |canvas - target|^2) - proposals * mean(relative gain of all proposals)
        every `horizon` rounds: Adam step on loss; loss = 0; cut the gradient at canvas'
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from agents.policy import Policy
from agents.rollout import Round, grids_for, rollout_round
from renderer.brush import Brush
from renderer.learned.processes import ALONE, Processes


@dataclass(frozen=True)
class TrainConfig:
    """The numbers of the algorithm."""

    round_strokes: tuple[int, ...] = (4, 8, 12, 20, 28, 36, 44, 56, 72)
    """Strokes of each round of an episode."""
    horizon: int = 1
    """Rounds that gradients flow back through; 0 trains on the gain of each stroke alone (greedy)."""
    proposals: float = 0.3
    """Weight of the relative gain of all proposals, painted or not: a gradient for every cell in every round."""
    exploration: float = 0.5
    """Standard deviation of the noise on log gains, by which proposals are selected during training."""


@dataclass(frozen=True)
class Progress:
    """State after an update.

    round: rounds of the episode done
    mse: mean squared error of the canvases
    loss: value that was minimised
    canvas: (B, 3, H, W) in [0, 1], without gradient
    """

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
    processes: Processes = ALONE,
) -> Iterator[Progress]:
    """Paint a batch of targets once from a white canvas, with an update after every `horizon` rounds.

    Args:
        policy: Network to train, in place.
        optimizer: Optimizer of the policy's parameters.
        renderer: Differentiable brush.
        target: Images (B, 3, H, W) in [0, 1], on the device of the policy.
        config: The numbers of the algorithm.
        generator: Source of the exploration noise, on the CPU; by default PyTorch's.
        processes: Those that share the training; `target` is the part of this one.

    Yields:
        The progress after each update.
    """
    canvas = torch.ones_like(target)
    done = 0
    loss = target.new_zeros(())
    for number, count in enumerate(config.round_strokes, 1):
        before = canvas.detach()
        painted = _paint_round(policy, renderer, canvas, target, done, count, config, generator, processes)
        canvas, done = painted.canvas, done + count
        # Relative errors give late rounds and easy images the same weight as early rounds and difficult images.
        error = (canvas - target).square().mean((1, 2, 3))
        error_before = (before - target).square().mean((1, 2, 3)) + 1e-5
        if config.horizon > 0:
            loss = loss + (error / error_before).mean()
        loss = loss - config.proposals * _relative_gain(painted, before, target)
        if number % max(1, config.horizon) == 0 or number == len(config.round_strokes):
            optimizer.zero_grad()
            loss.backward()
            mse, mean_loss = processes.average(policy.parameters(), error.mean(), loss)
            torch.nn.utils.clip_grad_norm_(policy.parameters(), 1.0)
            optimizer.step()
            canvas = canvas.detach()
            yield Progress(number, mse.item(), mean_loss.item(), canvas)
            loss = target.new_zeros(())


def _paint_round(
    policy: Policy,
    renderer: Brush,
    canvas: Tensor,
    target: Tensor,
    done: int,
    count: int,
    config: TrainConfig,
    generator: torch.Generator | None,
    processes: Processes,
) -> Round:
    size = (target.shape[-2], target.shape[-1])
    grids = grids_for(size, done)
    proposals = policy.each * sum(rows * columns for rows, columns in grids)
    noise = torch.randn(processes.count * len(target), proposals, generator=generator)
    noise = processes.part(noise).mul(config.exploration).exp().to(target)
    return rollout_round(policy, renderer, canvas, target, grids=grids, max_strokes=count, noise=noise)


def _relative_gain(painted: Round, canvas: Tensor, target: Tensor) -> Tensor:
    """Mean gain of all proposals, each painted alone, relative to nine times the error of an average cell's share.

    A proposal is painted in a window of nine cells; the gains of all windows would sum to nine times the error.
    """
    error = (canvas - target).square().sum((1, 2, 3)) + 1e-5 * target[0].numel()  # as `error_before`, never 0
    return (painted.gain.sum(1) / (9 * error)).mean()
