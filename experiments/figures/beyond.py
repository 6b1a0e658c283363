"""Paint images other than faces, with the agent that was trained on faces only.

    python -m experiments.figures.beyond --out docs/beyond.md

A cat, a still life, a rocket at night, a portrait, a star field (photographs of scikit-image, CC0 or in the public
domain) and a page of ten computed faces. Writes the page and its contact sheet.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor
from tqdm import tqdm

from experiments.cli import require, run
from experiments.figures.elements import contact_sheet, markdown_table
from experiments.outputs import paint_image
from kaokore.fake_faces import draw_face
from painter import Painter
from painter.losses.perceptual import Perceptual
from painter.methods import Method
from painter.metrics import compute_metrics
from painter.optimize import OptimizeConfig
from renderer.io.files import atomic
from renderer.io.images import as_image, fit, write_jpeg

PHOTOGRAPHS = ("chelsea", "coffee", "rocket", "astronaut", "hubble_deep_field")
COLUMNS = 3


@dataclass(frozen=True)
class Config:
    """What is painted, and how."""

    strokes: int = 1000
    size: int = 384
    """Pixels on the long side."""
    method: Method = "agent"
    renderer: str = "bezier"
    """The brush to paint with."""
    steps: int = OptimizeConfig.steps
    """Gradient steps of the other methods."""
    seed: int = 0
    out: str = "beyond.md"


def example_images(size: int, seed: int = 0) -> dict[str, Tensor]:
    """Images by name, (3, H, W) sRGB in [0, 1], `size` pixels on the long side."""
    from skimage import data  # imported here, because it takes long

    random = np.random.default_rng(seed)
    page = [[draw_face(random, (i + j) % 2 == 0, (i + j) % 4) for i in range(5)] for j in range(2)]
    images = {name.replace("_", " "): getattr(data, name)() for name in PHOTOGRAPHS}
    images["page"] = np.concatenate([np.concatenate(row, 1) for row in page])
    return {name: fit(as_image(image), size) for name, image in images.items()}


def beyond(config: Config) -> Path:
    """Paint images other than faces, with the agent that was trained on faces only."""
    require(config, strokes=1, size=8, steps=1)
    painter = Painter(config.method, brush=config.renderer, config=OptimizeConfig(steps=config.steps))
    perceptual = Perceptual()
    cells, pairs = [], []
    for name, image in tqdm(example_images(config.size, config.seed).items(), disable=None):
        result = paint_image(painter, image, strokes=config.strokes, seed=config.seed)
        metrics, (height, width) = compute_metrics(result.image, image, perceptual), image.shape[1:]
        values = f"{result.seconds:.1f}", f"{metrics.mse:.5f}", f"{metrics.ssim:.3f}", f"{metrics.perceptual:.2f}"
        cells.append((name, f"{width} x {height}", *values))
        pairs.append((image, result.image))
    table = markdown_table(("image", "pixels", "s", "mse", "ssim", "perceptual"), cells)
    print(table)
    rows = [row for i in range(0, len(pairs), COLUMNS) for row in zip(*pairs[i : i + COLUMNS], strict=True)]
    out = Path(config.out)
    sheet = out.parent / "images" / "beyond.jpg"
    write_jpeg(contact_sheet(rows, gap=8), sheet)
    with atomic(out) as temporary:
        temporary.write_text(_page(config, table), encoding="utf-8")
    print(f"Wrote {out} and {sheet}.")
    return out


def _page(config: Config, table: str) -> str:
    return f"""# Beyond faces

Made by `python -m experiments.figures.beyond`. The policy was trained on KaoKore faces only. It sees an image in cells, at
several scales, so that it can paint images of other content and of any aspect ratio.

`--method {config.method} --renderer {config.renderer} --strokes {config.strokes} --size {config.size}`:

{table}

![Images, and their paintings below them](images/beyond.jpg)

*Photographs from scikit-image: Chelsea by Stefan van der Walt and coffee by Rachel Michetti (CC0), rocket by SpaceX,
astronaut and Hubble deep field by NASA (public domain). The page of faces is computed, see `kaokore/fake_faces.py`.*
"""


if __name__ == "__main__":
    run(beyond, Config, __doc__)
