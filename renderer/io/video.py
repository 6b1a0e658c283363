"""Videos of a painting from the blank background to the last stroke: MP4 (H.264, for browsers) and GIF."""

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
GIF_FPS = 12.5  # durations in a GIF are hundredths of a second
LARGEST_VIDEO = 4096  # pixels a side; few players show more
SMALLEST_VIDEO = 16  # a macroblock of H.264
BLANK, FINISHED, GIF_FINISHED = 0.5, 1.5, 2.0  # seconds on the blank background and on the finished painting


def seconds_for(strokes: int) -> float:
    """Seconds of a video for a number of strokes: 20 strokes a second, between 2 and 10 seconds."""
    return min(10.0, max(2.0, strokes / 20))


def write_mp4(painting: Painting, path: str | Path, longest: int = 512, brush: Brush | None = None) -> None:
    """Write an MP4: H.264, 4:2:0, 30 frames a second, index first.

    The codec needs even sides of at least 16 pixels: tiny paintings are enlarged by an integer factor, and missing rows
    and columns are copies of the last ones.

    Args:
        painting: the painting.
        path: the file; written whole or not at all.
        longest: pixels on the long side.
        brush: draws the strokes; the default is `Painting.default_brush`.

    Raises:
        InputError: for a size that is too large, and when the file cannot be written.
    """
    _check(longest)
    height, width = painting.size(longest)
    enlarge = -(-SMALLEST_VIDEO // max(height, width))
    rows, columns = (max(SMALLEST_VIDEO, side * enlarge + side * enlarge % 2) for side in (height, width))
    margin = ((0, rows - height * enlarge), (0, columns - width * enlarge), (0, 0))
    frames = _with_pauses(_frames(painting, longest, brush, FPS), FPS)
    encode_mp4((np.pad(image.repeat(enlarge, 0).repeat(enlarge, 1), margin, mode="edge") for image in frames), path)


def encode_mp4(images: Iterator[np.ndarray], path: str | Path) -> None:
    """Write frames (H, W, 3) uint8, all of one size with even sides, as `write_mp4` does. Raises `InputError`."""
    first = next(images)
    with atomic(path) as temporary:
        try:
            with av.open(str(temporary), "w", format="mp4", options={"movflags": "faststart"}) as container:
                stream = container.add_stream(CODEC, rate=FPS, options={"crf": "18", "preset": "veryfast"})
                stream.height, stream.width, stream.pix_fmt = *first.shape[:2], "yuv420p"
                # Explicit, because players guess differently: BT.709 everywhere, limited range.
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
            raise InputError(f"The video {path} cannot be written: {error.strerror}.") from error


@dataclass(frozen=True)
class Video:
    """An MP4 in memory that a notebook shows in place, without a file and without a network."""

    mp4: bytes

    def _repr_html_(self) -> str:
        data = base64.b64encode(self.mp4).decode()
        return f'<video controls autoplay loop muted playsinline src="data:video/mp4;base64,{data}"></video>'


def show_video(painting: Painting, longest: int = 384) -> Video:
    """Make a video of a painting for a notebook."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "video.mp4"
        write_mp4(painting, path, longest)
        return Video(path.read_bytes())


def write_gif(painting: Painting, path: str | Path, longest: int = 256, brush: Brush | None = None) -> None:
    """Write a GIF that loops: 12.5 frames a second, two seconds on the finished painting.

    All frames share one palette, of the finished painting and the background, so that nothing flickers.

    Args:
        painting: the painting.
        path: the file; written whole or not at all.
        longest: pixels on the long side.
        brush: draws the strokes; the default is `Painting.default_brush`.

    Raises:
        InputError: for a size that is too large, and when the file cannot be written.
    """
    _check(longest)
    finished = painting.render(longest, brush)
    background = finished.new_tensor(painting.background)[:, None, None].expand(
        3, finished.shape[1], max(1, finished.shape[2] // 8)
    )
    with_background = np.concatenate((to_bytes(finished), to_bytes(background)), 1)
    palette = Image.fromarray(with_background).quantize(255, Image.Quantize.MEDIANCUT, kmeans=1)
    images = (
        Image.fromarray(image).quantize(palette=palette, dither=Image.Dither.NONE)
        for image in _frames(painting, longest, brush, GIF_FPS)
    )
    first = next(images)
    each = round(1000 / GIF_FPS)
    middle = [each] * (_count(painting, GIF_FPS) - 2)
    durations = [round(1000 * BLANK), *middle, round(1000 * GIF_FINISHED)]
    with atomic(path) as temporary:
        first.save(temporary, "GIF", save_all=True, append_images=images, duration=durations, loop=0, optimize=False)


def _check(longest: int) -> None:
    if longest > LARGEST_VIDEO:
        raise InputError(f"A video can have at most {LARGEST_VIDEO} pixels on its long side, not {longest}.")


def _count(painting: Painting, fps: float) -> int:
    return round(seconds_for(len(painting.strokes)) * fps)


def _frames(painting: Painting, longest: int, brush: Brush | None, fps: float) -> Iterator[np.ndarray]:
    """Frames (H, W, 3) uint8, without the pauses; computed one by one as they are written."""
    return map(to_bytes, painting.frames(_count(painting, fps), longest, brush))


def _with_pauses(images: Iterator[np.ndarray], fps: float) -> Iterator[np.ndarray]:
    """The frames, the first and the last one repeated for a while."""
    image = next(images)
    yield from repeat(image, round(BLANK * fps))
    for image in chain((image,), images):  # noqa: B020
        yield image
    yield from repeat(image, round(FINISHED * fps))
