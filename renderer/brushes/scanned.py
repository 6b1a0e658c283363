"""Brushes made of scanned strokes: strips of real marks, wrapped around the paths of strokes.

Not differentiable. `renderer.brushes.stroke_sheet` cuts the strips from a photograph, and `train_renderer` learns the brush.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from renderer.brush import Bounds, Mark, Patches, ReferenceBrush, Size, Window, box_of, layout
from renderer.brushes.bezier import box_around, colours, pixel_centres
from renderer.errors import InputError
from renderer.io.checkpoint import Checkpoint, CheckpointError, read_kind
from renderer.io.from_json import from_json
from renderer.io.read import guarded, parse_json
from renderer.learned.curve_coordinates import sweeps
from renderer.strokes import MYPAINT

KIND, FORMAT = "scanned-brush", "kaokore-strips/1"
UNIT = 16  # cells of a strip in a radius
REACH = 1.5  # how far a strip reaches beyond its path on all sides, in radii
CAP = int(REACH * UNIT)  # cells before the start of the path, and as many behind its end
ACROSS = 2 * CAP
MAX_STRIPS, MAX_BODY = 64, 100 * UNIT  # of a brush; cells of a strip along its path
SIMILAR = 3  # strips of nearly the stroke's proportions, among which noise chooses
LEAST = 0.5  # pixels: marks of a smaller radius fade instead


class Scanned(ReferenceBrush):
    """A brush of strips.

    Each strip shows a real stroke, straightened: alpha over the way along the path and the distance from it. A stroke takes
    the strip of one of the `SIMILAR` scanned strokes whose length, in radii, is nearest to its own; a hash of the stroke's
    geometry and `seed` chooses. The part along the path is stretched to the stroke's length, both ends keep their shape.
    Pressure is the mark's radius as a part of the stroke's radius; opacity multiplies the mark.

    Args:
        name: recorded in paintings.
        strips: each `(rows, ACROSS)` with alpha as uint8: `CAP` rows before the path, one or more along it in units of
            radius / `UNIT`, `CAP` rows behind it.
        seed: of the per-stroke noise.

    Raises:
        InputError: for strips of another shape or type, none or more than `MAX_STRIPS`, and for blank ones.
    """

    space = MYPAINT

    def __init__(self, name: str, strips: Sequence[Tensor], seed: int = 0) -> None:
        if not 1 <= len(strips) <= MAX_STRIPS:
            raise InputError(f"A scanned brush has 1 to {MAX_STRIPS} strips, not {len(strips)}.")
        for strip in strips:
            rows = len(strip) - 2 * CAP if strip.dim() == 2 and strip.shape[1] == ACROSS else 0
            if strip.dtype != torch.uint8 or not 1 <= rows <= MAX_BODY or not strip.any():
                raise InputError(
                    f"A strip of a scanned brush is a visible mark as uint8 of {ACROSS} cells in each row."
                )
        self.name, self.seed = name, seed
        self.strips = [strip.contiguous() for strip in strips]
        self._alphas = [strip.numpy().astype(np.float32) / 255 for strip in self.strips]
        self._lengths = torch.tensor([(len(strip) - 2 * CAP) / UNIT for strip in self.strips])  # of paths, in radii

    def save(self, path: str | Path) -> None:
        """Write one safetensors file, whole or not at all. Raises `InputError`."""
        tensors = {f"strip{i:02}": strip for i, strip in enumerate(self.strips)}
        Checkpoint(KIND, {"name": self.name}, tensors, MYPAINT).save(path)

    @classmethod
    def load(cls, path: str | Path) -> Scanned:
        """Read what `save` wrote. Raises `CheckpointError`."""
        checkpoint = Checkpoint.load(path, KIND)
        with guarded(path, CheckpointError, "is damaged or not a scanned brush"):
            return cls(from_json(str, checkpoint.config["name"], "name"), list(checkpoint.tensors.values()))

    @classmethod
    def from_text(cls, name: str, text: str) -> Scanned:
        """The brush `name` from the text in its `provenance`. Raises `InputError`."""
        with guarded(f"The scanned brush {name:.60}", InputError, "cannot be read"):
            about = parse_json(text)
            rows = from_json(list[int], about["rows"], "rows")
            if (
                about["format"] != FORMAT
                or len(rows) > MAX_STRIPS
                or not all(1 <= n <= MAX_BODY + 2 * CAP for n in rows)
            ):
                raise ValueError("it has no strips")
            size = sum(rows) * ACROSS
            data = _decompressed(base64.b64decode(from_json(str, about["alpha"], "alpha")), size)
            whole = torch.frombuffer(bytearray(data), dtype=torch.uint8).view(-1, ACROSS)
            return cls(name, whole.split(rows))

    def with_seed(self, seed: int) -> Scanned:
        """See `renderer.brush.ReferenceBrush`."""
        return Scanned(self.name, self.strips, seed)

    def provenance(self) -> dict[str, Any]:
        """The name, and all strips as text: as other brushes record the text of their file."""
        data = zlib.compress(torch.cat(self.strips).numpy().tobytes(), 9)
        about = {"rows": [len(strip) for strip in self.strips], "alpha": base64.b64encode(data).decode()}
        return {"brush": self.name, "myb": json.dumps({"format": FORMAT, **about})}

    def bounds(self, strokes: Tensor, size: Size) -> Bounds:
        """The box around the path, enlarged by the reach of the strips."""
        scale = strokes.new_tensor([size[1], size[0]])
        start, end = (MYPAINT.get(strokes.detach(), name) * scale for name in ("start", "end"))
        return box_around(start, end, REACH * _radius(strokes, size)[:, None].clamp(min=LEAST) + 1, size)

    @torch.no_grad()
    def __call__(self, strokes: Tensor, size: Size, window: Window | None = None) -> Mark:
        """See `renderer.brush.Brush`."""
        self.check(strokes, size)
        x, y = (at.expand(len(strokes), -1) for at in pixel_centres(size, window, strokes))
        left, top, right, bottom = (side[:, None] for side in self.bounds(strokes, size))
        across, down = (x > left) & (x < right), (y > top) & (y < bottom)
        owner, row, column = (down[:, :, None] & across[:, None, :]).nonzero(as_tuple=True)
        alpha = strokes.new_zeros(len(strokes), 1, y.shape[1], x.shape[1])
        alpha[owner, 0, row, column] = self._at(strokes, size, owner, x[owner, column], y[owner, row])
        return Mark(alpha, colours(strokes, MYPAINT))

    @torch.no_grad()
    def patches(self, strokes: Tensor, size: Size, box: Tensor | None = None) -> Patches:
        """See `renderer.brush.Brush`; all boxes at once."""
        from renderer.ops.patch_pixels import pixels_of

        self.check(strokes, size)
        box = box_of(self.bounds(strokes, size)) if box is None else box
        start, total = layout(box)
        owner, x, y = pixels_of(box, start, total)
        alpha = self._at(strokes, size, owner, x.to(strokes), y.to(strokes))
        return Patches(alpha, MYPAINT.get(strokes, "colour"), box, start)

    def _at(self, strokes: Tensor, size: Size, owner: Tensor, x: Tensor, y: Tensor) -> Tensor:
        """Alphas `(T,)` at points x, y (T,) in pixels of the strokes `owner` (T,)."""
        if len(owner) == 0:
            return x.new_zeros(0)
        radius, pressure = _radius(strokes, size), MYPAINT.get(strokes, "pressure")
        widest = (radius * pressure.amax(-1)).clamp(min=LEAST)
        sweep = sweeps(strokes, size, REACH * radius.clamp(min=LEAST)[:, None] + 1)
        place = sweep.locate(owner, x, y)
        everyone = torch.arange(len(strokes))
        length = sweep.arc(everyone, torch.ones(len(strokes)))
        chosen = self._choose(strokes, length / widest)
        textures = [
            _reduced(self._alphas[strip], float(r), float(path))
            for strip, r, path in zip(chosen.tolist(), widest, length, strict=True)
        ]
        # The radius where the pixel lies; below LEAST, a mark of that radius which fades.
        exact = radius[owner] * _between(pressure, owner, place.t)
        local = exact.clamp(min=LEAST)
        reach = sweep.reach[:, 0][owner]
        across = place.side * reach / (REACH * local)  # from -1 to 1
        beyond = (place.before + place.behind) * reach / (REACH * local)
        fraction = sweep.arc(owner, place.t) / length[owner].clamp(min=1e-6)
        caps, bodies, widths = (torch.tensor(part)[owner] for part in zip(*map(_parts, textures), strict=True))
        row = torch.where(
            place.t <= 0,
            caps * (1 + beyond.clamp(min=-1)),
            torch.where(place.t >= 1, caps + bodies + caps * beyond.clamp(max=1), caps + bodies * fraction.clamp(0, 1)),
        )
        alpha = _interpolated([texture for texture, _ in textures], owner, row, widths * (1 + across) / 2)
        opacity = MYPAINT.get(strokes, "opacity")[:, 0][owner]
        inside = (across.abs() < 1) & (beyond.abs() < 1)
        return alpha * opacity * (exact / local) * inside

    def _choose(self, strokes: Tensor, lengths: Tensor) -> Tensor:
        """The strips of strokes whose paths have these lengths (B,) in radii: indices (B,)."""
        difference = ((lengths[:, None] + 1).log() - (self._lengths + 1).log()).abs()
        similar = difference.argsort(dim=1, stable=True)[:, :SIMILAR]
        shape = strokes[:, : MYPAINT.columns("opacity").start].detach().float().contiguous().numpy()
        noise = torch.tensor([zlib.crc32(row.tobytes(), self.seed & 0xFFFFFFFF) for row in shape], dtype=torch.long)
        return similar.gather(1, (noise % similar.shape[1])[:, None])[:, 0]


def is_scan(path: Path) -> bool:
    """Whether the file holds a scanned brush."""
    return read_kind(path) == KIND


def is_strips(text: object) -> bool:
    """Whether a text of provenance is that of a scanned brush."""
    return isinstance(text, str) and text.startswith(f'{{"format": "{FORMAT}"')


def _decompressed(data: bytes, size: int) -> bytes:
    """The `size` bytes that were compressed to `data`. Raises `ValueError` for other data; takes no more memory."""
    try:
        content = zlib.decompressobj().decompress(data, size + 1)
    except zlib.error as error:
        raise ValueError("its strips are damaged") from error
    if len(content) != size:
        raise ValueError("its strips are not whole")
    return content


def _radius(strokes: Tensor, size: Size) -> Tensor:
    """In pixels, `(B,)`."""
    return MYPAINT.get(strokes.detach(), "radius")[:, 0] * min(size)


def _between(pressure: Tensor, owner: Tensor, t: Tensor) -> Tensor:
    """Pressure `(T,)` at t (T,): linear between start, middle and end, `(B, 3)`."""
    first, middle, last = pressure[owner].unbind(-1)
    return torch.where(t < 0.5, first + (middle - first) * 2 * t, middle + (last - middle) * (2 * t - 1))


def _reduced(strip: NDArray[np.float32], radius: float, length: float) -> tuple[NDArray[np.float32], int]:
    """A strip with at most one cell a pixel for a mark of this radius and path, in pixels; and the rows of each end.

    Averaged, so that fine bristles of small marks become grey instead of jagged.
    """
    import cv2

    width, cap = min(ACROSS, max(3, round(2 * REACH * radius))), min(CAP, max(2, round(REACH * radius)))
    body = len(strip) - 2 * CAP
    rows = min(body, max(1, round(length)))
    parts = (strip[:CAP], cap), (strip[CAP:-CAP], rows), (strip[-CAP:], cap)
    return np.concatenate([cv2.resize(part, (width, n), interpolation=cv2.INTER_AREA) for part, n in parts]), cap


def _parts(texture: tuple[NDArray[np.float32], int]) -> tuple[int, int, int]:
    """Rows of each end, rows between them, and columns."""
    values, cap = texture
    return cap, len(values) - 2 * cap, values.shape[1]


def _interpolated(textures: Sequence[NDArray[np.float32]], owner: Tensor, row: Tensor, column: Tensor) -> Tensor:
    """Values `(T,)` of textures of varying size at row and column (T,) in cells, whose centres are at halves."""
    flat = torch.from_numpy(np.concatenate([texture.ravel() for texture in textures]))
    sizes = torch.tensor([texture.shape for texture in textures])
    start = sizes.prod(1).cumsum(0) - sizes.prod(1)
    rows, columns = sizes[owner].unbind(1)
    y, x = (row - 0.5).clamp(min=0), (column - 0.5).clamp(min=0)
    i, j = torch.minimum(y.long(), rows - 1), torch.minimum(x.long(), columns - 1)
    below, right = torch.minimum(i + 1, rows - 1), torch.minimum(j + 1, columns - 1)
    f, g, first = y - i, x - j, start[owner]
    upper = torch.lerp(flat[first + i * columns + j], flat[first + i * columns + right], g)
    lower = torch.lerp(flat[first + below * columns + j], flat[first + below * columns + right], g)
    return torch.lerp(upper, lower, f).clamp(0, 1)
