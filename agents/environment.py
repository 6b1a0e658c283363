"""`KaoKorePaint-v0`: the dynamics as a gymnasium environment, for anyone's reinforcement learning."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from agents import mdp as dynamics
from agents.mdp import WHITE, Colour, Reward, State
from renderer.brush import Brush
from renderer.brushes.bezier import ExactBezier
from renderer.canvas import blank, paint
from renderer.errors import InputError

Targets = Tensor | Callable[[np.random.Generator], Any]


class KaoKorePaint(gymnasium.Env[np.ndarray, np.ndarray]):
    """Repaint a target picture, a bundle of strokes a step.

    Observation: Box uint8 (7, H, W), channels first: canvas 3, target 3, the part of the steps done 1. One image and
    not a Dict, so that Stable-Baselines3's CnnPolicy takes it as it is (from 36 pixels up); a policy of your own may
    read the exact tensors in `state`.

    Action: Box float32 (bundle * P,) in [0, 1], the strokes of a bundle one after another, the first below. Values
    outside are clipped, NaN is an `InputError`. [0, 1] is what a stroke is everywhere in this project; algorithms whose
    first actions lie around 0 (PPO) do better behind `gymnasium.wrappers.RescaleAction(env, -1, 1)`.

    Reward: the decrease of the distance to the target.

    End: `terminated` after `steps` bundles and never `truncated`. The end belongs to the task (the observation shows it
    coming and nothing is worth anything after it): a value function must not look past it, as past a time limit.

    Info: `mse` to the target, and `distance`, the same as a part of the blank canvas' (1 at first, 0 when perfect).
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012 (gymnasium reads it from the class)

    def __init__(
        self,
        renderer: Brush | None = None,
        targets: Targets | None = None,
        size: int | tuple[int, int] = 64,
        steps: int = 40,
        bundle: int = 5,
        reward: str | Reward = "l2",
        background: Colour = WHITE,
        device: torch.device | str = "cpu",
        render_mode: str | None = None,
    ) -> None:
        """
        renderer: draws the strokes; without one, the true Bezier brush
        targets: pictures (M, 3, H, W), in [0, 1] or uint8, drawn at random; or a function from a random generator to
            one picture; without, pictures of random strokes
        size: of the canvas in pixels, one side or (height, width)
        steps, bundle: bundles in a painting and strokes in a bundle; as in Huang et al. (2019)
        reward: "l2", "l2-relative" (divided by the blank canvas' distance), or a function (state before, after) -> (B,)
        device: where canvases live and the renderer is
        """
        self.renderer = ExactBezier() if renderer is None else renderer
        self.size = (size, size) if isinstance(size, int) else size
        self.targets = targets
        if isinstance(targets, Tensor) and (len(targets) == 0 or targets.shape[1:] != (3, *self.size)):
            raise InputError(
                f"The targets have the shape {tuple(targets.shape)}, but the canvas needs (M, 3, {self.size[0]}, "
                f"{self.size[1]}) with M > 0; resize the pictures or give another size."
            )
        self.steps, self.bundle, self.background, self.device = steps, bundle, background, torch.device(device)
        self.distance = dynamics.relative(dynamics.mse, background)
        rewards = {"l2": dynamics.l2, "l2-relative": dynamics.decrease(self.distance)}
        if isinstance(reward, str) and reward not in rewards:
            raise InputError(f"There is no reward {reward!r}; choose {' or '.join(rewards)}, or give a function.")
        self.reward: Reward = rewards[reward] if isinstance(reward, str) else reward
        self.observation_space = spaces.Box(0, 255, (7, *self.size), np.uint8)
        self.action_space = spaces.Box(0.0, 1.0, (bundle * self.renderer.space.width,), np.float32)
        self.render_mode = render_mode
        self.state: State | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """A blank canvas before a target drawn at random, or before `options["target"]` (3, H, W)."""
        super().reset(seed=seed)
        self.state = self.begin(self.target(self.np_random, options)[None])
        return self.observation(self.state)[0], self._info()

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Lays one bundle."""
        self.state, reward = self.lay(self.state, np.asarray(action)[None])
        terminated = bool(dynamics.finished(self.state, self.steps)[0])
        return self.observation(self.state)[0], float(reward[0]), terminated, False, self._info()

    def render(self) -> np.ndarray | None:
        """The canvas, uint8 (H, W, 3)."""
        return None if self.render_mode is None else self.frames(self.state)[0]

    def _info(self) -> dict[str, Any]:
        return {name: float(value[0]) for name, value in self.measures(self.state).items()}

    # Below, the edge between numpy and the dynamics, in batches: the vectorised environment uses it too.

    def target(self, rng: np.random.Generator, options: dict[str, Any] | None = None) -> Tensor:
        """The next picture (3, H, W) to paint."""
        if options and "target" in options:
            picture = options["target"]
        elif self.targets is None:
            picture = random_picture(rng, self.renderer, self.size, device=self.device)
        elif isinstance(self.targets, Tensor):
            picture = self.targets[int(rng.integers(len(self.targets)))]
        else:
            picture = self.targets(rng)
        picture = (picture if isinstance(picture, Tensor) else torch.from_numpy(np.array(picture))).to(self.device)
        if picture.shape != (3, *self.size):
            raise InputError(
                f"A target has the shape {tuple(picture.shape)}, but the canvas needs (3, {self.size[0]}, "
                f"{self.size[1]}); resize the picture or give another size."
            )
        if picture.dtype == torch.uint8:
            return picture.float() / 255
        if not ((picture >= 0) & (picture <= 1)).all():
            raise InputError("A target has values outside [0, 1]; give colours in [0, 1], or from 0 to 255 as uint8.")
        return picture.float()

    def begin(self, targets: Tensor) -> State:
        """Blank canvases before targets (B, 3, H, W)."""
        return dynamics.begin(targets, self.background)

    @torch.no_grad()
    def lay(self, state: State | None, actions: np.ndarray) -> tuple[State, Tensor]:
        """The states after, and the rewards (B,) of, one bundle each: actions (B, bundle * P)."""
        if state is None or bool(dynamics.finished(state, self.steps).any()):
            raise gymnasium.error.ResetNeeded("There is no unfinished canvas; call reset() before step().")
        wanted = (len(state.step), self.bundle * self.renderer.space.width)
        if actions.shape != wanted:
            raise InputError(f"The actions have the shape {actions.shape}; give {wanted}, a bundle for each canvas.")
        strokes = torch.from_numpy(np.array(actions, np.float32)).to(self.device)
        if strokes.isnan().any():
            raise InputError("An action holds NaN; check the policy that it came from.")
        strokes = strokes.clamp(0, 1).view(len(strokes), self.bundle, -1)
        after = dynamics.step(state, strokes, self.renderer)
        return after, self.reward(state, after)

    def observation(self, state: State) -> np.ndarray:
        """uint8 (B, 7, H, W): `dynamics.observe` without the coordinates, rounded."""
        return _uint8(dynamics.observe(state, self.steps)[:, :7])

    def measures(self, state: State | None) -> dict[str, Tensor]:
        """What `info` tells, each (B,)."""
        assert state is not None
        canvas, target, _ = state
        return {"mse": dynamics.mse(canvas, target), "distance": self.distance(canvas, target)}

    def frames(self, state: State | None) -> np.ndarray:
        """The canvases, uint8 (B, H, W, 3)."""
        if state is None:
            raise gymnasium.error.ResetNeeded("There is no canvas yet; call reset() before render().")
        return _uint8(state.canvas.permute(0, 2, 3, 1))


def random_picture(
    rng: np.random.Generator,
    renderer: Brush,
    size: tuple[int, int],
    strokes: int = 16,
    device: torch.device | str = "cpu",
) -> Tensor:
    """A picture (3, H, W) of random strokes on a random colour: a target that needs no data."""
    red, green, blue = rng.random(3).tolist()
    random = torch.from_numpy(rng.random((strokes, renderer.space.width), np.float32)).to(device)
    with torch.no_grad():
        return paint(blank(size, (red, green, blue), device), random, renderer)


def _uint8(values: Tensor) -> np.ndarray:
    """[0, 1] -> 0 to 255, in memory of its own."""
    rounded: np.ndarray = (values * 255).round().clamp(0, 255).to(torch.uint8).contiguous().cpu().numpy()
    return rounded
