"""Tests of the planner: selection of proposals, and refinement that lowers the error."""

import pytest
import torch
from torch import Tensor

from agents.optimal_colour import score_candidates
from agents.planner import (
    Planning,
    _adam,
    _adam_recorded,
    paint_refined,
    refine_independently,
    refine_painting,
    top_k_per_cell,
)
from renderer.brush import Brush, load_brush
from renderer.canvas import paint
from renderer.constraints import StrokeConstraints
from renderer.strokes import BEZIER

QUARTER = torch.full((2, 1), 0.25)


@pytest.fixture(scope="module")
def brush() -> Brush:
    return load_brush("bezier")


def test_top_k_takes_one_proposal_per_cell_best_first() -> None:
    gain = torch.tensor([[5.0, 9.0, 1.0, 2.0, 8.0, 3.0], [0.0, -1.0, -2.0, 7.0, 6.0, 5.0]])
    cell = torch.tensor([0, 0, 1, 1, 2, 2])
    assert top_k_per_cell(gain, cell, 2).tolist() == [[1, 4], [3, 4]]
    assert top_k_per_cell(gain, cell, 3).tolist() == [[1, 4, 3], [3, 4, 0]]
    assert top_k_per_cell(gain, cell, 50).shape == (2, 3), "only three cells"


@pytest.fixture
def scene(brush: Brush) -> tuple[Tensor, Tensor, Tensor]:
    """Canvases, targets with one stroke, and that stroke displaced."""
    truth = torch.full((2, 1, 13), 0.5)
    for name, value in (("start", 0.35), ("end", 0.65), ("radius", 0.08), ("opacity", 0.9), ("colour", 0.1)):
        truth = BEZIER.put(truth, name, torch.tensor(value))
    canvas = torch.ones(2, 3, 24, 36)
    displaced = truth.clone()
    displaced[..., :6] += 0.08 * torch.randn(2, 1, 6, generator=torch.Generator().manual_seed(0))
    return canvas, paint(canvas, truth, brush), displaced.clamp(0, 1)


def test_independent_refinement_raises_the_gain(scene: tuple[Tensor, Tensor, Tensor], brush: Brush) -> None:
    canvas, target, strokes = scene
    before, kept = score_candidates(strokes, canvas, target, brush).gain, strokes.clone()
    refined = refine_independently(strokes, canvas, target, brush, cell_size=QUARTER, steps=15)
    after = score_candidates(refined, canvas, target, brush).gain
    best = (canvas - target).square().sum((1, 2, 3))[:, None]
    assert refined.shape == strokes.shape
    assert not refined.requires_grad
    assert 0 <= refined.min() <= refined.max() <= 1
    assert torch.equal(strokes, kept)
    assert (before < 0.9 * best).any()
    assert ((best - after) < 0.3 * (best - before)).all()


def test_zero_steps_change_nothing(scene: tuple[Tensor, Tensor, Tensor], brush: Brush) -> None:
    canvas, target, strokes = scene
    assert torch.equal(refine_independently(strokes, canvas, target, brush, cell_size=QUARTER, steps=0), strokes)


def test_independent_refinement_of_a_batch_equals_single_pictures(
    scene: tuple[Tensor, Tensor, Tensor], brush: Brush
) -> None:
    canvas, target, strokes = scene
    cell = torch.tensor([[0.25], [0.1]])
    batch = refine_independently(strokes, canvas, target, brush, cell_size=cell, steps=4)
    for i in range(2):
        one = slice(i, i + 1)
        single = refine_independently(strokes[one], canvas[one], target[one], brush, cell_size=cell[one], steps=4)
        torch.testing.assert_close(single[0], batch[i], rtol=0, atol=1e-4)


def test_steps_are_proportional_to_the_cell(scene: tuple[Tensor, Tensor, Tensor], brush: Brush) -> None:
    canvas, target, strokes = scene
    for side in (0.02, 0.2):
        refined = refine_independently(strokes, canvas, target, brush, cell_size=torch.full((2, 1), side), steps=1)
        moved = (refined - strokes)[..., BEZIER.columns("start")].abs() * torch.tensor([36, 24]) / 24
        assert moved.max() == pytest.approx(0.1 * side, rel=0.01)


def test_refinement_works_under_no_grad(scene: tuple[Tensor, Tensor, Tensor], brush: Brush) -> None:
    with torch.no_grad():
        refined = refine_independently(scene[2], scene[0], scene[1], brush, cell_size=QUARTER, steps=2)
    assert not torch.equal(refined, scene[2])


def error(canvas: Tensor, target: Tensor, strokes: Tensor, brush: Brush) -> Tensor:
    return (paint(canvas, strokes, brush) - target).square().sum((1, 2, 3))


