"""Measure the painters on KaoKore faces: error against strokes for agent, optimiser and hybrid.

    python -m experiments.evaluate --root ../shared/kaokore --split dev --n 100
    python -m experiments.evaluate --root ../shared/kaokore --methods optimize --strokes 200 --seconds 10 --n 10

Writes `evaluation.json` and `evaluation.png` (the figure) to --out. Errors are of the true brush's pictures, as
`experiments.repaint` writes them; seconds are those of painting alone.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean, median
from typing import Any

import torch
import tyro
from torch import Tensor
from tqdm import tqdm

from agents.planner import DEFAULT_PLANNING, Planning
from agents.registry import load_agent
from experiments.cli import choose_device, run
from experiments.outputs import finishing_brush
from experiments.runs import describe_run
from kaokore.loading import load_images
from painter.losses.perceptual import Perceptual
from painter.methods import METHODS, Method, paint_with
from painter.metrics import compute_metrics
from painter.optimize import OptimizeConfig
from renderer.errors import InputError
from renderer.io.files import atomic
from renderer.io.painting import Painting
from renderer.learned.load import load_brush


@dataclass(frozen=True)
class Config:
    """What is measured."""

    root: str | None = None
    """KaoKore's folder; else KAOKORE_ROOT, else data/kaokore."""
    split: str = "dev"
    n: int = 100
    """Faces, spread evenly over the split."""
    size: int = 128
    """Pixels a side."""
    methods: tuple[Method, ...] = METHODS
    strokes: tuple[int, ...] = (10, 20, 50, 100, 200, 500, 1000)
    """Numbers of strokes to paint with."""
    seconds: float | None = None
    """Time for optimising a face; else --steps."""
    steps: int = OptimizeConfig.steps
    """Gradient steps of optimize and hybrid."""
    renderer: str = "bezier"
    agent: str = "agent"
    """The agent's checkpoint: ours, or one of experiments.train_huang2019."""
    planning: tyro.conf.OmitArgPrefixes[Planning] = DEFAULT_PLANNING
    seed: int = 0
    device: str = "auto"
    out: str = "evaluation"
    """Folder for the results."""


def evaluate_agent(config: Config) -> dict[str, Any]:
    """Measure the painters on KaoKore faces."""
    if config.n < 1 or not config.strokes or min(config.strokes) < 1:
        raise InputError("--n and --strokes must be positive numbers.")
    device = choose_device(config.device)
    renderer = load_brush(config.renderer, device)
    brush = finishing_brush(renderer)
    agent = load_agent(config.agent, renderer, device, config.planning)
    perceptual = Perceptual()
    faces = load_images(config.root, config.split, config.size, count=config.n).images / 255
    optimize = OptimizeConfig(steps=config.steps, seconds=config.seconds)
    results = []
    for method in config.methods:
        for count in config.strokes:
            rows = []
            for face in tqdm(faces, desc=f"{method} {count}"):
                generator = torch.Generator().manual_seed(config.seed)
                begun = time.monotonic()
                *_, last = paint_with(method, face.to(device), count, renderer, agent, optimize, generator)
                seconds = time.monotonic() - begun
                height, width = face.shape[1:]
                painting = Painting.by(renderer, last.strokes, (height, width))
                picture = painting.render(brush=brush)
                rows.append({"seconds": seconds, **asdict(compute_metrics(picture, face, perceptual))})
            results.append({"method": method, "strokes": count, **_summary(rows)})
            line = f"mse {results[-1]['mse']:.5f} (median {results[-1]['mse_median']:.5f})"
            print(f"{method} {count}: {line}, {results[-1]['seconds']:.2f} s a face")
    report = {"config": asdict(config), "faces": len(faces), **describe_run(), "results": results}
    out = Path(config.out)
    with atomic(out / "evaluation.json") as temporary:
        temporary.write_text(json.dumps(report, indent=2))
    _figure(results, out / "evaluation.png", f"{len(faces)} {config.split} faces, {config.size} px")
    print(f"{out}/evaluation.json and {out}/evaluation.png hold the figures.")
    return report


def _summary(rows: list[dict[str, float]]) -> dict[str, Any]:
    summary: dict[str, Any] = {key: mean(row[key] for row in rows) for key in rows[0]}
    errors = Tensor([row["mse"] for row in rows])
    error = (errors.std() / len(rows) ** 0.5).item() if len(rows) > 1 else 0.0
    each = [round(row["mse"], 7) for row in rows]  # for comparing two agents face by face
    return {**summary, "mse_median": median(each), "mse_standard_error": error, "mse_each": each}


def _figure(results: list[dict[str, Any]], path: Path, title: str) -> None:
    import matplotlib

    matplotlib.use("Agg")  # a figure for a file needs no window
    from matplotlib import pyplot as plt

    figure, axis = plt.subplots(figsize=(6, 4))
    for method in dict.fromkeys(line["method"] for line in results):
        lines = [line for line in results if line["method"] == method]
        axis.plot([line["strokes"] for line in lines], [line["mse"] for line in lines], "o-", label=method)
    axis.set(xscale="log", yscale="log", xlabel="strokes", ylabel="mean squared error", title=title)
    axis.grid(alpha=0.3, which="both")
    axis.legend()
    with atomic(path) as temporary:
        figure.savefig(temporary, dpi=120, bbox_inches="tight")
    plt.close(figure)


if __name__ == "__main__":
    renamed = {"--alone": "--independent-steps", "--together": "--joint-steps", "--rate": "--lr"}
    run(evaluate_agent, Config, __doc__, renamed=renamed)
