"""`KaoKorePaint-v0`, single and vectorised, against `agents.mdp`, gymnasium's checker and Stable-Baselines3."""

import pickle
from collections.abc import Iterator
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from stable_baselines3 import DDPG, PPO
from stable_baselines3.common import env_checker as stable_baselines
from stable_baselines3.common.logger import Logger

import agents  # noqa: F401 (registers the environment)
from agents import mdp
from agents.environment import KaoKorePaint
from agents.mdp import State
from agents.vector_environment import KaoKorePaintVector
from renderer.brushes.bezier import AnalyticBezier, ExactBezier
from renderer.errors import InputError

TINY: dict[str, Any] = {"size": 16, "steps": 3, "bundle": 2}


def test_gymnasium_checker_passes() -> None:
    check_env(gymnasium.make("KaoKorePaint-v0", render_mode="rgb_array", **TINY).unwrapped)


def test_default_environment_has_the_bundles_of_the_paper() -> None:
    env = gymnasium.make("KaoKorePaint-v0")
    assert env.action_space == gymnasium.spaces.Box(0, 1, (5 * 13,), np.float32)
    assert env.observation_space == gymnasium.spaces.Box(0, 255, (7, 64, 64), np.uint8)
    observation, info = env.reset(seed=0)
    assert env.observation_space.contains(observation)
    assert info["distance"] == 1


# The checker recommends actions in [-1, 1]; strokes are in [0, 1] everywhere, and RescaleAction converts.
@pytest.mark.filterwarnings("ignore:We recommend you to use a symmetric")
def test_stable_baselines_checker_passes() -> None:
    stable_baselines.check_env(KaoKorePaint(size=36, steps=3, render_mode="rgb_array"), skip_render_check=False)


def test_stable_baselines_checker_passes_without_warnings_behind_rescale_action() -> None:
    low, high = np.float32(-1), np.float32(1)
    stable_baselines.check_env(gymnasium.wrappers.RescaleAction(KaoKorePaint(size=36, steps=3), low, high))


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Run with one thread: on a busy machine, convolutions this small spend most of their time waiting for a second one."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("one_thread")
def test_ppo_and_ddpg_learn_on_it() -> None:
    env = gymnasium.make("KaoKorePaint-v0", size=36, steps=3, bundle=1)
    policy: dict[str, Any] = {"net_arch": [8], "features_extractor_kwargs": {"features_dim": 8}}
    common: dict[str, Any] = {"policy_kwargs": policy, "seed": 0, "device": "cpu"}
    ppo = PPO("CnnPolicy", env, n_steps=4, batch_size=4, n_epochs=1, **common)
    ddpg = DDPG("CnnPolicy", env, buffer_size=16, learning_starts=2, batch_size=2, **common)
    for algorithm in (ppo, ddpg):
        algorithm.set_logger(Logger(None, []))  # without a folder
        before = [parameter.clone() for parameter in algorithm.policy.parameters()]
        algorithm.learn(8)
        assert algorithm.num_timesteps >= 8
        assert any((a != b).any() for a, b in zip(before, algorithm.policy.parameters(), strict=True))


def test_step_equals_mdp_bit_for_bit() -> None:
    env = KaoKorePaint(background=(0.0, 0.5, 1.0), **TINY)
    env.reset(seed=1)
    assert env.state is not None
    state = mdp.begin(env.state.target, (0.0, 0.5, 1.0))
    assert torch.equal(env.state.canvas, state.canvas)
    env.action_space.seed(1)
    for i in range(3):
        action = env.action_space.sample()
        observation, reward, terminated, truncated, info = env.step(action)
        after = mdp.step(state, torch.from_numpy(action).view(1, 2, 13), ExactBezier())
        assert torch.equal(env.state.canvas, after.canvas)
        assert reward == mdp.l2(state, after).item()
        assert info["mse"] == mdp.mse(after.canvas, after.target).item()
        seen = (mdp.observe(after, 3)[0, :7] * 255).round()
        assert np.array_equal(observation, seen.numpy())
        assert terminated == (i == 2)
        assert truncated is False
        state = after
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step(action)


