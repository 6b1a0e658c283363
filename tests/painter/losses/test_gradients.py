"""Gradients of losses and penalties against central differences along random directions, in double precision."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from painter.losses import Loss, load_loss, mse, total_variation, weighted
from painter.losses.activation import Score, ViewConfig, activation_loss, channel_score, class_score
from painter.losses.guidance import colour_guide, curve_guide, direction_field, weighted_penalty
from painter.losses.style import Style, StyleConfig
from renderer.strokes import BEZIER, MYPAINT, StrokeSpace

STEP = 1e-8  # small, because the networks of some losses have many kinks
SIDE = 24


def picture(seed: int, n: int = 2) -> Tensor:
    """Smooth pictures (n, 3, SIDE, SIDE) in [0, 1] without equal neighbours, where the total variation has kinks."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(n, 3, 7, 7, generator=generator, dtype=torch.float64)
    smooth = torch.nn.functional.interpolate(coarse, (SIDE, SIDE), mode="bilinear")
    return 0.9 * smooth + 0.1 * torch.rand(smooth.shape, generator=generator, dtype=torch.float64)


def network(pictures: Tensor) -> Tensor:
    """Features (B, 4, h, w), smooth in the pixels."""
    generator = torch.Generator().manual_seed(7)
    weights = torch.randn(4, 3, 3, 3, generator=generator, dtype=torch.float64)
    return torch.tanh(torch.nn.functional.conv2d(pictures, weights))


def activation(score: Score, views: ViewConfig) -> Loss:
    """The same random views at every call."""
    return lambda canvas, target: activation_loss(score, views, torch.Generator().manual_seed(0))(canvas, target)


def logits(pictures: Tensor) -> Tensor:
    return network(pictures).mean((2, 3))


def in_double(name: str, **options: object) -> Loss:
    loss = load_loss(name, **options)
    assert isinstance(loss, torch.nn.Module)
    return loss.double()


def style(measure: str) -> Loss:
    loss = Style(picture(3, 1)[0].float(), StyleConfig(measure=measure)).double()  # type: ignore[arg-type]
    loss.style = [part.double() for part in loss.style]
    return loss


LOSSES: dict[str, Callable[[], Loss]] = {
    "mse": lambda: mse,
    "total_variation": lambda: total_variation,
    "weighted": lambda: weighted((0.3, mse), (2.0, total_variation)),
    "perceptual": lambda: in_double("perceptual"),
    "content l1": lambda: in_double("content", norm="l1", pixels=0.5, scale=0.75),
    "content l2": lambda: in_double("content", norm="l2"),
    "style gram": lambda: style("gram"),
    "style nearest": lambda: style("nearest"),
    "class": lambda: activation(class_score(logits, 2), ViewConfig(views=2, side=16, variation=0.5)),
    "channel": lambda: activation(channel_score(network, 1), ViewConfig(views=2, side=16)),
}


@pytest.mark.parametrize("name", sorted({*LOSSES} - {"channel", "style nearest"}))
def test_of_losses(name: str) -> None:
    loss = LOSSES[name]()
    canvas, target = picture(1), 0.5 * picture(2)  # with less variation than the canvas: the total variation counts
    compare(lambda some: loss(some, target), canvas)


def test_of_a_channel() -> None:
    """With the layer's standard deviation held."""
    canvas = picture(1)
    features = network(canvas)

    def held(pictures: Tensor) -> Tensor:
        return network(pictures)[:, 1].mean((1, 2)) / (features.std((1, 2, 3)) + 1e-8)

    compare(channel_score(network, 1), canvas, differentiated=held)


