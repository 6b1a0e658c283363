"""Compositing, what a stroke is worth, and the colour that suits best."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from agents.optimal_colour import paint_greedily, score_candidates
from painter.importance import importance
from renderer.brush import Brush, Mark
from renderer.brushes.bezier import ExactBezier
from renderer.canvas import blank, over, paint, paint_steps
from renderer.learned.stroke_map import StrokeMap
from renderer.strokes import BEZIER

quick = settings(deadline=None, max_examples=20)
seeds = st.integers(0, 10_000)
sizes = st.tuples(st.integers(1, 20), st.integers(1, 30))


def network() -> StrokeMap:
    torch.manual_seed(0)
    return StrokeMap(hidden=8, grid=4).requires_grad_(False)


RENDERERS = [pytest.param(ExactBezier(2), id="exact"), pytest.param(network(), id="stroke-map")]
both = pytest.mark.parametrize("renderer", RENDERERS)


def random(*shape: int, seed: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def squared(a: Tensor, b: Tensor) -> Tensor:
    return (a - b).square().sum((-1, -2, -3))


def test_blank() -> None:
    assert torch.equal(blank((2, 5)), torch.ones(3, 2, 5))
    canvas = blank((2, 5), (0.25, 0.5, 1.0))
    assert canvas[:, 1, 4].tolist() == [0.25, 0.5, 1.0]
    canvas[0, 0, 0] = 0  # memory of its own
    assert canvas[0, 1, 1] == 0.25


@quick
@given(seeds)
def test_over(seed: int) -> None:
    canvas, colour = random(2, 3, 4, 5, seed=seed), random(2, 3, 1, 1, seed=seed + 1)
    alpha = random(2, 1, 4, 5, seed=seed + 2)
    assert torch.equal(over(canvas, Mark(torch.zeros_like(alpha), colour)), canvas)
    torch.testing.assert_close(over(canvas, Mark(torch.ones_like(alpha), colour)), colour.expand_as(canvas))
    torch.testing.assert_close(over(canvas, Mark(alpha, colour)), alpha * colour + (1 - alpha) * canvas)
    # Colour over itself stays; and nothing leaves [0, 1].
    torch.testing.assert_close(over(colour.expand_as(canvas), Mark(alpha, colour)), colour.expand_as(canvas))
    once = over(canvas, Mark(alpha, colour))
    twice = over(once, Mark(alpha, colour))
    torch.testing.assert_close(twice, over(canvas, Mark(1 - (1 - alpha) ** 2, colour)))
    assert 0 <= once.min() <= once.max() <= 1


@both
@quick
@given(seed=seeds, size=sizes, n=st.integers(0, 9), share=st.floats(0, 1))
def test_painting_in_two_parts(renderer: Brush, seed: int, size: tuple[int, int], n: int, share: float) -> None:
    canvas, strokes, k = random(3, *size, seed=seed), random(n, 13, seed=seed + 1), round(n * share)
    before = canvas.clone()
    whole = paint(canvas, strokes, renderer)
    parts = paint(paint(canvas, strokes[:k], renderer), strokes[k:], renderer)
    torch.testing.assert_close(parts, whole, rtol=0, atol=1e-6)
    assert torch.equal(canvas, before), "painting works on a copy"
    assert -1e-6 <= whole.min() <= whole.max() <= 1 + 1e-6


@both
def test_painting_a_batch_is_painting_each(renderer: Brush) -> None:
    canvas, strokes = random(3, 3, 9, 14, seed=0), random(3, 6, 13, seed=1)
    together = paint(canvas, strokes, renderer)
    for i in range(3):
        torch.testing.assert_close(paint(canvas[i], strokes[i], renderer), together[i])


def test_later_strokes_lie_on_top() -> None:
    strokes = torch.full((2, 13), 0.5)
    strokes[:, BEZIER.columns("radius")] = strokes[:, BEZIER.columns("opacity")] = 1
    strokes[0, BEZIER.columns("colour")], strokes[1, BEZIER.columns("colour")] = 0.0, 0.75
    middle = (slice(None), 8, 8)
    assert paint(blank((16, 16)), strokes, ExactBezier())[middle].tolist() == [0.75] * 3
    assert paint(blank((16, 16)), strokes.flip(0), ExactBezier())[middle].tolist() == [0.0] * 3


@both
@pytest.mark.parametrize(("n", "every", "frames"), [(0, 1, 1), (1, 1, 2), (7, 1, 8), (7, 3, 4), (6, 3, 3), (7, 100, 2)])
def test_the_last_frame_is_the_picture(renderer: Brush, n: int, every: int, frames: int) -> None:
    canvas, strokes = random(3, 11, 17, seed=2), random(n, 13, seed=3)
    film = [frame.clone() for frame in paint_steps(canvas, strokes, renderer, every, chunk=4)]
    assert len(film) == frames
    assert torch.equal(film[0], canvas)
    torch.testing.assert_close(film[-1], paint(canvas, strokes, renderer))
    for i, frame in enumerate(film):
        torch.testing.assert_close(frame, paint(canvas, strokes[: i * every], renderer))


@both
@quick
@given(seed=seeds, size=sizes, n=st.integers(1, 8))
def test_worth_is_leaving_one_out(renderer: Brush, seed: int, size: tuple[int, int], n: int) -> None:
    canvas, target, strokes = random(3, *size, seed=seed), random(3, *size, seed=seed + 1), random(n, 13, seed=seed + 2)

    def mse(chosen: Tensor) -> Tensor:
        return (paint(canvas, chosen, renderer) - target).square().mean()

    expected = [mse(torch.cat((strokes[:i], strokes[i + 1 :]))) - mse(strokes) for i in range(n)]
    torch.testing.assert_close(
        importance(strokes, canvas, target, renderer), torch.stack(expected), rtol=1e-3, atol=2e-6
    )


@both
@quick
@given(seed=seeds, size=sizes)
def test_a_gain_is_the_error_taken_away(renderer: Brush, seed: int, size: tuple[int, int]) -> None:
    canvas, target, strokes = (
        random(2, 3, *size, seed=seed),
        random(2, 3, *size, seed=seed + 1),
        random(2, 5, 13, seed=seed),
    )
    proposed = score_candidates(canvas, target, strokes, renderer)
    for k in range(5):
        painted = paint(canvas, proposed.strokes[:, k : k + 1], renderer)
        decrease = squared(canvas, target) - squared(painted, target)
        torch.testing.assert_close(proposed.gain[:, k], decrease, rtol=1e-3, atol=2e-4)
    kept = [i for i in range(13) if i not in range(*BEZIER.columns("colour").indices(13))]
    assert torch.equal(proposed.strokes[..., kept], strokes[..., kept]), "only colour is fitted"


@both
@quick
@given(seed=seeds)
def test_no_other_colour_is_better(renderer: Brush, seed: int) -> None:
    canvas, target, strokes = (
        random(1, *shape, seed=seed + i) for i, shape in enumerate([(3, 9, 13), (3, 9, 13), (4, 13)])
    )
    target = target * 2 - 0.5  # so that some of the best colours are at their limits
    fitted = score_candidates(canvas, target, strokes, renderer).strokes
    colour = BEZIER.get(fitted, "colour")
    assert 0 <= colour.min() <= colour.max() <= 1
    for k in range(4):
        best = squared(paint(canvas, fitted[:, k : k + 1], renderer), target)
        for channel in range(3):
            for change in (-0.05, 0.05):
                other = colour.clone()
                other[..., channel] += change
                other = BEZIER.put(fitted, "colour", other)
                assert squared(paint(canvas, other[:, k : k + 1], renderer), target) >= best - 1e-4


@both
def test_a_known_colour_is_found(renderer: Brush) -> None:
    canvas, strokes = random(2, 3, 12, 15, seed=4), random(2, 3, 13, seed=5)
    strokes[..., BEZIER.columns("opacity")] = 0.4 + 0.6 * strokes[..., BEZIER.columns("opacity")]
    target = paint(canvas, strokes[:, :1], renderer)
    strokes_without = BEZIER.put(strokes, "colour", torch.zeros(2, 3, 3))
    proposed = score_candidates(canvas, target, strokes_without, renderer)
    torch.testing.assert_close(proposed.strokes[:, 0], strokes[:, 0], rtol=0, atol=1e-3)
    torch.testing.assert_close(proposed.gain[:, 0], squared(canvas, target), rtol=1e-3, atol=1e-4)
    assert (proposed.gain.argmax(1) == 0).all()


@both
@pytest.mark.parametrize("least", [0.5, -torch.inf])
def test_what_is_painted_is_what_is_returned(renderer: Brush, least: float) -> None:
    canvas, target, strokes = random(3, 3, 12, 15, seed=6), random(3, 3, 12, 15, seed=7), random(3, 10, 13, seed=8)
    proposed = score_candidates(canvas, target, strokes, renderer)
    order = proposed.gain.argsort(1, descending=True)
    index = order + torch.arange(3)[:, None] * 10
    threshold = proposed.gain * least if least > 0 else torch.full_like(proposed.gain, least)
    painted, chosen, real = paint_greedily(canvas, target, proposed, index, threshold, 6, renderer)
    assert chosen.shape == (3, 6, 13)
    assert real.dtype == torch.bool
    assert real[:, 0].all()
    assert real.all() or least > 0
    assert (real.int().diff(dim=1) <= 0).all(), "blanks come last"
    assert not chosen[~real][:, BEZIER.columns("opacity")].any()
    torch.testing.assert_close(paint(canvas, chosen, renderer), painted, rtol=0, atol=1e-5)
    # The first is the one of the highest gain; and with a threshold, every one of them helps.
    torch.testing.assert_close(chosen[:, 0], proposed.strokes[torch.arange(3), order[:, 0]], rtol=0, atol=1e-5)
    if least > 0:
        errors = [squared(paint(canvas, chosen[:, :n], renderer), target) for n in range(7)]
        assert all((after <= before + 1e-4).all() for before, after in pairwise(errors))
