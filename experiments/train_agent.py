"""Train the agent to paint KaoKore faces, through a learned brush.

Examples:

    python -m experiments.train_agent --root data/kaokore               # about 20 minutes on two cores
    python -m experiments.train_agent --resume runs/FOLDER                # continue a run
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from pathlib import Path

import torch
import tyro
from torch import Tensor

from agents.policy import Policy
from agents.rollout import paint_picture
from agents.train import TrainConfig, train_episode
from experiments.agent_training import AgentOptions, load_faces, paint_dev, provenance
from experiments.cli import choose_device, require, run
from experiments.distributed import join_processes
from experiments.trainer import Trainer, resumed
from kaokore.loading import draw_images
from renderer.brush import Brush
from renderer.canvas import blank
from renderer.errors import InputError
from renderer.io.checkpoint import Checkpoint
from renderer.learned.load import KINDS, load_brush_checkpoint
from renderer.learned.processes import Processes


@dataclass(frozen=True, kw_only=True)
class Config(AgentOptions):
    """Options of the training."""

    batch: int = 8
    """Faces in an episode."""
    size: int = 128
    """Side of the canvas in pixels."""
    start: str | None = None
    """Policy to train on, such as agent (the shipped one), with its architecture; by default, a new one."""
    learning_rate: float = 1e-3
    """Adam's; it decreases to zero by a cosine."""
    width: int = 64
    """Channels of the policy."""
    blocks: int = 3
    """Residual blocks of the policy."""
    each: int = 4
    """Strokes that the policy proposes for each cell."""
    training: tyro.conf.OmitArgPrefixes[TrainConfig] = field(default_factory=TrainConfig)
    evaluate_strokes: int = 200
    """Strokes of each painting in an evaluation."""


TINY = Config(episodes=2, batch=2, size=32, width=16, blocks=1, evaluate_faces=2, evaluate_strokes=10, evaluate_every=1)


def train_agent(config: Config) -> Path:
    """Train the agent and return the run folder: `best.safetensors` (least dev error), `latest.safetensors`, samples.png.

    Raises `InputError`.
    """
    config = resumed(config, "train_agent")
    _check(config)
    device = choose_device(config.device)
    with join_processes(config.batch, device) as processes:
        return _train(config, device, processes)


def _train(config: Config, device: torch.device, processes: Processes) -> Path:
    checkpoint = load_brush_checkpoint(config.renderer)
    renderer: Brush = checkpoint.build(KINDS, device)
    train, dev = load_faces(config, config.size, config.size, device)

    torch.manual_seed(config.seed)  # the initial weights
    settings = {"width": config.width, "blocks": config.blocks, "each": config.each}
    policy = Policy(**settings)
    if config.start is not None:
        trained = Checkpoint.load(config.start, "policy")
        policy, settings = trained.build({"policy": Policy}).train().requires_grad_(), trained.config
    policy = policy.to(device).to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(policy.parameters(), config.learning_rate)
    draws = torch.Generator().manual_seed(config.seed)

    def paint(face: Tensor) -> Tensor:
        background = blank((face.shape[-2], face.shape[-1]), device=device)
        *_, (canvas, _) = paint_picture(policy, renderer, background, face, config.evaluate_strokes)
        return canvas

    objects = {"policy": policy, "optimizer": optimizer, "draws": draws}
    with Trainer("train_agent", config, objects, processes=processes) as trainer:
        for episode in trainer.steps(config.episodes, "episode", evaluate_every=config.evaluate_every):
            for group in optimizer.param_groups:
                group["lr"] = config.learning_rate * (1 + math.cos(math.pi * episode / config.episodes)) / 2
            targets = processes.part(draw_images(train, config.batch, draws)[0]).to(device) / 255
            *_, last = train_episode(policy, optimizer, renderer, targets, config.training, draws, processes)
            trainer.log({"train/mse": last.mse, "train/loss": last.loss})
            trainer.show(mse=f"{last.mse:.4f}", best=trainer.notes.get("best"))
            if trainer.evaluating:
                begun = time.monotonic()
                _, mse = paint_dev(paint, dev, trainer.folder)
                seconds = (time.monotonic() - begun) / len(dev)
                trainer.log({"dev/mse": mse})
                about = {
                    "dev_mse": mse,
                    "strokes": config.evaluate_strokes,
                    "faces": len(dev),
                    "seconds_a_face": seconds,
                }
                about |= provenance(config, checkpoint, episode + 1)
                agent = Checkpoint("policy", settings, policy.state_dict(), policy.space, about)
                agent.save(trainer.folder / "latest.safetensors")
                if trainer.improved(mse):
                    agent.save(trainer.folder / "best.safetensors")
    if "best" in trainer.notes:
        print(
            f"{trainer.folder}/best.safetensors: dev MSE {trainer.notes['best']:.5f} with {config.evaluate_strokes} "
            f"strokes; see samples.png there."
        )
    return trainer.folder


def _check(config: Config) -> None:
    require(config, episodes=1, batch=1, size=1, learning_rate=0, blocks=0, each=1)
    require(config, evaluate_faces=1, evaluate_strokes=1, evaluate_every=1)
    require(config.training, horizon=0, proposals=0, exploration=0)
    if config.training.horizon == 0 and config.training.proposals == 0:
        raise InputError("--horizon 0 trains on the proposals alone: --proposals must be greater than 0.")
    if not config.training.round_strokes or min(config.training.round_strokes) < 1:
        raise InputError(f"--round-strokes must be positive numbers, not {config.training.round_strokes}.")
    if config.width < 8 or config.width % 8 != 0:
        raise InputError(f"--width must be a multiple of 8, not {config.width}.")


if __name__ == "__main__":
    run(train_agent, Config, __doc__, renamed={"--limits": "--round-strokes"})