def test_of_the_nearest_style(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the norm of each layer held."""
    loss, canvas = style("nearest"), picture(1)
    assert isinstance(loss, Style)
    norms = []
    for layer, deepest in ((layer, features[-1]) for features in [loss.features(canvas)] for layer in features):
        pooled = torch.nn.functional.adaptive_avg_pool2d(layer, deepest.shape[-2:])
        norms.append(pooled.square().sum(1).mean((1, 2)).sqrt()[:, None, None, None])

    def with_norms_held(features: list[Tensor]) -> Tensor:
        pooled = [torch.nn.functional.adaptive_avg_pool2d(layer, features[-1].shape[-2:]) for layer in features]
        return torch.cat([layer / norm for layer, norm in zip(pooled, norms, strict=True)], 1).flatten(2)

    def held(some: Tensor) -> Tensor:
        monkeypatch.setattr("painter.losses.style.hypercolumns", with_norms_held)
        return loss(some, canvas)

    compare(lambda some: loss(some, canvas), canvas, differentiated=held)


@pytest.mark.parametrize("name", ["mse", "perceptual", "content l1", "content l2"])
def test_of_equal_pictures(name: str) -> None:
    """The least value: the gradient is 0, also where the loss has a kink."""
    loss = LOSSES[name]()
    canvas = picture(1).requires_grad_()
    (grad,) = torch.autograd.grad(loss(canvas, canvas.detach()).sum(), canvas)
    assert grad.isfinite().all()
    assert grad.abs().max() < 1e-9


@pytest.mark.parametrize("name", LOSSES)
def test_of_flat_pictures(name: str) -> None:
    """Black and white: finite, and no division by a picture without contrast."""
    loss = LOSSES[name]()
    for colour in (0.0, 1.0):
        canvas = torch.full((2, 3, SIDE, SIDE), colour, dtype=torch.float64, requires_grad=True)
        for target in (canvas.detach(), 1 - canvas.detach()):
            value = loss(canvas, target)
            (grad,) = torch.autograd.grad(value.sum(), canvas)
            assert value.isfinite().all()
            assert grad.isfinite().all()


@pytest.mark.parametrize("space", [BEZIER, MYPAINT])
@pytest.mark.parametrize("name", ["colours", "curves", "both"])
def test_of_penalties(name: str, space: StrokeSpace) -> None:
    """The weights of strokes by their area, and the positions where the field is read, have no gradient.

    So with a field of one direction, and in the fields of a stroke that do not change its area.
    """
    colours = colour_guide(picture(4, 1)[0], space)
    curves = curve_guide(direction_field("30", (SIDE, SIDE)).double(), space)
    both = weighted_penalty((0.5, colours), (2.0, curves))
    assert both is not None
    penalty, moving = {
        "colours": (colours, ["colour"]),
        "curves": (curves, ["start", "bend", "end", "radius"]),
        "both": (both, ["colour", "bend"]),
    }[name]
    mask = torch.zeros(space.width).double()
    for field in moving:
        mask[space.columns(field)] = 1
    strokes = space.sample(9, torch.Generator().manual_seed(5)).double()
    compare(lambda some: penalty(some)[None], strokes, mask)


def test_a_field_of_directions_does_not_move_strokes() -> None:
    """Its gradient rotates and bends them."""
    strokes = BEZIER.sample(9, torch.Generator().manual_seed(5)).double().requires_grad_()
    penalty = curve_guide(direction_field("waves", (SIDE, SIDE)).double(), BEZIER)
    (grad,) = torch.autograd.grad(penalty(strokes), strokes)
    start, end = BEZIER.get(grad, "start"), BEZIER.get(grad, "end")
    assert start.abs().max() > 1e-4
    assert (start + end).abs().max() < 1e-12


def test_of_penalties_of_dots() -> None:
    """A dot has no direction: no penalty and no gradient that is not finite."""
    strokes = BEZIER.put(BEZIER.sample(5).double(), "end", torch.full((5, 2), 0.5).double())
    strokes = BEZIER.put(strokes, "start", BEZIER.get(strokes, "end"))
    strokes = BEZIER.put(strokes, "radius", torch.zeros(5, 2).double()).requires_grad_()
    for penalty in (
        colour_guide(picture(4, 1)[0], BEZIER),
        curve_guide(direction_field("rays", (SIDE, SIDE)).double(), BEZIER),
    ):
        (grad,) = torch.autograd.grad(penalty(strokes).sum(), strokes)
        assert grad.isfinite().all()


def compare(
    function: Callable[[Tensor], Tensor],
    at: Tensor,
    mask: Tensor | float = 1.0,
    differentiated: Callable[[Tensor], Tensor] | None = None,
) -> None:
    """The gradient of a function (its values summed) along three random directions within `mask`.

    `differentiated` is the function whose derivative it is, if some of it has no gradient.
    """
    variable = at.clone().requires_grad_()
    (grad,) = torch.autograd.grad(function(variable).sum(), variable)
    whole = function if differentiated is None else differentiated
    generator = torch.Generator().manual_seed(6)
    found, expected = [], []
    for _ in range(3):
        direction = torch.randn(at.shape, generator=generator, dtype=torch.float64) * mask
        with torch.no_grad():
            change = whole(at + STEP * direction).sum() - whole(at - STEP * direction).sum()
        found.append((grad * direction).sum())
        expected.append(change / (2 * STEP))
    assert max(abs(value) for value in expected) > 1e-6, "there is something to compare"
    torch.testing.assert_close(torch.stack(found), torch.stack(expected), rtol=1e-4, atol=1e-6)
