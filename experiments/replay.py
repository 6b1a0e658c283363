"""Render a saved painting again, at any size: as an image, a video, vectors or JSON.

    python -m experiments.replay paintings/face/strokes.safetensors --size 2048 --out large.png
    python -m experiments.replay paintings/face/strokes.safetensors --out face.svg
    python -m experiments.replay paintings/face/strokes.safetensors --out oil.png --material oil --relief 0.7
    python -m experiments.replay paintings/face/strokes.safetensors --size 1920 --video-seconds 20 --out face.mp4

Strokes of MyPaint brushes are drawn by MyPaint's own engine, or by a learned brush with --renderer ink. A painting that
records a material is drawn in it; --material none draws the bare strokes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import cast

import tyro
from tqdm.auto import tqdm

from experiments.cli import run
from experiments.finish_options import FinishOptions
from renderer.brush import load_brush
from renderer.errors import InputError
from renderer.io.painting import Pace, Painting, reference_brush
from renderer.io.video import VIDEO_SUFFIXES, Timing, even_size

DRAWN = (".png", ".jpg", ".jpeg", *VIDEO_SUFFIXES)  # what shows a material


@dataclass(frozen=True)
class Config(FinishOptions):
    """Options of a replay."""

    strokes: tyro.conf.Positional[str]
    """A painting's strokes.safetensors."""
    out: str
    """The file to write: .png, .jpg, .mp4, .gif, .svg or .json."""
    size: int = 512
    """Pixels on the long side; an SVG is first shown at this size. An odd side of an MP4 gets a pixel more."""
    renderer: str = "exact"
    """exact (the reference brush), analytic, mypaint:BRUSH, or a learned brush (bezier, ink); solid:BRUSH draws in exactly
    the strokes' colours. An SVG is traced from the marks, except for exact Bezier strokes, which have outlines."""
    video_seconds: float | None = None
    """Length of a video, with its pauses; by default 20 strokes a second, between 2 and 10 seconds, and the pauses."""
    fps: float | None = None
    """Frames a second of a video: by default 30, or 12.5 of a GIF."""
    pace: str = "ease"
    """ease: slow at first, when strokes change most; even: as many strokes in every frame; by-area: as much painted area in
    every frame."""


def replay(config: Config) -> Path:
    """Render a saved painting again, at any size: as an image, a video, vectors or JSON."""
    timing = Timing(config.video_seconds, config.fps, cast(Pace, config.pace))  # checks them
    suffix = Path(config.out).suffix.lower()
    if timing != Timing() and suffix not in VIDEO_SUFFIXES:
        raise InputError(f"--video-seconds, --fps and --pace are for {' and '.join(VIDEO_SUFFIXES)}, not {config.out}.")
    painting = Painting.load(config.strokes)
    height, width = painting.size(config.size)
    finish = config.finish(painting)
    if finish is not None and not finish.plain and suffix not in DRAWN:
        raise InputError(f"--material, --paper and --ground are drawn in {', '.join(DRAWN)}, not {config.out}.")
    if config.renderer == "exact":
        reference_brush(painting.space, (height, width), painting.provenance)  # raises where it is not installed
    brush = None if config.renderer == "exact" else load_brush(config.renderer)  # None: exact, at any size
    with tqdm(desc=Path(config.out).name, unit=" frames", disable=None, leave=False, delay=0.5) as bar:

        def on_frame(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        out = painting.export(
            config.out,
            size=config.size,
            brush=brush,
            finish=finish,
            seconds=timing.seconds,
            fps=timing.fps,
            pace=timing.pace,
            on_frame=on_frame,
        )
    if suffix == ".mp4":
        height, width = even_size(height, width)
    print(f"Wrote {out}: {len(painting.strokes)} strokes, {width}x{height} pixels.")
    return out


if __name__ == "__main__":
    run(replay, Config, __doc__)
