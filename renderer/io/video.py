"""Videos of a painting from the blank background to the last stroke: MP4 (H.264, for browsers) and GIF."""

from __future__ import annotations

import base64
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, repeat
from pathlib import Path
from typing import Final, TypeVar

import av
import cv2
import numpy as np
from av.container import OutputContainer
from PIL import Image
from torch import Tensor

from renderer.brush import Brush
from renderer.brushes.bezier import ExactBezier
from renderer.errors import InputError
from renderer.io.files import atomic
from renderer.io.images import to_bytes
from renderer.io.painting import PACES, Box, Pace, Painting
from renderer.material.finish import Finish

VIDEO_SUFFIXES = (".mp4", ".gif")
CODEC: Final = "libx264"
FPS = 30
GIF_FPS = 12.5  # durations in a GIF are hundredths of a second
LARGEST_VIDEO = 4096  # pixels a side; few players show more
SMALLEST_VIDEO = 16  # a macroblock of H.264
BLANK, FINISHED, GIF_FINISHED = 0.5, 1.5, 2.0  # seconds on the blank background and on the finished painting
BLANK_SHARE, FINISHED_SHARE = 1 / 16, 3 / 16  # of a video of a given length, at most
GIF_PAUSES = (BLANK, BLANK_SHARE), (GIF_FINISHED, FINISHED_SHARE)
MAX_SECONDS, MAX_FPS, GIF_MAX_FPS = 3600, 120, 50  # browsers slow GIFs of more frames down
OUTLINE_ERROR = 0.25  # samples, a sixteenth of a pixel: less than the codec changes

# R'G'B' in 0...255 to Y'CbCr of BT.709 in limited range.
BT709 = np.array([[0.2126, 0.7152, 0.0722], [-0.2126, -0.7152, 0.9278], [0.7874, -0.7152, -0.0722]])
TO_YCBCR = np.hstack((BT709 * np.array([[219], [224 / 1.8556], [224 / 1.5748]]) / 255, [[16], [128], [128]]))

# A painting has no motion to search for; with less search, the file is as small.
STILL: Final = {"crf": "18", "preset": "veryfast", "x264-params": "subme=0:me=dia"}
MOVING: Final = {"crf": "18", "preset": "veryfast"}
# Of smaller frames, x264's macroblock tree reads memory that nobody wrote: equal frames then give different files.
LEAST_TREE_SIDE = 128  # pixels

OnFrame = Callable[[int, int], object]
"""Called with the number of frames that are written, and of all."""

T = TypeVar("T")


@dataclass(frozen=True)
class Timing:
    """How long a video takes, and when its strokes appear.

    Attributes:
        seconds: of the whole video, with the pauses on the blank background and on the finished painting; by default
            `seconds_for` the strokes and the pauses.
        fps: frames a second; 30 by default (GIF: 12.5, and the nearest that hundredths of a second allow).
        pace: which strokes a frame adds, see `renderer.io.painting.schedule`.

    Raises:
        InputError: for values out of range.
    """

    seconds: float | None = None
    fps: float | None = None
    pace: Pace = "ease"

    def __post_init__(self) -> None:
        if self.seconds is not None and not 0 < self.seconds <= MAX_SECONDS:
            raise InputError(f"A video takes more than 0 and at most {MAX_SECONDS} seconds, not {self.seconds}.")
        if self.fps is not None and not 1 <= self.fps <= MAX_FPS:
            raise InputError(f"A video has 1 to {MAX_FPS} frames a second, not {self.fps}.")
        if self.pace not in PACES:
            raise InputError(f"There is no pace {self.pace!r}; choose one of {', '.join(PACES)}.")
        if self.seconds is not None and self.seconds * (self.fps or GIF_FPS) < 2:
            raise InputError(f"A video has at least 2 frames; {self.seconds} seconds are too few.")

    def frames(self, strokes: int, fps: float, finished: float) -> tuple[int, int, int]:
        """Frames on the blank background, while strokes appear, and on the finished painting (`finished` seconds)."""
        if self.seconds is None:
            return round(BLANK * fps), round(seconds_for(strokes) * fps), round(finished * fps)
        total = round(self.seconds * fps)
        before = round(min(BLANK, self.seconds * BLANK_SHARE) * fps)
        after = round(min(finished, self.seconds * FINISHED_SHARE) * fps)
        return before, total - before - after, after


DEFAULT_TIMING: Final = Timing()


def seconds_for(strokes: int) -> float:
    """Seconds of a video for a number of strokes: 20 strokes a second, between 2 and 10 seconds."""
    return min(10.0, max(2.0, strokes / 20))


