"""Paint many images in batches, while other processes decode images and write results."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from experiments.outputs import read_pixels, save_and_measure, save_and_measure_strokes
from experiments.workers import Workers
from painter.api import Painter
from painter.metrics import Metrics
from renderer.errors import InputError
from renderer.io.painting import Painting

CPU_BATCH = 16  # images of CPU_SIDE pixels: more gain nothing
CPU_SIDE = 128
GPU_BATCH = 1024
GPU_BYTES = 4 * 2**20  # of an image of 128 px and 200 strokes; measured: 3.7 MiB (docs/scale.md)


@dataclass(frozen=True)
class Job:
    """An image to paint.

    Attributes:
        path: The image file.
        folder: Where the result goes.
        record: What the painting records.
    """

    path: Path
    folder: Path
    record: dict[str, Any]


@dataclass(frozen=True)
class Finished:
    """A painting on the disk.

    Attributes:
        strokes: How many it has.
        seconds: Time of painting; of a batch, each image's equal share.
        metrics: Against the image, at the painting's size.
    """

    strokes: int
    seconds: float
    metrics: Metrics


def paint_in_batches(
    painter: Painter,
    jobs: Iterable[Job],
    *,
    batch: int,
    size: int,
    video_size: int | None,
    workers: Workers,
    report: Callable[[Job, Callable[[], Finished]], object],
    on_progress: Callable[[float, int], object],
    **options: Any,
) -> None:
    """Paint images and write their results; at an interruption, what has been painted is still written and reported.

    An image that cannot be read or painted does not affect the others.

    Args:
        painter: Paints.
        jobs: What to paint; taken as needed, one batch ahead.
        batch: Images painted at once.
        size: Pixels on the long side while painting.
        video_size: Pixels on the long side of videos; None for none.
        workers: Decode images and write results.
        report: Called in order with each job and a function that returns what was finished, or raises `InputError`.
        on_progress: Called with the done part of a batch, in [0, 1], and the number of its strokes so far.
        options: Those of `Painter.steps`.
    """
    jobs = iter(jobs)

    def decode() -> list[tuple[Job, Callable[[], Any]]]:
        return [(job, workers.start(read_pixels, job.path, size)) for job in islice(jobs, batch)]

    def write(job: Job, target: Tensor, painting: Painting, seconds: float) -> Callable[[], Finished]:
        count, measure = len(painting.strokes), _start_writing(workers, job, target, painting, video_size)
        return lambda: Finished(count, seconds, measure())

    results: deque[tuple[Job, Callable[[], Finished]]] = deque()
    try:
        current = decode()
        while current:
            ahead, images = decode() if workers.count > 0 else [], []
            for job, pixels in current:
                try:
                    images.append((job, torch.from_numpy(pixels())))
                except InputError as error:
                    results.append((job, _raising(error)))
            for (job, target), painted in _paint(painter, images, on_progress, size=size, **options):
                results.append(
                    (job, _raising(painted) if isinstance(painted, InputError) else write(job, target, *painted))
                )
            # The results of this batch are written while the next one is painted; more would fill the memory.
            while len(results) > (batch if ahead else 0):
                report(*results.popleft())
            current = ahead if workers.count > 0 else decode()
    finally:
        while results:
            report(*results.popleft())


def _paint(
    painter: Painter,
    images: Sequence[tuple[Job, Tensor]],
    on_progress: Callable[[float, int], object],
    **options: Any,
) -> Iterator[tuple[tuple[Job, Tensor], tuple[Painting, float] | InputError]]:
    """Paint together; where that fails, by halves, so that only what cannot be painted is lost."""
    if not images:
        return
    progress, counts = [0.0] * len(images), [0] * len(images)

    def on_step(i: int, step: Any) -> None:
        progress[i], counts[i] = step.progress, len(step.strokes)
        on_progress(sum(progress) / len(images), sum(counts))

    begun = time.monotonic()
    try:
        paintings = painter.paint_batch(
            [target for _, target in images],
            provenance=[job.record for job, _ in images],
            on_step=on_step,
            **options,
        )
    except (InputError, torch.OutOfMemoryError) as error:
        if len(images) > 1:
            half = len(images) // 2
            for part in (images[:half], images[half:]):
                yield from _paint(painter, part, on_progress, **options)
        elif isinstance(error, InputError):
            yield images[0], error
        else:
            yield images[0], InputError(f"{images[0][0].path} does not fit into the GPU's memory; lower --size.")
        return
    seconds = (time.monotonic() - begun) / len(images)
    for image, painting in zip(images, paintings, strict=True):
        yield image, (painting, seconds)


def _start_writing(
    workers: Workers, job: Job, target: Tensor, painting: Painting, video_size: int | None
) -> Callable[[], Metrics]:
    if workers.count == 0 or painting.brush is not None:  # a brush without a name stays in this process
        metrics = save_and_measure(painting, target, job.folder, video_size)
        return lambda: metrics
    about = (painting.space, painting.height, painting.width, painting.background, painting.provenance)
    return workers.start(
        save_and_measure_strokes, painting.strokes.numpy().copy(), about, target.numpy(), job.folder, video_size
    )


def _raising(error: InputError) -> Callable[[], Finished]:
    def result() -> Finished:
        raise error

    return result


def choose_batch(method: str, size: int, strokes: int, device: torch.device) -> int:
    """A number of images to paint at once.

    On the CPU, where it was measured (docs/scale.md); on a GPU, so many that half of the free memory is used, estimated
    from the peak that the agent was measured with.

    Args:
        method: One of `painter.methods.METHODS`.
        size: Pixels on the long side.
        strokes: Number of strokes of an image.
        device: Where it is painted.
    """
    if method == "lines":
        return 1  # these are painted one after another in any case
    area = (size / CPU_SIDE) ** 2
    if device.type != "cuda":
        return max(1, min(CPU_BATCH, int(CPU_BATCH / area)))
    free, _ = torch.cuda.mem_get_info(device)
    return max(1, min(GPU_BATCH, int(free / 2 / (GPU_BYTES * area * max(1.0, strokes / 200)))))
