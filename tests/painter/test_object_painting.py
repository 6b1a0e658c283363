"""Tests of objects on a plain ground: their views, the margin, and strokes and ground that raise it."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from painter.object_painting import OBJECT_CONFIG, ObjectConfig, Stage, class_margin, object_views, paint_object
from renderer.brush import load_brush
from renderer.constraints import StrokeConstraints
from renderer.errors import InputError

SMALL = replace(OBJECT_CONFIG, steps=30, side=24, views=2)
STILL = replace(SMALL, zoom=(1.0, 1.0), shift=0.0, turn=0.0, jitter=0.0, noise=0.0)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def red_disc(pictures: Tensor) -> Tensor:
    """Logits of three classes: red in the middle and not at the edge; its opposite; nothing. (B, 3, H, W) -> (B, 3)."""
    red = pictures[:, 0] - pictures[:, 1:].mean(1)
    side = red.shape[-1] // 3
    inside = 9 * red[:, side:-side, side:-side].mean((1, 2))
    return torch.stack((inside - 9 * red[:, 0].mean(1), -inside, torch.zeros_like(inside)), 1)


def test_margin_is_the_distance_to_the_others_and_a_share_of_the_logit() -> None:
    logits = torch.tensor([[2.0, 0.0, 0.0], [0.0, 5.0, 0.0]])
    expected = torch.tensor([2 - torch.tensor(2.0).log() + 0.3, -torch.tensor([5.0, 0.0]).logsumexp(0)])
    torch.testing.assert_close(class_margin(logits, 0), expected)
    with pytest.raises(InputError, match="classes are 0 to 2"):
        class_margin(logits, 3)


def test_still_views_are_the_painting_or_its_mirror_image() -> None:
    painted = torch.rand(1, 3, 24, 24, generator=generator())
    views = object_views(painted, torch.zeros(3), replace(STILL, views=8), (0, 0), generator())
    mirrored = [torch.allclose(view, painted[0].flip(-1), atol=1e-5) for view in views]
    assert any(mirrored)
    assert not all(mirrored)
    for view, other in zip(views, mirrored, strict=True):
        torch.testing.assert_close(view.flip(-1) if other else view, painted[0])


def test_the_ground_goes_on_beyond_the_canvas() -> None:
    ground = torch.tensor([0.2, 0.5, 0.9])
    painted = ground.view(1, 3, 1, 1).expand(1, 3, 40, 40).clone()
    views = object_views(painted, ground, replace(STILL, zoom=(0.5, 0.8), shift=0.3, turn=40.0), (0, 0.05), generator())
    torch.testing.assert_close(views, ground.view(1, 3, 1, 1).expand(2, 3, 24, 24))


def test_blur_lowers_contrast() -> None:
    painted = torch.rand(1, 3, 24, 24, generator=generator())
    sharp, blurred = (
        object_views(painted, torch.ones(3), STILL, blur, generator()).std() for blur in ((0, 0), (0.1, 0.1))
    )
    assert blurred < sharp / 3


def test_strokes_in_the_middle_raise_the_margin() -> None:
    brush = load_brush("bezier")
    states = list(paint_object(red_disc, 0, brush, 12, size=24, config=SMALL, generator=generator()))
    assert [len(state.strokes) for state in states[9:21:10]] == [2, 6]
    assert len(states) == 30
    assert states[-1].progress == 1
    assert len(states[-1].strokes) == 12
    first, last = (sum(state.score for state in part) / 5 for part in (states[:5], states[-5:]))
    assert last > first + 3
    again = list(paint_object(red_disc, 0, brush, 12, size=24, config=SMALL, generator=generator()))
    assert torch.equal(again[-1].strokes, states[-1].strokes)
    assert states[-1].ground == again[-1].ground != (0.6, 0.6, 0.6)


def test_ends_are_drawn_back_and_constraints_hold() -> None:
    def indifferent(pictures: Tensor) -> Tensor:
        return torch.zeros(len(pictures), 2) + 0 * pictures.mean()

    space = load_brush("bezier").space
    config = replace(SMALL, spread=0.5, reach=0.1, geometry_lr=0.05)
    limits = StrokeConstraints(min_radius=0.06)
    *_, last = paint_object(
        indifferent, 0, load_brush("bezier"), 6, size=24, config=config, constraints=limits, generator=generator()
    )
    assert (space.get(last.strokes, "start") - 0.5).norm(dim=1).max() < 0.2
    assert space.get(last.strokes, "radius").min() >= 0.06 - 1e-6


@pytest.mark.parametrize(("count", "steps"), [(1, 4), (2, 1), (7, 1), (7, 2), (7, 4)])
def test_few_strokes_and_steps_are_all_made(count: int, steps: int) -> None:
    config = replace(SMALL, steps=steps, stages=(Stage(1, 1, (0.1, 0.1), (0, 0)), Stage(5, 1, (0.05, 0.02), (0, 0.02))))
    states = list(paint_object(red_disc, 0, load_brush("bezier"), count, size=16, config=config, generator=generator()))
    assert len(states) == steps
    assert states[-1].progress == 1
    assert len(states[-1].strokes) == count


@pytest.mark.parametrize(
    "options",
    [{"steps": 0}, {"stages": ()}, {"colour_lr": 0.0}, {"zoom": (0.0, 1.0)}, {"area": float("nan")}, {"side": 4}],
)
def test_invalid_options_raise_input_error(options: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        ObjectConfig(**options)
