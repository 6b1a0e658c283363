"""`KaoKorePaint-v0`: painting as a gymnasium environment, a wrapper around `agents.mdp`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from agents import mdp
from agents.mdp import WHITE, Colour, Reward, State
from renderer.brush import Brush
from renderer.brushes.bezier import ExactBezier
from renderer.canvas import blank, paint
from renderer.errors import InputError

Targets = Tensor | Callable[[np.random.Generator], Any]
"""Pictures to draw from, or a function that draws one."""


class KaoKorePaint(gymnasium.Env[np.ndarray, np.ndarray]):
    """Repaint a target picture with a bundle of strokes per step.

    Observation: Box uint8 `(7, H, W)`: canvas (3), target (3), fraction of the steps done (1). A single image instead of
    a Dict, so that Stable-Baselines3's CnnPolicy accepts it (from 36 pixels on). The exact tensors are in `state`.

    Action: Box float32 `(bundle * P,)` in [0, 1], the strokes of a bundle one after another, the first lowest. Values
    outside are clipped; NaN raises `InputError`. For algorithms whose first actions lie around 0 (PPO), use
    `gymnasium.wrappers.RescaleAction(env, -1, 1)`.

    Reward: the decrease of the distance between canvas and target.

    End: `terminated` after `steps` bundles, never `truncated`. The episode's length is part of the task and visible in the
    observation, so that a value function must not bootstrap beyond it.

    Info: `mse` to the target, and `distance`, the same divided by the blank canvas' (1 at first, 0 when perfect).

    Environments can be pickled if the given targets and reward can.

    Args:
        brush: Paints the strokes; by default, the exact Bezier brush.
        targets: Pictures `(M, 3, H, W)`, in [0, 1] or uint8, one drawn at random per episode; or a function from a numpy
            generator to one picture; by default, pictures of random strokes.
        size: Of the canvas in pixels, one side or (height, width).
        steps: Bundles per painting; the default is that of Huang et al. (2019).
        bundle: Strokes per bundle; the default is that of Huang et al. (2019).
        reward: "l2", "l2-relative" (divided by the blank canvas' distance), or a function (state before, state after) ->
            `(B,)`.
        background: Colour of the blank canvas, sRGB in [0, 1].
        device: Device of canvases and brush.
        render_mode: "rgb_array" or None.

    Raises:
        InputError: Targets of another size than the canvas, or an unknown reward.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012 (gymnasium reads it from the class)

    def __init__(
        self,
        brush: Brush | None = None,
        targets: Targets | None = None,
        *,
        size: int | tuple[int, int] = 64,
        steps: int = 40,
        bundle: int = 5,
        reward: str | Reward = "l2",
        background: Colour = WHITE,
        device: torch.device | str = "cpu",
        render_mode: str | None = None,
    ) -> None:
        self.brush = ExactBezier() if brush is None else brush
        self.size = (size, size) if isinstance(size, int) else size
        self.targets = targets
        if isinstance(targets, Tensor) and (len(targets) == 0 or targets.shape[1:] != (3, *self.size)):
            raise InputError(
                f"The targets have shape {tuple(targets.shape)}, but the canvas needs (M, 3, {self.size[0]}, "
                f"{self.size[1]}) with M > 0; resize the pictures or give another size."
            )
        self.steps, self.bundle, self.background, self.device = steps, bundle, background, torch.device(device)
        self.distance = mdp.relative(mdp.mse, background)
        rewards = {"l2": mdp.l2, "l2-relative": mdp.decrease(self.distance)}
        if isinstance(reward, str) and reward not in rewards:
            raise InputError(f"Unknown reward {reward!r}; choose {' or '.join(rewards)}, or give a function.")
        self.reward: Reward = rewards[reward] if isinstance(reward, str) else reward
        self.observation_space = spaces.Box(0, 255, (7, *self.size), np.uint8)
        self.action_space = spaces.Box(0.0, 1.0, (bundle * self.brush.space.width,), np.float32)
        self.render_mode = render_mode
        self.state: State | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start a blank canvas with a target drawn at random, or with `options["target"]` (3, H, W)."""
        super().reset(seed=seed)
        self.state = self.begin(self.target(self.np_random, options)[None])
        return self.observation(self.state)[0], self._info()

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Paint one bundle."""
        self.state, reward = self.apply(self.state, np.asarray(action)[None])
        terminated = bool(mdp.finished(self.state, self.steps)[0])
        return self.observation(self.state)[0], float(reward[0]), terminated, False, self._info()

    def render(self) -> np.ndarray | None:
        """Return the canvas, uint8 `(H, W, 3)`, or None without a render mode."""
        return None if self.render_mode is None else self.frames(self.state)[0]

    def _info(self) -> dict[str, Any]:
        return {name: float(value[0]) for name, value in self.metrics(self.state).items()}

    # Conversion between numpy and the functions of `agents.mdp`, in batches; the vectorised environment uses it too.

    def target(self, rng: np.random.Generator, options: dict[str, Any] | None = None) -> Tensor:
        """Draw the next picture to paint, `(3, H, W)` in [0, 1]. Raises `InputError` for one that does not fit."""
        if options and "target" in options:
            picture = options["target"]
        elif self.targets is None:
            picture = random_picture(rng, self.brush, self.size, device=self.device)
        elif isinstance(self.targets, Tensor):
            picture = self.targets[int(rng.integers(len(self.targets)))]
        else:
            picture = self.targets(rng)
        picture = (picture if isinstance(picture, Tensor) else torch.from_numpy(np.array(picture))).to(self.device)
        if picture.shape != (3, *self.size):
            raise InputError(
                f"A target has shape {tuple(picture.shape)}, but the canvas needs (3, {self.size[0]}, {self.size[1]}); "
                "resize the picture or give another size."
            )
        if picture.dtype == torch.uint8:
            return picture.float() / 255
        if not ((picture >= 0) & (picture <= 1)).all():
            raise InputError("A target has values outside [0, 1]; give colours in [0, 1], or uint8 from 0 to 255.")
        return picture.float()

    def begin(self, targets: Tensor) -> State:
        """Start blank canvases with targets `(B, 3, H, W)`."""
        return mdp.begin(targets, self.background)

    @torch.no_grad()
    def apply(self, state: State | None, actions: np.ndarray) -> tuple[State, Tensor]:
        """Paint a bundle on each canvas, actions `(B, bundle * P)`; return the new states and the rewards `(B,)`."""
        if state is None or bool(mdp.finished(state, self.steps).any()):
            raise gymnasium.error.ResetNeeded("No unfinished canvas; call reset() before step().")
        wanted = (len(state.step), self.bundle * self.brush.space.width)
        if actions.shape != wanted:
            raise InputError(f"The actions have shape {actions.shape}, expected {wanted}: a bundle for each canvas.")
        strokes = torch.from_numpy(np.array(actions, np.float32)).to(self.device)
        if strokes.isnan().any():
            raise InputError("An action contains NaN; check the policy that it came from.")
        strokes = strokes.clamp(0, 1).view(len(strokes), self.bundle, -1)
        after = mdp.step(state, strokes, self.brush)
        return after, self.reward(state, after)

    def observation(self, state: State) -> np.ndarray:
        """Return `mdp.observe` without the coordinates, rounded to uint8 `(B, 7, H, W)`."""
        return _uint8(mdp.observe(state, self.steps)[:, :7])

    def metrics(self, state: State | None) -> dict[str, Tensor]:
        """Return the values of `info`, each `(B,)`."""
        assert state is not None
        canvas, target, _ = state
        return {"mse": mdp.mse(canvas, target), "distance": self.distance(canvas, target)}

    def frames(self, state: State | None) -> np.ndarray:
        """Return the canvases as uint8 `(B, H, W, 3)`."""
        if state is None:
            raise gymnasium.error.ResetNeeded("No canvas yet; call reset() before render().")
        return _uint8(state.canvas.permute(0, 2, 3, 1))


def random_picture(
    rng: np.random.Generator,
    brush: Brush,
    size: tuple[int, int],
    *,
    strokes: int = 16,
    device: torch.device | str = "cpu",
) -> Tensor:
    """Paint random strokes on a random colour: a target `(3, H, W)` that needs no data set."""
    red, green, blue = rng.random(3).tolist()
    random = torch.from_numpy(rng.random((strokes, brush.space.width), np.float32)).to(device)
    with torch.no_grad():
        return paint(blank(size, (red, green, blue), device), random, brush)


def _uint8(values: Tensor) -> np.ndarray:
    """[0, 1] -> 0 to 255, as a copy."""
    rounded: np.ndarray = (values * 255).round().clamp(0, 255).to(torch.uint8).contiguous().cpu().numpy()
    return rounded
