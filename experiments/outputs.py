"""The files of a finished painting."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from torch import Tensor

from renderer.brush import Brush
from renderer.io.images import write_png
from renderer.io.painting import GIF_SIZE, MissingBrushError, Painting, reference_brush


def write_painting(
    painting: Painting, image: Tensor, folder: Path, video_size: int | None, brush: Brush | None = None
) -> None:
    """Write strokes.safetensors, painting.png (`image`), painting.svg, and with `video_size` painting.mp4 and .gif."""
    painting.save(folder / "strokes.safetensors")
    write_png(image, folder / "painting.png")
    painting.export(folder / "painting.svg", size=max(painting.size()), brush=brush)
    if video_size is not None:
        painting.export(folder / "painting.mp4", size=video_size, brush=brush)
        painting.export(folder / "painting.gif", size=min(video_size, GIF_SIZE), brush=brush)


def write_pairs(images: Tensor, paintings: Tensor, path: str | Path) -> None:
    """Write a PNG of the first eight images (M, 3, H, W) in [0, 1], each above its painting."""
    from torchvision.utils import make_grid  # here, because it takes over a second

    pairs = torch.stack((images[:8], paintings[:8])).flatten(0, 1)
    write_png(make_grid(pairs, min(8, len(images))), path)


def finishing_brush(brush: Brush) -> Brush | None:
    """None where the reference brush can draw; else `brush`. For callers that do not use `Painting.default_brush` yet."""
    try:
        reference_brush(brush.space, (1, 1), brush.provenance())
    except MissingBrushError as error:
        print(f"Drawn with the learned brush {error.learned}: {error.reason}.", file=sys.stderr)
        return brush
    return None
