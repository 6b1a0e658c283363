"""Learned brushes from checkpoints."""

from __future__ import annotations

import torch

from renderer.io.checkpoint import FOLDER, Checkpoint, read_kind
from renderer.learned.huang2019 import Huang2019
from renderer.learned.learned_brush import LearnedBrush
from renderer.learned.neural_brush import NeuralBrush
from renderer.learned.stroke_map import StrokeMap

KINDS: dict[str, type[LearnedBrush]] = {"stroke-map": StrokeMap, "huang2019": Huang2019, "neural-brush": NeuralBrush}


def load_learned_brush(name: str, device: torch.device | str = "cpu") -> LearnedBrush:
    """A brush from a checkpoint, a file or a shipped name; frozen. Raises `CheckpointError`."""
    brush: LearnedBrush = Checkpoint.load(name, *KINDS).build(KINDS, device)
    return brush


def shipped_brushes() -> list[str]:
    """The names of the learned brushes among the shipped checkpoints."""
    return sorted(path.stem for path in FOLDER.glob("*.safetensors") if read_kind(path) in KINDS)
