"""Draw a saved painting again, at any size.

python -m experiments.replay paintings/face/strokes.safetensors --size 2048 --out large.png
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro

from experiments.cli import run
from painter.load import load_renderer
from renderer.errors import InputError
from renderer.film import write_gif, write_mp4
from renderer.painting import Painting
from renderer.pictures import write_png
from renderer.svg import write_svg

SUFFIXES = (".png", ".mp4", ".gif", ".svg")


@dataclass(frozen=True)
class Config:
    """Options of a replay."""

    strokes: tyro.conf.Positional[str]
    """A painting's strokes.safetensors."""
    out: str
    """The file to write: .png, .mp4, .gif or .svg."""
    size: int = 512
    """Pixels on the long side; an SVG has none and ignores it."""
    renderer: str = "exact"
    """exact (the true brush), analytic, or a learned renderer."""


def replay(config: Config) -> None:
    """Draw a saved painting again, at any size."""
    out = Path(config.out)
    if out.suffix.lower() not in SUFFIXES:
        raise InputError(f"{out} should end in one of {', '.join(SUFFIXES)}.")
    painting = Painting.load(config.strokes)
    height, width = painting.size(config.size)
    renderer = load_renderer(config.renderer)
    match out.suffix.lower():
        case ".png":
            write_png(painting.render(config.size, renderer), out)
        case ".mp4":
            write_mp4(painting, out, config.size, renderer)
        case ".gif":
            write_gif(painting, out, config.size, renderer)
        case ".svg":
            write_svg(painting, out)
    print(f"{out}: {len(painting.strokes)} strokes, {width}x{height}.")


if __name__ == "__main__":
    run(replay, Config, __doc__)
