"""Teach an agent by the recipe of Huang et al. (2019), "Learning to Paint": the baseline of ours.

python -m experiments.train_huang2019 --root ../shared/kaokore                  # sized for two cores
python -m experiments.train_huang2019 paper --device cuda                       # the paper's numbers
python -m experiments.train_huang2019 --reward l2 --no-model-based              # its ablations
python -m experiments.train_huang2019 --resume runs/FOLDER                      # go on where it stopped
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean

import torch
import tyro
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from agents import huang2019
from agents.huang2019 import Huang2019Config, LearningToPaint, paint_in_bundles
from experiments import runs
from experiments.cli import choose_device, require, run
from kaokore.loading import draw_faces, load_faces, write_pairs
from painter.losses.perceptual import Perceptual
from renderer.brush import Brush
from renderer.canvas import blank
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
    recipe: tyro.conf.OmitArgPrefixes[Huang2019Config] = huang2019.CPU
    evaluate_faces: int = 48
    """Dev faces that are measured, at 128 pixels, with as many strokes as an episode has."""
    minutes_between_saves: float = 4.0
    """Also between evaluations."""
    seed: int = 0
    device: str = "auto"
    resume: str | None = None
    """A run folder to go on with; all other options are then read from it."""
    runs: str = "runs"
    """Where run folders are made."""


CPU = Config()
PAPER = Config(episodes=50_000, recipe=huang2019.PAPER, minutes_between_saves=15.0)
TINY = Config(episodes=3, recipe=huang2019.TINY, evaluate_faces=2)
PRESETS = {"cpu": ("sized for two cores", CPU), "paper": ("the paper's numbers, for a GPU", PAPER)}


def train_huang2019(config: Config) -> Path:
    """Teach an agent by the recipe of Huang et al. (2019)."""
    folder = Path(config.resume or "")
    resuming = config.resume is not None
    if resuming:
        config = runs.resume(folder, "train_huang2019", Config)
    _check(config)
    recipe, device = config.recipe, choose_device(config.device)
    made = Checkpoint.load(config.renderer, *KINDS)
    renderer: Brush = made.build(KINDS, device)
    train = load_faces(config.root, "train", recipe.size)
    dev = load_faces(config.root, "dev", 128, config.evaluate_faces).to(device) / 255
    perceptual = Perceptual().to(device)
    if not resuming:
        folder = runs.start("train_huang2019", config, config.runs)

    torch.manual_seed(config.seed)  # the initial weights
    learner = LearningToPaint(renderer, recipe, device)
    draws = torch.Generator().manual_seed(config.seed)
    objects = {**learner.modules(), "draws": draws}
    state = folder / "state.safetensors"
    done = runs.load_state(state, objects)[0] if state.exists() else 0

    saved = time.monotonic()
    with SummaryWriter(folder) as board, tqdm(total=config.episodes, initial=done, unit="episode") as bar:
        for episode in range(done + 1, config.episodes + 1):
            targets = draw_faces(train, recipe.environments, draws).to(device)
            error = (learner.play(targets, draws) - targets).square().mean().item()
            updates = recipe.updates if episode > recipe.warmup else 0
            seen = [learner.update(episode / config.episodes, draws) for _ in range(updates)]
            board.add_scalar("train/mse", error, episode)
            for name in asdict(seen[0]) if seen else ():
                board.add_scalar(f"train/{name}", mean(getattr(update, name) for update in seen), episode)
            bar.update()
            bar.set_postfix(mse=f"{error:.4f}")
            last = episode == config.episodes
            if last or time.monotonic() - saved > config.minutes_between_saves * 60:
                runs.save_state(state, episode, objects)
                pictures = torch.stack([_paint(learner, renderer, face) for face in dev])
                metrics = {
                    "dev_mse": (pictures - dev).square().mean().item(),
                    "dev_perceptual": mean(
                        perceptual(a[None], b[None]).item() for a, b in zip(pictures, dev, strict=True)
                    ),
                    "strokes": recipe.steps * recipe.bundle,
                    "faces": len(dev),
                }
                for name in ("dev_mse", "dev_perceptual"):
                    board.add_scalar(name.replace("_", "/", 1), metrics[name], episode)
                about = {**metrics, "recipe": asdict(recipe), "episodes": episode, "seed": config.seed}
                about |= {"renderer": made.kind, "renderer_hash": made.hash(), **runs.describe_run()}
                built = {"size": recipe.size, "steps": recipe.steps, "bundle": recipe.bundle, "blocks": recipe.blocks}
                checkpoint = Checkpoint(
                    "huang2019-actor", built, learner.actor.state_dict(), learner.actor.space, about
                )
                checkpoint.save(folder / "latest.safetensors")
                write_pairs(dev, pictures, folder / "samples.png")
                saved = time.monotonic()
    about = Checkpoint.load(folder / "latest.safetensors").about
    print(
        f"{folder}/latest.safetensors: dev MSE {about['dev_mse']:.5f}, perceptual distance {about['dev_perceptual']:.3f} "
        f"with {about['strokes']} strokes; see samples.png there."
    )
    return folder


def _check(config: Config) -> None:
    require(config, episodes=1, evaluate_faces=1, minutes_between_saves=0)
    require(
        config.recipe,
        size=32,
        steps=1,
        bundle=1,
        environments=1,
        batch=2,
        updates=1,
        warmup=0,
        tau=0,
        noise=0,
        memory=1,
    )
    require(config.recipe, actor_rate=0, critic_rate=0, decay=0, decay_after=0, discount=0)


def _paint(learner: LearningToPaint, renderer: Brush, face: Tensor) -> Tensor:
    """The finished canvas (3, H, W)."""
    learner.actor.eval()
    background = blank((face.shape[-2], face.shape[-1]), device=face.device)
    count = learner.config.steps * learner.config.bundle
    *_, (canvas, _) = paint_in_bundles(learner.actor, renderer, background, face, count)
    learner.actor.train()
    return canvas


if __name__ == "__main__":
    run(train_huang2019, Config, __doc__, PRESETS)
