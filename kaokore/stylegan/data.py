"""Training images of the StyleGAN; both labels of an image form one class."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from kaokore.loading import to_device
from kaokore.stylegan.networks import CLASSES
from kaokore.versions import GENDERS, STATUSES
from renderer.errors import InputError


class Faces(NamedTuple):
    """images: (N, 3, S, S) uint8, sRGB; classes: (N,) int64 on the CPU, see `joint_class`."""

    images: Tensor
    classes: Tensor

    def draw(self, n: int, draws: torch.Generator, balance: float = 0.0) -> tuple[Tensor, Tensor]:
        """Draw n random images, half of them mirrored: (n, 3, S, S) float in [-1, 1], and their classes (n,).

        `balance` 0 keeps the frequencies of the classes; 1 makes all that occur equally frequent.
        """
        weights = torch.bincount(self.classes).double().clamp(min=1).pow(-balance)[self.classes]
        chosen = torch.multinomial(weights, n, replacement=True, generator=draws)
        mirrored = to_device(torch.rand(n, generator=draws) < 0.5, self.images.device)
        images = self.images[to_device(chosen, self.images.device)].float() / 127.5 - 1
        return torch.where(mirrored[:, None, None, None], images.flip(-1), images), self.classes[chosen]


def joint_class(gender: Tensor, status: Tensor) -> Tensor:
    """Combine both labels into one class index.

    >>> joint_class(torch.tensor([1]), torch.tensor([2]))
    tensor([6])
    """
    return gender * len(STATUSES) + status


def sample_classes(
    counts: list[int], n: int, draws: torch.Generator, *, gender: str | None = None, status: str | None = None
) -> Tensor:
    """Sample n classes (n,) in proportion to their counts.

    Args:
        counts: Training images of each class.
        n: How many classes to sample.
        draws: Random numbers.
        gender: Only classes of this gender, "male" or "female".
        status: Only classes of this status. A pair that never occurs in `counts` is still sampled when requested.

    Raises:
        InputError: The gender or the status is unknown.
    """
    weights = torch.tensor(counts, dtype=torch.float64) + 1e-9
    labels = torch.arange(CLASSES)
    for names, name, own in ((GENDERS, gender, labels // len(STATUSES)), (STATUSES, status, labels % len(STATUSES))):
        if name is not None:
            if name not in names:
                raise InputError(f"There is no {name!r}; choose one of {', '.join(names)}.")
            weights = weights * (own == names.index(name))
    return torch.multinomial(weights, n, replacement=True, generator=draws)
