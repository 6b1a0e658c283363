"""Planning: the proposals chosen are the promising ones, and thinking about them makes them better."""

import pytest
import torch
from torch import Tensor

from agents.optimal_colour import score_candidates
from agents.planner import refine_independently, refine_jointly, top_k_per_cell
from renderer.brush import Brush
from renderer.canvas import paint
from renderer.constraints import StrokeConstraints
from renderer.learned.load import load_brush
from renderer.strokes import BEZIER


@pytest.fixture(scope="module")
def renderer() -> Brush:
    return load_brush("bezier")


def test_one_of_each_group_the_best_first() -> None:
    gain = torch.tensor([[5.0, 9.0, 1.0, 2.0, 8.0, 3.0], [0.0, -1.0, -2.0, 7.0, 6.0, 5.0]])
    group = torch.tensor([0, 0, 1, 1, 2, 2])
    assert top_k_per_cell(gain, group, 2).tolist() == [[1, 4], [3, 4]]
    assert top_k_per_cell(gain, group, 3).tolist() == [[1, 4, 3], [3, 4, 0]]
    assert top_k_per_cell(gain, group, 50).shape == (2, 3), "there are no more groups"


@pytest.fixture
def scene(renderer: Brush) -> tuple[Tensor, Tensor, Tensor]:
    """Canvases, targets on which one stroke lies, and that stroke, somewhat displaced."""
    truth = torch.full((2, 1, 13), 0.5)
    for name, value in (("start", 0.35), ("end", 0.65), ("radius", 0.08), ("opacity", 0.9), ("colour", 0.1)):
        truth = BEZIER.put(truth, name, torch.tensor(value))
    canvas = torch.ones(2, 3, 24, 36)
    displaced = truth.clone()
    displaced[..., :6] += 0.08 * torch.randn(2, 1, 6, generator=torch.Generator().manual_seed(0))
    return canvas, paint(canvas, truth, renderer), displaced.clamp(0, 1)


def test_refining_raises_the_gain(scene: tuple[Tensor, Tensor, Tensor], renderer: Brush) -> None:
    canvas, target, strokes = scene
    before, kept = score_candidates(canvas, target, strokes, renderer).gain, strokes.clone()
    refined = refine_independently(strokes, torch.full((2, 1), 0.25), canvas, target, renderer, 15)
    after = score_candidates(canvas, target, refined, renderer).gain
    best = (canvas - target).square().sum((1, 2, 3))[:, None]
    assert refined.shape == strokes.shape
    assert not refined.requires_grad
    assert 0 <= refined.min() <= refined.max() <= 1
    assert torch.equal(strokes, kept)
    assert (before < 0.9 * best).any()
    assert ((best - after) < 0.3 * (best - before)).all()


def test_no_steps_change_nothing(scene: tuple[Tensor, Tensor, Tensor], renderer: Brush) -> None:
    canvas, target, strokes = scene
    assert torch.equal(refine_independently(strokes, torch.full((2, 1), 0.25), canvas, target, renderer, 0), strokes)


def test_each_is_refined_as_if_alone(scene: tuple[Tensor, Tensor, Tensor], renderer: Brush) -> None:
    canvas, target, strokes = scene
    cell = torch.tensor([[0.25], [0.1]])
    together = refine_independently(strokes, cell, canvas, target, renderer, 4)
    for i in range(2):
        alone = refine_independently(
            strokes[i : i + 1], cell[i : i + 1], canvas[i : i + 1], target[i : i + 1], renderer, 4
        )
        torch.testing.assert_close(alone[0], together[i], rtol=0, atol=1e-4)


def test_small_cells_mean_small_steps(scene: tuple[Tensor, Tensor, Tensor], renderer: Brush) -> None:
    canvas, target, strokes = scene
    for side in (0.02, 0.2):
        refined = refine_independently(strokes, torch.full((2, 1), side), canvas, target, renderer, 1)
        moved = (refined - strokes)[..., BEZIER.columns("start")].abs() * torch.tensor([36, 24]) / 24
        assert moved.max() == pytest.approx(0.1 * side, rel=0.01)


