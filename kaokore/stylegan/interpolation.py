"""Films of frames that loop: MP4 (H.264) and GIF, as `renderer.io.video` makes them of paintings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from PIL import Image
from torch import Tensor

from renderer.errors import InputError
from renderer.io.files import atomic
from renderer.io.images import to_bytes
from renderer.io.video import FPS, GIF_FPS, encode_mp4


def write_film(frames: Callable[[float], Sequence[Tensor]], path: str | Path) -> Path:
    """Writes the film that `frames` gives for so many frames a second, each (3, H, W) in [0, 1].

    The suffix says what it will be, .mp4 or .gif; sides are cut to even numbers for an MP4. Raises `InputError`.
    """
    path = Path(path)
    match path.suffix.lower():
        case ".mp4":
            images = frames(FPS)
            height, width = (side - side % 2 for side in images[0].shape[1:])
            encode_mp4((to_bytes(image[:, :height, :width]) for image in images), path)
        case ".gif":
            pictures = [Image.fromarray(to_bytes(frame)).quantize(256) for frame in frames(GIF_FPS)]
            with atomic(path) as temporary:
                each = round(1000 / GIF_FPS)
                pictures[0].save(temporary, "GIF", save_all=True, append_images=pictures[1:], duration=each, loop=0)
        case _:
            raise InputError(f"A film's name ends in .mp4 or .gif, unlike {path}.")
    return path
