"""Gradients of marks and constraints against central differences, in double precision.

Kernels are compared with the PyTorch code that is tested here in tests/renderer/ops. Marks have kinks, which these strokes
stay clear of: where the nearest disc or the texture's node under a pixel changes, and where the stroke's own frame is
mirrored (tests/renderer/test_continuity.py): ends are at least `OFF` apart in both axes.
"""

from collections.abc import Callable
from copy import deepcopy

import pytest
import torch
from torch import Tensor

import renderer.learned.neural_brush
from renderer.brush import Brush, load_brush
from renderer.brushes.mixed import Mixed, shares
from renderer.canvas import paint
from renderer.constraints import StrokeConstraints
from renderer.learned.load import shipped_brushes
from renderer.learned.neural_brush import NeuralBrush
from renderer.learned.stochastic import StrokeNoise
from renderer.strokes import BEZIER, MIXED, MYPAINT, StrokeSpace

SIZE = (11, 14)
STEP = 1e-8
OFF = 1e-3
N = 5
Draw = Callable[[Tensor], Tensor]
BRUSHES = ["analytic", *shipped_brushes(), "watercolour+ink+flat", "charcoal+impressionist", "charcoal mean"]
# Relative to the largest derivative of the stroke. The curve coordinates of a MyPaint brush are the root of an equation,
# whose slope is kept away from 0 by a hundredth of a pixel squared: strokes shorter than a pixel have a gradient of about
# the right size only. Measured: 6e-4 for ordinary strokes, .19 for those of `almost_dots`.
TOLERANCE, TOLERANCE_OF_CURVES, TOLERANCE_OF_DOTS = 1e-5, 2e-3, 0.25

Kind = Callable[[Tensor, StrokeSpace], Tensor]


def ordinary(strokes: Tensor, space: StrokeSpace) -> Tensor:
    return strokes


def almost_dots(strokes: Tensor, space: StrokeSpace) -> Tensor:
    away = torch.tensor([[OFF, OFF], [-OFF, OFF], [OFF, -OFF], [2 * OFF, OFF], [-OFF, -2 * OFF]]).double()
    return space.put(strokes, "end", space.get(strokes, "start") + away)


def thin(strokes: Tensor, space: StrokeSpace) -> Tensor:
    return space.put(strokes, "radius", 1e-3 + 0 * space.get(strokes, "radius"))


def outside(strokes: Tensor, space: StrokeSpace) -> Tensor:
    """Some partly, some all."""
    strokes = strokes.clone()
    for name in ("start", "end"):
        strokes[:, space.columns(name)] += 0.7
    return strokes


def transparent(strokes: Tensor, space: StrokeSpace) -> Tensor:
    return space.put(strokes, "opacity", 0 * space.get(strokes, "opacity"))


def opaque(strokes: Tensor, space: StrokeSpace) -> Tensor:
    return space.put(strokes, "opacity", 1 + 0 * space.get(strokes, "opacity"))


def without_radius(strokes: Tensor, space: StrokeSpace) -> Tensor:
    return space.put(strokes, "radius", 0 * space.get(strokes, "radius"))


def without_pressure(strokes: Tensor, space: StrokeSpace) -> Tensor:
    return space.put(strokes, "pressure", 0 * space.get(strokes, "pressure")) if "pressure" in space else strokes


KINDS: list[Kind] = [ordinary, almost_dots, thin, outside, transparent, opaque, without_radius, without_pressure]


def in_double(name: str) -> Brush:
    name, _, mean = name.partition(" ")
    brush = deepcopy(load_brush(name).mean_brush() if mean else load_brush(name))
    for part in brush.brushes if isinstance(brush, Mixed) else [brush]:
        if isinstance(part, torch.nn.Module):
            part.double()
    return brush


def some(space: StrokeSpace) -> Tensor:
    """Strokes (N, P) of all kinds but the extremes."""
    strokes = space.sample(N, torch.Generator().manual_seed(1)).double()
    strokes = space.put(strokes, "radius", 0.1 + 0.8 * space.get(strokes, "radius"))
    if "brush" in space:
        strokes = space.put(strokes, "brush", torch.tensor([0.1, 0.3, 0.45, 0.7, 0.9]).double()[:, None])
    return strokes