def test_it_works_where_gradients_are_off(scene: tuple[Tensor, Tensor, Tensor], renderer: Brush) -> None:
    with torch.no_grad():
        refined = refine_independently(scene[2], torch.full((2, 1), 0.25), scene[0], scene[1], renderer, 2)
    assert not torch.equal(refined, scene[2])


def error(canvas: Tensor, target: Tensor, strokes: Tensor, renderer: Brush) -> Tensor:
    return (paint(canvas, strokes, renderer) - target).square().sum((1, 2, 3))


@pytest.fixture
def pair(renderer: Brush) -> tuple[Tensor, Tensor, Tensor]:
    """Canvases, targets on which two strokes cross, and those strokes displaced and in wrong colours."""
    generator = torch.Generator().manual_seed(3)
    truth = BEZIER.sample(4, generator).view(2, 2, 13)
    truth = BEZIER.put(BEZIER.put(truth, "radius", torch.tensor(0.1)), "opacity", torch.tensor(0.8))
    canvas = torch.ones(2, 3, 32, 24)
    displaced = truth + 0.05 * torch.randn(truth.shape, generator=generator)
    return canvas, paint(canvas, truth, renderer), displaced.clamp(0, 1)


def test_planning_together_sees_what_lies_above(pair: tuple[Tensor, Tensor, Tensor], renderer: Brush) -> None:
    canvas, target, strokes = pair
    real, kept = torch.ones(2, 2, dtype=torch.bool), strokes.clone()
    planned = refine_jointly(strokes, real, canvas, target, renderer, 30)
    assert (error(canvas, target, planned, renderer) < 0.2 * error(canvas, target, strokes, renderer)).all()
    assert 0 <= planned.min() <= planned.max() <= 1
    assert torch.equal(strokes, kept)
    for i in range(2):
        one = slice(i, i + 1)
        alone = refine_jointly(strokes[one], real[one], canvas[one], target[one], renderer, 30)
        torch.testing.assert_close(alone[0], planned[i], rtol=0, atol=1e-3)


def test_a_plan_that_is_no_better_is_not_followed(pair: tuple[Tensor, Tensor, Tensor], renderer: Brush) -> None:
    canvas, target, strokes = pair
    real = torch.ones(2, 2, dtype=torch.bool)
    wild = refine_jointly(strokes, real, canvas, target, renderer, 1, rate=50.0)
    assert torch.equal(wild, strokes)
    perfect = paint(canvas, strokes, renderer)
    assert torch.equal(refine_jointly(strokes, real, canvas, perfect, renderer, 3), strokes)


def test_blanks_stay_blank(pair: tuple[Tensor, Tensor, Tensor], renderer: Brush) -> None:
    canvas, target, strokes = pair
    real = torch.tensor([[True, False], [False, False]])
    strokes = BEZIER.put(strokes, "opacity", BEZIER.get(strokes, "opacity") * real[..., None])
    planned = refine_jointly(strokes, real, canvas, target, renderer, 5, constraints=StrokeConstraints(opaque=True))
    assert (BEZIER.get(planned, "opacity")[~real] == 0).all()
    assert (BEZIER.get(planned, "opacity")[real] == 1).all()
    torch.testing.assert_close(paint(canvas, planned, renderer)[1], canvas[1])


def test_plans_keep_within_limits(pair: tuple[Tensor, Tensor, Tensor], renderer: Brush) -> None:
    canvas, target, strokes = pair
    constraints = StrokeConstraints(
        opaque=True, min_radius=0.05, max_radius=0.08, palette=torch.tensor([[0.0, 0, 0], [1, 0.5, 0]])
    )
    real, cell = torch.ones(2, 2, dtype=torch.bool), torch.full((2, 2), 0.25)
    for planned in (
        refine_jointly(strokes, real, canvas, target, renderer, 10, constraints=constraints),
        refine_independently(strokes, cell, canvas, target, renderer, 10, constraints=constraints),
    ):
        torch.testing.assert_close(planned, constraints.apply(planned, BEZIER), rtol=0, atol=1e-7)
