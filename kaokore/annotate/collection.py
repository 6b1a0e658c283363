"""Which faces are to be labelled, and in which order."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from tqdm import tqdm

from kaokore import KaoKore, image_name, read_labels, resolve_root
from kaokore.annotate.label_table import Known
from kaokore.annotate.queue import Face
from kaokore.classify import Classifier
from kaokore.classify.data import read_corrections, read_square
from renderer.errors import InputError
from renderer.io.images import ImageError, find_images

Order = Literal["uncertain", "wrong", "given"]
Split = Literal["unlabelled", "train", "dev", "test", "all"]


class Collection(NamedTuple):
    """source: whose names the images' are; pictures: name -> file; known: name -> what is known."""

    source: str
    pictures: dict[str, Path]
    known: dict[str, Known]


def of_kaokore(root: str | Path | None, version: str, split: Split, task: str) -> Collection:
    """The images of a split that are there; "unlabelled" are those without an official label for `task`.

    Raises `DatasetError` when the data set is not there.
    """
    root = resolve_root(root)
    official = KaoKore(root, version, split="all" if split == "unlabelled" else split, missing="skip")
    known = {image_name(row.image_id): Known(row.gender, row.status, row.split) for row in read_labels(root)}
    pictures = {image_name(i): official.path(place) for place, i in enumerate(official.ids)}
    if split == "unlabelled":
        pictures = {name: path for name, path in pictures.items() if getattr(known.get(name, Known()), task) is None}
    return Collection(f"KaoKore {version}", pictures, known)


def of_folder(folder: str | Path) -> Collection:
    """The pictures of a folder (not of its subfolders). Raises `InputError` when there are none."""
    if not Path(folder).is_dir():
        raise InputError(f"There is no folder {folder}.")
    pictures = {path.name: path for path in find_images([folder])}
    return Collection(f"the folder {Path(folder).resolve().name}", pictures, {})


def corrected(collection: Collection, labels: str | Path) -> Collection:
    """With the labels of a table in place of those known so far. Raises `InputError` when it cannot be read."""
    known = dict(collection.known)
    for task in ("gender", "status"):
        for image, label in read_corrections(labels, task).items():
            name = image_name(image)
            face = known.get(name, Known())
            known[name] = face._replace(gender=label) if task == "gender" else face._replace(status=label)
    return collection._replace(known=known)


def believe(
    classifier: Classifier, collection: Collection, device: torch.device | str = "cpu", batch: int = 64
) -> list[Face]:
    """The pictures with the classifier's beliefs, which it forms from the middle square of each.

    Pictures that cannot be read are left out, each with a line on stderr. Raises `InputError` when none is left.
    """
    faces: list[Face] = []
    waiting: list[tuple[Face, Tensor]] = []

    def flush() -> None:
        if waiting:
            images = torch.stack([image for _, image in waiting]).to(device)
            beliefs = classifier.probabilities(images).cpu().tolist()
            faces.extend(replace(face, belief=tuple(b)) for (face, _), b in zip(waiting, beliefs, strict=True))
            waiting.clear()

    for name, path in tqdm(collection.pictures.items(), desc="the model looks", unit="face", leave=False):
        try:
            name.encode()
            image = read_square(path, classifier.size)
        except (ImageError, UnicodeEncodeError) as error:
            reason = error if isinstance(error, ImageError) else f"{name!r} is no name for a table."
            tqdm.write(f"left out: {reason}", file=sys.stderr)
            continue
        official = getattr(collection.known.get(name, Known()), classifier.task)
        waiting.append((Face(name, path, (), official), image))
        if len(waiting) == batch:
            flush()
    flush()
    if not faces:
        raise InputError(f"There are no faces to label in {collection.source}; choose another --split or --folder.")
    return faces


def ordered(faces: Iterable[Face], order: Order) -> list[Face]:
    """Faces, those first that are most worth a look; among equals the order stays.

    - uncertain: by the entropy of the belief, highest first ("uncertainty sampling", Lewis and Gale 1994)
    - wrong: by the belief in the official label, lowest first ("self-confidence", Northcutt et al. 2021, *Confident
      Learning*); those without a label come last, most uncertain first
    - given: as they come

    Raises `InputError` for "wrong" when no face has a label.
    """
    faces = list(faces)
    if order == "given":
        return faces
    faces.sort(key=lambda face: -entropy(face.belief))
    if order == "wrong":
        if all(face.official is None for face in faces):
            raise InputError(
                "--order wrong needs faces with a label; choose them with --split train, dev, test or all."
            )
        faces.sort(key=lambda face: math.inf if face.official is None else face.belief[face.official])
    return faces


def entropy(belief: Sequence[float]) -> float:
    """In nats.

    >>> entropy([0.5, 0.5]) == math.log(2), entropy([1.0, 0.0]) == 0
    (True, True)
    """
    return -sum(p * math.log(p) for p in belief if p > 0)
