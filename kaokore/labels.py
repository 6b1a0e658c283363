"""`labels.csv`: which images are labelled, how, and in which split."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import NamedTuple

from kaokore.errors import DatasetError
from kaokore.layout import parse_id, read_metadata
from kaokore.versions import GENDERS, SPLITS, STATUSES

UNLABELLED = -1


class Label(NamedTuple):
    """One row: `gender` indexes `GENDERS`, `status` indexes `STATUSES`, `split` is one of `SPLITS`."""

    image_id: int
    gender: int
    status: int
    split: str


def parse_labels(text: str) -> list[Label]:
    r"""The rows in the official order. Raises `DatasetError` naming the first row that is not in the official form.

    >>> parse_labels("image,gender,status,set\n00001117.jpg,0,3,train\n")
    [Label(image_id=1117, gender=0, status=3, split='train')]
    """
    labels = []
    for number, row in enumerate(csv.DictReader(text.splitlines()), start=2):
        try:
            label = Label(parse_id(row["image"]), int(row["gender"]), int(row["status"]), row["set"])
            valid = (
                label.gender in range(len(GENDERS)) and label.status in range(len(STATUSES)) and label.split in SPLITS
            )
        except (KeyError, TypeError, ValueError, DatasetError):
            valid = False
        if not valid:
            raise DatasetError(
                f"Line {number} of labels.csv is not in the official form; delete it and download it again."
            )
        labels.append(label)
    return labels


def read_labels(root: Path) -> list[Label]:
    """The rows of `ROOT/labels.csv`, see `parse_labels`. Raises `DatasetError` when the file is missing."""
    return parse_labels(read_metadata(root, "labels.csv"))
