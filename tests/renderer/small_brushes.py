"""Brushes, canvases and strategies for tests of compositing: small enough for many examples."""

import pytest
import torch
from hypothesis import settings
from hypothesis import strategies as st
from torch import Tensor

from renderer.brushes.bezier import ExactBezier
from renderer.learned.stroke_map import StrokeMap

quick = settings(deadline=None, max_examples=20)
seeds = st.integers(0, 10_000)
sizes = st.tuples(st.integers(1, 20), st.integers(1, 30))


def network() -> StrokeMap:
    torch.manual_seed(0)
    return StrokeMap(hidden=8, grid=4).requires_grad_(False)


BRUSHES = [pytest.param(ExactBezier(2), id="exact"), pytest.param(network(), id="stroke-map")]
both = pytest.mark.parametrize("brush", BRUSHES)


def random(*shape: int, seed: int) -> Tensor:
    """Uniformly random values in [0, 1]."""
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))
