"""Learn a renderer from a true brush.

python -m experiments.train_renderer                       # ours, about 20 minutes on two cores
python -m experiments.train_renderer --arch huang2019      # the baseline's network
python -m experiments.train_renderer --brush ink           # a brush of MyPaint, by name or .myb file
python -m experiments.train_renderer --brush charcoal --form gan
python -m experiments.train_renderer --resume runs/FOLDER  # go on where it stopped
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import cast

import torch
from PIL import Image
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from experiments import runs
from experiments.cli import choose_device, require, run
from experiments.figures.fidelity_sheet import TEST_SEED, sheet
from experiments.renderer_tasks import Config, bezier_task, brush_task
from renderer.brush import Brush
from renderer.errors import InputError
from renderer.io.checkpoint import Checkpoint
from renderer.io.files import atomic

# Steps by what is learned, and how: what two cores do in ten to thirty minutes.
STEPS = {"bezier": 14_000, "reconstruction": 200_000, "gan": 20_000, "vae": 10_000}


TINY = Config(steps=6, batch=8, hidden=16, grid=4, strokes=16, test_strokes=10, workers=0)


def train_renderer(config: Config) -> Path:
    """Learn a renderer from a true brush."""
    folder = Path(config.resume or "")
    resuming = config.resume is not None
    if resuming:
        config = runs.resume(folder, "train_renderer", Config)
    _check(config)
    device = choose_device(config.device)
    steps = STEPS["bezier" if config.brush is None else config.form] if config.steps is None else config.steps
    torch.manual_seed(config.seed)  # the initial weights; everything later has a seed of its own
    task = (bezier_task if config.brush is None else brush_task)(config, steps, device)
    if not resuming:
        folder = runs.start("train_renderer", config, config.runs)
    state = folder / "state.safetensors"
    done = runs.load_state(state, task.objects)[0] if state.exists() else 0
    renderer = cast(Brush, task.network)
    saved = time.monotonic()
    with SummaryWriter(folder) as board, tqdm(total=steps, initial=done, unit="step") as bar:
        for progress in task.learn(done):
            bar.update()
            if progress.step % 50 == 0:
                board.add_scalar("train/alpha_mse", progress.loss, progress.step)
                bar.set_postfix(alpha_mse=f"{progress.loss:.1e}", refresh=False)
            last = progress.step == steps
            if last or time.monotonic() - saved > config.minutes_between_saves * 60:
                figures = task.measure(config.test_strokes if last else min(200, config.test_strokes), TEST_SEED)
                for name, value in figures.items():
                    board.add_scalar(f"test/{name}", value, progress.step)
                runs.save_state(state, progress.step, task.objects)
                about = {**figures, "steps": progress.step, "seed": config.seed, **runs.describe_run()}
                checkpoint = Checkpoint(task.kind, task.settings, task.network.state_dict(), renderer.space, about)
                checkpoint.save(folder / "latest.safetensors")
                with atomic(folder / "samples.png") as path:
                    picture = sheet(renderer, task.brush, torch.Generator().manual_seed(TEST_SEED))
                    Image.fromarray(picture).save(path)
                saved = time.monotonic()
    error = Checkpoint.load(folder / "latest.safetensors").about["alpha_mse"]
    print(
        f"{folder}/latest.safetensors: alpha MSE {error:.2e} on {config.test_strokes} new strokes; see samples.png there."
    )
    return folder


def _check(config: Config) -> None:
    if config.steps is not None:
        require(config, steps=1)
    require(config, batch=1, strokes=1, learning_rate=0, hidden=1, minutes_between_saves=0, test_strokes=1, workers=0)
    if not 2 <= config.grid <= 64:
        raise InputError(f"--grid must be between 2 and 64, not {config.grid}.")
    if config.brush is None and config.form != Config.form:
        raise InputError(f"--form {config.form} is for brushes of MyPaint; name one with --brush.")
    if config.brush is not None and config.arch != Config.arch:
        raise InputError("--arch is for the Bezier brush; leave it out beside --brush.")


if __name__ == "__main__":
    run(train_renderer, Config, __doc__)
