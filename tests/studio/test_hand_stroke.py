"""Drawn lines become strokes that follow them, in every stroke space."""

import math

import numpy as np
import pytest
import torch

from renderer.brushes.bezier import AnalyticBezier
from renderer.canvas import blank, paint
from renderer.errors import InputError
from renderer.strokes import BEZIER, MIXED, MYPAINT, StrokeSpace
from studio.hand_stroke import strokes_of_line

SIZE = (96, 128)


def curves(strokes: torch.Tensor) -> np.ndarray:
    """Points (n, 2) along strokes, as fractions of width and height."""
    t = torch.linspace(0, 1, 60)[:, None, None]
    start, end, bend = (BEZIER.get(strokes, name) for name in ("start", "end", "bend"))
    control = start + bend * (end - start)
    return ((1 - t) ** 2 * start + 2 * t * (1 - t) * control + t**2 * end).flatten(0, 1).numpy()


LINES = {
    "straight": [(0.1 + i / 50, 0.2 + i / 100, 0.5) for i in range(40)],
    "circle": [(0.5 + 0.3 * math.cos(i / 10), 0.5 + 0.3 * math.sin(i / 10), 0.5) for i in range(64)],
    "wave": [(i / 100, 0.5 + 0.2 * math.sin(i / 6), i / 100) for i in range(101)],
    "corner": [(0.1, 0.1, 1.0), (0.9, 0.1, 1.0), (0.9, 0.9, 1.0), (0.1, 0.9, 1.0)],
}


@pytest.mark.parametrize("name", LINES)
def test_strokes_follow_the_line(name: str) -> None:
    strokes = strokes_of_line(LINES[name], BEZIER, SIZE, radius=0.02, colour="#c0392b")
    line, painted = np.array(LINES[name])[:, :2], curves(strokes)
    far = np.hypot(*(line[:, None] - painted).transpose(2, 0, 1)).min(1).max()
    assert far < 0.012
    assert len(strokes) <= {"straight": 1, "circle": 12, "wave": 24, "corner": 3}[name]
    ends, starts = BEZIER.get(strokes, "end")[:-1], BEZIER.get(strokes, "start")[1:]
    assert torch.allclose(ends, starts, atol=1e-6)


def test_pressure_makes_lines_thicker() -> None:
    strokes = strokes_of_line(
        [(0.1, 0.5, 0.0), (0.5, 0.5, 0.5), (0.9, 0.5, 1.0)], BEZIER, SIZE, radius=0.1, colour="#000000"
    )
    first, last = BEZIER.get(strokes, "radius")[0, 0], BEZIER.get(strokes, "radius")[-1, 1]
    assert first < 0.03
    assert 0.07 < last <= 0.1


@pytest.mark.parametrize("space", [BEZIER, MYPAINT, MIXED], ids=lambda space: space.name)
def test_every_space_and_a_dot(space: StrokeSpace) -> None:
    for line in ([(0.5, 0.5, 0.5)], LINES["wave"], [(0.2, 0.2, 0.5)] * 50):
        strokes = strokes_of_line(line, space, SIZE, radius=0.05, colour="#ff8000", opacity=0.7)
        assert strokes.shape[1] == space.width
        assert bool(((strokes >= 0) & (strokes <= 1)).all())
        assert torch.allclose(space.get(strokes, "colour")[0], torch.tensor([1, 128 / 255, 0]))
        assert space.get(strokes, "opacity").min() == pytest.approx(0.7)


def test_a_dot_is_seen_where_it_was_set() -> None:
    strokes = strokes_of_line([(0.25, 0.5, 1.0)], BEZIER, SIZE, radius=0.05, colour="#000000")
    canvas = paint(blank(SIZE), strokes, AnalyticBezier())
    assert canvas[:, 48, 32].max() < 0.1
    assert canvas[:, 48, 64].min() > 0.99


@pytest.mark.parametrize(
    ("line", "options"),
    [
        ([], {}),
        ([(0.1, 0.2)], {}),
        ([(math.nan, 0, 0)], {}),
        ([(1e9, 0, 0)], {}),
        ([(0.1, 0.2, 0.5)] * 20_001, {}),
        (LINES["wave"], {"radius": 0.0}),
        (LINES["wave"], {"radius": 0.3}),
        (LINES["wave"], {"opacity": 1.5}),
        (LINES["wave"], {"colour": "red"}),
    ],
)
def test_bad_lines(line: list[tuple[float, ...]], options: dict[str, object]) -> None:
    with pytest.raises(InputError, match=r"^[^\n]+\.$"):
        strokes_of_line(line, BEZIER, SIZE, **{"radius": 0.02, "colour": "#000000", **options})  # type: ignore[arg-type]
