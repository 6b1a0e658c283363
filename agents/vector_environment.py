"""`KaoKorePaint-v0` for many canvases at once: one batch of tensors, one call of the brush per step.

Made by `gymnasium.make_vec("KaoKorePaint-v0", num_envs=8)`. Gives the same results as that many single environments,
faster. Observations and rewards are numpy arrays; `state` is the batch of tensors. To train without copies, use
`agents.mdp`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from torch import Tensor

from agents import mdp
from agents.environment import KaoKorePaint
from agents.mdp import State


class KaoKorePaintVector(VectorEnv[np.ndarray, np.ndarray, np.ndarray]):
    """`num_envs` canvases; `options` are those of `KaoKorePaint`.

    All episodes start together and therefore end together. The step after the last one ignores its actions, gives reward
    0 and resets all canvases: gymnasium's autoreset mode "next step", as in its `SyncVectorEnv`.
    """

    metadata = {**KaoKorePaint.metadata, "autoreset_mode": AutoresetMode.NEXT_STEP}  # noqa: RUF012

    def __init__(self, num_envs: int = 1, **options: Any) -> None:
        self.single = KaoKorePaint(**options)
        self.num_envs = num_envs
        self.render_mode = self.single.render_mode
        self.single_observation_space = self.single.observation_space
        self.single_action_space = self.single.action_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.state: State | None = None
        self._rngs = [seeding.np_random()[0] for _ in range(num_envs)]

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start blank canvases with new targets. Canvas i is seeded with `seed` + i, or with `seed[i]`."""
        if isinstance(seed, int):
            seed = range(seed, seed + self.num_envs)
        for i, own in enumerate(seed or ()):
            if own is not None:
                self._rngs[i], _ = seeding.np_random(own)
        self.state = self.single.begin(torch.stack([self.single.target(rng, options) for rng in self._rngs]))
        return self.single.observation(self.state), self._info()

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Paint one bundle on every canvas, or reset all of them after the end of an episode."""
        never = np.zeros(self.num_envs, np.bool_)
        if self.state is not None and bool(self._finished(self.state).all()):
            observation, info = self.reset()
            return observation, np.zeros(self.num_envs), never, never.copy(), info
        self.state, reward = self.single.apply(self.state, np.asarray(actions))
        terminated = self._finished(self.state).cpu().numpy()
        return self.single.observation(self.state), _numpy(reward), terminated, never, self._info()

    def render(self) -> tuple[np.ndarray, ...] | None:
        """Return the canvases, each uint8 `(H, W, 3)`, or None without a render mode."""
        return None if self.render_mode is None else tuple(self.single.frames(self.state))

    def _finished(self, state: State) -> Tensor:
        return mdp.finished(state, self.single.steps)

    def _info(self) -> dict[str, Any]:
        info: dict[str, Any] = {}
        for name, value in self.single.metrics(self.state).items():
            # Gymnasium's convention: for each value, a mask of the environments that have one.
            info |= {name: _numpy(value), f"_{name}": np.ones(self.num_envs, np.bool_)}
        return info


def _numpy(values: Tensor) -> np.ndarray:
    numbers: np.ndarray = values.double().cpu().numpy()
    return numbers
