"""Paths in a data set folder, which has the official layout.

    ROOT/images_256/NNNNNNNN.jpg   ROOT/urls.txt   ROOT/labels.csv   ROOT/original_tags.txt   ROOT/labels.metadata.*.txt

An image's ID is its line index in `urls.txt`, and its file name is the ID in eight digits.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from kaokore.errors import DatasetError
from renderer.io.read import guarded, read_text

IMAGES = "images_256"
METADATA = ("urls.txt", "labels.csv", "original_tags.txt", "labels.metadata.en.txt", "labels.metadata.ja.txt")
"""The official files, `urls.txt` first because it tells which version the folder holds."""

ROOT_VARIABLE = "KAOKORE_ROOT"
DEFAULT_ROOT = Path("data/kaokore")


def resolve_root(root: str | Path | None = None) -> Path:
    """Return the data set folder: `root` if given, else the environment variable KAOKORE_ROOT, else `data/kaokore`.

    The folder need not exist yet.

    >>> resolve_root("somewhere").name
    'somewhere'
    """
    # Unlike Path.expanduser, this leaves ~ as it is for a user without a home.
    return Path(os.path.expanduser(root or os.environ.get(ROOT_VARIABLE) or DEFAULT_ROOT))


def parse_id(image: int | str) -> int:
    """Parse an image's ID. Raises `DatasetError` for anything that is not one.

    >>> [parse_id(image) for image in (42, "42", "00000042", "00000042.jpg")]
    [42, 42, 42, 42]
    """
    digits = re.fullmatch(r"([0-9]{1,8})(?:\.jpg)?", str(image))
    if digits is None:
        raise DatasetError(f"{str(image)!r} is not an image ID; write a line index of urls.txt such as 42 or 00000042.")
    return int(digits[1])


def image_name(image_id: int) -> str:
    """Return the file name of an image.

    >>> image_name(42)
    '00000042.jpg'
    """
    return f"{image_id:08d}.jpg"


def image_path(root: Path, image_id: int) -> Path:
    """Return the path of an image, which need not exist."""
    return root / IMAGES / image_name(image_id)


def read_metadata(root: Path, name: str) -> str:
    """Read the text of an official file. Raises `DatasetError` when it is missing, unreadable or not UTF-8."""
    if not root.is_dir():
        raise DatasetError(
            f"There is no data set folder {root}; point {ROOT_VARIABLE} or the root at one, "
            f"or fetch it with `python -m kaokore download --root {root}`."
        )
    try:
        with guarded(root / name, DatasetError, "cannot be read", "; delete it and download it again"):
            return read_text(root / name)
    except DatasetError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            raise DatasetError(
                f"{root} has no {name}; fetch it with `python -m kaokore download --root {root}`."
            ) from None
        raise
