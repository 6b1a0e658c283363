"""A painting being painted: MP4 (H.264, plays in browsers) and GIF. Frames are made as they are written, never kept."""

from __future__ import annotations

import base64
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, repeat
from pathlib import Path
from typing import TYPE_CHECKING, Final

import av
import numpy as np
from av.video.reformatter import Colorspace
from PIL import Image

from renderer.brush import Brush
from renderer.errors import InputError
from renderer.io.files import atomic
from renderer.io.images import to_bytes

if TYPE_CHECKING:
    from renderer.io.painting import Painting

CODEC: Final = "libx264"
FPS = 30
GIF_FPS = 12.5  # a GIF counts in hundredths of a second
LARGEST_FILM = 4096  # pixels a side; beyond, few players follow
SMALLEST_FILM = 16  # a macroblock of H.264
BLANK, FINISHED, GIF_FINISHED = 0.5, 1.5, 2.0  # seconds on the blank ground and on the finished picture


def seconds_for(strokes: int) -> float:
    """How long painting takes in a film: 20 strokes a second, within 2 and 10 seconds."""
    return min(10.0, max(2.0, strokes / 20))


def write_mp4(painting: Painting, path: str | Path, longest: int = 512, renderer: Brush | None = None) -> None:
    """H.264, 4:2:0, 30 frames a second, index first, from the blank ground to the finished picture.

    The codec wants even sides of 16 pixels or more: tiny pictures are enlarged by whole pixels, and what is missing
    then is filled by repeating the last row and column. Raises `InputError`.
    """
    _check(longest)
    height, width = painting.size(longest)
    enlarge = -(-SMALLEST_FILM // max(height, width))
    rows, columns = (max(SMALLEST_FILM, side * enlarge + side * enlarge % 2) for side in (height, width))
    margin = ((0, rows - height * enlarge), (0, columns - width * enlarge), (0, 0))
    frames = _held(_images(painting, longest, renderer, FPS), FPS)
    encode_mp4((np.pad(image.repeat(enlarge, 0).repeat(enlarge, 1), margin, mode="edge") for image in frames), path)


def encode_mp4(images: Iterator[np.ndarray], path: str | Path) -> None:
    """Writes frames (H, W, 3) uint8, all of one size with even sides, as `write_mp4` does. Raises `InputError`."""
    first = next(images)
    with atomic(path) as temporary:
        try:
            with av.open(str(temporary), "w", format="mp4", options={"movflags": "faststart"}) as container:
                stream = container.add_stream(CODEC, rate=FPS, options={"crf": "18", "preset": "veryfast"})
                stream.height, stream.width, stream.pix_fmt = *first.shape[:2], "yuv420p"
                # Said aloud, because players guess differently: BT.709 in every respect, narrow range.
                context = stream.codec_context
                context.colorspace = context.color_primaries = context.color_trc = context.color_range = 1
                for image in chain((first,), images):
                    frame = av.VideoFrame.from_ndarray(image, format="rgb24")
                    frame = frame.reformat(format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=1)
                    container.mux(stream.encode(frame))
                container.mux(stream.encode(None))
        except av.codec.codec.UnknownCodecError as error:
            raise InputError(f"This build of PyAV has no {CODEC}; `pip install av` brings one that has.") from error
        except av.error.FFmpegError as error:
            raise InputError(f"The film {path} cannot be written: {error.strerror}.") from error


@dataclass(frozen=True)
class Video:
    """An MP4 in memory that a notebook plays in place, with no file beside it and no network."""

    mp4: bytes

    def _repr_html_(self) -> str:
        data = base64.b64encode(self.mp4).decode()
        return f'<video controls autoplay loop muted playsinline src="data:video/mp4;base64,{data}"></video>'


def show_video(painting: Painting, longest: int = 384) -> Video:
    """A painting being painted, for a notebook to show."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "film.mp4"
        write_mp4(painting, path, longest)
        return Video(path.read_bytes())


def write_gif(painting: Painting, path: str | Path, longest: int = 256, renderer: Brush | None = None) -> None:
    """Twelve frames a second, looping, two seconds on the finished picture. Raises `InputError`.

    One palette for all frames, of the finished picture's colours and the ground: nothing flickers.
    """
    _check(longest)
    finished = painting.render(longest, renderer)
    background = finished.new_tensor(painting.background)[:, None, None].expand(
        3, finished.shape[1], max(1, finished.shape[2] // 8)
    )
    with_ground = np.concatenate((to_bytes(finished), to_bytes(background)), 1)
    palette = Image.fromarray(with_ground).quantize(255, Image.Quantize.MEDIANCUT, kmeans=1)
    images = (
        Image.fromarray(image).quantize(palette=palette, dither=Image.Dither.NONE)
        for image in _images(painting, longest, renderer, GIF_FPS)
    )
    first = next(images)
    each = round(1000 / GIF_FPS)
    middle = [each] * (_count(painting, GIF_FPS) - 2)
    durations = [round(1000 * BLANK), *middle, round(1000 * GIF_FINISHED)]
    with atomic(path) as temporary:
        first.save(temporary, "GIF", save_all=True, append_images=images, duration=durations, loop=0, optimize=False)


def _check(longest: int) -> None:
    if longest > LARGEST_FILM:
        raise InputError(f"A film can have at most {LARGEST_FILM} pixels on its long side, not {longest}.")


def _count(painting: Painting, fps: float) -> int:
    return round(seconds_for(len(painting.strokes)) * fps)


def _images(painting: Painting, longest: int, renderer: Brush | None, fps: float) -> Iterator[np.ndarray]:
    """(H, W, 3) uint8 frames of the time in which it is painted."""
    return map(to_bytes, painting.frames(_count(painting, fps), longest, renderer))


def _held(images: Iterator[np.ndarray], fps: float) -> Iterator[np.ndarray]:
    """The first and the last picture stay for a while."""
    image = next(images)
    yield from repeat(image, round(BLANK * fps))
    for image in chain((image,), images):  # noqa: B020
        yield image
    yield from repeat(image, round(FINISHED * fps))
