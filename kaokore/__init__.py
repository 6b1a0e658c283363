"""The KaoKore data set: faces, labels, tags, official splits, download. Independent of painting.

"KaoKore Dataset" (collected by CODH from multiple organizations), doi:10.20676/00000353, CC BY-SA 4.0.
"""

import warnings
from typing import TYPE_CHECKING

from kaokore.download import download_images, download_metadata, fetch_image
from kaokore.errors import DatasetError
from kaokore.fake import write_fake_kaokore
from kaokore.fetch import DownloadReport, RetryPolicy
from kaokore.labels import UNLABELLED, Label, parse_labels, read_labels
from kaokore.paths import image_name, image_path, parse_id, resolve_root
from kaokore.tags import IN_ENGLISH, Tags, format_tags, parse_tags, read_tags
from kaokore.urls import Region, find_url, image_ids, parse_region, parse_urls, read_urls
from kaokore.versions import GENDERS, SPLITS, STATUSES, VERSIONS, Version, find_version

if TYPE_CHECKING:
    from kaokore.dataset import KaoKore

ATTRIBUTION = '"KaoKore Dataset" (collected by CODH from multiple organizations), doi:10.20676/00000353, CC BY-SA 4.0'
"""The attribution that everything derived from the data set must carry."""

__all__ = [
    "ATTRIBUTION",
    "GENDERS",
    "IN_ENGLISH",
    "SPLITS",
    "STATUSES",
    "UNLABELLED",
    "VERSIONS",
    "DatasetError",
    "DownloadReport",
    "KaoKore",
    "Label",
    "Region",
    "RetryPolicy",
    "Tags",
    "Version",
    "download_images",
    "download_metadata",
    "fetch_image",
    "find_url",
    "find_version",
    "format_tags",
    "image_ids",
    "image_name",
    "image_path",
    "parse_id",
    "parse_labels",
    "parse_region",
    "parse_tags",
    "parse_urls",
    "read_labels",
    "read_tags",
    "read_urls",
    "resolve_root",
    "write_fake_kaokore",
]


def __getattr__(name: str) -> object:
    """Import `KaoKore` on first use, because importing torchvision takes over a second."""
    if name == "KaoKore":
        from kaokore.dataset import KaoKore

        return KaoKore
    if name == "Patience":
        warnings.warn("kaokore.Patience is now kaokore.RetryPolicy", DeprecationWarning, stacklevel=2)
        return RetryPolicy
    raise AttributeError(f"module 'kaokore' has no attribute {name!r}")
