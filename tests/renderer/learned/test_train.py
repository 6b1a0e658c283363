"""Training of a learned brush: it learns, and an interrupted training ends as an uninterrupted one."""

import copy

import pytest
import torch
from torch import Tensor, nn

from renderer.brushes.bezier import AnalyticBezier, BezierBrush, ExactBezier
from renderer.learned.learned_brush import LearnedBrush
from renderer.learned.stroke_map import StrokeMap
from renderer.learned.train import RandomStrokes, alpha_error, fit
from renderer.strokes import BEZIER

SIDES = (12, 20)


def make(hidden: int = 16, grid: int = 4) -> tuple[StrokeMap, torch.optim.Adam]:
    torch.manual_seed(0)
    network = StrokeMap(hidden, grid)
    return network, torch.optim.Adam(network.parameters())


class SameStrokes(RandomStrokes):
    """The same batch at every step."""

    def __getitem__(self, i: int) -> tuple[Tensor, Tensor]:
        return super().__getitem__(0)


def test_it_learns_16_strokes() -> None:
    network, optimizer = make(hidden=48, grid=8)
    data = SameStrokes(ExactBezier(), 16, 300, seed=0, sides=(32,))
    losses = [progress.loss for progress in fit(network, optimizer, data, learning_rate=1e-2, workers=0)]
    assert len(losses) == 300
    assert losses[0] > 3e-3
    assert losses[-1] < 2e-4


def test_an_interrupted_training_ends_as_an_uninterrupted_one() -> None:
    data = RandomStrokes(ExactBezier(), 6, 8, seed=3, sides=SIDES)
    network, optimizer = make()
    whole = [(progress.step, progress.loss) for progress in fit(network, optimizer, data, workers=0)]

    first, first_optimizer = make()
    halves = []
    for progress in fit(first, first_optimizer, data, workers=0):
        halves.append((progress.step, progress.loss))
        if progress.step == 5:
            break
    second, second_optimizer = make()
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    second_optimizer.load_state_dict(copy.deepcopy(first_optimizer.state_dict()))
    halves += [(progress.step, progress.loss) for progress in fit(second, second_optimizer, data, done=5, workers=0)]

    assert halves == whole
    assert [step for step, _ in whole] == list(range(1, 9))
    for ours, wanted in zip(second.parameters(), network.parameters(), strict=True):
        assert torch.equal(ours, wanted)


def test_finished_training_has_no_steps_left() -> None:
    assert list(fit(*make(), RandomStrokes(ExactBezier(), 2, 4, seed=0, sides=SIDES), done=4, workers=0)) == []


def test_batch_depends_on_seed_and_index_alone() -> None:
    data = RandomStrokes(ExactBezier(), 8, 10, seed=1, sides=SIDES)
    strokes, alpha = data[7]
    again, alpha_again = RandomStrokes(ExactBezier(), 8, 10, seed=1, sides=SIDES)[7]
    assert torch.equal(strokes, again)
    assert torch.equal(alpha, alpha_again)
    assert alpha.shape == (8, 1, 20, 20)
    assert data[6][1].shape == (8, 1, 12, 12)
    assert not torch.equal(data[8][0], strokes)
    assert not torch.equal(RandomStrokes(ExactBezier(), 8, 10, seed=2, sides=SIDES)[7][0], strokes)
    torch.testing.assert_close(ExactBezier()(strokes, (20, 20)).alpha, alpha)


def test_half_of_the_strokes_are_thin() -> None:
    radius = BEZIER.get(RandomStrokes(ExactBezier(1), 200, 1, seed=0, sides=(4,))[0][0], "radius")
    assert radius[:100].mean() < 0.5 * radius[100:].mean()


class Constant(LearnedBrush, BezierBrush):
    """Draws the same alpha everywhere."""

    def __init__(self, alpha: float) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.tensor(alpha))

    def forward(self, strokes, size, window=None):  # type: ignore[no-untyped-def]
        return AnalyticBezier(2)(strokes, size)._replace(alpha=self.alpha.expand(len(strokes), 1, *size))


@pytest.mark.parametrize("batch", [3, 7, 100])
def test_alpha_error_is_the_mean_over_all_strokes(batch: int) -> None:
    """Also when the last batch is smaller."""
    strokes = BEZIER.sample(7, torch.Generator().manual_seed(5))
    expected = float((ExactBezier()(strokes, (16, 16)).alpha - 0.25).square().mean())
    if batch >= 7:
        assert alpha_error(Constant(0.25), ExactBezier(), 7, seed=5, side=16, batch=batch) == pytest.approx(expected)
    assert alpha_error(ExactBezier(), ExactBezier(), 7, seed=5, side=16, batch=batch) == 0
    same = alpha_error(Constant(0.0), Constant(0.5), 7, seed=5, side=16, batch=batch)
    assert same == pytest.approx(0.25)
