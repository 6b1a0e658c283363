"""Several brushes of MyPaint in one painting: which one a stroke is drawn with is one more number of it.

0 is the first brush and 1 the last; between two brushes a mark is a mixture of both of theirs. So one painting lays masses
with a broad brush and lines with ink, a style is interpolated between brushes, and an optimiser may choose them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from renderer.brush import Brush, Mark, Window, expected
from renderer.brushes.mypaint import MYPAINT, MyPaint, Patch, paint_patches
from renderer.errors import InputError
from renderer.strokes import Field, StrokeSpace

MIXED = StrokeSpace(
    "mixed", (*MYPAINT.fields, Field("brush", 1, 0.0, 1.0, "0 the first, 1 the last, a mixture between"))
)


def mixed(brushes: Sequence[Brush]) -> Mixed | MixedTrue:
    """One renderer of strokes of MIXED from two or more brushes, all learned or all MyPaint's own.

    Raises `InputError` for fewer, and for true and learned ones together; `SpaceError` for other brushes.
    """
    if len(brushes) < 2:
        raise InputError("A mixture needs two brushes at least, such as watercolour+ink.")
    for brush in brushes:
        MYPAINT.require(brush.space)
    true = [brush for brush in brushes if isinstance(brush, MyPaint)]
    if not true:
        return Mixed(brushes)
    if len(true) < len(brushes):
        raise InputError("True and learned brushes do not mix in one painting.")
    return MixedTrue(true)


def shares(strokes: Tensor, count: int) -> Tensor:
    """How much of each of `count` brushes is in strokes `(B, 15)`: `(B, count)`, at most two above 0, summing to 1."""
    place = MIXED.get(strokes, "brush") * (count - 1)
    return (1 - (place - torch.arange(count).to(place)).abs()).clamp(min=0)


class Mixed:
    """Learned brushes, see `mixed`. A stroke costs what the one or two brushes in it cost."""

    space = MIXED

    def __init__(self, brushes: Sequence[Brush]) -> None:
        self.brushes = tuple(brushes)

    def __call__(self, strokes: Tensor, size: tuple[int, int], window: Window | None = None) -> Mark:
        """See `renderer.brush.Brush`."""
        return _mark(self.brushes, strokes, size, window)

    def expected(self) -> Mixed:
        """The mixture of what each brush leaves on average."""
        return Mixed([expected(brush) for brush in self.brushes])

    def bounds(self, strokes: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The box that each stroke may touch, see `renderer.brushes.bezier.bounds`."""
        share, inner = shares(strokes.detach(), len(self.brushes)), strokes[:, : MYPAINT.width]
        boxes = torch.stack([torch.stack(brush.bounds(inner, size)) for brush in self.brushes], -1)  # type: ignore[attr-defined]
        used, far = share > 0, max(size)
        left, top = torch.where(used, boxes[:2], far).amin(-1)
        right, bottom = torch.where(used, boxes[2:], 0).amax(-1)
        return left, top, right, bottom

    def patch_alphas(
        self, strokes: Tensor, size: tuple[int, int], box: Tensor, start: Tensor, total: int
    ) -> Tensor | None:
        """The alphas of `renderer.canvas.Patches`, `(total,)`; None where a brush has none to offer."""
        share, area = shares(strokes, len(self.brushes)), box[:, 2] * box[:, 3]
        alpha = strokes.new_zeros(total)
        for k, brush in enumerate(self.brushes):
            rows = (share[:, k] > 0).nonzero()[:, 0]
            if len(rows) == 0:
                continue
            ends = area[rows].cumsum(0)
            part = brush.patch_alphas(  # type: ignore[attr-defined]
                strokes[rows, : MYPAINT.width], size, box[rows], ends - area[rows], int(ends[-1])
            )
            if part is None:
                return None
            owner = rows.repeat_interleave(area[rows])
            place = (
                start[owner] + torch.arange(len(owner)).to(owner) - (ends - area[rows]).repeat_interleave(area[rows])
            )
            alpha = alpha.index_add(0, place, part * share[:, k][owner])
        return alpha


class MixedTrue:
    """MyPaint's own brushes, see `mixed`. Not differentiable."""

    space = MIXED

    def __init__(self, brushes: Sequence[MyPaint]) -> None:
        self.brushes = tuple(brushes)

    def __call__(self, strokes: Tensor, size: tuple[int, int], window: Window | None = None) -> Mark:
        """See `renderer.brush.Brush`."""
        return _mark(self.brushes, strokes, size, window)

    def patches(self, strokes: Tensor, size: tuple[int, int]) -> Iterator[Patch | None]:
        """Draws strokes `(N, 15)` in order, as `MyPaint.patches`."""
        share = shares(strokes, len(self.brushes))
        drawn = [brush.patches(strokes[share[:, k] > 0, : MYPAINT.width], size) for k, brush in enumerate(self.brushes)]
        for row in share:
            parts = [(float(part), next(drawn[k])) for k, part in enumerate(row) if part > 0]
            yield _joined([(part, patch) for part, patch in parts if patch is not None])

    def paint_steps(self, canvas: Tensor, strokes: Tensor, every: int = 1) -> Iterator[Tensor]:
        """As `MyPaint.paint_steps`."""
        return paint_patches(canvas, self.patches(strokes, (canvas.shape[-2], canvas.shape[-1])), len(strokes), every)


def _mark(brushes: Sequence[Brush], strokes: Tensor, size: tuple[int, int], window: Window | None) -> Mark:
    """The mixture, on equal windows."""
    share, inner = shares(strokes, len(brushes)), strokes[:, : MYPAINT.width]
    alpha: Tensor | float = 0.0
    pigment: Tensor | float = 0.0
    for k, brush in enumerate(brushes):
        mark = brush(inner, size, window)
        part = share[:, k, None, None, None] * mark.alpha
        alpha, pigment = alpha + part, pigment + part * mark.colour
    assert isinstance(alpha, Tensor)
    flat = MYPAINT.get(inner, "colour")[:, :, None, None]
    if all(not getattr(brush, "textured", False) for brush in brushes):
        return Mark(alpha, flat)
    return Mark(alpha, torch.where(alpha > 0, pigment / alpha, flat))


def _joined(parts: list[tuple[float, Patch]]) -> Patch | None:
    """Patches in shares that sum to at most 1, on the box around them."""
    if len(parts) < 2:
        return next((patch._replace(alpha=share * patch.alpha) for share, patch in parts), None)
    left, top = (min(getattr(patch, side) for _, patch in parts) for side in ("left", "top"))
    right = max(patch.left + patch.alpha.shape[1] for _, patch in parts)
    bottom = max(patch.top + patch.alpha.shape[0] for _, patch in parts)
    alpha, pigment = torch.zeros(bottom - top, right - left), torch.zeros(3, bottom - top, right - left)
    for share, patch in parts:
        h, w = patch.alpha.shape
        rows, columns = slice(patch.top - top, patch.top - top + h), slice(patch.left - left, patch.left - left + w)
        alpha[rows, columns] += share * patch.alpha
        pigment[:, rows, columns] += share * patch.alpha * patch.colour
    colour = torch.where(alpha > 0, pigment / alpha.clamp(min=1e-12), 0.0)
    return Patch(left, top, alpha, colour)
