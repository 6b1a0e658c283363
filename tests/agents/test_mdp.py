"""The dynamics: what a bundle changes, what it is worth, and that a gradient finds its way back."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch._subclasses.fake_tensor import FakeTensorMode

from agents import mdp as dynamics
from renderer.brush import Brush
from renderer.brushes.bezier import AnalyticBezier, ExactBezier
from renderer.strokes import BEZIER

SIZE = (20, 24)  # not square


def pictures(batch: int, seed: int, size: tuple[int, int] = SIZE, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.rand(batch, 3, *size, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def bundles(batch: int, bundle: int, seed: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed + 1000)
    return BEZIER.sample(batch * bundle, generator).view(batch, bundle, -1).to(dtype)


RENDERERS = [ExactBezier(), AnalyticBezier(16)]


def test_it_begins_blank() -> None:
    target = pictures(2, 0)
    state = dynamics.begin(target, (0.25, 0.5, 1.0))
    assert state.target is target
    assert state.step.tolist() == [0, 0]
    assert state.canvas.shape == target.shape
    assert state.canvas[1, :, 3, 4].tolist() == [0.25, 0.5, 1.0]


def test_a_step_changes_nothing_but_its_result() -> None:
    before = dynamics.begin(pictures(1, 0))
    after = dynamics.step(before, bundles(1, 5, 0), ExactBezier())
    assert (before.canvas == 1).all()
    assert (after.canvas != 1).any()
    assert before.step.tolist() == [0]
    assert after.step.tolist() == [1]


def test_known_reward() -> None:
    """A canvas half way from white to black is a quarter of white's squared error away."""
    before = dynamics.begin(torch.zeros(1, 3, *SIZE))
    after = dynamics.State(torch.full_like(before.canvas, 0.5), before.target, before.step + 1)
    assert dynamics.l2(before, after).tolist() == [0.75]


def test_relative_distance_starts_at_one_and_ends_at_zero() -> None:
    state = dynamics.begin(pictures(3, 1), (0.0, 0.0, 0.0))
    distance = dynamics.relative(dynamics.mse, (0.0, 0.0, 0.0))
    torch.testing.assert_close(distance(state.canvas, state.target), torch.ones(3))
    assert distance(state.target, state.target).tolist() == [0, 0, 0]
    # A target that is blank itself: finite.
    assert distance(state.canvas, state.canvas).tolist() == [0, 0, 0]


def test_what_a_policy_sees() -> None:
    state = dynamics.begin(pictures(2, 2))
    state = state._replace(step=torch.tensor([0, 3]))
    seen = dynamics.observe(state, steps=4)
    assert seen.shape == (2, 9, *SIZE)
    assert torch.equal(seen[:, :3], state.canvas)
    assert torch.equal(seen[:, 3:6], state.target)
    assert seen[:, 6].amin((1, 2)).tolist() == seen[:, 6].amax((1, 2)).tolist() == [0, 0.75]
    assert seen[0, 7:, 0, 0].tolist() == [0, 0]
    assert seen[0, 7:, -1, 0].tolist() == [1, 0]  # y grows downwards
    assert dynamics.finished(state, 3).tolist() == [False, True]


