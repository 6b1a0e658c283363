"""Read safetensors files and JSON from anywhere: every fault, and every size bomb, is one `ValueError` before allocation."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

MAX_HEADER = 16 * 2**20  # bytes
MAX_FILE = 2 * 2**30  # bytes


def read_tensors(path: str | Path, *, max_bytes: int = MAX_FILE) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Read a safetensors file of at most `max_bytes`.

    Returns:
        The metadata and the tensors, by name.

    Raises:
        ValueError: for anything that is not such a file, in a few words without the path.
    """
    try:
        # The whole file through Python: the library's own reader takes no names that are not UTF-8.
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > max_bytes:
                raise ValueError(f"{size:,} bytes are more than the {max_bytes:,} that such a file may have")
            data = file.read()
        length = int.from_bytes(data[:8], "little")
        if not 2 <= length <= min(MAX_HEADER, len(data) - 8):
            raise ValueError("its header is damaged")
        metadata = parse_json(data[8 : 8 + length]).get("__metadata__", {})
        return dict(metadata), load(data)
    except (SafetensorError, OSError, MemoryError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(getattr(error, "strerror", None) or str(error) or type(error).__name__) from error


def parse_json(text: str | bytes) -> dict[str, Any]:
    """Parse a JSON object. Raises `ValueError` for anything else, however deeply it is nested."""
    try:
        value = json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(value, dict):
        raise ValueError("it is no JSON object")
    return value
