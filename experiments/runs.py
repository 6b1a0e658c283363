"""Run folders: the record of a training, from which it resumes exactly.

`runs/DATE_script_seedN/` holds `config.json` (arguments, command, commit, versions), TensorBoard's curves, samples,
`state.safetensors` (all that resuming needs) and the checkpoints `latest` and `best`.
"""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from experiments.cli import program
from renderer.errors import InputError
from renderer.io.checkpoint import CheckpointError
from renderer.io.files import atomic
from renderer.io.tensor_file import write_tensors

Config = TypeVar("Config")
RENAMED = {"learn": "training", "limits": "round_strokes"}  # fields in runs of version 0.1


def start(script: str, config: Any, runs: str | Path = "runs") -> Path:
    """Make a new run folder with `config.json`, and return it. A folder that exists is never overwritten."""
    name = f"{datetime.now():%Y%m%d-%H%M%S}_{script}_seed{config.seed}"
    folder, number = Path(runs) / name, 1
    while not _made(folder):
        number += 1
        folder = Path(runs) / f"{name}-{number}"
    record = {"script": script, "arguments": dataclasses.asdict(config), **describe_run()}
    with atomic(folder / "config.json") as temporary:
        temporary.write_text(json.dumps(record, indent=2))
    return folder


def _made(folder: Path) -> bool:
    """Make a folder; False where it is there, also when another process was quicker."""
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        return False
    except OSError as error:
        raise InputError(f"Cannot write {folder}: {error.strerror}; choose another place or make room.") from error
    return True


def resume(folder: str | Path, script: str, config: type[Config]) -> Config:
    """Return the configuration of the run in `folder`. Raises `InputError` if it is not a run of `script`."""
    path = Path(folder) / "config.json"
    try:
        record = json.loads(path.read_text())
        if record["script"] != script:
            raise InputError(f"{folder} is a run of {record['script']}; resume it with that command.")
        return _rebuild(config, record["arguments"])
    except (OSError, KeyError, TypeError, AttributeError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{folder} is not a run of {script} that can be resumed ({error}).") from error


def _rebuild(kind: type[Config], values: dict[str, Any]) -> Config:
    """Invert `dataclasses.asdict` and JSON, for a dataclass that may contain others."""
    hints = get_type_hints(kind)
    known = {}
    for name, value in values.items():
        name = RENAMED.get(name, name) if name not in hints else name
        if dataclasses.is_dataclass(hints.get(name)):
            value = _rebuild(hints[name], value)
        known[name] = tuple(value) if isinstance(value, list) else value
    return kind(**known)


def describe_run() -> dict[str, Any]:
    """Return what reproducing a file needs: command, commit, versions, threads. No path of this machine."""
    root = Path(__file__).resolve().parent.parent
    try:
        asked = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=root, capture_output=True, text=True)
        commit = asked.stdout.strip()
    except OSError:  # git is not installed
        commit = ""
    return {
        "command": " ".join([program(), *map(without_folders, sys.argv[1:])]),
        "commit": commit or "unknown",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
    }


def without_folders(value: Any) -> Any:
    """Text, or text in dictionaries and lists, with only the last part of absolute paths: those of this machine say nothing.

    >>> without_folders({"root": "/data/kaokore", "files": ["a/b.png", "--out=/data/out"]})
    {'root': 'kaokore', 'files': ['a/b.png', '--out=out']}
    """
    if isinstance(value, Mapping):
        return {name: without_folders(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [without_folders(part) for part in value]
    if not isinstance(value, str):
        return value
    option, equals, path = value.rpartition("=")
    return f"{option}{equals}{Path(path).name}" if os.path.isabs(path) else value


def save_state(path: str | Path, step: int, objects: Mapping[str, Any], notes: Mapping[str, Any] | None = None) -> None:
    """Write the state of a training.

    Args:
        path: The file.
        step: Number of steps done.
        objects: Modules, optimizers and generators by name.
        notes: JSON values.
    """
    tensors: dict[str, Tensor] = {}
    groups: dict[str, Any] = {}
    for name, thing in objects.items():
        if isinstance(thing, torch.Generator):
            tensors[f"{name}/generator"] = thing.get_state()
        elif isinstance(thing, torch.optim.Optimizer):
            state = thing.state_dict()
            groups[name] = state["param_groups"]
            for index, values in state["state"].items():
                tensors.update({f"{name}/{index}/{key}": torch.as_tensor(value) for key, value in values.items()})
        else:
            tensors.update({f"{name}/{key}": value for key, value in thing.state_dict().items()})
    metadata = {"step": str(step), "groups": json.dumps(groups), "notes": json.dumps(notes or {})}
    # Copies, because modules share tensors and a file may not.
    write_tensors(path, {name: tensor.detach().clone() for name, tensor in tensors.items()}, metadata)


def load_state(path: str | Path, objects: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
    """Load what `save_state` wrote into `objects`; return the number of steps done and the notes.

    Raises `CheckpointError`.
    """
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"The training state {path} cannot be read ({error}).") from error
    try:
        groups = json.loads(metadata["groups"])
        for name, thing in objects.items():
            mine = {key.removeprefix(f"{name}/"): value for key, value in tensors.items() if key.startswith(f"{name}/")}
            _load(thing, mine, groups.get(name))
        return int(metadata["step"]), json.loads(metadata["notes"])
    except (KeyError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[-1].strip()
        raise CheckpointError(f"The training state {path} is not one of this training ({reason}).") from error


def _load(thing: Any, mine: Mapping[str, Tensor], groups: Any) -> None:
    if isinstance(thing, torch.Generator):
        thing.set_state(mine["generator"])
    elif isinstance(thing, torch.optim.Optimizer):
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in mine.items():
            index, entry = key.split("/")
            state.setdefault(int(index), {})[entry] = value
        # Whether a GPU records its steps depends on this machine, not on that which wrote the state.
        here = {key: value for key, value in thing.defaults.items() if key == "capturable"}
        thing.load_state_dict({"state": state, "param_groups": [group | here for group in groups or []]})
        for (
            parameter,
            values,
        ) in thing.state.items():  # fused optimizers require the memory format of the weights
            for entry, value in values.items():
                if value.shape == parameter.shape:
                    values[entry] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)
    else:
        thing.load_state_dict(mine)
