"""OpenRaster files (.ora) with a layer for each part of a painting; for Krita, GIMP, MyPaint.

The format is a zip of PNG files and stack.xml: https://www.openraster.org/baseline/file-layout-spec.html (0.0.6).
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING
from xml.sax.saxutils import quoteattr

from PIL import Image

from renderer.brush import Brush
from renderer.io.files import atomic
from renderer.io.images import to_bytes
from renderer.io.layered import layer_images

if TYPE_CHECKING:
    from renderer.io.painting import Painting

THUMBNAIL = 256  # pixels on the long side, the largest that the format allows
TIME = (1980, 1, 1, 0, 0, 0)  # of every entry, so that equal paintings give equal files


def write_ora(
    painting: Painting,
    path: str | Path,
    longest: int | None = None,
    brush: Brush | None = None,
    every: int | None = None,
) -> None:
    """Write a painting with its layers, whole or not at all.

    The layers, blended normally from the lowest to the highest, give the painting within the rounding of 8 bits a channel.

    Args:
        painting: the painting.
        path: the file.
        longest: pixels on the long side; as it was painted for None.
        brush: draws the strokes; the default is `Painting.default_brush`.
        every: strokes in each layer; see `renderer.io.layered.layers_of`.

    Raises:
        InputError: see `layer_images`, and for a file that cannot be written.
    """
    height, width = painting.size(longest)
    brush = painting.default_brush(longest) if brush is None else brush
    merged = Image.fromarray(to_bytes(painting.render(longest, brush)))
    small = merged.copy()
    small.thumbnail((THUMBNAIL, THUMBNAIL))
    with atomic(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        _add(archive, "mimetype", b"image/openraster")  # first and stored, so that programs recognise the file
        elements = []
        for i, layer in enumerate(layer_images(painting, longest, brush, every)):
            name = f"data/layer{i:03}.png"
            _add(archive, name, _png(Image.fromarray(layer.pixels)))
            elements.append(
                f'    <layer name={quoteattr(layer.name)} src="{name}" x="{layer.left}" y="{layer.top}" opacity="1.0" '
                'visibility="visible" composite-op="svg:src-over"/>\n'
            )
        stack = "".join(reversed(elements))  # the highest first
        text = f"""<?xml version="1.0" encoding="UTF-8"?>
<image version="0.0.3" w="{width}" h="{height}" xres="72" yres="72">
  <stack>
{stack}  </stack>
</image>
"""
        _add(archive, "stack.xml", text.encode())
        _add(archive, "mergedimage.png", _png(merged))
        _add(archive, "Thumbnails/thumbnail.png", _png(small))


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    """Store an entry; PNG files are compressed already."""
    archive.writestr(zipfile.ZipInfo(name, TIME), content, zipfile.ZIP_STORED)


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()
