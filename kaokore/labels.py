"""`labels.csv`: which images are labelled, how, and in which split; and further label tables of the same form."""

from __future__ import annotations

import csv
import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from kaokore.errors import DatasetError
from kaokore.paths import parse_id, read_metadata
from kaokore.versions import CLASSES, GENDERS, SPLITS, STATUSES
from renderer.errors import InputError
from renderer.io.read import guarded, read_text

UNLABELLED = -1
MAX_ROWS = 1_000_000  # of a table
_FORMULA = re.compile(r"'*[=+\-@\t\r]")  # text that a spreadsheet would take for a formula, perhaps already escaped


class Label(NamedTuple):
    """One row: `gender` indexes `GENDERS`, `status` indexes `STATUSES`, `split` is one of `SPLITS`."""

    image_id: int
    gender: int
    status: int
    split: str


def parse_labels(text: str) -> list[Label]:
    r"""Parse the rows of `labels.csv`, in the official order.

    Raises:
        DatasetError: Names the first row that is not in the official form.

    >>> parse_labels("image,gender,status,set\n00001117.jpg,0,3,train\n")
    [Label(image_id=1117, gender=0, status=3, split='train')]
    """
    labels: list[Label] = []
    reader = csv.DictReader(text.splitlines())
    try:
        for row in reader:
            if len(labels) == MAX_ROWS:
                raise ValueError("there are too many rows")
            label = Label(parse_id(row["image"]), int(row["gender"]), int(row["status"]), row["set"])
            if label.gender not in range(len(GENDERS)) or label.status not in range(len(STATUSES)):
                raise ValueError("there is no such class")
            if label.split not in SPLITS:
                raise ValueError("there is no such split")
            labels.append(label)
    except (KeyError, TypeError, ValueError, csv.Error) as error:
        raise DatasetError(
            f"Line {reader.line_num} of labels.csv is not in the official form; delete it and download it again."
        ) from error
    return labels


def read_labels(root: Path) -> list[Label]:
    """Read the rows of `ROOT/labels.csv`, see `parse_labels`. Raises `DatasetError` when the file is missing."""
    return parse_labels(read_metadata(root, "labels.csv"))


def read_corrections(path: str | Path, task: str) -> dict[int, int]:
    """Read the labels of KaoKore images from a table, see `read_label_table`.

    Returns:
        The class index by image ID.

    Raises:
        InputError: As `read_label_table`, and for a row whose image is not a KaoKore image.
    """
    corrections = {}
    for number, image, label in _rows(path, task):
        try:
            corrections[parse_id(image)] = label
        except DatasetError as error:
            raise InputError(
                f"Line {number} of {path} is not an image of KaoKore with one of {', '.join(CLASSES[task])}."
            ) from error
    return corrections


def read_label_table(path: str | Path, task: str) -> dict[str, int]:
    """Read a CSV table with the columns `image` and `task`; other columns are ignored.

    A label is the name or the number of a class. Rows without a label are skipped.

    Returns:
        The class index by image name, as written in the table.

    Raises:
        InputError: The table cannot be read, lacks a column, or holds an unknown label (names the first such row).
    """
    return {image: label for _, image, label in _rows(path, task)}


def escape_cell(text: str) -> str:
    """Put an apostrophe before text that a spreadsheet would take for a formula; `unescape_cell` removes it.

    >>> escape_cell("=1+1"), escape_cell("face.png"), unescape_cell(escape_cell("=1+1"))
    ("'=1+1", 'face.png', '=1+1')
    """
    return f"'{text}" if _FORMULA.match(text) else text


def unescape_cell(text: str) -> str:
    """Undo `escape_cell`."""
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text


def _rows(path: str | Path, task: str) -> Iterator[tuple[int, str, int]]:
    """Line number, image and class index of each labelled row."""
    classes = CLASSES[task]
    with guarded(f"The labels {path}", InputError, "cannot be read"):
        reader = csv.DictReader(read_text(path).splitlines())
        columns = reader.fieldnames or ()
        rows = [(row.get("image"), row.get(task)) for row in itertools.islice(reader, MAX_ROWS + 1)]
    if not {"image", task} <= set(columns):
        raise InputError(f"The labels {path} need the columns image and {task}, as KaoKore's labels.csv has them.")
    if len(rows) > MAX_ROWS:
        raise InputError(f"The labels {path} have over {MAX_ROWS:,} rows.")
    for number, (image, word) in enumerate(rows, 2):
        image, word = unescape_cell((image or "").strip()), (word or "").strip()
        try:
            if word:
                yield number, image, classes.index(word) if word in classes else range(len(classes)).index(int(word))
        except ValueError as error:
            raise InputError(f"Line {number} of {path} is not an image with one of {', '.join(classes)}.") from error
