"""KaoKore as a torchvision data set."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image
from torchvision.datasets import VisionDataset

from kaokore.download import download_images, download_metadata
from kaokore.errors import DatasetError
from kaokore.labels import UNLABELLED, read_labels
from kaokore.paths import IMAGES, image_name, image_path, resolve_root
from kaokore.urls import image_ids, read_urls
from kaokore.versions import SPLITS, check_version
from renderer.io.images import COMMON
from renderer.io.read import reason

TARGETS = ("gender", "status", "both", "none")
LARGEST = 4096  # pixels a side that an image may have
SIZE = 256  # pixels: the size in every URL. Keio's server does not enlarge, and answers 200x200 or 199x200 instead.


class KaoKore(VisionDataset):
    """Faces of pre-modern Japanese art with gender and social status.

    An item is `(image, target)`; `image` is a PIL RGB image of `size` x `size` pixels, or what `transform` makes of it.
    `target="gender"` gives 0 male, 1 female; `"status"` gives 0 noble, 1 warrior, 2 incarnation, 3 commoner; `"both"`
    gives the pair `(gender, status)`; with `"none"` an item is the image alone. Default collate takes them all.

    `ids`, `genders` and `statuses` list the items' IDs and labels, in order; `report` is that of the download, if any.
    Forty rows of version 1.1's `labels.csv` have no URL and so no image: they are neither items nor missing.

    Args:
        root: The data set folder; None looks where `resolve_root` looks.
        version: 1.0, 1.1, 1.2 or 1.3.
        split: "train", "dev", "test" in the order of `labels.csv`, or "all": every image by ID, those without a label
            too, with -1 as gender and status.
        target: "gender", "status", "both" or "none".
        transform: Applied to each image.
        download: First download the images that this split lacks, with a progress bar (see `download_images`).
        missing: "error" raises when images of the split are not in the folder, "skip" leaves them out.
        size: Pixels of a side. None gives images as they are published, of three sizes, which a batch cannot hold.

    Raises:
        DatasetError: An option is unknown, a file is missing, the folder holds another version, or (from an item) an
            image does not decode.

    Source: Tian et al., "KaoKore: A Pre-modern Japanese Art Facial Expression Dataset", ICCC 2020.
    """

    def __init__(
        self,
        root: str | Path | None = None,
        version: str = "1.1",
        split: str = "train",
        target: str = "gender",
        transform: Callable[[Image.Image], Any] | None = None,
        download: bool = False,
        missing: str = "error",
        size: int | None = SIZE,
    ) -> None:
        _check_option("split", split, (*SPLITS, "all"))
        _check_option("target", target, TARGETS)
        _check_option("missing", missing, ("error", "skip"))
        folder = resolve_root(root)
        super().__init__(str(folder), transform=transform)
        self.version, self.split, self.target, self.size = version, split, target, size

        if download:
            download_metadata(folder, version)
        urls = read_urls(folder)
        check_version(urls, version)
        published = image_ids(urls)
        labels = {label.image_id: label for label in read_labels(folder)}
        wanted = published if split == "all" else [i for i, label in labels.items() if label.split == split]
        obtainable = set(published).intersection(wanted)
        self.report = download_images(folder, sorted(obtainable), progress=True) if download else None

        here = set(os.listdir(folder / IMAGES)) if (folder / IMAGES).is_dir() else set()
        self.ids = [i for i in wanted if image_name(i) in here]
        lacking = len(obtainable.difference(self.ids))
        if lacking and missing == "error":
            reason = next(iter(self.report.failed.values())) if self.report else "not downloaded"
            raise DatasetError(
                f"{lacking:,} of {len(obtainable):,} images of the split {split!r} are missing in {folder} ({reason}): "
                f"fetch them with `python -m kaokore download --root {folder} --version {version}`, "
                "or leave them out with missing='skip'."
            )
        self.genders = [labels[i].gender if i in labels else UNLABELLED for i in self.ids]
        self.statuses = [labels[i].status if i in labels else UNLABELLED for i in self.ids]

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> Any:
        image = read_face(self.path(index), self.size)
        if self.transform is not None:
            image = self.transform(image)
        match self.target:
            case "gender":
                return image, self.genders[index]
            case "status":
                return image, self.statuses[index]
            case "both":
                return image, (self.genders[index], self.statuses[index])
        return image

    def path(self, index: int) -> Path:
        """Return the file of item `index`."""
        return image_path(Path(self.root), self.ids[index])

    def extra_repr(self) -> str:
        """Describe the configuration, for `repr`."""
        return f"Version: {self.version}\nSplit: {self.split}\nTarget: {self.target}"


def read_face(path: Path, size: int | None = SIZE) -> Image.Image:
    """Read an image of the data set as RGB, at `size` x `size` pixels (None: as published).

    Raises:
        DatasetError: The file does not decode.
    """
    try:
        with Image.open(path, formats=COMMON) as file:  # other formats start other programs
            if max(file.size) > LARGEST:
                raise ValueError(f"it has {file.width} x {file.height} pixels")
            image = file.convert("RGB")  # a few are greyscale at the source
    except Exception as error:  # Pillow raises errors of many types for damaged files
        raise DatasetError(f"{path} does not decode ({reason(error)}); delete it and download it again.") from error
    if size is not None and image.size != (size, size):
        image = image.resize((size, size), Image.Resampling.BICUBIC)
    return image


def _check_option(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise DatasetError(f"{name}={value!r} is not known; choose one of {', '.join(known)}.")
