"""Constraints: allowed strokes are kept, others become the nearest allowed ones, colours those of a palette."""

import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import renderer.constraints
from painter import OptimizeConfig, Painter
from renderer.constraints import (
    UNCONSTRAINED,
    Constraint,
    StrokeConstraints,
    as_constraints,
    load_constraint,
    nearest,
    palette_of,
    parse_palette,
    register_constraint,
)
from renderer.errors import InputError
from renderer.strokes import BEZIER, StrokeSpace

PALETTE = torch.tensor([[0.1, 0.1, 0.1], [0.8, 0.2, 0.1], [0.9, 0.9, 0.8]])


def test_unconstrained_strokes_do_not_change() -> None:
    strokes = BEZIER.sample(5)
    assert UNCONSTRAINED.apply(strokes, BEZIER) is strokes


@settings(deadline=None)
@given(
    seed=st.integers(0, 1000),
    opaque=st.booleans(),
    radii=st.tuples(st.floats(0, 0.25), st.floats(0.01, 0.25)).map(sorted),
    colours=st.booleans(),
)
def test_allowed_strokes_are_kept_and_all_results_are_allowed(
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
def test_impossible_radii(min_radius: float, max_radius: float) -> None:
    with pytest.raises(InputError, match="short side"):
        StrokeConstraints(min_radius=min_radius, max_radius=max_radius)


def test_radius_beyond_the_brush() -> None:
    with pytest.raises(InputError, match=r"largest is 0\.25"):
        StrokeConstraints(min_radius=0.3).apply(BEZIER.sample(1), BEZIER)


def test_palette_of_an_image() -> None:
    image = torch.zeros(3, 20, 30)
    image[:, :, 10:] = torch.tensor([0.8, 0.2, 0.1])[:, None, None]
    image[:, 15:] = torch.tensor([0.2, 0.4, 0.6])[:, None, None]
    exact = palette_of(image, 5)
    assert len(exact) == 3, "as many as there are"
    noisy = (image + 0.02 * torch.randn(image.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)
    found = palette_of(noisy, 3)
    torch.testing.assert_close(nearest(exact, found), exact, rtol=0, atol=0.02)
    assert torch.equal(found, palette_of(noisy, 3)), "the same image, the same colours"
    assert palette_of(noisy, 1).shape == (1, 3)


@pytest.mark.parametrize("text", ["red", "#12345", "", ",", "#12345g", "#1122334455"])
def test_invalid_palette(text: str) -> None:
    with pytest.raises(InputError, match="six digits"):
        parse_palette(text)


class Level:
    """End strokes at the height of their start."""

    def apply(self, strokes: Tensor, space: StrokeSpace) -> Tensor:
        assert not strokes.requires_grad
        start, end = space.get(strokes, "start"), space.get(strokes, "end")
        return space.put(strokes, "end", torch.stack((end[..., 0], start[..., 1]), -1))


class Thin:
    def apply(self, strokes: Tensor, space: StrokeSpace) -> Tensor:
        return space.put(strokes, "radius", space.get(strokes, "radius").clamp(max=0.01))


def test_other_constraints_are_applied_last() -> None:
    strokes = BEZIER.sample(20, torch.Generator().manual_seed(0))
    before = strokes.clone()
    constraints = StrokeConstraints(opaque=True, min_radius=0.02, others=(Level(), Thin()))
    allowed = constraints.apply(strokes, BEZIER)
    assert torch.equal(strokes, before)
    assert (BEZIER.get(allowed, "opacity") == 1).all()
    assert torch.equal(allowed[:, 1], allowed[:, 5])
    torch.testing.assert_close(BEZIER.get(allowed, "radius"), torch.full((20, 2), 0.01), msg="the last one wins")
    torch.testing.assert_close(constraints.apply(allowed, BEZIER)[:, :6], allowed[:, :6])
    assert constraints.provenance()["others"] == [f"{__name__}:Level", f"{__name__}:Thin"]


def test_gradients_pass_through_other_constraints() -> None:
    strokes = BEZIER.sample(5, torch.Generator().manual_seed(1)).requires_grad_()
    StrokeConstraints(others=(Level(),)).apply(strokes, BEZIER).sum().backward()
    assert strokes.grad is not None
    assert (strokes.grad == 1).all()


def test_constraints_from_one_or_several() -> None:
    level, thin = Level(), Thin()
    assert isinstance(level, Constraint)
    assert isinstance(StrokeConstraints(), Constraint)
    limits = StrokeConstraints(opaque=True)
    assert as_constraints(limits) is limits
    assert as_constraints(level).others == (level,)
    assert as_constraints([level, thin]).others == (level, thin)
    # They are kept when other constraints change.
    assert dataclasses.replace(as_constraints(level), brush=1.0).for_image(torch.zeros(3, 1, 1)).others == (level,)


def test_constraints_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(renderer.constraints, "_FACTORIES", {})
    register_constraint("level", Level)
    assert isinstance(load_constraint("level"), Level)
    assert isinstance(load_constraint(f"{__name__}:Thin"), Thin)
    for name, reason in {
        "thin": "choose level, or module:Class",
        "nowhere:Thin": "No module named",
        f"{__name__}:Thick": "no attribute 'Thick'",
        "builtins:dict": "a dict has no method apply",
    }.items():
        with pytest.raises(InputError, match=reason):
            load_constraint(name)


@pytest.mark.parametrize("method", ["agent", "optimize", "hybrid"])
def test_paintings_keep_other_constraints(method: str) -> None:
    image = torch.rand(3, 24, 32, generator=torch.Generator().manual_seed(2))
    painter = Painter(method, device="cpu", config=OptimizeConfig(steps=4))  # type: ignore[arg-type]
    painting = painter.paint(image, strokes=12, size=32, constraints=[Level()])
    start, end = BEZIER.get(painting.strokes, "start"), BEZIER.get(painting.strokes, "end")
    assert len(painting.strokes) == 12
    assert torch.equal(start[:, 1], end[:, 1])
