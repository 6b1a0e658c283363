"""The strokes of a style picture, measured on pictures whose strokes are known, and shown on a page."""

import math

import numpy as np
import pytest
import torch

from painter.style_analysis import BINS, analyse_style, find_lines, path_turning, to_lab
from painter.style_sheet import style_sheet
from renderer.errors import InputError

SIDE = 256


def hatching(angle: float, spacing: float, width: float) -> torch.Tensor:
    """Black lines on white paper; angle in degrees clockwise from the x axis, lengths in pixels."""
    y, x = np.mgrid[:SIDE, :SIDE] + 0.5
    across = y * math.cos(math.radians(angle)) - x * math.sin(math.radians(angle))
    away = np.abs((across + spacing / 2) % spacing - spacing / 2)
    grey = (away - width / 2 + 0.5).clip(0, 1)
    return torch.from_numpy(grey).float().expand(3, -1, -1).contiguous()


@pytest.fixture(scope="module")
def hatched():
    return analyse_style(hatching(50, 16, 4))


def test_hatching_is_measured(hatched):
    assert hatched.directions[50 * BINS // 180] > 0.85
    assert hatched.anisotropy > 0.9
    assert hatched.coherence > 0.8
    assert hatched.curvature < 0.8
    assert hatched.covered > 0.95
    # Light lines between dark ones are lines, too: both are found, half as far apart.
    assert hatched.spacing * SIDE == pytest.approx(8, rel=0.25)
    assert hatched.radius[0] * SIDE == pytest.approx(2, rel=0.4)
    assert 0.35 < hatched.dark < 0.65
    assert hatched.length[1] > 0.5


def test_ink_and_palette_of_hatching(hatched):
    assert int(hatched.ink[1:3], 16) < 40
    assert hatched.contrast > 40
    assert sum(hatched.shares) == pytest.approx(1, abs=1e-3)
    assert list(hatched.shares) == sorted(hatched.shares, reverse=True)
    assert int(hatched.palette[0][1:3], 16) > 240
    assert hatched.chroma < 0.5
    assert hatched.material in ("ink", "charcoal")


def test_broad_lines_are_measured_as_broad():
    widths = [find_lines(to_lab(hatching(0, 40, width))[..., 0]) for width in (4, 12)]
    narrow, broad = (np.median(lines.radii[lines.dark]) for lines in widths)
    assert narrow == pytest.approx(2, rel=0.4)
    assert broad == pytest.approx(6, rel=0.4)


def test_a_circle_turns_and_a_line_does_not():
    t = np.linspace(0, 2 * np.pi, 200)
    assert path_turning(50 * np.stack((np.cos(t), np.sin(t)), -1)) == pytest.approx(2 * np.pi, rel=0.05)
    assert path_turning(np.stack((t, 2 * t), -1)) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("size", [(8, 8), (1, 60), (60, 2)])
def test_pictures_without_lines(size):
    analysis = analyse_style(torch.full((3, *size), 0.5))
    assert analysis.lines == 0
    assert analysis.radius == (0, 0, 0)
    assert analysis.spacing == analysis.anisotropy == 0
    assert analysis.palette == ("#808080",)
    page = style_sheet(torch.full((3, *size), 0.5), analysis)
    assert page.dtype == np.uint8


def test_the_page_shows_lines_and_palette(hatched):
    page = style_sheet(hatching(50, 16, 4), hatched)
    blue, orange = (
        (np.abs(page.astype(int) - colour).sum(-1) == 0).sum() for colour in ([20, 90, 200], [230, 120, 20])
    )
    assert min(blue, orange) > 1000


@pytest.mark.parametrize("picture", [torch.zeros(1, 8, 8), torch.full((3, 8, 8), math.nan)])
def test_what_is_no_picture(picture):
    with pytest.raises(InputError):
        analyse_style(picture)
