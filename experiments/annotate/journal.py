"""Lines that outlive a crash: a file of JSON objects that only grows, in the hands of one process."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path
from typing import Any

from renderer.errors import InputError


class Journal:
    """A file of JSON objects, one a line. `append` returns when the line is on the disk.

    `lines` holds the objects. What a crash left of an unfinished last line is cut off when the file is opened. The
    file is locked while it is open; the lock goes with the process, however that ends.

    Raises `InputError` when the file cannot be written, is damaged, or is open in another process.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise InputError(f"Cannot write {path}: {error.strerror}; choose another --out.") from error
        try:
            self._lock()
            self.lines, self._size = self._read()
            os.ftruncate(self._file, self._size)
            _keep_name(self.path.parent)
        except BaseException:
            self.close()
            raise

    def append(self, line: dict[str, Any]) -> None:
        """Adds a line. Raises `InputError` when the disk does not take it; the file is then as it was."""
        data = json.dumps(line, ensure_ascii=False).encode() + b"\n"
        try:
            if os.write(self._file, data) < len(data):
                raise OSError(0, "the disk is full")
            os.fsync(self._file)
        except OSError as error:
            os.ftruncate(self._file, self._size)
            raise InputError(f"Cannot write {self.path}: {error.strerror}; make room and answer again.") from error
        self._size += len(data)
        self.lines.append(line)

    def close(self) -> None:
        """Lets go of the file, and so of its lock."""
        os.close(self._file)

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(
                f"{self.path} is open in another process; let others join by opening its page in their own browser."
            ) from error
        except OSError as error:
            raise InputError(f"{self.path} cannot be locked ({error.strerror}); choose an --out elsewhere.") from error

    def _read(self) -> tuple[list[dict[str, Any]], int]:
        """The whole lines, and how many bytes they take."""
        data = self.path.read_bytes()
        whole, lines = data[: data.rfind(b"\n") + 1], []
        for number, text in enumerate(whole.split(b"\n")[:-1], 1):
            try:
                lines.append(json.loads(text))
                sound = isinstance(lines[-1], dict)
            except ValueError:
                sound = False
            if not sound:
                raise InputError(f"Line {number} of {self.path} is damaged; mend or remove it, then start again.")
        return lines, len(whole)


def _keep_name(folder: Path) -> None:
    """A new file's name is on the disk only when its folder is."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
