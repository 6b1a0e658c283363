"""Faces in memory, for training and for measuring."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torchvision.utils import make_grid
from tqdm import tqdm

from kaokore import DatasetError, KaoKore, resolve_root
from renderer.io.images import fit_square, write_png


def load_faces(root: str | Path | None, split: str, size: int, n: int | None = None) -> Tensor:
    """Faces of a split as a tensor (M, 3, size, size) uint8, sRGB, resized by area averaging; `n` of them, evenly, if given.

    `root` falls back to KAOKORE_ROOT and then to data/kaokore. Raises `DatasetError` when there are none.
    """
    faces = KaoKore(resolve_root(root), split=split, target="none", missing="skip")
    if len(faces) == 0:
        raise DatasetError(
            f"There are no {split} images in {resolve_root(root)}; `python -m kaokore download` fetches them."
        )
    index = range(len(faces)) if n is None else np.linspace(0, len(faces) - 1, min(n, len(faces))).astype(int)
    pictures = [fit_square(faces[int(i)], size) for i in tqdm(index, desc=f"{split} faces", leave=False)]
    return torch.from_numpy(np.stack(pictures))


def write_pairs(faces: Tensor, paintings: Tensor, path: str | Path) -> None:
    """A PNG of the first eight faces (M, 3, H, W) in [0, 1], each above its painting."""
    pairs = torch.stack((faces[:8], paintings[:8])).flatten(0, 1)
    write_png(make_grid(pairs, min(8, len(faces))), path)


def draw_faces(faces: Tensor, n: int, generator: torch.Generator) -> Tensor:
    """`(n, 3, H, W)` in [0, 1]: random ones of `faces` (M, 3, H, W) uint8, half of them mirrored."""
    chosen = faces[torch.randint(len(faces), (n,), generator=generator)].float() / 255
    mirrored = torch.rand(n, generator=generator) < 0.5
    return torch.where(mirrored[:, None, None, None], chosen.flip(-1), chosen)
