"""A real limit on the size of files instead of a patched function: every writer raises its own error."""

import resource
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from experiments import runs
from renderer.errors import InputError
from renderer.io.checkpoint import Checkpoint
from renderer.io.files import atomic

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
