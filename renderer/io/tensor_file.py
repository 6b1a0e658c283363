"""Write safetensors files, and read them and JSON from anywhere.

Every fault of a file, and every size bomb, is one `ValueError` before allocation.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from renderer.io.files import atomic

MAX_HEADER = 16 * 2**20  # bytes
MAX_FILE = 2 * 2**30  # bytes


def write_tensors(path: str | Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> None:
    """Write a safetensors file, whole or not at all; equal tensors and metadata give equal bytes.

    Args:
        path: the file.
        tensors: of any device and layout, by name.
        metadata: by name.

    Raises:
        InputError: The file cannot be written.
    """
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    data = save(plain, dict(metadata or {}))
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:end])
    if metadata:  # the library writes its entries in an order that changes from run to run
        header["__metadata__"] = dict(sorted(metadata.items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    with atomic(path) as temporary, temporary.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.write(memoryview(data)[end:])


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
