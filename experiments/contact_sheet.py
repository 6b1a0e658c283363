"""A contact sheet: images, stages of their paintings by the number of strokes, and the paintings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from experiments.figures.elements import contact_sheet
from experiments.results import STROKES
from renderer.errors import InputError
from renderer.io.images import fit, read_image, to_bytes, write_png
from renderer.io.painting import Painting

CONTACT_SHEET = "contact_sheet.png"
STAGES = (10, 50, 200)  # strokes
SIDE, GAP, TOP = 256, 8, 28  # pixels: of an image, between images, above the first row
MOST_ROWS = 24


def write_contact_sheet(results: Sequence[tuple[Path, Path]], path: Path) -> None:
    """Write a PNG with a row for each of the first results: image, stages of 10, 50 and 200 strokes, painting.

    Args:
        results: images and the folders of their paintings. Where a painting is not there, its row is left out.
        path: the file to write. Nothing is written where no painting is there.

    Raises:
        InputError: the file cannot be written.
    """
    rows: list[list[Tensor | None]] = []
    for image, folder in results[:MOST_ROWS]:
        try:
            rows.append(list(_row(image, folder)))
        except InputError:  # it could not be painted, as was said
            continue
    if not rows:
        return
    heads = ["target", *(f"{count} strokes" for count in STAGES), "painting"]
    used = [i for i in range(len(heads)) if any(row[i] is not None for row in rows)]
    blank = torch.ones(3, 1, SIDE)
    cells = [[blank if (cell := row[i]) is None else cell for i in used] for row in rows]
    sheet = Image.fromarray(to_bytes(contact_sheet(cells, gap=GAP, top=TOP)))
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=14)
    step = max(cell.shape[2] for row in cells for cell in row) + GAP
    for column, i in enumerate(used):
        draw.text((GAP + column * step, TOP // 2), heads[i], "black", font, anchor="lm")
    write_png(np.asarray(sheet), path)


def _row(image: Path, folder: Path) -> Iterator[Tensor | None]:
    painting = Painting.load(folder / STROKES)
    yield fit(read_image(image, SIDE), SIDE)
    for count in STAGES:
        shown = replace(painting, strokes=painting.strokes[:count])
        yield shown.render(SIDE) if count < len(painting.strokes) else None
    yield fit(read_image(folder / "painting.png"), SIDE)