def even_size(height: int, width: int) -> tuple[int, int]:
    """Height and width of the MP4 of a painting drawn at `height` and `width`: even and at least 16 pixels.

    >>> even_size(1080, 1440), even_size(341, 512), even_size(7, 5)
    ((1080, 1440), (342, 512), (22, 16))
    """
    enlarge = _enlargement(height, width)
    rows, columns = (max(SMALLEST_VIDEO, side * enlarge + side * enlarge % 2) for side in (height, width))
    return rows, columns


def _enlargement(height: int, width: int) -> int:
    return -(-SMALLEST_VIDEO // max(height, width))


def write_mp4(
    painting: Painting,
    path: str | Path,
    longest: int = 512,
    brush: Brush | None = None,
    timing: Timing = DEFAULT_TIMING,
    on_frame: OnFrame | None = None,
    finish: Finish | None = None,
) -> None:
    """Write an MP4: H.264, 4:2:0, index first.

    The codec needs even sides of at least 16 pixels: tiny paintings are enlarged by an integer factor, and missing rows
    and columns are copies of the last ones.

    Args:
        painting: the painting.
        path: the file; written whole or not at all.
        longest: pixels on the long side.
        brush: draws the strokes; the default is `Painting.default_brush`.
        timing: length, frames a second and pace.
        on_frame: see `OnFrame`.
        finish: material, paper and light, see `Painting.render`.

    Raises:
        InputError: for a size that is too large, and when the file cannot be written.
    """
    _check(longest)
    fps = timing.fps or FPS
    blank, moving, finished = timing.frames(len(painting.strokes), fps, FINISHED)
    images = _Planes.of_painting(painting, longest, moving, video_brush(painting, longest, brush), timing.pace, finish)
    planes = _with_pauses(images, blank, finished)
    encode_planes(_counted(planes, blank + moving + finished, on_frame), path, fps, STILL)


def encode_mp4(images: Iterator[np.ndarray], path: str | Path, fps: float | Fraction = FPS) -> None:
    """Write frames (H, W, 3) uint8, all of one size with even sides, as `write_mp4` does. Raises `InputError`."""

    def planes() -> Iterator[_Planes]:
        held: _Planes | None = None
        for image in images:
            held = held or _Planes(image.shape[0], image.shape[1])
            held.put(image)
            yield held

    encode_planes(planes(), path, fps, MOVING)


def write_clip(paintings: Iterator[Painting], path: str | Path, longest: int, fps: float | Fraction) -> None:
    """Write an MP4 with a painting in each frame, all of one size and brush, drawn as they come.

    Args:
        paintings: one at least.
        path: the file; written whole or not at all.
        longest: pixels on the long side; the sides become those of `even_size`.
        fps: frames a second.

    Raises:
        InputError: for a size that is too large, and when the file cannot be written.
    """
    _check(longest)

    def planes() -> Iterator[_Planes]:
        held: _Planes | None = None
        for painting in paintings:
            size = painting.size(longest)
            if held is None:
                held, brush = _Planes(*even_size(*size)), video_brush(painting, longest)
            held.put_whole(painting.render(longest, brush), _enlargement(*size))
            yield held

    encode_planes(planes(), path, fps, MOVING)


class _Planes:
    """A frame as the codec takes it (BT.709, limited range, 4:2:0), converted only where the image changes.

    Args:
        rows, columns: its size, even.
    """

    def __init__(self, rows: int, columns: int) -> None:
        self.data = np.empty((rows * 3 // 2, columns), np.uint8)
        self.luma = self.data[:rows]
        self.chroma = self.data[rows:].reshape(2, rows // 2, columns // 2)

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return self.luma.shape[0], self.luma.shape[1]

    def put(self, image: np.ndarray, top: int = 0, left: int = 0) -> None:
        """Change the pixels (h, w, 3) from row `top` and column `left`; all four numbers are even."""
        height, width = image.shape[:2]
        converted = cv2.transform(image, TO_YCBCR)
        self.luma[top : top + height, left : left + width] = converted[:, :, 0]
        halved = cv2.resize(converted[:, :, 1:], (width // 2, height // 2), interpolation=cv2.INTER_AREA)
        y, x = top // 2, left // 2
        self.chroma[:, y : y + height // 2, x : x + width // 2] = halved.transpose(2, 0, 1)

    def put_box(self, canvas: Tensor, left: int, top: int, right: int, bottom: int) -> None:
        """Show what is in a box of a canvas (3, H, W), which is the frame but for a missing last row or column."""
        if left == right or top == bottom:  # a stroke that touches no pixel
            return
        left, top, right, bottom = left - left % 2, top - top % 2, right + right % 2, bottom + bottom % 2
        image = to_bytes(canvas[:, top:bottom, left:right])  # without what is beyond the canvas
        margin = ((0, bottom - top - image.shape[0]), (0, right - left - image.shape[1]), (0, 0))
        self.put(np.pad(image, margin, mode="edge"), top, left)

    def put_whole(self, canvas: Tensor, enlarge: int = 1) -> None:
        """Show a canvas (3, H, W), enlarged by an integer factor; missing rows and columns are copies of the last ones."""
        image = to_bytes(canvas).repeat(enlarge, 0).repeat(enlarge, 1)
        margin = ((0, self.size[0] - image.shape[0]), (0, self.size[1] - image.shape[1]), (0, 0))
        self.put(np.pad(image, margin, mode="edge"))

    @classmethod
    def of_painting(
        cls, painting: Painting, longest: int, count: int, brush: Brush, pace: Pace, finish: Finish | None = None
    ) -> Iterator[_Planes]:
        """The frames of a painting; the same object each time."""
        height, width = painting.size(longest)
        planes, enlarge = cls(*even_size(height, width)), _enlargement(height, width)
        rows, columns = planes.size
        tiny = enlarge > 1 or rows > height + 1 or columns > width + 1  # few pixels, all converted each time
        for i, (canvas, changed) in enumerate(painting.changes(count, longest, brush, pace, finish)):
            if i == 0 or (tiny and changed):
                planes.put_whole(canvas, enlarge)
            else:
                for left, top, w, h in _few_boxes(changed, width, height):
                    planes.put_box(canvas, left, top, left + w, top + h)
            yield planes


def encode_planes(planes: Iterator[_Planes], path: str | Path, fps: float | Fraction, options: dict[str, str]) -> None:
    """Write frames, all of one size, as an MP4 with options of x264. Raises `InputError`."""
    first = next(planes)
    if min(first.size) < LEAST_TREE_SIDE:
        parameters = [*filter(None, [options.get("x264-params")]), "mbtree=0"]
        options = {**options, "x264-params": ":".join(parameters)}
    with _written(path, "mp4", {"movflags": "faststart"}) as container:
        stream = container.add_stream(CODEC, rate=Fraction(fps).limit_denominator(1001), options=options)
        stream.height, stream.width, stream.pix_fmt = *first.size, "yuv420p"
        # Explicit, because players guess differently: BT.709 everywhere, limited range.
        context = stream.codec_context
        context.colorspace = context.color_primaries = context.color_trc = context.color_range = 1
        for frame in chain((first,), planes):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame.data, format="yuv420p")))
        container.mux(stream.encode(None))


@contextmanager
def _written(path: str | Path, kind: str, options: dict[str, str]) -> Iterator[OutputContainer]:
    """A container that becomes the file `path`, whole or not at all. Raises `InputError`."""
    with atomic(path) as temporary:
        try:
            with av.open(str(temporary), "w", format=kind, options=options) as container:
                yield container
        except av.codec.codec.UnknownCodecError as error:
            raise InputError(f"This build of PyAV has no {CODEC}; `pip install av` brings one that has.") from error
        except av.error.FFmpegError as error:
            raise InputError(f"The video {path} cannot be written: {error.strerror}.") from error


@dataclass(frozen=True, repr=False)
class Video:
    """An MP4 in memory that a notebook shows in place, without a file and without a network."""

    mp4: bytes

    def __repr__(self) -> str:
        """A line, without the bytes."""
        return f"Video({len(self.mp4):,} bytes of MP4)"

    def _repr_html_(self) -> str:
        data = base64.b64encode(self.mp4).decode()
        return f'<video controls autoplay loop muted playsinline src="data:video/mp4;base64,{data}"></video>'


def show_video(painting: Painting, longest: int = 384) -> Video:
    """Make a video of a painting for a notebook."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "video.mp4"
        write_mp4(painting, path, longest)
        return Video(path.read_bytes())


def write_gif(
    painting: Painting,
    path: str | Path,
    longest: int = 256,
    brush: Brush | None = None,
    timing: Timing = DEFAULT_TIMING,
    on_frame: OnFrame | None = None,
    finish: Finish | None = None,
) -> None:
    """Write a GIF that loops: 12.5 frames a second, two seconds on the finished painting.

    All frames share one palette, of the finished painting and the background, so that nothing flickers. A frame that
    changes nothing makes the one before longer.

    Args:
        painting: the painting.
        path: the file; written whole or not at all.
        longest: pixels on the long side.
        brush: draws the strokes; the default is `Painting.default_brush`.
        timing: length, frames a second and pace; durations are hundredths of a second.
        on_frame: see `OnFrame`.
        finish: material, paper and light, see `Painting.render`.

    Raises:
        InputError: for a size that is too large, and when the file cannot be written.
    """
    _check(longest)
    if timing.fps is not None and timing.fps > GIF_MAX_FPS:
        raise InputError(f"A GIF has at most {GIF_MAX_FPS} frames a second, not {timing.fps}.")
    brush = video_brush(painting, longest, brush)
    each = round(100 / (timing.fps or GIF_FPS))  # hundredths of a second
    if timing.seconds is None:
        blank, finished = round(100 * BLANK), round(100 * GIF_FINISHED)
        count = round(seconds_for(len(painting.strokes)) * 100 / each)
    else:
        total = round(100 * timing.seconds)
        blank, finished = (max(2, round(100 * min(pause, timing.seconds * share))) for pause, share in GIF_PAUSES)
        count = 2 + max(0, (total - blank - finished) // each)
        finished = total - blank - (count - 2) * each
    palette = _palette(painting, longest, brush, finish)
    colours = np.full((256, 4), 255, np.uint8)  # alpha, red, green, blue
    entries = np.array(palette.getpalette(), np.uint8).reshape(-1, 3)
    colours[: len(entries), 1:] = entries
    height, width = painting.size(longest)
    indices = np.empty((height, width), np.uint8)
    options = {"loop": "0", "final_delay": str(finished)}
    with _written(path, "gif", options) as container:
        stream = container.add_stream("gif", rate=100)
        stream.height, stream.width, stream.pix_fmt = height, width, "pal8"
        stream.codec_context.time_base = Fraction(1, 100)
        changes = painting.changes(count, longest, brush, timing.pace, finish)
        for i, (canvas, changed) in enumerate(_counted(changes, count, on_frame)):
            boxes = [(0, 0, width, height)] if i == 0 else _few_boxes(changed, width, height)
            for left, top, w, h in boxes:
                image = Image.fromarray(to_bytes(canvas[:, top : top + h, left : left + w]))
                quantized = image.quantize(palette=palette, dither=Image.Dither.NONE)
                indices[top : top + h, left : left + w] = np.asarray(quantized)
            if i > 0 and not boxes and i < count - 1:
                continue
            frame = av.VideoFrame.from_ndarray((indices, colours), format="pal8")  # type: ignore[arg-type]
            frame.pts, frame.time_base = 0 if i == 0 else blank + (i - 1) * each, Fraction(1, 100)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _palette(painting: Painting, longest: int, brush: Brush, finish: Finish | None) -> Image.Image:
    """255 colours of the finished painting and its background."""
    finished = painting.render(longest, brush, finish)
    background = finished.new_tensor(painting.background)[:, None, None].expand(
        3, finished.shape[1], max(1, finished.shape[2] // 8)
    )
    with_background = np.concatenate((to_bytes(finished), to_bytes(background)), 1)
    return Image.fromarray(with_background).quantize(255, Image.Quantize.MEDIANCUT, kmeans=1)


def _check(longest: int) -> None:
    if longest > LARGEST_VIDEO:
        raise InputError(f"A video can have at most {LARGEST_VIDEO} pixels on its long side, not {longest}.")


def video_brush(painting: Painting, longest: int, brush: Brush | None = None) -> Brush:
    """The brush that draws a painting in a video: `brush` or its default; the exact brush with fewer discs."""
    brush = painting.default_brush(longest) if brush is None else brush
    return ExactBezier(brush.supersample, OUTLINE_ERROR) if type(brush) is ExactBezier else brush


def _few_boxes(boxes: list[Box], width: int, height: int) -> list[Box]:
    """The boxes, or the one around all of them, whichever has fewer pixels."""
    if len(boxes) < 2:
        return boxes
    left, top = min(box[0] for box in boxes), min(box[1] for box in boxes)
    right, bottom = max(box[0] + box[2] for box in boxes), max(box[1] + box[3] for box in boxes)
    around = (left, top, right - left, bottom - top)
    return [around] if around[2] * around[3] <= sum(box[2] * box[3] for box in boxes) else boxes


def _with_pauses(items: Iterator[T], before: int, after: int) -> Iterator[T]:
    """The items, the first and the last one repeated for a while."""
    item = next(items)
    yield from repeat(item, before)
    for item in chain((item,), items):  # noqa: B020
        yield item
    yield from repeat(item, after)


def _counted(items: Iterable[T], total: int, on_frame: OnFrame | None) -> Iterator[T]:
    """The items; `on_frame` hears of each one that is done."""
    for done, item in enumerate(items, 1):
        yield item
        if on_frame is not None:
            on_frame(done, total)
