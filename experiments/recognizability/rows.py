"""Rows of a run: one line of CSV per painted face, written before the next face is painted."""

from __future__ import annotations

import csv
import io
from dataclasses import astuple, dataclass, fields, replace
from pathlib import Path
from typing import NamedTuple

from renderer.errors import InputError
from renderer.io.append_only import MAX_BYTES, AppendOnlyFile
from renderer.io.from_json import from_json
from renderer.io.read import guarded, read_bytes

UNPAINTED = "unpainted"
"""The painter of rows of unpainted faces, with 0 strokes."""


class Key(NamedTuple):
    """Identity of a row."""

    face: int
    painter: str
    strokes: int
    seed: int


@dataclass(frozen=True)
class Row:
    """One painting of one face, and the classifiers' answers.

    Attributes:
        brush: "reference" or "learned", which rendered the painting; "" for unpainted faces.
        mse: mean squared error to the face, RGB in [0, 1].
        cpu_seconds: processor time of painting.
        gender, status: the true class.
        gender_answer, status_answer: the class that the classifier chose.
        gender_probability, status_probability: the probability that it gave to the true class.
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
        """Identity of this row."""
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
    """The rows of complete lines."""
    with guarded(path, InputError, "is no table of rows", "; choose another --out"):
        lines = list(csv.reader(whole.decode("utf-8", errors="replace").splitlines()))
    if lines and lines[0] != list(NAMES):
        raise InputError(f"{path} has other columns than this version writes; choose another --out.")
    rows = []
    for number, line in enumerate(lines[1:], 2):
        with guarded(f"Line {number} of {path}", InputError, "is damaged", "; remove it to paint its face again"):
            row = from_json(Row, {name: kind(text) for name, kind, text in zip(NAMES, KINDS, line, strict=True)})
            if min(row.face, row.strokes, row.seed) < 0:
                raise ValueError("a number is negative")
        rows.append(replace(row, brush="reference") if row.brush == "true" else row)  # "true" in files of version 0.1
    return rows


def read_rows(path: str | Path) -> list[Row]:
    """The rows of a file, which may still be written to. Raises `InputError` when it is missing or damaged."""
    with guarded(f"There are no painted faces {path}", InputError, "that can be read", "; run `paint` first"):
        data = read_bytes(path, MAX_BYTES)
    return _parse(data[: data.rfind(b"\n") + 1], Path(path))


class Rows:
    """A file of rows, see `AppendOnlyFile`; `done` holds the keys of its rows.

    Raises `InputError` when the file cannot be written, is damaged, or is open in another process.
    """

    def __init__(self, path: str | Path) -> None:
        self._file = AppendOnlyFile(path, "choose another --out; `report` takes several folders")
        try:
            self.done = {row.key for row in _parse(self._file.whole, self._file.path)}
            if not self._file.whole:
                self._file.append(_line(NAMES))
        except BaseException:
            self.close()
            raise

    def append(self, row: Row) -> None:
        """Append a row and flush it to disk. Raises `InputError` when that fails; the file is then unchanged."""
        self._file.append(_line(astuple(row)))
        self.done.add(row.key)

    def close(self) -> None:
        """Close the file and release its lock."""
        self._file.close()
