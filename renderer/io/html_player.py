"""A painting as one web page that draws its strokes: `painting.html`, to share.

The file holds the strokes, not pictures of the result, and a script that draws them in a canvas at the size of the window.
It loads nothing, and its content security policy permits its own script and style only.

Bezier strokes are coded as their 13 numbers, 16 bits each. Marks of other brushes have no formula: the opacity of each is a
part of one sheet (WebP), as large as `BYTES` for each stroke permit, with a flat colour for each stroke. Where colours vary
inside a mark, the sheet holds them, too.
"""

from __future__ import annotations

import base64
import hashlib
import html
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from renderer.brush import Brush
from renderer.io.files import atomic
from renderer.strokes import BEZIER

if TYPE_CHECKING:
    from renderer.io.painting import Painting

HERE = Path(__file__).parent
SCRIPT = HERE / "stroke_canvas.js"
"""Draws coded paintings in a browser; see `coded`."""
MARK_SIZES = (1024, 768, 512, 384, 256, 192, 128)  # pixels on the long side at which marks are stored
BYTES = 190  # of marks for each stroke ...
LEAST_BYTES = 40_000  # ... or for all strokes, where that is more
SHEET_WIDTH = 2048  # pixels
SHEET_HEIGHT = 16_383  # of a WebP
FAINT = 1 / 512  # alphas below this are left out
QUALITY = 70  # of WebP


def write_html(painting: Painting, path: str | Path, brush: Brush | None = None, name: str | None = None) -> None:
    """Write `to_html` of the other arguments, whole or not at all. Raises `InputError`."""
    text = to_html(painting, brush, Path(path).stem if name is None else name)
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def to_html(painting: Painting, brush: Brush | None = None, name: str = "Painting") -> str:
    """Convert a painting to a web page that plays it. A thousand strokes take less than 300 kB.

    Args:
        painting: the painting.
        brush: draws the marks; by default, Bezier strokes are drawn by their formula, and others by
            `Painting.default_brush`.
        name: the heading of the page.

    Raises:
        SpaceError: for a brush of another space.
        PaintingError: when the reference brush is missing.
    """
    script = f"{SCRIPT.read_text(encoding='utf-8')}{_read('player.js')}"
    style = _read("player.css")
    data = json.dumps({"name": name, **coded(painting, brush)}, separators=(",", ":")).replace("<", "\\u003c")
    count, method = len(painting.strokes), painting.provenance.get("method")
    parts = {
        "policy": f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; base-uri 'none'; "
        "form-action 'none'",
        "name": html.escape(name),
        "facts": html.escape(f"{count:,} strokes" + (f" by {method}" if isinstance(method, str) else "")),
        "style": style,
        "script": script,
        "painting": data,
    }
    # In one pass: what is inserted is not searched again.
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], _read("player.html"))


def coded(painting: Painting, brush: Brush | None = None, budget: int | None = None) -> dict[str, Any]:
    """Code a painting for `stroke_canvas.js`, as a value of JSON.

    Args:
        painting: the painting.
        brush: as for `to_html`.
        budget: bytes of the marks of brushes without a formula; by default, `BYTES` for each stroke.

    Raises:
        SpaceError: for a brush of another space.
        PaintingError: when the reference brush is missing.
    """
    about = {"width": painting.width, "height": painting.height, "background": painting.background}
    if brush is None and painting.space == BEZIER:
        return {**about, "curves": _base64(codes_of(painting.strokes))}
    budget = max(LEAST_BYTES, BYTES * len(painting.strokes)) if budget is None else budget
    return {**about, "marks": _marks(painting, brush, budget)}


def codes_of(strokes: torch.Tensor) -> NDArray[np.uint16]:
    """Strokes (N, P) in [0, 1] as 16-bit numbers, little-endian."""
    return (strokes.detach().cpu().double().numpy() * 65535).round().astype("<u2")


