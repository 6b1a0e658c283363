"""An append-only file that survives a crash, for the records of long jobs."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from renderer.errors import InputError
from renderer.io.files import sync
from renderer.io.read import guarded, read_bytes

MAX_BYTES = 64 * 2**20  # some 250,000 lines


class AppendOnlyFile:
    """A file of lines that one process writes. `append` returns when its line is on the disk.

    An unfinished last line, which a crash may have left, is cut off when the file is opened. The file is locked while it
    is open; the lock ends with the process, in whatever way that ends.

    Attributes:
        whole: the lines that were in the file.

    Raises:
        InputError: when the file cannot be written, has over `max_bytes`, or is open in another process (then with
            `advice`).
    """

    def __init__(self, path: str | Path, advice: str, max_bytes: int = MAX_BYTES) -> None:
        self.path = Path(path)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise InputError(f"Cannot write {path}: {error.strerror}; choose another --out.") from error
        try:
            self._lock(advice)
            with guarded(self.path, InputError, "cannot be read", "; choose another --out"):
                data = read_bytes(self.path, max_bytes)
            self.whole = data[: data.rfind(b"\n") + 1]
            self._size = len(self.whole)
            os.ftruncate(self._file, self._size)
            sync(self.path.parent)  # only then does the name of a new file survive a crash
        except BaseException:
            self.close()
            raise

    def append(self, line: bytes) -> None:
        """Add a line. Raises `InputError` when it cannot be written; the file is then as it was."""
        try:
            if os.write(self._file, line) < len(line):
                raise OSError(0, "the disk is full")
            os.fsync(self._file)
        except OSError as error:
            with suppress(OSError):  # else the next process cuts the unfinished line off
                os.ftruncate(self._file, self._size)
            raise InputError(f"Cannot write {self.path}: {error.strerror}; make room and try again.") from error
        self._size += len(line)

    def close(self) -> None:
        """Close the file, which ends its lock; a second time does nothing."""
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)

    def _lock(self, advice: str) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(f"{self.path} is open in another process; {advice}.") from error
        except OSError as error:
            raise InputError(f"{self.path} cannot be locked ({error.strerror}); choose an --out elsewhere.") from error
