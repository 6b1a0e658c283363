"""Measure the painting methods on KaoKore faces or on your own pictures: error against number of strokes.

    python -m experiments.evaluate --root data/kaokore --split dev --n 100
    python -m experiments.evaluate --root data/kaokore --methods agent hybrid --strokes 200 --seconds .5 1 2 6 --n 30
    python -m experiments.evaluate --folder photos --size 256 --methods agent hybrid --strokes 200 1000

Writes `evaluation.json` (means and spreads), `evaluation.csv` (a row for each painting) and `evaluation.png` (the plot) to
--out. Errors are those of the rendered paintings, as `experiments.repaint` writes them; seconds are those of painting
alone. Where the package `lpips` is installed, its distance (AlexNet) is measured too.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean, median
from typing import Any

import numpy as np
import tyro
from torch import Tensor
from torch.nn import Module
from tqdm import tqdm

from agents.planner import DEFAULT_PLANNING, Planning
from experiments.cli import run
from experiments.figures.elements import plot_curves
from experiments.outputs import paint_image
from experiments.results import write_rows
from experiments.runs import describe_run, without_folders
from kaokore.loading import load_images
from painter import Painter
from painter.losses.perceptual import Perceptual
from painter.methods import METHODS, Method
from painter.metrics import compute_metrics, load_lpips, lpips_distance
from painter.optimize import OptimizeConfig
from renderer.errors import InputError
from renderer.io.files import atomic
from renderer.io.images import find_images, fit, read_image


@dataclass(frozen=True)
class Config:
    """What is measured."""

    root: str | None = None
    """KaoKore's folder; by default KAOKORE_ROOT, or data/kaokore."""
    split: str = "dev"
    folder: str | None = None
    """Measure on the pictures in this folder, of any format and shape, instead of KaoKore's faces."""
    n: int = 100
    """Faces or pictures, spread evenly over the split or folder."""
    size: int = 128
    """Pixels on the long side."""
    methods: tuple[Method, ...] = METHODS
    strokes: tuple[int, ...] = (10, 20, 50, 100, 200, 500, 1000)
    """Numbers of strokes to paint with."""
    seconds: tuple[float, ...] = ()
    """Time budgets for a picture, in all methods; by default, --steps."""
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
    """Measure the painting methods on KaoKore faces or on the pictures of a folder."""
    if config.n < 1 or not config.strokes or min(config.strokes) < 1:
        raise InputError("--n and --strokes must be positive numbers.")
    painters = [
        Painter(
            method,
            brush=config.renderer,
            agent=config.agent,
            device=config.device,
            config=OptimizeConfig(steps=config.steps),
            planning=config.planning,
        )
        for method in config.methods
    ]
    perceptual, lpips = Perceptual(), load_lpips_or_say_why()
    pictures = _load_pictures(config)
    budgets: tuple[float | None, ...] = config.seconds or (None,)
    cells = [(painter, count, budget) for painter in painters for count in config.strokes for budget in budgets]
    rows: list[list[dict[str, float]]] = [[] for _ in cells]
    tables: list[list[dict[str, Any]]] = [[] for _ in cells]
    for name, picture in tqdm(pictures, disable=None):  # in turns, so that a busy machine slows all cells alike
        for (painter, count, budget), measured, table in zip(cells, rows, tables, strict=True):
            result = paint_image(painter, picture, strokes=count, seed=config.seed, seconds=budget)
            measured.append({"seconds": result.seconds, **asdict(compute_metrics(result.image, picture, perceptual))})
            if lpips is not None:
                measured[-1]["lpips"] = lpips_distance(lpips, result.image, picture)
            table.append({"input": name, "method": painter.method, "strokes": count, "budget": budget, **measured[-1]})
    results = []
    for (painter, count, budget), measured in zip(cells, rows, strict=True):
        cell = {"method": painter.method, "strokes": count, "budget": budget, **_summary(measured)}
        results.append(cell)
        errors = f"mse {cell['mse']:.5f} +- {1.96 * cell['mse_standard_error']:.5f} (median {cell['mse_median']:.5f})"
        print(f"{painter.method} {count}: {errors}, {cell['seconds']:.2f} s a picture")
    report = {"config": without_folders(asdict(config)), "faces": len(pictures), **describe_run(), "results": results}
    out = Path(config.out)
    with atomic(out / "evaluation.json") as temporary:
        temporary.write_text(json.dumps(report, indent=2))
    write_rows(out / "evaluation.csv", tables[0][0], [row for table in tables for row in table])
    x = "seconds" if len(config.seconds) > 1 else "strokes"
    groups = [(method, count) for method in config.methods for count in (config.strokes if x == "seconds" else (None,))]
    lines = []
    for method, only in groups:
        found = [cell for cell in results if cell["method"] == method and only in (None, cell["strokes"])]
        label = method if only is None else f"{method}, {only} strokes"
        lines.append((label, [cell[x] for cell in found], [cell["mse"] for cell in found]))
    kind = f"{config.split} faces" if config.folder is None else "pictures"
    title = f"{len(pictures)} {kind}, {config.size} px"
    axes = {"xscale": "log", "xlabel": x, "ylabel": "mean squared error", "title": title}
    plot_curves(lines, out / "evaluation.png", marker="o", **axes)
    print(f"Wrote {out}/evaluation.json, evaluation.csv and evaluation.png.")
    return report


def _load_pictures(config: Config) -> list[tuple[str, Tensor]]:
    """Names, and pictures (3, H, W) in [0, 1] with the long side of `config.size`; faces are squares."""
    if config.folder is None:
        faces = load_images(config.root, config.split, config.size, count=config.n)
        return list(zip(faces.names, faces.images / 255, strict=True))
    files = find_images([config.folder], on_skip=lambda line: print(line, file=sys.stderr))
    chosen = np.linspace(0, len(files) - 1, min(config.n, len(files))).astype(int)
    return [(files[i].name, fit(read_image(files[i], config.size), config.size)) for i in chosen]


def load_lpips_or_say_why() -> Module | None:
    """The distance of Zhang et al. (2018) where its package is installed and its network's weights can be had."""
    try:
        return load_lpips()
    except InputError as error:
        print(f"LPIPS is left out: {error}", file=sys.stderr)
        return None


def _summary(rows: list[dict[str, float]]) -> dict[str, Any]:
    summary: dict[str, Any] = {key: mean(row[key] for row in rows) for key in rows[0]}
    errors = Tensor([row["mse"] for row in rows])
    error = (errors.std() / len(rows) ** 0.5).item() if len(rows) > 1 else 0.0
    each = [round(row["mse"], 7) for row in rows]  # for comparing two agents face by face
    return {**summary, "mse_median": median(each), "mse_standard_error": error, "mse_each": each}


if __name__ == "__main__":
    renamed = {"--alone": "--independent-steps", "--together": "--joint-steps", "--rate": "--lr"}
    run(evaluate, Config, __doc__, renamed=renamed)
