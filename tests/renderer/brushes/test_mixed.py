"""Mixed brushes: 0 is the first brush, 1 the last; between two brushes, a mark is a mixture."""

import math
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from renderer.brush import Brush, Window, load_brush
from renderer.brushes.bezier import ExactBezier
from renderer.brushes.mixed import MIXED, Mixed, MixedReference, mixed, shares
from renderer.brushes.mypaint import MYPAINT, MyPaint
from renderer.canvas import blank, paint, paint_steps
from renderer.constraints import StrokeConstraints
from renderer.errors import InputError
from renderer.io.painting import Painting, PaintingError, reference_brush
from renderer.strokes import SpaceError
from tests.renderer.brushes.test_mypaint import engine
from tests.renderer.learned.test_neural_brush import make

SIZE = (30, 42)


def sample(n: int, seed: int = 0, brush: float | None = None) -> Tensor:
    strokes = MIXED.sample(n, torch.Generator().manual_seed(seed))
    strokes[:, MIXED.columns("radius")] *= 0.5
    if brush is not None:
        strokes[:, MIXED.columns("brush")] = brush
    return strokes


@pytest.fixture(scope="module")
def brushes() -> list[Brush]:
    return [make("plain"), make("sized and directed"), make("grain")]


@given(st.floats(0, 1, width=32), st.integers(2, 6))
def test_shares(place: float, count: int) -> None:
    share = shares(sample(1, brush=place), count)[0]
    assert float(share.sum()) == pytest.approx(1, abs=1e-5)
    assert int((share > 0).sum()) <= 2
    # The weighted mean of the brushes' indices is the position between them.
    assert float((share * torch.arange(count)).sum()) == pytest.approx(place * (count - 1), abs=1e-5)


def test_whole_numbers_are_single_brushes(brushes: list[Brush]) -> None:
    mixture = mixed(brushes)
    for i, brush in enumerate(brushes):
        strokes = sample(6, brush=i / 2)
        mark, alone = mixture(strokes, SIZE), brush(strokes[:, :14], SIZE)
        assert torch.equal(mark.alpha, alone.alpha)
        assert torch.equal(mark.colour, alone.colour)


def test_marks_between_brushes_are_mixtures(brushes: list[Brush]) -> None:
    strokes = sample(6, brush=0.25)
    first, second = (brush(strokes[:, :14], SIZE).alpha for brush in brushes[:2])
    torch.testing.assert_close(mixed(brushes)(strokes, SIZE).alpha, (first + second) / 2)


def test_windows_and_patches_match_the_whole_mark(brushes: list[Brush]) -> None:
    mixture, strokes = mixed(brushes), sample(12)
    whole = mixture(strokes, SIZE).alpha
    left, top = torch.full((12,), 7), torch.full((12,), -3)
    part = mixture(strokes, SIZE, Window(left, top, 20, 16)).alpha
    torch.testing.assert_close(part[:, :, 3:], whole[:, :, :17, 7:23])
    patches = mixture.patches(strokes, SIZE)
    for i in range(12):
        there, alpha = patches.on(whole[i].clone(), i)
        torch.testing.assert_close(alpha, there[0], atol=2e-5, rtol=1e-4)
        there.zero_()
        outside = whole[i].clone()
        patches.on(outside, i)[0].zero_()
        assert outside.abs().max() < 1e-6, "nothing is left outside the box"


@pytest.mark.parametrize("kinds", [("plain", "plain"), ("plain", "grain")])
def test_painting_and_its_gradient(kinds: tuple[str, str]) -> None:
    """`paint` equals `paint_steps`; the gradient points to the better brush."""
    first, second = make(kinds[0]), make(kinds[1])
    second.get_parameter("body.6.bias").sub_(1.5)  # a fainter brush
    mixture, strokes = mixed([first, second]), sample(9)
    *_, steps = paint_steps(blank(SIZE), strokes, mixture)
    torch.testing.assert_close(paint(blank(SIZE), strokes, mixture), steps, atol=3e-5, rtol=1e-4)
    fainter = strokes.clone()
    fainter[:, MIXED.columns("brush")] = 0.5
    fainter.requires_grad_()
    paint(blank(SIZE), fainter, mixture).sum().backward()
    assert fainter.grad is not None
    assert fainter.grad.isfinite().all()
    assert (fainter.grad[:, MIXED.columns("brush")] > 0).float().mean() > 0.8, "fainter is lighter, on white"


