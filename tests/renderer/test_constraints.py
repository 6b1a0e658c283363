"""Limits: what is allowed stays as it is, the rest comes as near as it may, and the best colour of a palette is chosen."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from agents.optimal_colour import paint_greedily, score_candidates
from renderer.canvas import paint
from renderer.constraints import UNCONSTRAINED, StrokeConstraints, nearest, palette_of, parse_palette
from renderer.errors import InputError
from renderer.learned.load import load_brush
from renderer.ops import native
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


@pytest.mark.parametrize("compiled", [True, False])
def test_the_best_colour_of_a_palette_is_chosen(compiled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against trying all of them: the gain is what painting in the best colour takes away."""
    if not compiled:
        monkeypatch.setattr(native, "load", lambda _: None)
    renderer = load_brush("bezier")
    generator = torch.Generator().manual_seed(0)
    canvas, target = torch.rand(2, 2, 3, 20, 24, generator=generator)
    strokes = BEZIER.sample(8, generator).view(2, 4, 13)
    proposed = score_candidates(canvas, target, strokes, renderer, PALETTE)
    errors = []
    for colour in PALETTE:
        coloured = BEZIER.put(strokes, "colour", colour)
        each = paint(canvas.repeat_interleave(4, 0), coloured.view(8, 1, 13), renderer)
        errors.append((each - target.repeat_interleave(4, 0)).square().sum((1, 2, 3)).view(2, 4))
    least, best = torch.stack(errors).min(0)
    blank = (canvas - target).square().sum((1, 2, 3))[:, None]
    torch.testing.assert_close(proposed.gain, blank - least, rtol=1e-3, atol=2e-3)
    assert torch.equal(BEZIER.get(proposed.strokes, "colour"), PALETTE[best])

    order = torch.arange(8).view(2, 4)
    least_gain = torch.full((2, 4), -torch.inf)
    after, painted, real = paint_greedily(canvas, target, proposed, order, least_gain, 4, renderer, PALETTE)
    assert real.all()
    used = BEZIER.get(painted, "colour")
    assert torch.equal(nearest(used, PALETTE), used)
    torch.testing.assert_close(paint(canvas, painted, renderer), after, rtol=0, atol=1e-5)


def test_a_palette_takes_no_gradient_into_colours() -> None:
    """The compiled backward pass against PyTorch's own."""
    renderer = load_brush("bezier")
    generator = torch.Generator().manual_seed(1)
    canvas, target = torch.rand(2, 1, 3, 16, 16, generator=generator)
    strokes = BEZIER.sample(3, generator)[None]
    order, least = torch.arange(3)[None], torch.full((1, 3), -torch.inf)
    gradients = []
    for compiled in (True, False):
        with pytest.MonkeyPatch.context() as patch:
            if not compiled:
                patch.setattr(native, "load", lambda _: None)
            shapes = strokes.clone().requires_grad_()
            proposed = score_candidates(canvas, target, shapes, renderer, PALETTE)
            after, _, _ = paint_greedily(canvas, target, proposed, order, least, 3, renderer, PALETTE)
            (gradient,) = torch.autograd.grad((after - target).square().sum() - proposed.gain.sum(), shapes)
            gradients.append(gradient)
    assert gradients[0].abs().max() > 0.1
    torch.testing.assert_close(*gradients, rtol=1e-2, atol=1e-2)
