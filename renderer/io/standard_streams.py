"""Standard output and standard error that a command may lose while it runs: a full disk, a closed pipe."""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

UNWRITTEN = 2  # exit code: the output could not be written
CLOSED = 141  # exit code: nobody reads the output any more; that of a program that ends by SIGPIPE, as in `yes | head`


class OutputError(OSError):
    """A standard stream takes no more."""


class _Stream(io.TextIOWrapper):
    """A standard stream whose errors are told apart from those of all other files, and are raised again by `flush`."""

    lost: OutputError | None = None

    def write(self, text: str) -> int:
        try:
            return super().write(text)
        except OSError as error:
            self.lost = OutputError(error.errno, error.strerror)
            raise self.lost from None

    def flush(self) -> None:
        if self.lost is not None:
            raise self.lost
        try:
            super().flush()
        except OSError as error:
            self.lost = OutputError(error.errno, error.strerror)
            raise self.lost from None


@contextmanager
def checked_streams() -> Iterator[None]:
    """Watch standard output and error, flush them at the end, and end the program where they cannot be written.

    Raises:
        SystemExit: with code 141 and without a word where the reader of a pipe has gone (`--help | head`); with code 2
            and one line on the stream that is left where a disk is full.
    """
    before = sys.stdout, sys.stderr
    streams = [_watched(stream) for stream in before]
    sys.stdout, sys.stderr = streams
    try:
        try:
            yield
        finally:
            for stream in streams:
                stream.flush()
    except OutputError as error:
        for stream in streams:
            _drop_if_lost(stream)
        if error.errno != errno.EPIPE:
            with suppress(OSError):
                sys.stderr.write(f"error: The output cannot be written: {error.strerror}.\n")
                sys.stderr.flush()
        raise SystemExit(CLOSED if error.errno == errno.EPIPE else UNWRITTEN) from None
    finally:
        sys.stdout, sys.stderr = before
        for stream, original in zip(streams, before, strict=True):
            if isinstance(stream, _Stream) and stream is not original:  # it is where one command calls another
                with suppress(OSError):
                    stream.detach()


def _watched(stream: TextIO | None) -> TextIO:
    if stream is None:  # started with a closed stream, `>&-`
        return open(os.devnull, "w")
    if type(stream) is not io.TextIOWrapper:  # a notebook's or a test's
        return stream
    assert isinstance(stream, io.TextIOWrapper)
    return _Stream(
        stream.buffer,
        stream.encoding,
        stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


def _drop_if_lost(stream: TextIO) -> None:
    """Drop what a stream that takes no more still holds, or Python would complain when it ends."""
    try:
        stream.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
        if isinstance(stream, _Stream):
            stream.lost = None  # it is reported once, also where one command calls another
