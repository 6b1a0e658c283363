"""Marks of Bezier strokes whose values are known without a brush. `test_brush.py` has the contract."""

import math

import pytest
import torch
from torch import Tensor, nn

from renderer.brush import Brush, load_brush
from renderer.brushes.bezier import AnalyticBezier, ExactBezier, bounds
from renderer.learned.huang2019 import Huang2019
from renderer.learned.stroke_map import StrokeMap
from renderer.learned.train import alpha_error
from renderer.strokes import BEZIER

SIZE = (20, 28)  # not square


@pytest.fixture(scope="module")
def brushes() -> dict[str, Brush]:
    torch.manual_seed(0)
    huang = Huang2019().requires_grad_(False)
    # With its initial weights it draws a nearly even grey: make strokes visible.
    huang.convolution[-1].weight.mul_(200)
    return {
        "exact": ExactBezier(),
        "analytic": AnalyticBezier(24),
        "stroke-map": StrokeMap(hidden=16, grid=4).requires_grad_(False),
        "shipped": load_brush("bezier"),
        "huang2019": huang,
    }


@pytest.fixture
def brush(brushes: dict[str, Brush], request: pytest.FixtureRequest) -> Brush:
    return brushes[request.param]


every = pytest.mark.parametrize("brush", ["exact", "analytic", "stroke-map", "shipped", "huang2019"], indirect=True)


def sample(n: int, seed: int = 0) -> Tensor:
    return BEZIER.sample(n, torch.Generator().manual_seed(seed))


def stroke(start, end, radius, opacity=(1.0, 1.0), size=(1.0, 1.0), side=1.0) -> Tensor:  # type: ignore[no-untyped-def]
    """A straight stroke, given in pixels of a canvas of `size` (width, height) whose short side is `side`."""
    strokes = torch.full((1, 13), 0.5)
    scale = torch.tensor(size)
    strokes = BEZIER.put(strokes, "start", torch.tensor([start]) / scale)
    strokes = BEZIER.put(strokes, "end", torch.tensor([end]) / scale)
    strokes = BEZIER.put(strokes, "radius", torch.tensor([radius]) / side)
    return BEZIER.put(strokes, "opacity", torch.tensor([opacity]))


@every
def test_opacity_at_one_end_is_visible(brush: Brush) -> None:
    strokes = stroke((4.0, 10.0), (24.0, 10.0), (3.0, 3.0), (0.0, 1.0), (28.0, 20.0), 20.0)
    assert brush(strokes, SIZE).alpha.max() > 0.1


@pytest.mark.parametrize("brush", ["analytic", "shipped"], indirect=True)
def test_gradient_points_to_the_target(brush: Brush) -> None:
    """The sign of the gradient: a disc is moved towards the target."""
    goal = brush(stroke((20.0, 16.0), (20.0, 16.0), (6.0, 6.0), size=(32.0, 32.0), side=32.0), (32, 32)).alpha
    strokes = stroke((16.0, 16.0), (16.0, 16.0), (6.0, 6.0), size=(32.0, 32.0), side=32.0).requires_grad_()
    (brush(strokes, (32, 32)).alpha - goal).square().sum().backward()
    assert strokes.grad is not None
    assert (strokes.grad[0, [0, 4]] < 0).all(), "to the right"


# Known values, for brushes that approximate the reference brush.
known = pytest.mark.parametrize("brush", ["exact", "analytic", "shipped"], indirect=True)


@known
@pytest.mark.parametrize("radius", [5.0, 12.3])
@pytest.mark.parametrize("opacity", [1.0, 0.3])
def test_area_of_a_disc(brush: Brush, radius: float, opacity: float) -> None:
    centre = (30.3, 33.9)
    strokes = stroke(centre, centre, (radius, radius), (opacity, opacity), (64.0, 64.0), 64.0)
    assert brush(strokes, (64, 64)).alpha.sum() == pytest.approx(opacity * math.pi * radius**2, rel=0.01)