@pytest.fixture
def pair(brush: Brush) -> tuple[Tensor, Tensor, Tensor]:
    """Canvases, targets with two crossing strokes, and those strokes displaced and with other colours."""
    generator = torch.Generator().manual_seed(3)
    truth = BEZIER.sample(4, generator).view(2, 2, 13)
    truth = BEZIER.put(BEZIER.put(truth, "radius", torch.tensor(0.1)), "opacity", torch.tensor(0.8))
    canvas = torch.ones(2, 3, 32, 24)
    displaced = truth + 0.05 * torch.randn(truth.shape, generator=generator)
    return canvas, paint(canvas, truth, brush), displaced.clamp(0, 1)


def test_joint_refinement_lowers_the_error_of_overlapping_strokes(
    pair: tuple[Tensor, Tensor, Tensor], brush: Brush
) -> None:
    canvas, target, strokes = pair
    mask, kept = torch.ones(2, 2, dtype=torch.bool), strokes.clone()
    refined = paint_refined(strokes, canvas, target, brush, mask=mask, steps=30)[0]
    assert (error(canvas, target, refined, brush) < 0.2 * error(canvas, target, strokes, brush)).all()
    assert 0 <= refined.min() <= refined.max() <= 1
    assert torch.equal(strokes, kept)
    for i in range(2):
        one = slice(i, i + 1)
        single = paint_refined(strokes[one], canvas[one], target[one], brush, mask=mask[one], steps=30)[0]
        torch.testing.assert_close(single[0], refined[i], rtol=0, atol=1e-3)


def test_joint_refinement_keeps_strokes_when_the_error_does_not_fall(
    pair: tuple[Tensor, Tensor, Tensor], brush: Brush
) -> None:
    canvas, target, strokes = pair
    mask = torch.ones(2, 2, dtype=torch.bool)
    wild = paint_refined(strokes, canvas, target, brush, mask=mask, steps=1, lr=50.0)[0]
    assert torch.equal(wild, strokes)
    perfect = paint(canvas, strokes, brush)
    assert torch.equal(paint_refined(strokes, canvas, perfect, brush, mask=mask, steps=3)[0], strokes)


def test_a_painting_is_refined_in_the_time_that_there_is(pair: tuple[Tensor, Tensor, Tensor], brush: Brush) -> None:
    canvas, target, strokes = pair

    def refined(steps: int, seconds: float | None = None) -> Tensor:
        return refine_painting(strokes, canvas, target, brush, planning=Planning(final_steps=steps), seconds=seconds)

    before, after = (error(canvas, target, given, brush) for given in (strokes, refined(20)))
    assert (after < 0.9 * before).all()
    assert refined(20, seconds=100).equal(refined(20))
    for unchanged in (refined(0), refined(20, seconds=0), refined(20, seconds=1e-9)):
        assert unchanged.equal(strokes)


def test_blank_strokes_stay_blank(pair: tuple[Tensor, Tensor, Tensor], brush: Brush) -> None:
    canvas, target, strokes = pair
    mask = torch.tensor([[True, False], [False, False]])
    strokes = BEZIER.put(strokes, "opacity", BEZIER.get(strokes, "opacity") * mask[..., None])
    refined = paint_refined(
        strokes, canvas, target, brush, mask=mask, steps=5, constraints=StrokeConstraints(opaque=True)
    )[0]
    assert (BEZIER.get(refined, "opacity")[~mask] == 0).all()
    assert (BEZIER.get(refined, "opacity")[mask] == 1).all()
    torch.testing.assert_close(paint(canvas, refined, brush)[1], canvas[1])


def test_refined_strokes_satisfy_constraints(pair: tuple[Tensor, Tensor, Tensor], brush: Brush) -> None:
    canvas, target, strokes = pair
    constraints = StrokeConstraints(
        opaque=True, min_radius=0.05, max_radius=0.08, palette=torch.tensor([[0.0, 0, 0], [1, 0.5, 0]])
    )
    mask, cell = torch.ones(2, 2, dtype=torch.bool), torch.full((2, 2), 0.25)
    for refined in (
        paint_refined(strokes, canvas, target, brush, mask=mask, steps=10, constraints=constraints)[0],
        refine_independently(strokes, canvas, target, brush, cell_size=cell, steps=10, constraints=constraints),
    ):
        torch.testing.assert_close(refined, constraints.apply(refined, BEZIER), rtol=0, atol=1e-7)


def test_recorded_steps_equal_steps_one_by_one() -> None:
    """What a GPU records computes the same: here it runs step by step."""
    wanted, start = torch.rand(2, 3, 5, generator=torch.Generator().manual_seed(0)), torch.full((2, 3, 5), 0.5)
    step_size = torch.linspace(0.1, 1, 5).expand(2, 3, 5)

    def loss(strokes: Tensor) -> Tensor:
        return (strokes - wanted).square().sum()

    expected = _adam(loss, start, step_size, [6, 2], 0.1)
    torch.testing.assert_close(_adam_recorded(loss, start, step_size, [6, 2], 0.1), expected, rtol=1e-5, atol=1e-6)
    assert start.equal(torch.full((2, 3, 5), 0.5))
    assert (expected - start).abs().max() > 0.1
    assert expected[1:].equal(_adam(loss, start, step_size, 2, 0.1)[1:])
