"""The four official versions and their sizes, and the classes.

Image names depend on the version: `00000000.jpg` of 1.0, 1.1, 1.2 and 1.3 are four different faces.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from kaokore.errors import DatasetError

GENDERS = ("male", "female")
"""Names of the gender labels 0 and 1, as in the official `labels.metadata.en.txt`."""

STATUSES = ("noble", "warrior", "incarnation", "commoner")
"""Names of the status labels 0 to 3, as in the official `labels.metadata.en.txt`."""

Task = Literal["gender", "status"]
CLASSES: dict[str, tuple[str, ...]] = {"gender": GENDERS, "status": STATUSES}
"""The class names of each labelling task, in the order of their numbers."""

SPLITS = ("train", "dev", "test")
"""The official splits, as in the column `set` of `labels.csv`."""


@dataclass(frozen=True)
class Version:
    """Official counts of one version (source: the files of github.com/rois-codh/kaokore).

    `lines` counts the lines of `urls.txt`, blank ones too; `images` those that hold a URL; `train`, `dev` and `test`
    the rows of `labels.csv`. In 1.1 forty of those rows (26, 6, 8) fall on blank lines: they have no image to download.
    """

    name: str
    folder: str
    lines: int
    images: int
    train: int
    dev: int
    test: int


VERSIONS = {
    version.name: version
    for version in (
        Version("1.0", "dataset", 5_824, 5_552, 4_238, 533, 527),
        Version("1.1", "dataset_v1.1", 8_845, 8_573, 6_568, 826, 821),
        Version("1.2", "dataset_v1.2", 8_848, 8_848, 6_756, 845, 845),
        Version("1.3", "dataset_v1.3", 9_683, 9_683, 7_405, 926, 926),
    )
}


def find_version(name: str) -> Version:
    """Return the version called `name`. Raises `DatasetError` when there is none.

    >>> find_version("1.1").images
    8573
    """
    if name not in VERSIONS:
        raise DatasetError(f"There is no version {name!r} of KaoKore; choose one of {', '.join(VERSIONS)}.")
    return VERSIONS[name]


def recognise(urls: Sequence[str]) -> Version | None:
    """Return the official version whose `urls.txt` has as many lines as `urls`; None for synthetic data.

    All versions have different numbers of lines.
    """
    return next((version for version in VERSIONS.values() if version.lines == len(urls)), None)


def check_version(urls: Sequence[str], name: str) -> None:
    """Raise `DatasetError` when `urls` are those of another official version than `name`, or there is no such version.

    Names depend on the version, so mixing two versions would silently give wrong labels.
    """
    wanted, held = find_version(name), recognise(urls)
    if held is not None and held != wanted:
        raise DatasetError(
            f"This folder holds version {held.name} of KaoKore, not {name}: use version {held.name}, "
            "or give each version a folder of its own."
        )
