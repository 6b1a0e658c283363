"""Checkpoints: weights and the metadata to rebuild their network, in one safetensors file without pickle or code."""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from renderer.errors import InputError
from renderer.io.from_json import call_with_json, from_json
from renderer.io.hub import fetch, is_address
from renderer.io.read import guarded, one_line, parse_json, reason
from renderer.io.tensor_file import read_header, read_tensors, require_finite, write_tensors
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
        path: the file that it was loaded from, for errors.
    """

    kind: str
    config: dict[str, Any]
    tensors: dict[str, Tensor]
    space: StrokeSpace | None = None
    about: dict[str, Any] = field(default_factory=dict)
    path: Path | None = field(default=None, compare=False)

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
        """Read a file, `checkpoints/NAME.safetensors` for a shipped name, or an address of the Hub (`renderer.io.hub`).

        Raises `CheckpointError` unless it is a valid checkpoint of one of `kinds` (of any kind, when none are given).
        """
        path = find(path_or_name)
        with guarded(path, CheckpointError, "is damaged or not a checkpoint", "; fetch it again"):
            metadata, tensors = read_tensors(path)
            if metadata.get("format") != FORMAT:
                raise CheckpointError(f"{path} was not written by Kaokore Painter, or by another version of it.")
            space = StrokeSpace.from_json(metadata["space"]) if "space" in metadata else None
            config, about = parse_json(metadata["config"]), parse_json(metadata["about"])
            require_finite(tensors)
            checkpoint = cls(metadata["kind"], config, tensors, space, about, path)
        if kinds and checkpoint.kind not in kinds:
            raise CheckpointError(
                f"{path} holds a {one_line(checkpoint.kind)}, but a {' or '.join(kinds)} is needed here."
            )
        return checkpoint

    def build(self, kinds: Mapping[str, Callable[..., torch.nn.Module]], device: torch.device | str = "cpu") -> Any:
        """Build the network by the function that `kinds` has for this kind, with its weights, frozen, in eval mode.

        The configuration is checked against the annotations of that function, and the shapes of the weights before memory
        is taken for them. Raises `CheckpointError` when this version cannot build it.
        """
        try:
            make = kinds[self.kind]
            with torch.device("meta"), warnings.catch_warnings():
                # A layer of no elements is a mistake.
                warnings.filterwarnings("error", "Initializing zero-element tensors")
                plan = call_with_json(make, self.config)
            self._require_fit(plan)
            module = call_with_json(make, self.config)
        except CheckpointError:
            raise
        except (LookupError, TypeError, ValueError, ArithmeticError, RuntimeError, UserWarning) as error:
            raise CheckpointError(
                f"{self._origin}This version cannot build a {one_line(self.kind)} network: {reason(error)}."
            ) from error
        self.fill(module)
        return module.to(device).eval().requires_grad_(False)

    def fill(self, module: torch.nn.Module) -> None:
        """Load the weights into `module`. Raises `CheckpointError` when they do not fit."""
        self._require_fit(module)
        module.load_state_dict(self.tensors)

    def numbers(self, *names: str) -> list[float]:
        """Numbers of `about`, such as metrics. Raises `CheckpointError` where one is missing."""
        with guarded(self.path or f"The {self.kind} checkpoint", CheckpointError, "lacks a number"):
            return [from_json(float, self.about[name], name) for name in names]

    def hash(self) -> str:
        """A hash of kind, configuration and weights, which identifies the network."""
        digest = hashlib.sha256(json.dumps([self.kind, self.config], sort_keys=True).encode())
        for name in sorted(self.tensors):
            values = self.tensors[name].detach().cpu().contiguous().flatten()
            digest.update(name.encode() + values.view(torch.uint8).numpy().tobytes())  # numpy has no bfloat16
        return digest.hexdigest()[:16]

    def _require_fit(self, module: torch.nn.Module) -> None:
        wanted = module.state_dict()
        for name in [*wanted, *self.tensors]:
            fault = None
            if name not in self.tensors or name not in wanted:
                fault = f"{name:.80} is {'not known' if name in self.tensors else 'missing'}"
            elif self.tensors[name].shape != wanted[name].shape:
                fault = f"{name} has the shape {(*self.tensors[name].shape,)}, not {(*wanted[name].shape,)}"
            elif self.tensors[name].is_floating_point() != wanted[name].is_floating_point():
                fault = f"{name} holds {self.tensors[name].dtype}, not {wanted[name].dtype}"
            if fault is not None:
                raise CheckpointError(
                    f"{self._origin}The weights do not fit the network {one_line(self.kind)}: {one_line(fault, 200)}."
                )

    @property
    def _origin(self) -> str:
        return f"{self.path}: " if self.path is not None else ""


def read_kind(path: Path) -> str | None:
    """The kind of network that a checkpoint file holds, from its metadata alone; None for any other file."""
    try:
        metadata = read_header(path)
    except (OSError, ValueError):
        return None
    return metadata.get("kind") if metadata.get("format") == FORMAT else None


def is_checkpoint(path_or_name: str | Path) -> bool:
    """Whether there is a file at the path, or a shipped checkpoint of the name; true of all addresses of the Hub."""
    return is_address(path_or_name) or _existing(path_or_name) is not None


def find(path_or_name: str | Path) -> Path:
    """The file of a checkpoint given by path, by name, or by an address of the Hub (`renderer.io.hub.fetch`).

    Raises `CheckpointError` that lists the shipped ones, and `HubError`.
    """
    if is_address(path_or_name):
        return fetch(str(path_or_name))
    found = _existing(path_or_name)
    if found is not None:
        return found
    names = ", ".join(sorted(file.stem for file in FOLDER.glob("*.safetensors"))) or "none"
    raise CheckpointError(f"There is no checkpoint {one_line(path_or_name, 200)}; shipped are: {names}.")


def _existing(path_or_name: str | Path) -> Path | None:
    path = Path(path_or_name)
    if os.path.isfile(path):  # unlike Path.is_file, also where the system takes no such name
        return path
    shipped = FOLDER / f"{path_or_name}.safetensors"
    return shipped if path.name == str(path_or_name) and os.path.isfile(shipped) else None