def _marks(painting: Painting, brush: Brush | None, budget: int) -> dict[str, Any]:
    """The marks at the largest size that `budget` bytes permit, or else at the smallest."""
    longest = max(painting.height, painting.width)
    for size in MARK_SIZES:
        if size > max(512, longest) and size != MARK_SIZES[-1]:
            continue
        drawn = painting.default_brush(size) if brush is None else brush
        drawn.space.require(painting.space)
        marks = list(_cropped(painting, drawn, painting.size(size)))
        places, shape = _packed([alpha.shape for _, _, alpha, _ in marks])
        if shape[0] > SHEET_HEIGHT:
            continue
        sheet = np.zeros((*shape, 4 if drawn.textured else 1), np.uint8)
        for (left, top), (_, _, alpha, colour) in zip(places, marks, strict=True):
            height, width = alpha.shape
            part = sheet[top : top + height, left : left + width]
            part[..., -1] = (alpha * 255).round()
            if drawn.textured and part.size:
                part[..., :3] = (colour * 255).round().transpose(1, 2, 0)
        file = io.BytesIO()
        image = Image.fromarray(sheet if drawn.textured else sheet[..., 0])
        image.save(file, "WEBP", quality=QUALITY, alpha_quality=QUALITY, method=4)
        if file.tell() <= budget or size == MARK_SIZES[-1]:
            break
    boxes = [
        (*place, alpha.shape[1], alpha.shape[0], left, top)
        for place, (left, top, alpha, _) in zip(places, marks, strict=True)
    ]
    flat = painting.space.get(painting.strokes.detach().cpu().float(), "colour").numpy()
    return {
        "sheet": base64.b64encode(file.getvalue()).decode(),
        "boxes": _base64(np.array(boxes, "<i2").reshape(-1, 6)),
        "colours": None if drawn.textured else _base64((flat * 255).round().astype(np.uint8)),
        "scale": painting.width / painting.size(size)[1],
    }


@torch.no_grad()
def _cropped(
    painting: Painting, brush: Brush, size: tuple[int, int]
) -> Iterator[tuple[int, int, NDArray[np.float32], NDArray[np.float32]]]:
    """Left, top, alpha (h, w) and colour (3, h, w) or (3, 1, 1) of each mark, without its empty margins."""
    for patches in brush.stream(painting.strokes.detach().cpu().float(), size):
        for i in range(len(patches)):
            left, top, width, height = patches.box[i].tolist()
            begin = int(patches.start[i])
            alpha = patches.alpha[begin : begin + width * height].view(height, width).clamp(0, 1).numpy()
            colour = patches.pigment(i).clamp(0, 1).numpy()
            rows, columns = np.flatnonzero((alpha > FAINT).any(1)), np.flatnonzero((alpha > FAINT).any(0))
            if len(rows) == 0:
                yield 0, 0, alpha[:0, :0], colour
                continue
            inside = np.s_[rows[0] : rows[-1] + 1], np.s_[columns[0] : columns[-1] + 1]
            yield (
                left + int(columns[0]),
                top + int(rows[0]),
                alpha[inside],
                colour[(slice(None), *inside)] if colour.shape[1:] == alpha.shape else colour,
            )


def _packed(shapes: list[tuple[int, ...]]) -> tuple[list[tuple[int, int]], tuple[int, int]]:
    """Places (left, top) of boxes (height, width) on a sheet, in rows by height, and the sheet's height and width."""
    places = [(0, 0)] * len(shapes)
    left = top = row = 0
    width = max([SHEET_WIDTH, *(shape[1] + 1 for shape in shapes)])
    for i in sorted(range(len(shapes)), key=lambda i: -shapes[i][0]):
        height, wide = shapes[i][0] + 1, shapes[i][1] + 1  # with a pixel between marks
        if left + wide > width:
            left, top, row = 0, top + row, 0
        places[i] = left, top
        left, row = left + wide, max(row, height)
    return places, (top + row + 1, width)


def _base64(values: NDArray[Any]) -> str:
    return base64.b64encode(np.ascontiguousarray(values).tobytes()).decode()


def _hash(text: str) -> str:
    """Of an inline script or style, for a content security policy."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _read(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")
