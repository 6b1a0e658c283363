"""Scoring and refining strokes in one compiled call: the same as PyTorch computes in many."""

import copy
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from agents.optimal_colour import gains, score_candidates
from agents.planner import paint_refined, refine_independently
from painter.optimize import OptimizeConfig, optimize
from renderer.canvas import lay
from renderer.constraints import StrokeConstraints
from renderer.errors import InputError
from renderer.learned.stroke_map import StrokeMap
from renderer.ops import native
from renderer.ops.refine_strokes import SOURCE, StrokeMapWeights, fused, score_strokes, squared_error

pytestmark = pytest.mark.skipif(native.load(SOURCE) is None, reason="there is no C compiler")

PALETTE = torch.tensor([[0.1, 0.2, 0.3], [0.9, 0.8, 0.6], [0.5, 0.1, 0.1]])
# (height, width): smaller than a stroke, one band of rows, several, and wider than the columns of one pass
SIZES = [(1, 1), (9, 30), (70, 45), (20, 300)]


def brush(grid: int = 5, hidden: int = 16) -> StrokeMap:
    torch.manual_seed(1)
    module = StrokeMap(hidden, grid)
    module.body[-1].weight.data.mul_(12)  # so that maps vary and t is clamped at both ends
    return module.requires_grad_(False)


def weights_of(module: StrokeMap) -> StrokeMapWeights:
    weights = module.stroke_map()
    assert weights is not None
    return weights


def test_weights_are_packed_anew_when_they_change() -> None:
    module = brush()
    before = weights_of(module)
    assert weights_of(module) is before
    with torch.no_grad():
        module.body[0].weight.mul_(2)
    changed = weights_of(module)
    assert not torch.equal(changed.weights, before.weights)
    module.load_state_dict(brush().state_dict())
    assert torch.equal(weights_of(module).weights, before.weights)


