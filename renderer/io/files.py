"""Atomic writing of files: whole or not at all, also after a kill, a full disk or a power failure."""

from __future__ import annotations

import errno
import functools
import hashlib
import os
import platform
import re
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from safetensors import SafetensorError

from renderer.errors import InputError

# Of temporary files and folders: the host and the process that write them, as `temporary_path` makes them.
_TEMPORARY = re.compile(r"\.(?P<host>[0-9a-f]{8})-(?P<process>\d+)-(?P<start>\d+)-[0-9a-f]{8}\.tmp(\..*)?", re.DOTALL)
RETIRED = "retired"  # in a temporary folder: the folder that it was about to replace, under its own name
LONGEST_SUFFIX = 32  # bytes; only such suffixes name a format


@contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Write a file whole or not at all.

    Yields a temporary path beside `path` with the same suffix, which is renamed to `path` at the end and removed after an
    error. File and folder are on the disk when this ends. Through a symbolic link, its target is written. Creates the
    folder. Raises `InputError` when the file cannot be written (permissions, a full disk, a folder or a device there).
    """
    path = Path(path)
    temporary = None
    try:
        target = _target(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        _sweep_once(target.parent, os.getpid())
        temporary = temporary_path(target)
        os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666))
        yield temporary
        sync(temporary)
        os.replace(temporary, target)
        sync(target.parent)
    except (OSError, SafetensorError) as error:  # safetensors reports a full disk by its own error
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"Cannot write {path}: {reason}; choose another place or make room.") from error
    finally:
        if temporary is not None:
            with suppress(OSError):  # the disk may have become read-only
                temporary.unlink(missing_ok=True)


def check_writable(folder: str | Path) -> None:
    """Create the folder if needed, and sweep it. Call it before long work.

    Raises `InputError` when no file can be written there.
    """
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        sweep(Path(folder))
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(f"Cannot write to {folder}: {error.strerror}; choose another place or make room.") from error


def temporary_path(target: Path) -> Path:
    """A new path beside `target`, with its suffix, for what will get its name. `sweep` recognises it by the process."""
    suffix = target.suffix if len(os.fsencode(target.suffix)) <= LONGEST_SUFFIX else ""
    process = os.getpid()
    return target.parent / f".{_host()}-{process}-{_start(process) or 0}-{secrets.token_hex(4)}.tmp{suffix}"


def sweep(folder: Path) -> None:
    """Remove temporary files and folders in `folder` whose process is dead.

    A folder that such a process was about to replace gets its name back. What processes of other hosts left is kept.
    """
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in list(entries):
            name = _TEMPORARY.fullmatch(entry.name)
            if name is None or name["host"] != _host() or _alive(int(name["process"]), int(name["start"])):
                continue
            leftover = folder / entry.name
            if entry.is_dir(follow_symlinks=False):
                remove_temporary_folder(leftover)
            else:
                leftover.unlink(missing_ok=True)


def remove_temporary_folder(folder: Path) -> None:
    """Remove a temporary folder; what was retired into it gets its name back, unless that was given to another one."""
    for retired in (folder / RETIRED).glob("*"):
        if not os.path.lexists(folder.parent / retired.name):
            with suppress(OSError):
                retired.rename(folder.parent / retired.name)
    shutil.rmtree(folder, ignore_errors=True)


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk. Raises `OSError`."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems cannot do this for folders
            raise
    finally:
        os.close(handle)


def _target(path: Path) -> Path:
    """What `path` leads to.

    Raises `OSError`, before any work, for names that the system does not take, and for folders, pipes and devices: a file
    would take their place.
    """
    target = Path(os.path.realpath(path)) if path.is_symlink() else path
    if target.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    with suppress(FileNotFoundError):
        mode = target.lstat().st_mode
        if stat.S_ISDIR(mode):
            raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "it is a device or a pipe")
    return target


@functools.lru_cache(256)
def _sweep_once(folder: Path, process: int) -> None:  # a process sweeps a folder before its first file there
    sweep(folder)


@functools.cache
def _host() -> str:
    """Stands for all processes that this one can see: those of its host, in a container those inside."""
    processes = ""
    with suppress(OSError):
        processes = os.readlink("/proc/self/ns/pid")
    return hashlib.sha256(f"{platform.node()} {processes}".encode()).hexdigest()[:8]


def _start(process: int) -> int | None:
    """When a process started, in ticks since the machine did; None where it is unknown. Numbers of processes come again."""
    try:
        stat = Path(f"/proc/{process}/stat").read_bytes()
    except OSError:
        return None
    return int(stat.rpartition(b")")[2].split()[19])  # field 22 of proc(5); the name before it may hold anything


def _alive(process: int, start: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        pass  # it is another user's
    return _start(process) in (None, start)
