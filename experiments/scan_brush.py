"""Make a brush of your own strokes, from a photograph or scan of them on a sheet of paper.

Examples:

    python -m experiments.scan_brush sheet.jpg --out my_brush
    python -m experiments.train_renderer --brush my_brush.safetensors --quick --out my_learned
    python -m experiments.repaint face.jpg --renderer my_learned --out paintings

Paint ten strokes or more, short and long, from left to right, dark on light paper, with one brush; they must not touch each
other or the border of the picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import tyro
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torch import Tensor

from experiments.cli import run
from renderer.brushes.scanned import MAX_STRIPS, Scanned
from renderer.brushes.stroke_sheet import SheetStroke, find_strokes, ink
from renderer.errors import InputError
from renderer.io.files import atomic
from renderer.io.images import read_image, to_bytes

LONGEST = 2400  # pixels at which a sheet is read
KEPT = 12  # strips of a brush, so that paintings, which record them, stay small
SUFFIX = ".safetensors"


@dataclass(frozen=True)
class Config:
    """Options of the scan."""

    sheet: Annotated[str, tyro.conf.Positional]
    """Photograph or scan of strokes on paper."""
    out: str = "my_brush"
    """The brush to write: my_brush is my_brush.safetensors; with a picture of what was found, my_brush-strokes.png."""
    strokes: int = KEPT
    """How many strokes the brush keeps, of all lengths."""


def scan_brush(config: Config) -> Path:
    """Make a brush of the strokes on a sheet, and return its file. Raises `InputError`."""
    if not 1 <= config.strokes <= MAX_STRIPS:
        raise InputError(f"--strokes must be between 1 and {MAX_STRIPS}, not {config.strokes}.")
    out = Path(config.out if config.out.endswith(SUFFIX) else f"{config.out}{SUFFIX}")
    if not out.parent.is_dir():
        raise InputError(f"--out {config.out} should be a file in a folder that exists.")
    image = read_image(config.sheet, LONGEST)
    try:
        found = find_strokes(image)
    except InputError as error:
        raise InputError(f"{config.sheet}: {error}") from error
    kept = of_all_lengths(found, config.strokes)
    Scanned(out.stem, [stroke.strip for stroke in kept]).save(out)
    picture = out.with_name(f"{out.stem}-strokes.png")
    with atomic(picture) as path:
        Image.fromarray(overview(image, kept)).save(path)
    radius = float(np.median([stroke.radius for stroke in kept]))
    print(f"{out}: {len(kept)} of {len(found)} strokes, {2 * radius:.0f} pixels broad; {picture} shows them.")
    print(f"Learn it: python -m experiments.train_renderer --brush {out} --quick --out {out.stem}_learned")
    return out


def of_all_lengths(strokes: list[SheetStroke], count: int) -> list[SheetStroke]:
    """At most `count` strokes, evenly from the shortest to the longest one."""
    ordered = sorted(strokes, key=lambda stroke: len(stroke.strip))
    places = np.linspace(0, len(ordered) - 1, min(count, len(ordered))).round().astype(int)
    return [ordered[place] for place in places]


def overview(image: Tensor, strokes: list[SheetStroke]) -> NDArray[np.uint8]:
    """The sheet with the outline of each stroke's strip and its centre line, and below it the ink as it was separated."""
    sheet = Image.fromarray(to_bytes(image))
    draw = ImageDraw.Draw(sheet)
    for stroke in strokes:
        draw.line([tuple(point) for point in stroke.path], (220, 40, 40), max(2, sheet.width // 600))
        for end in (stroke.path[0], stroke.path[-1]):
            draw.ellipse([*(end - stroke.radius), *(end + stroke.radius)], outline=(220, 40, 40), width=2)
    marks = to_bytes(torch.from_numpy(1 - ink(image)).float().expand(3, -1, -1))
    return np.concatenate((np.asarray(sheet), marks))


if __name__ == "__main__":
    run(scan_brush, Config, __doc__)
