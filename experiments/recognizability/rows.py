"""The record of a run: one line of CSV for each painted face, on the disk before the next one is painted."""

from __future__ import annotations

import csv
import io
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import NamedTuple

from renderer.errors import InputError
from renderer.io.append_only import AppendOnlyFile

UNPAINTED = "unpainted"
"""The painter of the rows that are the faces themselves, with 0 strokes."""


class Key(NamedTuple):
    """What a row is the row of."""

    face: int
    painter: str
    strokes: int
    seed: int


@dataclass(frozen=True)
class Row:
    """One painting of one face, and what the classifiers say of it.

    brush: "true" or "learned", whichever drew the picture; "" of unpainted faces
    mse: mean squared error to the face, RGB in [0, 1]; cpu_seconds: processor time of painting
    gender, status: the true class; *_answer: the classifier's; *_probability: what it gives the true one, in [0, 1]
    """

    face: int
    painter: str
    strokes: int
    seed: int
    brush: str
    mse: float
    cpu_seconds: float
    gender: str
    gender_answer: str
    gender_probability: float
    status: str
    status_answer: str
    status_probability: float

    @property
    def key(self) -> Key:
        """What this is the row of."""
        return Key(self.face, self.painter, self.strokes, self.seed)

    def right(self, task: str) -> bool:
        """Whether the classifier of `task` ("gender" or "status") is right."""
        return bool(getattr(self, task) == getattr(self, f"{task}_answer"))


NAMES = tuple(field.name for field in fields(Row))
KINDS = tuple({"int": int, "str": str, "float": float}[str(field.type)] for field in fields(Row))


def _line(values: tuple[object, ...]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow([f"{v:.6g}" if isinstance(v, float) else v for v in values])
    return text.getvalue().encode()


def _parse(whole: bytes, path: Path) -> list[Row]:
    """The rows of whole lines."""
    lines = list(csv.reader(whole.decode("utf-8", errors="replace").splitlines()))
    if lines and lines[0] != list(NAMES):
        raise InputError(f"{path} has other columns than this version writes; choose another --out.")
    rows = []
    for number, line in enumerate(lines[1:], 2):
        try:
            rows.append(Row(*(kind(text) for kind, text in zip(KINDS, line, strict=True))))
        except ValueError as error:
            raise InputError(f"Line {number} of {path} is damaged; remove it, and its face is painted anew.") from error
    return rows


def read_rows(path: str | Path) -> list[Row]:
    """The rows of a file, while it is being written, too. Raises `InputError` when there is none or it is damaged."""
    try:
        data = Path(path).read_bytes()
        return _parse(data[: data.rfind(b"\n") + 1], Path(path))
    except OSError as error:
        raise InputError(f"There are no painted faces {path} ({error.strerror}); `paint` makes them.") from error


class Rows:
    """A file of rows, see `AppendOnlyFile`; `done` are the keys of those that are there.

    Raises `InputError` when the file cannot be written, is damaged, or is open in another process.
    """

    def __init__(self, path: str | Path) -> None:
        self._file = AppendOnlyFile(path, "give this one an --out of its own: `report` takes several")
        try:
            self.done = {row.key for row in _parse(self._file.whole, self._file.path)}
            if not self._file.whole:
                self._file.append(_line(NAMES))
        except BaseException:
            self.close()
            raise

    def append(self, row: Row) -> None:
        """Adds a row; it is on the disk afterwards. Raises `InputError` when it cannot be; the file is then as it was."""
        self._file.append(_line(astuple(row)))
        self.done.add(row.key)

    def close(self) -> None:
        """Lets go of the file, and so of its lock."""
        self._file.close()
