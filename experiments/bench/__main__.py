"""Measure speed and fidelity against named baselines, on the CPU.

    python -m experiments.bench --json bench.json                  # several minutes on two idle cores
    python -m experiments.bench --json bench.json --only renderer  # or painting, batch, neighbours
    python -m experiments.bench --launches --json launches.json    # what painting would launch on a GPU

Absolute times depend on the machine, so that results are ratios: alternatives run in turns (A, B, A, B ...) in one
process, after a warm-up, and their medians are divided; a `_range` holds the least and the greatest of single turns.
What could not be measured is null, with a note.
"""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path

import torch

from experiments.bench.batch_speed import measure_batch, measure_neighbours
from experiments.bench.config import Config
from experiments.bench.launches import count_launches
from experiments.bench.painting_speed import measure_painting
from experiments.bench.renderer_speed import measure_renderers
from experiments.bench.timing import Figures
from experiments.cli import run
from experiments.runs import describe_run
from renderer.errors import InputError
from renderer.io.files import atomic
from renderer.ops import native


def bench(config: Config) -> Path:
    """Measure speed and fidelity against named baselines, on the CPU."""
    sections = _check(config)
    if config.launches:
        return _write_launches(config)
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


def _write_launches(config: Config) -> Path:
    figures = {"made_by": describe_run(), "launches": count_launches(config.renderer, config.agent)}
    _write(figures, config.json)
    _print_table(figures["launches"])
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


SECTIONS = {
    "renderer": measure_renderers,
    "painting": measure_painting,
    "batch": measure_batch,
    "neighbours": measure_neighbours,
}


def _check(config: Config) -> list[str]:
    sections = [name.strip() for name in config.only.split(",") if name.strip()]
    unknown = [name for name in sections if name not in SECTIONS]
    if unknown or not sections:
        raise InputError(f"--only takes {' and '.join(SECTIONS)}, separated by commas, not {config.only!r}.")
    lists = (config.counts, config.sides, config.agent_counts)
    counts = (config.batch, config.test_strokes, config.images)
    each = (config.agent_strokes, config.neighbour_strokes, config.optimize_steps)
    threads = 1 if config.threads is None else config.threads
    if not all(lists) or min(*counts, *each, threads, *map(min, lists)) < 1:
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
