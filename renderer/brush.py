"""What every renderer is, true or learned: strokes in, marks out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol, cast, runtime_checkable

from torch import Tensor

from renderer.strokes import StrokeSpace


class Mark(NamedTuple):
    """What a stroke leaves on a canvas: how much (`alpha`) of which `colour`.

    alpha:  (B, 1, h, w) in [0, 1]
    colour: (B, 3, 1, 1) for a flat colour, or (B, 3, h, w) where a brush has texture; sRGB in [0, 1]
    """

    alpha: Tensor
    colour: Tensor


@dataclass(frozen=True)
class Window:
    """A patch of the canvas for each stroke, all of one shape, in whole pixels; it may hang over the canvas' edge.

    left, top: (B,) integer tensors, the canvas pixel of each patch's upper left corner
    height, width: the shape that all patches share
    """

    left: Tensor
    top: Tensor
    height: int
    width: int


@runtime_checkable
class Brush(Protocol):
    """Draws each stroke by itself.

    `strokes` (B, P) in [0, 1]; `size` is (height, width) of the whole canvas in pixels. With a `window`, only that patch
    of the canvas is drawn, so that the cost of a stroke is the pixels that it touches and not the canvas.

    Renderers may also offer `bounds` (where strokes fall), `patch_alphas` (many windows at once) and `paint_steps` (a whole
    painting), see `renderer.canvas`; renderers of strokes of another space than BEZIER must offer the first or the last.
    """

    space: StrokeSpace

    def __call__(self, strokes: Tensor, size: tuple[int, int], window: Window | None = None) -> Mark: ...


def expected(renderer: Brush) -> Brush:
    """What a renderer leaves on average, if chance has a part in it (it then offers `expected()`); else itself."""
    return cast(Brush, renderer.expected()) if hasattr(renderer, "expected") else renderer
