"""Learn a renderer from a true brush.

python -m experiments.train_renderer                       # ours, about 20 minutes on two cores
python -m experiments.train_renderer --arch huang2019      # the baseline's network
python -m experiments.train_renderer --resume runs/FOLDER  # go on where it stopped
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

import torch
from PIL import Image
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from experiments import runs
from experiments.cli import choose_device, require, run
from experiments.fidelity_sheet import TEST_SEED, sheet
from painter.fit import SIDES, RandomStrokes, alpha_error, fit
from painter.load import KINDS
from renderer.bezier import ExactBezier
from renderer.checkpoint import Checkpoint
from renderer.errors import InputError
from renderer.files import atomic
from renderer.protocol import Renderer


@dataclass(frozen=True)
class Config:
    """Options of the training."""

    arch: Literal["stroke-map", "huang2019"] = "stroke-map"
    """Which network: ours, or one built like Huang's (2019)."""
    steps: int = 14_000
    """Batches of random strokes."""
    batch: int = 64
    """Strokes a batch."""
    learning_rate: float = 2e-3
    """Of Adam; falls linearly to zero."""
    hidden: int = 128
    """Width of our network's layers."""
    grid: int = 8
    """Nodes a side of our network's maps."""
    minutes_between_saves: float = 2.0
    test_strokes: int = 2000
    """Strokes, never trained on, that the alpha MSE in the checkpoint is measured on (128 px)."""
    seed: int = 0
    device: str = "auto"
    workers: int = 1
    """Processes that draw with the true brush."""
    resume: str | None = None
    """A run folder to go on with; all other options are then read from it."""
    runs: str = "runs"
    """Where run folders are made."""


TINY = Config(steps=6, batch=8, hidden=16, grid=4, test_strokes=10, workers=0)


def train_renderer(config: Config) -> Path:
    """Learn a renderer from a true brush."""
    folder = Path(config.resume or "")
    resuming = config.resume is not None
    if resuming:
        config = runs.resume(folder, "train_renderer", Config)
    _check(config)
    device = choose_device(config.device)
    if not resuming:
        folder = runs.start("train_renderer", config, config.runs)

    settings = {"hidden": config.hidden, "grid": config.grid} if config.arch == "stroke-map" else {}
    torch.manual_seed(config.seed)  # the initial weights; everything later has a seed of its own
    network = KINDS[config.arch](**settings).to(device)
    optimizer = torch.optim.Adam(network.parameters(), config.learning_rate)
    objects = {"network": network, "optimizer": optimizer}
    state = folder / "state.safetensors"
    done = runs.load_state(state, objects)[0] if state.exists() else 0

    renderer, brush = cast(Renderer, network), ExactBezier()
    sides = SIDES if config.arch == "stroke-map" else (128,)
    data = RandomStrokes(brush, config.batch, config.steps, config.seed, sides)
    saved = time.monotonic()
    with SummaryWriter(folder) as board, tqdm(total=config.steps, initial=done, unit="step") as bar:
        for progress in fit(network, optimizer, data, done, config.learning_rate, config.workers):
            bar.update()
            if progress.step % 50 == 0:
                board.add_scalar("train/alpha_mse", progress.loss, progress.step)
                bar.set_postfix(alpha_mse=f"{progress.loss:.1e}")
            last = progress.step == config.steps
            if last or time.monotonic() - saved > config.minutes_between_saves * 60:
                error = alpha_error(renderer, brush, config.test_strokes if last else 200, TEST_SEED)
                board.add_scalar("test/alpha_mse", error, progress.step)
                runs.save_state(state, progress.step, objects)
                about = {"alpha_mse": error, "steps": progress.step, "seed": config.seed, **runs.provenance()}
                checkpoint = Checkpoint(config.arch, settings, network.state_dict(), brush.space, about)
                checkpoint.save(folder / "latest.safetensors")
                with atomic(folder / "samples.png") as path:
                    Image.fromarray(sheet(renderer, brush, torch.Generator().manual_seed(TEST_SEED))).save(path)
                saved = time.monotonic()
    error = Checkpoint.load(folder / "latest.safetensors").about["alpha_mse"]
    print(
        f"{folder}/latest.safetensors: alpha MSE {error:.2e} on {config.test_strokes} new strokes; see samples.png there."
    )
    return folder


def _check(config: Config) -> None:
    require(config, steps=1, batch=1, learning_rate=0, hidden=1, minutes_between_saves=0, test_strokes=1, workers=0)
    if not 2 <= config.grid <= 64:
        raise InputError(f"--grid must be between 2 and 64, not {config.grid}.")


if __name__ == "__main__":
    run(train_renderer, Config, __doc__)