def with_noise_held(brush: Brush, strokes: Tensor) -> None:
    """Give the brush, on every later call, the per-stroke noise of `strokes`: the latents, and the grain of each pixel.

    Later calls draw all pixels of SIZE of strokes that are copies of these, all copies of one next to each other.
    """
    if isinstance(brush, Mixed):
        for part in brush.brushes:
            with_noise_held(part, strokes[:, : MYPAINT.width])
    if not isinstance(brush, NeuralBrush):
        return
    noise, grain = brush.stroke_noise(strokes), grain_of(brush, strokes)

    def stroke_noise(copies: Tensor) -> StrokeNoise:
        times = len(copies) // len(strokes)
        latent, shift = (part.repeat_interleave(times, 0) for part in noise[:2])
        return StrokeNoise(latent, shift, noise.tile)

    def grain_of_copies(copies: Tensor, *_: object) -> list[Tensor]:
        return [channel.repeat_interleave(len(copies) // len(strokes), 0).flatten() for channel in grain]

    brush.stroke_noise = stroke_noise  # type: ignore[method-assign]
    brush._noise = grain_of_copies  # type: ignore[method-assign]


def grain_of(brush: NeuralBrush, strokes: Tensor) -> list[Tensor]:
    """The channels of grain at every pixel of every stroke, each (N, pixels)."""
    if brush.grain is None:
        return []
    found: list[Tensor] = []
    compute = brush._noise

    def kept(*arguments: object) -> list[Tensor]:
        found.extend(compute(*arguments))  # type: ignore[arg-type]
        return found

    brush._noise = kept  # type: ignore[method-assign]
    alphas(brush, strokes)
    brush._noise = compute  # type: ignore[method-assign]
    return [channel.view(len(strokes), -1) for channel in found]


def alphas(brush: Brush, strokes: Tensor) -> Tensor:
    """(N, pixels) of SIZE."""
    if isinstance(brush, NeuralBrush):
        x, y = torch.meshgrid(torch.arange(SIZE[1]) + 0.5, torch.arange(SIZE[0]) + 0.5, indexing="xy")
        owner = torch.arange(len(strokes)).repeat_interleave(x.numel())
        points = (at.flatten().repeat(len(strokes)).double() for at in (x, y))
        return brush.at(strokes, SIZE, owner, *points).view(len(strokes), -1)
    if isinstance(brush, Mixed):
        share, inner = shares(strokes, len(brush.brushes)), strokes[:, : MYPAINT.width]
        return sum((share[:, k, None] * alphas(part, inner) for k, part in enumerate(brush.brushes)), torch.zeros(()))
    return brush(strokes, SIZE).alpha.flatten(1)


def differences(function: Draw, strokes: Tensor, step: float = STEP) -> Tensor:
    """Central differences of a function (N, P) -> (N,) of each stroke by itself: (N, P)."""
    n, columns = strokes.shape
    moves = step * torch.eye(columns, dtype=strokes.dtype)
    above, below = ((strokes[:, None] + sign * moves).flatten(0, 1) for sign in (1, -1))
    with torch.no_grad():
        return ((function(above) - function(below)) / (2 * step)).view(n, columns)


def gradient(function: Draw, strokes: Tensor) -> Tensor:
    strokes = strokes.clone().requires_grad_()
    (grad,) = torch.autograd.grad(function(strokes).sum(), strokes)
    return grad


def weighted_sum(brush: Brush) -> Draw:
    """A function of strokes (N, P), each by itself: the sum of their alphas with random weights, (N,)."""
    weights = torch.randn(SIZE[0] * SIZE[1], generator=torch.Generator().manual_seed(2)).double()
    return lambda strokes: alphas(brush, strokes) @ weights


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", BRUSHES)
def test_of_marks(name: str, kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    """With per-stroke noise held in place; without radius or pressure, that of the smallest mark."""
    brush = in_double(name)
    space = brush.space
    strokes = kind(some(space), space)
    with_noise_held(brush, strokes)
    function = weighted_sum(brush)
    found = gradient(function, strokes)
    hidden = kind is without_radius or (kind is without_pressure and "pressure" in space)
    if hidden:
        monkeypatch.setattr(renderer.learned.neural_brush, "_hidden", lambda alpha, hide: alpha)
    expected = differences(function, strokes)
    if hidden and "brush" in space:
        expected[:, space.columns("brush")] = 0  # no mark of one brush is as empty as that of another
    tolerance = TOLERANCE if name in ("analytic", "bezier") else TOLERANCE_OF_CURVES
    if kind is almost_dots and tolerance > TOLERANCE:
        tolerance = TOLERANCE_OF_DOTS
    largest = expected.abs().amax(1, keepdim=True)
    assert largest.max() > 1e-6, "there is something to compare"
    assert ((found - expected).abs() <= tolerance * (largest + 1e-3)).all()


@pytest.mark.parametrize("name", BRUSHES)
def test_of_dots(name: str) -> None:
    """Of strokes whose ends coincide, in all fields but the ends, where the frame of some brushes is mirrored."""
    brush = in_double(name)
    strokes = brush.space.put(some(brush.space), "end", brush.space.get(some(brush.space), "start"))
    with_noise_held(brush, strokes)
    function = weighted_sum(brush)
    found, expected = gradient(function, strokes), differences(function, strokes)
    assert found.isfinite().all()
    for name in ("bend", "radius", "opacity", "colour"):
        columns = brush.space.columns(name)
        torch.testing.assert_close(found[:, columns], expected[:, columns], rtol=2e-3, atol=1e-4)


def test_the_brush_of_a_mixture_at_its_kinks() -> None:
    """At a brush of its own, a mark grows towards either neighbour; between two, the derivative is the difference."""
    brush = in_double("watercolour+ink+flat")
    column = brush.space.columns("brush")
    strokes = some(brush.space)
    strokes[:, column] = 0.5
    share = shares(strokes, 3)
    assert torch.equal(share, torch.tensor([[0.0, 1.0, 0.0]]).double().expand(N, 3))
    function = weighted_sum(brush)
    for toward in (-1e-6, 1e-6):  # off the kink on either side
        moved = strokes.clone()
        moved[:, column] += toward
        torch.testing.assert_close(
            gradient(function, moved)[:, column], differences(function, moved)[:, column], rtol=1e-5, atol=1e-5
        )


@pytest.mark.parametrize("name", ["analytic", "bezier", "ink"])
def test_of_paintings(name: str) -> None:
    """Of strokes that lie over one another, and of the canvas below."""
    brush = in_double(name)
    strokes = some(brush.space)
    generator = torch.Generator().manual_seed(3)
    canvas, weights = torch.rand(2, 3, *SIZE, generator=generator, dtype=torch.float64)

    def value(strokes: Tensor, canvas: Tensor) -> Tensor:
        return (paint(canvas, strokes, brush) * weights).sum()

    strokes.requires_grad_()
    canvas.requires_grad_()
    of_strokes, of_canvas = torch.autograd.grad(value(strokes, canvas), (strokes, canvas))
    with torch.no_grad():
        for direction in torch.randn(4, *strokes.shape, generator=generator, dtype=torch.float64):
            move = STEP * direction
            difference = (value(strokes + move, canvas) - value(strokes - move, canvas)) / (2 * STEP)
            torch.testing.assert_close((of_strokes * direction).sum(), difference, rtol=5e-3, atol=1e-4)
        for direction in torch.randn(2, *canvas.shape, generator=generator, dtype=torch.float64):
            difference = (value(strokes, canvas + direction) - value(strokes, canvas - direction)) / 2
            torch.testing.assert_close((of_canvas * direction).sum(), difference, rtol=1e-9, atol=1e-9)


class Rounded:
    """A constraint of a class of its own: columns are multiples of a quarter."""

    def apply(self, strokes: Tensor, space: StrokeSpace) -> Tensor:
        return (strokes * 4).round() / 4


@pytest.mark.parametrize(
    "constraints",
    [
        StrokeConstraints(opaque=True),
        StrokeConstraints(min_radius=0.05, max_radius=0.1),
        StrokeConstraints(palette=torch.tensor([[0.0, 0.0, 0.0], [1.0, 0.5, 0.0]])),
        StrokeConstraints(brush=0.5),
        StrokeConstraints(others=(Rounded(),)),
    ],
)
def test_of_constraints(constraints: StrokeConstraints) -> None:
    """A constraint is flat or has jumps where it binds; its gradient is straight-through, that of the identity.

    So the gradient of a constrained painting is the painting's, taken at the allowed strokes.
    """
    space = MIXED if constraints.brush is not None else BEZIER
    strokes = space.sample(20, torch.Generator().manual_seed(4)).double().requires_grad_()
    allowed = constraints.apply(strokes, space)
    assert ((allowed - strokes).abs().amax(0) > 1e-3).any(), "it binds"
    (grad,) = torch.autograd.grad(allowed.square().sum(), strokes)
    assert torch.equal(grad, 2 * allowed.detach())
    at_allowed = allowed.detach()
    torch.testing.assert_close(
        grad, differences(lambda some: some.square().sum(1), at_allowed, 1e-5), rtol=1e-6, atol=1e-8
    )
