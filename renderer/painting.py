"""A painting: strokes, what their columns mean, and the ground they lie on; one small file, drawn at any size."""

from __future__ import annotations

import base64
import io
import json
import math
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from renderer.bezier import ExactBezier
from renderer.canvas import blank, paint_steps
from renderer.errors import InputError
from renderer.files import atomic
from renderer.pictures import to_bytes
from renderer.protocol import Renderer
from renderer.space import StrokeSpace

FORMAT = "kaokore-painting/1"
LARGEST = 16384


class PaintingError(InputError):
    """A file is no painting, or a painting's strokes cannot be right."""


@dataclass(frozen=True)
class Painting:
    """strokes (N, P) in [0, 1], in painting order; height and width in pixels as it was painted; ground in sRGB.

    Raises `PaintingError` for strokes outside [0, 1] (or not numbers) and for columns that the space does not have.
    """

    strokes: Tensor
    space: StrokeSpace
    height: int
    width: int
    background: tuple[float, float, float] = (1.0, 1.0, 1.0)
    made_by: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.strokes.dim() != 2 or self.strokes.shape[1] != self.space.width:
            shape = tuple(self.strokes.shape)
            raise PaintingError(f"Strokes of the space {self.space.name} are (N, {self.space.width}), not {shape}.")
        if not bool(((self.strokes >= 0) & (self.strokes <= 1)).all()):
            raise PaintingError("A painting's strokes must be numbers between 0 and 1.")
        if self.height < 1 or self.width < 1:
            raise PaintingError(f"A painting needs at least one pixel, not {self.width}x{self.height}.")

    def save(self, path: str | Path) -> None:
        """Writes one safetensors file, whole or not at all. Raises `InputError`."""
        about = {"height": self.height, "width": self.width, "background": self.background, "made_by": self.made_by}
        metadata = {"format": FORMAT, "space": self.space.to_json(), "about": json.dumps(about)}
        with atomic(path) as temporary:
            save_file({"strokes": self.strokes.detach().cpu().contiguous()}, temporary, metadata)

    @classmethod
    def load(cls, path: str | Path) -> Painting:
        """The painting that `save` wrote, bit for bit. Raises `PaintingError`."""
        path = Path(path)
        if not path.is_file():
            raise PaintingError(f"There is no painting {path}.")
        try:
            with safe_open(path, "pt") as file:
                metadata = file.metadata() or {}
                if metadata.get("format") != FORMAT:
                    raise PaintingError(f"{path} is not a painting of Kaokore Painter.")
                strokes = file.get_tensor("strokes")
            about = json.loads(metadata["about"])
            space, ground = StrokeSpace.from_json(metadata["space"]), about["background"]
            red, green, blue = (float(value) for value in ground)
            size = int(about["height"]), int(about["width"])
            return cls(strokes, space, *size, (red, green, blue), dict(about["made_by"]))
        except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
            if isinstance(error, InputError):
                raise
            raise PaintingError(f"{path} is damaged or not a painting ({error}).") from error

    def size(self, longest: int | None = None) -> tuple[int, int]:
        """(height, width) with `longest` pixels on the long side; as it was painted for None. Raises `PaintingError`."""
        if longest is None:
            return self.height, self.width
        if not 1 <= longest <= LARGEST:
            raise PaintingError(f"A painting can be drawn with 1 to {LARGEST} pixels on its long side, not {longest}.")
        scale = longest / max(self.height, self.width)
        return max(1, round(self.height * scale)), max(1, round(self.width * scale))

    def frames(self, longest: int | None = None, renderer: Renderer | None = None, every: int = 1) -> Iterator[Tensor]:
        """The canvas (3, H, W) before the first and after every `every` strokes; the same tensor, changed in place."""
        renderer = ExactBezier() if renderer is None else renderer
        renderer.space.require(self.space)
        # Large strokes on a large canvas are drawn few at a time, so that memory stays bounded.
        size = self.size(longest)
        chunk = max(1, min(256, 64_000_000 // (size[0] * size[1])))
        return paint_steps(blank(size, self.background), self.strokes, renderer, every, chunk)

    def render(self, longest: int | None = None, renderer: Renderer | None = None) -> Tensor:
        """The picture (3, H, W) in [0, 1], drawn with the true brush or another renderer of the same space."""
        canvas = blank(self.size(longest), self.background)
        for canvas in self.frames(longest, renderer, every=max(1, len(self.strokes))):  # noqa: B007
            pass
        return canvas.clamp(0, 1)

    def _repr_png_(self) -> bytes:
        """Shown by a notebook."""
        buffer = io.BytesIO()
        Image.fromarray(to_bytes(self.render(max(256, self.height, self.width)))).save(buffer, "PNG")
        return buffer.getvalue()

    def film(self, longest: int = 384) -> Film:
        """The painting being painted, for a notebook to show."""
        from renderer.film import write_mp4  # a film is made of paintings: imported late, for the circle

        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "film.mp4"
            write_mp4(self, path, longest)
            return Film(path.read_bytes())


@dataclass(frozen=True)
class Film:
    """An MP4 in memory that a notebook plays in place, with no file beside it and no network."""

    mp4: bytes

    def _repr_html_(self) -> str:
        data = base64.b64encode(self.mp4).decode()
        return f'<video controls autoplay loop muted src="data:video/mp4;base64,{data}"></video>'


def pace(strokes: int, frames: int) -> list[int]:
    """How many strokes show in each of `frames` frames: from 0 to all, slowly at first.

    The first strokes change the picture most, and are the ones that a person wants to see put down.

    >>> pace(100, 5)
    [0, 6, 25, 56, 100]
    """
    last = max(1, frames - 1)
    return [math.floor(strokes * (i / last) ** 2) for i in range(frames)]