@pytest.mark.parametrize("renderer", RENDERERS, ids=lambda renderer: type(renderer).__name__)
def test_batch_equals_one_by_one(renderer: Brush) -> None:
    target, action = pictures(4, 3), bundles(4, 5, 3)
    before = dynamics.begin(target)
    together = dynamics.step(before, action, renderer)
    rewards = dynamics.l2(before, together)
    for i in range(4):
        alone_before = dynamics.begin(target[i : i + 1])
        alone = dynamics.step(alone_before, action[i : i + 1], renderer)
        assert torch.equal(alone.canvas[0], together.canvas[i])
        torch.testing.assert_close(dynamics.l2(alone_before, alone)[0], rewards[i], rtol=0, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("renderer", RENDERERS, ids=lambda renderer: type(renderer).__name__)
def test_transparent_strokes_change_nothing(renderer: Brush, dtype: torch.dtype) -> None:
    before = dynamics.State(pictures(2, 4, dtype=dtype), pictures(2, 5, dtype=dtype), torch.zeros(2, dtype=torch.long))
    action = bundles(2, 5, 4, dtype)
    action[..., BEZIER.columns("opacity")] = 0
    after = dynamics.step(before, action, renderer)
    assert torch.equal(after.canvas, before.canvas)
    assert dynamics.l2(before, after).tolist() == [0, 0]


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**20),
    batch=st.integers(1, 3),
    bundle=st.integers(1, 3),
    steps=st.integers(1, 4),
    grey=st.integers(0, 255),
    normalised=st.booleans(),
)
def test_rewards_sum_to_the_whole_decrease(
    seed: int,
    batch: int,
    bundle: int,
    steps: int,
    grey: int,
    normalised: bool,
) -> None:
    background = (grey / 255, 0.5, 1.0)
    distance = dynamics.relative(dynamics.mse, background) if normalised else dynamics.mse
    reward = dynamics.decrease(distance)
    first = state = dynamics.begin(pictures(batch, seed), background)
    total = torch.zeros(batch)
    while not dynamics.finished(state, steps).all():
        after = dynamics.step(state, bundles(batch, bundle, seed + int(state.step[0])), ExactBezier())
        total += reward(state, after)
        state = after
    assert state.step.tolist() == [steps] * batch
    decrease = distance(first.canvas, first.target) - distance(state.canvas, state.target)
    torch.testing.assert_close(total, decrease, rtol=1e-4, atol=1e-5)


def test_gradient_from_reward_to_action() -> None:
    target = pictures(1, 6, (6, 8), torch.float64)
    action = (bundles(1, 2, 6, torch.float64) * 0.6 + 0.2).requires_grad_()

    def reward_of(action: torch.Tensor) -> torch.Tensor:
        before = dynamics.begin(target)
        middle = dynamics.step(before, action, AnalyticBezier(8))
        after = dynamics.step(middle, action.flip(1), AnalyticBezier(8))
        return dynamics.l2(before, after)

    (gradient,) = torch.autograd.grad(reward_of(action).sum(), action)
    assert (gradient != 0).all(), "a gradient into every field"
    assert torch.autograd.gradcheck(reward_of, (action,))


def test_ascent_on_the_reward_paints_better() -> None:
    """One stroke, moved along the gradient of its own reward towards a target that one stroke can paint."""
    renderer = AnalyticBezier(16)
    wanted = torch.full((1, 1, 13), 0.5)
    before = dynamics.begin(dynamics.step(dynamics.begin(torch.zeros(1, 3, 16, 16)), wanted, renderer).canvas)
    logits = bundles(1, 1, 7).logit(1e-2).requires_grad_()
    optimizer = torch.optim.Adam([logits], 0.1)
    rewards = []
    for _ in range(60):
        reward = dynamics.l2(before, dynamics.step(before, logits.sigmoid(), renderer)).sum()
        optimizer.zero_grad()
        (-reward).backward()
        optimizer.step()
        rewards.append(reward.item())
    best = dynamics.mse(before.canvas, before.target).item()
    assert rewards[0] < 0.5 * best
    assert rewards[-1] > 0.9 * best


def test_no_tensor_is_left_on_another_device() -> None:
    """Forward on CUDA without a GPU. No default device is set: it would hide what is made on the CPU by mistake."""
    with FakeTensorMode():
        state = dynamics.begin(torch.rand(2, 3, 16, 16, device="cuda"))
        after = dynamics.step(state, torch.rand(2, 5, 13, device="cuda"), AnalyticBezier(8))
        rewards = [reward(state, after) for reward in (dynamics.l2, dynamics.decrease(dynamics.relative(dynamics.mse)))]
        for tensor in (*state, *after, *rewards, dynamics.observe(after, 40), dynamics.finished(after, 40)):
            assert tensor.device.type == "cuda"
