"""Benchmark of painting: strokes as small as in paintings, on one canvas."""

from __future__ import annotations

import multiprocessing
import resource
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from agents.huang2019 import PAPER, Actor
from agents.mdp import State, observe
from experiments.bench.config import Config
from experiments.bench.renderer_speed import SIDE
from experiments.bench.timing import Figures, in_turns, put, why_missing
from painter import Painter
from painter.methods import Step
from renderer.brush import Brush, Mark, load_brush
from renderer.brushes.bezier import bounds
from renderer.canvas import blank, over, paint
from renderer.io.images import fit, read_image
from renderer.learned.huang2019 import Huang2019
from renderer.strokes import BEZIER

FACE = Path(__file__).resolve().parents[2] / "docs" / "images" / "hikime.png"


def measure_painting(config: Config) -> Figures:
    """Measure time and memory of optimising strokes, and the agent's time."""
    name, seed = config.renderer, config.seed
    renderer = load_brush(name)
    cases = [(count, side) for side in config.sides for count in config.counts]
    calls: dict[tuple[int, int] | str, Callable[[], object]] = {}
    calls["naive"] = partial(step, renderer, painterly(cases[0][0], seed), cases[0][1], naive_paint)
    for count, side in cases:
        calls[count, side] = partial(step, renderer, painterly(count, seed), side)
    times = in_turns(calls, config.seconds_each)

    step_ms: Figures = {}
    touched: Figures = {}
    for count, side in cases:
        left, top, right, bottom = bounds(painterly(count, seed), (side, side))
        put(step_ms, f"{count}@{side}", [s * 1e3 for s in times[count, side]])
        touched[f"{count}@{side}"] = ((right - left) * (bottom - top)).sum().item() / 1e6
    first = f"{cases[0][0]}@{cases[0][1]}"
    naive: Figures = {"is": "our alphas on whole canvases, composited by PyTorch", "case": first}
    put(naive, "step_ms", [s * 1e3 for s in times["naive"]])
    put(naive, "times_ours", [n / o for n, o in zip(times["naive"], times[cases[0]], strict=True)])
    naive["times_ours"] = naive["step_ms"] / step_ms[first]
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as other:
        memory = other.submit(step_memory, name, sorted(cases, key=_area), torch.get_num_threads(), seed).result()
    return {
        "setting": {
            "step": "paint, mean squared error, gradient to the strokes; named strokes@side",
            "renderer": name,
            "threads": torch.get_num_threads(),
            "turns": len(times["naive"]),
        },
        "step_ms": step_ms,
        "megapixels_touched": touched,
        "naive": naive,
        "linear": linear(cases, [step_ms[case] for case in touched], list(touched.values())),
        "memory": memory,
        "agent": measure_agent(config, renderer),
    }


def painterly(count: int, seed: int) -> Tensor:
    """`(count, P)` random strokes as small as the last ones of `painter.optimize`: boxes of 1 % of the canvas."""
    generator = torch.Generator().manual_seed(seed)
    strokes = BEZIER.sample(count, generator)
    radius = 0.006 * (0.05 / 0.006) ** torch.rand(count, 1, generator=generator)
    start = strokes[:, BEZIER.columns("start")]
    end = start + 4 * radius * (2 * torch.rand(count, 2, generator=generator) - 1)
    return BEZIER.put(BEZIER.put(strokes, "radius", radius.expand(-1, 2)), "end", end)


def step(
    renderer: Brush, strokes: Tensor, side: int, painter: Callable[[Tensor, Tensor, Brush], Tensor] = paint
) -> None:
    """Run one optimisation step, up to the gradient."""
    strokes = strokes.clone().requires_grad_()
    canvas = painter(blank((side, side)), strokes, renderer)
    (canvas - 0.5).square().mean().backward()


def naive_paint(canvas: Tensor, strokes: Tensor, renderer: Brush) -> Tensor:
    """Do what `paint` does, without windows: composite every stroke's alpha over the whole canvas."""
    mark = renderer(strokes, (canvas.shape[-2], canvas.shape[-1]))
    for alpha, colour in zip(mark.alpha.unbind(), mark.colour.unbind(), strict=True):
        canvas = over(canvas, Mark(alpha, colour))
    return canvas


