"""Interpolate styles along a closed curve, and write looping videos: MP4 (H.264) and GIF."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from renderer.errors import InputError
from renderer.io.files import atomic
from renderer.io.images import to_bytes
from renderer.io.video import FPS, GIF_FPS, encode_mp4


def closed_spline(knots: Tensor, steps: int) -> Tensor:
    """Interpolate knots (n, D) by a closed Catmull-Rom spline: (n * steps, D), at a knot every `steps` points.

    The end meets the beginning without a jump or a corner. Used in w, where path length regularisation made straight
    lines smooth.
    """
    t = (torch.arange(steps, device=knots.device) / steps)[:, None, None]
    a, b, c, d = (knots.roll(shift, 0) for shift in (1, 0, -1, -2))
    points = b + t / 2 * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))
    return points.transpose(0, 1).flatten(0, 1)


def write_loop(frames: Callable[[float], Sequence[Tensor]], path: str | Path) -> Path:
    """Write a looping video, in the format that the suffix of `path` names, .mp4 or .gif.

    Args:
        frames: Frames per second -> the frames (3, H, W) in [0, 1]. For an MP4, sides are cropped to even numbers.
        path: The file to write.

    Raises:
        InputError: The suffix is another one, or the file cannot be written.
    """
    path = Path(path)
    match path.suffix.lower():
        case ".mp4":
            images = frames(FPS)
            height, width = (side - side % 2 for side in images[0].shape[1:])
            encode_mp4((to_bytes(image[:, :height, :width]) for image in images), path)
        case ".gif":
            pages = [Image.fromarray(to_bytes(frame)).quantize(256) for frame in frames(GIF_FPS)]
            with atomic(path) as temporary:
                duration = round(1000 / GIF_FPS)
                pages[0].save(temporary, "GIF", save_all=True, append_images=pages[1:], duration=duration, loop=0)
        case _:
            raise InputError(f"A video's name ends in .mp4 or .gif, unlike {path}.")
    return path
