"""Limits: what is allowed stays as it is, the rest comes as near as it may, and the best colour of a palette is chosen."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from renderer.constraints import UNCONSTRAINED, StrokeConstraints, nearest, palette_of, parse_palette
from renderer.errors import InputError
from renderer.strokes import BEZIER

PALETTE = torch.tensor([[0.1, 0.1, 0.1], [0.8, 0.2, 0.1], [0.9, 0.9, 0.8]])


def test_without_limits_nothing_changes() -> None:
    strokes = BEZIER.sample(5)
    assert UNCONSTRAINED.apply(strokes, BEZIER) is strokes


@given(
    seed=st.integers(0, 1000),
    opaque=st.booleans(),
    radii=st.tuples(st.floats(0, 0.25), st.floats(0.01, 0.25)).map(sorted),
    colours=st.booleans(),
)
def test_what_is_allowed_stays_and_nothing_else_comes_out(
    seed: int, opaque: bool, radii: list[float], colours: bool
) -> None:
    strokes = BEZIER.sample(20, torch.Generator().manual_seed(seed))
    constraints = StrokeConstraints(opaque, radii[0], radii[1], PALETTE if colours else None)
    before = strokes.clone()
    allowed = constraints.apply(strokes, BEZIER)
    assert torch.equal(strokes, before)
    torch.testing.assert_close(constraints.apply(allowed, BEZIER), allowed, rtol=0, atol=1e-6)
    radius = BEZIER.get(allowed, "radius")
    assert radii[0] - 1e-6 <= radius.min() <= radius.max() <= radii[1] + 1e-6
    assert (BEZIER.get(allowed, "opacity") == 1).all() or not opaque
    for name in ("start", "bend", "end"):
        assert torch.equal(BEZIER.get(allowed, name), BEZIER.get(strokes, name))
    if colours:
        distance = (BEZIER.get(strokes, "colour")[:, None] - PALETTE).norm(dim=-1)
        assert torch.equal(BEZIER.get(allowed, "colour"), PALETTE[distance.argmin(1)])


def test_gradients_pass_straight_through() -> None:
    strokes = BEZIER.sample(4).requires_grad_()
    weight = torch.rand(4, 13)
    (StrokeConstraints(True, 0.1, 0.1, PALETTE).apply(strokes, BEZIER) * weight).sum().backward()
    assert strokes.grad is not None
    torch.testing.assert_close(strokes.grad, weight)


@pytest.mark.parametrize(
    ("min_radius", "max_radius"), [(0.2, 0.1), (-0.1, 0.1), (0.0, 0.0), (0.1, 1.5), (float("nan"), 0.1)]
)
def test_impossible_radii_are_one_sentence(min_radius: float, max_radius: float) -> None:
    with pytest.raises(InputError, match="short side"):
        StrokeConstraints(min_radius=min_radius, max_radius=max_radius)


def test_a_radius_that_the_brush_has_not() -> None:
    with pytest.raises(InputError, match=r"largest is 0\.25"):
        StrokeConstraints(min_radius=0.3).apply(BEZIER.sample(1), BEZIER)


def test_the_palette_of_a_picture() -> None:
    picture = torch.zeros(3, 20, 30)
    picture[:, :, 10:] = torch.tensor([0.8, 0.2, 0.1])[:, None, None]
    picture[:, 15:] = torch.tensor([0.2, 0.4, 0.6])[:, None, None]
    exact = palette_of(picture, 5)
    assert len(exact) == 3, "as many as there are"
    noisy = (picture + 0.02 * torch.randn(picture.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)
    found = palette_of(noisy, 3)
    torch.testing.assert_close(nearest(exact, found), exact, rtol=0, atol=0.02)
    assert torch.equal(found, palette_of(noisy, 3)), "the same picture, the same colours"
    assert palette_of(noisy, 1).shape == (1, 3)


@pytest.mark.parametrize("text", ["red", "#12345", "", ",", "#12345g", "#1122334455"])
def test_what_is_no_palette_is_one_sentence(text: str) -> None:
    with pytest.raises(InputError, match="six digits"):
        parse_palette(text)
