"""Painting from a command: progress bar, and the files of a finished painting."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from experiments.results import new_folder
from painter.api import Painter
from painter.losses.perceptual import Perceptual
from painter.metrics import Metrics, compute_metrics
from renderer.io.images import fit, read_image, write_png
from renderer.io.painting import GIF_SIZE, Colour, Painting
from renderer.strokes import StrokeSpace


@dataclass(frozen=True)
class Result:
    """A finished painting.

    Attributes:
        painting: its strokes.
        image: the painting as rendered, (3, H, W) in [0, 1].
        seconds: time of painting, without rendering.
    """

    painting: Painting
    image: Tensor
    seconds: float


def paint_image(painter: Painter, image: Tensor, *, label: str | None = None, **options: Any) -> Result:
    """Paint an image at its own size and render the painting.

    Args:
        painter: paints.
        image: what to paint, (3, H, W), sRGB in [0, 1].
        label: shown beside a progress bar; by default there is none.
        options: those of `Painter.steps`.

    Raises:
        InputError: as `Painter.steps`.
    """
    with progress_bar(label) as show:
        begun = time.monotonic()
        painting = painter.paint(
            image,
            size=max(image.shape[1:]),
            on_step=lambda step: show(step.progress, f"{len(step.strokes)} strokes"),
            **options,
        )
        seconds = time.monotonic() - begun
    return Result(painting, painting.render(), seconds)


@contextmanager
def progress_bar(label: str | None) -> Iterator[Callable[[float, str], None]]:
    """Show a progress bar, unless `label` is None; yields a function of progress in [0, 1] and a note."""
    bar_format = "{desc}: {percentage:3.0f}%|{bar}| {elapsed} {postfix}"
    with tqdm(total=100, desc=label, unit="%", bar_format=bar_format, disable=label is None) as bar:

        def show(progress: float, note: str) -> None:
            bar.n = min(100, int(100 * progress))
            bar.set_postfix_str(note, refresh=False)
            bar.update(0)

        yield show


@contextmanager
def batch_bar(label: str, total: int) -> Iterator[tuple[Callable[[float, int], None], Callable[[], object]]]:
    """Show the progress of painting `total` images: of a single one always, of several on a terminal only.

    Yields:
        A function of a batch's progress in [0, 1] and its strokes so far, and one to call after each finished image.
    """
    if total == 1:
        with progress_bar(label) as show:
            yield lambda progress, strokes: show(progress, f"{strokes} strokes"), lambda: None
        return
    bar_format = "{n_fmt} of {total_fmt} images |{bar}| {rate_noinv_fmt}, {remaining} left{postfix}"
    with tqdm(total=total, unit=" images", bar_format=bar_format, disable=None) as bar:

        def show_batch(progress: float, strokes: int) -> None:
            bar.set_postfix_str(f"batch {progress:.0%}", refresh=False)
            bar.update(0)

        yield show_batch, bar.update


def write_painting(painting: Painting, image: Tensor, folder: Path, video_size: int | None) -> None:
    """Write strokes.safetensors, painting.png (`image`), painting.svg, and with `video_size` painting.mp4 and .gif."""
    painting.save(folder / "strokes.safetensors")
    write_png(image, folder / "painting.png")
    painting.export(folder / "painting.svg", size=max(painting.size()))
    if video_size is not None:
        painting.export(folder / "painting.mp4", size=video_size)
        painting.export(folder / "painting.gif", size=min(video_size, GIF_SIZE))


def read_pixels(path: Path, size: int) -> np.ndarray:
    """Read an image at `size` pixels on the long side: (3, H, W), sRGB in [0, 1]. Raises `InputError`."""
    return fit(read_image(path, size), size).numpy()


def save_and_measure(painting: Painting, target: Tensor, folder: Path, video_size: int | None) -> Metrics:
    """Write a result folder, whole or not at all, and compare the painting with its target.

    Args:
        painting: What to write, see `write_painting`.
        target: (3, H, W) in [0, 1], of the painting's size.
        folder: Replaced if it is there.
        video_size: Pixels on the long side of the videos; None for none.

    Raises:
        InputError: the disk does not take it.
    """
    image = painting.render()
    with new_folder(folder) as temporary:
        write_painting(painting, image, temporary, video_size)
    return compute_metrics(image, target, _perceptual())


def save_and_measure_strokes(
    strokes: np.ndarray,
    about: tuple[StrokeSpace, int, int, Colour, dict[str, Any]],
    target: np.ndarray,
    folder: Path,
    video_size: int | None,
) -> Metrics:
    """`save_and_measure` for another process: strokes (N, P) and target as arrays, and the other arguments of `Painting`."""
    painting = Painting(torch.from_numpy(strokes), *about)
    return save_and_measure(painting, torch.from_numpy(target), folder, video_size)


@functools.cache
def _perceptual() -> Perceptual:
    return Perceptual()


def finished_files(folder: Path, video: bool) -> bool:
    """Whether a folder holds all files of `write_painting`."""
    names = ["painting.png", "painting.svg", *(["painting.mp4", "painting.gif"] if video else [])]
    return all((folder / name).is_file() for name in names)


def write_pairs(images: Tensor, paintings: Tensor, path: str | Path) -> None:
    """Write a PNG of the first eight images (M, 3, H, W) in [0, 1], each above its painting."""
    from torchvision.utils import make_grid  # here, because it takes over a second

    pairs = torch.stack((images[:8], paintings[:8])).flatten(0, 1)
    write_png(make_grid(pairs, min(8, len(images))), path)
