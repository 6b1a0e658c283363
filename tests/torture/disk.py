"""Run every command that writes on a full disk and on a read-only one: one clear line, exit code 2, and nothing lost.

    python -m tests.torture.disk
    python -m tests.torture.disk --only repaint,replay

The disk is a small tmpfs that also holds an earlier result, so this needs root; without, it says that it is skipped. A full
disk is tried with room for nothing and for a part of what the command writes; afterwards, with room again, the same command
must succeed. The exit code is 1 after a finding.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from experiments import cli, evaluate, replay, stylegan, stylize, train_stylegan, visualize
from kaokore import write_fake_kaokore
from painter.losses.activation import ViewConfig
from renderer.io.painting import Painting
from renderer.strokes import BEZIER
from tests.torture import kill
from tests.torture.children import Ended, run, torment_all

SHARES = (0.0, 0.25, 0.5, 0.75, 0.95)  # of what a command writes, for which there is room
PAGE = 4096


@dataclass(frozen=True)
class Command:
    """A command that writes into a folder."""

    name: str
    start: Callable[[Path], object]
    lines: int = 1  # that say what is wrong, at most: repaint has one for each image


@dataclass(frozen=True)
class Nothing:
    """No options: `start` knows them."""


@contextmanager
def small_disk(place: Path, size: int) -> Iterator[None]:
    """A tmpfs of `size` bytes at `place`."""
    place.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=755", "tmpfs", place], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


def can_mount() -> bool:
    """Whether this process may mount a tmpfs."""
    with tempfile.TemporaryDirectory() as name:
        try:
            with small_disk(Path(name) / "disk", PAGE):
                return True
        except (subprocess.CalledProcessError, OSError):
            return False


def commands(folder: Path) -> Iterator[Command]:
    """All commands that write; `folder` is for their inputs."""
    root, log = str(write_fake_kaokore(folder / "fake", n=24)), folder / "log.txt"
    for job in kill.jobs(folder):
        if job.name != "annotate, page":  # it would serve for ever; see the journal and the table
            yield Command(job.name, job.start, 4 if job.name == "repaint" else 1)
    face = str(folder / "faces" / "face-0.png")
    strokes = folder / "strokes.safetensors"
    Painting(BEZIER.sample(5, torch.Generator().manual_seed(0)), BEZIER, 32, 32).save(strokes)
    for suffix in ("png", "jpg", "svg", "mp4", "gif", "json"):
        options = [str(strokes), "--size", "256"]
        yield _command(f"replay .{suffix}", replay.replay, replay.Config, options, out=f"face.{suffix}")
    small = ["--renderer", "bezier", "--strokes", "3", "--steps", "1", "--size", "32", "--video-size", "64"]
    layer = ["--content", "relu1_2", "--content-weights", "1"]
    yield _command("stylize", stylize.stylize, stylize.Config, [face, *small, *layer])
    view = ViewConfig(views=1, side=32)
    lemon = partial(
        visualize.Config, class_="lemon", renderer="bezier", strokes=3, steps=1, size=32, whole_canvas=True, view=view
    )
    yield Command("visualize", lambda out: visualize.visualize(lemon(out=str(out), video_size=64)))
    training = dataclasses.replace(train_stylegan.TINY, root=root, runs=str(folder / "runs"))
    assert run(partial(train_stylegan.train, training), log).code == 0
    checkpoint = ["--checkpoint", *map(str, (folder / "runs").glob("*/latest.safetensors"))]
    yield _command("sample", stylegan.sample, stylegan.Sample, [*checkpoint, "--n", "2"])
    yield _command("project", stylegan.project, stylegan.Project, [face, *checkpoint, "--steps", "1"])
    yield _command("mix", stylegan.mix, stylegan.Mix, checkpoint, out="mix.png")
    loop = [*checkpoint, "--n", "2", "--seconds", "0.2", "--video-size", "64"]
    yield _command("interpolate", stylegan.interpolate, stylegan.Interpolate, loop, out="loop.mp4")
    measured = ["--root", root, "--methods", "optimize", "--n", "1", "--size", "24", "--strokes", "2", "--steps", "1"]
    yield _command("evaluate", evaluate.evaluate, evaluate.Config, measured)


def _command(
    name: str, function: Callable[..., object], config: type, arguments: list[str], out: str | None = None
) -> Command:
    """A command by its command line; `out` is the name of the file that it writes, None for a folder."""

    def start(folder: Path) -> None:
        target = folder if out is None else folder / out
        cli.run(function, config, arguments=[*arguments, "--out", str(target)], prog=name)

    return Command(name, start)


def snapshot(folder: Path) -> dict[str, bytes]:
    """Every file by its path."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def torment(command: Command, disk: Path, log: Path) -> tuple[int, list[str]]:
    """Run a command on full disks and a read-only one; returns the number of faults and what was found."""

    def start(folder: Path) -> None:
        cli.run(lambda _: command.start(folder), Nothing, arguments=[], prog="torture")

    def go(name: str) -> Ended:
        return run(partial(start, disk / name), log)

    findings: list[str] = []
    faults = 0
    with small_disk(disk, 2**30):
        whole = go("earlier")
        if whole.code != 0:
            return 0, [f"{command.name}: with room, it ended with {whole.code}: {whole.said[-400:]}"]
        before = snapshot(disk)
        used = os.statvfs(disk)
        need = (used.f_blocks - used.f_bfree) * used.f_frsize
        for share in SHARES:
            where = f"{command.name}, room for {share:.0%}"
            subprocess.run(["mount", "-o", f"remount,size={_pages(need + share * need)}", disk], check=True)
            ended = go("now")
            faults += ended.code != 0
            findings += [f"{where}: {said}" for said in _complaints(command, ended, disk, before, (0, 2))]
            subprocess.run(["mount", "-o", f"remount,size={2**30}", disk], check=True)
            again = go("now")
            if again.code != 0:
                findings.append(f"{where}, and then room: it ended with {again.code}: {again.said[-400:]}")
            findings += [f"{where}, and then room: {said}" for said in _complaints(command, again, disk, before, (0,))]
            shutil.rmtree(disk / "now")
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        ended = go("now")
        faults += ended.code != 0
        findings += [f"{command.name}, read-only: {said}" for said in _complaints(command, ended, disk, before, (2,))]
    return faults, findings


