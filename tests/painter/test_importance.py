"""Test of the leave-one-out importance against painting without each stroke."""

from contextlib import nullcontext
from unittest.mock import patch

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from painter.importance import importance
from renderer.brush import Brush
from renderer.brushes.bezier import ExactBezier
from renderer.canvas import paint
from renderer.learned.stroke_map import StrokeMap
from renderer.ops import native

quick = settings(deadline=None, max_examples=20)
seeds = st.integers(0, 10_000)
sizes = st.tuples(st.integers(1, 20), st.integers(1, 30))


def network() -> StrokeMap:
    torch.manual_seed(0)
    return StrokeMap(hidden=8, grid=4).requires_grad_(False)


BRUSHES = [pytest.param(ExactBezier(2), id="exact"), pytest.param(network(), id="stroke-map")]
both = pytest.mark.parametrize("brush", BRUSHES)


def random(*shape: int, seed: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("compiled", [True, False])
@both
@quick
@given(seed=seeds, size=sizes, n=st.integers(1, 8))
def test_importance_equals_leaving_each_stroke_out(
    brush: Brush, compiled: bool, seed: int, size: tuple[int, int], n: int
) -> None:
    canvas, target, strokes = random(3, *size, seed=seed), random(3, *size, seed=seed + 1), random(n, 13, seed=seed + 2)

    def mse(chosen: Tensor) -> Tensor:
        return (paint(canvas, chosen, brush) - target).square().mean()

    expected = [mse(torch.cat((strokes[:i], strokes[i + 1 :]))) - mse(strokes) for i in range(n)]
    with nullcontext() if compiled else patch.object(native, "load_for", lambda *_: None):
        found = importance(strokes, canvas, target, brush)
    torch.testing.assert_close(found, torch.stack(expected), rtol=1e-3, atol=2e-6)
