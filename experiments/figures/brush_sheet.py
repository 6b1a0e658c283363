"""Draw strokes of MyPaint brushes side by side, to choose brushes, and measure what matters for learning them.

Examples:

    python -m experiments.figures.brush_sheet --out runs/brushes.png
    python -m experiments.figures.brush_sheet --brushes deevad/liner my_own.myb --out runs/two.png
    python -m experiments.figures.brush_sheet --measure --out docs/images/brushes.png
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor, nn

from experiments.cli import require, run
from experiments.figures.elements import contact_sheet, markdown_table, png_path
from renderer.brushes.mypaint import BRUSHES, MYPAINT, MyPaint
from renderer.canvas import blank, paint_steps
from renderer.errors import InputError
from renderer.io.images import to_bytes, write_png

PAPER = (0.93, 0.89, 0.80)
INK = (0.10, 0.09, 0.11)
# Colours of picture scrolls: shell white, skin, vermilion, rouge, indigo, verdigris, ochre, ink.
PALETTE = ("f4efe2", "e8cfae", "c8402a", "a2382d", "3f5a78", "4f7f5a", "d9a441", "1f1b1c")
CROWD = 80  # strokes in the last image of a row
VISIBLE = 1 / 255  # the least alpha that can be seen
GAP, MARGIN, TEXT = 4, 130, 12  # pixels: between images, for captions, of the letters


@dataclass(frozen=True)
class Config:
    """Options of the sheet."""

    out: str = "docs/images/brushes.png"
    """The PNG to write."""
    brushes: tuple[str, ...] = tuple(BRUSHES)
    """Names of chosen brushes, names in the installed collection such as deevad/liner, or .myb files."""
    columns: int = 6
    """Single strokes in each row; the same strokes for every brush."""
    side: int = 96
    """Pixels of each image's side."""
    seed: int = 0
    """Seed of the strokes."""
    measure: bool = False
    """Also print a table of measurements."""
    strokes: int = 200
    """Random strokes to measure with."""


def brush_sheet(config: Config) -> Path:
    """Draw strokes of MyPaint brushes side by side, to choose brushes, and measure what matters for learning them."""
    out = png_path(config.out)
    require(config, columns=1, side=8, strokes=1)
    if config.side > 1024 or config.columns > 100 or not config.brushes:
        raise InputError("A sheet has at least one brush, at most 100 columns, and images of at most 1024 pixels.")
    brushes = {name: MyPaint(name) for name in config.brushes}
    image = sheet(brushes, config.columns, config.side, config.seed)
    write_png(image, out, colours=256, optimize=True)  # 256 colours look the same, in half of the bytes
    if config.measure:
        rows = [measure(name, brush, config.strokes, config.seed) for name, brush in brushes.items()]
        print(markdown_table(list(rows[0]), [list(row.values()) for row in rows]))
    print(f"{out}: {len(brushes)} brushes, {config.columns} strokes and a crowd of {CROWD} each at {config.side} px.")
    return out


def painterly_strokes(n: int, generator: torch.Generator, spread: float = 0.7) -> Tensor:
    """`(n, 14)` strokes as in a painting: radii from .006 to .072, the highest pressure in the middle.

    spread: side of the square, around the canvas' centre, that the strokes' middles lie in
    """
    strokes = MYPAINT.sample(n, generator)
    a, b, c = torch.rand(3, n, 2, generator=generator)
    middle = 0.5 + spread * (a - 0.5)
    radius = 0.006 * 12 ** torch.linspace(0, 1, n)[torch.randperm(n, generator=generator)]
    angle, length = 2 * torch.pi * b[:, :1], 0.15 + 0.25 * b[:, 1:]
    half = length * torch.cat((angle.cos(), angle.sin()), -1)
    pressure = c[:, :1] * torch.tensor([0.5, 0.3, 0.0]) + c[:, 1:] * torch.tensor([0.0, 0.0, 0.5])
    values = {"start": middle - half, "end": middle + half, "radius": radius[:, None], "opacity": torch.ones(n, 1)}
    return _put(strokes, **values, pressure=pressure + torch.tensor([0.1, 0.7, 0.1]))


def sheet(brushes: dict[str, MyPaint], columns: int, side: int, seed: int) -> NDArray[np.uint8]:
    """The sheet `(height, width, 3)`: for each brush a row of single strokes in ink and, last, a crowd in colours."""
    generator = torch.Generator().manual_seed(seed)
    single = _put(painterly_strokes(columns, generator, 0.0), colour=torch.tensor(INK).expand(columns, 3))
    crowd = painterly_strokes(CROWD, generator)
    palette = torch.tensor([list(bytes.fromhex(colour)) for colour in PALETTE]) / 255
    crowd = _put(crowd, colour=palette[torch.randint(len(palette), (CROWD,), generator=generator)])

    def painted(brush: MyPaint, strokes: Tensor) -> Tensor:
        *_, canvas = paint_steps(blank((side, side), PAPER), strokes, brush, every=CROWD)
        return canvas

    rows = [[painted(brush, strokes) for strokes in (*single.split(1), crowd)] for brush in brushes.values()]
    image = Image.fromarray(to_bytes(contact_sheet(rows, gap=GAP, margin=MARGIN)))
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(TEXT)
    for r, (name, brush) in enumerate(brushes.items()):
        y = GAP + r * (side + GAP) + side / 2
        draw.text((GAP, y), f"{name}\n{brush.path.parent.name}\n{brush.path.stem}", "black", font, "lm")
    return np.asarray(image)


