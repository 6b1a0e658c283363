"""Photoshop documents (.psd) with a layer for each part of a painting, written by psd-tools."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from renderer.brush import Brush
from renderer.errors import InputError
from renderer.io.files import atomic
from renderer.io.images import to_bytes
from renderer.io.layered import layer_images

if TYPE_CHECKING:
    from renderer.io.painting import Painting


def write_psd(
    painting: Painting,
    path: str | Path,
    longest: int | None = None,
    brush: Brush | None = None,
    every: int | None = None,
) -> None:
    """Write a painting with its layers, whole or not at all; arguments and errors as of `write_ora`.

    Raises `InputError` also where psd-tools is not installed.
    """
    try:
        from psd_tools import PSDImage
    except ImportError as error:
        raise InputError("Photoshop documents need psd-tools: pip install 'kaokore-painter[psd]'.") from error
    brush = painting.default_brush(longest) if brush is None else brush
    document = PSDImage.frompil(Image.fromarray(to_bytes(painting.render(longest, brush))).convert("RGBA"))
    for layer in layer_images(painting, longest, brush, every):
        document.create_pixel_layer(Image.fromarray(layer.pixels), layer.name, top=layer.top, left=layer.left)
    with atomic(path) as temporary:
        document.save(temporary)
