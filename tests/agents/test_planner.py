"""Planning: the proposals chosen are the promising ones, and thinking about them makes them better."""

import pytest
import torch
from torch import Tensor

from agents.planner import plan_alone, plan_together, promising
from renderer.learned.load import load_renderer
from renderer.canvas import paint
from agents.optimal_colour import candidates
from renderer.constraints import Limits
from renderer.brush import Renderer
from renderer.strokes import BEZIER


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    return load_renderer("bezier")


def test_one_of_each_group_the_best_first() -> None:
    gain = torch.tensor([[5.0, 9.0, 1.0, 2.0, 8.0, 3.0], [0.0, -1.0, -2.0, 7.0, 6.0, 5.0]])
    group = torch.tensor([0, 0, 1, 1, 2, 2])
    assert promising(gain, group, 2).tolist() == [[1, 4], [3, 4]]
    assert promising(gain, group, 3).tolist() == [[1, 4, 3], [3, 4, 0]]
    assert promising(gain, group, 50).shape == (2, 3), "there are no more groups"


@pytest.fixture
def scene(renderer: Renderer) -> tuple[Tensor, Tensor, Tensor]:
    """Canvases, targets on which one stroke lies, and that stroke, somewhat displaced."""
    truth = torch.full((2, 1, 13), 0.5)
    for name, value in (("start", 0.35), ("end", 0.65), ("radius", 0.08), ("opacity", 0.9), ("colour", 0.1)):
        truth = BEZIER.put(truth, name, torch.tensor(value))
    canvas = torch.ones(2, 3, 24, 36)
    displaced = truth.clone()
    displaced[..., :6] += 0.08 * torch.randn(2, 1, 6, generator=torch.Generator().manual_seed(0))
    return canvas, paint(canvas, truth, renderer), displaced.clamp(0, 1)


def test_refining_raises_the_gain(scene: tuple[Tensor, Tensor, Tensor], renderer: Renderer) -> None:
    canvas, target, strokes = scene
    before, kept = candidates(canvas, target, strokes, renderer).gain, strokes.clone()
    refined = plan_alone(strokes, torch.full((2, 1), 0.25), canvas, target, renderer, 15)
    after = candidates(canvas, target, refined, renderer).gain
    best = (canvas - target).square().sum((1, 2, 3))[:, None]
    assert refined.shape == strokes.shape
    assert not refined.requires_grad
    assert 0 <= refined.min() <= refined.max() <= 1
    assert torch.equal(strokes, kept)
    assert (before < 0.9 * best).any()
    assert ((best - after) < 0.3 * (best - before)).all()


def test_no_steps_change_nothing(scene: tuple[Tensor, Tensor, Tensor], renderer: Renderer) -> None:
    canvas, target, strokes = scene
    assert torch.equal(plan_alone(strokes, torch.full((2, 1), 0.25), canvas, target, renderer, 0), strokes)


def test_each_is_refined_as_if_alone(scene: tuple[Tensor, Tensor, Tensor], renderer: Renderer) -> None:
    canvas, target, strokes = scene
    cell = torch.tensor([[0.25], [0.1]])
    together = plan_alone(strokes, cell, canvas, target, renderer, 4)
    for i in range(2):
        alone = plan_alone(strokes[i : i + 1], cell[i : i + 1], canvas[i : i + 1], target[i : i + 1], renderer, 4)
        torch.testing.assert_close(alone[0], together[i], rtol=0, atol=1e-4)


def test_small_cells_mean_small_steps(scene: tuple[Tensor, Tensor, Tensor], renderer: Renderer) -> None:
    canvas, target, strokes = scene
    for side in (0.02, 0.2):
        refined = plan_alone(strokes, torch.full((2, 1), side), canvas, target, renderer, 1)
        moved = (refined - strokes)[..., BEZIER.columns("start")].abs() * torch.tensor([36, 24]) / 24
        assert moved.max() == pytest.approx(0.1 * side, rel=0.01)


