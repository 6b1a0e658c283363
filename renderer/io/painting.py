"""A painting: strokes, what their columns mean, and the ground they lie on; one small file, drawn at any size."""

from __future__ import annotations

import io
import json
import math
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from renderer.brush import Brush
from renderer.brushes.bezier import ExactBezier
from renderer.brushes.mixed import MIXED, Mixed, MixedTrue, mixed
from renderer.brushes.mypaint import MYPAINT, MyPaint
from renderer.canvas import blank, paint_steps
from renderer.errors import InputError
from renderer.io.files import atomic
from renderer.io.images import fitted_size, to_bytes
from renderer.strokes import BEZIER, StrokeSpace

FORMAT = "kaokore-painting/1"
LARGEST = 16_384  # pixels on the long side
AT_ONCE = 16_000_000  # pixels of marks that may be in memory at once, if every stroke covered the canvas


class PaintingError(InputError):
    """A file is no painting, or a painting's strokes cannot be right."""


@dataclass(frozen=True, eq=False)
class Painting:
    """strokes (N, P) in [0, 1], in painting order; height and width in pixels as it was painted; background in sRGB.

    Without strokes it is its ground. `provenance` is anything that JSON can hold; of strokes of MYPAINT and MIXED, with what
    `brush_record` says of the brush. Raises `PaintingError` for strokes
    outside [0, 1] (or not numbers) and for columns that the space does not have.
    """

    strokes: Tensor
    space: StrokeSpace
    height: int
    width: int
    background: tuple[float, float, float] = (1.0, 1.0, 1.0)
    provenance: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        shape = tuple(self.strokes.shape)
        if len(shape) != 2 or shape[1] != self.space.width or not self.strokes.is_floating_point():
            wanted = f"floating-point numbers of shape (N, {self.space.width})"
            raise PaintingError(
                f"Strokes of the space {self.space.name} are {wanted}, not {self.strokes.dtype} {shape}."
            )
        if not bool(((self.strokes >= 0) & (self.strokes <= 1)).all()):  # false for NaN, too
            raise PaintingError("A painting's strokes must be numbers between 0 and 1.")
        if not (1 <= self.height <= LARGEST and 1 <= self.width <= LARGEST):
            raise PaintingError(f"A painting has 1 to {LARGEST} pixels a side, not {self.width}x{self.height}.")
        if len(self.background) != 3 or not all(0 <= value <= 1 for value in self.background):
            raise PaintingError(f"A ground is three numbers between 0 and 1, not {self.background}.")

    @classmethod
    def by(
        cls,
        renderer: Brush,
        strokes: Tensor,
        size: Sequence[int],
        background: tuple[float, float, float] = (1.0, 1.0, 1.0),
        provenance: Mapping[str, Any] | None = None,
    ) -> Painting:
        """A painting of strokes (N, P) of `renderer`'s space, on any device, of size (height, width); knows its brush."""
        height, width = size
        record = {**(provenance or {}), **brush_record(renderer)}
        return cls(strokes.cpu(), renderer.space, height, width, background, record)

    def save(self, path: str | Path) -> None:
        """Writes one safetensors file, whole or not at all: the same bytes for the same painting. Raises `InputError`."""
        about = {
            "format": FORMAT,
            "space": json.loads(self.space.to_json()),
            "height": self.height,
            "width": self.width,
            "background": self.background,
            "made_by": self.provenance,
        }
        # All in one entry, because safetensors writes several in an order that changes from run to run.
        with atomic(path) as temporary:
            save_file({"strokes": self.strokes.detach().cpu().contiguous()}, temporary, {"painting": json.dumps(about)})

    @classmethod
    def load(cls, path: str | Path) -> Painting:
        """The painting that `save` wrote, bit for bit. Raises `PaintingError`."""
        path = Path(path)
        if not os.path.isfile(path):  # unlike Path.is_file, also where a name is too long
            raise PaintingError(f"There is no painting {path}.")
        try:
            with safe_open(path, "pt") as file:
                about = json.loads((file.metadata() or {}).get("painting", "{}"))
                if about.get("format") != FORMAT:
                    raise PaintingError(f"{path} is not a painting of Kaokore Painter, or of another version of it.")
                strokes = file.get_tensor("strokes")
            space = StrokeSpace.from_json(json.dumps(about["space"]))
            red, green, blue = (float(value) for value in about["background"])
            size = int(about["height"]), int(about["width"])
            return cls(strokes, space, *size, (red, green, blue), dict(about["made_by"]))
        except (SafetensorError, OSError, KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            if isinstance(error, PaintingError) and str(path) in str(error):
                raise
            raise PaintingError(f"{path} is damaged or not a painting ({str(error).rstrip('.')}).") from error

    def size(self, longest: int | None = None) -> tuple[int, int]:
        """(height, width) with `longest` pixels on the long side; as it was painted for None. Raises `PaintingError`."""
        if longest is None:
            return self.height, self.width
        if not 1 <= longest <= LARGEST:
            raise PaintingError(f"A painting can be drawn with 1 to {LARGEST} pixels on its long side, not {longest}.")
        return fitted_size((self.height, self.width), longest)

    def render(self, longest: int | None = None, renderer: Brush | None = None) -> Tensor:
        """The picture (3, H, W) in [0, 1], drawn with the true brush or another renderer of the same space."""
        canvas = blank(self.size(longest), self.background)
        for canvas in self._steps(longest, renderer, every=max(1, len(self.strokes))):  # noqa: B007
            pass
        return canvas.clamp(0, 1)

    def frames(self, count: int, longest: int | None = None, renderer: Brush | None = None) -> Iterator[Tensor]:
        """Yields `count` canvases (3, H, W), from the blank ground to the finished picture, at the pace of `pace`.

        The same tensor each time, changed in place: copy what is to be kept.
        """
        canvases = self._steps(longest, renderer)
        canvas, shown = next(canvases), 0
        for wanted in pace(len(self.strokes), count):
            while shown < wanted:
                canvas, shown = next(canvases), shown + 1
            yield canvas

    def _steps(self, longest: int | None, renderer: Brush | None, every: int = 1) -> Iterator[Tensor]:
        height, width = self.size(longest)
        renderer = true_brush(self.space, (height, width), self.provenance) if renderer is None else renderer
        renderer.space.require(self.space)
        chunk = max(1, min(256, AT_ONCE // (height * width)))
        background = blank((height, width), self.background)
        return paint_steps(background, self.strokes.detach().cpu().to(background), renderer, every, chunk)

    def _repr_png_(self) -> bytes:
        """Shown by a notebook, enlarged if it is small."""
        buffer = io.BytesIO()
        Image.fromarray(to_bytes(self.render(max(384, self.height, self.width)))).save(buffer, "PNG")
        return buffer.getvalue()


def true_brush(space: StrokeSpace, size: tuple[int, int], provenance: Mapping[str, Any] | None = None) -> Brush:
    """The brush that strokes of `space` were meant for; of MYPAINT and MIXED, what `provenance` names (`brush_record`).

    The Bezier brush takes fewer samples a pixel on large canvases: its time grows with the samples, and edges are finer
    anyway. Raises `SpaceError` for another space, `PaintingError` where MyPaint's brush or engine is missing.
    """
    if space not in (MYPAINT, MIXED):
        BEZIER.require(space)
        return ExactBezier(supersample=4 if max(size) <= 1024 else 2 if max(size) <= 4096 else 1)
    provenance = provenance or {}
    names, files = provenance.get("brush"), provenance.get("myb")
    if space == MYPAINT:
        names, files = [names], [files]
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        wanted = "mypaint:ink" if space == MYPAINT else "mypaint:watercolour+mypaint:ink"
        raise PaintingError(
            f"This painting does not say which of MyPaint's brushes it was made with; choose one, such as {wanted}."
        )
    files = files if isinstance(files, list) else [None] * len(names)
    try:
        brushes = [_mypaint(name, myb) for name, myb in zip(names, files, strict=True)]
        return brushes[0] if space == MYPAINT else mixed(brushes)
    except InputError as error:
        reason, learned = str(error).rstrip("."), "+".join(names)
        raise PaintingError(f"{reason}; or draw the painting with the learned brush, --renderer {learned}.") from error


def _mypaint(name: str, myb: object) -> MyPaint:
    """A brush from its file's text, or by name where there is none."""
    if not isinstance(myb, str):
        return MyPaint(name)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{Path(name).name}.myb"
        path.write_text(myb, encoding="utf-8")
        return MyPaint(path)


def brush_record(renderer: Brush) -> dict[str, Any]:
    """What a painting's `provenance` should hold to be drawn again with the true brush: nothing for the Bezier brush.

    `brush` is a name, and `myb` the brush file, of a learned brush of MyPaint the one that it was learned from; of a
    mixture, both are lists.
    """
    if isinstance(renderer, (Mixed, MixedTrue)):
        records = [brush_record(brush) for brush in renderer.brushes]
        return {key: [record[key] for record in records] for key in ("brush", "myb")}
    if isinstance(renderer, MyPaint):
        return {"brush": renderer.path.stem, "myb": renderer.path.read_text(encoding="utf-8")}
    return {name: getattr(renderer, name) for name in ("brush", "myb") if hasattr(renderer, name)}


def pace(strokes: int, frames: int) -> list[int]:
    """How many strokes show in each of `frames` frames: from 0 to all, slowly at first.

    The first strokes change the picture most, and are the ones that a person wants to see put down.

    >>> pace(100, 5), pace(1, 3)
    ([0, 7, 25, 57, 100], [0, 1, 1])
    """
    return [math.ceil(strokes * (i / max(1, frames - 1)) ** 2) for i in range(frames)]
