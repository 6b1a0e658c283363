"""Train an agent by proximal policy optimisation (Schulman et al. 2017) on `KaoKorePaint-v0`: a model-free baseline.

    python -m experiments.train_ppo --root data/kaokore
    python -m experiments.train_ppo --resume runs/FOLDER

Stable-Baselines3's PPO with its convolutional policy is trained on the same environment, brush and faces as the agent of
this project. It sees pixels and rewards only: no gradient of the brush, no optimal colours.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from experiments.agent_training import AgentOptions, load_faces, paint_dev
from experiments.cli import choose_device, require, run
from experiments.distributed import refuse_processes
from experiments.runs import describe_run, without_folders
from experiments.trainer import Trainer, resumed
from renderer.brush import load_brush
from renderer.canvas import blank
from renderer.canvas import paint as paint_strokes
from renderer.errors import InputError
from renderer.io.files import atomic
from renderer.io.from_json import from_json
from renderer.io.read import guarded, read_json

if TYPE_CHECKING:
    import gymnasium


@dataclass(frozen=True, kw_only=True)
class Config(AgentOptions):
    """Options of the training. Dev faces are painted at 128 pixels with as many strokes as an episode has."""

    episodes: int = 4000
    """Paintings; each has 40 bundles of 5 strokes, as in Huang et al. (2019)."""
    environments: int = 16
    """Paintings between updates."""
    size: int = 64
    """Side of the canvas in pixels, during training."""
    steps: int = 40
    """Bundles in an episode."""
    bundle: int = 5
    """Strokes in a bundle."""
    learning_rate: float = 3e-4
    """Adam's."""
    epochs: int = 4
    """Passes over the observations in an update."""
    evaluate_every: int = 800
    """Episodes between evaluations."""


TINY = Config(episodes=4, environments=2, size=36, steps=2, bundle=2, epochs=1, evaluate_faces=2, evaluate_every=1)


def train_ppo(config: Config) -> Path:
    """Train the agent and return the run folder: metrics.json and samples.png. Raises `InputError`."""
    config = resumed(config, "train_ppo")
    refuse_processes("This training")
    require(config, episodes=1, environments=1, size=36, steps=1, bundle=1, learning_rate=0, epochs=1)
    require(config, evaluate_faces=1, evaluate_every=1)
    from gymnasium.wrappers import RescaleAction

    from agents.environment import KaoKorePaint

    try:
        from stable_baselines3 import PPO
        from stable_baselines3.common.logger import Logger
        from stable_baselines3.common.vec_env import DummyVecEnv
    except ImportError as error:
        raise InputError("Stable-Baselines3 is not installed; `make env` installs it.") from error
    device = choose_device(config.device)
    renderer = load_brush(config.renderer, device)
    train, dev = load_faces(config, config.size, 128, device)

    def environment() -> gymnasium.Env:
        env = KaoKorePaint(
            renderer,
            train,
            size=config.size,
            steps=config.steps,
            bundle=config.bundle,
            reward="l2-relative",
            device=device,
        )
        return RescaleAction(env, np.float32(-1), np.float32(1))

    model = PPO(
        "CnnPolicy",
        DummyVecEnv([environment] * config.environments),
        learning_rate=config.learning_rate,
        n_steps=config.steps,
        batch_size=max(2, config.environments * config.steps // 4),
        n_epochs=config.epochs,
        gamma=0.95**5,  # per bundle, as in Huang et al. (2019)
        gae_lambda=0.95,
        seed=config.seed,
        device=device,
    )
    model.set_logger(Logger(None, []))  # its own would make a folder for each update
    env = environment()  # another one for evaluations

    def paint(face: Tensor) -> Tensor:
        """The policy sees the face and the canvas at the size of its training; the strokes are drawn at the face's."""
        size = (config.size, config.size)
        observation, _ = env.reset(options={"target": F.interpolate(face[None], size, mode="area")[0]})
        strokes, finished = [], False
        while not finished:
            action, _ = model.predict(observation, deterministic=True)
            strokes.append(torch.from_numpy((action + 1) / 2).to(face).view(-1, renderer.space.width))
            observation, _, finished, _, _ = env.step(action)
        return paint_strokes(blank((face.shape[-2], face.shape[-1]), device=device), torch.cat(strokes), renderer)

    total, every = (-(-episodes // config.environments) for episodes in (config.episodes, config.evaluate_every))
    objects = {"policy": model.policy, "optimizer": model.policy.optimizer}
    with Trainer("train_ppo", config, objects) as trainer:
        for update in trainer.steps(total, "update", evaluate_every=every):
            # Each update starts from blank canvases and its own seed, so that a resumed run is the same.
            model.set_random_seed(config.seed + update + 1)
            try:
                model.learn(config.environments * config.steps, reset_num_timesteps=True)
            except ValueError:  # the distribution of actions has no other word for a policy that is not finite
                trainer.require_finite()
                raise
            trainer.log({"train/loss": model.logger.name_to_value.get("train/loss", 0.0)})
            if trainer.evaluating:
                _, mse = paint_dev(paint, dev, trainer.folder)
                trainer.log({"dev/mse": mse})
                trainer.show(dev_mse=f"{mse:.4f}")
                metrics: dict[str, Any] = {"dev_mse": mse, "strokes": config.steps * config.bundle, "faces": len(dev)}
                metrics |= {"updates": update + 1, "config": without_folders(asdict(config)), **describe_run()}
                with atomic(trainer.folder / "metrics.json") as path:
                    path.write_text(json.dumps(metrics, indent=2))
    written = trainer.folder / "metrics.json"
    if written.exists():
        with guarded(written, InputError, "is not the metrics of this training", "; delete it"):
            metrics = read_json(written)
            from_json(tuple[float, int], [metrics[name] for name in ("dev_mse", "strokes")], "metrics")
        print(f"{written}: dev MSE {metrics['dev_mse']:.5f} with {metrics['strokes']} strokes; see samples.png there.")
    return trainer.folder


if __name__ == "__main__":
    run(train_ppo, Config, __doc__)
