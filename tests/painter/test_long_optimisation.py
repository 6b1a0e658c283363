"""Hundreds of optimiser steps stay finite; `python -m tests.torture.long_optimisation` takes thousands with every brush."""

import pytest

from tests.torture.long_optimisation import brushes, optimise


@pytest.mark.parametrize("name", ["bezier", "ink"])
def test_hundreds_of_steps_stay_finite(name: str) -> None:
    """Of strokes that start without length, radius, pressure or opacity."""
    assert name in brushes()
    optimise(name, 300, side=24)
