"""`python -m kaokore download | fetch | info`: download KaoKore or one image of it, or count the images."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Literal

import tyro

from kaokore.download import OFFICIAL, download_images, download_metadata, fetch_image
from kaokore.labels import UNLABELLED, read_labels
from kaokore.paths import IMAGES, resolve_root
from kaokore.urls import image_ids, read_urls
from kaokore.versions import GENDERS, SPLITS, STATUSES, recognise
from renderer.errors import InputError
from renderer.io.standard_streams import checked_streams


def download(
    root: Path | None = None,
    version: str = "1.1",
    split: Literal["train", "dev", "test", "all"] = "all",
    images: int | None = None,
    base_url: str = OFFICIAL,
) -> int:
    """Download KaoKore; run it again to resume. The exit code is 1 if some images could not be downloaded.

    Args:
        root: Data set folder; by default KAOKORE_ROOT, else data/kaokore.
        version: 1.0, 1.1, 1.2 or 1.3.
        split: Which images.
        images: Only this many, from the first on.
        base_url: Where the official folders dataset, dataset_v1.1, ... are.
    """
    root = resolve_root(root)
    download_metadata(root, version, base_url=base_url)
    ids = image_ids(read_urls(root))
    if split != "all":
        labelled = {label.image_id for label in read_labels(root) if label.split == split}
        ids = [image_id for image_id in ids if image_id in labelled]
    report = download_images(root, ids[:images], progress=True)
    for name, reason in report.failed.items():
        print(f"{name}: {reason}", file=sys.stderr)
    print(f"{root / IMAGES}: {report}." + (" Run the same command again to try those." if report.failed else ""))
    return 1 if report.failed else 0


def fetch(
    image: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="ID")],
    root: Path | None = None,
    version: str = "1.1",
    base_url: str = OFFICIAL,
) -> int:
    """Download one image and print its path.

    Args:
        image: Line index in urls.txt, such as 42 or 00000042.
        root: Data set folder; by default KAOKORE_ROOT, else data/kaokore.
        version: 1.0, 1.1, 1.2 or 1.3.
        base_url: Where the official folders dataset, dataset_v1.1, ... are.
    """
    print(fetch_image(root, image, version, base_url=base_url))
    return 0


def info(root: Path | None = None) -> int:
    """Count images and classes by split, in the official files and in the folder.

    Args:
        root: Data set folder; by default KAOKORE_ROOT, else data/kaokore.
    """
    from kaokore.dataset import KaoKore  # here, because it imports torchvision

    root = resolve_root(root)
    urls = read_urls(root)
    version = recognise(urls)
    here = KaoKore(root, version.name if version else "1.1", split="all", missing="skip")
    print(f"{root}: KaoKore {version.name if version else '(not an official version)'}")
    unlabelled = here.genders.count(UNLABELLED)
    print(f"images: {len(image_ids(urls)):,} published, {len(here):,} here, {unlabelled:,} of them unlabelled")
    labels, ids = read_labels(root), set(here.ids)
    row = "{:<6}" + "{:>12}" * (2 + len(GENDERS) + len(STATUSES))
    print(row.format("split", "labelled", "here", *GENDERS, *STATUSES))
    for split in SPLITS:
        rows = [label for label in labels if label.split == split]
        genders, statuses = Counter(label.gender for label in rows), Counter(label.status for label in rows)
        counts = [genders[index] for index in range(len(GENDERS))] + [statuses[index] for index in range(len(STATUSES))]
        print(row.format(split, len(rows), sum(label.image_id in ids for label in rows), *counts))
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand and return the exit code: 2 and one line for an `InputError`, 130 for Ctrl-C."""
    commands: dict[str, Callable[..., int]] = {"download": download, "fetch": fetch, "info": info}
    with checked_streams():
        try:
            return tyro.extras.subcommand_cli_from_dict(
                commands, prog="python -m kaokore", description=__doc__, args=arguments
            )
        except InputError as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            print("Stopped; everything downloaded so far is kept, and the same command resumes.", file=sys.stderr)
            return 130


if __name__ == "__main__":
    sys.exit(main())
