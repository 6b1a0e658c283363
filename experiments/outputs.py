"""Painting from a command: progress bar, and the files of a finished painting."""

from __future__ import annotations

import functools
import json
import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from experiments.results import STROKES, new_folder
from painter.api import Painter
from painter.losses.perceptual import Perceptual
from painter.methods import Step
from painter.metrics import Metrics, compute_metrics
from renderer.errors import InputError
from renderer.io.images import fit, long_side, read_image, write_png
from renderer.io.painting import IMAGE_SIZE, LARGEST, Colour, Painting
from renderer.io.video import DEFAULT_TIMING, GIF_MAX_FPS, Timing
from renderer.strokes import StrokeSpace

VIDEO_SIDE, GIF_SIDE = 720, 480  # pixels on the long side of videos, by default, and of a GIF at most
LARGEST_DEFAULT = 4096  # pixels; larger images take minutes and gigabytes, so that one has to ask for them
UNFINISHED = "unfinished"  # in the provenance of stopped work

OnProgress = Callable[[float, str], object]
"""Called with the done part of some work, in [0, 1], and a note."""


def ignore(*_: object) -> None:
    """Do nothing."""


@dataclass(frozen=True)
class Result:
    """A finished painting.

    Attributes:
        painting: its strokes.
        image: the painting as rendered at the size it was painted, (3, H, W) in [0, 1].
        seconds: time of painting, without rendering.
    """

    painting: Painting
    image: Tensor
    seconds: float


def paint_image(
    painter: Painter,
    image: Tensor,
    *,
    on_progress: OnProgress = ignore,
    on_stop: Callable[[Painting], object] = ignore,
    provenance: Mapping[str, Any] | None = None,
    **options: Any,
) -> Result:
    """Paint an image at its own size and render the painting.

    Args:
        painter: paints.
        image: what to paint, (3, H, W), sRGB in [0, 1].
        on_progress: called with the done part of the painting, in [0, 1], and a note.
        on_stop: called with the painting so far when Ctrl-C stops the work.
        provenance: what the painting records.
        options: further ones of `Painter.steps`.

    Raises:
        InputError: as `Painter.steps`.
    """
    last: Step | None = None

    def on_step(step: Step) -> None:
        nonlocal last
        last = step
        on_progress(step.progress, f"{len(step.strokes)} strokes")

    begun = time.monotonic()
    try:
        painting = painter.paint(image, size=max(image.shape[1:]), on_step=on_step, provenance=provenance, **options)
    except KeyboardInterrupt:
        if last is not None:
            on_stop(painter.painting_so_far(last, provenance))
        raise
    seconds = time.monotonic() - begun
    return Result(painting, painting.render(), seconds)


@contextmanager
def progress_bar(label: str) -> Iterator[OnProgress]:
    """Show a progress bar on a terminal; yields a function of progress in [0, 1] and a note."""
    bar_format = "{desc}: {percentage:3.0f}%|{bar}| {elapsed}, {remaining} left{postfix}"
    with tqdm(total=100, desc=label, unit="%", bar_format=bar_format, disable=None) as bar:

        def show(progress: float, note: str) -> None:
            if bar.disable:
                return
            percent = min(100, int(100 * progress))
            bar.set_postfix_str(note, refresh=False)
            bar.update(percent - bar.n)
            if percent > bar.last_print_n or time.monotonic() - bar.last_print_t > 0.2:
                bar.last_print_n, bar.last_print_t = percent, time.monotonic()
                bar.refresh()

        yield show


def part_of(on_progress: OnProgress, first: float, last: float) -> OnProgress:
    """`on_progress` for a part of the work, which lies between `first` and `last` of the whole."""
    return lambda progress, note: on_progress(first + (last - first) * progress, note)


@contextmanager
def batch_bar(label: str, total: int) -> Iterator[tuple[OnProgress, Callable[[], object]]]:
    """Show the progress of painting `total` images on a terminal.

    Yields:
        A function of a batch's progress in [0, 1] and a note, and one to call after each finished image.
    """
    if total == 1:
        with progress_bar(label) as show:
            yield show, lambda: None
        return
    bar_format = "{n_fmt} of {total_fmt} images |{bar}| {rate_noinv_fmt}, {remaining} left{postfix}"
    with tqdm(total=total, unit=" images", bar_format=bar_format, disable=None) as bar:

        def show_batch(progress: float, note: str) -> None:
            bar.set_postfix_str(f"batch {progress:.0%}, {note}", refresh=False)
            bar.update(0)

        yield show_batch, bar.update


def output_size(given: int | None, image: Path | None = None) -> int:
    """Pixels on the long side of an image that is written.

    Args:
        given: by the user.
        image: what is painted. By default, the result is of its size, between 1,536 and 4,096 pixels.

    Raises:
        InputError: for a size that is out of range, and an image that cannot be read.
    """
    if given is not None:
        if not 1 <= given <= LARGEST:
            raise InputError(f"--output-size must be between 1 and {LARGEST} pixels, not {given}.")
        return given
    return IMAGE_SIZE if image is None else min(LARGEST_DEFAULT, max(IMAGE_SIZE, long_side(image)))


