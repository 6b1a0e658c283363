"""Figures of what comes after a painting: the layers of a file for Krita or GIMP, and loads of a paint plan.

    python -m experiments.figures.after_painting --out docs/images

Writes layers.png (background, masses, lines, and all of them) and plan.png (the first loads, and the finished picture).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from experiments.cli import run
from painter.api import Painter
from painter.optimize import OptimizeConfig
from painter.plan import make_plan
from painter.plan.load_pictures import finished_picture, load_pictures, png
from renderer.brush import load_brush
from renderer.constraints import StrokeConstraints
from renderer.io.files import atomic
from renderer.io.layered import layer_images

FACE = Path(__file__).parents[2] / "docs/images/hikime.png"
GAP = 8  # pixels between pictures
SHOWN = 7  # loads


@dataclass(frozen=True)
class Config:
    """Options of the figures."""

    out: str
    """Folder for layers.png and plan.png."""
    size: int = 256
    """Pixels on the long side of each picture."""
    strokes: int = 300
    """Of each painting."""


def after_painting(config: Config) -> None:
    """Figures of what comes after a painting: layers and loads of paint."""
    out = Path(config.out)
    lines = Painter("lines", brush="flat+ink", config=OptimizeConfig(steps=60)).paint(FACE, strokes=config.strokes)
    brush = load_brush("flat+ink")
    size = lines.size(config.size)
    pictures = []
    merged = Image.new("RGBA", (size[1], size[0]))
    for layer in layer_images(lines, config.size, brush):
        alone = Image.fromarray(_checkerboard(size)).convert("RGBA")
        placed = Image.new("RGBA", alone.size)
        placed.paste(Image.fromarray(layer.pixels), (layer.left, layer.top))
        merged = Image.alpha_composite(merged, placed)
        pictures.append(np.asarray(Image.alpha_composite(alone, placed).convert("RGB")))
    _write(_row([*pictures, np.asarray(merged.convert("RGB"))]), out / "layers.png", 256)

    constraints = StrokeConstraints(opaque=True, palette=6)
    flat = Painter("agent", brush="flat").paint(FACE, strokes=config.strokes, constraints=constraints)
    plan = make_plan(flat, colours=6, brush=load_brush("flat"))
    loads = list(load_pictures(plan, config.size))[:SHOWN]
    sheet = [*loads, finished_picture(plan, config.size)]
    half = -(-len(sheet) // 2)
    sheet += [np.full_like(sheet[0], 255)] * (2 * half - len(sheet))
    rows = [_row(sheet[:half]), _row(sheet[half:])]
    _write(np.concatenate([rows[0], np.full((GAP, rows[0].shape[1], 3), 255, np.uint8), rows[1]]), out / "plan.png", 64)


def _checkerboard(size: tuple[int, int], cell: int = 8) -> np.ndarray:
    """Grey and white squares, uint8 (H, W, 3), which stand for transparency."""
    y, x = np.indices(size) // cell
    grey: np.ndarray = np.where((x + y) % 2, 255, 215).astype(np.uint8)
    return np.repeat(grey[..., None], 3, 2)


def _row(pictures: list[np.ndarray]) -> np.ndarray:
    """Pictures of one height beside each other."""
    gap = np.full((len(pictures[0]), GAP, 3), 255, np.uint8)
    parts = [part for picture in pictures for part in (gap, picture)]
    return np.concatenate(parts[1:], 1)


def _write(picture: np.ndarray, path: Path, colours: int) -> None:
    with atomic(path) as temporary:
        temporary.write_bytes(png(picture, colours))


if __name__ == "__main__":
    run(after_painting, Config, __doc__)
