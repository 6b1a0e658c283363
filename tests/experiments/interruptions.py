"""Stop a training in the middle, resume it, and compare what it wrote."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest
import torch
from safetensors import safe_open

from experiments import runs
from experiments.trainer import RunOptions

Config = TypeVar("Config", bound=RunOptions)


class StoppedError(Exception):
    """Stands for a kill in the middle of a training."""


def contents(file: Path) -> dict[str, bytes | str]:
    """Everything in a safetensors file: tensors and metadata, by name."""
    with safe_open(file, "np") as opened:
        return {name: opened.get_tensor(name).tobytes() for name in opened.keys()} | opened.metadata()  # noqa: SIM118


def stopped_and_resumed(
    monkeypatch: pytest.MonkeyPatch, train: Callable[[Config], Path], config: Config, *, saves: int = 1
) -> Path:
    """Run a training that is stopped after so many saves and then resumed; return its run folder."""
    before, done = set(Path(config.runs).glob("*")), []

    def save(*arguments: object) -> None:
        runs_save_state(*arguments)  # type: ignore[arg-type]
        done.append(arguments)
        if len(done) == saves:
            raise StoppedError

    runs_save_state = runs.save_state
    with monkeypatch.context() as patched:
        patched.setattr(runs, "save_state", save)
        with pytest.raises(StoppedError):
            train(config)
    (folder,) = set(Path(config.runs).iterdir()) - before
    torch.rand(3)  # a resumed training does not depend on the global generator
    assert train(type(config)(resume=str(folder))) == folder
    return folder
