"""The images to annotate, their predicted labels, and their order."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from kaokore.annotate.label_table import Known
from kaokore.annotate.queue import Face
from kaokore.classify import Classifier
from kaokore.labels import read_corrections, read_labels
from kaokore.loading import Split, list_images, read_square
from kaokore.paths import image_name, resolve_root
from renderer.errors import InputError
from renderer.io.images import ImageError, find_images

Order = Literal["uncertain", "wrong", "given"]


class Collection(NamedTuple):
    """Images to annotate.

    source: The data set or folder that the names belong to.
    images: File by name.
    known: Known labels by name, also of images that are not in `images`.
    """

    source: str
    images: dict[str, Path]
    known: dict[str, Known]


def collect_kaokore(root: str | Path | None, version: str, split: Split) -> Collection:
    """Collect the images of a split that are in the data set folder; "unlabelled": those without an official label.

    Raises:
        DatasetError: The data set is not there.
    """
    images = {file.path.name: file.path for file in list_images(root, split, version=version)}
    rows = read_labels(resolve_root(root))
    known = {image_name(row.image_id): Known(row.gender, row.status, row.split) for row in rows}
    return Collection(f"KaoKore {version}", images, known)


def collect_folder(folder: str | Path) -> Collection:
    """Collect the images of a folder, without its subfolders. Raises `InputError` when there are none."""
    if not Path(folder).is_dir():
        raise InputError(f"There is no folder {folder}.")
    images = {path.name: path for path in find_images([folder])}
    return Collection(f"the folder {Path(folder).resolve().name}", images, {})


def apply_corrections(collection: Collection, labels: str | Path) -> Collection:
    """Replace known labels by those of a table with both tasks. Raises `InputError` when it cannot be read."""
    known = dict(collection.known)
    for task in ("gender", "status"):
        for image, label in read_corrections(labels, task).items():
            name = image_name(image)
            face = known.get(name, Known())
            known[name] = face._replace(gender=label) if task == "gender" else face._replace(status=label)
    return collection._replace(known=known)


def predict_faces(
    classifier: Classifier,
    collection: Collection,
    *,
    device: torch.device | str = "cpu",
    batch: int = 64,
    skipped: Callable[[str], None] | None = None,
) -> Iterator[Face]:
    """Predict the label of each image, from its middle square, yielding one face after another.

    Args:
        classifier: On `device`.
        collection: The images.
        device: The classifier's device.
        batch: Images that are classified at once.
        skipped: Called with the reason for each image that cannot be read and is left out.
    """
    waiting: list[tuple[Face, Tensor]] = []

    def predicted() -> Iterator[Face]:
        images = torch.stack([image for _, image in waiting]).to(device)
        probabilities = classifier.probabilities(images).cpu().tolist()
        for (face, _), row in zip(waiting, probabilities, strict=True):
            yield replace(face, probabilities=tuple(row))
        waiting.clear()

    for name, path in collection.images.items():
        try:
            name.encode()
            image = read_square(path, classifier.size)
        except (ImageError, UnicodeEncodeError) as error:
            if skipped is not None:
                skipped(str(error) if isinstance(error, ImageError) else f"{name!r} cannot be written to a table.")
            continue
        official = getattr(collection.known.get(name, Known()), classifier.task)
        waiting.append((Face(name, path, (), official), image))
        if len(waiting) == batch:
            yield from predicted()
    if waiting:
        yield from predicted()


def sort_faces(faces: Iterable[Face], order: Order) -> list[Face]:
    """Sort faces by how much a review is worth; equal ones keep their order.

    - uncertain: by the entropy of the prediction, highest first ("uncertainty sampling", Lewis and Gale 1994).
    - wrong: by the probability of the official label, lowest first ("self-confidence", Northcutt et al. 2021, *Confident
      Learning*); faces without a label come last, the most uncertain first.
    - given: as they come.

    Raises:
        InputError: The order is "wrong" and no face has a label.
    """
    faces = list(faces)
    if order == "given":
        return faces
    faces.sort(key=lambda face: -entropy(face.probabilities))
    if order == "wrong":
        if all(face.official is None for face in faces):
            raise InputError(
                "--order wrong needs faces with a label; choose them with --split train, dev, test or all."
            )
        faces.sort(key=lambda face: math.inf if face.official is None else face.probabilities[face.official])
    return faces


def entropy(probabilities: Sequence[float]) -> float:
    """Compute the entropy in nats.

    >>> entropy([0.5, 0.5]) == math.log(2), entropy([1.0, 0.0]) == 0
    (True, True)
    """
    return -sum(p * math.log(p) for p in probabilities if p > 0)
