"""A painting being painted: MP4 (H.264, plays in browsers) and GIF. Frames are made as they are written, never kept."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from renderer.errors import InputError
from renderer.files import atomic
from renderer.painting import Painting, pace
from renderer.pictures import to_bytes
from renderer.protocol import Renderer

FPS = 30
GIF_FPS = 10
HOLD = 1.5  # seconds on the finished picture


def seconds_for(strokes: int) -> float:
    """Length of a film without its last, held picture: 4 strokes a second, within 2 and 10 seconds."""
    return min(10.0, max(2.0, strokes / 4))


def write_mp4(painting: Painting, path: str | Path, longest: int = 512, renderer: Renderer | None = None) -> None:
    """H.264, 4:2:0, 30 frames a second, index first, from the blank ground to the finished picture.

    The codec wants even sides: an odd one is grown by repeating its last pixel. Raises `InputError`.
    """
    height, width = painting.size(longest)
    rows, columns = max(16, height + height % 2), max(16, width + width % 2)
    with atomic(path) as temporary:
        try:
            with av.open(str(temporary), "w", format="mp4", options={"movflags": "faststart"}) as container:
                stream = container.add_stream("libx264", rate=FPS)
                stream.width, stream.height, stream.pix_fmt = columns, rows, "yuv420p"
                stream.options = {"crf": "18", "preset": "veryfast"}
                for image in _images(painting, longest, renderer, FPS):
                    padded = np.pad(image, ((0, rows - height), (0, columns - width), (0, 0)), mode="edge")
                    container.mux(stream.encode(av.VideoFrame.from_ndarray(padded, format="rgb24")))
                container.mux(stream.encode(None))
        except av.error.FFmpegError as error:
            raise InputError(f"The film {path} cannot be written: {error}.") from error


def write_gif(painting: Painting, path: str | Path, longest: int = 256, renderer: Renderer | None = None) -> None:
    """Ten frames a second, looping; the palette is the finished picture's, with the ground. Raises `InputError`."""
    finished = Image.fromarray(to_bytes(painting.render(longest, renderer)))
    ground = Image.new(
        "RGB", (max(1, finished.width // 8), finished.height), tuple(round(255 * v) for v in painting.background)
    )
    both = Image.new("RGB", (finished.width + ground.width, finished.height))
    both.paste(finished, (0, 0))
    both.paste(ground, (finished.width, 0))
    palette = both.quantize(255, Image.Quantize.MEDIANCUT)
    images = (
        Image.fromarray(image).quantize(palette=palette, dither=Image.Dither.NONE)
        for image in _images(painting, longest, renderer, GIF_FPS, hold=False)
    )
    first = next(images)
    count = _count(painting, GIF_FPS)
    durations = [1000 // GIF_FPS] * (count - 1) + [round(1000 * HOLD)]
    with atomic(path) as temporary:
        first.save(temporary, "GIF", save_all=True, append_images=images, duration=durations, loop=0, optimize=False)


def _count(painting: Painting, fps: int) -> int:
    return round(seconds_for(len(painting.strokes)) * fps)


def _images(
    painting: Painting, longest: int, renderer: Renderer | None, fps: int, hold: bool = True
) -> Iterator[np.ndarray]:
    """(H, W, 3) uint8 frames at the pace of the film."""
    counts = pace(len(painting.strokes), _count(painting, fps))
    canvases = painting.frames(longest, renderer)
    shown, canvas = 0, next(canvases)
    image = to_bytes(canvas)
    for count in counts:
        if count > shown:
            canvas = _skip(canvases, count - shown)
            shown, image = count, to_bytes(canvas)
        yield image
    if hold:
        for _ in range(round(HOLD * fps)):
            yield image


def _skip(canvases: Iterator[Tensor], n: int) -> Tensor:
    canvas = torch.empty(0)
    for _ in range(n):
        canvas = next(canvases)
    return canvas
