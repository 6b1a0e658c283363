"""Tests of optimal colours, gains and greedy painting."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from torch import Tensor

from agents.optimal_colour import paint_greedily, score_candidates
from renderer.brush import Brush, load_brush
from renderer.canvas import paint
from renderer.constraints import nearest
from renderer.ops import native
from renderer.strokes import BEZIER
from tests.renderer.small_brushes import both, quick, random, seeds, sizes

PALETTE = torch.tensor([[0.1, 0.1, 0.1], [0.8, 0.2, 0.1], [0.9, 0.9, 0.8]])


def squared(a: Tensor, b: Tensor) -> Tensor:
    return (a - b).square().sum((-1, -2, -3))


@both
@quick
@given(seed=seeds, size=sizes)
def test_gain_is_the_decrease_of_the_error(brush: Brush, seed: int, size: tuple[int, int]) -> None:
    canvas, target, strokes = (
        random(2, 3, *size, seed=seed),
        random(2, 3, *size, seed=seed + 1),
        random(2, 5, 13, seed=seed),
    )
    candidates = score_candidates(strokes, canvas, target, brush)
    for k in range(5):
        painted = paint(canvas, candidates.strokes[:, k : k + 1], brush)
        decrease = squared(canvas, target) - squared(painted, target)
        torch.testing.assert_close(candidates.gain[:, k], decrease, rtol=1e-3, atol=2e-4)
    kept = [i for i in range(13) if i not in range(*BEZIER.columns("colour").indices(13))]
    assert torch.equal(candidates.strokes[..., kept], strokes[..., kept]), "only colours change"


@both
@quick
@given(seed=seeds)
def test_colour_is_optimal(brush: Brush, seed: int) -> None:
    canvas, target, strokes = (
        random(1, *shape, seed=seed + i) for i, shape in enumerate([(3, 9, 13), (3, 9, 13), (4, 13)])
    )
    target = target * 2 - 0.5  # some optimal colours are clamped
    fitted = score_candidates(strokes, canvas, target, brush).strokes
    colour = BEZIER.get(fitted, "colour")
    assert 0 <= colour.min() <= colour.max() <= 1
    for k in range(4):
        best = squared(paint(canvas, fitted[:, k : k + 1], brush), target)
        for channel in range(3):
            for change in (-0.05, 0.05):
                other = colour.clone()
                other[..., channel] += change
                other = BEZIER.put(fitted, "colour", other)
                assert squared(paint(canvas, other[:, k : k + 1], brush), target) >= best - 1e-4


@both
def test_known_colour_is_recovered(brush: Brush) -> None:
    canvas, strokes = random(2, 3, 12, 15, seed=4), random(2, 3, 13, seed=5)
    strokes[..., BEZIER.columns("opacity")] = 0.4 + 0.6 * strokes[..., BEZIER.columns("opacity")]
    target = paint(canvas, strokes[:, :1], brush)
    strokes_without = BEZIER.put(strokes, "colour", torch.zeros(2, 3, 3))
    candidates = score_candidates(strokes_without, canvas, target, brush)
    torch.testing.assert_close(candidates.strokes[:, 0], strokes[:, 0], rtol=0, atol=1e-3)
    torch.testing.assert_close(candidates.gain[:, 0], squared(canvas, target), rtol=1e-3, atol=1e-4)
    assert (candidates.gain.argmax(1) == 0).all()


@both
@pytest.mark.parametrize("ratio", [0.5, -torch.inf])
def test_returned_strokes_paint_the_returned_canvas(brush: Brush, ratio: float) -> None:
    canvas, target, strokes = random(3, 3, 12, 15, seed=6), random(3, 3, 12, 15, seed=7), random(3, 10, 13, seed=8)
    candidates = score_candidates(strokes, canvas, target, brush)
    order = candidates.gain.argsort(1, descending=True)
    min_gain = candidates.gain * ratio if ratio > 0 else torch.full_like(candidates.gain, ratio)
    painted, chosen, mask = paint_greedily(
        candidates, canvas, target, brush, order=order, min_gain=min_gain, max_strokes=6
    )
    assert chosen.shape == (3, 6, 13)
    assert mask.dtype == torch.bool
    assert mask[:, 0].all()
    assert mask.all() or ratio > 0
    assert (mask.int().diff(dim=1) <= 0).all(), "blank strokes come last"
    assert not chosen[~mask][:, BEZIER.columns("opacity")].any()
    torch.testing.assert_close(paint(canvas, chosen, brush), painted, rtol=0, atol=1e-5)
    # The first stroke has the largest gain; with a minimum gain, every stroke lowers the error.
    torch.testing.assert_close(chosen[:, 0], candidates.strokes[torch.arange(3), order[:, 0]], rtol=0, atol=1e-5)
    if ratio > 0:
        errors = [squared(paint(canvas, chosen[:, :n], brush), target) for n in range(7)]
        assert all((after <= before + 1e-4).all() for before, after in pairwise(errors))


@pytest.mark.parametrize("compiled", [True, False])
def test_best_colour_of_a_palette(compiled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compared with painting in each colour of the palette."""
    if not compiled:
        monkeypatch.setattr(native, "load", lambda _: None)
    brush = load_brush("bezier")
    generator = torch.Generator().manual_seed(0)
    canvas, target = torch.rand(2, 2, 3, 20, 24, generator=generator)
    strokes = BEZIER.sample(8, generator).view(2, 4, 13)
    candidates = score_candidates(strokes, canvas, target, brush, palette=PALETTE)
    errors = []
    for colour in PALETTE:
        coloured = BEZIER.put(strokes, "colour", colour)
        each = paint(canvas.repeat_interleave(4, 0), coloured.view(8, 1, 13), brush)
        errors.append((each - target.repeat_interleave(4, 0)).square().sum((1, 2, 3)).view(2, 4))
    least, best = torch.stack(errors).min(0)
    blank = (canvas - target).square().sum((1, 2, 3))[:, None]
    torch.testing.assert_close(candidates.gain, blank - least, rtol=1e-3, atol=2e-3)
    assert torch.equal(BEZIER.get(candidates.strokes, "colour"), PALETTE[best])

    order = torch.arange(4).expand(2, 4)
    min_gain = torch.full((2, 4), -torch.inf)
    after, painted, mask = paint_greedily(
        candidates, canvas, target, brush, order=order, min_gain=min_gain, max_strokes=4, palette=PALETTE
    )
    assert mask.all()
    used = BEZIER.get(painted, "colour")
    assert torch.equal(nearest(used, PALETTE), used)
    torch.testing.assert_close(paint(canvas, painted, brush), after, rtol=0, atol=1e-5)


def test_gradients_with_a_palette_equal_the_reference() -> None:
    """The compiled backward pass is compared with PyTorch's."""
    brush = load_brush("bezier")
    generator = torch.Generator().manual_seed(1)
    canvas, target = torch.rand(2, 1, 3, 16, 16, generator=generator)
    strokes = BEZIER.sample(3, generator)[None]
    order, min_gain = torch.arange(3)[None], torch.full((1, 3), -torch.inf)
    gradients = []
    for compiled in (True, False):
        with pytest.MonkeyPatch.context() as patch:
            if not compiled:
                patch.setattr(native, "load", lambda _: None)
            shapes = strokes.clone().requires_grad_()
            candidates = score_candidates(shapes, canvas, target, brush, palette=PALETTE)
            after, _, _ = paint_greedily(
                candidates, canvas, target, brush, order=order, min_gain=min_gain, max_strokes=3, palette=PALETTE
            )
            (gradient,) = torch.autograd.grad((after - target).square().sum() - candidates.gain.sum(), shapes)
            gradients.append(gradient)
    assert gradients[0].abs().max() > 0.1
    torch.testing.assert_close(*gradients, rtol=1e-2, atol=1e-2)
