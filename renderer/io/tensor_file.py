"""Write and read safetensors files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load, save
from torch import Tensor

from renderer.io.files import atomic
from renderer.io.from_json import from_json
from renderer.io.read import FAULTS, opened, parse_json, read_bytes, reason

MAX_FILE = 2 * 2**30  # bytes
MAX_HEADER = 4 * 2**20  # bytes
DTYPES = (
    *(torch.float32, torch.float16, torch.bfloat16, torch.float64),
    *(torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool),
)


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
        The metadata and the tensors, by name and in the order of their names.

    Raises:
        ValueError: for anything that is not such a file, and for numbers of other types than `DTYPES`.
        OSError: when it cannot be read.
    """
    # The whole file through Python: the library's own reader takes no names that are not UTF-8.
    data = read_bytes(path, max_bytes)
    metadata = _metadata(data[: 8 + MAX_HEADER])
    try:
        tensors = load(data)
    except FAULTS as error:
        raise ValueError(reason(error)) from error
    for name, tensor in tensors.items():
        if tensor.dtype not in DTYPES:
            raise ValueError(f"numbers of the type {tensor.dtype} ({name:.40}) cannot be used")
    return metadata, dict(sorted(tensors.items()))


def read_header(path: str | Path) -> dict[str, str]:
    """Read only the metadata of a safetensors file. Raises as `read_tensors`."""
    with opened(path) as file:
        length = file.read(8)
        return _metadata(length + file.read(min(MAX_HEADER, int.from_bytes(length, "little"))))


def require_finite(tensors: Mapping[str, Tensor]) -> None:
    """Raise `ValueError` for a tensor with NaN or infinity."""
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise ValueError(f"{name:.80} is not finite")


def _metadata(data: bytes) -> dict[str, str]:
    length = int.from_bytes(data[:8], "little")
    if not 2 <= length <= len(data) - 8:
        raise ValueError("its header is damaged")
    return from_json(dict[str, str], parse_json(data[8 : 8 + length]).get("__metadata__") or {}, "its metadata")
