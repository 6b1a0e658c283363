"""KaoKore's labelled faces in memory."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from kaokore import UNLABELLED, DatasetError, KaoKore, parse_id, read_labels, resolve_root
from kaokore.classify.classifier import CLASSES
from renderer.errors import InputError
from renderer.io.images import fit, fit_square, read_image, to_bytes


class Faces(NamedTuple):
    """images: (N, 3, size, size) uint8, sRGB; labels: (N,) int64, indices of the task's classes."""

    images: Tensor
    labels: Tensor


def load_labelled(
    root: str | Path | None,
    split: str,
    task: str,
    size: int,
    labels: str | Path | None = None,
    version: str = "1.1",
    folder: str | Path | None = None,
) -> Faces:
    """The faces of an official split that are there and labelled, resized by area averaging.

    `labels`: see `read_corrections`; they replace official labels of the split "train" and add faces that are in no
    split. Those of dev and test are passed over, for figures are measured on the official labels. With `folder` they
    name its pictures instead, which join the split "train".
    Raises `DatasetError` when no face is there, `InputError` when `labels` or a picture of `folder` cannot be used.
    """
    root = resolve_root(root)
    if folder is not None and labels is None:
        raise InputError(f"Which pictures of {folder} show what must be said by --labels.")
    official = KaoKore(root, version, split=split, missing="skip")
    wanted = dict(zip(official.ids, official.genders if task == "gender" else official.statuses, strict=True))
    further: dict[str, int] = {}
    if labels is not None and split == "train":
        if folder is None:
            elsewhere = {label.image_id for label in read_labels(root) if label.split != "train"}
            wanted |= {i: label for i, label in read_corrections(labels, task).items() if i not in elsewhere}
        else:
            further = {image: label for _, image, label in _read(labels, task)}
    transform = partial(fit_square, side=size)
    everything = KaoKore(root, version, split="all", target="none", missing="skip", transform=transform)
    chosen = [place for place, i in enumerate(everything.ids) if wanted.get(i, UNLABELLED) != UNLABELLED]
    if not chosen:
        raise DatasetError(f"There are no {split} images in {root}; `python -m kaokore download` fetches them.")
    images = [everything[place] for place in tqdm(chosen, desc=f"{split} faces", leave=False)]
    images += [to_bytes(read_square(Path(folder or "") / name, size)).transpose(2, 0, 1) for name in further]
    known = [wanted[everything.ids[place]] for place in chosen] + list(further.values())
    return Faces(torch.from_numpy(np.stack(images)), torch.tensor(known))


def read_square(path: str | Path, size: int) -> Tensor:
    """The middle square of a picture of any format, as `(3, size, size)` in [0, 1]. Raises `ImageError`."""
    picture = read_image(path, longest=size)
    height, width = picture.shape[1:]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return fit(picture[:, top : top + side, left : left + side], size)


def read_corrections(path: str | Path, task: str) -> dict[int, int]:
    """Labels by image ID from a CSV with the columns `image` and `gender` or `status`; others are not looked at.

    A label is a class' name or number; a row without one says nothing. Raises `InputError` naming the first bad row.
    """
    corrections = {}
    for number, image, label in _read(path, task):
        try:
            corrections[parse_id(image)] = label
        except DatasetError as error:
            raise InputError(
                f"Line {number} of {path} is not an image of KaoKore with one of {', '.join(CLASSES[task])}."
            ) from error
    return corrections


def _read(path: str | Path, task: str) -> Iterator[tuple[int, str, int]]:
    """The labelled rows: line, image, class."""
    classes = CLASSES[task]
    try:
        reader = csv.DictReader(Path(path).read_text(encoding="utf-8-sig").splitlines())
        rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"The labels {path} cannot be read ({error}).") from error
    if not {"image", task} <= set(reader.fieldnames or ()):
        raise InputError(f"The labels {path} need the columns image and {task}, as KaoKore's labels.csv has them.")
    for number, row in enumerate(rows, 2):
        word, image = (row[task] or "").strip(), (row["image"] or "").strip()
        try:
            if word:
                yield number, image, classes.index(word) if word in classes else range(len(classes)).index(int(word))
        except ValueError as error:
            raise InputError(f"Line {number} of {path} is not an image with one of {', '.join(classes)}.") from error
