"""Options and evaluation that the trainings of agents share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from experiments.cli import progress
from experiments.outputs import write_pairs
from experiments.runs import describe_run
from experiments.trainer import RunOptions
from kaokore.loading import load_images
from renderer.io.checkpoint import Checkpoint

ATTRIBUTION = "KaoKore v1.1 train, CC BY-SA 4.0, doi:10.20676/00000353"


@dataclass(frozen=True, kw_only=True)
class AgentOptions(RunOptions):
    """Options of every training of an agent."""

    root: str | None = None
    """KaoKore's folder; else KAOKORE_ROOT, else data/kaokore."""
    renderer: str = "bezier"
    """Learned brush to train through."""
    episodes: int = 600
    """Batches of faces, each painted once from a white canvas."""
    evaluate_faces: int = 48
    """Dev faces to paint in an evaluation."""
    evaluate_every: int = 100
    """Episodes between evaluations."""


def load_faces(config: AgentOptions, size: int, dev_size: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Train faces (M, 3, size, size) uint8 on the CPU, and dev faces (N, 3, dev_size, dev_size) in [0, 1] on `device`."""
    train = load_images(config.root, "train", size, track=progress("train images")).images
    dev = load_images(config.root, "dev", dev_size, count=config.evaluate_faces).images
    return train, dev.to(device) / 255


def paint_dev(paint: Callable[[Tensor], Tensor], faces: Tensor, folder: Path) -> tuple[Tensor, float]:
    """Paint faces (N, 3, H, W) in [0, 1] one by one; write some pairs to samples.png in `folder`.

    Returns the canvases (N, 3, H, W) and their mean squared error.
    """
    canvases = torch.stack([paint(face) for face in faces])
    write_pairs(faces, canvases, folder / "samples.png")
    return canvases, (canvases - faces).square().mean().item()


def provenance(config: AgentOptions, brush: Checkpoint, episodes: int) -> dict[str, Any]:
    """What a checkpoint says about its training, besides metrics."""
    return {
        "renderer": brush.kind,
        "renderer_hash": brush.hash(),
        "episodes": episodes,
        "seed": config.seed,
        "data": ATTRIBUTION,
        **describe_run(),
    }
