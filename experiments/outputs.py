"""The files of a finished painting, and the brush that draws them."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from torch import Tensor
from torchvision.utils import make_grid

from renderer.brush import Brush
from renderer.errors import InputError
from renderer.io.images import write_png
from renderer.io.painting import Painting, brush_record, true_brush
from renderer.io.svg import write_svg
from renderer.io.video import write_gif, write_mp4

LARGEST_GIF = 256  # pixels on the long side: larger ones take tens of megabytes


def finishing_brush(renderer: Brush) -> Brush | None:
    """What a painting that was made through `renderer` is drawn with in the end: None for its true brush, as
    `Painting.render` takes it; the learned one, with a word about it, where MyPaint's engine is not installed."""
    try:
        true_brush(renderer.space, (1, 1), brush_record(renderer))
    except InputError as error:
        reason = str(error).partition(";")[0]
        print(f"Drawn with the learned brush, not with the true one ({reason}).", file=sys.stderr)
        return renderer
    return None


def write_painting(
    painting: Painting, picture: Tensor, folder: Path, video_size: int | None, brush: Brush | None = None
) -> None:
    """Writes strokes.safetensors, painting.png (`picture`), painting.svg, and with `video_size` painting.mp4 and .gif."""
    painting.save(folder / "strokes.safetensors")
    write_png(picture, folder / "painting.png")
    write_svg(painting, folder / "painting.svg", renderer=brush)
    if video_size is not None:
        write_mp4(painting, folder / "painting.mp4", video_size, brush)
        write_gif(painting, folder / "painting.gif", min(video_size, LARGEST_GIF), brush)


def write_pairs(images: Tensor, paintings: Tensor, path: str | Path) -> None:
    """Write a PNG of the first eight images (M, 3, H, W) in [0, 1], each above its painting."""
    pairs = torch.stack((images[:8], paintings[:8])).flatten(0, 1)
    write_png(make_grid(pairs, min(8, len(images))), path)