def measure(name: str, brush: MyPaint, n: int, seed: int) -> dict[str, str]:
    """Properties that matter for learning the brush; `docs/brushes.md` explains the columns."""
    strokes = MYPAINT.sample(n, torch.Generator().manual_seed(seed))
    mark = brush(strokes, (128, 128))
    other = MyPaint(brush.path, brush.seed + 1)(strokes, (128, 128)).alpha
    recoloured = brush(MYPAINT.put(strokes, "colour", 1 - MYPAINT.get(strokes, "colour")), (128, 128)).alpha
    fine = nn.functional.avg_pool2d(brush(strokes[:64], (512, 512)).alpha, 4)
    shift = (mark.colour - MYPAINT.get(strokes, "colour")[:, :, None, None]).abs() * mark.alpha
    row = {"brush": name, "file": f"{brush.path.parent.name}/{brush.path.stem}"}
    row["licence"] = "CC0" if re.search("cc.?0|cc.?zero", brush.myb, re.IGNORECASE) else "not stated"
    row |= {f"strokes/s {side} px": f"{_speed(brush, strokes, side):,.0f}" for side in (64, 128)}
    row["other seed"] = f"{_difference(mark.alpha, other):.3f}"
    row["other size"] = f"{_difference(mark.alpha[:64], fine):.3f}"
    row["alpha of colour"] = "no" if torch.equal(mark.alpha, recoloured) else "yes"
    row["colour shift"] = f"{shift.sum() / 3 / mark.alpha.sum():.2f}" if brush.textured else "flat"
    for pressure in (0.25, 0.5, 1.0):
        reach, width, peak = _section(brush, pressure)
        row[f"p {pressure:g}: reach, width, peak"] = f"{reach:.1f}, {width:.2f}, {peak:.2f}"
    return row


def _put(strokes: Tensor, **values: Tensor) -> Tensor:
    """MyPaint strokes (n, 14) with other values in the named fields."""
    for name, value in values.items():
        strokes = MYPAINT.put(strokes, name, value)
    return strokes


def _difference(a: Tensor, b: Tensor) -> float:
    """The mean difference of two alphas where either is visible."""
    visible = torch.maximum(a, b) > VISIBLE
    return float((a - b).abs()[visible].mean())


def _speed(brush: MyPaint, strokes: Tensor, side: int) -> float:
    """Strokes per second of processor time, each drawn in its own window: the best of three runs after a warm-up."""
    seconds = []
    for _ in range(4):
        start = time.process_time()
        for _ in brush.stream(strokes, (side, side)):
            pass
        seconds.append(time.process_time() - start)
    return len(strokes) / min(seconds[1:])


def _section(brush: MyPaint, pressure: float, n: int = 32, radius: float = 0.02, side: int = 512) -> tuple[float, ...]:
    """Reach, width and peak of straight strokes of constant pressure.

    Returns:
        In radii, how far from its path a mark is visible; in radii, half of the integral of alpha across it; and the 99th
        percentile of alpha on the path.
    """
    y = 0.5 + 0.01 * torch.linspace(-1, 1, n)  # different strokes, so that the engine's random numbers differ
    values = {
        "start": torch.stack((torch.full((n,), 0.25), y), -1),
        "end": torch.stack((torch.full((n,), 0.75), y), -1),
    }
    values |= {
        "radius": torch.full((n, 1), radius),
        "opacity": torch.ones(n, 1),
        "pressure": torch.full((n, 3), pressure),
    }
    strokes = _put(MYPAINT.sample(n, torch.Generator().manual_seed(1)), **values)
    alpha = brush(strokes, (side, side)).alpha[:, 0]
    pixel = torch.arange(side) + 0.5
    along = (pixel - (pixel / side).clamp(0.25, 0.75) * side)[None, None, :]
    across = pixel[None, :, None] - (y * side)[:, None, None]
    distance = torch.hypot(along, across).expand_as(alpha)[alpha > VISIBLE] / (radius * side)
    reach = 0.0
    if len(distance):
        reach = float(distance.quantile(0.999) if len(distance) < 1e7 else distance.max())
    middle = alpha[:, :, side * 3 // 8 : side * 5 // 8]
    on_path = alpha[torch.arange(n), (y * side).long(), side * 3 // 8 : side * 5 // 8]
    return reach, float(middle.sum(1).mean()) / (2 * radius * side), float(on_path.quantile(0.99))


if __name__ == "__main__":
    run(brush_sheet, Config, __doc__)
