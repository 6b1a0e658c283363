"""The strokes of a painting one by one: which one is under a pointer, its numbers, and its outline."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from renderer.brush import Brush, Patches, concatenated
from renderer.constraints import hex_code
from renderer.strokes import StrokeSpace

SEEN = 0.1  # alpha from which a mark counts as being under the pointer
EDGE = 0.3  # alpha at which outlines are drawn
CHUNK = 128  # strokes that are drawn at once


@dataclass(frozen=True)
class Value:
    """One field of a stroke: `numbers` in the field's `unit`."""

    name: str
    numbers: tuple[float, ...]
    unit: str


@dataclass(frozen=True)
class StrokeFacts:
    """What a page says about a stroke.

    Attributes:
        index: of the stroke, from 0.
        colour: `#rrggbb`.
        locked: whether it stays as it is.
        values: all its fields in their units.
    """

    index: int
    colour: str
    locked: bool
    values: tuple[Value, ...]


def facts_of(strokes: Tensor, space: StrokeSpace, index: int, locked: bool) -> StrokeFacts:
    """The numbers of stroke `index` of strokes (N, P)."""
    stroke = strokes[index].double()
    values = [
        Value(field.name, tuple(round(value, 4) for value in space.get(stroke, field.name).tolist()), field.unit)
        for field in space.fields
    ]
    return StrokeFacts(index, hex_code(space.get(stroke, "colour")), locked, tuple(values))


class Marks:
    """The marks of strokes (N, P) on a canvas of one size, to look them up.

    Args:
        brush: draws them.
        strokes: (N, P).
        size: (height, width) in pixels.
    """

    def __init__(self, brush: Brush, strokes: Tensor, size: tuple[int, int]) -> None:
        self.size = size
        with torch.no_grad():
            parts = list(brush.stream(strokes.to(brush.device).float(), size, CHUNK))
        self._patches: Patches | None = concatenated(parts) if parts else None

    def topmost(self, x: float, y: float, count: int) -> int | None:
        """The last of the first `count` strokes that marks the point x, y (fractions of width and height), or None."""
        if self._patches is None or not (0 <= x <= 1 and 0 <= y <= 1):
            return None
        height, width = self.size
        column, row = min(int(x * width), width - 1), min(int(y * height), height - 1)
        left, top, w, h = self._patches.box[:count].unbind(1)
        inside = (left <= column) & (column < left + w) & (top <= row) & (row < top + h)
        found = inside.nonzero()[:, 0]
        at = self._patches.start[found] + (row - top[found]) * w[found] + column - left[found]
        seen = found[self._patches.alpha[at] > SEEN]
        return int(seen[-1]) if len(seen) else None

    def cover(self, chosen: Tensor) -> Tensor:
        """Where any of the chosen strokes, (N,) bool, marks the canvas; (H, W) bool."""
        covered = torch.zeros(1, *self.size)
        if self._patches is not None:
            for i in chosen.nonzero()[:, 0].tolist():
                below, alpha = self._patches.on(covered, i)
                torch.maximum(below[0], alpha.to(covered), out=below[0])
        return covered[0] > SEEN

    def outline(self, index: int) -> list[np.ndarray]:
        """The outline of a mark: polygons (n, 2) of x, y in pixels of the canvas."""
        if self._patches is None:
            return []
        left, top, width, height = self._patches.box[index].tolist()
        begin = int(self._patches.start[index])
        alpha = self._patches.alpha[begin : begin + width * height].view(height, width).cpu().numpy()
        if alpha.size == 0 or alpha.max() <= 0:
            return []
        edge = (alpha > EDGE * alpha.max()).astype(np.uint8)
        contours, _ = cv2.findContours(edge, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        return [contour[:, 0] + np.array([left + 0.5, top + 0.5]) for contour in contours]

    def outlines(self, count: int, colours: Tensor) -> np.ndarray:
        """The outlines of the first `count` strokes in their colours (N, 3) on nothing; RGBA (H, W, 4) uint8."""
        image = np.zeros((*self.size, 4), np.uint8)
        for i in range(min(count, 0 if self._patches is None else len(self._patches))):
            red, green, blue = (colours[i] * 255).round().int().tolist()
            polygons = [np.round(polygon - 0.5).astype(np.int32) for polygon in self.outline(i)]
            cv2.polylines(image, polygons, True, (red, green, blue, 255), 1)
        return image


def svg_path(polygons: list[np.ndarray]) -> str:
    """Polygons (n, 2) as the path data of an SVG."""
    return " ".join(f"M{' '.join(f'{x:.1f},{y:.1f}' for x, y in polygon)}Z" for polygon in polygons)