def test_episodes_repeat_with_a_seed() -> None:
    def episode(env: gymnasium.Env, seed: int | None) -> list[np.ndarray]:
        observations = [env.reset(seed=seed)[0]]
        for i in range(3):
            observations.append(env.step(np.full(26, i / 3, np.float32))[0])
        return observations

    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    first, second = KaoKorePaint(**TINY), KaoKorePaint(**TINY)
    assert np.array_equal(episode(first, 3), episode(second, 3))
    assert np.array_equal(episode(first, None), episode(second, None)), "episodes after a seeded one repeat too"
    assert not np.array_equal(episode(first, 3), episode(second, 4))
    assert torch.equal(torch_state, torch.get_rng_state()), "global generators are not used"
    assert np.array_equal(numpy_state, np.random.get_state()[1])  # noqa: NPY002


@pytest.mark.parametrize("reward", ["l2", "l2-relative"])
def test_pickled_environment_continues_the_episode(reward: str) -> None:
    env = KaoKorePaint(reward=reward, **TINY)
    env.reset(seed=2)
    env.step(np.full(26, 0.3, np.float32))
    copy = pickle.loads(pickle.dumps(env))
    for action in (0.6, 0.9):
        assert_same(copy.step(np.full(26, action, np.float32)), env.step(np.full(26, action, np.float32)))
    assert_same(copy.reset(), env.reset())


def test_pickled_vector_environment_continues_the_episode() -> None:
    envs = KaoKorePaintVector(2, **TINY)
    envs.reset(seed=2)
    copy = pickle.loads(pickle.dumps(envs))
    actions = np.full((2, 26), 0.4, np.float32)
    assert_same(copy.step(actions), envs.step(actions))


