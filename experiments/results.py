"""Result folders and their table of metrics: one input and one configuration make one folder, written as a unit."""

from __future__ import annotations

import csv
import fcntl
import hashlib
import io
import json
import os
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from renderer.errors import InputError
from renderer.io.files import RETIRED, atomic, remove_temporary_folder, sweep, sync, temporary_path
from renderer.io.painting import Painting, PaintingError
from renderer.io.read import guarded, opened, read_text, reason
from renderer.io.tensor_file import read_header

STROKES = "strokes.safetensors"
STYLES = "w.safetensors"  # of generated faces
FRAMES = "frames.safetensors"  # of a painted clip
METRICS = "metrics.csv"
LONGEST_NAME = 200  # bytes of the name of a result folder; file systems take 255 or less


def fingerprint(input_file: Path | None, options: Mapping[str, Any], *others: Path) -> str:
    """16 hexadecimal digits that stand for the bytes of the inputs and the options that a result depends on.

    Args:
        input_file: what is painted; None where there is nothing but options.
        options: by name; anything that JSON can hold.
        others: more files that the result depends on, such as checkpoints.

    Raises:
        InputError: A file cannot be read.
    """
    digest = hashlib.sha256()
    for path in (*(() if input_file is None else (input_file,)), *others):
        try:
            with opened(path) as file:
                while block := file.read(2**20):
                    digest.update(block)
        except (OSError, ValueError) as error:
            raise InputError(f"{path} cannot be read: {reason(error)}.") from error
    digest.update(json.dumps(options, sort_keys=True).encode())
    return digest.hexdigest()[:16]


def plain_options(config: object, names: Iterable[str]) -> tuple[dict[str, Any], list[Path]]:
    """Options by name for a record that names nothing of this machine: of a file, only its name; and those files."""
    options = {name: getattr(config, name) for name in names}
    files = {name: Path(value) for name, value in options.items() if isinstance(value, str) and os.path.isfile(value)}
    return options | {name: printable(path.name) for name, path in files.items()}, list(files.values())


def printable(name: str) -> str:
    """The name of a file as text that every file format takes: it need not be UTF-8."""
    return name.encode(errors="backslashreplace").decode()


def find_folder(parent: Path, stem: str, result: str, taken: Container[Path] = ()) -> tuple[Path, bool]:
    """The folder for a result: `stem`, or `stem-2`, `stem-3` ... where others hold other results.

    Args:
        parent: where result folders lie.
        stem: the name that the folder should have; where it is too long, its end is replaced by a hash.
        result: its `fingerprint`, which the painting inside records under the same name.
        taken: folders that other results are about to be written to.

    Returns:
        The folder, and whether it holds the same result already.
    """
    stem = shortened(stem)
    folder, number = parent / stem, 1
    while folder in taken or os.path.lexists(folder):
        if folder not in taken and _fingerprint(folder) == result:
            return folder, True
        number += 1
        folder = parent / f"{stem}-{number}"
    return folder, False


def free_folder(out: str | Path, result: str) -> tuple[Path, bool]:
    """The folder `out` for files that record `result`, or OUT-2, OUT-3 ... where others hold other files.

    Returns:
        The folder, and whether it holds (a part of) the same result already.

    Raises:
        InputError: `out` is the current folder, and holds other files.
    """
    wanted = Path(out) if Path(out).name.strip(".") else Path(os.path.abspath(out))
    folder, number = wanted, 1
    while os.path.lexists(folder) and not (folder.is_dir() and not any(folder.iterdir())):
        if _fingerprint(folder) == result:
            return folder, True
        if wanted.absolute() == Path.cwd():
            raise InputError("The current folder holds other files; choose another --out.")
        number += 1
        folder = wanted.with_name(f"{wanted.name}-{number}")
    return folder, False


def shortened(name: str) -> str:
    """`name`, or where it has too many bytes for a folder with a number: its beginning and a hash."""
    data = os.fsencode(name)
    if len(data) <= LONGEST_NAME:
        return name
    return f"{data[: LONGEST_NAME - 9].decode(errors='ignore')}-{hashlib.sha256(data).hexdigest()[:8]}"


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """A temporary folder beside `folder`; renamed to it at the end, whole, and removed after an error.

    A folder that is there already is replaced. Raises `InputError` when the disk does not take it.
    """
    temporary = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        sweep(folder.parent)
        temporary = temporary_path(folder)
        (temporary / RETIRED).mkdir(parents=True)
        (temporary / "new").mkdir()
        yield temporary / "new"
        sync(temporary / "new")
        if os.path.lexists(folder):
            folder.rename(temporary / RETIRED / folder.name)
        (temporary / "new").rename(folder)
        sync(folder.parent)
    except OSError as error:
        raise InputError(f"Cannot write {folder}: {error.strerror}; choose another place or make room.") from error
    except InputError as error:
        raise InputError(str(error).replace(str(temporary and temporary / "new"), str(folder))) from error
    finally:
        if temporary is not None:
            remove_temporary_folder(temporary)


class MetricsTable:
    """A CSV of metrics, a row for each result folder, which several processes may write at once.

    Args:
        path: the file; it may not exist yet.
        columns: of the table. Rows of an older version, with fewer of them, are kept.

    Raises:
        InputError: when the file is not such a table.
    """

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self.path, self.columns = path, tuple(columns)
        self.rows()

    def rows(self) -> list[dict[str, str]]:
        """The rows so far. Raises `InputError` when they cannot be read."""
        if not os.path.lexists(self.path):
            return []
        with guarded(self.path, InputError, "cannot be read", "; choose another --out"):
            reader = csv.DictReader(io.StringIO(read_text(self.path, errors="surrogateescape"), newline=""))
            columns, rows = tuple(reader.fieldnames or ()), list(reader)
        known = bool(columns) and set(columns) <= set(self.columns) and columns[0] == self.columns[0]
        if not known or any(None in (*row, *row.values()) for row in rows):
            raise InputError(f"{self.path} is not a table of this program; choose another --out.")
        return [dict.fromkeys(self.columns, "") | row for row in rows]

    def put(self, row: Mapping[str, str], key: str = "folder") -> None:
        """Add a row, in place of one with the same `key`. Raises `InputError` when it cannot be written."""
        with _locked(self.path):
            rows = [old for old in self.rows() if old[key] != row[key]]
            write_rows(self.path, self.columns, [*rows, row])


def write_rows(path: Path, columns: Iterable[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write a table as CSV, whole or not at all. Names of files need not be UTF-8: their bytes come through."""
    with (
        atomic(path) as temporary,
        temporary.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file,
    ):
        writer = csv.DictWriter(file, list(columns))
        writer.writeheader()
        writer.writerows(rows)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Only one process at a time; the lock goes with the process, however that ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # The folder itself is locked: a lock on the file would not outlive its replacement.
    try:
        handle = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise InputError(f"Cannot write {path}: {error.strerror}; choose another --out.") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _fingerprint(folder: Path) -> object:
    """What the result in a folder records; None where there is none."""
    try:
        return Painting.load(folder / STROKES).provenance.get("fingerprint")
    except PaintingError:
        pass
    for name in (STYLES, FRAMES):
        try:
            return read_header(folder / name).get("fingerprint")
        except (OSError, ValueError):
            pass
    return None
