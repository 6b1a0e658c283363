"""A trained generator, its file, and the faces it dreams."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torchvision.utils import make_grid

from experiments.cli import choose_device, require
from kaokore.stylegan.data import classes_like
from kaokore.stylegan.networks import CLASSES, Generator, NetworkConfig
from renderer.errors import InputError
from renderer.io.checkpoint import Checkpoint, CheckpointError

KIND = "stylegan"
BATCH = 32


@dataclass(frozen=True)
class Dream:
    """What to dream; shared by all commands that do."""

    checkpoint: str = "stylegan"
    """A file that train wrote, or a shipped one's name."""
    gender: str | None = None
    """male or female; else as often as in the data."""
    status: str | None = None
    """noble, warrior, incarnation or commoner; else as often as in the data."""
    truncation: float = 0.7
    """How far from the mean face of its class a face may be: 0 is the mean, 1 everything."""
    seed: int = 0
    device: str = "auto"


@dataclass(frozen=True)
class Dreamer:
    """A generator with what it knows of its data: how many faces of each class it saw, and about (JSON)."""

    generator: Generator
    counts: list[int]
    about: dict[str, Any]

    def styles(self, n: int, config: Dream, draws: torch.Generator) -> Tensor:
        """w (n, D), truncated, of n random faces such as `config` asks for. Raises `InputError`."""
        classes = classes_like(self.counts, config.gender, config.status, n, draws)
        classes = classes.to(self.generator.constant.device)
        w = self.generator.mapping(self.generator.draw_latent(n, draws), classes)
        return self.generator.truncate(w, classes, config.truncation)

    @torch.no_grad()
    def paint(self, w: Tensor, draws: torch.Generator | None = None) -> Tensor:
        """Faces (N, 3, S, S) in [0, 1], on the CPU, of styles (N, D) or (N, L, D); with random noise if `draws` is given."""
        parts = []
        for part in w.split(BATCH):
            noise = None if draws is None else self.generator.draw_noise(len(part), draws)
            parts.append((self.generator(part, noise).float().cpu() / 2 + 0.5).clamp(0, 1).contiguous())
        return torch.cat(parts)


def save_dreamer(dreamer: Dreamer, path: str | Path) -> None:
    """Writes a checkpoint with weights in half precision, and the mean w of each class among them."""
    dreamer.generator.set_means()
    tensors = {name: tensor.half() for name, tensor in dreamer.generator.state_dict().items()}
    about = dreamer.about | {"counts": dreamer.counts}
    Checkpoint(KIND, asdict(dreamer.generator.config), tensors, about=about).save(path)


def load_dreamer(path_or_name: str | Path, device: torch.device | str = "cpu") -> Dreamer:
    """The generator of a file, or of `checkpoints/NAME.safetensors`, frozen. Raises `CheckpointError` unless it is one."""
    made = Checkpoint.load(path_or_name, KIND)
    counts = made.about.get("counts")
    if not (isinstance(counts, list) and len(counts) == CLASSES and all(isinstance(n, int) for n in counts)):
        raise CheckpointError(f"{path_or_name} is damaged or of another version: it does not say what it was taught.")
    generator = made.build({KIND: lambda **sizes: Generator(NetworkConfig(**sizes))}, device)
    return Dreamer(generator, counts, made.about)


def begin(config: Dream) -> tuple[Dreamer, torch.Generator]:
    """The dreamer that a command asks for, and the source of all its random numbers. Raises `InputError`."""
    require(config, truncation=0)
    dreamer = load_dreamer(config.checkpoint, choose_device(config.device))
    labelled = config.gender is not None or config.status is not None
    if labelled and not dreamer.generator.config.conditional:
        raise InputError(
            f"{config.checkpoint} was taught without labels, so --gender and --status cannot be asked for."
        )
    return dreamer, torch.Generator().manual_seed(config.seed)


def grid(pictures: Tensor, columns: int | None = None) -> Tensor:
    """Pictures (N, 3, S, S) side by side (3, H, W), in a square or in so many columns."""
    return make_grid(pictures, columns or math.ceil(math.sqrt(len(pictures))), padding=2, pad_value=1.0)
