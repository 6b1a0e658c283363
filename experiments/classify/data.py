"""KaoKore's labelled faces in memory."""

from __future__ import annotations

import csv
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from experiments.classify.classifier import CLASSES
from kaokore import UNLABELLED, DatasetError, KaoKore, parse_id, read_labels, resolve_root
from renderer.errors import InputError
from renderer.pictures import fit_square


class Faces(NamedTuple):
    """images: (N, 3, size, size) uint8, sRGB; labels: (N,) int64, indices of the task's classes."""

    images: Tensor
    labels: Tensor


def load_labelled(
    root: str | Path | None, split: str, task: str, size: int, labels: str | Path | None = None, version: str = "1.1"
) -> Faces:
    """The faces of an official split that are there and labelled, resized by area averaging.

    `labels`: see `read_corrections`; they replace official labels of the split "train" and add faces that are in no
    split. Those of dev and test are passed over, for figures are measured on the official labels.
    Raises `DatasetError` when no face is there, `InputError` when `labels` cannot be used.
    """
    root = resolve_root(root)
    official = KaoKore(root, version, split=split, missing="skip")
    wanted = dict(zip(official.ids, official.genders if task == "gender" else official.statuses, strict=True))
    if labels is not None and split == "train":
        elsewhere = {label.image_id for label in read_labels(root) if label.split != "train"}
        wanted |= {i: label for i, label in read_corrections(labels, task).items() if i not in elsewhere}
    transform = partial(fit_square, side=size)
    everything = KaoKore(root, version, split="all", target="none", missing="skip", transform=transform)
    chosen = [place for place, i in enumerate(everything.ids) if wanted.get(i, UNLABELLED) != UNLABELLED]
    if not chosen:
        raise DatasetError(f"There are no {split} images in {root}; `python -m kaokore download` fetches them.")
    images = [everything[place] for place in tqdm(chosen, desc=f"{split} faces", leave=False)]
    return Faces(torch.from_numpy(np.stack(images)), torch.tensor([wanted[everything.ids[place]] for place in chosen]))


def read_corrections(path: str | Path, task: str) -> dict[int, int]:
    """Labels by image ID from a CSV with the columns `image` and `gender` or `status`; others are not looked at.

    A label is a class' name or number; a row without one says nothing. Raises `InputError` naming the first bad row.
    """
    classes, corrections = CLASSES[task], {}
    try:
        reader = csv.DictReader(Path(path).read_text(encoding="utf-8-sig").splitlines())
        rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"The labels {path} cannot be read ({error}).") from error
    if not {"image", task} <= set(reader.fieldnames or ()):
        raise InputError(f"The labels {path} need the columns image and {task}, as KaoKore's labels.csv has them.")
    for number, row in enumerate(rows, 2):
        word = (row[task] or "").strip()
        try:
            if word:
                label = classes.index(word) if word in classes else range(len(classes)).index(int(word))
                corrections[parse_id((row["image"] or "").strip())] = label
        except (ValueError, DatasetError) as error:
            raise InputError(
                f"Line {number} of {path} is not an image of KaoKore with one of {', '.join(classes)}."
            ) from error
    return corrections