def _pages(size: float) -> int:
    return int(-(-size // PAGE) * PAGE)


def _complaints(
    command: Command, ended: Ended, disk: Path, before: dict[str, bytes], codes: tuple[int, ...]
) -> Iterator[str]:
    lines = [line for line in ended.said.replace("\r", "\n").splitlines() if line.startswith("error:")]
    if ended.code not in codes or "Traceback" in ended.said:
        yield f"it ended with {ended.code}: {ended.said[-400:]}"
    elif (ended.code == 2 and not 1 <= len(lines) <= command.lines) or ".tmp" in "".join(lines):
        yield f"{len(lines)} lines say what is wrong: {ended.said[-400:]}"
    now = snapshot(disk)
    if any(now.get(name) != content for name, content in before.items()):
        yield "an earlier result changed"
    left = [str(path.relative_to(disk)) for path in disk.rglob(".*.tmp*")]
    if left:
        yield f"left there: {', '.join(left[:5])}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="parts of commands' names, separated by commas")
    options = parser.parse_args()
    if not can_mount():
        print("SKIPPED: full and read-only disks, because mounting a tmpfs needs root.")
        return 0

    def fill(command: Command, folder: Path) -> tuple[str, list[str]]:
        begun = time.monotonic()
        faults, found = torment(command, folder / "disk", folder / "log.txt")
        return f"{faults:3} faults, {time.monotonic() - begun:.0f} s", found

    return torment_all(commands, fill, options.only, kill.stop_servers)


if __name__ == "__main__":
    sys.exit(main())
