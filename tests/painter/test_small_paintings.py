"""Paintings of a few pixels: rendered larger, they are the same picture."""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from painter import Painter
from renderer.canvas import LEAST_SIDE, blank, magnification, paint
from renderer.io.painting import Painting
from renderer.strokes import BEZIER

SIZES = [(1, 24), (2, 24), (3, 24), (4, 24), (24, 1), (24, 2), (24, 4), (1, 1), (2, 2), (4, 4)]
LARGER = 64  # pixels on the short side


def image(size: tuple[int, int]) -> Tensor:
    coarse = torch.rand(1, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    return interpolate(coarse, size, mode="bilinear", antialias=True)[0]


def differences(painting: Painting, painter: Painter) -> tuple[float, float]:
    """Mean and largest difference between a painting and its larger rendering, reduced to its size."""
    small = painting.render(brush=painter.brush)
    assert small.shape[1:] == painting.size()
    larger = painting.render(max(painting.size()) * (LARGER // min(painting.size())), painter.brush)
    difference = (interpolate(larger[None], painting.size(), mode="area")[0] - small).abs()
    return float(difference.mean()), float(difference.max())


@pytest.fixture(scope="module")
def painter() -> Painter:
    return Painter("agent")


@pytest.fixture(scope="module")
def of_eight(painter: Painter) -> tuple[float, float]:
    """The `differences` of paintings with 8 pixels on the short side."""
    sizes = [(LEAST_SIDE, 24), (24, LEAST_SIDE), (LEAST_SIDE, LEAST_SIDE)]
    found = [differences(painter.paint(image(size), strokes=12, size=max(size)), painter) for size in sizes]
    means, largest = zip(*found, strict=True)
    return max(means), max(largest)


@pytest.mark.parametrize("size", SIZES)
def test_larger_renderings_show_the_same(
    size: tuple[int, int], painter: Painter, of_eight: tuple[float, float]
) -> None:
    """As well as those of a painting with 8 pixels on its short side."""
    painting = painter.paint(image(size), strokes=12, size=max(size))
    assert painting.size() == size
    mean, largest = differences(painting, painter)
    assert mean <= of_eight[0] < 0.02
    assert largest <= of_eight[1] < 0.2


def test_a_small_canvas_alone_shows_another_picture(painter: Painter) -> None:
    """Why paintings use a larger one: it draws short strokes too dark."""
    strokes = BEZIER.sample(8, torch.Generator().manual_seed(0))
    strokes = BEZIER.put(strokes, "end", 0.9 * BEZIER.get(strokes, "start") + 0.1 * BEZIER.get(strokes, "end"))
    strokes = BEZIER.put(BEZIER.put(strokes, "radius", torch.full((8, 2), 0.02)), "colour", torch.zeros(8, 3))
    painting = Painting(strokes, BEZIER, 1, 1)
    alone = paint(blank((1, 1)), strokes, painter.brush)
    larger = painting.render(128, painter.brush).mean()
    assert alone.mean() < 1 - 4 * (1 - larger)
    assert painting.render(brush=painter.brush).mean() > 1 - 2 * (1 - larger)


def test_frames_and_refined_paintings(painter: Painter) -> None:
    painting = painter.paint(image((2, 24)), strokes=6, size=24)
    *_, last = painting.frames(3, brush=painter.brush)
    torch.testing.assert_close(last, painting.render(brush=painter.brush), rtol=0, atol=1e-6)
    refined = painter.refine(painting, image((2, 24)), strokes=2)
    assert refined.size() == (2, 24)
    assert len(refined.strokes) == 8


def test_magnification() -> None:
    assert [magnification((side, 100)) for side in (1, 2, 3, 4, 7, 8, 9, 200)] == [8, 4, 3, 2, 2, 1, 1, 1]
