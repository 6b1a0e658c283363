"""KaoKore's faces with both labels as one class, in memory."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from kaokore import GENDERS, STATUSES, DatasetError, KaoKore, resolve_root
from kaokore.stylegan.networks import CLASSES
from renderer.errors import InputError
from renderer.io.images import fit_square


class Faces(NamedTuple):
    """images: (N, 3, S, S) uint8, sRGB; classes: (N,) int64, see `class_of`."""

    images: Tensor
    classes: Tensor

    def draw(self, n: int, draws: torch.Generator) -> tuple[Tensor, Tensor]:
        """n random ones, half of them mirrored: (n, 3, S, S) float in [-1, 1], and their classes (n,)."""
        chosen = torch.randint(len(self.images), (n,), generator=draws)
        mirrored = send(torch.rand(n, generator=draws) < 0.5, self.images.device)
        pictures = self.images[send(chosen, self.images.device)].float() / 127.5 - 1
        return torch.where(mirrored[:, None, None, None], pictures.flip(-1), pictures), self.classes[chosen]

    def draw_classes(self, n: int, draws: torch.Generator) -> Tensor:
        """(n,), each as often as it is among these faces."""
        return self.classes[torch.randint(len(self.classes), (n,), generator=draws)]


def send(tensor: Tensor, device: torch.device) -> Tensor:
    """The tensor on the device; a GPU goes on with what it is doing meanwhile."""
    if device.type == "cuda" and not tensor.is_cuda:
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


def load_classes(root: str | Path | None, split: str, size: int, version: str = "1.1") -> Faces:
    """The labelled faces of an official split, resized by area averaging. Raises `DatasetError` when there are none."""
    root = resolve_root(root)
    faces = KaoKore(root, version, split=split, target="both", missing="skip", transform=partial(fit_square, side=size))
    if len(faces) == 0:
        raise DatasetError(f"There are no {split} images in {root}; `python -m kaokore download` fetches them.")
    images = [faces[i][0] for i in tqdm(range(len(faces)), desc=f"{split} faces", leave=False)]
    classes = [class_of(*labels) for labels in zip(faces.genders, faces.statuses, strict=True)]
    return Faces(torch.from_numpy(np.stack(images)), torch.tensor(classes))


def class_of(gender: int, status: int) -> int:
    """Both labels as one number.

    >>> class_of(1, 2)
    6
    """
    return gender * len(STATUSES) + status


def classes_like(counts: list[int], gender: str | None, status: str | None, n: int, draws: torch.Generator) -> Tensor:
    """n classes (n,) as often as `counts` (of each class) says, among those of this gender and status if given.

    Raises `InputError` for an unknown name. A pair that was never counted is still dreamt when asked for.
    """
    weights = torch.tensor(counts, dtype=torch.float64) + 1e-9
    labels = torch.arange(CLASSES)
    for names, name, mine in ((GENDERS, gender, labels // len(STATUSES)), (STATUSES, status, labels % len(STATUSES))):
        if name is not None:
            if name not in names:
                raise InputError(f"There is no {name!r}; choose one of {', '.join(names)}.")
            weights = weights * (mine == names.index(name))
    return torch.multinomial(weights, n, replacement=True, generator=draws)
