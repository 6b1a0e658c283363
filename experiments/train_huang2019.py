"""Train the agent of Huang et al. (2019), "Learning to Paint", as a baseline.

Examples:

    python -m experiments.train_huang2019 --root data/kaokore             # sized for two cores
    python -m experiments.train_huang2019 paper --device cuda               # the paper's numbers
    python -m experiments.train_huang2019 --reward l2 --no-model-based      # the paper's ablations
    python -m experiments.train_huang2019 --resume runs/FOLDER              # continue a run
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean

import torch
import tyro
from torch import Tensor

from agents import huang2019
from agents.huang2019 import Huang2019Config, LearningToPaint, paint_in_bundles
from experiments.agent_training import AgentOptions, load_faces, paint_dev, provenance
from experiments.cli import choose_device, require, run
from experiments.distributed import refuse_processes
from experiments.trainer import Trainer, resumed
from kaokore.loading import draw_images
from painter.losses.perceptual import Perceptual
from renderer.brush import Brush
from renderer.canvas import blank
from renderer.io.checkpoint import Checkpoint
from renderer.learned.load import KINDS, load_brush_checkpoint


@dataclass(frozen=True, kw_only=True)
class Config(AgentOptions):
    """Options of the training. Dev faces are painted at 128 pixels with as many strokes as an episode has."""

    recipe: tyro.conf.OmitArgPrefixes[Huang2019Config] = huang2019.CPU
    evaluate_every: int = 50
    """Episodes between evaluations."""


CPU = Config()
PAPER = Config(episodes=50_000, recipe=huang2019.PAPER, evaluate_every=500)
TINY = Config(episodes=3, recipe=huang2019.TINY, evaluate_faces=2, evaluate_every=1)
PRESETS = {"cpu": ("sized for two cores", CPU), "paper": ("the numbers of the paper, for a GPU", PAPER)}


def train_huang2019(config: Config) -> Path:
    """Train the agent and return the run folder: `latest.safetensors` and samples.png. Raises `InputError`."""
    config = resumed(config, "train_huang2019")
    _check(config)
    refuse_processes("This training")
    recipe, device = config.recipe, choose_device(config.device)
    checkpoint = load_brush_checkpoint(config.renderer)
    renderer: Brush = checkpoint.build(KINDS, device)
    train, dev = load_faces(config, recipe.size, 128, device)
    perceptual = Perceptual().to(device)

    torch.manual_seed(config.seed)  # the initial weights
    learner = LearningToPaint(renderer, recipe, device)
    draws = torch.Generator().manual_seed(config.seed)

    def paint(face: Tensor) -> Tensor:
        background = blank((face.shape[-2], face.shape[-1]), device=device)
        *_, (canvas, _) = paint_in_bundles(learner.actor, renderer, background, face, recipe.steps * recipe.bundle)
        return canvas

    with Trainer("train_huang2019", config, {**learner.modules(), "draws": draws}) as trainer:
        for episode in trainer.steps(config.episodes, "episode", evaluate_every=config.evaluate_every):
            targets = draw_images(train, recipe.environments, draws)[0].to(device) / 255
            error = (learner.rollout(targets, draws) - targets).square().mean().item()
            trainer.log({"train/mse": error})
            trainer.show(mse=f"{error:.4f}")
            if episode >= recipe.warmup:
                progress = (episode + 1) / config.episodes
                updates = [asdict(learner.update(progress, draws)) for _ in range(recipe.updates)]
                trainer.log({f"train/{name}": mean(update[name] for update in updates) for name in updates[0]})
            if trainer.evaluating:
                learner.actor.eval()
                canvases, mse = paint_dev(paint, dev, trainer.folder)
                learner.actor.train()
                distance = mean(perceptual(a[None], b[None]).item() for a, b in zip(canvases, dev, strict=True))
                trainer.log({"dev/mse": mse, "dev/perceptual": distance})
                about = {"dev_mse": mse, "dev_perceptual": distance, "strokes": recipe.steps * recipe.bundle}
                about |= {"faces": len(dev), "recipe": asdict(recipe), **provenance(config, checkpoint, episode + 1)}
                settings = {
                    "size": recipe.size,
                    "steps": recipe.steps,
                    "bundle": recipe.bundle,
                    "blocks": recipe.blocks,
                }
                actor = learner.actor
                agent = Checkpoint("huang2019-actor", settings, actor.state_dict(), actor.space, about)
                agent.save(trainer.folder / "latest.safetensors")
    latest = trainer.folder / "latest.safetensors"
    if latest.exists():
        mse, distance, strokes = Checkpoint.load(latest).numbers("dev_mse", "dev_perceptual", "strokes")
        print(
            f"{latest}: dev MSE {mse:.5f}, perceptual distance {distance:.3f} with {strokes:.0f} strokes; "
            "see samples.png there."
        )
    return trainer.folder


def _check(config: Config) -> None:
    require(config, episodes=1, evaluate_faces=1, evaluate_every=1)
    require(config.recipe, size=32, steps=1, bundle=1, environments=1, batch=2, updates=1, warmup=0, memory=1)
    require(config.recipe, actor_rate=0, critic_rate=0, decay=0, decay_after=0, discount=0, tau=0, noise=0)


if __name__ == "__main__":
    run(train_huang2019, Config, __doc__, PRESETS)
