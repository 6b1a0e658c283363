"""Measure speed and fidelity against named baselines, on the CPU.

    python -m experiments.bench --json bench.json                  # about two minutes on two idle cores
    python -m experiments.bench --json bench.json --only renderer  # or painting

Absolute times drift with the machine, so that a claim is a ratio: what is compared runs in turns (A, B, A, B ...) in
one process, after a warm-up, and medians are divided; a `_range` holds the least and the greatest of single turns.
Where something could not be measured stand null and a note.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import platform
import resource
import sys
import time
from collections.abc import Callable, Hashable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from agents.rounds import paint_picture
from experiments.cli import run
from experiments.methods import load_policy
from experiments.runs import provenance
from experiments.train_renderer import TEST_SEED
from painter.fit import alpha_error
from painter.huang2019 import Huang2019
from painter.load import load_renderer
from renderer import native
from renderer.bezier import AnalyticBezier, ExactBezier, bounds
from renderer.canvas import blank, draw_patches, over, paint
from renderer.checkpoint import Checkpoint, CheckpointError, find
from renderer.errors import InputError
from renderer.files import atomic
from renderer.pictures import fit, read_picture
from renderer.protocol import Mark, Renderer
from renderer.space import BEZIER

SIDE = 128  # pixels; the one resolution of the baseline's network
TURNS = 3  # at least, however long one takes
FACE = Path(__file__).resolve().parent.parent / "docs" / "images" / "hikime.png"

Name = TypeVar("Name", bound=Hashable)
Figures = dict[str, Any]
Draw = Callable[[Tensor], Tensor]


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
    """The baseline's checkpoint. Without one, random weights serve for its speed, and its alpha MSE stays null."""
    agent: str = "agent"
    """The agent's checkpoint."""
    counts: tuple[int, ...] = (200, 1000, 5000)
    """Strokes of an optimisation step; the first also for the naive baseline, the last also for memory."""
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
    figures: Figures = {"machine": machine(), "made_by": provenance()}
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
    kernels = native.load(Path(native.__file__).with_name("composite.c")) is not None
    threads, busy = torch.get_num_threads(), os.getloadavg()[0]
    versions = {"torch": torch.__version__, "python": platform.python_version(), "compiled_kernels": kernels}
    return {"cpu": cpu, "cores": os.cpu_count(), "threads": threads, **versions, "load_before": busy}


