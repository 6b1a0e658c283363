"""Draw a sheet to judge a learned brush by eye: reference strokes, learned strokes, and their difference.

Examples:

    python -m experiments.figures.fidelity_sheet --out docs/images/fidelity.png
    python -m experiments.figures.fidelity_sheet --renderer ink --out docs/images/brushes/ink.png
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from experiments.cli import run
from experiments.figures.elements import png_path
from renderer.brush import Brush, load_brush
from renderer.errors import InputError
from renderer.io.images import to_bytes, write_png
from renderer.io.painting import reference_brush

# The seed of the strokes that every alpha MSE is measured on: never a training's seed, and far from the numbers of the
# batches that learned brushes are trained on.
TEST_SEED = 20_190_001
WORST_OF = 200
# The strokes of a band; their radii relative to uniformly random ones (0 to a quarter of the canvas); the number of
# strokes of which the worst are shown (0: the first ones are shown).
BANDS = (
    ("uniformly random strokes", 1.0, 0),
    ("thin: radii at most a fifth", 0.2, 0),
    ("hairlines: radii at most a twentieth", 0.05, 0),
    (f"the worst of {WORST_OF} uniformly random strokes", 1.0, WORST_OF),
)
ROWS = ("reference", "learned", "difference x4")
GAP, MARGIN, TITLE, TEXT = 4, 96, 26, 12  # pixels: between images, for captions, of the letters
BACKGROUND, INK = 225, 20


@dataclass(frozen=True)
class Config:
    """Options of the sheet."""

    out: str = "docs/images/fidelity.png"
    """The PNG to write."""
    renderer: str = "bezier"
    """The learned brush: a shipped name (bezier, ink ...) or a file."""
    columns: int = 8
    """Strokes in each band."""
    side: int = 128
    """Pixels of each canvas' side."""
    seed: int = TEST_SEED + 1
    """Seed of the strokes."""


def fidelity_sheet(config: Config) -> Path:
    """Draw a sheet to judge a learned brush by eye: reference strokes, learned strokes, and their difference."""
    out = png_path(config.out)
    if not (1 <= config.columns <= WORST_OF and 8 <= config.side <= 1024):
        raise InputError(f"--columns must be between 1 and {WORST_OF}, --side between 8 and 1024 pixels.")
    generator = torch.Generator().manual_seed(config.seed)
    learned = load_brush(config.renderer)
    reference = reference_brush(learned.space, (config.side, config.side), learned.provenance())
    write_png(sheet(learned, reference, generator, config.columns, config.side), out, optimize=True)
    print(f"{out}: {len(BANDS)} bands of {config.columns} strokes at {config.side} px.")
    return out


def sheet(
    learned: Brush, reference: Brush, generator: torch.Generator, columns: int = 8, side: int = 128
) -> NDArray[np.uint8]:
    """Draw the sheet.

    Args:
        learned: the brush to judge.
        reference: the brush that it was learned from.
        generator: source of the strokes.
        columns: strokes in each band.
        side: pixels of each canvas' side.

    Returns:
        Grey values 0-255, (height, width): opacities as ink on white, with captions. Below each difference stands the mean
        squared error of that stroke's alpha.
    """
    step, line = side + GAP, TEXT + 4
    band = TITLE + len(ROWS) * step + line
    image = Image.new("L", (MARGIN + columns * step, len(BANDS) * band), BACKGROUND)
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(TEXT)
    for b, (title, scale, worst_of) in enumerate(BANDS):
        alphas = _alphas(learned, reference, scale, max(columns, worst_of), side, generator)
        difference = (alphas[0] - alphas[1]).abs()
        error = difference.square().mean((1, 2))
        shown = (error.argsort(descending=True, stable=True) if worst_of else torch.arange(columns))[:columns]
        errors = error[shown].tolist()
        top = b * band + TITLE
        draw.text((MARGIN, top - GAP), f"{title}: mse {np.mean(errors):.1e}", INK, font, "ls")
        for r, (name, rows) in enumerate(zip(ROWS, (*alphas, 4 * difference), strict=True)):
            y = top + r * step
            draw.text((MARGIN - 2 * GAP, y + side / 2), name, INK, font, "rm")
            for c, alpha in enumerate(rows[shown]):
                image.paste(Image.fromarray(to_bytes(1 - alpha[None].clamp(0, 1))[..., 0]), (MARGIN + c * step, y))
        y = top + len(ROWS) * step
        draw.text((MARGIN - 2 * GAP, y + line / 2 - GAP), "mse", INK, font, "rm")
        for c, value in enumerate(errors):
            draw.text((MARGIN + c * step + side / 2, y + line / 2 - GAP), f"{value:.1e}", INK, font, "mm")
    return np.asarray(image)


@torch.no_grad()
def _alphas(
    learned: Brush, reference: Brush, scale: float, n: int, side: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Reference and learned alphas of n strokes, (n, side, side), with radii `scale` times uniformly random ones."""
    strokes = reference.space.sample(n, generator)
    strokes[:, reference.space.columns("radius")] *= scale
    alpha = learned(strokes.to(learned.device), (side, side)).alpha.cpu()
    return reference(strokes, (side, side)).alpha[:, 0], alpha[:, 0]


if __name__ == "__main__":
    run(fidelity_sheet, Config, __doc__)
