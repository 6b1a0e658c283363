"""Planning: the proposals chosen are the promising ones, and thinking about them makes them better."""

import pytest
import torch
from torch import Tensor

from agents.planning import promising, refine
from painter.load import load_renderer
from renderer.canvas import paint
from renderer.fitted import candidates
from renderer.protocol import Renderer
from renderer.space import BEZIER


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
    refined = refine(strokes, torch.full((2, 1), 0.25), canvas, target, renderer, 15)
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
    assert torch.equal(refine(strokes, torch.full((2, 1), 0.25), canvas, target, renderer, 0), strokes)


def test_each_is_refined_as_if_alone(scene: tuple[Tensor, Tensor, Tensor], renderer: Renderer) -> None:
    canvas, target, strokes = scene
    cell = torch.tensor([[0.25], [0.1]])
    together = refine(strokes, cell, canvas, target, renderer, 4)
    for i in range(2):
        alone = refine(strokes[i : i + 1], cell[i : i + 1], canvas[i : i + 1], target[i : i + 1], renderer, 4)
        torch.testing.assert_close(alone[0], together[i], rtol=0, atol=1e-4)


def test_small_cells_mean_small_steps(scene: tuple[Tensor, Tensor, Tensor], renderer: Renderer) -> None:
    canvas, target, strokes = scene
    for side in (0.02, 0.2):
        refined = refine(strokes, torch.full((2, 1), side), canvas, target, renderer, 1)
        moved = (refined - strokes)[..., BEZIER.columns("start")].abs() * torch.tensor([36, 24]) / 24
        assert moved.max() == pytest.approx(0.1 * side, rel=0.01)


def test_it_works_where_gradients_are_off(scene: tuple[Tensor, Tensor, Tensor], renderer: Renderer) -> None:
    with torch.no_grad():
        refined = refine(scene[2], torch.full((2, 1), 0.25), scene[0], scene[1], renderer, 2)
    assert not torch.equal(refined, scene[2])
