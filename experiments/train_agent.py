"""Teach an agent to paint KaoKore faces, through the learned renderer.

python -m experiments.train_agent --root ../shared/kaokore            # about 20 minutes on two cores
python -m experiments.train_agent --resume runs/FOLDER                # go on where it stopped
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path

import torch
import tyro
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from agents.policy import Policy
from agents.rollout import paint_picture
from agents.train import DEFAULT_PLANNING, TrainConfig, train_episode
from experiments import runs
from experiments.cli import choose_device, require, run
from kaokore.loading import draw_faces, load_faces, write_pairs
from renderer.brush import Brush
from renderer.canvas import blank
from renderer.errors import InputError
from renderer.io.checkpoint import Checkpoint
from renderer.learned.load import KINDS


@dataclass(frozen=True)
class Config:
    """Options of the training."""

    root: str | None = None
    """KaoKore's folder; else KAOKORE_ROOT, else data/kaokore."""
    renderer: str = "bezier"
    """The learned renderer to train through."""
    episodes: int = 600
    """Batches of faces, each painted once from a white canvas."""
    batch: int = 8
    size: int = 128
    """Pixels of the canvas' side."""
    learning_rate: float = 1e-3
    """Of Adam; falls to zero by a cosine."""
    width: int = 64
    """Channels of the policy."""
    blocks: int = 3
    """Residual blocks of the policy."""
    each: int = 4
    """Strokes that the policy proposes for each cell."""
    learn: tyro.conf.OmitArgPrefixes[TrainConfig] = DEFAULT_PLANNING
    evaluate_faces: int = 48
    """Dev faces that a checkpoint is chosen by."""
    evaluate_strokes: int = 200
    evaluate_every: int = 100
    """Episodes between evaluations, each of which also saves."""
    seed: int = 0
    device: str = "auto"
    resume: str | None = None
    """A run folder to go on with; all other options are then read from it."""
    runs: str = "runs"
    """Where run folders are made."""


TINY = Config(episodes=2, batch=2, size=32, width=16, blocks=1, evaluate_faces=2, evaluate_strokes=10, evaluate_every=1)


def train_agent(config: Config) -> Path:
    """Teach an agent to paint KaoKore faces, through the learned renderer."""
    folder = Path(config.resume or "")
    resuming = config.resume is not None
    if resuming:
        config = runs.resume(folder, "train_agent", Config)
    _check(config)
    device = choose_device(config.device)
    made = Checkpoint.load(config.renderer, *KINDS)
    renderer: Brush = made.build(KINDS, device)
    train = load_faces(config.root, "train", config.size)
    dev = load_faces(config.root, "dev", config.size, config.evaluate_faces).to(device) / 255
    if not resuming:
        folder = runs.start("train_agent", config, config.runs)

    torch.manual_seed(config.seed)  # the initial weights
    settings = {"width": config.width, "blocks": config.blocks, "each": config.each}
    policy = Policy(**settings).to(device).to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(policy.parameters(), config.learning_rate)
    draws = torch.Generator().manual_seed(config.seed)
    objects = {"policy": policy, "optimizer": optimizer, "draws": draws}
    done, best = 0, math.inf
    if (folder / "state.safetensors").exists():
        done, notes = runs.load_state(folder / "state.safetensors", objects)
        best = notes["best"]

    with SummaryWriter(folder) as board, tqdm(total=config.episodes, initial=done, unit="episode") as bar:
        for episode in range(done + 1, config.episodes + 1):
            for group in optimizer.param_groups:
                group["lr"] = config.learning_rate * (1 + math.cos(math.pi * (episode - 1) / config.episodes)) / 2
            targets = draw_faces(train, config.batch, draws).to(device)
            *_, last = train_episode(policy, optimizer, renderer, targets, config.learn, draws)
            bar.update()
            bar.set_postfix(mse=f"{last.mse:.4f}", best=f"{best:.5f}")
            board.add_scalar("train/mse", last.mse, episode)
            board.add_scalar("train/loss", last.loss, episode)
            if episode % config.evaluate_every == 0 or episode == config.episodes:
                begun = time.monotonic()
                pictures = [paint(policy, renderer, face, config.evaluate_strokes) for face in dev]
                seconds = (time.monotonic() - begun) / len(dev)
                mse = (torch.stack(pictures) - dev).square().mean().item()
                board.add_scalar("dev/mse", mse, episode)
                metrics = {
                    "dev_mse": mse,
                    "strokes": config.evaluate_strokes,
                    "faces": len(dev),
                    "seconds_a_face": seconds,
                }
                about = {**metrics, "renderer": made.kind, "renderer_hash": made.hash(), "episodes": episode}
                about |= {"seed": config.seed, "data": "KaoKore v1.1 train, CC BY-SA 4.0, doi:10.20676/00000353"}
                checkpoint = Checkpoint(
                    "policy", settings, policy.state_dict(), policy.space, about | runs.describe_run()
                )
                checkpoint.save(folder / "latest.safetensors")
                if mse < best:
                    best = mse
                    checkpoint.save(folder / "best.safetensors")
                write_pairs(dev, torch.stack(pictures), folder / "samples.png")
                runs.save_state(folder / "state.safetensors", episode, objects, {"best": best})
    print(
        f"{folder}/best.safetensors: dev MSE {best:.5f} with {config.evaluate_strokes} strokes; see samples.png there."
    )
    return folder


def _check(config: Config) -> None:
    require(config, episodes=1, batch=1, size=1, learning_rate=0, blocks=0, each=1)
    require(config, evaluate_faces=1, evaluate_strokes=1, evaluate_every=1)
    require(config.learn, horizon=0, proposals=0, exploration=0)
    if config.learn.horizon == 0 and config.learn.proposals == 0:
        raise InputError("With --horizon 0 there is nothing to learn from but --proposals; give it a weight above 0.")
    if config.width < 8 or config.width % 8 != 0:
        raise InputError(f"--width must be a multiple of 8, not {config.width}.")


def paint(policy: Policy, renderer: Brush, face: Tensor, count: int) -> Tensor:
    """The finished canvas (3, H, W)."""
    background = blank((face.shape[-2], face.shape[-1]), device=face.device)
    *_, (canvas, _) = paint_picture(policy, renderer, background, face, count)
    return canvas


if __name__ == "__main__":
    run(train_agent, Config, __doc__, renamed={"--limits": "--constraints"})
