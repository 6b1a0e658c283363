"""Conversion of Bezier strokes to strokes of another brush with the same position, breadth and colour."""

import pytest
import torch
from torch import Tensor

from renderer.brush import load_brush
from renderer.brushes.bezier import ExactBezier
from renderer.brushes.mixed import MIXED
from renderer.brushes.mypaint import MYPAINT
from renderer.convert import translation
from renderer.strokes import BEZIER


def sample(n: int = 40) -> Tensor:
    strokes = BEZIER.sample(n, torch.Generator().manual_seed(3))
    strokes[:, BEZIER.columns("radius")] = 0.1 + 0.2 * strokes[:, BEZIER.columns("radius")]
    return strokes


def test_bezier_strokes_do_not_change() -> None:
    strokes = sample()
    assert torch.equal(translation(ExactBezier())(strokes), strokes)


@pytest.mark.parametrize("name", ["ink", "watercolour"])
def test_coverage_is_similar(name: str) -> None:
    """Tapers and softness differ; but the sum of alpha and its distribution are about those of the curves."""
    strokes, brush = sample(), load_brush(name)
    strokes[:, BEZIER.columns("opacity")] = 1
    translated = translation(brush)(strokes)
    assert translated.shape == (40, 14)
    ours, theirs = brush(translated, (64, 64)).alpha, ExactBezier()(strokes, (64, 64)).alpha
    assert 0.8 < float(ours.sum() / theirs.sum()) < 1.25
    assert (ours - theirs).abs().mean() < 0.3 * theirs.mean()


def test_common_fields_are_kept() -> None:
    strokes = sample()
    translated = translation(load_brush("ink"))(strokes)
    for name in ("start", "bend", "end", "colour"):
        assert torch.equal(translated[:, MYPAINT.columns(name)], strokes[:, BEZIER.columns(name)])
    torch.testing.assert_close(MYPAINT.get(translated, "opacity"), BEZIER.get(strokes, "opacity").mean(1, keepdim=True))


def test_batches_gradients_and_fixed_values() -> None:
    strokes = sample(6).view(2, 3, 13).requires_grad_()
    translated = translation(load_brush("ink+watercolour"), {"brush": 0.75})(strokes)
    assert translated.shape == (2, 3, 15)
    assert (MIXED.get(translated, "brush") == 0.75).all()
    translated.sum().backward()
    assert strokes.grad is not None
    assert (strokes.grad != 0).all()
