"""Several brushes of MyPaint in one painting: a field of each stroke says which one draws it.

0 is the first brush and 1 the last; between two brushes, a mark is a mixture of theirs. So a painting can have masses of a
broad brush and lines of ink, a style can be interpolated between brushes, and an optimiser can choose the brush.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from renderer.brush import Bounds, Brush, Mark, Patches, Size, Window, box_of, concatenated, layout
from renderer.errors import InputError
from renderer.strokes import MIXED as MIXED
from renderer.strokes import MYPAINT

MAX_BRUSHES = 64  # of a mixture


def mixed(brushes: Sequence[Brush]) -> Mixed:
    """Combine two or more brushes, all learned or all reference brushes, to a brush of strokes of MIXED.

    Raises `InputError` for fewer, and for reference and learned ones together; `SpaceError` for brushes of another space.
    """
    if len(brushes) < 2:
        raise InputError("A mixture needs two brushes at least, such as watercolour+ink.")
    for brush in brushes:
        MYPAINT.require(brush.space)
    differentiable = sum(brush.differentiable for brush in brushes)
    if 0 < differentiable < len(brushes):
        raise InputError("Reference and learned brushes do not mix in one painting.")
    return Mixed(brushes) if differentiable else MixedReference(brushes)


def shares(strokes: Tensor, count: int) -> Tensor:
    """How much of each of `count` brushes is in strokes `(B, 15)`: `(B, count)`, at most two above 0, summing to 1."""
    place = MIXED.get(strokes, "brush") * (count - 1)
    return (1 - (place - torch.arange(count).to(place)).abs()).clamp(min=0)


class Mixed(Brush):
    """Learned brushes, see `mixed`. Only the one or two brushes in a stroke are computed."""

    space = MIXED
    differentiable = True

    def __init__(self, brushes: Sequence[Brush]) -> None:
        self.brushes = tuple(brushes)
        self.textured = any(brush.textured for brush in brushes)

    @property
    def device(self) -> torch.device:
        """See `renderer.brush.Brush`."""
        return self.brushes[0].device

    def __call__(self, strokes: Tensor, size: Size, window: Window | None = None) -> Mark:
        """See `renderer.brush.Brush`."""
        self.check(strokes, size)
        share, inner = shares(strokes, len(self.brushes)), strokes[:, : MYPAINT.width]
        alpha: Tensor | float = 0.0
        pigment: Tensor | float = 0.0
        for k, brush in enumerate(self.brushes):
            mark = brush(inner, size, window)
            part = share[:, k, None, None, None] * mark.alpha
            alpha, pigment = alpha + part, pigment + part * mark.colour
        assert isinstance(alpha, Tensor)
        flat = MYPAINT.get(inner, "colour")[:, :, None, None]
        return Mark(alpha, torch.where(alpha > 0, pigment / alpha, flat) if self.textured else flat)

    def mean_brush(self) -> Mixed:
        """The mixture of the mean brushes."""
        return mixed([brush.mean_brush() for brush in self.brushes])

    def provenance(self) -> dict[str, Any]:
        """What each brush records, as lists."""
        records = [brush.provenance() for brush in self.brushes]
        return {key: [record[key] for record in records] for key in ("brush", "myb")}

    def bounds(self, strokes: Tensor, size: Size) -> Bounds:
        """The box around the boxes of the brushes in each stroke."""
        share, inner = shares(strokes.detach(), len(self.brushes)), strokes[:, : MYPAINT.width]
        boxes = torch.stack([torch.stack(brush.bounds(inner, size)) for brush in self.brushes], -1)
        used, far = share > 0, max(size)
        left, top = torch.where(used, boxes[:2], far).amin(-1)
        right, bottom = torch.where(used, boxes[2:], 0).amax(-1)
        return left, top, right, bottom

    def patches(self, strokes: Tensor, size: Size, box: Tensor | None = None) -> Patches:
        """See `renderer.brush.Brush`: of each brush, the patches of the strokes that it is in."""
        self.check(strokes, size)
        if self.textured:
            return super().patches(strokes, size, box)
        box = box_of(self.bounds(strokes, size)) if box is None else box
        start, total = layout(box)
        share, area = shares(strokes, len(self.brushes)), box[:, 2] * box[:, 3]
        alpha = strokes.new_zeros(total)
        for k, brush in enumerate(self.brushes):
            rows = (share[:, k] > 0).nonzero()[:, 0]
            if len(rows) == 0:
                continue
            part = brush.patches(strokes[rows, : MYPAINT.width], size, box[rows])
            which = torch.arange(len(rows), device=rows.device).repeat_interleave(area[rows])
            begin, _ = layout(box[rows])
            pixel = torch.arange(len(which), device=rows.device) - begin[which]  # in its own box
            covered = part.alpha[part.start[which] + pixel] * share[:, k][rows[which]]
            alpha = alpha.index_add(0, start[rows[which]] + pixel, covered)
        return Patches(alpha, MYPAINT.get(strokes, "colour"), box, start)


class MixedReference(Mixed):
    """Reference brushes of MyPaint, see `mixed`. Not differentiable; marks of two brushes have a colour for every pixel."""

    differentiable = False

    def __init__(self, brushes: Sequence[Brush]) -> None:
        super().__init__(brushes)
        self.textured = True

    @torch.no_grad()
    def __call__(self, strokes: Tensor, size: Size, window: Window | None = None) -> Mark:
        """See `renderer.brush.Brush`."""
        return super().__call__(strokes, size, window)

    def patches(self, strokes: Tensor, size: Size, box: Tensor | None = None) -> Patches:
        """See `renderer.brush.Brush`."""
        if box is not None or len(strokes) == 0:
            return Brush.patches(self, strokes, size, box)
        return concatenated(list(self.stream(strokes, size)))

    @torch.no_grad()
    def stream(self, strokes: Tensor, size: Size, chunk: int = 1) -> Iterator[Patches]:
        """See `renderer.brush.Brush`; stroke by stroke."""
        self.check(strokes, size)
        share = shares(strokes, len(self.brushes))
        streams = [
            brush.stream(strokes[share[:, k] > 0, : MYPAINT.width], size, 1) for k, brush in enumerate(self.brushes)
        ]
        for row in share:
            yield _joined([(float(part), next(streams[k])) for k, part in enumerate(row) if part > 0])


def _joined(parts: list[tuple[float, Patches]]) -> Patches:
    """The mixture of patches of one stroke, in shares that sum to 1, on the box around them."""
    colour, start = parts[0][1].colour, parts[0][1].start
    parts = [part for part in parts if len(part[1].alpha) > 0] or parts[:1]
    corners = torch.cat([torch.cat((patch.box[:, :2], patch.box[:, :2] + patch.box[:, 2:]), 1) for _, patch in parts])
    (left, top), (right, bottom) = corners[:, :2].amin(0).tolist(), corners[:, 2:].amax(0).tolist()
    like = parts[0][1].alpha
    alpha, pigment = like.new_zeros(1, bottom - top, right - left), like.new_zeros(3, bottom - top, right - left)
    for share, patch in parts:
        there = patch.box - patch.box.new_tensor([[left, top, 0, 0]])
        here = Patches(patch.alpha, patch.colour, there, patch.start, patch.texture)
        (above, mark), (below, _) = here.on(alpha, 0), here.on(pigment, 0)
        above += share * mark
        below += share * mark * here.pigment(0)
    texture = pigment / alpha.clamp(min=1e-12) if len(parts) > 1 else parts[0][1].pigment(0).expand_as(pigment)
    box = parts[0][1].box.new_tensor([[left, top, right - left, bottom - top]])
    return Patches(alpha.flatten(), colour, box, start, torch.where(alpha > 0, texture, 0.0).flatten(1))