def scene(count: int, size: tuple[int, int], seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Strokes (2, count, 13), some thin, some of equal radii, some along an axis; canvases and targets."""
    generator = torch.Generator().manual_seed(seed)
    strokes = torch.rand(2, count, 13, generator=generator)
    strokes[..., 6:8] *= torch.rand(2, count, 1, generator=generator)
    strokes[:, ::4, 7] = strokes[:, ::4, 6]
    along = strokes[:, 1::3]  # horizontal, vertical and both, where mirror images are mixed in
    along[..., 4:6] = (
        along[..., :2] + torch.tensor([[3e-4, 0.3], [0.3, -2e-4], [1e-4, 3e-4]]).repeat(count, 1)[: along.shape[1]]
    )
    return strokes, *torch.rand(2, 2, 3, *size, generator=generator).unbind()


def close(actual: Tensor, expected: Tensor, relative: float) -> None:
    """Equal up to a fraction of the largest value."""
    actual, expected = actual.detach().double(), expected.detach().double()
    torch.testing.assert_close(actual, expected, rtol=0, atol=relative * float(expected.abs().max()) + 1e-7)


def value_and_gradient(function: Callable[[Tensor], Tensor], strokes: Tensor) -> tuple[Tensor, Tensor]:
    strokes = strokes.clone().requires_grad_()
    value = function(strokes)
    (gradient,) = torch.autograd.grad((value * torch.tensor([1.0, 2.0])).sum(), strokes)
    return value.detach(), gradient


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("grid", [5, 8])  # loops over eight nodes are compiled apart
def test_squared_error_and_its_gradient(size: tuple[int, int], grid: int) -> None:
    """Against the reference in double precision."""
    module = brush(grid)
    exact = copy.deepcopy(module).double()
    strokes, canvas, target = scene(9, size)
    actual = value_and_gradient(lambda s: squared_error(s, canvas, target, weights_of(module)), strokes)
    expected = value_and_gradient(
        lambda s: (lay(canvas.double(), s, exact) - target.double()).square().sum((1, 2, 3)), strokes.double()
    )
    close(actual[0], expected[0], 1e-5)
    for column in range(13):
        close(actual[1][..., column], expected[1][..., column], 2e-3)


def test_the_gradient_is_that_of_finite_differences() -> None:
    """In the direction of the gradient, in single precision."""
    module = brush()
    strokes, canvas, target = scene(6, (30, 40))
    strokes = 0.2 + 0.6 * strokes
    _, gradient = value_and_gradient(lambda s: squared_error(s, canvas, target, weights_of(module)), strokes)
    direction = gradient[0] / gradient[0].norm()
    exact = copy.deepcopy(module).double()

    def error(step: float) -> float:
        moved = strokes[:1].double() + step * direction.double()
        return float((lay(canvas[:1].double(), moved, exact) - target[:1].double()).square().sum())

    slope = (error(1e-6) - error(-1e-6)) / 2e-6
    assert slope == pytest.approx(float((gradient[0] * direction).sum()), rel=1e-3)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 40), st.integers(1, 70), st.integers(1, 12), st.integers(0, 1000))
def test_any_scene(height: int, width: int, count: int, seed: int) -> None:
    module = brush(grid=8)
    strokes, canvas, target = scene(count, (height, width), seed)
    actual = value_and_gradient(lambda s: squared_error(s, canvas, target, weights_of(module)), strokes)
    expected = value_and_gradient(lambda s: (lay(canvas, s, module) - target).square().sum((1, 2, 3)), strokes)
    close(actual[0], expected[0], 1e-5)
    close(actual[1], expected[1], 1e-3)


@pytest.mark.parametrize("palette", [None, PALETTE])
@pytest.mark.parametrize("size", SIZES)
def test_gains_and_colours(size: tuple[int, int], palette: Tensor | None) -> None:
    module = brush()
    strokes, canvas, target = scene(40, size)  # more than are scored at once
    gain, colour = score_strokes(strokes, canvas, target, weights_of(module), palette)
    wanted = score_candidates(strokes, canvas, target, module, palette=palette)
    close(gain, wanted.gain, 1e-4)
    visible = (
        wanted.gain > 1e-3 * wanted.gain.max()
    )  # the colour of what can hardly be seen is a quotient of small sums
    close(colour[visible], wanted.strokes[..., 10:][visible], 1e-3)
    assert torch.equal(gains(strokes, canvas, target, module, palette=palette), gain)


@pytest.mark.parametrize(
    "constraints",
    [
        StrokeConstraints(),
        StrokeConstraints(opaque=True, min_radius=0.03, max_radius=0.1),
        StrokeConstraints(palette=PALETTE),
    ],
)
def test_refinement_is_that_of_the_reference(monkeypatch: pytest.MonkeyPatch, constraints: StrokeConstraints) -> None:
    """A few steps: rounding is enlarged by each, since Adam divides by the gradient's size."""
    module = brush()
    strokes, canvas, target = scene(9, (70, 40))
    mask = torch.ones(2, 9, dtype=torch.bool)
    mask[1, 6:] = False

    def refined() -> tuple[Tensor, Tensor]:
        cells = torch.full((2, 9), 0.25)
        each = refine_independently(
            strokes, canvas, target, module, cell_size=cells, steps=3, lr=0.1, constraints=constraints
        )
        together = paint_refined(
            strokes, canvas, target, module, mask=mask, steps=[2, 3], lr=0.05, constraints=constraints
        )[0]
        return each, together

    actual = refined()
    monkeypatch.setattr(native, "load_for", lambda *_: None)
    for ours, wanted in zip(actual, refined(), strict=True):
        assert (wanted - strokes).abs().max() > 0.01
        assert (ours - wanted).abs().quantile(0.98) < 1e-3


def test_refinement_never_raises_the_error() -> None:
    module = brush()
    strokes, canvas, target = scene(9, (40, 40))
    mask = torch.ones(2, 9, dtype=torch.bool)
    error = (lay(canvas, strokes, module) - target).square().sum((1, 2, 3))
    for lr in (0.05, 5.0):
        refined = paint_refined(strokes, canvas, target, module, mask=mask, steps=8, lr=lr)[0]
        assert ((lay(canvas, refined, module) - target).square().sum((1, 2, 3)) <= error * (1 + 1e-6)).all()


def test_no_result_depends_on_the_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    module = brush()
    strokes, canvas, target = scene(40, (150, 130))  # three bands of rows, and enough pixels for several threads
    results = []
    for threads in (1, 2, 5):  # the kernels are told how many
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        mask = torch.ones(2, 40, dtype=torch.bool)
        results.append(
            (
                *value_and_gradient(lambda s: squared_error(s, canvas, target, weights_of(module)), strokes),
                score_strokes(strokes, canvas, target, weights_of(module))[0],
                paint_refined(strokes, canvas, target, module, mask=mask, steps=2)[0],
                refine_independently(strokes, canvas, target, module, cell_size=torch.full((2, 40), 0.2), steps=2),
            )
        )
    for other in results[1:]:
        for actual, wanted in zip(other, results[0], strict=True):
            assert torch.equal(actual, wanted)


def test_optimisation_is_that_of_the_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    module = brush()
    _, canvas, target = scene(1, (24, 30))

    def losses() -> list[float]:
        steps = optimize(
            target,
            module,
            10,
            canvas=canvas,
            config=OptimizeConfig(steps=8),
            generator=torch.Generator().manual_seed(0),
        )
        return [step.loss for step in steps]

    actual = losses()
    monkeypatch.setattr(native, "load_for", lambda *_: None)
    assert actual == pytest.approx(losses(), rel=1e-3)


def test_what_cannot_be_drawn_is_refused() -> None:
    module = brush()
    strokes, canvas, target = scene(3, (9, 9))
    strokes[1, 2, 4] = torch.nan
    with pytest.raises(InputError, match="cannot draw stroke 5"):
        squared_error(strokes, canvas, target, weights_of(module))
    with pytest.raises(InputError, match="cannot draw stroke 5"):
        score_strokes(strokes, canvas, target, weights_of(module))
    with pytest.raises(InputError, match="needs contiguous"):
        score_strokes(strokes[..., :12], canvas, target, weights_of(module))
    damaged, strokes = copy.deepcopy(module), scene(3, (9, 9))[0]
    damaged.body[0].get_parameter("weight").fill_(torch.nan)
    with pytest.raises(InputError, match="cannot draw stroke 0"):
        score_strokes(strokes, canvas, target, weights_of(damaged))


def test_where_it_cannot_be_used() -> None:
    strokes, canvas, target = scene(3, (9, 9))
    module = brush()
    assert fused(module, strokes, canvas, target) is not None
    assert fused(module, strokes[:, :0], canvas, target) is None
    assert fused(module, strokes.double(), canvas, target) is None
    assert fused(module.requires_grad_(True), strokes, canvas, target) is None
    with torch.no_grad():
        assert fused(module, strokes, canvas, target) is not None
