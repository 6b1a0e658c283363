"""Result folders and their table of metrics: one input and one configuration make one folder, written as a unit."""

from __future__ import annotations

import csv
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from renderer.errors import InputError
from renderer.io.files import atomic
from renderer.io.painting import Painting, PaintingError

STROKES = "strokes.safetensors"
METRICS = "metrics.csv"
SUFFIX = ".tmp"


def fingerprint(input_file: Path, options: Mapping[str, Any]) -> str:
    """16 hexadecimal digits that stand for the bytes of an input and the options that a result depends on.

    Raises `InputError` when the file cannot be read.
    """
    try:
        with input_file.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256")
    except OSError as error:
        raise InputError(f"{input_file} cannot be read: {error.strerror}.") from error
    digest.update(json.dumps(options, sort_keys=True).encode())
    return digest.hexdigest()[:16]


def find_folder(parent: Path, stem: str, result: str, taken: Container[Path] = ()) -> tuple[Path, bool]:
    """The folder for a result: `stem`, or `stem-2`, `stem-3` ... where others hold other results.

    Args:
        parent: where result folders lie.
        stem: the name that the folder should have.
        result: its `fingerprint`, which the painting inside records under the same name.
        taken: folders that other results are about to be written to.

    Returns:
        The folder, and whether it holds the same result already.
    """
    folder, number = parent / stem, 1
    while folder in taken or os.path.lexists(folder):
        if folder not in taken and _fingerprint(folder) == result:
            return folder, True
        number += 1
        folder = parent / f"{stem}-{number}"
    return folder, False


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """A temporary folder beside `folder`; renamed to it at the end, whole, and removed after an error.

    A folder that is there already is replaced. Raises `InputError` when the disk does not take it.
    """
    parent = folder.parent
    temporary = parent / f".{folder.name[:100]}.{os.getpid()}{SUFFIX}"
    retired = temporary.with_name(temporary.name + ".old")
    try:
        parent.mkdir(parents=True, exist_ok=True)
        sweep(parent)
        temporary.mkdir()
        yield temporary
        if folder.exists():
            folder.rename(retired)
        temporary.rename(folder)
    except OSError as error:
        raise InputError(f"Cannot write {folder}: {error.strerror}; choose another place or make room.") from error
    finally:
        if retired.exists() and not folder.exists():
            retired.rename(folder)
        for leftover in (temporary, retired):
            shutil.rmtree(leftover, ignore_errors=True)


def sweep(parent: Path) -> None:
    """Remove what killed processes left in `parent`; a folder that one was about to replace gets its name back."""
    for leftover in sorted(parent.glob(f".*.*{SUFFIX}*")):
        name, _, process = leftover.name.removesuffix(".old").removesuffix(SUFFIX).rpartition(".")
        if not leftover.is_dir() or not process.isdecimal() or _alive(int(process)):
            continue
        folder = parent / name[1:]
        if leftover.suffix == ".old" and not folder.exists():
            leftover.rename(folder)
        else:
            shutil.rmtree(leftover, ignore_errors=True)


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
        try:
            with self.path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
                reader = csv.DictReader(file)
                columns, rows = tuple(reader.fieldnames or ()), list(reader)
        except (FileNotFoundError, NotADirectoryError):
            return []
        except (OSError, csv.Error) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise InputError(f"{self.path} cannot be read ({reason}); choose another --out.") from error
        known = bool(columns) and set(columns) <= set(self.columns) and columns[0] == self.columns[0]
        if not known or any(None in (*row, *row.values()) for row in rows):
            raise InputError(f"{self.path} is not a table of this program; choose another --out.")
        return [dict.fromkeys(self.columns, "") | row for row in rows]

    def put(self, row: Mapping[str, str], key: str = "folder") -> None:
        """Add a row, in place of one with the same `key`. Raises `InputError` when it cannot be written."""
        with _locked(self.path):
            rows = [old for old in self.rows() if old[key] != row[key]]
            # Names of files need not be UTF-8: their bytes come through.
            with (
                atomic(self.path) as temporary,
                temporary.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file,
            ):
                writer = csv.DictWriter(file, self.columns)
                writer.writeheader()
                writer.writerows([*rows, dict(row)])


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
    """What the painting in a result folder records; None where there is none."""
    try:
        return Painting.load(folder / STROKES).provenance.get("fingerprint")
    except PaintingError:
        return None


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
