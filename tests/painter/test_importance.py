"""Test of the leave-one-out importance against painting without each stroke."""

from contextlib import nullcontext
from unittest.mock import patch

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from painter.importance import importance
from renderer.brush import Brush
from renderer.canvas import paint
from renderer.ops import native
from tests.renderer.small_brushes import both, quick, random, seeds, sizes


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
