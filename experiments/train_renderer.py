"""Train a neural renderer on strokes of a reference brush.

Examples:

    python -m experiments.train_renderer                       # the Bezier brush, about 20 minutes on two cores
    python -m experiments.train_renderer --arch huang2019      # the baseline's network
    python -m experiments.train_renderer --brush ink           # a MyPaint brush, by name or .myb file
    python -m experiments.train_renderer --brush my.myb --quick --out my_brush      # in two minutes
    python -m experiments.train_renderer --brush charcoal --form gan
    python -m experiments.train_renderer --resume runs/FOLDER  # continue a run
"""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import cast

import torch
from PIL import Image

from experiments.cli import choose_device, require, run
from experiments.distributed import join_processes, refuse_processes
from experiments.figures.fidelity_sheet import TEST_SEED, sheet
from experiments.renderer_tasks import Config, bezier_task, mypaint_task
from experiments.runs import describe_run
from experiments.trainer import Trainer, resumed
from renderer.brush import Brush
from renderer.errors import InputError
from renderer.io.checkpoint import Checkpoint
from renderer.io.files import atomic
from renderer.learned.processes import Processes

SHORT_TEST = 200  # strokes of the evaluations before the last
SUFFIX = ".safetensors"

TINY = Config(steps=6, batch=8, hidden=16, grid=4, strokes=16, test_strokes=10, workers=0)


def train_renderer(config: Config) -> Path:
    """Train the renderer and return the run folder: `latest.safetensors` and samples.png. Raises `InputError`."""
    config = resumed(config, "train_renderer")
    _check(config)
    if config.brush is not None:
        refuse_processes("The training of another brush than Bezier")
    device = choose_device(config.device)
    with join_processes(config.batch, device) as processes:
        return _train(config, device, processes)


def _train(config: Config, device: torch.device, processes: Processes) -> Path:
    plan = config.resolved()
    total = plan.steps
    usual = total if config.quick else max(1, total // 10)
    every = usual if config.evaluate_every is None else config.evaluate_every
    torch.manual_seed(config.seed)  # the initial weights; everything later has a seed of its own
    bezier = config.brush is None
    task = bezier_task(config, total, device, processes) if bezier else mypaint_task(config, total, device)
    network = cast(Brush, task.network)
    with Trainer("train_renderer", config, task.objects, processes=processes) as trainer:
        counter = trainer.steps(total, evaluate_every=every, log_every=50)
        for _, progress in zip(counter, task.train(trainer.done), strict=False):
            trainer.log({"train/alpha_mse": progress.loss})
            trainer.show(alpha_mse=f"{progress.loss:.1e}")
            if trainer.evaluating:
                count = plan.test_strokes if progress.step == total else min(SHORT_TEST, plan.test_strokes)
                metrics = task.evaluate(count, TEST_SEED)
                trainer.log({f"test/{name}": value for name, value in metrics.items()})
                about = {**metrics, "steps": progress.step, "seed": config.seed, **describe_run()}
                checkpoint = Checkpoint(task.kind, task.settings, task.network.state_dict(), network.space, about)
                checkpoint.save(trainer.folder / "latest.safetensors")
                with atomic(trainer.folder / "samples.png") as path:
                    image = sheet(network, task.brush, torch.Generator().manual_seed(TEST_SEED))
                    Image.fromarray(image).save(path)
    latest = trainer.folder / "latest.safetensors"
    if latest.exists():
        checkpoint = Checkpoint.load(latest)
        alpha_mse, steps = checkpoint.numbers("alpha_mse", "steps")
        print(f"{latest}: alpha MSE {alpha_mse:.2e} on new strokes after {steps:,.0f} steps; see samples.png.")
        name = str(latest)
        if config.out is not None and steps >= total:
            checkpoint.save(_with_suffix(config.out))
            name = config.out.removesuffix(SUFFIX)
        print(f"Paint with it: python -m experiments.repaint face.jpg --renderer {shlex.quote(name)}")
    return trainer.folder


def _check(config: Config) -> None:
    for name, least in {"steps": 1, "evaluate_every": 1, "strokes": 1, "test_strokes": 1, "workers": 0}.items():
        if getattr(config, name) is not None:
            require(config, **{name: least})
    require(config, batch=1, learning_rate=0, hidden=1)
    if not 2 <= config.grid <= 64:
        raise InputError(f"--grid must be between 2 and 64, not {config.grid}.")
    if config.brush is None and config.form != Config.form:
        raise InputError(f"--form {config.form} requires --brush.")
    if config.brush is not None and config.arch != Config.arch:
        raise InputError("--arch applies to the Bezier brush only; remove it or --brush.")
    if config.quick and (config.brush is None or config.form != "reconstruction"):
        raise InputError("--quick requires --brush, and --form reconstruction.")
    if config.out is not None:
        _check_out(config)


def _check_out(config: Config) -> None:
    """Raise `InputError` before the training for a file that could not be written, or would replace the reference."""
    out = _with_suffix(str(config.out))
    if out.is_dir() or not out.parent.is_dir():
        raise InputError(f"--out {config.out} should be a file in a folder that exists.")
    if config.brush is not None and os.path.exists(config.brush) and out.exists() and out.samefile(config.brush):
        raise InputError(f"--out {config.out} is the brush to learn from; give the learned one another name.")


def _with_suffix(name: str) -> Path:
    return Path(name if name.endswith(SUFFIX) else f"{name}{SUFFIX}")


if __name__ == "__main__":
    run(train_renderer, Config, __doc__)
