"""The benchmark of renderers: strokes of random size, each on its own canvas."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Hashable, Mapping
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

import torch
from torch import Tensor

from experiments.figures.fidelity_sheet import TEST_SEED
from renderer.brush import Brush
from renderer.brushes.bezier import AnalyticBezier, ExactBezier
from renderer.io.checkpoint import Checkpoint, CheckpointError, find
from renderer.learned.huang2019 import Huang2019
from renderer.learned.load import load_brush
from renderer.learned.train import alpha_error
from renderer.strokes import BEZIER

SIDE = 128  # pixels; the one resolution of the baseline's network
TURNS = 3  # at least, however long one takes
RECORDS = Path(__file__).resolve().parents[2] / "docs"  # what checkpoints too large to ship say about themselves

Name = TypeVar("Name", bound=Hashable)
Figures = dict[str, Any]
Draw = Callable[[Tensor], Tensor]


def measure_renderers(
    renderer: str, baseline: str, batch: int, test_strokes: int, seconds_each: float, seed: int
) -> Figures:
    """Strokes drawn a second, with and without a gradient into them, and how near they come to the true brush."""
    ours = load_brush(renderer)
    torch.manual_seed(seed)  # the random weights
    theirs, trained = Huang2019(), missing(baseline) is None
    if trained:
        Checkpoint.load(baseline, "huang2019").fill(theirs)
    theirs.eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(seed)
    strokes = BEZIER.sample(batch, generator)
    weights = torch.rand(batch * SIDE * SIDE, generator=generator)

    drawers: dict[tuple[str, str], Draw] = {
        ("ours", ""): partial(_whole, ours),
        ("huang2019", ""): partial(_whole, theirs),
        ("ours", "windows_"): lambda strokes: ours.patches(strokes, (SIDE, SIDE)).alpha,
    }
    calls: dict[tuple[str, str], Callable[[], object]] = {}
    for way, once in (("forward", _forward), ("forward_backward", _forward_backward)):
        for (row, prefix), draw in drawers.items():
            calls[row, f"{prefix}{way}_strokes_per_s"] = partial(once, draw, strokes, weights)
    rates = {name: [batch / s for s in times] for name, times in in_turns(calls, seconds_each).items()}
    rows: dict[str, Figures] = {"ours": {}, "huang2019": {}, "ratio": {}}
    for (row, key), values in rates.items():
        put(rows[row], key, values)
    for key in (key for row, key in rates if row == "ours"):
        compared = key.removeprefix("windows_")
        put(rows["ratio"], key, [a / b for a, b in zip(rates["ours", key], rates["huang2019", compared], strict=True)])
        rows["ratio"][key] = rows["ours"][key] / rows["huang2019"][compared]

    brush = ExactBezier()
    error = partial(alpha_error, brush=brush, n=test_strokes, seed=TEST_SEED, side=SIDE)
    rows["ours"]["alpha_mse"] = mine = error(ours)
    rows["huang2019"] |= {"alpha_mse": error(theirs)} if trained else _without_weights(baseline)
    other = rows["huang2019"]["alpha_mse"]
    rows["ratio"]["alpha_mse"] = mine / other if other else None
    if not other:
        rows["ratio"]["note"] = "There is no alpha_mse of huang2019 to divide by."
    # A small batch keeps the analytic brush's intermediate values in the cache; the strokes are the same.
    rows["analytic"] = {"alpha_mse": error(AnalyticBezier(), batch=4)}
    rows["exact"] = {"supersample": brush.supersample}
    times = in_turns({"exact": partial(brush, strokes, (SIDE, SIDE))}, seconds_each)["exact"]
    put(rows["exact"], "strokes_per_s", [batch / s for s in times])
    setting = {
        "side": SIDE,
        "batch": batch,
        "threads": torch.get_num_threads(),
        "turns": len(next(iter(rates.values()))),
        "strokes": "uniformly random; huang2019 in eager PyTorch",
        "test_strokes": test_strokes,
        "test_seed": TEST_SEED,
        "ratio": "ours / huang2019: speeds above 1 and an alpha_mse below 1 speak for ours",
        "windows": "only the box that each stroke touches, as painting draws; all others draw whole canvases",
        "forward_backward": "and the gradient of sum(alpha * random weights) into the strokes; networks are frozen",
    }
    return {"setting": setting, **rows}


def _without_weights(baseline: str) -> Figures:
    """The baseline's error: what was recorded when it was trained, or null and a note."""
    record = RECORDS / f"{baseline}.json"
    if record.is_file():
        note = (
            f"alpha_mse: measured when it was trained (docs/{record.name}); the weights (44 MB) are not shipped, "
            "and these are speeds of random weights."
        )
        return {"alpha_mse": json.loads(record.read_text())["alpha_mse"], "note": note}
    note = (
        f"There is no checkpoint {baseline}: these are speeds of random weights. For alpha_mse, train it "
        "(python -m experiments.train_renderer --arch huang2019) and copy its run's latest.safetensors to "
        "checkpoints/huang2019.safetensors."
    )
    return {"alpha_mse": None, "note": note}


def _whole(renderer: Brush, strokes: Tensor) -> Tensor:
    return renderer(strokes, (SIDE, SIDE)).alpha.flatten()


@torch.no_grad()
def _forward(draw: Draw, strokes: Tensor, weights: Tensor) -> None:
    draw(strokes)


def _forward_backward(draw: Draw, strokes: Tensor, weights: Tensor) -> None:
    alpha = draw(strokes.clone().requires_grad_())
    (alpha * weights[: len(alpha)]).sum().backward()


# -- what both sections measure with -----------------------------------------------------------------------------------


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


def put(figures: Figures, key: str, values: list[float]) -> None:
    """The median of single turns, and beside it their range."""
    figures[key], figures[f"{key}_range"] = median(values), [min(values), max(values)]


def missing(checkpoint: str) -> str | None:
    """Why there is no such checkpoint, or None if there is one."""
    try:
        find(checkpoint)
    except CheckpointError as error:
        return str(error)
    return None