def test_brushes_that_do_not_mix() -> None:
    with pytest.raises(InputError, match="two brushes"):
        mixed([make()])
    with pytest.raises(SpaceError, match="bezier"):
        mixed([make(), ExactBezier()])


def test_load_by_names() -> None:
    mixture = load_brush("ink+ink")
    assert isinstance(mixture, Mixed)
    assert mixture.provenance()["brush"] == ["ink", "ink"]
    with pytest.raises(InputError, match="nowhere"):
        load_brush("ink+nowhere")
    with pytest.raises(InputError, match="at most 64 brushes, not 1,001"):
        load_brush("nowhere" + "+nowhere" * 1000)


def test_constraints_fix_the_brush() -> None:
    strokes = sample(4)
    assert (StrokeConstraints(brush=0.3).apply(strokes, MIXED)[:, -1] == 0.3).all()
    assert torch.equal(StrokeConstraints(brush=0.3).apply(strokes[:, :14], MYPAINT), strokes[:, :14])
    with pytest.raises(InputError, match=r"not 1\.5"):
        StrokeConstraints(brush=1.5)
    with pytest.raises(InputError, match="not nan"):
        StrokeConstraints(brush=math.nan)


def test_painting_without_brushes_is_an_error() -> None:
    with pytest.raises(PaintingError, match="does not say"):
        reference_brush(MIXED, SIZE, {"brush": "ink"})


@engine
def test_reference_brushes_mix_like_learned_ones(tmp_path: Path) -> None:
    ink, charcoal = MyPaint("ink"), MyPaint("charcoal")
    mixture = mixed([ink, charcoal])
    assert isinstance(mixture, MixedReference)
    strokes = sample(8)
    strokes[:3, -1] = torch.tensor([0.0, 1.0, 0.5])
    whole = mixture(strokes, SIZE)
    torch.testing.assert_close(whole.alpha[0], ink(strokes[:1, :14], SIZE).alpha[0])
    torch.testing.assert_close(whole.alpha[1], charcoal(strokes[1:2, :14], SIZE).alpha[0])
    patches = mixture.patches(strokes, SIZE)
    for i in range(8):
        alpha = torch.zeros(1, *SIZE)
        there, mark = patches.on(alpha, i)
        there[0] = mark
        torch.testing.assert_close(alpha[0], whole.alpha[i, 0], atol=1e-6, rtol=1e-5)
    # A painting records both brushes and is drawn by them.
    painting = Painting(strokes, MIXED, *SIZE, provenance=mixture.provenance())
    painting.save(tmp_path / "strokes.safetensors")
    again = Painting.load(tmp_path / "strokes.safetensors").render()
    *_, wanted = paint_steps(blank(SIZE), strokes, mixture)
    torch.testing.assert_close(again, wanted)
    with pytest.raises(InputError, match="do not mix"):
        mixed([ink, make()])


@engine
def test_textured_brushes_mix_their_colours() -> None:
    mixture, strokes = mixed([MyPaint("ink"), MyPaint("impressionist")]), sample(5, brush=0.5)
    assert isinstance(mixture, MixedReference)
    canvas = torch.rand(3, *SIZE, generator=torch.Generator().manual_seed(1))
    *_, painted = paint_steps(canvas, strokes, mixture)
    torch.testing.assert_close(painted, paint(canvas, strokes, mixture), atol=1e-5, rtol=1e-4)
