"""Draw a made-up photograph of brush strokes on paper, to try `scan_brush` without a camera.

Examples:

    python -m experiments.figures.made_up_sheet --out sheet.jpg
    python -m experiments.figures.made_up_sheet --brush mypaint:charcoal --out sheet.jpg
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from experiments.cli import require, run
from renderer.brush import Brush, ReferenceBrush, load_brush
from renderer.brushes.mypaint import MYPAINT
from renderer.brushes.scanned import ACROSS, CAP, UNIT, Scanned
from renderer.canvas import paint
from renderer.errors import InputError
from renderer.io.images import write_jpeg, write_png
from renderer.learned.fidelity import traits

PAPER, INK = (0.93, 0.89, 0.80), (0.13, 0.12, 0.20)  # sRGB
LENGTHS = (5.0, 8.0, 12.0, 16.0)  # of the strokes of the bristle brush, in radii


@dataclass(frozen=True)
class Config:
    """Options of the sheet."""

    out: str = "sheet.jpg"
    """The JPEG or PNG to write."""
    brush: str = "bristles"
    """What draws the strokes: bristles of random strength that run dry, or a brush of MyPaint's stroke space."""
    size: int = 1600
    """Pixels on the long side."""
    rows: int = 5
    """Rows of strokes; there are two columns of long strokes and one of short ones."""
    angle: float = 2.0
    """Rotation of the sheet in degrees."""
    shade: float = 0.35
    """How much darker the darkest corner is than the lightest one."""
    noise: float = 0.012
    """Standard deviation of the camera's noise."""
    seed: int = 0
    """Seed of strokes and noise."""


def made_up_sheet(config: Config) -> Path:
    """Draw a made-up photograph of brush strokes on paper."""
    require(config, size=64, rows=1, noise=0, shade=0)
    out = Path(config.out)
    if out.suffix.lower() not in (".jpg", ".jpeg", ".png"):
        raise InputError(f"--out {out} should end in .jpg or .png.")
    brush = bristles(config.seed) if config.brush == "bristles" else load_brush(config.brush)
    MYPAINT.require(brush.space)
    height = config.size * 3 // 4
    strokes = rows_of_strokes(config.rows, config.seed)
    if not isinstance(brush, Scanned) and isinstance(
        brush, ReferenceBrush
    ):  # whose marks may be broader than its radius
        strokes[:, MYPAINT.columns("radius")] /= traits(brush).reach
    image = photograph(strokes, brush, (height, config.size), config.angle, config.shade, config.noise, config.seed)
    (write_png if out.suffix.lower() == ".png" else write_jpeg)(image, out)
    print(f"{out}: {len(strokes)} strokes.")
    return out


def bristles(seed: int = 0) -> Scanned:
    """A dry brush: bristles of random strength, which run dry towards the end of a stroke."""
    from skimage.filters import gaussian

    random = np.random.default_rng(seed)
    strips = []
    for length in (*LENGTHS, *LENGTHS):
        rows = round(length * UNIT) + 2 * CAP
        along = np.clip((np.arange(rows) - CAP) / (rows - 2 * CAP), 0, 1)[:, None]
        load = gaussian(random.normal(size=(1, ACROSS)), (0, 0.9))
        grain = gaussian(random.normal(size=(rows, ACROSS)), (12, 0.7))
        strength = 0.9 * load / load.std() + 0.6 * grain / grain.std()
        u = (np.arange(ACROSS) + 0.5 - ACROSS / 2) / UNIT
        # Bristles begin and end at different places, around half a disc.
        uneven = 0.12 * gaussian(random.normal(size=(2, ACROSS)), (0, 1.5)) * 3
        s = (np.arange(rows) + 0.5 - CAP) / UNIT
        tip = np.sqrt(np.clip(1 - u**2, 0, 1))
        outline = ((s[:, None] > uneven[0] - tip) & (s[:, None] < length + uneven[1] + tip) & (np.abs(u) < 1)).astype(
            float
        )
        wet = 1 / (1 + np.exp(-2.2 * (strength + 2.2 - 3.0 * along**1.5)))
        strip = gaussian(outline, (1.0, 0.7)) * wet
        strips.append(torch.from_numpy(np.rint(255 * strip.clip(0, 1)).astype(np.uint8)))
    return Scanned("bristles", strips, seed)


def rows_of_strokes(rows: int, seed: int = 0) -> Tensor:
    """Strokes (3 rows, 14) from left to right, in three columns; of the last one short."""
    generator = torch.Generator().manual_seed(seed)
    strokes = MYPAINT.sample(3 * rows, generator)
    place = torch.arange(3 * rows)
    column, row = place % 3, place // 3
    left, right = torch.tensor([0.10, 0.46, 0.80])[column], torch.tensor([0.38, 0.72, 0.90])[column]
    y = 0.12 + 0.76 * (row + 0.5) / rows
    lean = 0.1 / rows * (2 * torch.rand(2, len(strokes), generator=generator) - 1)
    radius = torch.full((len(strokes), 1), 0.16 / rows)
    values = {
        "start": torch.stack((left, y + lean[0]), 1),
        "end": torch.stack((right, y + lean[1]), 1),
        "bend": torch.stack((torch.full_like(y, 0.5), 4 * torch.rand(len(strokes), generator=generator) - 1.5), 1),
        "radius": radius,
        "pressure": torch.full((len(strokes), 3), 0.9),
        "opacity": torch.ones_like(radius),
        "colour": torch.zeros(len(strokes), 3),
    }
    for name, value in values.items():
        strokes = MYPAINT.put(strokes, name, value)
    return strokes


def photograph(
    strokes: Tensor, brush: Brush, size: tuple[int, int], angle: float, shade: float, noise: float, seed: int = 0
) -> Tensor:
    """A photograph (3, H, W) of strokes on paper.

    Args:
        strokes: (N, 14) of the brush's space.
        brush: draws them; only its alpha counts.
        size: height and width in pixels.
        angle: rotation in degrees.
        shade: how much darker the darkest corner is than the lightest one.
        noise: standard deviation of the noise.
        seed: of the noise.
    """
    import cv2

    height, width = size
    drawn = paint(torch.ones(3, *size), strokes, brush)[0].numpy()
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), angle, 1.0)
    alpha = 1 - cv2.warpAffine(drawn, turn, (width, height), flags=cv2.INTER_LINEAR, borderValue=1.0)
    paper, ink = (np.array(colour)[:, None, None] for colour in (PAPER, INK))
    random = np.random.default_rng(seed)
    fibres = 1 + 0.01 * cv2.GaussianBlur(random.normal(size=(height, width)), (0, 0), 1.5) * 4
    colour = paper * fibres * (1 - alpha) + ink * alpha
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    light = 1 - shade * (0.35 * (1 + x) / 2 + 0.25 * (1 - y) / 2 + 0.4 * (x**2 + y**2) / 2)
    values: NDArray[np.float64] = colour * light + noise * random.normal(size=colour.shape)
    return torch.from_numpy(values.clip(0, 1)).float()


if __name__ == "__main__":
    run(made_up_sheet, Config, __doc__)
