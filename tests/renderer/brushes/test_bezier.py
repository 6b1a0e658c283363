"""The geometry that all Bezier brushes share, which comparing them would not test."""

import pytest
import torch
from torch import Tensor

from renderer.brush import Brush, load_brush
from renderer.brushes.bezier import AnalyticBezier, ExactBezier, curves
from renderer.canvas import paint
from renderer.strokes import BEZIER

SIZE = (40, 60)  # height, width


def bent() -> Tensor:
    """First along x, then along y: the control point has the end's x and almost the start's y."""
    strokes = torch.full((1, 13), 0.5)
    for name, value in {"start": (0.1, 0.2), "bend": (1.0, 0.1), "end": (0.9, 0.8), "radius": (0.05, 0.1)}.items():
        strokes = BEZIER.put(strokes, name, torch.tensor([value]))
    return BEZIER.put(strokes, "opacity", torch.tensor([[0.5, 1.0]]))


def test_curves_are_in_pixels() -> None:
    curve = curves(bent(), SIZE)
    assert curve.start[0].tolist() == pytest.approx([6, 8])
    assert curve.end[0].tolist() == pytest.approx([54, 32])
    assert curve.control[0].tolist() == pytest.approx([54, 8 + 0.1 * 24])
    assert curve.radius[0].tolist() == pytest.approx([2, 4], rel=1e-5), "in units of the short side"
    assert curve.opacity[0].tolist() == pytest.approx([0.5, 1])


@pytest.mark.parametrize("brush", [ExactBezier(), AnalyticBezier(96)], ids=["exact", "analytic"])
def test_bent_stroke_follows_its_curve(brush: Brush) -> None:
    alpha = brush(bent(), SIZE).alpha[0, 0]
    start, control, end = torch.tensor([6.0, 8.0]), torch.tensor([54.0, 10.4]), torch.tensor([54.0, 32.0])
    for t in torch.linspace(0, 1, 9):
        x, y = ((1 - t) ** 2 * start + 2 * t * (1 - t) * control + t**2 * end).floor().int().tolist()
        assert alpha[y, x] > 0.5 + 0.5 * t - 0.02
    assert alpha[:6, 30:].max() < 0.02
    assert alpha[20:, :40].max() < 0.02, "the corner is not cut"


def test_later_disc_replaces_earlier_one() -> None:
    """Where a stroke overlaps itself, its end is visible and opacities do not add up, as in the authors' code."""
    strokes = bent()
    strokes = BEZIER.put(strokes, "end", BEZIER.get(strokes, "start"))  # all discs in one place
    strokes = BEZIER.put(strokes, "radius", torch.tensor([[0.2, 0.1]]))
    alpha = ExactBezier()(BEZIER.put(strokes, "opacity", torch.tensor([[1.0, 0.25]])), SIZE).alpha[0, 0]
    assert alpha[8, 6] == pytest.approx(0.25, abs=0.01)
    # 6.5 pixels away, the last disc that reaches has t = .37; near the rim, the first disc.
    assert alpha[8, 12] == pytest.approx(1 - 0.37 * 0.75, abs=0.02)
    assert alpha[8, 13] == pytest.approx(1 - 0.12 * 0.75, abs=0.05)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize(
    ("brush", "tolerance"), [(ExactBezier(8), 2e-5), (AnalyticBezier(64), 1e-9)], ids=["exact", "analytic"]
)
def test_mirrored_stroke_has_the_mirrored_mark(brush: Brush, tolerance: float, axis: int) -> None:
    strokes = BEZIER.sample(12, torch.Generator().manual_seed(0))
    mirrored = strokes.clone()
    for name in ("start", "end"):  # the bend is relative to these, and stays
        columns = BEZIER.columns(name)
        mirrored[:, columns.start + axis] = 1 - mirrored[:, columns.start + axis]
    difference = brush(mirrored, SIZE).alpha - brush(strokes, SIZE).alpha.flip(3 - axis)
    # OpenCV's rounding is not symmetric.
    assert difference.square().mean() < tolerance


def test_mirrored_strokes_give_the_mirrored_painting() -> None:
    strokes, canvas = BEZIER.sample(12, torch.Generator().manual_seed(1)), torch.rand(3, *SIZE)
    mirrored = strokes.clone()
    for name in ("start", "end"):
        mirrored[:, BEZIER.columns(name).start] = 1 - mirrored[:, BEZIER.columns(name).start]
    brush = load_brush("bezier")
    expected = paint(canvas, strokes, brush).flip(2)
    torch.testing.assert_close(paint(canvas.flip(2), mirrored, brush), expected, rtol=0, atol=0.02)
