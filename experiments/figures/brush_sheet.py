"""Draw strokes of MyPaint brushes side by side, to choose brushes by eye, and measure what a learner needs to know.

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
from renderer.brushes.mypaint import BRUSHES, MYPAINT, MyPaint
from renderer.canvas import blank, paint_steps
from renderer.errors import InputError
from renderer.io.files import atomic
from renderer.io.images import to_bytes

PAPER = (0.93, 0.89, 0.80)
INK = (0.10, 0.09, 0.11)
# Of picture scrolls: shell white, skin, vermilion, rouge, indigo, verdigris, ochre, ink.
PALETTE = ("f4efe2", "e8cfae", "c8402a", "a2382d", "3f5a78", "4f7f5a", "d9a441", "1f1b1c")
CROWD = 80  # strokes in the last picture of a row
VISIBLE = 1 / 255  # the least alpha that can be seen
GAP, MARGIN, TEXT = 4, 130, 12  # pixels: between pictures, for captions, of the letters


@dataclass(frozen=True)
class Config:
    """Options of the sheet."""

    out: str = "docs/images/brushes.png"
    """Where to write the PNG."""
    brushes: tuple[str, ...] = tuple(BRUSHES)
    """Names of chosen brushes, names in the installed collection such as deevad/liner, or .myb files."""
    columns: int = 6
    """Single strokes in each row: the same for every brush."""
    side: int = 96
    """Pixels of each picture's side."""
    seed: int = 0
    """Of the strokes."""
    measure: bool = False
    """Print a table of measurements, too."""
    strokes: int = 200
    """How many random strokes to measure with."""


TINY = Config(brushes=("ink", "charcoal"), columns=2, side=32, measure=True, strokes=4)


def brush_sheet(config: Config) -> Path:
    """Draw strokes of MyPaint brushes side by side, to choose brushes by eye, and measure what a learner needs to know."""
    out = Path(config.out)
    require(config, columns=1, side=8, strokes=1)
    if out.suffix.lower() != ".png":
        raise InputError(f"The sheet is a PNG: give --out a name that ends in .png, not {out.name!r}.")
    if config.side > 1024 or config.columns > 100 or not config.brushes:
        raise InputError("A sheet has at least one brush, at most 100 columns, and pictures of at most 1024 pixels.")
    brushes = {name: MyPaint(name) for name in config.brushes}
    picture = sheet(brushes, config.columns, config.side, config.seed)
    with atomic(out) as path:
        # 256 colours are enough for the eye, and half of the bytes.
        Image.fromarray(picture).quantize(256, dither=Image.Dither.NONE).save(path, format="PNG", optimize=True)
    if config.measure:
        print(table([measure(name, brush, config.strokes, config.seed) for name, brush in brushes.items()]))
    print(f"{out}: {len(brushes)} brushes, {config.columns} strokes and a crowd of {CROWD} each at {config.side} px.")
    return out


def by_hand(n: int, generator: torch.Generator, spread: float = 0.7) -> Tensor:
    """`(n, 14)` strokes as a painter might set them: of all sizes from thin lines up, pressed most in the middle."""
    strokes = MYPAINT.sample(n, generator)
    a, b, c = torch.rand(3, n, 2, generator=generator)
    middle, radius = (
        0.5 + spread * (a - 0.5),
        0.006 * 12 ** torch.linspace(0, 1, n)[torch.randperm(n, generator=generator)],
    )
    angle, length = 2 * torch.pi * b[:, :1], 0.15 + 0.25 * b[:, 1:]
    half = length * torch.cat((angle.cos(), angle.sin()), -1)
    pressure = c[:, :1] * torch.tensor([0.5, 0.3, 0.0]) + c[:, 1:] * torch.tensor([0.0, 0.0, 0.5])
    values = {"start": middle - half, "end": middle + half, "radius": radius[:, None], "opacity": torch.ones(n, 1)}
    for name, value in {**values, "pressure": pressure + torch.tensor([0.1, 0.7, 0.1])}.items():
        strokes = MYPAINT.put(strokes, name, value)
    return strokes


def sheet(brushes: dict[str, MyPaint], columns: int, side: int, seed: int) -> NDArray[np.uint8]:
    """The sheet `(height, width, 3)`: a row for each brush, of single strokes in ink and, last, of a crowd in colours."""
    step = side + GAP
    image = Image.new("RGB", (MARGIN + (columns + 1) * step, len(brushes) * step + GAP), "white")
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(TEXT)
    generator = torch.Generator().manual_seed(seed)
    single = by_hand(columns, generator, 0.0)
    single = MYPAINT.put(single, "colour", torch.tensor(INK).expand(columns, 3))
    crowd = by_hand(CROWD, generator)
    palette = torch.tensor([list(bytes.fromhex(colour)) for colour in PALETTE]) / 255
    crowd = MYPAINT.put(crowd, "colour", palette[torch.randint(len(palette), (CROWD,), generator=generator)])
    for r, (name, brush) in enumerate(brushes.items()):
        y = GAP + r * step
        draw.text((GAP, y + side / 2), f"{name}\n{brush.path.parent.name}\n{brush.path.stem}", "black", font, "lm")
        for c, strokes in enumerate([*single.split(1), crowd]):
            *_, painted = paint_steps(blank((side, side), PAPER), strokes, brush, every=CROWD)
            image.paste(Image.fromarray(to_bytes(painted)), (MARGIN + c * step, y))
    return np.asarray(image)


