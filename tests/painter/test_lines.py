"""Tests of line mode: removed lines, traced lines, and curves fitted to paths."""

from itertools import pairwise

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from painter.lines import fit_curves, follow, remove_lines, trace_lines
from renderer.brushes.bezier import ExactBezier
from renderer.canvas import paint
from renderer.strokes import BEZIER

SIDE = 128


@pytest.fixture(scope="module")
def parts() -> tuple[Tensor, Tensor]:
    """Flat colours, and the same with lines: a circle, an arc, a cross, and a short isolated line."""
    plain = np.full((SIDE, SIDE, 3), (230, 215, 180), np.uint8)
    cv2.rectangle(plain, (70, 0), (SIDE, SIDE), (170, 90, 60), -1)
    lined = plain.copy()
    ink = (40, 30, 35)
    cv2.circle(lined, (35, 40), 22, ink, 2, cv2.LINE_AA)
    cv2.ellipse(lined, (98, 40), (20, 30), 0, 200, 340, ink, 2, cv2.LINE_AA)
    cv2.line(lined, (15, 80), (60, 110), ink, 2, cv2.LINE_AA)
    cv2.line(lined, (15, 110), (60, 80), ink, 2, cv2.LINE_AA)
    cv2.line(lined, (90, 100), (110, 104), ink, 3, cv2.LINE_AA)
    flat, drawn = (torch.from_numpy(p).permute(2, 0, 1) / 255 for p in (plain, lined))
    return flat, drawn


def test_removing_lines_restores_the_flat_picture(parts: tuple[Tensor, Tensor]) -> None:
    flat, drawn = parts
    assert (remove_lines(drawn) - flat).abs().mean() < 0.1 * (drawn - flat).abs().mean()


def test_traced_strokes_paint_the_lines(parts: tuple[Tensor, Tensor]) -> None:
    """On the flat picture, few strokes remove most of the error."""
    flat, drawn = parts
    strokes = trace_lines(drawn, 100)
    assert 8 <= len(strokes) <= 40
    painted = paint(flat, strokes, ExactBezier())
    assert (painted - drawn).square().mean() < 0.2 * (flat - drawn).square().mean()
    assert (strokes[:, BEZIER.columns("colour")].mean(1) < 0.4).all(), "ink is dark"


def test_few_strokes_are_the_most_visible_ones(parts: tuple[Tensor, Tensor]) -> None:
    flat, drawn = parts
    every, few = trace_lines(drawn, 100), trace_lines(drawn, 5)
    assert few.shape == (5, 13)
    errors = [float((paint(flat, some, ExactBezier()) - drawn).square().mean()) for some in (few, every[-5:])]
    assert errors[0] < errors[1]


@pytest.mark.parametrize("picture", [torch.ones(3, 40, 50), torch.zeros(3, 5, 7), torch.rand(3, 1, 1)])
def test_pictures_without_lines(picture: Tensor) -> None:
    assert trace_lines(picture, 10).shape == (0, 13)
    assert remove_lines(picture).shape == picture.shape


def test_zero_strokes(parts: tuple[Tensor, Tensor]) -> None:
    assert trace_lines(parts[1], 0).shape == (0, 13)


def test_paths_go_straight_on_at_crossings() -> None:
    cross = np.zeros((21, 21), bool)
    cross[10, 2:19] = cross[2:19, 10] = True
    paths = follow(cross)
    long = [path for path in paths if len(path) > 12]
    assert len(long) >= 1
    assert all(np.ptp(path, axis=0).min() == 0 for path in long), "straight"


@given(st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11)), max_size=60))
@settings(deadline=None)
def test_paths_visit_every_pixel(pixels: list[tuple[int, int]]) -> None:
    skeleton = np.zeros((12, 12), bool)
    for x, y in pixels:
        skeleton[y, x] = True
    paths = follow(skeleton)
    visited = {(int(x), int(y)) for path in paths for x, y in path}
    assert visited == set(pixels)
    for path in paths:
        assert (np.abs(np.diff(path, axis=0)).max(-1) == 1).all(), "steps to neighbouring pixels"


@given(st.lists(st.floats(-3, 3), min_size=4, max_size=4), st.floats(0.3, 2.0))
@settings(deadline=None)
def test_curves_are_within_the_tolerance_and_connected(waves: list[float], tolerance: float) -> None:
    t = np.linspace(0, 1, 60)
    path = np.stack((60 * t, sum(w * np.sin((k + 1) * np.pi * t) for k, w in enumerate(waves))), -1)
    curves = fit_curves(path, tolerance)
    assert np.array_equal(curves[0][0], path[0])
    assert np.array_equal(curves[-1][2], path[-1])
    for (_, _, end), (start, _, _) in pairwise(curves):
        assert np.array_equal(end, start)
    s = np.linspace(0, 1, 40)[:, None]
    drawn = np.concatenate([(1 - s) ** 2 * a + 2 * s * (1 - s) * b + s**2 * c for a, b, c in curves])
    distance = np.sqrt(((drawn[:, None] - path[None]) ** 2).sum(-1).min(1)).max()
    assert distance < tolerance + 0.9, "within the tolerance, up to the spacing of the path"
