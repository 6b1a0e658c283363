"""Painting in the strokes of a style picture: its colours and strokes, the picture's lines."""

import cv2
import numpy as np
import pytest
import torch

from painter.losses.guidance import orientation
from painter.style_analysis import analyse_style, to_lab
from painter.style_colours import restyle_colours, towards_palette
from painter.styled_painting import StyledConfig, paint_in_style, styled_paintings
from renderer.brush import load_brush
from renderer.errors import InputError
from renderer.strokes import BEZIER


def picture(seed, side=96):
    """Soft spots of colour."""
    coarse = np.random.default_rng(seed).random((5, 5, 3), np.float32)
    return torch.from_numpy(cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC).clip(0, 1)).permute(2, 0, 1)


def face(side=96):
    """A light face with dark lines on a green ground."""
    pixels = np.full((side, side, 3), (0.3, 0.55, 0.4), np.float32)
    cv2.ellipse(pixels, (side // 2, side // 2), (side // 3, side // 3), 0, 0, 360, (0.95, 0.9, 0.85), -1)
    for y in (38, 42):
        cv2.line(pixels, (34, y), (62, y + 8), (0.1, 0.1, 0.1), 1)
    cv2.line(pixels, (40, 66), (58, 66), (0.5, 0.1, 0.1), 2)
    return torch.from_numpy(pixels).permute(2, 0, 1).contiguous()


@pytest.fixture(scope="module")
def style():
    warm = picture(3) * torch.tensor([0.9, 0.5, 0.2])[:, None, None] + torch.tensor([0.1, 0.05, 0.0])[:, None, None]
    warm[:, ::8] *= 0.3  # horizontal lines
    return warm.clamp(0, 1)


@pytest.fixture(scope="module")
def brush():
    return load_brush("bezier")


@pytest.fixture(scope="module")
def analysis(style):
    return analyse_style(style)


@pytest.fixture(scope="module")
def steps(style, brush, analysis):
    return list(paint_in_style(face(), style, brush, 600, analysis=analysis))


def test_colours_become_those_of_the_style_and_lightness_stays_in_order(style):
    target = picture(1)
    result = restyle_colours(target, style)
    own, theirs, before = (to_lab(x) for x in (result, style, target))
    assert np.abs(own[..., 1:].mean((0, 1)) - theirs[..., 1:].mean((0, 1))).max() < 6
    assert np.corrcoef(own[..., 0].ravel(), before[..., 0].ravel())[0, 1] > 0.95
    assert own[..., 0].std() > 0.7 * before[..., 0].std()
    assert torch.allclose(restyle_colours(target, style, 0.0), target, atol=5e-3)


def test_a_dark_style_leaves_a_face_visible():
    dark = 0.05 * picture(2)
    result = to_lab(restyle_colours(face(), dark))[..., 0]
    light = to_lab(face())[..., 0] > 80
    assert result[light].mean() - result[~light].mean() > 20


@pytest.mark.parametrize("flat", [torch.zeros(3, 9, 9), torch.ones(3, 9, 9)])
def test_flat_pictures_have_colours_too(flat, style):
    assert restyle_colours(flat, style).isfinite().all()
    assert restyle_colours(style, flat).isfinite().all()


def test_towards_palette_keeps_lightness():
    palette = torch.tensor([[0.9, 0.1, 0.1], [0.1, 0.1, 0.9]])
    colours = torch.tensor([[0.8, 0.5, 0.5], [0.4, 0.4, 0.6]])
    moved = towards_palette(colours, palette, 0.5)
    before, after, goal = (to_lab(x.T[..., None])[:, 0] for x in (colours, moved, palette))
    assert np.allclose(before[:, 0], after[:, 0], atol=1.5)
    assert (np.abs(after[:, 1:] - goal[:, 1:]).sum(1) < np.abs(before[:, 1:] - goal[:, 1:]).sum(1)).all()
    assert towards_palette(colours[:0], palette, 1.0).shape == (0, 3)


def test_layers_from_broad_to_lines(steps):
    names = [step.layer for step in steps]
    assert names[0] == "strokes 1"
    assert names[-1] == "lines"
    assert len(set(names)) == len(names)
    counts = [len(step.strokes) for step in steps]
    assert counts == sorted(counts)
    assert counts[-1] <= 600
    first, last = steps[0].strokes, steps[-1].strokes[counts[-2] :]
    assert BEZIER.get(first, "radius").mean() > 3 * BEZIER.get(last, "radius").mean()
    assert ((steps[-1].strokes >= 0) & (steps[-1].strokes <= 1)).all()
    assert [step.progress for step in steps] == sorted(step.progress for step in steps)


def test_the_painting_shows_the_picture_in_the_colours_of_the_style(steps, style):
    wanted = restyle_colours(face(), style)
    start, end = ((canvas - wanted).square().mean() for canvas in (steps[-1].background, steps[-1].canvas))
    assert end < 0.3 * start
    assert end < 0.02


def test_the_lines_of_the_picture_are_in_the_painting(steps):
    """The brows are darker than the face between them, as in the picture."""
    grey = to_lab(steps[-1].canvas)[..., 0]
    brows = np.mean([grey[round(38 + 8 * t), round(34 + 28 * t)] for t in np.linspace(0.2, 0.8, 9)])
    assert grey[56:62, 44:54].mean() - brows > 25


def test_directions_of_the_style_where_the_picture_has_none(style, brush, analysis):
    """On a flat picture with a little noise, strokes follow the style's horizontal lines, and vertical ones if turned."""
    noise = torch.rand(3, 96, 96, generator=torch.Generator().manual_seed(0))
    flat = 0.5 + 0.02 * noise
    assert orientation(style).mean((1, 2))[0] > 0.3
    for turned in (False, True):
        lines = style.mT if turned else style
        config = StyledConfig(colours=0, directions=1)
        *_, last = paint_in_style(flat, lines, brush, 200, analysis=analysis, config=config)
        span = (BEZIER.get(last.strokes, "end") - BEZIER.get(last.strokes, "start")).abs().mean(0)
        assert (span[1] > 1.5 * span[0]) if turned else (span[0] > 1.5 * span[1])


def test_equal_seeds_give_equal_strokes(steps, style, brush, analysis):
    *_, again = paint_in_style(face(), style, brush, 600, analysis=analysis)
    *_, other = paint_in_style(face(), style, brush, 600, analysis=analysis, seed=1)
    assert torch.equal(again.strokes, steps[-1].strokes)
    assert other.strokes.shape != again.strokes.shape or not torch.equal(other.strokes, again.strokes)


@pytest.mark.parametrize("size", [(3, 40), (60, 9)])
def test_paintings_of_any_size(size, style, brush, analysis):
    target = torch.nn.functional.interpolate(picture(1)[None], size, mode="area")[0]
    *_, (progress, painting) = styled_paintings(
        target, style, brush, 1, analysis=analysis, provenance={"input": "a.png"}
    )
    assert progress <= 1
    assert (painting.height, painting.width) == size
    assert len(painting.strokes) == 1
    assert painting.provenance["input"] == "a.png"
    assert painting.provenance["layers"] == [["strokes 1", 1]]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layers": 0}, "1 to 8 layers"),
        ({"features": 5}, "features is a number from 0 to 4"),
        ({"colours": float("nan")}, "colours is a number"),
        ({"scale": 9}, "scale of strokes is from"),
    ],
)
def test_invalid_configurations(options, message):
    with pytest.raises(InputError, match=message):
        StyledConfig(**options).check()


def test_no_strokes_are_a_mistake(style, brush):
    with pytest.raises(InputError, match="At least 1 stroke"):
        next(paint_in_style(face(), style, brush, 0))
