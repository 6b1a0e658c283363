"""Write a saved painting for other programs: layers for Krita, GIMP and Photoshop, vectors with layers.

    python -m experiments.export paintings/face/strokes.safetensors --out face.ora
    python -m experiments.export paintings/face/strokes.safetensors --out face.psd --layer-strokes 50
    python -m experiments.export paintings/face/strokes.safetensors --out face.svg

Strokes of MyPaint brushes are drawn by MyPaint's own engine, or by a learned brush with --renderer ink.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro

from experiments.cli import run
from renderer.brush import load_brush
from renderer.errors import InputError
from renderer.io.painting import Painting

FORMATS = (".ora", ".psd", ".svg")


@dataclass(frozen=True)
class Config:
    """Options of an export."""

    strokes: tyro.conf.Positional[str]
    """A painting's strokes.safetensors."""
    out: str
    """The file to write: .ora (Krita, GIMP, MyPaint), .psd (Photoshop) or .svg (Inkscape, Illustrator)."""
    size: int | None = None
    """Pixels on the long side; 1,536 by default."""
    renderer: str = "exact"
    """exact (the reference brush), analytic, mypaint:BRUSH, or a learned brush (bezier, ink)."""
    layer_strokes: int | None = None
    """Strokes in each layer. By default, masses and lines, or the rounds of the agent."""


def export(config: Config) -> Path:
    """Write a saved painting for other programs."""
    out = Path(config.out)
    if out.suffix.lower() not in FORMATS:
        raise InputError(f"--out {out} should end in one of {', '.join(FORMATS)}; replay writes images and videos.")
    painting = Painting.load(config.strokes)
    brush = None if config.renderer == "exact" else load_brush(config.renderer)
    painting.export(out, size=config.size, brush=brush, layer_strokes=config.layer_strokes)
    print(f"Wrote {out}: {len(painting.strokes)} strokes.")
    return out


if __name__ == "__main__":
    run(export, Config, __doc__)
