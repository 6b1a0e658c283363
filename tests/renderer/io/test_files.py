"""A real limit on the size of files instead of a patched function: every writer raises its own error."""

import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from experiments import runs
from renderer.errors import InputError
from renderer.io import files
from renderer.io.checkpoint import Checkpoint
from renderer.io.files import RETIRED, atomic, sweep, temporary_path

WRITERS: dict[str, Callable[[Path], object]] = {
    "checkpoint": lambda path: Checkpoint("some", {}, {"weight": torch.zeros(100_000)}).save(path),
    "training state": lambda path: runs.save_state(path, 1, {"network": nn.Linear(400, 250)}),
}


@pytest.fixture
def no_room() -> Iterator[None]:
    """No file may grow beyond 100 kB."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.usefixtures("no_room")
@pytest.mark.parametrize("writer", WRITERS)
def test_full_disk(writer: str, tmp_path: Path) -> None:
    path = tmp_path / "some.safetensors"
    path.write_bytes(b"old")
    with pytest.raises(InputError, match=r"Cannot write .*some\.safetensors: .*too large.*; choose another place"):
        WRITERS[writer](path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.usefixtures("no_room")
def test_full_disk_for_text(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="File too large"), atomic(tmp_path / "some.txt") as temporary:
        temporary.write_text("x" * 200_000)
    assert list(tmp_path.iterdir()) == []


def test_symbolic_links_keep_pointing(tmp_path: Path) -> None:
    target = tmp_path / "there" / "a.txt"
    target.parent.mkdir()
    for link, to in (("a.txt", target), ("relative.txt", Path("there/a.txt")), ("chain.txt", Path("a.txt"))):
        (tmp_path / link).symlink_to(to)
    for link in ("a.txt", "relative.txt", "chain.txt"):  # at the first one, there is no target yet
        with atomic(tmp_path / link) as temporary:
            assert temporary.parent == target.parent, "the link may lead to another disk"
            temporary.write_text(link)
        assert (tmp_path / link).is_symlink()
        assert target.read_text() == link
    (tmp_path / "circle").symlink_to("circle")
    with pytest.raises(InputError, match="Too many levels"), atomic(tmp_path / "circle"):
        pytest.fail("found only after the work")


def test_folders_and_pipes_are_not_replaced(tmp_path: Path) -> None:
    """Nor devices: root's `--out /dev/full` once made a file of it."""
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    for name, reason in (("folder", "Is a directory"), ("pipe", "a device or a pipe"), ("link", "a device or a pipe")):
        with pytest.raises(InputError, match=reason), atomic(tmp_path / name):
            pytest.fail("found only after the work")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "link", "pipe"]


@pytest.mark.parametrize("name", ["a" * 251 + ".txt", "顔" * 83 + ".txt", "." + "b" * 240, "a." + "c" * 250])
def test_long_names(tmp_path: Path, name: str) -> None:
    with atomic(tmp_path / name) as temporary:
        temporary.write_text("whole")
    assert (tmp_path / name).read_text() == "whole"
    with pytest.raises(InputError, match="name too long"), atomic(tmp_path / (name + "a" * 20)):
        pytest.fail("found only after the work")


def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"\xff")
    Checkpoint("some", {}, {"weight": torch.zeros(1)}).save(folder / os.fsdecode(b"\xfe.safetensors"))
    assert len(list(folder.iterdir())) == 1


def test_file_and_folder_are_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once each, before and after the file gets its name."""
    events: list[str] = []
    replace, fsync = os.replace, os.fsync
    monkeypatch.setattr(os, "replace", lambda *paths: (events.append("named"), replace(*paths)))
    monkeypatch.setattr(os, "fsync", lambda file: (events.append(os.readlink(f"/proc/self/fd/{file}")), fsync(file)))
    with atomic(tmp_path / "a.txt") as temporary:
        temporary.write_text("whole")
    assert events == [str(temporary), "named", str(tmp_path)]


def left_by_a_dead_process(target: Path) -> Path:
    code = "import sys, pathlib; from renderer.io.files import temporary_path as t; print(t(pathlib.Path(sys.argv[1])))"
    root = Path(__file__).parents[3]
    said = subprocess.run([sys.executable, "-c", code, target], cwd=root, capture_output=True, text=True, check=True)
    return Path(said.stdout.strip())


def test_what_dead_processes_left_is_swept(tmp_path: Path) -> None:
    dead, mine = left_by_a_dead_process(tmp_path / "a.png"), temporary_path(tmp_path / "a.png")
    again = mine.with_name(
        mine.name.replace(f"-{os.getpid()}-", f"-{os.getpid()}-1")
    )  # a process number that came again
    host, _, rest = dead.name.partition("-")
    other = dead.with_name(f".{'0' * len(host[1:])}-{rest}")  # of another machine that shares the folder
    user = tmp_path / ".hidden.tmp"
    for path in (dead, mine, again, other, user):
        path.touch()
    with atomic(tmp_path / "a.png") as temporary:
        temporary.touch()
    assert {*tmp_path.iterdir()} == {mine, other, user, tmp_path / "a.png"}


def test_a_folder_that_was_about_to_be_replaced_gets_its_name_back(tmp_path: Path) -> None:
    dead = left_by_a_dead_process(tmp_path / "face")
    for name in ("lost", "face"):
        (dead / RETIRED / name).mkdir(parents=True)
        (dead / RETIRED / name / "painting.png").write_text("old")
    (dead / "new").mkdir()
    (tmp_path / "face").mkdir()
    sweep(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"lost", "face"}
    assert (tmp_path / "lost" / "painting.png").read_text() == "old"
    assert not any((tmp_path / "face").iterdir()), "the new one had its name already"


def test_a_disk_that_becomes_read_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(files, "sync", refuse)
    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(InputError, match="Read-only"), atomic(tmp_path / "a.txt") as temporary:
        temporary.write_text("half")
