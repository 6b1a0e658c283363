"""Curve coordinates without folds: where along and across a quadratic curve every pixel lies.

The nearest point of a curve is not a smooth function: beyond the centre of curvature it jumps. Here a pixel x belongs to
the point B(t) where (x - B(t)) . (B'(t) + l c) = 0: for l = 0 that is the nearest point, and the lines across the curve are
its normals. The constant c points along the bisector of the tangents at both ends; l grows with the stroke's width relative
to its length and bend, and rotates the lines until none cross within the stroke's reach. So thin strokes have exact
distances, broad and short ones smooth coordinates.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from renderer.strokes import MYPAINT

STARTS, ITERATIONS = 8, 6  # starting points and steps of Newton's method
TURN = 2.0  # the factor of l, so that lines do not cross
ARCS = 16  # pieces into which a path is divided for its length
LEAST = 3e-5  # pixels: the lines across a stroke that is almost a dot may have no direction


class Place(NamedTuple):
    """Curve coordinates of pixels, each `(T,)`, lengths in reaches.

    t: the curve's parameter in [0, 1]
    before, behind: how far before the start ([-1, 0]) and behind the end ([0, 1]), along the tangent there
    side: how far to the right of the path; negative to the left
    distance: from the point of the path that the pixel belongs to; at most 1 where a mark may be
    """

    t: Tensor
    before: Tensor
    behind: Tensor
    side: Tensor
    distance: Tensor


@dataclass(frozen=True)
class Sweep:
    """The paths of B strokes in pixels, B(t) = start + t linear + t^2 square, and the lines across them.

    start, linear, square: (B, 2) as x, y; first, last: unit tangents at the ends (B, 2); extra: l c (B, 2)
    chord: its unit direction (B, 2); chord_length, length (of the polygon), reach: (B, 1)
    bend: the control point in the chord's frame, (B, 1) forward and (B, 1) sideways, in lengths
    """

    start: Tensor
    linear: Tensor
    square: Tensor
    first: Tensor
    last: Tensor
    extra: Tensor
    chord: Tensor
    chord_length: Tensor
    length: Tensor
    reach: Tensor
    bend: tuple[Tensor, Tensor]

    def packed(self) -> Tensor:
        """The numbers that `locate` needs, `(B, 13)`: start, linear, square, first, last, extra, reach."""
        return torch.cat((self.start, self.linear, self.square, self.first, self.last, self.extra, self.reach), -1)

    def locate(self, owner: Tensor, x: Tensor, y: Tensor) -> Place:
        """The curve coordinates of points x, y (T,) in pixels on the strokes `owner` (T,). Differentiable in the strokes."""
        return locate(self.packed(), owner, x, y)

    @torch.no_grad()
    def arc(self, owner: Tensor, t: Tensor) -> Tensor:
        """The length of the path from its start to t (T,), in pixels: `(T,)`."""
        ends = torch.linspace(0, 1, ARCS + 1, device=t.device, dtype=t.dtype)
        middle = (ends[1:] + ends[:-1])[:, None] / 2
        pieces = (self.linear[:, None] + 2 * self.square[:, None] * middle).norm(dim=-1) / ARCS
        sums = torch.cat((pieces.new_zeros(len(pieces), 1), pieces.cumsum(1)), 1)  # (B, ARCS + 1)
        piece = (t * ARCS).long().clamp(max=ARCS - 1)
        below = sums.flatten()[owner * (ARCS + 1) + piece]
        return below + pieces.flatten()[owner * ARCS + piece] * (t * ARCS - piece)


def locate(packed: Tensor, owner: Tensor, x: Tensor, y: Tensor) -> Place:
    """`Sweep.locate` from the numbers of `Sweep.packed`, `(B, 13)`."""
    sx, sy, bx, by, ax, ay, fx, fy, lx, ly, cx, cy, reach = packed.T.index_select(1, owner).unbind(0)
    px, py = x - sx, y - sy
    with torch.no_grad():
        t = _solve(px, py, bx, by, ax, ay, cx, cy)
    # One more Newton step with a gradient gives the derivative of the root (implicit function theorem).
    value, slope = _sweep(t, px, py, bx, by, ax, ay, cx, cy)
    t = (t - value / slope.detach()).clamp(0, 1)
    # The rest of the offset: along the tangent beyond the ends, and across the path.
    rx, ry = px - (ax * t + bx) * t, py - (ay * t + by) * t
    mx, my = 2 * ax * t + bx + cx, 2 * ay * t + by + cy
    ox, oy = bx + cx, by + cy
    before = ((rx * ox + ry * oy) / (fx * ox + fy * oy).clamp(min=LEAST)).clamp(max=0) * (t == 0)
    ex, ey = 2 * ax + bx + cx, 2 * ay + by + cy
    behind = ((rx * ex + ry * ey) / (lx * ex + ly * ey).clamp(min=LEAST)).clamp(min=0) * (t == 1)
    qx, qy = rx - before * fx - behind * lx, ry - before * fy - behind * ly
    side = (qy * mx - qx * my) / (mx * mx + my * my + LEAST**2).sqrt()
    distance = (rx * rx + ry * ry + 1e-6).sqrt()
    return Place(t, before / reach, behind / reach, side / reach, distance / reach)


def sweeps(strokes: Tensor, size: tuple[int, int], reach: Tensor) -> Sweep:
    """The paths of strokes `(B, 14)` of MYPAINT on a canvas of `size`, whose marks reach `reach` (B, 1) pixels."""
    scale = torch.tensor([size[1], size[0]], dtype=strokes.dtype, device=strokes.device)
    start, end = (MYPAINT.get(strokes, name) * scale for name in ("start", "end"))
    to_control = (end - start) * MYPAINT.get(strokes, "bend")
    to_end = end - start - to_control
    # A dot has no direction: it is drawn to the right, as by the reference brush. Ends without one take the chord's.
    right = 0.01 * reach * torch.tensor([1.0, 0.0], dtype=strokes.dtype, device=strokes.device)
    chord, chord_length = _unit(end - start + right)
    bias = 0.01 * (end - start) + 1e-3 * reach * chord
    first, before = _unit(to_control + bias)
    last, behind = _unit(to_end + bias)
    bisector, _ = _unit(first + last + 1e-3 * chord)
    length = before + behind
    turned = (
        4 * _cross(to_control, to_end).square().add(1e-12).sqrt() / length.square()
    )  # 0 for a straight path, at most about 1
    extra = (TURN * turned * reach + 1e-3 * reach) * bisector
    control = to_control / length
    bend = ((control * chord).sum(-1, keepdim=True), _cross(chord, control))
    square, linear = to_end - to_control, 2 * to_control
    return Sweep(start, linear, square, first, last, extra, chord, chord_length, length, reach, bend)


def _unit(vector: Tensor) -> tuple[Tensor, Tensor]:
    """Unit vector and length (..., 1)."""
    length = vector.square().sum(-1, keepdim=True).add(1e-12).sqrt()
    return vector / length, length


def _cross(a: Tensor, b: Tensor) -> Tensor:
    return a[..., :1] * b[..., 1:] - a[..., 1:] * b[..., :1]


def _sweep(
    t: Tensor, px: Tensor, py: Tensor, bx: Tensor, by: Tensor, ax: Tensor, ay: Tensor, cx: Tensor, cy: Tensor
) -> tuple[Tensor, Tensor]:
    """The value of (x - B(t)) . (B'(t) + l c), which falls with t, and its slope."""
    rx, ry = px - (ax * t + bx) * t, py - (ay * t + by) * t
    tx, ty = 2 * ax * t + bx, 2 * ay * t + by
    mx, my = tx + cx, ty + cy
    slope = 2 * (rx * ax + ry * ay) - tx * mx - ty * my
    # Lines may cross beyond the reach, where it does not matter.
    return rx * mx + ry * my, slope.clamp(max=-1e-2) - 1e-2


def _solve(px: Tensor, py: Tensor, bx: Tensor, by: Tensor, ax: Tensor, ay: Tensor, cx: Tensor, cy: Tensor) -> Tensor:
    """The t in [0, 1] where `_sweep` is 0; 0 or 1 beyond the ends."""
    ex, ey = ax + bx, ay + by
    before = px * (bx + cx) + py * (by + cy) <= 0
    behind = (px - ex) * (ax + ex + cx) + (py - ey) * (ay + ey + cy) >= 0
    # Newton's method from the nearest of a few points; bisection where a step leaves the bracket.
    t, least = torch.zeros_like(px), px * px + py * py
    for k in range(1, STARTS + 1):
        at = k / STARTS
        rx, ry = px - (ax * at + bx) * at, py - (ay * at + by) * at
        square = rx * rx + ry * ry
        t, least = t.masked_fill(square < least, at), torch.minimum(square, least)
    low, high = torch.zeros_like(t), torch.ones_like(t)
    for _ in range(ITERATIONS):
        value, slope = _sweep(t, px, py, bx, by, ax, ay, cx, cy)
        low, high = torch.where(value > 0, t, low), torch.where(value > 0, high, t)
        t = t - value / slope
        t = torch.where((t >= low) & (t <= high), t, (low + high) / 2)
    return t.masked_fill(behind, 1).masked_fill(before, 0)