def in_turns(calls: Mapping[Name, Callable[[], object]], seconds_each: float) -> dict[Name, list[float]]:
    """The seconds of every call, taken in turns, so that whatever slows the machine down slows all of them down."""
    times: dict[Name, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call()  # warm-up: kernels are loaded, memory is fetched
    end, turns = time.perf_counter() + seconds_each * len(calls), 0
    while turns < TURNS or time.perf_counter() < end:
        for name, call in calls.items():
            begun = time.perf_counter()
            call()
            times[name].append(time.perf_counter() - begun)
        turns += 1
    return times


# -- renderers: strokes of random size, each on its own canvas ---------------------------------------------------------


def measure_renderers(config: Config) -> Figures:
    """Strokes drawn a second, with and without a gradient into them, and how near they come to the true brush."""
    ours = load_renderer(config.renderer)
    torch.manual_seed(config.seed)  # the random weights
    theirs, missing = Huang2019(), _missing(config.baseline)
    if not missing:
        Checkpoint.load(config.baseline, "huang2019").fill(theirs)
    theirs.eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(config.seed)
    strokes = BEZIER.sample(config.batch, generator)
    weights = torch.rand(config.batch * SIDE * SIDE, generator=generator)

    def windows(strokes: Tensor) -> Tensor:
        return draw_patches(ours, strokes, (SIDE, SIDE)).alpha

    drawers: dict[tuple[str, str], Draw] = {
        ("ours", ""): partial(_whole, ours),
        ("huang2019", ""): partial(_whole, theirs),
        ("ours", "windows_"): windows,
    }
    calls: dict[tuple[str, str], Callable[[], object]] = {}
    for way, once in (("forward", _forward), ("forward_backward", _forward_backward)):
        for (row, prefix), draw in drawers.items():
            calls[row, f"{prefix}{way}_strokes_per_s"] = partial(once, draw, strokes, weights)
    rates = {name: [config.batch / s for s in times] for name, times in in_turns(calls, config.seconds_each).items()}
    rows: dict[str, Figures] = {"ours": {}, "huang2019": {}, "ratio": {}}
    for (row, key), values in rates.items():
        _put(rows[row], key, values)
    for key in (key for row, key in rates if row == "ours"):
        baseline = key.removeprefix("windows_")
        pairs = zip(rates["ours", key], rates["huang2019", baseline], strict=True)
        _put(rows["ratio"], key, [a / b for a, b in pairs])
        rows["ratio"][key] = rows["ours"][key] / rows["huang2019"][baseline]

    brush = ExactBezier()
    error = partial(alpha_error, brush=brush, n=config.test_strokes, seed=TEST_SEED, side=SIDE)
    rows["ours"]["alpha_mse"] = mine = error(ours)
    rows["huang2019"]["alpha_mse"] = rows["ratio"]["alpha_mse"] = None
    if missing:
        rows["huang2019"]["note"] = (
            f"There is no checkpoint {config.baseline}: these are speeds of random weights. For alpha_mse, train it "
            "(python -m experiments.train_renderer --arch huang2019) and copy its run's latest.safetensors to "
            "checkpoints/huang2019.safetensors."
        )
        rows["ratio"]["note"] = "There is no alpha_mse of huang2019 to divide by."
    else:
        rows["huang2019"]["alpha_mse"] = error(theirs)
        rows["ratio"]["alpha_mse"] = mine / rows["huang2019"]["alpha_mse"]
    # A small batch keeps the analytic brush's intermediate values in the cache; the strokes are the same.
    rows["analytic"] = {"alpha_mse": error(AnalyticBezier(), batch=4)}
    rows["exact"] = {"supersample": brush.supersample}
    times = in_turns({"exact": partial(brush, strokes, (SIDE, SIDE))}, config.seconds_each)["exact"]
    _put(rows["exact"], "strokes_per_s", [config.batch / s for s in times])
    setting = {
        "side": SIDE,
        "batch": config.batch,
        "threads": torch.get_num_threads(),
        "turns": len(next(iter(rates.values()))),
        "strokes": "uniformly random; huang2019 in eager PyTorch",
        "test_strokes": config.test_strokes,
        "test_seed": TEST_SEED,
        "ratio": "ours / huang2019: speeds above 1 and an alpha_mse below 1 speak for ours",
        "windows": "only the box that each stroke touches, as painting draws; all others draw whole canvases",
        "forward_backward": "and the gradient of sum(alpha * random weights) into the strokes; networks are frozen",
    }
    return {"setting": setting, **rows}


def _whole(renderer: Renderer, strokes: Tensor) -> Tensor:
    return renderer(strokes, (SIDE, SIDE)).alpha.flatten()


@torch.no_grad()
def _forward(draw: Draw, strokes: Tensor, weights: Tensor) -> None:
    draw(strokes)


def _forward_backward(draw: Draw, strokes: Tensor, weights: Tensor) -> None:
    alpha = draw(strokes.clone().requires_grad_())
    (alpha * weights[: len(alpha)]).sum().backward()


# -- painting: strokes of the sizes that paintings are made of, on one canvas ------------------------------------------


def measure_painting(config: Config) -> Figures:
    """Time and memory of optimising strokes, and the agent's time."""
    renderer = load_renderer(config.renderer)
    cases = [(count, side) for side in config.sides for count in config.counts]
    calls: dict[tuple[int, int] | str, Callable[[], object]] = {}
    calls["naive"] = partial(step, renderer, painterly(cases[0][0], config.seed), cases[0][1], naive_paint)
    for count, side in cases:
        calls[count, side] = partial(step, renderer, painterly(count, config.seed), side)
    times = in_turns(calls, config.seconds_each)

    step_ms: Figures = {}
    touched: Figures = {}
    for count, side in cases:
        left, top, right, bottom = bounds(painterly(count, config.seed), (side, side))
        _put(step_ms, f"{count}@{side}", [s * 1e3 for s in times[count, side]])
        touched[f"{count}@{side}"] = ((right - left) * (bottom - top)).sum().item() / 1e6
    first = f"{cases[0][0]}@{cases[0][1]}"
    naive: Figures = {"is": "our alphas on whole canvases, laid over one another by PyTorch", "case": first}
    _put(naive, "step_ms", [s * 1e3 for s in times["naive"]])
    _put(naive, "times_ours", [n / o for n, o in zip(times["naive"], times[cases[0]], strict=True)])
    naive["times_ours"] = naive["step_ms"] / step_ms[first]
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as other:
        memory = other.submit(step_memory, config).result()
    return {
        "setting": {
            "step": "paint, mean squared error, gradient into the strokes; named strokes@side",
            "renderer": config.renderer,
            "threads": torch.get_num_threads(),
            "turns": len(times["naive"]),
        },
        "step_ms": step_ms,
        "megapixels_touched": touched,
        "naive": naive,
        "linear": linear(cases, [step_ms[name] for name in touched], list(touched.values())),
        "memory": memory,
        "agent": measure_agent(config, renderer),
    }


def painterly(count: int, seed: int) -> Tensor:
    """`(count, P)` random strokes as small as those that `painter.transfer` ends with: boxes of 1 % of the canvas."""
    generator = torch.Generator().manual_seed(seed)
    strokes = BEZIER.sample(count, generator)
    radius = 0.006 * (0.05 / 0.006) ** torch.rand(count, 1, generator=generator)
    start = strokes[:, BEZIER.columns("start")]
    end = start + 4 * radius * (2 * torch.rand(count, 2, generator=generator) - 1)
    return BEZIER.put(BEZIER.put(strokes, "radius", radius.expand(-1, 2)), "end", end)


def step(
    renderer: Renderer, strokes: Tensor, side: int, painter: Callable[[Tensor, Tensor, Renderer], Tensor] = paint
) -> None:
    """One step of optimisation, up to the gradient."""
    strokes = strokes.clone().requires_grad_()
    canvas = painter(blank((side, side)), strokes, renderer)
    (canvas - 0.5).square().mean().backward()


def naive_paint(canvas: Tensor, strokes: Tensor, renderer: Renderer) -> Tensor:
    """What `paint` does, without windows: the alpha of every stroke on the whole canvas, one over the other."""
    mark = renderer(strokes, (canvas.shape[-2], canvas.shape[-1]))
    for alpha, colour in zip(mark.alpha.unbind(), mark.colour.unbind(), strict=True):
        canvas = over(canvas, Mark(alpha, colour))
    return canvas


def linear(cases: list[tuple[int, int]], step_ms: list[float], megapixels: list[float]) -> Figures:
    """The step's time as a constant and so much a stroke and a pixel touched: least squares of relative errors."""
    times = np.array(step_ms)
    parts = np.array([(1, count / 1e3, touched) for (count, _), touched in zip(cases, megapixels, strict=True)])
    costs, *_ = np.linalg.lstsq(parts / times[:, None], np.ones(len(times)), rcond=None)
    names = ("milliseconds", "microseconds_a_stroke", "nanoseconds_a_pixel_touched")
    deviation = np.abs(parts @ costs / times - 1).max()
    return {**dict(zip(names, costs.tolist(), strict=True)), "largest_relative_deviation": float(deviation)}


def step_memory(config: Config) -> Figures:
    """The peak memory of a process that takes the largest step; run in one of its own."""
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    renderer = load_renderer(config.renderer)
    count, side = config.counts[-1], config.sides[-1]
    step(renderer, painterly(1, config.seed), side)
    before = _peak_mib()
    step(renderer, painterly(count, config.seed), side)
    peak = _peak_mib()
    whole = count * side * side * 4 / 2**20
    figures = {"case": f"{count}@{side}", "peak_mib": peak, "before_mib": before, "step_mib": peak - before}
    return {**figures, "alphas_of_whole_canvases_mib": whole}  # the last is arithmetic: 4 bytes a pixel and stroke


def _peak_mib() -> float:
    try:  # ru_maxrss of a child may be what its parent held (Linux takes it over at exec)
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def measure_agent(config: Config, renderer: Renderer) -> Figures:
    """Seconds that the agent takes for the shipped face, and how near it comes."""
    missing = _missing(config.agent)
    if missing:
        note = f"{missing} Train one with `python -m experiments.train_agent`."
        return {"seconds": None, "mse": None, "note": note}
    policy = load_policy(config.agent)
    target = fit(read_picture(FACE), SIDE)
    mse: dict[str, float] = {}

    def painted(count: int) -> None:
        canvas = blank((target.shape[-2], target.shape[-1]))
        for canvas_now, _ in paint_picture(policy, renderer, canvas, target, count):
            canvas = canvas_now
        mse[str(count)] = (canvas - target).square().mean().item()

    times = in_turns({str(count): partial(painted, count) for count in config.agent_counts}, config.seconds_each)
    seconds: Figures = {}
    for name, values in times.items():
        _put(seconds, name, values)
    return {"picture": FACE.name, "side": SIDE, "seconds": seconds, "mse": mse}


SECTIONS: dict[str, Callable[[Config], Figures]] = {"renderer": measure_renderers, "painting": measure_painting}


def _put(figures: Figures, key: str, values: list[float]) -> None:
    figures[key], figures[f"{key}_range"] = median(values), [min(values), max(values)]


def _missing(checkpoint: str) -> str | None:
    """Why there is no such checkpoint, or None if there is one."""
    try:
        find(checkpoint)
    except CheckpointError as error:
        return str(error)
    return None


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
