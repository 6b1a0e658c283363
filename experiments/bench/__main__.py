"""Measure speed and fidelity against named baselines, on the CPU.

    python -m experiments.bench --json bench.json                  # about two minutes on two idle cores
    python -m experiments.bench --json bench.json --only renderer  # or painting, batch, neighbours

Absolute times depend on the machine, so that results are ratios: alternatives run in turns (A, B, A, B ...) in one
process, after a warm-up, and their medians are divided; a `_range` holds the least and the greatest of single turns.
What could not be measured is null, with a note.
"""

from __future__ import annotations

import json
import os
import platform
from dataclasses import dataclass
from pathlib import Path

import torch

from experiments.bench.batch_speed import measure_batch, measure_neighbours
from experiments.bench.painting_speed import measure_painting
from experiments.bench.renderer_speed import measure_renderers
from experiments.bench.timing import Figures
from experiments.cli import run
from experiments.runs import describe_run
from renderer.errors import InputError
from renderer.io.files import atomic
from renderer.ops import native


@dataclass(frozen=True)
class Config:
    """Options of the benchmark."""

    json: str = "bench.json"
    """The file for the figures."""
    only: str = "renderer,painting"
    """Sections to measure, separated by commas: renderer, painting, batch (several images at once), neighbours (beside
    other busy processes)."""
    seconds_each: float = 2.0
    """Time budget for the turns of each measurement; three turns are taken in any case."""
    batch: int = 256
    """Random strokes per call, where brushes are timed."""
    test_strokes: int = 2000
    """Strokes for the alpha MSE; none of them was trained on."""
    renderer: str = "bezier"
    """The learned brush called `ours`."""
    baseline: str = "huang2019"
    """The baseline's checkpoint. Without it, speed is that of random weights, and the alpha MSE is its training's record."""
    agent: str = "agent"
    """The agent's checkpoint."""
    counts: tuple[int, ...] = (200, 1000, 5000)
    """Strokes of an optimisation step, for time and memory; the naive baseline takes the first."""
    sides: tuple[int, ...] = (128, 512, 1024)
    """Canvas sides of an optimisation step, in pixels; the naive baseline takes the first."""
    agent_counts: tuple[int, ...] = (50, 200, 1000)
    """Strokes that the agent paints."""
    images: int = 8
    """Images of the batch (section batch)."""
    agent_strokes: int = 200
    """Strokes of each image (sections batch and neighbours)."""
    threads: int | None = None
    """PyTorch's threads; by default, its own choice."""
    seed: int = 0
    """Seed of the strokes that are timed, and of the baseline's random weights."""


def bench(config: Config) -> Path:
    """Measure speed and fidelity against named baselines, on the CPU."""
    sections = _check(config)
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    figures: Figures = {"machine": machine(), "made_by": describe_run()}
    if figures["machine"]["load_before"] > 0.5:
        print("This machine was busy in the last minute; if it still is, speeds are too low and ratios uncertain.")
    _write(figures, config.json)  # so that an unwritable path fails before the measurements
    for section in sections:
        figures[section] = SECTIONS[section](config)
        _write(figures, config.json)
        print(f"\n{section}")
        _print_table(figures[section])
    print(f"\n{config.json}: all figures, with ranges and settings.")
    return Path(config.json)


def machine() -> Figures:
    """The machine and the versions that absolute figures depend on."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        cpu = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        cpu = platform.processor() or platform.machine()
    kernels = native.load(native.FOLDER / "composite.c") is not None
    threads, busy = torch.get_num_threads(), os.getloadavg()[0]
    versions = {"torch": torch.__version__, "python": platform.python_version(), "compiled_kernels": kernels}
    return {"cpu": cpu, "cores": os.cpu_count(), "threads": threads, **versions, "load_before": busy}


def _renderer(c: Config) -> Figures:
    return measure_renderers(
        c.renderer,
        baseline=c.baseline,
        batch=c.batch,
        test_strokes=c.test_strokes,
        seconds_each=c.seconds_each,
        seed=c.seed,
    )


def _painting(c: Config) -> Figures:
    return measure_painting(
        c.renderer,
        agent=c.agent,
        counts=c.counts,
        sides=c.sides,
        agent_counts=c.agent_counts,
        seconds_each=c.seconds_each,
        seed=c.seed,
    )


def _batch(c: Config) -> Figures:
    return measure_batch(
        c.renderer, agent=c.agent, images=c.images, strokes=c.agent_strokes, seconds_each=c.seconds_each
    )


def _neighbours(c: Config) -> Figures:
    return measure_neighbours(c.renderer, agent=c.agent, strokes=c.agent_strokes)


SECTIONS = {"renderer": _renderer, "painting": _painting, "batch": _batch, "neighbours": _neighbours}


def _check(config: Config) -> list[str]:
    sections = [name.strip() for name in config.only.split(",") if name.strip()]
    unknown = [name for name in sections if name not in SECTIONS]
    if unknown or not sections:
        raise InputError(f"--only takes {' and '.join(SECTIONS)}, separated by commas, not {config.only!r}.")
    lists = (config.counts, config.sides, config.agent_counts)
    threads = 1 if config.threads is None else config.threads
    if (
        not all(lists)
        or min(config.batch, config.test_strokes, threads, config.images, config.agent_strokes, *map(min, lists)) < 1
    ):
        raise InputError("Batch, strokes, sides, images and threads must all be at least 1.")
    if not 0 <= config.seconds_each <= 600:
        raise InputError(f"--seconds-each must be between 0 and 600, not {config.seconds_each}.")
    if config.renderer == "exact":
        raise InputError("Brush 'exact' is not differentiable; use a learned brush, or analytic, as --renderer.")
    return sections


def _write(figures: Figures, path: str) -> None:
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(figures, indent=2, allow_nan=False) + "\n")


def _print_table(figures: Figures, indent: str = "  ") -> None:
    for key, value in figures.items():
        if isinstance(value, dict) and key != "setting":
            print(f"{indent}{key}")
            _print_table(value, indent + "  ")
        elif isinstance(value, int | float) or value is None or key == "note":
            shown = f"{value:.4g}" if isinstance(value, float) else "not measured" if value is None else value
            spread = figures.get(f"{key}_range")
            between = f"   ({spread[0]:.4g} - {spread[1]:.4g})" if spread else ""
            print(f"{indent}{key:<{44 - len(indent)}} {shown}{between}")


if __name__ == "__main__":
    run(bench, Config, __doc__)
