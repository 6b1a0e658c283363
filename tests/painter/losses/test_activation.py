"""Tests of activation maximisation: random views, scores, and strokes that raise a score."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from painter.losses.activation import (
    ACTIVATION_CONFIG,
    ViewConfig,
    activation_loss,
    channel_score,
    class_score,
    paint_without_target,
    random_strokes,
    random_views,
    vgg_layer,
)
from renderer.brush import load_brush
from renderer.brushes.mypaint import MYPAINT
from renderer.canvas import blank, paint
from renderer.errors import InputError
from renderer.strokes import BEZIER, StrokeSpace

STILL = ViewConfig(views=2, side=24, shift=0, zoom=0, turn=0, jitter=0)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def ramp(height: int = 24, width: int = 24) -> Tensor:
    """A picture that gets brighter to the right, (1, 3, H, W)."""
    return ((torch.arange(width) + 0.5) / width).expand(1, 3, height, width)


def test_views_without_randomness_are_the_canvas() -> None:
    canvas = torch.rand(3, 3, 24, 24, generator=generator())
    views = random_views(canvas, STILL)
    torch.testing.assert_close(views, canvas.repeat_interleave(2, 0))
    assert random_views(torch.rand(1, 3, 50, 60), STILL).shape == (2, 3, 24, 24)


@pytest.mark.parametrize("name", ["shift", "zoom", "turn", "jitter"])
def test_each_random_change_is_within_its_bounds(name: str) -> None:
    amount = {"shift": 0.1, "zoom": 0.25, "turn": 20.0, "jitter": 0.03}[name]
    options: dict[str, Any] = {"views": 64, "side": 24, "shift": 0, "zoom": 0, "turn": 0, "jitter": 0}
    views = random_views(ramp(), ViewConfig(**{**options, name: amount}), generator())
    middle = views[:, 0, 12, 11:13].mean(1) - 0.5  # at the centre of the canvas
    slope = (views[:, 0, 12, 13] - views[:, 0, 12, 10]) * 8
    if name == "shift":
        assert 0.08 < middle.abs().max() <= 0.1 + 1e-5
        torch.testing.assert_close(slope, torch.ones(64))
    elif name == "zoom":
        assert middle.abs().max() < 1e-5
        assert 0.8 - 1e-5 <= slope.min() < 0.85
        assert 1.15 < slope.max() <= 1.25 + 1e-5
    elif name == "turn":
        down = (views[:, 0, 13, 12] - views[:, 0, 10, 12]) * 8
        assert 0.25 < down.abs().max() < 0.36, "the sine of 20 degrees is .34"
        assert (down > 0).any()
        assert (down < 0).any()
    else:
        assert 0.02 < (views - ramp()).std() < 0.06
    assert torch.equal(views, random_views(ramp(), ViewConfig(**{**options, name: amount}), generator())), (
        "deterministic"
    )


@pytest.mark.parametrize("options", [{"views": 0}, {"side": 4}, {"shift": -1.0}, {"variation": float("nan")}])
def test_invalid_options_raise_input_error(options: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        ViewConfig(**options)


def test_loss_is_the_mean_score_and_the_weighted_variation() -> None:
    canvas = torch.stack((torch.full((3, 24, 24), 0.2), torch.full((3, 24, 24), 0.7)))
    loss = activation_loss(lambda pictures: pictures.mean((1, 2, 3)), STILL)
    torch.testing.assert_close(loss(canvas, canvas), torch.tensor([-0.2, -0.7]))
    rough = activation_loss(lambda pictures: pictures.new_zeros(len(pictures)), ViewConfig(variation=2.0))
    assert rough(canvas, canvas).tolist() == [0, 0]
    assert rough(ramp(), ramp()).item() == pytest.approx(2 / 24, rel=1e-3)


def test_scores() -> None:
    def logits(pictures: Tensor) -> Tensor:
        return torch.tensor([[1.0, 2.0, 6.0]]).expand(len(pictures), 3)

    assert class_score(logits, 2)(ramp()).tolist() == [3.0]
    with pytest.raises(InputError, match="No class 3; classes are 0 to 2"):
        class_score(logits, 3)(ramp())
    layer = vgg_layer("relu1_1")
    assert channel_score(layer, 5)(ramp()).shape == (1,)
    with pytest.raises(InputError, match="No channel 64; channels of this layer are 0 to 63"):
        channel_score(layer, 64)(ramp())
    with pytest.raises(InputError, match="no layer 'relu7_1'"):
        vgg_layer("relu7_1")


@pytest.mark.parametrize("space", [BEZIER, MYPAINT])
def test_random_strokes_cover_the_canvas_widest_first(space: StrokeSpace) -> None:
    strokes = random_strokes(200, space, generator=generator())
    assert strokes.shape == (200, space.width)
    assert 0 <= strokes.min() <= strokes.max() <= 1
    radius = space.get(strokes, "radius").mean(1)
    assert (radius.diff() < 0).all()
    centre = (space.get(strokes, "start") + space.get(strokes, "end")) / 2
    assert torch.histogramdd(centre, 3, range=[0, 1, 0, 1]).hist.min() > 8
    assert random_strokes(1, space).shape == (1, space.width)
    assert random_strokes(1, space, saturation=0.0)[0, space.columns("colour")].tolist() == [0.5] * 3


@pytest.mark.parametrize("name", ["bezier", "ink"])
def test_strokes_raise_a_score(name: str) -> None:
    """The score of a VGG channel is higher after optimisation than for the blank canvas and for the first strokes."""
    brush, canvas = load_brush(name), blank((32, 32))
    score = channel_score(vgg_layer("conv2_1"), 3)
    loss = activation_loss(score, ViewConfig(views=2, side=32), generator())
    config = replace(ACTIVATION_CONFIG, steps=40)
    *_, last = paint_without_target(loss, brush, 20, canvas=canvas, config=config, generator=generator())
    painted = paint(canvas, last.strokes, brush)
    start = paint(canvas, random_strokes(20, brush.space, generator=generator()), brush)
    scores = score(torch.stack((painted, start, canvas)))
    assert scores[0] > scores[1:].max() + 0.2, scores
    assert last.strokes.shape == (20, brush.space.width)
