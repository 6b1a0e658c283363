"""The folder of the studio: all documents, uploads and exports; nothing is written outside of it."""

from __future__ import annotations

import os
import re
import shutil
import threading
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from renderer.errors import InputError
from renderer.io.files import check_writable, temporary_path
from renderer.io.images import long_side
from renderer.io.painting import Painting
from studio.document import PICTURE, Document
from studio.painters import Painters
from studio.presets import Settings

MAX_UPLOAD = 32 * 2**20  # bytes
MAX_SIDE = 10_000  # pixels of an uploaded picture
MAX_DOCUMENTS = 1000
MAX_NAME = 60  # characters
_RESERVED = {"con", "prn", "aux", "nul", *(f"{device}{i}" for device in ("com", "lpt") for i in range(1, 10))}


@dataclass(frozen=True)
class Entry:
    """A document in the list: its name, when it was changed last (seconds since 1970), and its picture's file."""

    name: str
    changed: float
    picture: Path


class Workspace:
    """Opens, makes and removes documents in one folder. Safe to use from several threads.

    Args:
        folder: where everything is written.
        painters: makes the painters of all documents.

    Raises:
        InputError: when nothing can be written there.
    """

    def __init__(self, folder: str | Path, painters: Painters) -> None:
        self.folder, self.painters = Path(os.path.realpath(folder)), painters
        self.documents_folder = self.folder / "documents"
        check_writable(self.folder)
        check_writable(self.documents_folder)
        self._open: dict[str, Document] = {}
        self._lock = threading.RLock()

    def list(self) -> list[Entry]:
        """All documents, the one changed last first."""
        found = []
        for path in self.documents_folder.iterdir():
            journal = path / "history" / "history.jsonl"
            if path.name == clean_name(path.name) and (path / PICTURE).is_file() and journal.is_file():
                found.append(Entry(path.name, journal.stat().st_mtime, path / PICTURE))
        return sorted(found, key=lambda entry: -entry.changed)

    def create(self, name: str, picture: Any, settings: Settings | None = None) -> Document:
        """A new document of a picture; its name is cleaned, and numbered where it is taken. Raises `InputError`."""
        return self._added(name, lambda folder: Document.create(folder, picture, self.painters, settings))

    def upload(self, filename: str, data: bytes, settings: Settings | None = None) -> Document:
        """A new document from the bytes of a file: a picture, a session, or a saved painting.

        Raises `InputError` for over `MAX_UPLOAD` bytes or `MAX_SIDE` pixels, and for what is none of these.
        """
        if len(data) > MAX_UPLOAD:
            raise InputError(f"{clean_name(filename)} has over {MAX_UPLOAD // 2**20} MiB; reduce it first.")
        stem, _, suffix = filename.replace("\\", "/").rpartition("/")[2].rpartition(".")
        name = clean_name(stem or suffix)
        suffix = suffix.lower() if stem and re.fullmatch(r"[A-Za-z0-9]{1,12}", suffix) else "image"
        path = temporary_path(self.folder / f"{name}.{suffix}")
        try:
            path.write_bytes(data)
            if suffix == "safetensors":
                return self._from_file(name, path)
            if long_side(path) > MAX_SIDE:
                raise InputError(f"{path} has over {MAX_SIDE:,} pixels a side; reduce it first.")
            return self.create(name, path, settings)
        except OSError as error:
            raise InputError(f"Cannot write {name}: {error.strerror}.") from error
        except InputError as error:  # the temporary name tells nobody anything
            raise type(error)(str(error).replace(str(path), f"{name}.{suffix}")) from error
        finally:
            path.unlink(missing_ok=True)

    def open(self, name: str) -> Document:
        """A document, opened once however often it is asked for. Raises `InputError` when there is none."""
        with self._lock:
            if name not in self._open:
                self._open[name] = Document(self._folder(name), self.painters)
            return self._open[name]

    def rename(self, name: str, new: str) -> Document:
        """Give a document another name, which is cleaned and numbered as needed. Raises `InputError`."""
        with self._lock:
            self._close(name)
            folder = self._folder(name)
            target = self._free(clean_name(new))
            try:
                folder.rename(target)
            except OSError as error:
                raise InputError(f"Cannot rename {name}: {error.strerror}.") from error
            return self.open(target.name)

    def duplicate(self, name: str) -> Document:
        """A copy of what a document shows, without its history, to compare with. Raises `InputError`."""
        document = self.open(name)

        def copied(folder: Path) -> Document:
            path = temporary_path(self.folder / "copy.safetensors")
            try:
                return Document.from_session(folder, document.save(path), self.painters)
            finally:
                path.unlink(missing_ok=True)

        return self._added(f"{name} copy", copied)

    def remove(self, name: str) -> None:
        """Remove a document with its history and exports. Raises `InputError` when there is none, or it is painted."""
        with self._lock:
            self._close(name)
            folder = self._folder(name)
            # Renamed first, so that a kill leaves a whole document or a temporary folder, which is swept.
            gone = temporary_path(folder)
            try:
                folder.rename(gone)
            except OSError as error:
                raise InputError(f"Cannot remove {name}: {error.strerror}.") from error
            shutil.rmtree(gone, ignore_errors=True)

    def close(self) -> None:
        """Close all documents."""
        with self._lock:
            for document in self._open.values():
                document.close()
            self._open.clear()

    def _from_file(self, name: str, path: Path) -> Document:
        from studio.session_file import is_session

        if is_session(path):
            return self._added(name, lambda folder: Document.from_session(folder, path, self.painters))
        painting = Painting.load(path)
        return self._added(name, lambda folder: Document.from_painting(folder, painting, self.painters))

    def _added(self, name: str, make: Any) -> Document:
        with self._lock:
            if sum(1 for _ in self.documents_folder.iterdir()) >= MAX_DOCUMENTS:
                raise InputError(f"There are {MAX_DOCUMENTS} documents; remove some first.")
            folder = self._free(clean_name(name))
            try:
                document: Document = make(folder)
            except BaseException:
                shutil.rmtree(folder, ignore_errors=True)
                raise
            self._open[folder.name] = document
            return document

    def _close(self, name: str) -> None:
        document = self._open.get(name)
        if document is not None:
            if document.busy:
                raise InputError(f"{name} is being painted: stop that first.")
            document.close()
            del self._open[name]

    def _folder(self, name: str) -> Path:
        folder = self.documents_folder / name
        if name != clean_name(name) or not (folder / PICTURE).is_file():
            raise InputError(f"There is no document {clean_name(name)}.")
        return folder

    def _free(self, name: str) -> Path:
        taken = {path.name.casefold() for path in self.documents_folder.iterdir()}
        numbered = (name if i == 1 else f"{name} {i}" for i in range(1, MAX_DOCUMENTS + 2))
        return self.documents_folder / next(text for text in numbered if text.casefold() not in taken)


def clean_name(text: str) -> str:
    """A name for a file or folder on every system: letters, digits, spaces, and `-_.()`, at most `MAX_NAME` characters.

    >>> clean_name("../../etc/passwd"), clean_name("a<b>.png "), clean_name("花")
    ('etc passwd', 'a b .png', '花')
    """
    text = unicodedata.normalize("NFC", text)
    text = "".join(letter if letter.isalnum() or letter in "-_.()" else " " for letter in text)
    text = " ".join(text.split()).lstrip(". ")
    while len(text) > MAX_NAME or len(text.encode()) > 2 * MAX_NAME:
        text = text[:-1]
    text = text.rstrip(". ") or "untitled"
    return f"{text} file" if text.split(".")[0].lower() in _RESERVED else text
