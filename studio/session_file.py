"""A document as one file: picture, strokes, settings, locks and mask; safetensors without code or paths."""

from __future__ import annotations

import io
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from renderer.errors import InputError
from renderer.io.from_json import from_json
from renderer.io.images import fitted_size, to_bytes
from renderer.io.painting import LARGEST, Painting
from renderer.io.read import guarded, parse_json
from renderer.io.tensor_file import read_header, read_tensors, write_tensors
from studio.presets import MAX_STROKES, Settings

FORMAT = "kaokore-session/1"
MAX_BYTES = 64 * 2**20  # of a file
MAX_SIDE = 1024  # pixels of the picture and the mask
WHAT = "is damaged or not a session of the studio"


class SessionError(InputError):
    """A file is no session."""


@dataclass(frozen=True, eq=False)
class State:
    """All that an edit can change.

    Attributes:
        painting: the strokes, and what they are painted on.
        settings: what it is painted with, or will be.
        locked: (N,) bool, strokes that stay as they are and are not painted over.
        mask: (H, W) bool of the painting's size, where the picture is repainted; None for no mask.
        goal: how many strokes the last work aimed at; more than there are where it was stopped.
        rest: the part of the last work that was not done, in [0, 1].
    """

    painting: Painting
    settings: Settings
    locked: Tensor
    mask: Tensor | None = None
    goal: int = 0
    rest: float = 0.0

    def __post_init__(self) -> None:
        count, size = len(self.painting.strokes), self.painting.size()
        if count > MAX_STROKES:
            raise SessionError(f"A document of the studio has {MAX_STROKES:,} strokes at most, not {count:,}.")
        if max(size) > 2 * MAX_SIDE:
            raise SessionError(
                f"A document of the studio is painted at {2 * MAX_SIDE} pixels at most, not {max(size)}."
            )
        if self.locked.dtype != torch.bool or tuple(self.locked.shape) != (count,):
            raise SessionError(f"The locks are {count} truth values, one for each stroke.")
        if self.mask is not None and (self.mask.dtype != torch.bool or tuple(self.mask.shape) != size):
            raise SessionError(f"A mask has the painting's size of {size[1]}x{size[0]} pixels.")
        if not (0 <= self.goal <= MAX_STROKES and 0 <= self.rest <= 1):
            raise SessionError("The goal or the rest of the work is out of range.")


def write_session(
    path: str | Path, state: State, target: Tensor | None = None, about: dict[str, Any] | None = None
) -> None:
    """Write a session, whole or not at all; equal sessions give equal bytes.

    Args:
        path: the file.
        state: of the document.
        target: the picture (3, H, W) in [0, 1], of at most `MAX_SIDE` pixels a side; None leaves it out.
        about: further entries, anything that JSON can hold.

    Raises:
        InputError: when it cannot be written.
    """
    painting = state.painting
    record = {
        "format": FORMAT,
        **painting.record(),
        "settings": asdict(state.settings),
        "goal": state.goal,
        "rest": state.rest,
        "about": about or {},
    }
    tensors = {"strokes": painting.strokes, "locked": state.locked}
    if state.mask is not None:
        tensors["mask"] = _png(state.mask.numpy().astype(np.uint8) * 255)
    if target is not None:
        tensors["target"] = _png(to_bytes(target))
    write_tensors(path, tensors, {"session": json.dumps(record)})


def read_session(path: str | Path) -> tuple[State, Tensor | None, dict[str, Any]]:
    """Read what `write_session` wrote.

    Returns:
        The state, the picture (3, H, W) in [0, 1] or None, and further entries.

    Raises:
        SessionError: for a file that is missing, damaged or something else.
    """
    with guarded(path, SessionError, WHAT):
        metadata, tensors = read_tensors(path, max_bytes=MAX_BYTES)
        record = parse_json(metadata.get("session", "{}"))
        if record.get("format") != FORMAT:
            raise SessionError(f"{path} is not a session of the studio, or of another version of it.")
        painting = Painting.from_record(tensors["strokes"].float(), record)
        mask = None
        if "mask" in tensors:
            mask = torch.from_numpy(_pixels(tensors["mask"], LARGEST)[:, :, 0] > 127)
        state = State(
            painting,
            from_json(Settings, record["settings"], "settings"),
            tensors["locked"],
            mask,
            from_json(int, record["goal"], "goal"),
            from_json(float, record["rest"], "rest"),
        )
        target = None
        if "target" in tensors:
            pixels = _pixels(tensors["target"], MAX_SIDE)
            target = torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1))).float() / 255
            wanted = fitted_size((target.shape[1], target.shape[2]), max(painting.size()))
            if max(abs(a - b) for a, b in zip(wanted, painting.size(), strict=True)) > 1:
                raise ValueError("its picture has another shape than its painting")
        return state, target, from_json(dict, record["about"], "about")


def is_session(path: str | Path) -> bool:
    """Whether a file says that it is a session."""
    try:
        return '"kaokore-session/' in read_header(path).get("session", "")
    except (OSError, ValueError):
        return False


def _png(pixels: np.ndarray) -> Tensor:
    """The bytes of a PNG, as uint8 (n,)."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return torch.frombuffer(bytearray(buffer.getvalue()), dtype=torch.uint8)


def _pixels(data: Tensor, most: int) -> np.ndarray:
    """The pixels (H, W, 3) uint8 of a PNG of at most `most` pixels a side. Raises `ValueError`."""
    if data.dtype != torch.uint8 or data.dim() != 1:
        raise ValueError("a picture in it is no bytes")
    with Image.open(io.BytesIO(data.numpy().tobytes()), formats=["PNG"]) as image:
        if not 1 <= max(image.size) <= most:
            raise ValueError(f"a picture in it has {image.width}x{image.height} pixels")
        return np.asarray(image.convert("RGB"))


def resized_mask(mask: Tensor, size: tuple[int, int]) -> Tensor:
    """A mask (H, W) bool at another size (height, width)."""
    if tuple(mask.shape) == size:
        return mask
    grey = cv2.resize(mask.numpy().astype(np.float32), size[::-1], interpolation=cv2.INTER_AREA)
    return torch.from_numpy(grey > 0.5)
