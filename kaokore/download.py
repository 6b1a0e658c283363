"""Download KaoKore: metadata from the official repository, each image from the library that publishes it.

The authors ask that no derived data set with images be redistributed, so there is no archive: every image comes from its
publisher's IIIF server. Source: github.com/rois-codh/kaokore.
"""

from __future__ import annotations

import functools
import io
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar, cast

from PIL import Image

from kaokore.errors import DatasetError
from kaokore.fetch import DownloadReport, RetryPolicy, UnusableError, download, passes
from kaokore.paths import IMAGES, METADATA, image_name, image_path, parse_id, resolve_root
from kaokore.urls import find_url, image_ids, read_urls
from kaokore.versions import check_version, find_version

OFFICIAL = "https://raw.githubusercontent.com/rois-codh/kaokore/master"
DEFAULT_RETRY = RetryPolicy()
Function = TypeVar("Function", bound=Callable[..., Any])


def _accept_patience(function: Function) -> Function:
    """Accept `patience`, the name of the option `retry` in version 0.1."""

    @functools.wraps(function)
    def renamed(*arguments: Any, **options: Any) -> Any:
        if "patience" in options:
            warnings.warn("The option patience is now retry.", DeprecationWarning, stacklevel=2)
            options["retry"] = options.pop("patience")
        return function(*arguments, **options)

    return cast(Function, renamed)


@_accept_patience
def download_metadata(
    root: str | Path | None = None,
    version: str = "1.1",
    *,
    base_url: str = OFFICIAL,
    retry: RetryPolicy = DEFAULT_RETRY,
    files: Iterable[str] = METADATA,
) -> DownloadReport:
    """Download the official text files; those that are there already are kept.

    Args:
        root: The data set folder; None looks where `resolve_root` looks.
        version: 1.0, 1.1, 1.2 or 1.3.
        base_url: Where the official folders dataset, dataset_v1.1, ... are.
        retry: When to try a file again.
        files: Names of the files.

    Raises:
        DatasetError: The root holds another version, or a file cannot be downloaded.
    """
    root = resolve_root(root)
    address = f"{base_url.rstrip('/')}/{find_version(version).folder}"
    if (root / "urls.txt").exists():  # never mix labels of one version with images of another
        check_version(read_urls(root), version)
    report = download({name: f"{address}/{name}" for name in files}, root, _check_text, retry=retry)
    for name, reason in report.failed.items():
        raise DatasetError(
            f"{name} could not be downloaded from {address} ({reason}): check the network and try again, "
            f"or put the official files into {root} by hand."
        )
    return report


@_accept_patience
def download_images(
    root: str | Path | None = None,
    ids: Iterable[int | str] | None = None,
    *,
    retry: RetryPolicy = DEFAULT_RETRY,
    progress: bool = False,
) -> DownloadReport:
    """Download images, at most four at once.

    Images that are there already and decode are kept, so calling again resumes. Images that cannot be downloaded are in
    the report, by file name with the reason.

    Args:
        root: The data set folder; None looks where `resolve_root` looks.
        ids: Which images; by default all of `urls.txt`.
        retry: When to try an image again.
        progress: Show a progress bar on stderr.

    Raises:
        DatasetError: `urls.txt` is missing, an ID has no image, or the folder cannot be written.
    """
    root = resolve_root(root)
    urls = read_urls(root)
    wanted = image_ids(urls) if ids is None else map(parse_id, ids)
    addresses = {image_name(image_id): find_url(urls, image_id) for image_id in wanted}
    return download(addresses, root / IMAGES, _check_image, retry=retry, progress=progress)


@_accept_patience
def fetch_image(
    root: str | Path | None,
    image: int | str,
    version: str = "1.1",
    *,
    base_url: str = OFFICIAL,
    retry: RetryPolicy = DEFAULT_RETRY,
) -> Path:
    """Return the file of one image, downloading it, and before it `urls.txt`, where they are missing.

    Args:
        root: The data set folder; None looks where `resolve_root` looks.
        image: An ID, such as 42 or "00000042".
        version: 1.0, 1.1, 1.2 or 1.3.
        base_url: Where the official folders dataset, dataset_v1.1, ... are.
        retry: When to try a file again.

    Raises:
        DatasetError: The ID has no image, the root holds another version, or the image cannot be downloaded.
    """
    root, image_id = resolve_root(root), parse_id(image)
    find_version(version)
    path = image_path(root, image_id)
    if (root / "urls.txt").exists():
        check_version(read_urls(root), version)
    if passes(path, _check_image):
        return path
    download_metadata(root, version, base_url=base_url, retry=retry, files=("urls.txt",))
    for reason in download_images(root, [image_id], retry=retry).failed.values():
        raise DatasetError(
            f"Image {image_id} could not be downloaded from {find_url(read_urls(root), image_id)} ({reason}): "
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
    except Exception:  # Pillow raises errors of many types for damaged files
        raise UnusableError("not a whole JPEG image") from None
