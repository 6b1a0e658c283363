"""Paint many images in batches, while other processes decode images and write results."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from experiments.outputs import (
    UNFINISHED,
    OnProgress,
    part_of,
    read_pixels,
    save_and_measure,
    save_and_measure_strokes,
    save_unfinished,
)
from painter.api import Painter
from painter.methods import Step
from painter.metrics import Metrics
from painter.workers import Workers
from renderer.errors import InputError
from renderer.io.images import read_image, resize
from renderer.io.painting import Painting
from renderer.io.video import DEFAULT_TIMING, Timing

CPU_BATCH = 16  # images of CPU_SIDE pixels; where operations are compiled, more images at once gain little
CPU_SIDE = 128
PAINTING_SHARE = {"agent": 0.25}  # of the time for an image with its video; other methods paint for longer
GPU_BATCH = 1024
GPU_BYTES = 4 * 2**20  # of an image of 128 px and 200 strokes; measured: 3.7 MiB (docs/scale.md)


@dataclass(frozen=True)
class Job:
    """An image to paint.

    Attributes:
        path: The image file.
        folder: Where the result goes.
        record: What the painting records.
        output_size: Pixels on the long side of the image that is written.
    """

    path: Path
    folder: Path
    record: dict[str, Any]
    output_size: int


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
    on_progress: OnProgress,
    timing: Timing = DEFAULT_TIMING,
    **options: Any,
) -> None:
    """Paint images and write their results; at an interruption, what has been painted is still written and reported.

    Of the images at work, the strokes so far are saved then, see `save_unfinished`.

    An image that cannot be read or painted does not affect the others.

    Args:
        painter: Paints.
        jobs: What to paint; taken as needed, one batch ahead.
        batch: Images painted at once.
        size: Pixels on the long side while painting.
        video_size: Pixels on the long side of videos; None for none.
        workers: Decode images and write results.
        report: Called in order with each job and a function that returns what was finished, or raises `InputError`.
        on_progress: Called with the done part of a batch, in [0, 1], and a note.
        timing: Of the videos.
        options: Those of `Painter.steps`.
    """
    jobs = iter(jobs)

    def decode() -> list[tuple[Job, Callable[[], Any]]]:
        return [(job, workers.start(read_pixels, job.path, size)) for job in islice(jobs, batch)]

    # Other processes write while this one paints; here, writing is a part of the time.
    painted = 1.0 if workers.count > 0 else PAINTING_SHARE.get(painter.method, 0.75)

    def write(job: Job, target: Tensor, painting: Painting, seconds: float, show: OnProgress) -> Callable[[], Finished]:
        measure = _start_writing(workers, job, target, painting, video_size, show, timing)
        count = len(painting.strokes)
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
            show = part_of(on_progress, 0, painted)
            paintings = list(_paint(painter, images, show, size=size, **options))
            for i, ((job, target), result) in enumerate(paintings):
                if isinstance(result, InputError):
                    results.append((job, _raising(result)))
                    continue
                first, last = (painted + (1 - painted) * k / len(images) for k in (i, i + 1))
                try:
                    results.append((job, write(job, target, *result, part_of(on_progress, first, last))))
                except KeyboardInterrupt:
                    for (stopped, _), unwritten in paintings[i:]:
                        if not isinstance(unwritten, InputError):
                            save_unfinished(unwritten[0], stopped.folder, stopped.output_size)
                    raise
            # The results of this batch are written while the next one is painted; more would fill the memory.
            while len(results) > (batch if ahead else 0):
                report(*results.popleft())
            current = ahead if workers.count > 0 else decode()
    finally:
        while results:
            report(*results.popleft())


def continue_painting(
    painter: Painter,
    start: Painting,
    job: Job,
    video_size: int | None,
    on_progress: OnProgress,
    timing: Timing = DEFAULT_TIMING,
    **options: Any,
) -> Finished:
    """Go on with a painting and write the result; Ctrl-C saves the strokes so far.

    Args:
        painter: Paints, with the brush of the painting.
        start: The painting.
        job: Its image, and where the result goes.
        video_size: Pixels on the long side of videos; None for none.
        on_progress: Called with the done part, in [0, 1], and a note.
        timing: Of the videos.
        options: Those of `Painter.refine_steps`.

    Raises:
        InputError: as `Painter.refine_steps`, and where the result cannot be written.
    """
    share = PAINTING_SHARE.get(painter.method, 0.75)
    old = {key: value for key, value in start.provenance.items() if key != UNFINISHED}
    last: Step | None = None

    def on_step(step: Step) -> None:
        nonlocal last
        last = step
        on_progress(share * step.progress, f"{len(step.strokes)} strokes")

    begun = time.monotonic()
    try:
        painting = painter.refine(start, job.path, on_step=on_step, **options)
    except KeyboardInterrupt:
        if last is not None:
            so_far = painter.painting_so_far(last, {**old, **job.record})
            save_unfinished(so_far, job.folder, job.output_size)
        raise
    seconds = time.monotonic() - begun
    record = {key: value for key, value in painting.provenance.items() if key != UNFINISHED}
    painting = replace(painting, provenance={**record, **job.record})
    target = resize(read_image(job.path, max(start.size())), start.size())
    show = part_of(on_progress, share, 1)
    metrics = save_and_measure(painting, target, job.folder, job.output_size, video_size, show, timing)
    return Finished(len(painting.strokes), seconds, metrics)


def _paint(
    painter: Painter,
    images: Sequence[tuple[Job, Tensor]],
    on_progress: OnProgress,
    **options: Any,
) -> Iterator[tuple[tuple[Job, Tensor], tuple[Painting, float] | InputError]]:
    """Paint together; where that fails, by halves, so that only what cannot be painted is lost."""
    if not images:
        return
    latest: dict[int, Step] = {}

    def on_step(i: int, step: Step) -> None:
        latest[i] = step
        count = sum(len(step.strokes) for step in latest.values())
        on_progress(sum(step.progress for step in latest.values()) / len(images), f"{count} strokes")

    begun = time.monotonic()
    try:
        paintings = painter.paint_batch(
            [target for _, target in images],
            provenance=[job.record for job, _ in images],
            on_step=on_step,
            **options,
        )
    except KeyboardInterrupt:
        for i, step in latest.items():
            job = images[i][0]
            save_unfinished(painter.painting_so_far(step, job.record), job.folder, job.output_size)
        raise
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
    workers: Workers,
    job: Job,
    target: Tensor,
    painting: Painting,
    video_size: int | None,
    on_progress: OnProgress,
    timing: Timing,
) -> Callable[[], Metrics]:
    if workers.count == 0 or painting.brush is not None:  # a brush without a name stays in this process
        metrics = save_and_measure(painting, target, job.folder, job.output_size, video_size, on_progress, timing)
        return lambda: metrics
    about = (painting.space, painting.height, painting.width, painting.background, painting.provenance)
    strokes, pixels = painting.strokes.numpy().copy(), target.numpy()
    return workers.start(
        save_and_measure_strokes, strokes, about, pixels, job.folder, job.output_size, video_size, timing
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
