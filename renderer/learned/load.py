"""Learned brushes from checkpoints."""

from __future__ import annotations

import os
from pathlib import Path

import torch

from renderer.io.checkpoint import FOLDER, Checkpoint, CheckpointError, find, is_checkpoint, read_kind
from renderer.io.read import guarded, one_line
from renderer.learned.huang2019 import Huang2019
from renderer.learned.learned_brush import LearnedBrush
from renderer.learned.neural_brush import NeuralBrush
from renderer.learned.stroke_map import StrokeMap

KINDS: dict[str, type[LearnedBrush]] = {"stroke-map": StrokeMap, "huang2019": Huang2019, "neural-brush": NeuralBrush}


def load_learned_brush(name: str | Path, device: torch.device | str = "cpu") -> LearnedBrush:
    """A brush from a checkpoint, see `brush_file`; frozen. Raises `CheckpointError`."""
    checkpoint = load_brush_checkpoint(name)
    brush: LearnedBrush = checkpoint.build(KINDS)
    with guarded(f"The brush {checkpoint.path}", CheckpointError, "cannot draw", "; fetch it again"), torch.no_grad():
        if not brush(brush.space.default_strokes(1), (16, 16)).alpha.isfinite().all():
            raise ValueError("its weights overflow")
    return brush.to(device)


def load_brush_checkpoint(name: str | Path) -> Checkpoint:
    """The checkpoint of a learned brush, see `brush_file`. Raises `CheckpointError`, which lists the shipped brushes."""
    known = f"choose one of {', '.join(shipped_brushes())}, or a file"
    path = brush_file(name)
    if path is None:
        raise CheckpointError(f"There is no learned brush {one_line(name, 200)}; {known}.")
    checkpoint = Checkpoint.load(path)
    if checkpoint.kind not in KINDS:
        raise CheckpointError(f"{path} holds a {one_line(checkpoint.kind)}, which is not a learned brush; {known}.")
    return checkpoint


def brush_file(name: str | Path) -> Path | None:
    """The file of a brush: a path, a shipped name, or a path without its suffix .safetensors; None if there is none."""
    if is_checkpoint(name):
        return find(name)
    path = f"{name}.safetensors"
    return Path(path) if os.path.isfile(path) else None


def shipped_brushes() -> list[str]:
    """The names of the learned brushes among the shipped checkpoints."""
    return sorted(path.stem for path in FOLDER.glob("*.safetensors") if read_kind(path) in KINDS)
