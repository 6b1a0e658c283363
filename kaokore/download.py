"""KaoKore from where it is published: metadata from the official repository, each image from the library that owns it.

The authors ask that no derived data set with images be redistributed, so there is no archive to fetch: every image
comes from its publisher's IIIF server. Source: github.com/rois-codh/kaokore.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path

from PIL import Image

from kaokore.errors import DatasetError
from kaokore.fetch import DownloadReport, Patience, UnusableError, download, passes
from kaokore.paths import IMAGES, METADATA, image_name, image_path, parse_id, resolve_root
from kaokore.urls import find_url, image_ids, read_urls
from kaokore.versions import check_version, find_version

OFFICIAL = "https://raw.githubusercontent.com/rois-codh/kaokore/master"
PATIENT = Patience()


def download_metadata(
    root: str | Path | None = None,
    version: str = "1.1",
    *,
    base_url: str = OFFICIAL,
    patience: Patience = PATIENT,
    files: Iterable[str] = METADATA,
) -> DownloadReport:
    """Puts the official text files into the root (see `resolve_root`); those already there are kept.

    Raises `DatasetError` when the root holds another version, or a file cannot be had.
    """
    root = resolve_root(root)
    address = f"{base_url.rstrip('/')}/{find_version(version).folder}"
    if (root / "urls.txt").exists():  # never labels of one version beside images of another
        check_version(read_urls(root), version)
    report = download({name: f"{address}/{name}" for name in files}, root, _check_text, patience)
    for name, reason in report.failed.items():
        raise DatasetError(
            f"{name} could not be had from {address} ({reason}): check the network and try again, "
            f"or put the official files into {root} by hand."
        )
    return report


def download_images(
    root: str | Path | None = None,
    ids: Iterable[int | str] | None = None,
    *,
    patience: Patience = PATIENT,
    progress: bool = False,
) -> DownloadReport:
    """Fetches images (all of `urls.txt`, or those in `ids`) into the root, at most four at once.

    Images already there that decode are kept, so calling again resumes. What cannot be had is in the report, by file
    name with the reason. `progress` draws a bar.

    Raises `DatasetError` when `urls.txt` is missing or an ID has no image.
    """
    root = resolve_root(root)
    urls = read_urls(root)
    wanted = image_ids(urls) if ids is None else map(parse_id, ids)
    addresses = {image_name(image_id): find_url(urls, image_id) for image_id in wanted}
    return download(addresses, root / IMAGES, _check_image, patience, progress)


def fetch_image(
    root: str | Path | None,
    image: int | str,
    version: str = "1.1",
    *,
    base_url: str = OFFICIAL,
    patience: Patience = PATIENT,
) -> Path:
    """The file of one image (`42`, `"00000042"`, ...); where missing, downloads that one alone, and `urls.txt` before.

    Raises `DatasetError` when the ID has no image, the root holds another version, or the image cannot be had.
    """
    root, image_id = resolve_root(root), parse_id(image)
    find_version(version)
    path = image_path(root, image_id)
    if (root / "urls.txt").exists():
        check_version(read_urls(root), version)
    if passes(path, _check_image):
        return path
    download_metadata(root, version, base_url=base_url, patience=patience, files=("urls.txt",))
    for reason in download_images(root, [image_id], patience=patience).failed.values():
        raise DatasetError(
            f"Image {image_id} could not be had from {find_url(read_urls(root), image_id)} ({reason}): "
            f"check the network and try again, or put it at {path} by hand."
        )
    return path


def _check_text(content: bytes) -> None:
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        raise UnusableError("not UTF-8 text") from None
    if not text.strip() or text.lstrip().startswith("<"):  # a network's login page comes as HTTP 200
        raise UnusableError("not the official file")


def _check_image(content: bytes) -> None:
    try:
        with Image.open(io.BytesIO(content), formats=("JPEG",)) as image:
            image.load()
    except (OSError, Image.DecompressionBombError):  # `OSError` is Pillow's word for what it cannot decode
        raise UnusableError("not a whole JPEG image") from None
