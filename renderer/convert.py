"""Bezier strokes as strokes of another brush: for painters that think in Bezier strokes and paint with any brush."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from renderer.brush import Brush
from renderer.strokes import BEZIER, Field

SIDE, RADIUS = 128, 0.05  # of the canvas and the stroke by which a brush's breadth is measured


def translation(brush: Brush, fixed: Mapping[str, float] | None = None) -> Callable[[Tensor], Tensor]:
    """A function from strokes of BEZIER `(..., 13)` to strokes `(..., P)` of the brush with nearly the same outline.

    Path, colour and mean opacity are the same; the radius is such that the mark is as broad as the curve on average; fields
    that BEZIER has not take their defaults. Differentiable. For brushes of BEZIER itself, nothing is changed.

    Args:
        brush: the brush that will draw the strokes.
        fixed: values of fields instead of their defaults, in their units; names that the brush's space has not are ignored.
    """
    space = brush.space
    if space == BEZIER:
        return lambda strokes: strokes
    known = {field.name: field for field in BEZIER.fields}
    base = space.default_strokes(1)[0]
    for name, value in (fixed or {}).items():
        if name in space:
            base = space.put(base, name, torch.tensor(value).expand(space.field(name).size))
    breadth = _half_width(brush, base)

    def column(strokes: Tensor, field: Field) -> Tensor:
        if field.name not in known:
            constant = base[space.columns(field.name)].to(strokes)
            return constant.expand(*strokes.shape[:-1], field.size)
        if field.size == known[field.name].size and field.kind != "length":
            return strokes[..., BEZIER.columns(field.name)]
        value = BEZIER.get(strokes, field.name).mean(-1, keepdim=True)
        if field.kind == "length":
            value = value / breadth
        return ((value - field.low) / (field.high - field.low)).clamp(0, 1).expand(*strokes.shape[:-1], field.size)

    return lambda strokes: torch.cat([column(strokes, field) for field in space.fields], -1)


@torch.no_grad()
def _half_width(brush: Brush, base: Tensor) -> float:
    """Of a straight mark, in radii: half the integral of alpha across it. `base` (P,) has the other fields."""
    space = brush.space
    stroke = base[None]
    values = {"start": [0.2, 0.5], "end": [0.8, 0.5], "radius": [RADIUS], "opacity": [1.0]}
    for name, value in values.items():
        stroke = space.put(stroke, name, torch.tensor(value).expand(space.field(name).size))
    alpha = brush(stroke.to(brush.device), (SIDE, SIDE)).alpha[0, 0, :, SIDE // 4 : -SIDE // 4]
    return max(0.05, float(alpha.sum(0).mean()) / 2 / (RADIUS * SIDE))
