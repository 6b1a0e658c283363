"""A trained StyleGAN generator: its file, and the images that it generates."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from kaokore.stylegan.data import sample_classes
from kaokore.stylegan.networks import CLASSES, Generator, NetworkConfig
from renderer.errors import InputError
from renderer.io.checkpoint import Checkpoint, CheckpointError
from renderer.io.from_json import from_json

KIND = "stylegan"
BATCH = 32


@dataclass(frozen=True)
class FaceGenerator:
    """A generator network with the class frequencies of its training data.

    Attributes:
        network: Mapping and synthesis.
        counts: Training images of each class, see `joint_class`.
        about: Metrics, command, seed, attribution ... (JSON).
    """

    network: Generator
    counts: list[int]
    about: dict[str, Any]

    def sample_styles(
        self,
        n: int,
        draws: torch.Generator,
        *,
        gender: str | None = None,
        status: str | None = None,
        truncation: float = 0.7,
    ) -> Tensor:
        """Sample the styles w (n, D) of n random faces.

        Args:
            n: How many faces.
            draws: Random numbers, on the CPU.
            gender: "male" or "female"; None samples both with the frequencies of the training data.
            status: "noble", "warrior", "incarnation" or "commoner"; None as for `gender`.
            truncation: How far a style may be from the mean of its class: 0 is the mean, 1 does not truncate.

        Raises:
            InputError: A label is unknown, or the network was trained without labels.
        """
        if (gender is not None or status is not None) and not self.network.config.conditional:
            raise InputError("This generator was trained without labels, so gender and status cannot be chosen.")
        classes = sample_classes(self.counts, n, draws, gender=gender, status=status)
        classes = classes.to(self.network.constant.device)
        w = self.network.mapping(self.network.draw_latent(n, draws), classes)
        return self.network.truncate(w, classes, truncation)

    @torch.no_grad()
    def synthesise(self, w: Tensor, draws: torch.Generator | None = None) -> Tensor:
        """Generate images (N, 3, S, S) in [0, 1], on the CPU, of styles (N, D) or (N, L, D).

        `draws` samples the noise inputs; without it they are zero.
        """
        parts = []
        for part in w.split(BATCH):
            noise = None if draws is None else self.network.draw_noise(len(part), draws)
            parts.append((self.network(part, noise).float().cpu() / 2 + 0.5).clamp(0, 1).contiguous())
        return torch.cat(parts)

    def save(self, path: str | Path) -> None:
        """Write a checkpoint with weights in half precision, including the mean style of each class.

        Raises `InputError` when it cannot be written.
        """
        self.network.set_means()
        tensors = {name: tensor.half() for name, tensor in self.network.state_dict().items()}
        Checkpoint(KIND, asdict(self.network.config), tensors, about=self.about | {"counts": self.counts}).save(path)


def load_generator(path_or_name: str | Path, device: torch.device | str = "cpu") -> FaceGenerator:
    """Load the generator of a file, or of `checkpoints/NAME.safetensors`, with frozen weights.

    Raises:
        CheckpointError: The file is not a StyleGAN generator.
    """
    made = Checkpoint.load(path_or_name, KIND)
    counts = made.about.get("counts")
    if not (isinstance(counts, list) and len(counts) == CLASSES and all(isinstance(n, int) for n in counts)):
        raise CheckpointError(f"{path_or_name} is damaged or of another version: its class counts are missing.")
    network = made.build({KIND: lambda **sizes: Generator(from_json(NetworkConfig, sizes))}, device)
    return FaceGenerator(network, counts, made.about)


def image_grid(images: Tensor, columns: int | None = None) -> Tensor:
    """Arrange images (N, 3, S, S) in a grid (3, H, W), square or with `columns` columns."""
    from torchvision.utils import make_grid  # here, because it takes over a second

    return make_grid(images, columns or math.ceil(math.sqrt(len(images))), padding=2, pad_value=1.0)
