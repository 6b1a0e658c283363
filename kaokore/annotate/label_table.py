"""Labels as KaoKore's `labels.csv` has them, with who gave them, when, and what the model thought."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from kaokore.classify import CLASSES
from renderer.io.files import atomic

OFFICIAL = ("image", "gender", "status", "set")
COLUMNS = (*OFFICIAL, "who", "when", "belief", "suggested", "suggested_belief", "checkpoint", "checkpoint_hash")


class Known(NamedTuple):
    """A face's classes as far as they are known, and its split."""

    gender: int | None = None
    status: int | None = None
    split: str = "train"


def write_table(
    path: str | Path,
    task: str,
    classes: Sequence[str],
    rows: Iterable[Mapping[str, Any]],
    known: Mapping[str, Known],
) -> None:
    """Writes rows with an `image`, its `label` (a name of `classes`) and any of the further `COLUMNS`.

    Classes are official numbers, and a face that is in no split stands in "train", where it may be of use. The column
    that is not `task`'s has what is known of the face, or nothing. Whole or not at all; raises `InputError`.
    """
    with atomic(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        for row in rows:
            face = known.get(row["image"], Known())
            numbers = {name: getattr(face, name) for name in CLASSES} | {task: classes.index(row["label"])}
            beliefs = {key: f"{row[key]:.4f}" for key in ("belief", "suggested_belief") if key in row}
            suggested = {"suggested": classes.index(row["suggested"])} if "suggested" in row else {}
            writer.writerow({**row, **numbers, **beliefs, **suggested, "set": face.split})
