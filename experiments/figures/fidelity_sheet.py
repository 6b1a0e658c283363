"""Draw the sheet for the eye: true strokes, learned strokes, and how they differ.

python -m experiments.figures.fidelity_sheet --out docs/images/fidelity.png
python -m experiments.figures.fidelity_sheet --renderer ink --out docs/images/brushes/ink.png
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor, nn

from experiments.cli import run
from renderer.brush import Brush
from renderer.errors import InputError
from renderer.io.files import atomic
from renderer.io.painting import brush_record, reference_brush
from renderer.learned.load import load_brush

# The strokes that the alpha MSE is measured on, wherever it is: never a training's seed, and far from the numbers of the
# batches that renderers are trained on.
TEST_SEED = 20_190_001
WORST_OF = 200
# What the strokes of a band are; their radii relative to uniformly random ones (0 to a quarter of the canvas); of how
# many the worst are shown (0: as they come).
BANDS = (
    ("uniformly random strokes", 1.0, 0),
    ("thin: radii at most a fifth", 0.2, 0),
    ("hairlines: radii at most a twentieth", 0.05, 0),
    (f"the worst of {WORST_OF} uniformly random strokes", 1.0, WORST_OF),
)
ROWS = ("true", "learned", "difference x4")
GAP, MARGIN, TITLE, TEXT = 4, 96, 26, 12  # pixels: between pictures, for captions, of the letters
GROUND, INK = 225, 20


@dataclass(frozen=True)
class Config:
    """Options of the sheet."""

    out: str = "docs/images/fidelity.png"
    """Where to write the PNG."""
    renderer: str = "bezier"
    """The learned renderer: a shipped name (bezier, ink ...) or a file."""
    columns: int = 8
    """Strokes in each band."""
    side: int = 128
    """Pixels of each canvas' side."""
    seed: int = TEST_SEED + 1
    """Of the strokes."""


TINY = Config(columns=2, side=24)


def fidelity_sheet(config: Config) -> Path:
    """Draw the sheet for the eye: true strokes, learned strokes, and how they differ."""
    out = Path(config.out)
    if out.suffix.lower() != ".png":
        raise InputError(f"The sheet is a PNG: give --out a name that ends in .png, not {out.name!r}.")
    if not (1 <= config.columns <= WORST_OF and 8 <= config.side <= 1024):
        raise InputError(f"--columns must be between 1 and {WORST_OF}, --side between 8 and 1024 pixels.")
    generator = torch.Generator().manual_seed(config.seed)
    renderer = load_brush(config.renderer)
    brush = reference_brush(renderer.space, (config.side, config.side), brush_record(renderer))
    picture = sheet(renderer, brush, generator, config.columns, config.side)
    with atomic(out) as path:
        Image.fromarray(picture).save(path, optimize=True)
    print(f"{out}: {len(BANDS)} bands of {config.columns} strokes at {config.side} px.")
    return out


def sheet(
    renderer: Brush, brush: Brush, generator: torch.Generator, columns: int = 8, side: int = 128
) -> NDArray[np.uint8]:
    """The sheet as grey values 0-255, (height, width): opacities as ink on white, with captions.

    Below each difference stands the mean squared error of that stroke's alpha.
    """
    step, line = side + GAP, TEXT + 4
    band = TITLE + len(ROWS) * step + line
    image = Image.new("L", (MARGIN + columns * step, len(BANDS) * band), GROUND)
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(TEXT)
    for b, (title, scale, worst_of) in enumerate(BANDS):
        true, learned = _alphas(renderer, brush, scale, max(columns, worst_of), side, generator)
        difference = (true - learned).abs()
        error = difference.square().mean((1, 2))
        if worst_of:
            shown = error.argsort(descending=True, stable=True)[:columns]
            true, learned, difference, error = true[shown], learned[shown], difference[shown], error[shown]
        errors = error.tolist()
        top = b * band + TITLE
        draw.text((MARGIN, top - GAP), f"{title}: mse {np.mean(errors):.1e}", INK, font, "ls")
        for r, (name, pictures) in enumerate(zip(ROWS, (true, learned, 4 * difference), strict=True)):
            y = top + r * step
            draw.text((MARGIN - 2 * GAP, y + side / 2), name, INK, font, "rm")
            for c in range(columns):
                image.paste(Image.fromarray(_ink(pictures[c])), (MARGIN + c * step, y))
        y = top + len(ROWS) * step
        draw.text((MARGIN - 2 * GAP, y + line / 2 - GAP), "mse", INK, font, "rm")
        for c, value in enumerate(errors):
            draw.text((MARGIN + c * step + side / 2, y + line / 2 - GAP), f"{value:.1e}", INK, font, "mm")
    return np.asarray(image)


@torch.no_grad()
def _alphas(
    renderer: Brush, brush: Brush, scale: float, n: int, side: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """True and learned alphas of n strokes, (n, side, side), with radii `scale` times uniformly random ones."""
    strokes = brush.space.sample(n, generator)
    strokes[:, brush.space.columns("radius")] *= scale
    device = next(renderer.parameters()).device if isinstance(renderer, nn.Module) else "cpu"
    learned = renderer(strokes.to(device), (side, side)).alpha.cpu()
    return brush(strokes, (side, side)).alpha[:, 0], learned[:, 0]


def _ink(alpha: Tensor) -> NDArray[Any]:
    return ((1 - alpha.clamp(0, 1)) * 255).round().byte().numpy()


if __name__ == "__main__":
    run(fidelity_sheet, Config, __doc__)
