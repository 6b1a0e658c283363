"""Proximal policy optimisation on `KaoKorePaint-v0`: a model-free outside baseline (Schulman et al. 2017).

    python -m experiments.train_ppo --root ../shared/kaokore
    python -m experiments.train_ppo --resume runs/FOLDER

Stable-Baselines3's PPO with its own convolutional policy learns on the same environment, renderer and faces as our agent. It
sees pixels and rewards only: no gradient of the renderer, no closed-form colours.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import gymnasium
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from agents.environment import KaoKorePaint
from experiments import runs
from experiments.cli import choose_device, progress, require, run
from experiments.outputs import write_pairs
from kaokore.loading import load_images
from renderer.brush import Brush
from renderer.canvas import blank, paint
from renderer.errors import InputError
from renderer.io.files import atomic
from renderer.learned.load import load_brush


@dataclass(frozen=True)
class Config:
    """Options of the training."""

    root: str | None = None
    """KaoKore's folder; else KAOKORE_ROOT, else data/kaokore."""
    renderer: str = "bezier"
    episodes: int = 4000
    """Paintings begun; each has 40 bundles of 5 strokes, as in Huang et al. (2019)."""
    environments: int = 16
    """Canvases painted between updates."""
    size: int = 64
    """Pixels of the canvas' side while learning."""
    steps: int = 40
    bundle: int = 5
    learning_rate: float = 3e-4
    epochs: int = 4
    """Passes over what was seen, an update."""
    evaluate_faces: int = 48
    """Dev faces, measured at 128 pixels."""
    evaluate_every: int = 50
    """Updates between evaluations, each of which also saves."""
    seed: int = 0
    device: str = "auto"
    resume: str | None = None
    """A run folder to go on with; all other options are then read from it."""
    runs: str = "runs"


TINY = Config(episodes=4, environments=2, size=36, steps=2, bundle=2, epochs=1, evaluate_faces=2, evaluate_every=1)


def train_ppo(config: Config) -> Path:
    """Proximal policy optimisation on the gymnasium environment, as an outside baseline."""
    folder = Path(config.resume or "")
    resuming = config.resume is not None
    if resuming:
        config = runs.resume(folder, "train_ppo", Config)
    require(config, episodes=1, environments=1, size=36, steps=1, bundle=1, learning_rate=0, epochs=1)
    require(config, evaluate_faces=1, evaluate_every=1)
    try:
        from stable_baselines3 import PPO
        from stable_baselines3.common.vec_env import DummyVecEnv
    except ImportError as error:
        raise InputError("Stable-Baselines3 is not installed; `make env` installs it.") from error
    device = choose_device(config.device)
    renderer = load_brush(config.renderer, device)
    train = load_images(config.root, "train", config.size, track=progress("train images")).images
    dev = load_images(config.root, "dev", 128, count=config.evaluate_faces).images.to(device) / 255
    if not resuming:
        folder = runs.start("train_ppo", config, config.runs)

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
        return gymnasium.wrappers.RescaleAction(env, np.float32(-1), np.float32(1))

    model = PPO(
        "CnnPolicy",
        DummyVecEnv([environment] * config.environments),
        learning_rate=config.learning_rate,
        n_steps=config.steps,
        batch_size=max(2, config.environments * config.steps // 4),
        n_epochs=config.epochs,
        gamma=0.95**5,  # a bundle, as in Huang et al. (2019)
        gae_lambda=0.95,
        seed=config.seed,
        device=device,
    )
    easel = environment()  # of its own, for measuring
    objects = {"policy": model.policy, "optimizer": model.policy.optimizer}
    state = folder / "state.safetensors"
    done = runs.load_state(state, objects)[0] if state.exists() else 0
    updates = -(-config.episodes // config.environments)
    with SummaryWriter(folder) as board, tqdm(total=updates, initial=done, unit="update") as bar:
        for update in range(done + 1, updates + 1):
            # Every update begins on blank canvases with a seed of its own, so that a resumed run goes on the same.
            model.set_random_seed(config.seed + update)
            model.learn(config.environments * config.steps, reset_num_timesteps=True)
            board.add_scalar("train/loss", model.logger.name_to_value.get("train/loss", 0.0), update)
            bar.update()
            if update % config.evaluate_every == 0 or update == updates:
                runs.save_state(state, update, objects)
                pictures = torch.stack([_paint(model, easel, renderer, face) for face in dev])
                mse = (pictures - dev).square().mean().item()
                board.add_scalar("dev/mse", mse, update)
                bar.set_postfix(dev_mse=f"{mse:.4f}")
                metrics = {
                    "dev_mse": mse,
                    "strokes": config.steps * config.bundle,
                    "faces": len(dev),
                    "updates": update,
                }
                with atomic(folder / "metrics.json") as path:
                    path.write_text(json.dumps({**metrics, "config": asdict(config), **runs.describe_run()}, indent=2))
                write_pairs(dev, pictures, folder / "samples.png")
    metrics = json.loads((folder / "metrics.json").read_text())
    print(
        f"{folder}/metrics.json: dev MSE {metrics['dev_mse']:.5f} with {metrics['strokes']} strokes; see samples.png there."
    )
    return folder


def _paint(model: object, env: gymnasium.Env, renderer: Brush, face: Tensor) -> Tensor:
    """The finished canvas (3, H, W): the policy paints at its own size, the strokes are drawn at the face's."""
    size = env.observation_space.shape[1:]  # type: ignore[index]
    observation, _ = env.reset(options={"target": F.interpolate(face[None], size, mode="area")[0]})
    strokes, finished = [], False
    while not finished:
        action, _ = model.predict(observation, deterministic=True)  # type: ignore[attr-defined]
        strokes.append(torch.from_numpy((action + 1) / 2).to(face).view(-1, renderer.space.width))
        observation, _, finished, _, _ = env.step(action)
    background = blank((face.shape[-2], face.shape[-1]), device=face.device)
    return paint(background, torch.cat(strokes), renderer)


if __name__ == "__main__":
    run(train_ppo, Config, __doc__)
