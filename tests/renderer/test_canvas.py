"""Compositing of strokes over canvases."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from renderer.brush import Brush, Mark
from renderer.brushes.bezier import ExactBezier
from renderer.canvas import blank, over, paint, paint_steps
from renderer.strokes import BEZIER
from tests.renderer.small_brushes import both, quick, random, seeds, sizes


def test_blank() -> None:
    assert torch.equal(blank((2, 5)), torch.ones(3, 2, 5))
    canvas = blank((2, 5), (0.25, 0.5, 1.0))
    assert canvas[:, 1, 4].tolist() == [0.25, 0.5, 1.0]
    canvas[0, 0, 0] = 0  # it does not share memory
    assert canvas[0, 1, 1] == 0.25


@quick
@given(seeds)
def test_over(seed: int) -> None:
    canvas, colour = random(2, 3, 4, 5, seed=seed), random(2, 3, 1, 1, seed=seed + 1)
    alpha = random(2, 1, 4, 5, seed=seed + 2)
    assert torch.equal(over(canvas, Mark(torch.zeros_like(alpha), colour)), canvas)
    torch.testing.assert_close(over(canvas, Mark(torch.ones_like(alpha), colour)), colour.expand_as(canvas))
    torch.testing.assert_close(over(canvas, Mark(alpha, colour)), alpha * colour + (1 - alpha) * canvas)
    # A colour over itself does not change, and values stay in [0, 1].
    torch.testing.assert_close(over(colour.expand_as(canvas), Mark(alpha, colour)), colour.expand_as(canvas))
    once = over(canvas, Mark(alpha, colour))
    twice = over(once, Mark(alpha, colour))
    torch.testing.assert_close(twice, over(canvas, Mark(1 - (1 - alpha) ** 2, colour)))
    assert 0 <= once.min() <= once.max() <= 1


@both
@quick
@given(seed=seeds, size=sizes, n=st.integers(0, 9), share=st.floats(0, 1))
def test_painting_in_two_parts(brush: Brush, seed: int, size: tuple[int, int], n: int, share: float) -> None:
    canvas, strokes, k = random(3, *size, seed=seed), random(n, 13, seed=seed + 1), round(n * share)
    before = canvas.clone()
    whole = paint(canvas, strokes, brush)
    parts = paint(paint(canvas, strokes[:k], brush), strokes[k:], brush)
    torch.testing.assert_close(parts, whole, rtol=0, atol=1e-6)
    assert torch.equal(canvas, before), "painting works on a copy"
    assert -1e-6 <= whole.min() <= whole.max() <= 1 + 1e-6


@both
def test_batch_equals_one_by_one(brush: Brush) -> None:
    canvas, strokes = random(3, 3, 9, 14, seed=0), random(3, 6, 13, seed=1)
    together = paint(canvas, strokes, brush)
    for i in range(3):
        torch.testing.assert_close(paint(canvas[i], strokes[i], brush), together[i])


def test_later_strokes_lie_on_top() -> None:
    strokes = torch.full((2, 13), 0.5)
    strokes[:, BEZIER.columns("radius")] = strokes[:, BEZIER.columns("opacity")] = 1
    strokes[0, BEZIER.columns("colour")], strokes[1, BEZIER.columns("colour")] = 0.0, 0.75
    middle = (slice(None), 8, 8)
    assert paint(blank((16, 16)), strokes, ExactBezier())[middle].tolist() == [0.75] * 3
    assert paint(blank((16, 16)), strokes.flip(0), ExactBezier())[middle].tolist() == [0.0] * 3


@both
@pytest.mark.parametrize(("n", "every", "frames"), [(0, 1, 1), (1, 1, 2), (7, 1, 8), (7, 3, 4), (6, 3, 3), (7, 100, 2)])
def test_last_frame_equals_paint(brush: Brush, n: int, every: int, frames: int) -> None:
    canvas, strokes = random(3, 11, 17, seed=2), random(n, 13, seed=3)
    canvases = [frame.clone() for frame in paint_steps(canvas, strokes, brush, every, chunk=4)]
    assert len(canvases) == frames
    assert torch.equal(canvases[0], canvas)
    torch.testing.assert_close(canvases[-1], paint(canvas, strokes, brush))
    for i, frame in enumerate(canvases):
        torch.testing.assert_close(frame, paint(canvas, strokes[: i * every], brush))
