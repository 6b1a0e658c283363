"""Cut the strips of a stochastic brush from strokes of its reference brush, for `--renderer strips:BRUSH`.

Examples:

    python -m experiments.cut_strips charcoal --out checkpoints/charcoal-strips.safetensors
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
import tyro
from torch import Tensor

from experiments.cli import require, run
from renderer.brush import Brush
from renderer.brushes.mypaint import MYPAINT, MyPaint
from renderer.errors import InputError
from renderer.io.images import write_png
from renderer.learned.data import painterly
from renderer.learned.fidelity import appearance_distance
from renderer.learned.load import load_learned_brush
from renderer.learned.neural_brush import NeuralBrush
from renderer.learned.strip_brush import StripBrush
from renderer.learned.strips import fit_strips

SAID = {"": "", "_of_noise": " (another seed)", "_of_mean": " (the mean)"}


@dataclass(frozen=True)
class Config:
    """Options of cutting strips."""

    brush: tyro.conf.Positional[str]
    """A learned brush whose reference is a stochastic brush of MyPaint: charcoal, impressionist, or your own."""
    out: str
    """The file to write."""
    strokes: int = 2000
    """For the kernel distance to the reference brush, which is measured and recorded."""
    sheet: str | None = None
    """Also write a PNG of strokes of the reference brush, and below them the same strokes of the strips."""
    seed: int = 0


def cut_strips(config: Config) -> Path:
    """Cut the strips of a stochastic brush from strokes of its reference brush. Raises `InputError`."""
    require(config, strokes=2)
    mean = load_learned_brush(config.brush)
    if not isinstance(mean, NeuralBrush):
        raise InputError(f"Strips break up the mean of a brush of MyPaint, which {config.brush} is not.")
    reference = MyPaint(mean.brush)
    strips = fit_strips(reference, mean.reach, torch.Generator().manual_seed(config.seed))
    brushes: dict[str, Brush] = {
        "": StripBrush(mean, strips),
        "_of_noise": reference.with_seed(1),
        "_of_mean": mean.mean_brush(),
    }
    about = {
        f"kernel_distance{name}": 1e3 * appearance_distance(brush, reference, config.strokes, config.seed + 1)
        for name, brush in brushes.items()
    }
    strips.save(config.out, about)
    if config.sheet is not None:
        write_png(_sheet(reference, brushes[""]), config.sheet)
    found = ", ".join(f"{about[f'kernel_distance{name}']:.3f}{said}" for name, said in SAID.items())
    print(f"Wrote {config.out}; kernel distances to the reference brush, in thousandths: {found}.")
    return Path(config.out)


def _sheet(*brushes: Brush) -> Tensor:
    """Rows of six strokes as painters use them, on white, (3, H, W)."""
    strokes = painterly(64, torch.Generator().manual_seed(3))[:6]
    strokes = MYPAINT.put(strokes, "radius", MYPAINT.get(strokes, "radius").clamp(0.02, 0.08))
    for name in ("start", "end"):
        strokes = MYPAINT.put(strokes, name, 0.1 + 0.8 * MYPAINT.get(strokes, name))
    marks = [brush(strokes, (200, 200)) for brush in brushes]
    images = [1 + mark.alpha * (mark.colour - 1) for mark in marks]
    return torch.cat([torch.cat(list(row), -1) for row in images], -2).clamp(0, 1)


if __name__ == "__main__":
    run(cut_strips, Config, __doc__)