@known
def test_length_and_width_of_a_bar(brush: Brush) -> None:
    """On a canvas that is not square: lengths along x are fractions of the width, radii of the short side."""
    strokes = stroke((16.0, 20.0), (80.0, 20.0), (5.0, 5.0), size=(96.0, 40.0), side=40.0)
    alpha = brush(strokes, (40, 96)).alpha[0, 0]
    assert alpha.sum() == pytest.approx(64 * 10 + math.pi * 25, rel=0.01)
    assert alpha[17:23, 16:80].min() > 0.99
    assert alpha[:13].max() < 0.01
    assert alpha[27:].max() < 0.01
    assert alpha[:, :9].max() < 0.01


@pytest.mark.parametrize("name", ["exact", "analytic", "shipped"])
def test_hairlines_fade(brushes: dict[str, Brush], name: str) -> None:
    """A line of radius r far below a pixel covers 2 r of each pixel that it crosses."""
    brush = AnalyticBezier(256) if name == "analytic" else brushes[name]
    strokes = stroke((8.0, 30.2), (56.0, 34.4), (0.25, 0.25), size=(64.0, 64.0), side=64.0)
    columns = brush(strokes, (64, 64)).alpha[0, 0, :, 12:52].sum(0)
    assert columns.mean() == pytest.approx(2 * 0.25, rel=0.15)


@known
def test_opacity_and_radius_vary_along_the_stroke(brush: Brush) -> None:
    strokes = stroke((16.0, 32.0), (48.0, 32.0), (3.0, 9.0), (0.2, 0.8), (64.0, 64.0), 64.0)
    alpha = brush(strokes, (64, 64)).alpha[0, 0]
    # The last disc that holds a point has its centre up to 9 pixels further on.
    assert alpha[32, 14] < 0.5 < alpha[32, 48]
    assert (alpha[32, 18:44].diff() > -0.01).all()
    assert alpha[:, 16].gt(0.05).sum() < alpha[:, 46].gt(0.05).sum()


def test_marks_do_not_depend_on_resolution() -> None:
    strokes = sample(12, 7)
    fine = nn.functional.avg_pool2d(ExactBezier()(strokes, (512, 512)).alpha, 4)
    coarse = ExactBezier()(strokes, (128, 128)).alpha
    assert (fine - coarse).square().mean() < 2e-5
    assert (fine - coarse).mean().abs() < 1e-3, "neither larger nor smaller"


def test_analytic_brush_matches_the_reference() -> None:
    assert alpha_error(AnalyticBezier(96), ExactBezier(), 16, seed=8, side=64, batch=8) < 2e-4


def test_error_of_the_shipped_brush() -> None:
    assert alpha_error(load_brush("bezier"), ExactBezier(), 200, seed=9) <= 2e-4


def test_bounds_contain_the_mark() -> None:
    strokes, (height, width) = sample(50, 10), (40, 56)
    left, top, right, bottom = bounds(strokes, (height, width))
    alpha = ExactBezier()(strokes, (height, width)).alpha
    for i in range(50):
        assert 0 <= left[i] < width
        assert 0 <= top[i] < height
        outside = alpha[i, 0].clone()
        outside[top[i] : bottom[i], left[i] : right[i]] = 0
        assert not outside.any()


def test_loaded_brush_is_frozen(brushes: dict[str, Brush]) -> None:
    shipped = brushes["shipped"]
    assert isinstance(shipped, nn.Module)
    assert not any(parameter.requires_grad for parameter in shipped.parameters())
    assert not shipped.training


@known
def test_curve_bends_towards_its_control_point(brush: Brush) -> None:
    strokes = stroke((8.0, 8.0), (56.0, 56.0), (3.0, 3.0), size=(64.0, 64.0), side=64.0)
    strokes = BEZIER.put(strokes, "bend", torch.tensor([[1.0, 0.0]]))  # control point at (56, 8)
    alpha = brush(strokes, (64, 64)).alpha[0, 0]
    assert alpha[20, 44] > 0.99, "the middle of the curve"
    assert alpha[32, 32] < 0.01, "the middle of the straight line"
    assert alpha[44, 20] < 0.01, "the other side"
