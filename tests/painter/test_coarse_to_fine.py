"""Strokes that are found on a reduced picture and settle at full size."""

from itertools import pairwise

import pytest
import torch

from painter.coarse_to_fine import optimize_coarse_to_fine, reduced_size
from painter.optimize import OptimizeConfig, optimize
from renderer.brush import load_brush
from renderer.canvas import blank, paint
from renderer.io.images import resize

SIZE = (36, 44)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reduce pictures that are tiny already."""
    monkeypatch.setattr("painter.coarse_to_fine.LEAST_SIDE", 24)


def picture(size: tuple[int, int]) -> torch.Tensor:
    """Soft patches of colour, (3, H, W)."""
    return resize(torch.rand(3, 5, 6, generator=torch.Generator().manual_seed(0)), size)


def error(strokes: torch.Tensor, target: torch.Tensor) -> float:
    painted = paint(blank((target.shape[1], target.shape[2])), strokes, load_brush("bezier"))
    return float((painted - target).square().mean())


def test_large_pictures_are_painted_at_two_sizes() -> None:
    target = picture(SIZE)
    config = OptimizeConfig(steps=30)
    steps = list(
        optimize_coarse_to_fine(
            target[None],
            load_brush("bezier"),
            20,
            canvas=blank(SIZE)[None],
            config=config,
            generator=torch.Generator().manual_seed(0),
        )
    )
    assert [step.step for step in steps] == list(range(1, 31))
    assert all(before.progress < after.progress for before, after in pairwise(steps))
    assert steps[-1].progress == 1
    assert steps[-1].strokes.shape == (1, 20, 13)
    found, settled = (error(steps[i].strokes[0], target) for i in (-7, -1))
    assert settled < found < 0.7 * float((1 - target).square().mean()), "it is still improved at full size"


def test_small_pictures_are_painted_as_they_are() -> None:
    target = picture((18, 24))
    options = {"canvas": blank((18, 24))[None], "config": OptimizeConfig(steps=6)}
    results = [
        list(method(target[None], load_brush("bezier"), 5, generator=torch.Generator().manual_seed(1), **options))
        for method in (optimize, optimize_coarse_to_fine)
    ]
    assert torch.equal(results[0][-1].strokes, results[1][-1].strokes)


def test_a_time_budget_is_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = []

    def noted(target, brush, count, *, config, start=None, **_):  # type: ignore[no-untyped-def]
        seconds.append((target.shape[2:], config.seconds, config.relocations))
        return iter(())

    monkeypatch.setattr("painter.coarse_to_fine.optimize", noted)
    list(
        optimize_coarse_to_fine(
            picture(SIZE)[None], load_brush("bezier"), 5, canvas=blank(SIZE)[None], config=OptimizeConfig(seconds=10)
        )
    )
    (small, first, _), (large, second, relocations) = seconds
    assert small == reduced_size(SIZE, 5)
    assert large == SIZE
    assert first + second == pytest.approx(10)
    assert relocations == 0
