"""Training of the policy: losses, gradients, horizons, and a lower error after some updates on a tiny batch."""

import copy
import dataclasses

import pytest
import torch
from torch import Tensor

from agents.policy import Policy
from agents.rollout import grids_for, rollout_round
from agents.train import Progress, TrainConfig, train_episode
from renderer.brush import Brush, load_brush

TINY = TrainConfig(round_strokes=(3, 5), horizon=2)


@pytest.fixture(scope="module")
def renderer() -> Brush:
    return load_brush("bezier")


@pytest.fixture(scope="module")
def target() -> Tensor:
    """One bar on white, at two angles."""
    y, x = torch.meshgrid(torch.arange(16) - 7.5, torch.arange(16) - 7.5, indexing="ij")
    bars = torch.stack(
        [((x * a + y * b).abs() < 2) & ((x * b - y * a).abs() < 6.5) for a, b in ((0.8, 0.6), (0.6, -0.8))]
    )
    return (1 - bars.float())[:, None].repeat(1, 3, 1, 1)


def make() -> tuple[Policy, torch.optim.Adam]:
    torch.manual_seed(0)
    policy = Policy(width=16, blocks=1, each=2)
    return policy, torch.optim.Adam(policy.parameters(), lr=3e-3)


def learn(target: Tensor, renderer: Brush, config: TrainConfig, episodes: int) -> tuple[Policy, list[Progress]]:
    policy, optimizer = make()
    generator = torch.Generator().manual_seed(1)
    progress = []
    for _ in range(episodes):
        progress += train_episode(policy, optimizer, renderer, target, config, generator)
    return policy, progress


@torch.no_grad()
def error(policy: Policy, target: Tensor, renderer: Brush) -> float:
    """The error after 4 strokes without planning."""
    canvas = torch.ones_like(target)
    for _ in range(2):
        canvas = rollout_round(policy, renderer, canvas, target, grids=[(2, 2), (4, 4)], max_strokes=2).canvas
    return float((canvas - target).square().mean())


@pytest.mark.parametrize("horizon", [0, 1, 2])
def test_the_error_decreases(target: Tensor, renderer: Brush, horizon: int) -> None:
    before = error(make()[0], target, renderer)
    policy, _ = learn(target, renderer, TrainConfig(round_strokes=(2, 2), horizon=horizon), 40)
    assert error(policy, target, renderer) < 0.7 * before


@pytest.mark.parametrize(("horizon", "updates"), [(0, [1, 2, 3, 4, 5]), (1, [1, 2, 3, 4, 5]), (3, [3, 5]), (9, [5])])
def test_an_update_after_each_horizon(target: Tensor, renderer: Brush, horizon: int, updates: list[int]) -> None:
    _, progress = learn(target, renderer, TrainConfig(round_strokes=(1, 1, 2, 3, 4), horizon=horizon), 1)
    assert [p.round for p in progress] == updates
    for p in progress:
        assert p.canvas.shape == target.shape
        assert not p.canvas.requires_grad
        assert p.mse == pytest.approx(float((p.canvas - target).square().mean()), rel=1e-5)
    assert progress[-1].mse < float((1 - target).square().mean()), "better than the blank canvas"


@pytest.mark.parametrize("proposals", [0.0, 0.3])
@pytest.mark.parametrize("horizon", [1, 3])
def test_a_gradient_reaches_every_parameter(target: Tensor, renderer: Brush, horizon: int, proposals: float) -> None:
    config = TrainConfig(round_strokes=(3, 4, 5), horizon=horizon, proposals=proposals)
    policy, optimizer = make()
    list(train_episode(policy, optimizer, renderer, target, config))
    for name, parameter in policy.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().max() > 0, name


def test_the_loss_is_the_relative_error_after_the_round(target: Tensor, renderer: Brush) -> None:
    config = TrainConfig(round_strokes=(2, 3), horizon=1, proposals=0.0, exploration=0.0)
    policy, _ = make()
    optimizer = torch.optim.SGD(policy.parameters(), lr=0.0)
    errors = [(1 - target).square().mean((1, 2, 3))]
    for progress in train_episode(policy, optimizer, renderer, target, config):
        errors.append((progress.canvas - target).square().mean((1, 2, 3)))
        assert progress.loss == pytest.approx(float((errors[-1] / (errors[-2] + 1e-5)).mean()), rel=1e-3)
    # The gain of the proposals is subtracted.
    *_, other = train_episode(policy, optimizer, renderer, target, dataclasses.replace(config, proposals=0.3))
    assert other.loss < progress.loss - 1e-3


def test_without_a_horizon_the_loss_is_the_gain_of_single_strokes(target: Tensor, renderer: Brush) -> None:
    """The painted canvas is then not part of the loss."""
    config = TrainConfig(round_strokes=(4,), horizon=0, proposals=1.0, exploration=0.0)
    policy, _ = make()
    *_, progress = train_episode(policy, torch.optim.SGD(policy.parameters(), lr=0.0), renderer, target, config)
    with torch.no_grad():
        played = rollout_round(
            policy, renderer, torch.ones_like(target), target, grids=grids_for((16, 16), 0), max_strokes=4
        )
    error = (1 - target).square().sum((1, 2, 3)) + 1e-5 * target[0].numel()
    assert progress.loss == pytest.approx(-float((played.gain.sum(1) / (9 * error)).mean()), rel=1e-3)


def test_an_episode_is_reproducible(target: Tensor, renderer: Brush) -> None:
    (first, progress), (second, again) = (learn(target, renderer, TINY, 2) for _ in range(2))
    assert [p.loss for p in progress] == [p.loss for p in again]
    for ours, wanted in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(ours, wanted)


def test_a_longer_horizon_has_another_gradient(target: Tensor, renderer: Brush) -> None:
    """It includes the canvas of the previous round; with horizon 1 the gradient is cut there."""
    gradients = []
    for horizon in (1, 2):
        policy, _ = make()
        optimizer = torch.optim.SGD(policy.parameters(), lr=0.0)
        config = TrainConfig(round_strokes=(3, 3), horizon=horizon, exploration=0.0)
        sums = [torch.zeros_like(parameter) for parameter in policy.parameters()]
        for _ in train_episode(policy, optimizer, renderer, target, config):
            for total, parameter in zip(sums, policy.parameters(), strict=True):
                assert parameter.grad is not None
                total += parameter.grad
        gradients.append(torch.cat([total.flatten() for total in sums]))
    assert torch.nn.functional.cosine_similarity(*gradients, dim=0) < 0.999


def test_a_blank_target_gives_finite_losses_and_weights(renderer: Brush) -> None:
    policy, optimizer = make()
    before = copy.deepcopy(policy.state_dict())
    progress = list(train_episode(policy, optimizer, renderer, torch.ones(2, 3, 16, 16), TINY))
    assert all(torch.tensor(p.loss).isfinite() for p in progress)
    assert all(value.isfinite().all() for value in policy.state_dict().values())
    assert before.keys() == policy.state_dict().keys()
