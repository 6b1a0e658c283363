"""Marks are continuous in their strokes: moving a point by a billionth of the canvas changes pixels by next to nothing.

In double precision, so that a steep change is told from a jump.
"""

from copy import deepcopy

import pytest
import torch
from torch import Tensor

from renderer.brush import Brush, load_brush

SIZE = (24, 30)
MOVE, CHANGE = 1e-9, 1e-4
BRUSHES = ["bezier", "ink", "watercolour", "flat", "liner", "calligraphy", "charcoal mean", "impressionist"]


def special_strokes(brush: Brush, kind: str) -> Tensor:
    """60 strokes; `dots` begin where they end, others are straight or run along an axis."""
    strokes = brush.space.sample(60, torch.Generator().manual_seed(0)).double()
    start, end, radius, bend = (brush.space.columns(field) for field in ("start", "end", "radius", "bend"))
    strokes[:, radius] = 0.1 + 0.6 * strokes[:, radius]
    if kind == "dots":
        strokes[:, end] = strokes[:, start]
    elif kind == "horizontal":
        strokes[:, end.start + 1] = strokes[:, start.start + 1]
    elif kind == "vertical":
        strokes[:, end.start] = strokes[:, start.start]
    elif kind == "straight":
        strokes[:, bend] = 0.5
    return strokes


def largest_change(brush: Brush, strokes: Tensor) -> float:
    """Of a pixel's alpha, when one end of one of the strokes moves."""
    end, before, worst = brush.space.columns("end"), _draw(brush, strokes), 0.0
    for column in range(end.start, end.stop):
        for sign in (-1, 1):
            moved = strokes.clone()
            moved[:, column] += sign * MOVE
            worst = max(worst, float((_draw(brush, moved) - before).abs().max()))
    return worst


@torch.no_grad()
def _draw(brush: Brush, strokes: Tensor) -> Tensor:
    return brush(strokes, SIZE).alpha


@pytest.mark.parametrize("kind", ["ordinary", "dots", "horizontal", "vertical", "straight"])
@pytest.mark.parametrize("name", BRUSHES)
def test_a_small_move_changes_little(name: str, kind: str) -> None:
    brush = load_brush(name.removesuffix(" mean"))
    brush = deepcopy(brush.mean_brush() if name.endswith("mean") else brush).double()  # type: ignore[attr-defined]
    assert largest_change(brush, special_strokes(brush, kind)) < CHANGE


def test_the_analytic_brush() -> None:
    brush = load_brush("analytic")
    assert largest_change(brush, special_strokes(brush, "ordinary")) < CHANGE
