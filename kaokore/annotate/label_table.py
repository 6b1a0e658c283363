"""The table of annotations: the columns of KaoKore's `labels.csv`, then who, when, and the classifier's prediction."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from kaokore.labels import escape_cell
from kaokore.versions import CLASSES
from renderer.io.files import atomic

OFFICIAL = ("image", "gender", "status", "set")
COLUMNS = (*OFFICIAL, "who", "when", "belief", "suggested", "suggested_belief", "checkpoint", "checkpoint_hash")


class Known(NamedTuple):
    """The known class indices of a face, None where unknown, and its split."""

    gender: int | None = None
    status: int | None = None
    split: str = "train"


def write_table(
    path: str | Path,
    rows: Iterable[Mapping[str, Any]],
    *,
    task: str,
    classes: Sequence[str],
    known: Mapping[str, Known],
) -> None:
    """Write the table, whole or not at all.

    Classes are written as official numbers. Faces that are in no split are written as "train", so that they can be
    trained on. Text that a spreadsheet would take for a formula is escaped, see `escape_cell`.

    Args:
        path: The CSV file.
        rows: With `image`, `label` (a name of `classes`) and any of the other `COLUMNS`.
        task: "gender" or "status": the column of the labels. The other one gets the known label, if any.
        classes: Names of the labels.
        known: Known labels by image name.

    Raises:
        InputError: The file cannot be written.
    """
    with atomic(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        for row in rows:
            face = known.get(row["image"], Known())
            numbers = {name: getattr(face, name) for name in CLASSES} | {task: classes.index(row["label"])}
            numbers |= {"suggested": classes.index(row["suggested"])} if "suggested" in row else {}
            probabilities = {key: f"{row[key]:.4f}" for key in ("belief", "suggested_belief") if key in row}
            texts = {key: escape_cell(row[key]) for key in ("image", "who", "checkpoint") if key in row}
            writer.writerow({**row, **texts, **numbers, **probabilities, "set": face.split})
