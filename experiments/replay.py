"""Render a saved painting again, at any size: as an image, a video, vectors or JSON.

    python -m experiments.replay paintings/face/strokes.safetensors --size 2048 --out large.png
    python -m experiments.replay paintings/face/strokes.safetensors --out face.svg

Strokes of MyPaint brushes are drawn by MyPaint's own engine, or by a learned brush with --renderer ink.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro

from experiments.cli import run
from renderer.brush import load_brush
from renderer.io.painting import Painting, reference_brush


@dataclass(frozen=True)
class Config:
    """Options of a replay."""

    strokes: tyro.conf.Positional[str]
    """A painting's strokes.safetensors."""
    out: str
    """The file to write: .png, .jpg, .mp4, .gif, .svg or .json."""
    size: int = 512
    """Pixels on the long side; an SVG is first shown at this size."""
    renderer: str = "exact"
    """exact (the reference brush), analytic, mypaint:BRUSH, or a learned brush (bezier, ink); solid:BRUSH draws in exactly
    the strokes' colours. An SVG is traced from the marks, except for exact Bezier strokes, which have outlines."""


def replay(config: Config) -> Path:
    """Render a saved painting again, at any size: as an image, a video, vectors or JSON."""
    painting = Painting.load(config.strokes)
    height, width = painting.size(config.size)
    if config.renderer == "exact":
        reference_brush(painting.space, (height, width), painting.provenance)  # raises where it is not installed
    brush = None if config.renderer == "exact" else load_brush(config.renderer)  # None: exact, at any size
    out = painting.export(config.out, size=config.size, brush=brush)
    print(f"Wrote {out}: {len(painting.strokes)} strokes, {width}x{height} pixels.")
    return out


if __name__ == "__main__":
    run(replay, Config, __doc__)
