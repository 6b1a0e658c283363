"""Canvases at any count equal those that are drawn from the first stroke, within the levels of 8 bits."""

import torch

from renderer.brushes.bezier import AnalyticBezier
from renderer.canvas import blank, paint
from renderer.strokes import BEZIER
from studio import canvas_cache
from studio.canvas_cache import CanvasCache

SIZE = (12, 16)
BACKGROUND = (0.5, 0.4, 0.3)


def drawn(strokes: torch.Tensor, count: int) -> torch.Tensor:
    return paint(blank(SIZE, BACKGROUND), strokes[:count], AnalyticBezier())


def test_any_count_in_any_order(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(canvas_cache, "MOST_BYTES", 4 * 3 * 12 * 16)  # so that canvases are dropped
    strokes = BEZIER.sample(70, torch.Generator().manual_seed(0))
    cache = CanvasCache(AnalyticBezier(), SIZE, BACKGROUND)
    for count in (70, 3, 40, 0, 69, 17, 999):
        assert (cache.at(strokes, count) - drawn(strokes, min(70, count))).abs().max() < 2 / 255


def test_other_strokes_are_drawn_from_where_they_differ() -> None:
    strokes = BEZIER.sample(40, torch.Generator().manual_seed(0))
    cache = CanvasCache(AnalyticBezier(), SIZE, BACKGROUND)
    cache.at(strokes, 40)
    other = strokes.clone()
    other[20] = strokes[3]
    assert (cache.at(other, 40) - drawn(other, 40)).abs().max() < 2 / 255
    assert (cache.at(other[:21], 21) - drawn(other, 21)).abs().max() < 2 / 255
    assert (cache.at(strokes, 40) - drawn(strokes, 40)).abs().max() < 2 / 255
