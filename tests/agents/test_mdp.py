"""Tests of the decision process: transitions, rewards, and gradients from reward to action."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from agents import mdp
from renderer.brush import Brush
from renderer.brushes.bezier import AnalyticBezier, ExactBezier
from renderer.strokes import BEZIER
from tests.renderer.pretend_gpu import pretend_gpu

SIZE = (20, 24)  # not square


def pictures(batch: int, seed: int, size: tuple[int, int] = SIZE, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.rand(batch, 3, *size, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def bundles(batch: int, bundle: int, seed: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed + 1000)
    return BEZIER.sample(batch * bundle, generator).view(batch, bundle, -1).to(dtype)


BRUSHES = [ExactBezier(), AnalyticBezier(16)]


def test_begin_gives_a_blank_canvas() -> None:
    target = pictures(2, 0)
    state = mdp.begin(target, (0.25, 0.5, 1.0))
    assert state.target is target
    assert state.step.tolist() == [0, 0]
    assert state.canvas.shape == target.shape
    assert state.canvas[1, :, 3, 4].tolist() == [0.25, 0.5, 1.0]


def test_step_does_not_modify_its_input() -> None:
    before = mdp.begin(pictures(1, 0))
    after = mdp.step(before, bundles(1, 5, 0), ExactBezier())
    assert (before.canvas == 1).all()
    assert (after.canvas != 1).any()
    assert before.step.tolist() == [0]
    assert after.step.tolist() == [1]


def test_reward_of_a_known_case() -> None:
    """Target black, canvas from white to mid-grey: the squared error falls from 1 to 1/4."""
    before = mdp.begin(torch.zeros(1, 3, *SIZE))
    after = mdp.State(torch.full_like(before.canvas, 0.5), before.target, before.step + 1)
    assert mdp.l2(before, after).tolist() == [0.75]


def test_relative_distance_is_one_at_first_and_zero_at_the_end() -> None:
    state = mdp.begin(pictures(3, 1), (0.0, 0.0, 0.0))
    distance = mdp.relative(mdp.mse, (0.0, 0.0, 0.0))
    torch.testing.assert_close(distance(state.canvas, state.target), torch.ones(3))
    assert distance(state.target, state.target).tolist() == [0, 0, 0]
    # Finite where the target equals the blank canvas.
    assert distance(state.canvas, state.canvas).tolist() == [0, 0, 0]


def test_observation_channels() -> None:
    state = mdp.begin(pictures(2, 2))
    state = state._replace(step=torch.tensor([0, 3]))
    seen = mdp.observe(state, steps=4)
    assert seen.shape == (2, 9, *SIZE)
    assert torch.equal(seen[:, :3], state.canvas)
    assert torch.equal(seen[:, 3:6], state.target)
    assert seen[:, 6].amin((1, 2)).tolist() == seen[:, 6].amax((1, 2)).tolist() == [0, 0.75]
    assert seen[0, 7:, 0, 0].tolist() == [0, 0]
    assert seen[0, 7:, -1, 0].tolist() == [1, 0]  # y grows downwards
    assert mdp.finished(state, 3).tolist() == [False, True]


@pytest.mark.parametrize("brush", BRUSHES, ids=lambda brush: type(brush).__name__)
def test_batch_equals_one_by_one(brush: Brush) -> None:
    target, action = pictures(4, 3), bundles(4, 5, 3)
    before = mdp.begin(target)
    together = mdp.step(before, action, brush)
    rewards = mdp.l2(before, together)
    for i in range(4):
        alone_before = mdp.begin(target[i : i + 1])
        alone = mdp.step(alone_before, action[i : i + 1], brush)
        assert torch.equal(alone.canvas[0], together.canvas[i])
        torch.testing.assert_close(mdp.l2(alone_before, alone)[0], rewards[i], rtol=0, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("brush", BRUSHES, ids=lambda brush: type(brush).__name__)
def test_transparent_strokes_have_no_effect(brush: Brush, dtype: torch.dtype) -> None:
    before = mdp.State(pictures(2, 4, dtype=dtype), pictures(2, 5, dtype=dtype), torch.zeros(2, dtype=torch.long))
    action = bundles(2, 5, 4, dtype)
    action[..., BEZIER.columns("opacity")] = 0
    after = mdp.step(before, action, brush)
    assert torch.equal(after.canvas, before.canvas)
    assert mdp.l2(before, after).tolist() == [0, 0]


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**20),
    batch=st.integers(1, 3),
    bundle=st.integers(1, 3),
    steps=st.integers(1, 4),
    grey=st.integers(0, 255),
    normalised=st.booleans(),
)
def test_rewards_sum_to_the_decrease_of_the_distance(
    seed: int,
    batch: int,
    bundle: int,
    steps: int,
    grey: int,
    normalised: bool,
) -> None:
    background = (grey / 255, 0.5, 1.0)
    distance = mdp.relative(mdp.mse, background) if normalised else mdp.mse
    reward = mdp.decrease(distance)
    first = state = mdp.begin(pictures(batch, seed), background)
    total = torch.zeros(batch)
    while not mdp.finished(state, steps).all():
        after = mdp.step(state, bundles(batch, bundle, seed + int(state.step[0])), ExactBezier())
        total += reward(state, after)
        state = after
    assert state.step.tolist() == [steps] * batch
    decrease = distance(first.canvas, first.target) - distance(state.canvas, state.target)
    torch.testing.assert_close(total, decrease, rtol=1e-4, atol=1e-5)


def test_gradient_from_reward_to_action() -> None:
    target = pictures(1, 6, (6, 8), torch.float64)
    action = (bundles(1, 2, 6, torch.float64) * 0.6 + 0.2).requires_grad_()

    def reward_of(action: torch.Tensor) -> torch.Tensor:
        before = mdp.begin(target)
        middle = mdp.step(before, action, AnalyticBezier(8))
        after = mdp.step(middle, action.flip(1), AnalyticBezier(8))
        return mdp.l2(before, after)

    (gradient,) = torch.autograd.grad(reward_of(action).sum(), action)
    assert (gradient != 0).all(), "a gradient into every field"
    assert torch.autograd.gradcheck(reward_of, (action,))


def test_gradient_ascent_on_the_reward_recovers_a_stroke() -> None:
    """Ascend the reward of one stroke; the target is a single stroke."""
    brush = AnalyticBezier(16)
    wanted = torch.full((1, 1, 13), 0.5)
    before = mdp.begin(mdp.step(mdp.begin(torch.zeros(1, 3, 16, 16)), wanted, brush).canvas)
    logits = bundles(1, 1, 7).logit(1e-2).requires_grad_()
    optimizer = torch.optim.Adam([logits], 0.1)
    rewards = []
    for _ in range(60):
        reward = mdp.l2(before, mdp.step(before, logits.sigmoid(), brush)).sum()
        optimizer.zero_grad()
        (-reward).backward()
        optimizer.step()
        rewards.append(reward.item())
    best = mdp.mse(before.canvas, before.target).item()
    assert rewards[0] < 0.5 * best
    assert rewards[-1] > 0.9 * best


def test_all_tensors_stay_on_their_device() -> None:
    """Run on a pretended device, which refuses tensors created on the CPU by mistake."""
    with pretend_gpu() as device:
        state = mdp.begin(pictures(2, 0).to(device))
        after = mdp.step(state, bundles(2, 5, 0).to(device), AnalyticBezier(8))
        rewards = [reward(state, after) for reward in (mdp.l2, mdp.decrease(mdp.relative(mdp.mse)))]
        for tensor in (*state, *after, *rewards, mdp.observe(after, 40), mdp.finished(after, 40)):
            assert tensor.device == device
