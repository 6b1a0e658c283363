"""Measure speed and fidelity against named baselines, on the CPU.

    python -m experiments.bench --json bench.json                  # about two minutes on two idle cores
    python -m experiments.bench --json bench.json --only renderer  # or painting

Absolute times drift with the machine, so that a claim is a ratio: what is compared runs in turns (A, B, A, B ...) in
one process, after a warm-up, and medians are divided; a `_range` holds the least and the greatest of single turns.
Where something could not be measured stand null and a note.
"""

from __future__ import annotations

import json
import os
import platform
from dataclasses import dataclass
from pathlib import Path

import torch

from experiments.bench.painting_speed import measure_painting
from experiments.bench.renderer_speed import Figures, measure_renderers
from experiments.cli import run
from experiments.runs import describe_run
from renderer.errors import InputError
from renderer.io.files import atomic
from renderer.ops import native


@dataclass(frozen=True)
class Config:
    """Options of the benchmark."""

    json: str = "bench.json"
    """Where to write the figures."""
    only: str = "renderer,painting"
    """Which sections, separated by commas."""
    seconds_each: float = 2.0
    """Time for the turns of each thing that is measured; three turns are taken in any case."""
    batch: int = 256
    """Random strokes a call, where renderers are timed."""
    test_strokes: int = 2000
    """Strokes, never trained on, that the alpha MSE is measured on."""
    renderer: str = "bezier"
    """The learned renderer called `ours`."""
    baseline: str = "huang2019"
    """The baseline's checkpoint. Without it, random weights serve for speed, and its training's record for alpha MSE."""
    agent: str = "agent"
    """The agent's checkpoint."""
    counts: tuple[int, ...] = (200, 1000, 5000)
    """Strokes of an optimisation step; the first also for the naive baseline; also of memory."""
    sides: tuple[int, ...] = (128, 512, 1024)
    """Canvas sides of an optimisation step, likewise."""
    agent_counts: tuple[int, ...] = (50, 200, 1000)
    """Strokes that the agent paints."""
    threads: int | None = None
    """PyTorch's threads; else its own choice."""
    seed: int = 0
    """Of the strokes that are drawn for speed, and of the baseline's random weights."""


TINY = Config(seconds_each=0, batch=4, test_strokes=4, counts=(3, 6), sides=(24, 40), agent_counts=(2, 5))


def bench(config: Config) -> Path:
    """Measure speed and fidelity against named baselines, on the CPU."""
    sections = _check(config)
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    figures: Figures = {"machine": machine(), "made_by": describe_run()}
    if figures["machine"]["load_before"] > 0.5:
        print("This machine was busy in the last minute; if it still is, speeds come out too low and ratios uncertain.")
    _write(figures, config.json)  # a place that cannot be written to is found now, not in two minutes
    for section in sections:
        figures[section] = SECTIONS[section](config)
        _write(figures, config.json)
        print(f"\n{section}")
        _print_table(figures[section])
    print(f"\n{config.json}: all figures, with ranges and settings.")
    return Path(config.json)


def machine() -> Figures:
    """What the absolute figures depend on."""
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
    return measure_renderers(c.renderer, c.baseline, c.batch, c.test_strokes, c.seconds_each, c.seed)


def _painting(c: Config) -> Figures:
    return measure_painting(c.renderer, c.agent, c.counts, c.sides, c.agent_counts, c.seconds_each, c.seed)


SECTIONS = {"renderer": _renderer, "painting": _painting}


def _check(config: Config) -> list[str]:
    sections = [name.strip() for name in config.only.split(",") if name.strip()]
    unknown = [name for name in sections if name not in SECTIONS]
    if unknown or not sections:
        raise InputError(f"--only takes {' and '.join(SECTIONS)}, separated by commas, not {config.only!r}.")
    lists = (config.counts, config.sides, config.agent_counts)
    threads = 1 if config.threads is None else config.threads
    if not all(lists) or min(config.batch, config.test_strokes, threads, *map(min, lists)) < 1:
        raise InputError("Batch, strokes, sides and threads must all be at least 1.")
    if not 0 <= config.seconds_each <= 600:
        raise InputError(f"--seconds-each must be between 0 and 600, not {config.seconds_each}.")
    if config.renderer == "exact":
        raise InputError("The true brush has no gradient to measure: give --renderer a learned one, or analytic.")
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
