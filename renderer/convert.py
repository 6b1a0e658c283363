"""Bezier strokes as strokes of another brush: for painters that think in Bezier strokes and paint with any brush."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from renderer.brush import Brush
from renderer.strokes import BEZIER

PRESSURE = 0.7  # pressed well: lightly, some brushes hardly mark
SIDE, RADIUS = 128, 0.05  # of the stroke that a brush is measured by


def translation(renderer: Brush, brush: float = 0.0) -> Callable[[Tensor], Tensor]:
    """A function from strokes of BEZIER `(..., 13)` to strokes of the renderer's space with nearly the same outline.

    Path, colour and mean opacity are the same; the radius is such that the mark is as broad as the curve on average,
    pressure is even. brush: of mixed brushes, which one. Differentiable; for BEZIER itself, nothing is changed.
    """
    space = renderer.space
    if space == BEZIER:
        return lambda strokes: strokes
    even = {"pressure": PRESSURE, "brush": brush}
    breadth = _half_width(renderer, brush)

    def translate(strokes: Tensor) -> Tensor:
        radius = BEZIER.get(strokes, "radius").mean(-1, keepdim=True) / breadth
        parts = {
            "radius": (radius / space.field("radius").high).clamp(0, 1),
            "opacity": BEZIER.get(strokes, "opacity").mean(-1, keepdim=True),
        }
        columns = []
        for field in space.fields:
            if field.name in even:
                columns.append(strokes.new_full((*strokes.shape[:-1], field.size), even[field.name]))
            else:
                columns.append(parts[field.name] if field.name in parts else strokes[..., BEZIER.columns(field.name)])
        return torch.cat(columns, -1)

    return translate


@torch.no_grad()
def _half_width(renderer: Brush, brush: float) -> float:
    """Of a straight mark at even pressure, in basic radii: half the integral of alpha across it."""
    space = renderer.space
    stroke = torch.zeros(1, space.width)
    values = {"start": (0.2, 0.5), "end": (0.8, 0.5), "bend": 0.5, "radius": RADIUS, "pressure": PRESSURE}
    values |= {"opacity": 1.0, "brush": brush}
    for field in space.fields:
        value = values.get(field.name, 0.0)
        stroke = space.put(stroke, field.name, torch.tensor(value).expand(1, field.size))
    alpha = renderer(stroke.to(renderer.device), (SIDE, SIDE)).alpha[0, 0, :, SIDE // 4 : -SIDE // 4]
    return max(0.05, float(alpha.sum(0).mean()) / 2 / (RADIUS * SIDE))