def test_it_works_where_gradients_are_off(scene: tuple[Tensor, Tensor, Tensor], renderer: Renderer) -> None:
    with torch.no_grad():
        refined = plan_alone(scene[2], torch.full((2, 1), 0.25), scene[0], scene[1], renderer, 2)
    assert not torch.equal(refined, scene[2])


def error(canvas: Tensor, target: Tensor, strokes: Tensor, renderer: Renderer) -> Tensor:
    return (paint(canvas, strokes, renderer) - target).square().sum((1, 2, 3))


@pytest.fixture
def pair(renderer: Renderer) -> tuple[Tensor, Tensor, Tensor]:
    """Canvases, targets on which two strokes cross, and those strokes displaced and in wrong colours."""
    generator = torch.Generator().manual_seed(3)
    truth = BEZIER.sample(4, generator).view(2, 2, 13)
    truth = BEZIER.put(BEZIER.put(truth, "radius", torch.tensor(0.1)), "opacity", torch.tensor(0.8))
    canvas = torch.ones(2, 3, 32, 24)
    displaced = truth + 0.05 * torch.randn(truth.shape, generator=generator)
    return canvas, paint(canvas, truth, renderer), displaced.clamp(0, 1)


def test_planning_together_sees_what_lies_above(pair: tuple[Tensor, Tensor, Tensor], renderer: Renderer) -> None:
    canvas, target, strokes = pair
    real, kept = torch.ones(2, 2, dtype=torch.bool), strokes.clone()
    planned = plan_together(strokes, real, canvas, target, renderer, 30)
    assert (error(canvas, target, planned, renderer) < 0.2 * error(canvas, target, strokes, renderer)).all()
    assert 0 <= planned.min() <= planned.max() <= 1
    assert torch.equal(strokes, kept)
    for i in range(2):
        one = slice(i, i + 1)
        alone = plan_together(strokes[one], real[one], canvas[one], target[one], renderer, 30)
        torch.testing.assert_close(alone[0], planned[i], rtol=0, atol=1e-3)


def test_a_plan_that_is_no_better_is_not_followed(pair: tuple[Tensor, Tensor, Tensor], renderer: Renderer) -> None:
    canvas, target, strokes = pair
    real = torch.ones(2, 2, dtype=torch.bool)
    wild = plan_together(strokes, real, canvas, target, renderer, 1, rate=50.0)
    assert torch.equal(wild, strokes)
    perfect = paint(canvas, strokes, renderer)
    assert torch.equal(plan_together(strokes, real, canvas, perfect, renderer, 3), strokes)


def test_blanks_stay_blank(pair: tuple[Tensor, Tensor, Tensor], renderer: Renderer) -> None:
    canvas, target, strokes = pair
    real = torch.tensor([[True, False], [False, False]])
    strokes = BEZIER.put(strokes, "opacity", BEZIER.get(strokes, "opacity") * real[..., None])
    planned = plan_together(strokes, real, canvas, target, renderer, 5, limits=Limits(opaque=True))
    assert (BEZIER.get(planned, "opacity")[~real] == 0).all()
    assert (BEZIER.get(planned, "opacity")[real] == 1).all()
    torch.testing.assert_close(paint(canvas, planned, renderer)[1], canvas[1])


def test_plans_keep_within_limits(pair: tuple[Tensor, Tensor, Tensor], renderer: Renderer) -> None:
    canvas, target, strokes = pair
    limits = Limits(opaque=True, smallest=0.05, largest=0.08, palette=torch.tensor([[0.0, 0, 0], [1, 0.5, 0]]))
    real, cell = torch.ones(2, 2, dtype=torch.bool), torch.full((2, 2), 0.25)
    for planned in (
        plan_together(strokes, real, canvas, target, renderer, 10, limits=limits),
        plan_alone(strokes, cell, canvas, target, renderer, 10, limits=limits),
    ):
        torch.testing.assert_close(planned, limits.apply(planned, BEZIER), rtol=0, atol=1e-7)
