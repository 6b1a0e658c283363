"""Draw how a sheet of strokes becomes a brush: the sheet, its strips, strokes, and a face painted with them.

Examples:

    python -m experiments.figures.made_up_sheet --out sheet.jpg
    python -m experiments.scan_brush sheet.jpg --out my_brush
    python -m experiments.train_renderer --brush my_brush.safetensors --quick --out my_learned
    python -m experiments.figures.scanned_brush --sheet sheet.jpg --brush my_brush --learned my_learned
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from experiments.cli import run
from painter.api import Painter
from painter.optimize import OptimizeConfig
from renderer.brush import Brush, load_brush
from renderer.brushes.mypaint import MYPAINT
from renderer.brushes.scanned import Scanned
from renderer.canvas import paint
from renderer.errors import InputError
from renderer.io.files import atomic
from renderer.io.images import fit, read_image, to_bytes

WIDTH, HEIGHT, GAP, TITLE = 640, 480, 12, 26  # pixels of a panel, between panels, of a caption


@dataclass(frozen=True)
class Config:
    """Options of the figure."""

    sheet: str = "sheet.jpg"
    """The photograph."""
    brush: str = "my_brush"
    """The brush that `scan_brush` made of it."""
    learned: str = "my_learned"
    """The learned brush."""
    face: str = "docs/images/hikime.png"
    """The image to paint."""
    strokes: int = 300
    """Strokes of the painting."""
    out: str = "docs/images/scanned_brush.jpg"
    """The JPEG to write."""


def scanned_brush(config: Config) -> Path:
    """Draw how a sheet of strokes becomes a brush."""
    out = Path(config.out)
    brush, learned = load_brush(config.brush), load_brush(config.learned)
    if not isinstance(brush, Scanned):
        raise InputError(f"--brush {config.brush} should be a file of scan_brush.")
    painter = Painter("hybrid", brush=learned, config=OptimizeConfig(steps=150))
    painting = painter.paint(config.face, strokes=config.strokes)
    panels = {
        "the sheet": _fitted(read_image(config.sheet)),
        "its strips, straightened": strips(brush),
        "strokes of the scanned brush": strokes_of(brush),
        "the same strokes of the learned brush (the mean of similar strips)": strokes_of(learned),
        "the image": _fitted(read_image(config.face)),
        f"painted with the learned brush, {config.strokes} strokes, drawn by the scanned one": _fitted(
            painting.render(960)
        ),
    }
    image = Image.new("RGB", (2 * WIDTH + 3 * GAP, 3 * (HEIGHT + TITLE + GAP) + GAP), (235, 235, 235))
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(15)
    for i, (title, panel) in enumerate(panels.items()):
        x, y = GAP + i % 2 * (WIDTH + GAP), GAP + i // 2 * (HEIGHT + TITLE + GAP)
        draw.text((x, y + TITLE - 7), title, (20, 20, 20), font, "ls")
        image.paste(panel, (x + (WIDTH - panel.width) // 2, y + TITLE))
    with atomic(out) as path:
        image.save(path, "JPEG", quality=85)
    print(f"{out}: {out.stat().st_size // 1000} kB.")
    return out


def strips(brush: Scanned) -> Image.Image:
    """The strips of a brush, one below the other, as ink on white."""
    image = Image.new("L", (WIDTH, HEIGHT), 255)
    shown = brush.strips[: 2 * (HEIGHT // 60)]
    for i, strip in enumerate(shown):
        side = Image.fromarray(255 - np.ascontiguousarray(strip.numpy().T))
        image.paste(side.resize((min(side.width, WIDTH // 2), side.height)), (i % 2 * WIDTH // 2 + 10, i // 2 * 60 + 6))
    return image.convert("RGB")


@torch.no_grad()
def strokes_of(brush: Brush, count: int = 16) -> Image.Image:
    """Random strokes of various radii and pressures."""
    strokes = MYPAINT.sample(count, torch.Generator().manual_seed(3))
    strokes = MYPAINT.put(strokes, "radius", 0.012 + 0.2 * MYPAINT.get(strokes, "radius"))
    strokes = MYPAINT.put(strokes, "pressure", 0.6 + 0.4 * MYPAINT.get(strokes, "pressure"))
    strokes = MYPAINT.put(strokes, "colour", 0.6 * MYPAINT.get(strokes, "colour"))
    strokes = MYPAINT.put(strokes, "opacity", torch.ones(count, 1))
    return Image.fromarray(to_bytes(paint(torch.ones(3, HEIGHT, WIDTH), strokes, brush)))


def _fitted(image: Tensor) -> Image.Image:
    """Inside a panel."""
    height, width = image.shape[1:]
    return Image.fromarray(to_bytes(fit(image, int(max(height, width) * min(WIDTH / width, HEIGHT / height)))))


if __name__ == "__main__":
    run(scanned_brush, Config, __doc__)
