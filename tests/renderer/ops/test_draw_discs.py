"""Test of the compiled rows of discs against the reference brush."""

import pytest
import torch

from renderer.brush import Window
from renderer.brushes.bezier import BEZIER, ExactBezier, SampledBezier
from renderer.errors import InputError
from renderer.learned.stroke_map import StrokeMap
from renderer.ops import native
from renderer.ops.draw_discs import SOURCE, draw_discs

pytestmark = pytest.mark.skipif(native.load(SOURCE) is None, reason="there is no C compiler")


def test_discs_are_drawn_nearly_as_the_reference_brush_draws_them() -> None:
    strokes = BEZIER.sample(20, torch.Generator().manual_seed(0))
    drawn, exact = (brush(strokes, (48, 64)).alpha for brush in (SampledBezier(), ExactBezier()))
    assert (drawn - exact).square().mean() < 2e-5
    assert (drawn - exact).mean().abs() < 1e-3


def test_windows_show_the_same_as_whole_canvases() -> None:
    strokes = BEZIER.sample(6, torch.Generator().manual_seed(1))
    brush, corner = SampledBezier(2), torch.tensor([-3, 0, 5, 9, 2, 30])
    whole, window = brush(strokes, (30, 40)).alpha, brush(strokes, (30, 40), Window(corner, corner, 12, 12)).alpha
    for mark, part, first in zip(whole, window, corner.tolist(), strict=True):
        inside = mark[:, max(first, 0) : first + 12, max(first, 0) : first + 12]
        rest = part[:, max(-first, 0) :, max(-first, 0) :][:, : inside.shape[1], : inside.shape[2]]
        torch.testing.assert_close(rest, inside, rtol=0, atol=1e-6)


def test_what_cannot_be_drawn_is_refused() -> None:
    box, start = torch.tensor([[0, 0, 4, 4]]), torch.zeros(1, dtype=torch.long)
    with pytest.raises(InputError, match="cannot draw stroke 0"):
        draw_discs(torch.full((1, 10), torch.nan), box, start, 16, 4, 0.05)
    with pytest.raises(InputError, match="boxes that fill"):
        draw_discs(torch.zeros(1, 10), box, start, 17, 4, 0.05)
    with pytest.raises(InputError, match="1 to 16 samples"):
        draw_discs(torch.zeros(1, 10), box, start, 16, 99, 0.05)


def test_a_learned_brush_knows_its_reference() -> None:
    assert isinstance(StrokeMap(8, 4).quick_reference(), SampledBezier)
    assert ExactBezier().quick_reference() is None
