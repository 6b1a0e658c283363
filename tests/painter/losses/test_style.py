"""Tests of the style loss and of colour and curve guidance."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from painter.losses.guidance import colour_guide, curve_guide, direction_field, orientation, weighted_penalty
from painter.losses.pixels import mse
from painter.losses.style import StyleConfig, gram_matrix, match_colours, nearest_distance, style_loss
from painter.optimize import OptimizeConfig, optimize
from renderer.brush import load_brush
from renderer.brushes.mypaint import MYPAINT
from renderer.canvas import blank
from renderer.errors import InputError
from renderer.strokes import BEZIER

LAYERS = ("relu1_2", "relu2_1")


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def picture(seed: int) -> Tensor:
    return torch.nn.functional.interpolate(random(1, 3, 4, 6, seed=seed), (32, 48), mode="bicubic")[0] * 0.8 + 0.1


@pytest.mark.parametrize("measure", ["gram", "nearest"])
def test_style_loss_is_zero_for_the_style_picture(measure: Any) -> None:
    style = picture(0)
    loss = style_loss(style, StyleConfig(measure, layers=LAYERS))
    own, near, far = loss(torch.stack((style, 0.7 * style + 0.3 * picture(1), picture(1))), torch.zeros(3, 3, 1, 1))
    assert own.abs() < 1e-5
    assert own < min(near, far)
    canvas = picture(1)[None].requires_grad_()
    before = loss(canvas, canvas)
    before.sum().backward()
    assert canvas.grad is not None
    better = canvas.detach() - 0.01 * canvas.grad / canvas.grad.abs().max()
    assert loss(better, better) < before


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 5), st.integers(0, 7), st.integers(1, 6))
def test_gram_matrix_ignores_shifts(down: int, right: int, channels: int) -> None:
    features = random(2, channels, 6, 8)
    torch.testing.assert_close(gram_matrix(features.roll((down, right), (2, 3))), gram_matrix(features))


def test_gram_matrix_of_a_known_case() -> None:
    features = torch.tensor([[[[1.0, 2.0]], [[3.0, -1.0]]]])
    assert gram_matrix(features).tolist() == [[[2.5, 0.5], [0.5, 5.0]]]


@settings(max_examples=20, deadline=None)
@given(st.randoms(use_true_random=False))
def test_nearest_distance_ignores_positions(randoms: Any) -> None:
    ours, theirs = random(2, 5, 12), random(1, 5, 9, seed=1)
    order = list(range(9))
    randoms.shuffle(order)
    torch.testing.assert_close(nearest_distance(ours, theirs[..., order]), nearest_distance(ours, theirs))
    assert nearest_distance(theirs[..., order], theirs).abs() < 1e-5
    assert (nearest_distance(ours, theirs) > 1e-3).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"measure": "mean"}, "choose gram or nearest"),
        ({"layers": ()}, "one layer at least"),
        ({"layers": ("relu6_1",)}, "has no layer 'relu6_1'; it has relu1_1"),
    ],
)
def test_invalid_options_raise_input_error(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        StyleConfig(**options)


def test_matched_colours_have_mean_and_covariance() -> None:
    source, style = 0.4 + 0.2 * random(3, 20, 30), 0.5 + 0.1 * (random(3, 25, 25, seed=1) - 0.5)
    style[0] = 0.5 * style[0] + 0.5 * style[1]  # correlated
    matched = match_colours(source, style)
    torch.testing.assert_close(matched.mean((1, 2)), style.mean((1, 2)), atol=1e-5, rtol=0)
    torch.testing.assert_close(matched.flatten(1).cov(), style.flatten(1).cov(), atol=2e-5, rtol=0)
    torch.testing.assert_close(match_colours(source, source), source, atol=1e-4, rtol=0)
    assert match_colours(torch.full((3, 4, 4), 0.3), style).isfinite().all()


# Guidance.


def flat_strokes(colours: Tensor) -> Tensor:
    """Strokes of one shape, (N, 13)."""
    return BEZIER.put(torch.full((len(colours), 13), 0.4), "colour", colours)


def test_colour_guidance_is_zero_for_the_picture_and_changes_only_colours() -> None:
    style = random(3, 10, 10)
    guide = colour_guide(style, BEZIER)
    own = flat_strokes(style.flatten(1).T[torch.randperm(100, generator=torch.Generator().manual_seed(0))])
    assert guide(own) < 1e-8
    strokes = flat_strokes(0.3 * random(100, 3, seed=1)).requires_grad_()
    before = guide(strokes)
    assert before > 0.01
    for _ in range(60):
        (gradient,) = torch.autograd.grad(guide(strokes), strokes)
        strokes = (strokes - 150 * gradient).detach().requires_grad_()
    assert guide(strokes) < 0.05 * before
    changed = (strokes - flat_strokes(0.3 * random(100, 3, seed=1))).abs().amax(0)
    assert changed[: BEZIER.columns("colour").start].max() == 0, "only colours change"


def test_colours_are_weighted_by_area() -> None:
    """Half black, half white: three dots balance one dot of three times their area."""
    style = torch.cat((torch.zeros(3, 4, 4), torch.ones(3, 4, 4)), 2)
    guide = colour_guide(style, BEZIER)
    strokes = flat_strokes(torch.tensor([[0.0] * 3] * 3 + [[1.0] * 3]))
    strokes = BEZIER.put(strokes, "end", BEZIER.get(strokes, "start"))  # dots: area ~ radius^2
    even = strokes.clone()
    even[3, BEZIER.columns("radius")] *= math.sqrt(3)
    assert guide(even) < 1e-6
    assert guide(strokes) > 0.1


def test_penalty_of_a_batch_equals_single_paintings() -> None:
    field, style = direction_field("circles", (20, 30)), random(3, 8, 8)
    for space in (BEZIER, MYPAINT):
        strokes = random(3, 7, space.width, seed=2)
        for guide in (colour_guide(style, space), curve_guide(field, space)):
            values = guide(strokes)
            assert values.shape == (3,)
            torch.testing.assert_close(values, torch.stack([guide(one) for one in strokes]))


@pytest.mark.parametrize("degrees", [0, 30, 90, 135])
def test_curve_guidance_is_the_squared_sine_of_the_angle(degrees: int) -> None:
    guide = curve_guide(direction_field(str(degrees), (200, 200)), BEZIER)
    for turn, expected in ((0, 0.0), (45, 0.5), (90, 1.0), (180, 0.0)):
        angle = math.radians(degrees + turn)
        half = 0.3 * torch.tensor([[math.cos(angle), math.sin(angle)]])
        strokes = torch.full((1, 13), 0.5)
        strokes = BEZIER.put(BEZIER.put(strokes, "start", 0.5 - half), "end", 0.5 + half)
        assert guide(strokes).item() == pytest.approx(expected, abs=0.01)
    dot = torch.full((1, 13), 0.5).requires_grad_()
    guide(dot).backward()
    assert dot.grad is not None
    assert dot.grad.isfinite().all()


@pytest.mark.parametrize("degrees", [0, 30, 90, 120])
def test_orientation_of_stripes(degrees: int) -> None:
    angle = math.radians(degrees)
    y, x = torch.meshgrid(torch.arange(48.0), torch.arange(64.0), indexing="ij")
    stripes = 0.5 + 0.4 * torch.sin((x * math.sin(angle) - y * math.cos(angle)) * 0.6)
    field = orientation(stripes.expand(3, -1, -1))[:, 8:-8, 8:-8]
    expected = torch.tensor([math.cos(2 * angle), math.sin(2 * angle)])[:, None, None].expand_as(field)
    torch.testing.assert_close(field, expected, atol=0.06, rtol=0)
    assert orientation(torch.full((3, 9, 9), 0.5)).abs().max() < 1e-3, "no direction in a flat picture"


def test_named_direction_fields() -> None:
    assert direction_field("circles", (41, 41))[:, 20, 40].tolist() == pytest.approx([-1, 0], abs=0.05)
    assert direction_field("rays", (41, 41))[:, 20, 40].tolist() == pytest.approx([1, 0], abs=0.05)
    for name in ("spirals", "nan", "inf"):
        with pytest.raises(InputError, match="choose circles, rays, waves or an angle"):
            direction_field(name, (4, 4))


def test_optimisation_with_curve_guidance_rotates_strokes() -> None:
    brush, target, canvas = load_brush("bezier"), picture(0), blank((32, 48))
    guide = curve_guide(direction_field("90", (32, 48)), BEZIER)
    config = OptimizeConfig(steps=40, stages=2, relocations=0, radius=(0.2, 0.1), geometry_lr=0.02)

    def crossing(penalty: Any) -> float:
        generator = torch.Generator().manual_seed(0)
        *_, last = optimize(target, brush, 12, canvas=canvas, config=config, generator=generator, penalty=penalty)
        assert mse(blank((32, 48))[None], target[None]) > 0.05
        return float(guide(last.strokes))

    assert crossing(weighted_penalty((1.0, guide))) < 0.4 * crossing(None)


def test_weighted_penalty() -> None:
    assert weighted_penalty() is None
    assert weighted_penalty((0.0, lambda _: torch.tensor(1.0))) is None
    both = weighted_penalty((2.0, lambda s: s.sum()), (0.5, lambda s: s.amax()))
    assert both is not None
    assert both(torch.tensor([1.0, 3.0])).item() == 9.5
