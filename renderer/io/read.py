"""Read files from anywhere: of bounded size, and every fault is an error of this project, in one line that names the file.

    with guarded(path, CheckpointError, "is damaged or not a checkpoint"):
        metadata, tensors = read_tensors(path)
        config = from_json(Config, parse_json(metadata["config"]))

The functions raise `ValueError` with a reason; `guarded` adds the file and what to do.
"""

from __future__ import annotations

import csv
import json
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from safetensors import SafetensorError

from renderer.errors import InputError

MAX_TEXT = 16 * 2**20  # bytes; parsed, text takes up to some 25 times as much
MAX_DEPTH = 64  # of JSON
MAX_REASON = 200  # characters of an error
# What damaged content makes libraries raise; a programming error among them would be found by the tests of whole files.
FAULTS = (
    *(OSError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError),
    *(RuntimeError, MemoryError, csv.Error, SafetensorError),
)


@contextmanager
def guarded(file: str | Path, error: type[InputError], what: str, advice: str = "") -> Iterator[None]:
    """Turn every fault of a reader into `error`, whose message is `FILE WHAT (reason)ADVICE`.

    An `error` that names the file comes through as it is.

    Args:
        file: its path, or a text that contains it.
        error: the class to raise.
        what: is wrong, such as "is damaged or not a painting".
        advice: what to do, such as "; fetch it again".
    """
    try:
        yield
    except FAULTS as fault:
        if isinstance(fault, error) and str(file) in str(fault):
            raise
        raise error(f"{file} {what} ({reason(fault)}){advice}.") from fault


def reason(fault: BaseException) -> str:
    """A few words of an exception, in one line without a full stop."""
    if isinstance(fault, OSError) and fault.strerror:
        return fault.strerror
    words = str(fault).partition("\nException raised from ")[0]  # PyTorch adds the frames of its C++
    text = one_line(words, MAX_REASON).rstrip(".") or type(fault).__name__
    return f"{text} is missing" if isinstance(fault, KeyError) else text


def one_line(text: object, most: int = 60) -> str:
    r"""Text from a file for an error: without line breaks and, beyond `most` characters, cut off.

    >>> one_line("a\nb" + 100 * "c", 8)
    'a bcc...'
    """
    words = " ".join(str(text).split())
    return words if len(words) <= most else f"{words[: most - 3]}..."


def read_bytes(path: str | Path, max_bytes: int = MAX_TEXT) -> bytes:
    """Read a file of at most `max_bytes`. Raises `OSError`, and `ValueError` for a larger file, a pipe or a device."""
    with opened(path) as file:
        _require_size(os.fstat(file.fileno()).st_size, max_bytes)
        data = file.read(max_bytes + 1)  # it may grow
        _require_size(len(data), max_bytes)
        return data


def read_text(path: str | Path, max_bytes: int = MAX_TEXT, errors: str = "strict") -> str:
    """Read UTF-8 text, without a byte order mark. Raises as `read_bytes`, and `ValueError` for other bytes."""
    try:
        return read_bytes(path, max_bytes).decode("utf-8-sig", errors)
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not UTF-8 text: byte {error.start} is {error.object[error.start]:#04x}") from error


def parse_json(text: str | bytes) -> dict[str, Any]:
    """Parse a JSON object of at most `MAX_DEPTH` levels. Raises `ValueError` for anything else."""
    try:
        value = json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(value, dict):
        raise ValueError("it is no JSON object")
    level: list[Any] = [value]
    for _ in range(MAX_DEPTH):
        level = [child for item in level for child in _children(item)]
        if not level:
            return value
    raise ValueError("it is nested too deeply")


def read_json(path: str | Path, max_bytes: int = MAX_TEXT) -> dict[str, Any]:
    """Read a file that holds a JSON object. Raises as `read_text` and `parse_json`."""
    return parse_json(read_text(path, max_bytes))


def to_json(value: object, max_bytes: int = MAX_TEXT // 4) -> str:
    """JSON that `parse_json` reads. Raises `ValueError` for what JSON cannot hold.

    NaN and infinity are written as Python does, because files of earlier versions hold them.
    """
    try:
        text = json.dumps(value)
    except (TypeError, RecursionError) as error:
        raise ValueError(reason(error)) from error
    _require_size(len(text), max_bytes)
    parse_json(text)
    return text


def _require_size(size: int, most: int) -> None:
    if size > most:
        raise ValueError(f"{size:,} bytes are more than the {most:,} that such a file may have")


@contextmanager
def opened(path: str | Path) -> Iterator[BinaryIO]:
    """A regular file; opening a pipe would wait for its writer."""
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError("it is no regular file")
        yield file


def _children(value: Any) -> Sequence[Any]:
    return list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else ()