def write_painting(
    painting: Painting,
    folder: Path,
    size: int,
    video_size: int | None,
    on_progress: OnProgress = ignore,
    timing: Timing = DEFAULT_TIMING,
) -> None:
    """Write strokes.safetensors, painting.png and painting.svg, and for `video_size` painting.mp4 and painting.gif.

    Args:
        painting: What to write.
        folder: Where.
        size: Pixels on the long side of the image.
        video_size: Pixels on the long side of the videos; None for none.
        on_progress: Called with the done part, in [0, 1], and a note.
        timing: Of the videos; a GIF has at most 50 frames a second.
    """
    files = {STROKES: (0, 1), "painting.png": (size, 4), "painting.svg": (size, 4)}
    if video_size is not None:
        files |= {"painting.mp4": (video_size, 16), "painting.gif": (min(video_size, GIF_SIDE), 5)}
    whole, done = sum(share for _, share in files.values()), 0
    for name, (side, share) in files.items():
        show = part_of(on_progress, done / whole, (done + share) / whole)
        show(0.0, f"writing {name}")
        fps = timing.fps if timing.fps is None or name != "painting.gif" else min(timing.fps, GIF_MAX_FPS)
        video: dict[str, Any] = {"seconds": timing.seconds, "fps": fps, "pace": timing.pace}
        on_frame = functools.partial(_show_frame, show, name)
        painting.export(folder / name, size=side, **video, on_frame=on_frame)
        done += share


def _show_frame(show: OnProgress, name: str, done: int, total: int) -> None:
    show(done / total, f"writing {name}")


def write_folder(
    painting: Painting,
    folder: Path,
    size: int,
    video_size: int | None,
    on_progress: OnProgress = ignore,
    timing: Timing = DEFAULT_TIMING,
    also: Callable[[Path], object] = ignore,
) -> None:
    """`write_painting` to a folder that is whole or not there; Ctrl-C saves the strokes, see `save_unfinished`.

    `also` is called with the folder, to write more files to it.

    Raises:
        InputError: the disk does not take it.
    """
    try:
        with new_folder(folder) as temporary:
            write_painting(painting, temporary, size, video_size, on_progress, timing)
            also(temporary)
    except KeyboardInterrupt:
        save_unfinished(painting, folder, size)
        raise


def save_unfinished(painting: Painting, folder: Path, size: int) -> None:
    """Write the strokes of stopped work and their image, unless the folder holds a finished painting, and say so.

    The painting records that it is unfinished, so that it is not taken for a result.
    """
    if len(painting.strokes) == 0 or finished_files(folder, video=False):
        return
    record = {**painting.provenance, UNFINISHED: True}
    with new_folder(folder) as temporary:
        replace(painting, provenance=record).save(temporary / STROKES)
        write_png(painting.render(size), temporary / "painting.png")
    tqdm.write(f"{folder}: unfinished, {len(painting.strokes)} strokes so far.", file=sys.stderr)


def read_pixels(path: Path, size: int) -> np.ndarray:
    """Read an image at `size` pixels on the long side: (3, H, W), sRGB in [0, 1]. Raises `InputError`."""
    return fit(read_image(path, size), size).numpy()


def save_and_measure(
    painting: Painting,
    target: Tensor,
    folder: Path,
    size: int,
    video_size: int | None,
    on_progress: OnProgress = ignore,
    timing: Timing = DEFAULT_TIMING,
) -> Metrics:
    """Write a result folder, whole or not at all, and compare the painting with its target at the target's size.

    Args:
        painting: What to write, see `write_painting`.
        target: (3, H, W) in [0, 1], of the painting's size.
        folder: Replaced if it is there.
        size: Pixels on the long side of the image.
        video_size: Pixels on the long side of the videos; None for none.
        on_progress: Called with the done part, in [0, 1], and a note.
        timing: Of the videos.

    Raises:
        InputError: the disk does not take it.
    """
    write_folder(painting, folder, size, video_size, part_of(on_progress, 0, 0.9), timing)
    on_progress(0.9, "measuring")
    return compute_metrics(painting.render(), target, _perceptual())


def save_and_measure_strokes(
    strokes: np.ndarray,
    about: tuple[StrokeSpace, int, int, Colour, dict[str, Any]],
    target: np.ndarray,
    folder: Path,
    size: int,
    video_size: int | None,
    timing: Timing = DEFAULT_TIMING,
) -> Metrics:
    """`save_and_measure` for another process: strokes (N, P) and target as arrays, and the other arguments of `Painting`."""
    painting = Painting(torch.from_numpy(strokes), *about)
    return save_and_measure(painting, torch.from_numpy(target), folder, size, video_size, timing=timing)


@functools.cache
def _perceptual() -> Perceptual:
    return Perceptual()


def finished_files(folder: Path, video: bool, size: int | None = None) -> bool:
    """Whether a folder holds all files of `write_painting`, with an image of `size` pixels on the long side."""
    names = [STROKES, "painting.png", "painting.svg", *(["painting.mp4", "painting.gif"] if video else [])]
    try:
        return (
            all((folder / name).is_file() for name in names)
            and not Painting.load(folder / STROKES).provenance.get(UNFINISHED)
            and (size is None or long_side(folder / "painting.png") == size)
        )
    except InputError:
        return False


def json_line(record: Mapping[str, Any]) -> str:
    """A record as one line of JSON, with null for what is not finite, which JSON does not have.

    >>> json_line({"input": "a.png", "psnr": float("inf")})
    '{"input": "a.png", "psnr": null}'
    """
    plain = {
        key: None if isinstance(value, float) and not math.isfinite(value) else value for key, value in record.items()
    }
    return json.dumps(plain)


def write_pairs(images: Tensor, paintings: Tensor, path: str | Path) -> None:
    """Write a PNG of the first eight images (M, 3, H, W) in [0, 1], each above its painting."""
    from torchvision.utils import make_grid  # here, because it takes over a second

    pairs = torch.stack((images[:8], paintings[:8])).flatten(0, 1)
    write_png(make_grid(pairs, min(8, len(images))), path)
