"""Beyond faces: pictures of other kinds, painted by the agent that has only seen faces.

    python -m experiments.figures.beyond --out docs/beyond.md

A cat, a still life, a night landscape, a portrait, a starry sky (photographs of scikit-image, CC0 or in the public domain)
and a page of ten made-up faces. Writes the page and its sheet, and prints what every picture's error is.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from agents.registry import load_agent
from experiments.cli import require, run
from experiments.outputs import finishing_brush
from kaokore.fake_faces import draw_face
from painter.losses.perceptual import Perceptual
from painter.methods import paint_with
from painter.metrics import Metrics, compute_metrics
from painter.optimize import OptimizeConfig
from renderer.io.files import atomic
from renderer.io.images import fit, write_jpeg
from renderer.io.painting import Painting
from renderer.learned.load import load_brush

PICTURES = ("chelsea", "coffee", "rocket", "astronaut", "hubble_deep_field")
GAP = 8  # pixels of the sheet


@dataclass(frozen=True)
class Config:
    """What is painted, and how."""

    strokes: int = 1000
    size: int = 384
    """Pixels on the long side."""
    method: str = "agent"
    renderer: str = "bezier"
    steps: int = OptimizeConfig.steps
    seed: int = 0
    out: str = "beyond.md"


def others(size: int, seed: int = 0) -> dict[str, Tensor]:
    """The pictures by name, (3, H, W) sRGB in [0, 1], `size` pixels on the long side."""
    from skimage import data

    random = np.random.default_rng(seed)
    page = [[draw_face(random, (i + j) % 2 == 0, (i + j) % 4) for i in range(5)] for j in range(2)]
    pictures = {name: getattr(data, name)() for name in PICTURES}
    pictures["page"] = np.concatenate([np.concatenate(row, 1) for row in page])
    return {name.replace("_", " "): fit(_tensor(picture), size) for name, picture in pictures.items()}


def beyond(config: Config) -> Path:
    """Beyond faces: pictures of other kinds, painted by the agent that has only seen faces."""
    require(config, strokes=1, size=8, steps=1)
    renderer = load_brush(config.renderer)
    agent, brush, perceptual = load_agent("agent", renderer), finishing_brush(renderer), Perceptual()
    rows, pairs = [], []
    for name, target in others(config.size, config.seed).items():
        generator, optimize = torch.Generator().manual_seed(config.seed), OptimizeConfig(steps=config.steps)
        begun = time.monotonic()
        *_, last = paint_with(config.method, target, config.strokes, renderer, agent, optimize, generator)  # type: ignore[arg-type]
        seconds = time.monotonic() - begun
        painting = Painting.by(renderer, last.strokes, target.shape[1:])
        picture = painting.render(brush=brush)
        metrics = compute_metrics(picture, target, perceptual)
        rows.append(_row(name, target, seconds, metrics))
        pairs.append((target, picture))
        print(rows[-1])
    out = Path(config.out)
    sheet = out.parent / "images" / "beyond.jpg"
    write_jpeg(_sheet(pairs, config.size), sheet)
    with atomic(out) as temporary:
        temporary.write_text(_page(config, rows), encoding="utf-8")
    print(f"Open {out}; pictures and paintings are in {sheet}.")
    return out


def _tensor(picture: np.ndarray) -> Tensor:
    return torch.from_numpy(picture).permute(2, 0, 1) / 255


def _row(name: str, target: Tensor, seconds: float, metrics: Metrics) -> str:
    height, width = target.shape[1:]
    near = f"{metrics.mse:.5f} | {metrics.ssim:.3f} | {metrics.perceptual:.2f}"
    return f"| {name} | {width} x {height} | {seconds:.1f} | {near} |"


def _sheet(pairs: list[tuple[Tensor, Tensor]], size: int) -> Tensor:
    """Three pairs a row, each picture above its painting, in cells of their row's height."""
    rows = []
    for first in range(0, len(pairs), 3):
        part = pairs[first : first + 3]
        height = max(target.shape[1] for target, _ in part)
        row = torch.ones(3, 2 * (height + GAP), len(part) * (size + GAP))
        for i, pair in enumerate(part):
            for j, picture in enumerate(pair):
                h, w = picture.shape[1:]
                y, x = j * (height + GAP), i * (size + GAP)
                row[:, y : y + h, x : x + w] = picture
        rows.append(row)
    widest = max(row.shape[2] for row in rows)
    return torch.cat([torch.nn.functional.pad(row, (0, widest - row.shape[2]), value=1.0) for row in rows], 1)


def _page(config: Config, rows: list[str]) -> str:
    return (
        "# Beyond faces\n\n"
        "Made by `python -m experiments.figures.beyond`. The policy was trained on KaoKore faces alone; it sees a picture "
        "in cells, at every scale, so that it paints any picture of any shape.\n\n"
        f"`--method {config.method} --renderer {config.renderer} --strokes {config.strokes} --size {config.size}`:\n\n"
        "| picture | pixels | s | mse | ssim | perceptual |\n|---|---|---|---|---|---|\n" + "\n".join(rows) + "\n\n"
        "![Pictures, and below each its painting](images/beyond.jpg)\n\n"
        "*Photographs as scikit-image has them: Chelsea by Stefan van der Walt and coffee by Rachel Michetti (CC0), rocket "
        "by SpaceX, astronaut and Hubble deep field by NASA (public domain). The page is made up, see "
        "`kaokore/fake_faces.py`.*\n"
    )


if __name__ == "__main__":
    run(beyond, Config, __doc__)
