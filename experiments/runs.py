"""Run folders: the record of a training, from which it resumes exactly.

`runs/DATE_script_seedN/` holds `config.json` (arguments, command, commit, versions), TensorBoard's curves, samples,
`state.safetensors` (all that resuming needs) and the checkpoints `latest` and `best`.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import torch
from torch import Tensor

from experiments.cli import program
from renderer.errors import InputError
from renderer.io.checkpoint import CheckpointError
from renderer.io.files import atomic, sweep
from renderer.io.from_json import from_json
from renderer.io.read import guarded, one_line, parse_json, read_json
from renderer.io.tensor_file import read_tensors, require_finite, write_tensors

Config = TypeVar("Config")
RENAMED = {"learn": "training", "limits": "round_strokes"}  # fields in runs of version 0.1


def start(script: str, config: Any, runs: str | Path = "runs") -> Path:
    """Make a new run folder with `config.json`, and return it. A folder that exists is never overwritten."""
    name = f"{datetime.now():%Y%m%d-%H%M%S}_{script}_seed{config.seed}"
    folder, number = Path(runs) / name, 1
    _remove_unbegun(Path(runs))
    while not _made(folder):
        number += 1
        folder = Path(runs) / f"{name}-{number}"
    record = {"script": script, "arguments": dataclasses.asdict(config), **describe_run()}
    with atomic(folder / "config.json") as temporary:
        temporary.write_text(json.dumps(record, indent=2))
    return folder


def _remove_unbegun(runs: Path) -> None:
    """Remove the folders of runs that were killed before they had a `config.json`: they hold temporary files at most."""
    for folder in runs.glob("*_seed*"):
        names = os.listdir(folder) if folder.is_dir() else []
        if names and all(name.startswith(".") for name in names):
            sweep(folder)
            with suppress(OSError):  # it is another process's that is just beginning
                folder.rmdir()


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
    with guarded(folder, InputError, f"is not a run of {script} that can be resumed"):
        record = read_json(Path(folder) / "config.json")
        if from_json(str, record["script"], "script") != script:
            raise InputError(f"{folder} is a run of {one_line(record['script'])}; resume it with that command.")
        return from_json(config, _renamed(config, record["arguments"]))


def _renamed(kind: Any, values: Any) -> Any:
    """The values of a dataclass, and of those in it, under their present names."""
    if not (dataclasses.is_dataclass(kind) and isinstance(values, dict)):
        return values
    hints = get_type_hints(kind)
    present: dict[Any, Any] = {name if name in hints else RENAMED.get(name, name): values[name] for name in values}
    return {name: _renamed(hints.get(name), value) for name, value in present.items()}


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
    with guarded(f"The training state {path}", CheckpointError, "cannot be read, or is not one of this training"):
        metadata, tensors = read_tensors(path)
        require_finite(tensors)
        groups, notes = parse_json(metadata["groups"]), parse_json(metadata["notes"])
        step = from_json(int, json.loads(metadata["step"]), "step")
        if step < 0:
            raise ValueError(f"{step} steps are done")
        for name, thing in objects.items():
            mine = {key.removeprefix(f"{name}/"): value for key, value in tensors.items() if key.startswith(f"{name}/")}
            _load(thing, mine, groups.get(name))
        return step, notes


def _load(thing: Any, mine: Mapping[str, Tensor], groups: Any) -> None:
    if isinstance(thing, torch.Generator):
        thing.set_state(mine["generator"])
    elif isinstance(thing, torch.optim.Optimizer):
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in mine.items():
            index, entry = key.split("/")
            state.setdefault(int(index), {})[entry] = value
        groups = _fitting_groups(thing, groups, state)
        thing.load_state_dict({"state": state, "param_groups": groups})
        for parameter, values in thing.state.items():
            for entry, value in values.items():
                if value.shape == parameter.shape:  # fused optimizers require the memory format of the weights
                    values[entry] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)
    else:
        thing.load_state_dict(mine)


def _fitting_groups(
    optimizer: torch.optim.Optimizer, groups: Any, state: Mapping[int, Mapping[str, Tensor]]
) -> list[dict[str, Any]]:
    """The groups of a file, completed for `optimizer`.

    Raises `ValueError` unless options and moments are such as the optimizer has: it would fail only at its next step. So
    another of its class with the same options, whose ranges the constructor checks, steps once: it says which moments a
    parameter has, and which of them have the parameter's shape.
    """
    own = optimizer.state_dict()["param_groups"]
    if not isinstance(groups, list) or len(groups) != len(own):
        raise ValueError("the groups of the optimizer are others")
    if not state.keys() <= {index for mine in own for index in mine["params"]}:
        raise ValueError("there are moments of unknown parameters")
    # Whether a GPU records its steps depends on this machine, not on that which wrote the state.
    here = {name: value for name, value in optimizer.defaults.items() if name == "capturable"}
    completed = []
    for group, mine, given in zip(optimizer.param_groups, own, groups, strict=True):
        if not isinstance(given, dict) or given.get("params") != mine["params"] or not mine.keys() >= given.keys():
            raise ValueError("the groups of the optimizer are others")
        # What an older version did not know keeps its default.
        options = {
            name: _option(name, value, given.get(name, value)) for name, value in mine.items() if name != "params"
        }
        options |= here
        trial = _moments_of_two(optimizer, options)
        for index, parameter in zip(mine["params"], group["params"], strict=True):
            if index in state:
                _require_moments(f"of parameter {index}", state[index], parameter, trial)
        completed.append(options | {"params": mine["params"]})
    return completed


def _option(name: str, mine: Any, given: Any) -> Any:
    """An option of an optimizer, checked to be of the type that it has, and as it is: resumed states have equal bytes."""
    if mine is None or given is None:
        return given
    kind = tuple[float, ...] if isinstance(mine, (tuple, list)) else float if _number(mine) else type(mine)
    from_json(kind, given, name)
    return tuple(given) if isinstance(mine, tuple) else given


def _number(value: Any) -> bool:
    return isinstance(value, (int, float, Tensor)) and not isinstance(value, bool)


def _moments_of_two(optimizer: torch.optim.Optimizer, options: Mapping[str, Any]) -> Mapping[str, Tensor]:
    """The moments of one parameter of two numbers after a step of such an optimizer. Raises for options that it has not."""
    first = optimizer.param_groups[0]["params"][0]
    parameter = torch.nn.Parameter(torch.zeros(2, dtype=first.dtype, device=first.device))
    parameter.grad = torch.zeros_like(parameter)
    known = inspect.signature(type(optimizer)).parameters
    trial = type(optimizer)([parameter], **{name: value for name, value in options.items() if name in known})
    trial.step()
    for name, value in trial.param_groups[0].items():
        if name in options and value != options[name]:  # the constructor has cut it to what it knows
            raise ValueError(f"the option {name} cannot be used")
    return trial.state[parameter]


def _require_moments(whose: str, moments: Mapping[str, Tensor], parameter: Tensor, trial: Mapping[str, Tensor]) -> None:
    """Raise `ValueError` unless moments are such as those of the trial, which has a parameter of two numbers."""
    if moments.keys() != trial.keys():
        raise ValueError(f"moments {whose} are missing or unknown")
    for name, moment in moments.items():
        count = trial[name].ndim == 0  # of steps
        if moment.shape != (() if count else parameter.shape):
            raise ValueError(f"{name} {whose} has another shape")
        if count and (moment.dtype != trial[name].dtype or moment < 0):
            raise ValueError(f"{name} {whose} is no count")
