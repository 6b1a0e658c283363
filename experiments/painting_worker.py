"""Paint pictures of a collection in a worker process: each result is one folder, written whole.

This module is apart from the command `paint_collection`, because workers on other machines import it by its name.
"""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from experiments.painting_options import PaintingOptions
from experiments.results import STROKES, fingerprint, new_folder
from painter.api import Painter
from painter.losses.perceptual import Perceptual
from painter.metrics import compute_metrics
from renderer.errors import InputError
from renderer.io.images import fit, read_image, write_png
from renderer.io.read import guarded, read_json

Row = dict[str, Any]
PAINTINGS = "paintings"  # in the folder of a collection
ROW = "metrics.json"  # in the folder of a result: its row in the table


@dataclass(frozen=True)
class Picture:
    """A file of the collection, and what shows without reading it whether it was changed.

    Attributes:
        path: of the file.
        bytes: its size.
        modified: its time of modification in nanoseconds.
    """

    path: str
    bytes: int
    modified: int


@dataclass(frozen=True)
class Collection:
    """What all workers of a collection share.

    Attributes:
        out: the folder of the results.
        options: how to paint.
        record: the options that results depend on, without names of this machine.
    """

    out: str
    options: PaintingOptions
    record: tuple[tuple[str, Any], ...]


def paint_pictures(collection: Collection, pictures: Sequence[Picture], worker: int = 0) -> list[Row]:
    """Paint pictures together and write a folder for each; those that are painted already are left as they are.

    A picture's folder and seed depend on its content, its name and the options alone, and not on the other pictures or
    the worker. One thread paints, because the number of threads changes rounding.

    Args:
        collection: Where to write, and how to paint.
        pictures: A batch.
        worker: Number of this worker, which chooses one of several GPUs.

    Returns:
        A row for each picture, with `path`, `bytes` and `modified`, and with `error` where it cannot be read.

    Raises:
        InputError: A result cannot be written, or the painter cannot be loaded.
    """
    rows: dict[Picture, Row] = {}
    works: dict[Picture, _Work] = {}
    for picture in pictures:
        path = Path(picture.path)
        try:
            plan = _plan(collection, path)
            if (plan.folder / ROW).is_file():
                with guarded(plan.folder / ROW, InputError, "is damaged; remove its folder"):
                    rows[picture] = read_json(plan.folder / ROW)
            else:
                size = collection.options.working_size()
                target = fit(read_image(path, size), size)
                works[picture] = _Work(plan, target)
        except InputError as error:
            rows[picture] = {"error": str(error)}
    rows |= zip(works, _paint(collection, list(works.values()), worker), strict=True)
    return [asdict(picture) | rows[picture] for picture in pictures]


def paint_task(collection: Collection, pictures: Sequence[Picture]) -> list[Row]:
    """`paint_pictures` as a task of Dask, with the number of its worker."""
    from distributed import get_worker

    name = get_worker().name  # a number in a local cluster
    return paint_pictures(collection, pictures, name if isinstance(name, int) else 0)


class _Plan(NamedTuple):
    folder: Path
    seed: int
    provenance: dict[str, Any]


class _Work(NamedTuple):
    plan: _Plan
    target: Tensor


def _plan(collection: Collection, path: Path) -> _Plan:
    """Where the result of a picture lies, its seed, and what its painting records. Raises `InputError`."""
    options = collection.options
    name = path.name.encode(errors="backslashreplace").decode()  # names of files need not be UTF-8
    record = {"input": name, **dict(collection.record)}
    result = fingerprint(path, record)
    seed = int(fingerprint(path, {"seed": options.seed})[:8], 16)
    stem = path.stem[:100].strip(".") or "picture"
    folder = Path(collection.out) / PAINTINGS / result[:2] / f"{stem}-{result}"
    return _Plan(folder, seed, record | {"seed": seed, "fingerprint": result})


def _paint(collection: Collection, works: Sequence[_Work], worker: int) -> list[Row]:
    if not works:
        return []
    options = collection.options
    torch.set_num_threads(1)
    painter, perceptual = _load(options, _device(options.device, worker))
    begun = time.monotonic()
    paintings = painter.paint_batch(
        [work.target for work in works],
        strokes=options.strokes,
        size=options.working_size(),
        constraints=options.constraints(),
        background=options.background,
        features=options.features,
        seed=[work.plan.seed for work in works],
        provenance=[work.plan.provenance for work in works],
    )
    seconds = (time.monotonic() - begun) / len(works)
    rows = []
    for (plan, target), painting in zip(works, paintings, strict=True):
        image = painting.render()
        row: Row = {"input": plan.provenance["input"], "folder": str(plan.folder.relative_to(collection.out))}
        row |= {"strokes": len(painting.strokes), **asdict(compute_metrics(image, target, perceptual))}
        row |= {"seconds": round(seconds, 3), "seed": plan.seed, "painted_by": f"{platform.node()}:{os.getpid()}"}
        with new_folder(plan.folder) as temporary:
            painting.save(temporary / STROKES)
            write_png(image, temporary / "painting.png")
            (temporary / ROW).write_text(json.dumps(row), encoding="utf-8")
        rows.append(row)
    return rows


@cache  # a worker paints many batches with one painter
def _load(options: PaintingOptions, device: str) -> tuple[Painter, Perceptual]:
    return options.painter(device), Perceptual()


def _device(device: str, worker: int) -> str:
    """`device`; for auto, workers take the GPUs in turn."""
    gpus = torch.cuda.device_count() if device == "auto" else 0
    return f"cuda:{worker % gpus}" if gpus else device