def test_targets_from_tensors_functions_and_options() -> None:
    bytes_ = torch.randint(0, 256, (2, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    from_bytes, from_floats = KaoKorePaint(targets=bytes_, **TINY), KaoKorePaint(targets=bytes_.float() / 255, **TINY)
    from_function = KaoKorePaint(targets=lambda rng: bytes_[rng.integers(2)].numpy(), **TINY)
    seen = set()
    for seed in range(8):
        observations = [env.reset(seed=seed)[0] for env in (from_bytes, from_floats, from_function)]
        assert np.array_equal(observations[0], observations[1])
        assert np.array_equal(observations[0], observations[2])
        seen |= {i for i in range(2) if np.array_equal(observations[0][3:6], bytes_[i].numpy())}
    assert seen == {0, 1}
    chosen, _ = from_bytes.reset(options={"target": torch.zeros(3, 16, 16)})
    assert (chosen[3:6] == 0).all()


def test_custom_reward_and_brush() -> None:
    def darkness(before: State, after: State) -> torch.Tensor:
        assert after.step.tolist() == [1]
        return (before.canvas - after.canvas).mean((1, 2, 3))

    env = KaoKorePaint(AnalyticBezier(8), reward=darkness, **TINY)
    env.reset(seed=0)
    action = np.full(26, 0.5, np.float32)
    _, reward, *_ = env.step(action)
    assert env.state is not None
    assert reward == pytest.approx(1 - env.state.canvas.mean().item(), abs=1e-6)

    plain, part = KaoKorePaint(**TINY), KaoKorePaint(reward="l2-relative", **TINY)
    (_, info), _ = plain.reset(seed=0), part.reset(seed=0)
    assert part.step(action)[1] == pytest.approx(plain.step(action)[1] / info["mse"], rel=1e-4)


def test_actions_outside_the_range_are_clipped_or_refused() -> None:
    env = KaoKorePaint(**TINY)
    env.reset(seed=0)
    outside = env.step(np.linspace(-2, 3, 26))[0]
    env.reset(seed=0)
    inside = env.step(np.linspace(-2, 3, 26).clip(0, 1))[0]
    assert np.array_equal(outside, inside)
    with pytest.raises(InputError, match="NaN"):
        env.step(np.full(26, np.nan, np.float32))
    with pytest.raises(InputError, match=r"\(1, 26\)"):
        env.step(np.zeros(13, np.float32))


def test_invalid_options_raise_input_error() -> None:
    with pytest.raises(InputError, match="l2-relative"):
        KaoKorePaint(reward="l3")
    with pytest.raises(InputError, match="resize"):
        KaoKorePaint(targets=torch.zeros(2, 3, 8, 8), size=16)
    with pytest.raises(InputError, match="resize"):
        KaoKorePaint(targets=lambda rng: torch.zeros(3, 8, 8), size=16).reset()
    with pytest.raises(InputError, match="uint8"):
        KaoKorePaint(targets=torch.full((2, 3, 16, 16), 255.0), size=16).reset()
    with pytest.raises(gymnasium.error.ResetNeeded):
        KaoKorePaint().step(np.zeros(65))


def test_render_returns_the_canvas() -> None:
    env = gymnasium.make("KaoKorePaint-v0", render_mode="rgb_array", **{**TINY, "size": (16, 20)})
    observation, _ = env.reset(seed=0)
    blank = env.render()
    assert isinstance(blank, np.ndarray)
    assert blank.shape == (16, 20, 3)
    assert blank.dtype == np.uint8
    assert (blank == 255).all()
    observation, *_ = env.step(env.action_space.sample())
    assert np.array_equal(env.render(), observation[:3].transpose(1, 2, 0))
    assert KaoKorePaint(**TINY).render() is None


def test_vector_environment_equals_single_environments() -> None:
    """Two episodes and the reset between them, against gymnasium's loop over single environments."""
    made: dict[str, Any] = {"num_envs": 3, "render_mode": "rgb_array", **TINY}
    batch = gymnasium.make_vec("KaoKorePaint-v0", vectorization_mode="vector_entry_point", **made)
    loop = gymnasium.make_vec("KaoKorePaint-v0", vectorization_mode="sync", **made)
    assert isinstance(batch, KaoKorePaintVector)
    assert isinstance(loop, SyncVectorEnv)
    assert batch.metadata["autoreset_mode"] == loop.metadata["autoreset_mode"] == AutoresetMode.NEXT_STEP
    assert batch.action_space == loop.action_space
    assert batch.observation_space == loop.observation_space

    assert_same(batch.reset(seed=5), loop.reset(seed=5))
    batch.action_space.seed(0)
    for _ in range(8):
        actions = batch.action_space.sample()
        assert_same(batch.step(actions), loop.step(actions))
        assert_same(batch.render(), loop.render())
    assert_same(batch.reset(seed=[7, 1, 4]), loop.reset(seed=[7, 1, 4]))


def assert_same(ours: Any, theirs: Any) -> None:
    """Assert equal types and shapes; floating-point values may differ by the order of summation."""
    if isinstance(theirs, tuple | list):
        assert len(ours) == len(theirs)
        for a, b in zip(ours, theirs, strict=True):
            assert_same(a, b)
    elif isinstance(theirs, dict):
        assert ours.keys() == theirs.keys()
        for key in theirs:
            assert_same(ours[key], theirs[key])
    elif isinstance(theirs, bool | float):
        assert ours == theirs
    else:
        assert ours.dtype == theirs.dtype
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


def test_vector_environment_steps_its_tensors() -> None:
    envs = gymnasium.make_vec("KaoKorePaint-v0", num_envs=8)
    assert isinstance(envs, KaoKorePaintVector)
    with pytest.raises(gymnasium.error.ResetNeeded):
        envs.step(envs.action_space.sample())
    envs.reset(seed=0)
    assert envs.state is not None
    assert envs.state.canvas.shape == (8, 3, 64, 64)
    actions = envs.action_space.sample()
    after = mdp.step(envs.state, torch.from_numpy(actions).view(8, 5, 13), ExactBezier())
    envs.step(actions)
    assert torch.equal(envs.state.canvas, after.canvas)
