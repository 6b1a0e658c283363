"""Benchmark of brushes: strokes of random size, each on its own canvas."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from experiments.bench.config import Config
from experiments.bench.timing import Figures, in_turns, put, why_missing
from experiments.figures.fidelity_sheet import TEST_SEED
from renderer.brush import Brush, load_brush
from renderer.brushes.bezier import AnalyticBezier, ExactBezier
from renderer.io.checkpoint import Checkpoint
from renderer.io.read import read_json
from renderer.learned.huang2019 import Huang2019
from renderer.learned.train import alpha_error
from renderer.strokes import BEZIER

SIDE = 128  # pixels; the only resolution of the baseline's network
RECORDS = Path(__file__).resolve().parents[2] / "docs"  # metadata of checkpoints that are too large to ship

Draw = Callable[[Tensor], Tensor]


def measure_renderers(config: Config) -> Figures:
    """Measure speed, with and without a gradient to the strokes, and the alpha MSE to the reference brush.

    Returns:
        Figures by brush, and `ratio`, ours divided by the baseline's.
    """
    batch, test_strokes = config.batch, config.test_strokes
    ours = load_brush(config.renderer)
    torch.manual_seed(config.seed)  # the random weights
    theirs, trained = Huang2019(), why_missing(config.baseline) is None
    if trained:
        Checkpoint.load(config.baseline, "huang2019").fill(theirs)
    theirs.eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(config.seed)
    strokes = BEZIER.sample(batch, generator)
    weights = torch.rand(batch * SIDE * SIDE, generator=generator)

    drawers: dict[tuple[str, str], Draw] = {
        ("ours", ""): partial(_whole, ours),
        ("huang2019", ""): partial(_whole, theirs),
        ("ours", "windows_"): lambda strokes: ours.patches(strokes, (SIDE, SIDE)).alpha,
    }
    calls: dict[tuple[str, str], Callable[[], object]] = {}
    for mode, once in (("forward", _forward), ("forward_backward", _forward_backward)):
        for (row, prefix), draw in drawers.items():
            calls[row, f"{prefix}{mode}_strokes_per_s"] = partial(once, draw, strokes, weights)
    rates = {name: [batch / s for s in times] for name, times in in_turns(calls, config.seconds_each).items()}
    rows: dict[str, Figures] = {"ours": {}, "huang2019": {}, "ratio": {}}
    for (row, key), values in rates.items():
        put(rows[row], key, values)
    for key in (key for row, key in rates if row == "ours"):
        compared = key.removeprefix("windows_")
        put(rows["ratio"], key, [a / b for a, b in zip(rates["ours", key], rates["huang2019", compared], strict=True)])
        rows["ratio"][key] = rows["ours"][key] / rows["huang2019"][compared]

    brush = ExactBezier()
    error = partial(alpha_error, reference=brush, n=test_strokes, seed=TEST_SEED, side=SIDE)
    rows["ours"]["alpha_mse"] = mine = error(ours)
    rows["huang2019"] |= {"alpha_mse": error(theirs)} if trained else _without_weights(config.baseline)
    other = rows["huang2019"]["alpha_mse"]
    rows["ratio"]["alpha_mse"] = mine / other if other else None
    if not other:
        rows["ratio"]["note"] = "There is no alpha_mse of huang2019 to divide by."
    # A small batch keeps the analytic brush's intermediate values in the processor's cache; the strokes are the same.
    rows["analytic"] = {"alpha_mse": error(AnalyticBezier(), batch=4)}
    rows["exact"] = {"supersample": brush.supersample}
    times = in_turns({"exact": partial(brush, strokes, (SIDE, SIDE))}, config.seconds_each)["exact"]
    put(rows["exact"], "strokes_per_s", [batch / s for s in times])
    setting = {
        "side": SIDE,
        "batch": batch,
        "threads": torch.get_num_threads(),
        "turns": len(next(iter(rates.values()))),
        "strokes": "uniformly random; huang2019 in eager PyTorch",
        "test_strokes": test_strokes,
        "test_seed": TEST_SEED,
        "ratio": "ours / huang2019: better are speeds above 1 and an alpha_mse below 1",
        "windows": "only the box that each stroke covers, as in painting; all others draw whole canvases",
        "forward_backward": "forward, and the gradient of sum(alpha * random weights) to the strokes; networks are frozen",
    }
    return {"setting": setting, **rows}


def _without_weights(baseline: str) -> Figures:
    """The baseline's error as recorded by its training; without a record, null and a note."""
    record = RECORDS / f"{baseline}.json"
    if record.is_file():
        note = (
            f"alpha_mse: measured when it was trained (docs/{record.name}); the weights (44 MB) are not shipped, "
            "so that speeds are those of random weights."
        )
        return {"alpha_mse": read_json(record)["alpha_mse"], "note": note}
    note = (
        f"There is no checkpoint {baseline}: speeds are those of random weights. For alpha_mse, train it "
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
