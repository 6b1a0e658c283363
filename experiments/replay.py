"""Draw a saved painting again, at any size: as a picture, a film or vectors.

python -m experiments.replay paintings/face/strokes.safetensors --size 2048 --out large.png
python -m experiments.replay paintings/face/strokes.safetensors --out face.svg

Strokes of MyPaint's brushes are drawn by MyPaint's own engine, or by a learned brush with --renderer ink.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro

from experiments.cli import run
from renderer.errors import InputError
from renderer.io.images import write_png
from renderer.io.painting import Painting
from renderer.io.svg import write_svg
from renderer.io.video import write_gif, write_mp4
from renderer.learned.load import load_brush

SUFFIXES = (".png", ".mp4", ".gif", ".svg")


@dataclass(frozen=True)
class Config:
    """Options of a replay."""

    strokes: tyro.conf.Positional[str]
    """A painting's strokes.safetensors."""
    out: str
    """The file to write: .png, .mp4, .gif or .svg."""
    size: int = 512
    """Pixels on the long side; an SVG is first shown at this size."""
    renderer: str = "exact"
    """exact (the true brush), analytic, mypaint:BRUSH, or a learned renderer (bezier, ink); an SVG is traced but for exact
    Bezier strokes, which have outlines."""


def replay(config: Config) -> Path:
    """Draw a saved painting again, at any size: as a picture, a film or vectors."""
    out = Path(config.out)
    suffix = out.suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(f"{out} should end in one of {', '.join(SUFFIXES)}.")
    painting = Painting.load(config.strokes)
    height, width = painting.size(config.size)
    renderer = None if config.renderer == "exact" else load_brush(config.renderer)  # None: exact, at any size
    match suffix:
        case ".svg":
            write_svg(painting, out, config.size, renderer)
        case ".png":
            write_png(painting.render(config.size, renderer), out)
        case ".mp4":
            write_mp4(painting, out, config.size, renderer)
        case ".gif":
            write_gif(painting, out, config.size, renderer)
    print(f"Wrote {out}: {len(painting.strokes)} strokes, {width}x{height} pixels.")
    return out


if __name__ == "__main__":
    run(replay, Config, __doc__)
