"""Checkpoints on the Hugging Face Hub, by addresses such as `hf://owner/repository/file.safetensors@revision`.

Nothing is downloaded unless a person allows it: by the environment variable `KAOKORE_HUB=1`, or `download=True`. Without it,
only what an earlier download left in the cache is read. Files are safetensors, which hold no code.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from renderer.errors import InputError
from renderer.io.read import one_line, reason
from renderer.io.tensor_file import MAX_FILE

SCHEME = "hf://"
DEFAULT_FILE = "model.safetensors"
ALLOW = "KAOKORE_HUB"  # the environment variable that allows downloads
INSTALL = "pip install 'kaokore-painter[hub]'"
_NAME = r"[A-Za-z0-9][\w.-]{0,95}"
_ADDRESS = re.compile(
    rf"hf://(?P<repository>{_NAME}/{_NAME})(?P<file>(?:/[\w-][\w.-]*)*)(?:@(?P<revision>[\w-][\w./-]{{0,99}}))?",
    re.ASCII,
)


class HubError(InputError):
    """A file of the Hub cannot be had."""


@dataclass(frozen=True)
class HubFile:
    """A file of a repository on the Hub: `owner/name`, its path there, and a branch, tag or commit (None: the main one)."""

    repository: str
    file: str
    revision: str | None


def is_address(name: object) -> bool:
    """Whether a name is meant as an address of the Hub."""
    return isinstance(name, str) and name.startswith(SCHEME)


def parse_address(address: str) -> HubFile:
    """The parts of `hf://owner/repository[/file][@revision]`.

    The file is by default `model.safetensors`. Raises `HubError` for anything else.

    >>> parse_address("hf://someone/brushes/ink.safetensors@v1")
    HubFile(repository='someone/brushes', file='ink.safetensors', revision='v1')
    """
    match = _ADDRESS.fullmatch(address)
    if match is None or ".." in address:
        raise HubError(f"{one_line(address, 120)} is no address: write hf://OWNER/REPOSITORY[/FILE][@REVISION].")
    file = match["file"].removeprefix("/") or DEFAULT_FILE
    if not file.endswith(".safetensors"):
        raise HubError(f"{one_line(address, 120)} is no safetensors file; others may hold code and are not loaded.")
    return HubFile(match["repository"], file, match["revision"])


def fetch(address: str, *, download: bool | None = None) -> Path:
    """The file at an address of the Hub, in the local cache.

    Args:
        address: see `parse_address`.
        download: whether it may be downloaded, or looked up whether there is a newer one; None: as the environment variable
            `KAOKORE_HUB` says.

    Raises:
        HubError: where it is not in the cache and may not or cannot be downloaded, and for more than 2 GiB.
    """
    wanted = parse_address(address)
    allowed = os.environ.get(ALLOW, "") not in ("", "0") if download is None else download
    try:
        import huggingface_hub as hub
    except ImportError as error:
        raise HubError(f"{address} needs the package huggingface_hub: {INSTALL}.") from error
    endpoint, cache = os.environ.get("HF_ENDPOINT"), os.environ.get("HF_HUB_CACHE")
    repository, file, revision = wanted.repository, wanted.file, wanted.revision
    if not allowed:  # by what looks at files only: other functions of the package ask the Hub also about other things
        found = hub.try_to_load_from_cache(repository, file, cache, revision)
        if isinstance(found, str):
            return Path(found)
        raise HubError(f"{address} is not in the cache, and downloads are off; set {ALLOW}=1 to allow them.")
    try:
        url = hub.hf_hub_url(repository, file, revision=revision, endpoint=endpoint)
        size = hub.get_hf_file_metadata(url, endpoint=endpoint).size
        if size is not None and size > MAX_FILE:
            raise HubError(f"{address} has {size:,} bytes, more than the {MAX_FILE:,} that are read.")
        return Path(hub.hf_hub_download(repository, file, revision=revision, endpoint=endpoint, cache_dir=cache))
    except HubError:
        raise
    except Exception as error:  # of the network, of the server, of the cache's disk
        raise HubError(f"{address} cannot be downloaded ({reason(error)}).") from error
