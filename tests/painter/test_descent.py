"""Adam on strokes: compiled as with PyTorch, and what it remembers belongs to the strokes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from painter.descent import CompiledDescent, Descent, TorchDescent
from renderer.brush import Brush, load_brush
from renderer.canvas import blank, lay
from renderer.constraints import UNCONSTRAINED, StrokeConstraints
from renderer.ops.refine_strokes import fused

SIZE = (20, 28)
BETAS = (0.8, 0.95)
PALETTE = torch.tensor([[0.1, 0.1, 0.1], [0.8, 0.3, 0.2], [0.95, 0.9, 0.8]])


@pytest.fixture(scope="module")
def brush() -> Brush:
    return load_brush("bezier")


def rand(*shape: int, seed: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def descents(
    brush: Brush, target: Tensor, constraints: StrokeConstraints, locked: Tensor | None, start: Tensor
) -> list[Descent]:
    """A compiled one and one by PyTorch."""
    canvas = blank(SIZE).expand_as(target)
    weights = fused(brush, start, target)
    if weights is None:
        pytest.skip("no C compiler")

    def loss(strokes: Tensor) -> Tensor:
        allowed = constraints.apply(strokes, brush.space)
        if locked is not None:
            n = len(locked)
            allowed = torch.cat((torch.where(locked[:, None], start[:, :n], allowed[:, :n]), allowed[:, n:]), 1)
        return (lay(canvas, allowed, brush) - target).square().mean((1, 2, 3))

    limits = constraints.limits(brush.space)
    assert limits is not None
    empty = target.new_zeros(len(target), 0, brush.space.width)
    return [
        CompiledDescent(empty, canvas, target, weights, limits=limits, locked=locked, betas=BETAS),
        TorchDescent(empty, 9, loss, betas=BETAS, record=False),
    ]


CASES = {
    "free": (UNCONSTRAINED, False),
    "limited": (StrokeConstraints(opaque=True, min_radius=0.05, max_radius=0.2, palette=PALETTE), False),
    "locked": (StrokeConstraints(min_radius=0.04), True),
}


@pytest.mark.parametrize(("constraints", "some_locked"), CASES.values(), ids=CASES)
def test_both_make_the_same_steps(constraints: StrokeConstraints, some_locked: bool, brush: Brush) -> None:
    target, start = rand(2, 3, *SIZE, seed=1), rand(2, 6, 13, seed=2)
    locked = torch.tensor([True, False, True, False]) if some_locked else None
    results = []
    for descent in descents(brush, target, constraints, locked, start):
        descent.add(start, 0.01 * rand(2, 6, 13, seed=3) + 0.001)
        for step in range(4):
            descent.step(1 - step / 10)
        if not some_locked:
            descent.keep(torch.tensor([[4, 0, 3, 1], [1, 0, 2, 5]]))
        descent.add(rand(2, 2, 13, seed=4), torch.full((2, 2, 13), 0.02))
        for _ in range(3):
            descent.step(0.5)
        results.append((descent.strokes(), descent.mean_loss))
    (ours, our_loss), (expected, expected_loss) = results
    torch.testing.assert_close(our_loss, expected_loss, rtol=1e-4, atol=0)
    assert (ours - expected).abs().max() < 2e-3 < 0.02 < (expected[:, 1] - start[:, 1]).abs().max()
    assert (ours - expected).abs().mean() < 1e-5
    if some_locked:
        assert ours[:, 0].equal(start[:, 0])


@pytest.mark.parametrize("which", [0, 1], ids=["compiled", "torch"])
def test_averages_follow_their_strokes(which: int, brush: Brush) -> None:
    """Strokes that do not touch one another move alike in any order."""
    start = rand(1, 3, 13, seed=5)
    for i in range(3):  # side by side
        start[0, i, 0:6:2] = 0.17 + 0.33 * i
        start[0, i, 1:6:2] = torch.tensor([0.3, 0.5, 0.7])
    start[..., 6:8] = 0.15
    target, order = rand(1, 3, *SIZE, seed=6), torch.tensor([[2, 0, 1]])

    def run(reorder: Callable[[Descent], None]) -> Tensor:
        descent = descents(brush, target, UNCONSTRAINED, None, start)[which]
        descent.add(start, 0.002 * (1 + rand(1, 3, 13, seed=7)))
        for step in range(6):
            descent.step(1.0)
            if step == 2:
                reorder(descent)
        return descent.strokes()

    one, other = run(lambda descent: None), run(lambda descent: descent.keep(order))
    assert (one - start).abs().max() > 0.005
    torch.testing.assert_close(other, one[:, order[0]], rtol=0, atol=1e-4)
