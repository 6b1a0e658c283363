"""Measure the painting methods on KaoKore faces: error against number of strokes.

    python -m experiments.evaluate --root data/kaokore --split dev --n 100
    python -m experiments.evaluate --root data/kaokore --methods optimize --strokes 200 --seconds 10 --n 10

Writes `evaluation.json` and `evaluation.png` (the plot) to --out. Errors are those of the rendered paintings, as
`experiments.repaint` writes them; seconds are those of painting alone.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean, median
from typing import Any

import tyro
from torch import Tensor
from tqdm import tqdm

from agents.planner import DEFAULT_PLANNING, Planning
from experiments.cli import run
from experiments.figures.elements import plot_curves
from experiments.outputs import paint_image
from experiments.runs import describe_run
from kaokore.loading import load_images
from painter import Painter
from painter.losses.perceptual import Perceptual
from painter.methods import METHODS, Method
from painter.metrics import compute_metrics
from painter.optimize import OptimizeConfig
from renderer.errors import InputError
from renderer.io.files import atomic


@dataclass(frozen=True)
class Config:
    """What is measured."""

    root: str | None = None
    """KaoKore's folder; by default KAOKORE_ROOT, or data/kaokore."""
    split: str = "dev"
    n: int = 100
    """Faces, spread evenly over the split."""
    size: int = 128
    """Pixels a side."""
    methods: tuple[Method, ...] = METHODS
    strokes: tuple[int, ...] = (10, 20, 50, 100, 200, 500, 1000)
    """Numbers of strokes to paint with."""
    seconds: float | None = None
    """Time budget for optimising a face; by default, --steps."""
    steps: int = OptimizeConfig.steps
    """Gradient steps of optimize and hybrid; lines takes a fifth."""
    renderer: str = "bezier"
    """The brush to paint with: a name, or a checkpoint file."""
    agent: str = "agent"
    """The agent's checkpoint: ours, or one of experiments.train_huang2019."""
    planning: tyro.conf.OmitArgPrefixes[Planning] = DEFAULT_PLANNING
    seed: int = 0
    device: str = "auto"
    """auto, cpu, cuda, cuda:1 ..."""
    out: str = "evaluation"
    """Folder for the results."""


def evaluate(config: Config) -> dict[str, Any]:
    """Measure the painting methods on KaoKore faces."""
    if config.n < 1 or not config.strokes or min(config.strokes) < 1:
        raise InputError("--n and --strokes must be positive numbers.")
    painters = [
        Painter(
            method,
            brush=config.renderer,
            agent=config.agent,
            device=config.device,
            config=OptimizeConfig(steps=config.steps, seconds=config.seconds),
            planning=config.planning,
        )
        for method in config.methods
    ]
    perceptual = Perceptual()
    faces = load_images(config.root, config.split, config.size, count=config.n).images / 255
    results = []
    for painter in painters:
        for count in config.strokes:
            rows = []
            for face in tqdm(faces, desc=f"{painter.method} {count}"):
                result = paint_image(painter, face, strokes=count, seed=config.seed)
                rows.append({"seconds": result.seconds, **asdict(compute_metrics(result.image, face, perceptual))})
            results.append({"method": painter.method, "strokes": count, **_summary(rows)})
            errors = f"mse {results[-1]['mse']:.5f} (median {results[-1]['mse_median']:.5f})"
            print(f"{painter.method} {count}: {errors}, {results[-1]['seconds']:.2f} s a face")
    report = {"config": asdict(config), "faces": len(faces), **describe_run(), "results": results}
    out = Path(config.out)
    with atomic(out / "evaluation.json") as temporary:
        temporary.write_text(json.dumps(report, indent=2))
    cells = {method: [cell for cell in results if cell["method"] == method] for method in config.methods}
    lines = [(name, [c["strokes"] for c in found], [c["mse"] for c in found]) for name, found in cells.items()]
    title = f"{len(faces)} {config.split} faces, {config.size} px"
    axes = {"xscale": "log", "xlabel": "strokes", "ylabel": "mean squared error", "title": title}
    plot_curves(lines, out / "evaluation.png", marker="o", **axes)
    print(f"Wrote {out}/evaluation.json and {out}/evaluation.png.")
    return report


def _summary(rows: list[dict[str, float]]) -> dict[str, Any]:
    summary: dict[str, Any] = {key: mean(row[key] for row in rows) for key in rows[0]}
    errors = Tensor([row["mse"] for row in rows])
    error = (errors.std() / len(rows) ** 0.5).item() if len(rows) > 1 else 0.0
    each = [round(row["mse"], 7) for row in rows]  # for comparing two agents face by face
    return {**summary, "mse_median": median(each), "mse_standard_error": error, "mse_each": each}


if __name__ == "__main__":
    renamed = {"--alone": "--independent-steps", "--together": "--joint-steps", "--rate": "--lr"}
    run(evaluate, Config, __doc__, renamed=renamed)