def measure(name: str, brush: MyPaint, n: int, seed: int) -> dict[str, str]:
    """What a learner of the brush needs to know; `docs/brushes.md` says what each column means."""
    strokes = MYPAINT.sample(n, torch.Generator().manual_seed(seed))
    mark = brush(strokes, (128, 128))
    other = MyPaint(brush.path, brush.seed + 1)(strokes, (128, 128)).alpha
    recoloured = brush(MYPAINT.put(strokes, "colour", 1 - MYPAINT.get(strokes, "colour")), (128, 128)).alpha
    fine = nn.functional.avg_pool2d(brush(strokes[:64], (512, 512)).alpha, 4)
    shift = (mark.colour - MYPAINT.get(strokes, "colour")[:, :, None, None]).abs() * mark.alpha
    row = {"brush": name, "file": f"{brush.path.parent.name}/{brush.path.stem}"}
    row["licence"] = "CC0" if re.search("cc.?0|cc.?zero", brush.path.read_text(), re.IGNORECASE) else "not stated"
    row |= {f"strokes/s {side} px": f"{_speed(brush, strokes, side):,.0f}" for side in (64, 128)}
    row["other seed"] = f"{_difference(mark.alpha, other):.3f}"
    row["other size"] = f"{_difference(mark.alpha[:64], fine):.3f}"
    row["alpha of colour"] = "no" if torch.equal(mark.alpha, recoloured) else "yes"
    row["colour shift"] = f"{shift.sum() / 3 / mark.alpha.sum():.2f}" if brush.textured else "flat"
    for pressure in (0.25, 0.5, 1.0):
        reach, width, peak = _section(brush, pressure)
        row[f"p {pressure:g}: reach, width, peak"] = f"{reach:.1f}, {width:.2f}, {peak:.2f}"
    return row


def _difference(a: Tensor, b: Tensor) -> float:
    """The mean difference of two alphas where either is seen."""
    seen = torch.maximum(a, b) > VISIBLE
    return float((a - b).abs()[seen].mean())


def _speed(brush: MyPaint, strokes: Tensor, side: int) -> float:
    """Strokes a second of this process' own time, each drawn where it falls: the best of three, after memory was made."""
    seconds = []
    for _ in range(4):
        start = time.process_time()
        for _ in brush.stream(strokes, (side, side)):
            pass
        seconds.append(time.process_time() - start)
    return len(strokes) / min(seconds[1:])


def _section(brush: MyPaint, pressure: float, n: int = 32, radius: float = 0.02, side: int = 512) -> tuple[float, ...]:
    """Of straight strokes of even pressure, in radii: how far from its path a mark is seen, and the integral of alpha
    across it, halved; and the 99th percentile of alpha on the path."""
    strokes = MYPAINT.sample(n, torch.Generator().manual_seed(1))
    y = 0.5 + 0.01 * torch.linspace(-1, 1, n)  # each a stroke of its own to the engine's random numbers
    ends = torch.stack((torch.full((n,), 0.25), y), -1), torch.stack((torch.full((n,), 0.75), y), -1)
    values = {"start": ends[0], "end": ends[1], "radius": torch.full((n, 1), radius)}
    for name, value in {**values, "opacity": torch.ones(n, 1), "pressure": torch.full((n, 3), pressure)}.items():
        strokes = MYPAINT.put(strokes, name, value)
    alpha = brush(strokes, (side, side)).alpha[:, 0]
    x, rows = torch.arange(side) + 0.5, torch.arange(side) + 0.5
    along = (x - (x / side).clamp(0.25, 0.75) * side)[None, None, :]
    across = rows[None, :, None] - (y * side)[:, None, None]
    distance = torch.hypot(along, across).expand_as(alpha)[alpha > VISIBLE] / (radius * side)
    reach = (
        float(distance.quantile(0.999)) if 0 < len(distance) < 1e7 else float(distance.max()) if len(distance) else 0.0
    )
    middle = alpha[:, :, side * 3 // 8 : side * 5 // 8]
    on_path = alpha[torch.arange(n), (y * side).long(), side * 3 // 8 : side * 5 // 8]
    return reach, float(middle.sum(1).mean()) / (2 * radius * side), float(on_path.quantile(0.99))


def table(rows: list[dict[str, str]]) -> str:
    """Markdown."""
    lines = [list(rows[0]), ["---"] * len(rows[0]), *(list(row.values()) for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


if __name__ == "__main__":
    run(brush_sheet, Config, __doc__)