def linear(cases: list[tuple[int, int]], step_ms: list[float], megapixels: list[float]) -> Figures:
    """Fit the step's time by a constant and a cost per stroke and per pixel covered: least squares of relative errors."""
    times = np.array(step_ms)
    parts = np.array([(1, count / 1e3, touched) for (count, _), touched in zip(cases, megapixels, strict=True)])
    costs, *_ = np.linalg.lstsq(parts / times[:, None], np.ones(len(times)), rcond=None)
    names = ("milliseconds", "microseconds_a_stroke", "nanoseconds_a_pixel_touched")
    deviation = np.abs(parts @ costs / times - 1).max()
    return {**dict(zip(names, costs.tolist(), strict=True)), "largest_relative_deviation": float(deviation)}


def _area(case: tuple[int, int]) -> int:
    count, side = case
    return count * side * side


def step_memory(name: str, cases: list[tuple[int, int]], threads: int, seed: int) -> Figures:
    """Peak memory of a process that runs one step of each case, the smallest first; to be run in a new process."""
    torch.set_num_threads(threads)
    renderer = load_brush(name)
    step(renderer, painterly(1, seed), cases[-1][1])
    before = _peak_mib()
    steps: Figures = {}
    for count, side in cases:
        step(renderer, painterly(count, seed), side)
        steps[f"{count}@{side}"] = _peak_mib() - before
    count, side = cases[-1]
    whole = _area(cases[-1]) * 4 / 2**20
    figures = {"case": f"{count}@{side}", "peak_mib": _peak_mib(), "before_mib": before, "step_mib": steps}
    return {**figures, "alphas_of_whole_canvases_mib": whole}  # computed: 4 bytes per pixel and stroke


def _peak_mib() -> float:
    try:  # ru_maxrss of a child starts at its parent's value on Linux
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def measure_agent(config: Config, renderer: Brush) -> Figures:
    """Seconds of the agent and of the networks of Huang et al. for the shipped face, and the agent's mean squared error."""
    why = why_missing(config.agent)
    if why:
        note = f"{why} Train one with `python -m experiments.train_agent`."
        return {"seconds": None, "mse": None, "note": note}
    painter, target = Painter("agent", brush=renderer, agent=config.agent, device="cpu"), fit(read_image(FACE), SIDE)
    finished: dict[str, Step] = {}

    def painted(count: int) -> None:
        *_, finished[str(count)] = painter.steps(target, strokes=count, size=SIDE)

    theirs = learning_to_paint(config.seed)
    calls: dict[str, Callable[[], object]] = {str(count): partial(painted, count) for count in config.agent_counts}
    calls |= {f"huang2019 {count}": partial(theirs, target, count) for count in config.agent_counts}
    times = in_turns(calls, config.seconds_each)
    seconds: Figures = {}
    for name, values in times.items():
        put(seconds, name, values)
    mse = {count: (step.canvas - target).square().mean().item() for count, step in finished.items()}
    ratio: Figures = {"is": "the agent / actor (ResNet-18) and renderer of huang2019, 5 strokes a step, random weights"}
    for count in map(str, config.agent_counts):
        put(ratio, count, [a / b for a, b in zip(times[count], times[f"huang2019 {count}"], strict=True)])
    return {"picture": FACE.name, "side": SIDE, "seconds": seconds, "mse": mse, "ratio": ratio}


def learning_to_paint(seed: int) -> Callable[[Tensor, int], Tensor]:
    """The painting loop of Huang et al. (2019) at 128 px, for its time: networks of the paper's shapes, random weights.

    Returns:
        A function that maps a target `(3, 128, 128)` and a number of strokes to a canvas of the same shape.
    """
    torch.manual_seed(seed)
    actor = Actor(PAPER.size, PAPER.steps, PAPER.bundle, PAPER.blocks).eval()
    renderer = Huang2019().eval()

    @torch.no_grad()
    def painted(target: Tensor, count: int) -> Tensor:
        canvas = torch.ones_like(target)[None]
        for step in range(-(-count // PAPER.bundle)):
            state = State(canvas, target[None], torch.tensor([min(step, PAPER.steps - 1)]))
            mark = renderer(actor(observe(state, PAPER.steps))[0], (PAPER.size, PAPER.size))
            for alpha, colour in zip(mark.alpha.split(1), mark.colour.split(1), strict=True):
                canvas = over(canvas, Mark(alpha, colour))
        return canvas[0]

    return painted
