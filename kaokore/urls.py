"""`urls.txt`: the URL of each image, and the region of the page that it shows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from kaokore.errors import DatasetError
from kaokore.paths import read_metadata


class Region(NamedTuple):
    """A rectangle of a page. It identifies an image, whose ID differs between versions.

    `page` is the page file's address without the scheme: the publishers moved from http to https between versions.
    `x`, `y`, `w`, `h` are in pixels of the page; `x` and `y` may be negative, and the server then pads.
    """

    page: str
    x: int
    y: int
    w: int
    h: int


# IIIF Image API: {scheme}://{server}/{prefix}/{identifier}/{region}/{size}/{rotation}/{quality}.{format}
_IIIF = re.compile(r"https?://(.+)/(-?\d+),(-?\d+),(\d+),(\d+)/[^/]+/[^/]+/[^/]+", flags=re.ASCII)


def parse_region(url: str) -> Region:
    """Parse the region in an IIIF URL. Raises `DatasetError` when the URL has none.

    Source: https://iiif.io/api/image/2.1/#region

    >>> parse_region("http://iiif.lib.keio.ac.jp/iipsrv/NRE/132X-70-3-3/tif/3_019.tif/-2,1372,176,176/256,256/0/default.jpg")
    Region(page='iiif.lib.keio.ac.jp/iipsrv/NRE/132X-70-3-3/tif/3_019.tif', x=-2, y=1372, w=176, h=176)
    """
    match = _IIIF.fullmatch(url)
    if match is None:
        raise DatasetError(f"{url!r} is not the IIIF address of a region; is urls.txt the official file?")
    page, *numbers = match.groups()
    return Region(page, *map(int, numbers))


def parse_urls(text: str) -> list[str]:
    r"""Split the text into one entry per line, so that an image's ID is its index; a blank line is an empty entry.

    Without the blank lines every later ID would be shifted, and every later image would get a wrong label.

    >>> parse_urls("http://a/0.jpg\n\nhttp://a/2.jpg\n")
    ['http://a/0.jpg', '', 'http://a/2.jpg']
    """
    lines = text.split("\n")
    if lines[-1] == "":  # after the end of the last line
        lines.pop()
    return [line.strip() for line in lines]


def read_urls(root: Path) -> list[str]:
    """Read the entries of `ROOT/urls.txt`, see `parse_urls`. Raises `DatasetError` when the file is missing."""
    return parse_urls(read_metadata(root, "urls.txt"))


def image_ids(urls: Sequence[str]) -> list[int]:
    """List the IDs that have an image, in order.

    >>> image_ids(["http://a/0.jpg", "", "http://a/2.jpg"])
    [0, 2]
    """
    return [image_id for image_id, url in enumerate(urls) if url]


def find_url(urls: Sequence[str], image_id: int) -> str:
    """Return the URL of an image. Raises `DatasetError` when the ID is after the last line or on a blank one."""
    if not 0 <= image_id < len(urls):
        raise DatasetError(f"There is no image {image_id}; this version's IDs go from 0 to {len(urls) - 1}.")
    if not urls[image_id]:
        raise DatasetError(
            f"Line {image_id} of urls.txt is blank in this version, so there is no such image; choose another ID."
        )
    return urls[image_id]
