"""Checkpoints: weights and the metadata to rebuild their network, in one safetensors file without pickle or code."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from renderer.errors import InputError
from renderer.io.tensor_file import write_tensors
from renderer.strokes import StrokeSpace

FORMAT = "kaokore-painter/1"
FOLDER = Path(__file__).resolve().parents[2] / "checkpoints"


class CheckpointError(InputError):
    """A checkpoint is missing, damaged, or of the wrong kind."""


@dataclass(frozen=True)
class Checkpoint:
    """A trained network.

    Attributes:
        kind: which network, for example "stroke-map".
        config: the keyword arguments that build it.
        tensors: its weights by name.
        space: the strokes that it works on; None for networks without strokes.
        about: metrics, command, seed, attribution, of an agent the hash of its brush ...; anything that JSON can hold.
    """

    kind: str
    config: dict[str, Any]
    tensors: dict[str, Tensor]
    space: StrokeSpace | None = None
    about: dict[str, Any] = field(default_factory=dict)

    def save(self, path: str | Path) -> None:
        """Write the file, whole or not at all; equal checkpoints give equal bytes.

        Raises `InputError` when it cannot be written.
        """
        metadata = {
            "format": FORMAT,
            "kind": self.kind,
            "config": json.dumps(self.config),
            "about": json.dumps(self.about),
        }
        if self.space is not None:
            metadata["space"] = self.space.to_json()
        write_tensors(path, self.tensors, metadata)

    @classmethod
    def load(cls, path_or_name: str | Path, *kinds: str) -> Checkpoint:
        """Read a file, or `checkpoints/NAME.safetensors` for a shipped name.

        Raises `CheckpointError` unless it is a valid checkpoint of one of `kinds` (of any kind, when none are given).
        """
        path = find(path_or_name)
        try:
            with safe_open(path, "pt") as file:
                metadata = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (SafetensorError, OSError, ValueError) as error:
            raise CheckpointError(f"{path} is damaged or not a checkpoint ({error}); fetch it again.") from error
        if metadata.get("format") != FORMAT:
            raise CheckpointError(f"{path} was not written by Kaokore Painter, or by another version of it.")
        try:
            space = StrokeSpace.from_json(metadata["space"]) if "space" in metadata else None
            config, about = json.loads(metadata["config"]), json.loads(metadata["about"])
            checkpoint = cls(metadata["kind"], config, tensors, space, about)
        except (KeyError, ValueError) as error:
            raise CheckpointError(f"{path} is damaged: its metadata cannot be read ({error}).") from error
        if kinds and checkpoint.kind not in kinds:
            raise CheckpointError(f"{path} holds a {checkpoint.kind}, but a {' or '.join(kinds)} is needed here.")
        return checkpoint

    def build(self, kinds: Mapping[str, Callable[..., torch.nn.Module]], device: torch.device | str = "cpu") -> Any:
        """Build the network by the function that `kinds` has for this kind, with its weights, frozen, in eval mode.

        Raises `CheckpointError` when this version cannot build it.
        """
        try:
            module = kinds[self.kind](**self.config)
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"This version cannot build a {self.kind} network: {error}.") from error
        self.fill(module)
        return module.to(device).eval().requires_grad_(False)

    def fill(self, module: torch.nn.Module) -> None:
        """Load the weights into `module`. Raises `CheckpointError` when they do not fit."""
        try:
            module.load_state_dict(self.tensors)
        except RuntimeError as error:
            first = str(error).splitlines()[-1].strip()
            raise CheckpointError(f"The weights do not fit the network {self.kind} {self.config}: {first}") from error

    def hash(self) -> str:
        """A hash of kind, configuration and weights, which identifies the network."""
        digest = hashlib.sha256(json.dumps([self.kind, self.config], sort_keys=True).encode())
        for name in sorted(self.tensors):
            digest.update(name.encode() + self.tensors[name].cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]


def read_kind(path: Path) -> str | None:
    """The kind of network that a checkpoint file holds, from its metadata alone; None for any other file."""
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
    except (SafetensorError, OSError, ValueError):
        return None
    return metadata.get("kind") if metadata.get("format") == FORMAT else None


def is_checkpoint(path_or_name: str | Path) -> bool:
    """Whether there is a file at the path, or a shipped checkpoint of the name."""
    return _existing(path_or_name) is not None


def find(path_or_name: str | Path) -> Path:
    """The file of a checkpoint given by path or name. Raises `CheckpointError` that lists the shipped ones."""
    found = _existing(path_or_name)
    if found is not None:
        return found
    names = ", ".join(sorted(file.stem for file in FOLDER.glob("*.safetensors"))) or "none"
    raise CheckpointError(f"There is no checkpoint {path_or_name}; shipped are: {names}.")


def _existing(path_or_name: str | Path) -> Path | None:
    path = Path(path_or_name)
    if os.path.isfile(path):  # unlike Path.is_file, also where the system takes no such name
        return path
    shipped = FOLDER / f"{path_or_name}.safetensors"
    return shipped if path.name == str(path_or_name) and os.path.isfile(shipped) else None
