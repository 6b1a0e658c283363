"""Load KaoKore images into memory, with their labels, for training and evaluation.

    images, labels, names = load_images(None, "dev", 64, task="gender")  # (M, 3, 64, 64) uint8, (M,) int64, M file names

`list_images` finds the files of a split without reading them; `KaoKore` (kaokore.dataset) reads one image at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from kaokore.errors import DatasetError
from kaokore.labels import UNLABELLED, read_corrections, read_label_table, read_labels
from kaokore.paths import image_path, resolve_root
from kaokore.versions import CLASSES
from renderer.errors import InputError
from renderer.io.images import fit, fit_square, read_image, to_bytes

Split = Literal["train", "dev", "test", "all", "unlabelled"]
Track = Callable[[Iterable[Any]], Iterable[Any]]
"""Wraps the sequence that a long loop runs over, for example in a progress bar: `functools.partial(tqdm, desc="faces")`."""


class ImageFile(NamedTuple):
    """An image and its class indices, -1 (`UNLABELLED`) where there is no label; `image_id` is None outside KaoKore."""

    path: Path
    gender: int = UNLABELLED
    status: int = UNLABELLED
    image_id: int | None = None

    @property
    def labels(self) -> tuple[int, int]:
        """Gender and status."""
        return self.gender, self.status


class Images(NamedTuple):
    """Images in memory.

    images: (M, 3, S, S) uint8, sRGB.
    labels: (M,) int64, class indices of one task; (M, 2), gender and status, where no task was given. -1: no label.
    names: M file names.
    """

    images: Tensor
    labels: Tensor
    names: list[str]


def untracked(items: Iterable[Any]) -> Iterable[Any]:
    """Show no progress: the default of every `track` option."""
    return items


def list_images(
    root: str | Path | None,
    split: str,
    *,
    task: str | None = None,
    version: str = "1.1",
    labels: str | Path | None = None,
    folder: str | Path | None = None,
) -> list[ImageFile]:
    """List the images of a split that are in the data set folder, with their labels.

    Without a task the order is that of `labels.csv`; with one it is by ID, because corrected labels add images that
    `labels.csv` does not list. The splits "all" and "unlabelled" are always by ID.

    Args:
        root: The data set folder; None looks where `resolve_root` looks.
        split: An official split, "all", or "unlabelled": images without an official label.
        task: Keep labels of this task only, "gender" or "status".
        version: The version of the data set.
        labels: A table (see `read_corrections`) whose labels of `task` replace the official ones of the split "train"
            and add images that are in no split. Its labels of dev and test images are ignored, because results are
            measured on the official ones.
        folder: A folder of further images that `labels` names instead of KaoKore's; they join the split "train".

    Raises:
        DatasetError: The data set is not there, or the version, the split or the task is unknown.
        InputError: `labels` cannot be used.
    """
    root = resolve_root(root)
    if folder is not None and labels is None:
        raise InputError("--folder requires --labels.")
    if task is not None and task not in CLASSES:
        raise DatasetError(f"There is no task {task!r}; choose one of {', '.join(CLASSES)}.")
    if labels is not None and task is None:
        raise InputError("A table of labels requires a task: gender or status.")
    from kaokore.dataset import KaoKore  # here, because it imports torchvision

    official = KaoKore(root, version, split="all" if split == "unlabelled" else split, missing="skip")
    classes = dict(zip(official.ids, zip(official.genders, official.statuses, strict=True), strict=True))
    if split == "unlabelled":
        classes = {i: pair for i, pair in classes.items() if UNLABELLED in pair}
    if task is None:
        return [ImageFile(image_path(root, i), *pair, i) for i, pair in classes.items()]
    known = {i: pair[task == "status"] for i, pair in classes.items()}
    further: list[ImageFile] = []
    if labels is not None and split == "train":
        if folder is None:
            others = {label.image_id for label in read_labels(root) if label.split != "train"}
            here = set(KaoKore(root, version, split="all", missing="skip").ids)
            corrections = read_corrections(labels, task)
            known |= {i: label for i, label in corrections.items() if i in here and i not in others}
        else:
            table = read_label_table(labels, task)
            further = [_labelled(Path(folder) / name, task, label) for name, label in table.items()]
    return [_labelled(image_path(root, i), task, known[i], i) for i in sorted(known)] + further


def load_images(
    root: str | Path | None,
    split: str,
    size: int,
    *,
    task: str | None = None,
    count: int | None = None,
    seed: int | None = None,
    version: str = "1.1",
    labels: str | Path | None = None,
    folder: str | Path | None = None,
    track: Track = untracked,
) -> Images:
    """Load the images of a split as squares of `size` pixels, resized by area averaging.

    Args:
        root: The data set folder; None looks where `resolve_root` looks.
        split: "train", "dev", "test", "all", or "unlabelled" (images without an official label).
        size: Pixels of a side.
        task: "gender" or "status": return labels of this task only. None returns both.
        count: Load at most this many: evenly spaced over the split, or with `seed` the first ones of a random order.
        seed: Of that random order.
        version: The version of the data set.
        labels: A table of corrected labels for training, see `list_images`.
        folder: A folder of further labelled images for training, see `list_images`.
        track: Wraps the list of files, for example in a progress bar.

    Raises:
        DatasetError: No image of the split is there, or one does not decode.
        InputError: `labels` or an image of `folder` cannot be used.
    """
    root = resolve_root(root)
    files = list_images(root, split, task=task, version=version, labels=labels, folder=folder)
    if all(file.image_id is None for file in files):
        raise DatasetError(f"There are no {split} images in {root}; `python -m kaokore download` fetches them.")
    if seed is not None:
        files = [files[i] for i in np.random.default_rng(seed).permutation(len(files))[:count]]
    elif count is not None:
        files = [files[i] for i in np.linspace(0, len(files) - 1, min(count, len(files))).astype(int)]
    from kaokore.dataset import read_face

    images = [
        to_bytes(read_square(file.path, size)).transpose(2, 0, 1)
        if file.image_id is None
        else fit_square(read_face(file.path), size)
        for file in track(files)
    ]
    known = [file.labels if task is None else file.labels[task == "status"] for file in files]
    return Images(torch.from_numpy(np.stack(images)), torch.tensor(known), [file.path.name for file in files])


def draw_images(images: Tensor, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw `n` random images, with replacement, and mirror half of them.

    Args:
        images: (M, 3, H, W), on any device.
        n: How many to draw.
        generator: Random numbers, on the CPU.

    Returns:
        The images (n, 3, H, W), of the same type and on the same device, and their indices (n,) on the CPU.
    """
    chosen = torch.randint(len(images), (n,), generator=generator)
    mirrored = to_device(torch.rand(n, generator=generator) < 0.5, images.device)
    drawn = images[to_device(chosen, images.device)]
    return torch.where(mirrored[:, None, None, None], drawn.flip(-1), drawn), chosen


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """Copy a tensor to a device without making a GPU wait for it."""
    if device.type == "cuda" and not tensor.is_cuda:
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


def read_square(path: str | Path, size: int) -> Tensor:
    """Read the middle square of an image of any format, as (3, size, size) in [0, 1]. Raises `ImageError`."""
    return fit(crop_square(read_image(path, longest=size)), size)


def crop_square(image: Tensor) -> Tensor:
    """Crop an image (3, H, W) to the square in its middle, whose side is the smaller of H and W."""
    height, width = image.shape[1:]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return image[:, top : top + side, left : left + side]


def _labelled(path: Path, task: str, label: int, image_id: int | None = None) -> ImageFile:
    gender, status = (label, UNLABELLED) if task == "gender" else (UNLABELLED, label)
    return ImageFile(path, gender, status, image_id)
