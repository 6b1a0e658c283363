"""Solid marks: every pixel of a painting has the colour of a stroke or of the background, with every brush."""

import pytest
import torch

from renderer.brush import Window, brush_names, load_brush
from renderer.brushes.mixed import MIXED
from renderer.brushes.solid import FAINT, Solid, coverage
from renderer.canvas import blank, paint
from renderer.errors import InputError

PALETTE = torch.tensor([[0.1, 0.1, 0.1], [0.7, 0.2, 0.1], [0.2, 0.3, 0.6], [0.9, 0.8, 0.6]]).mul(255).round() / 255
BRUSHES = [
    "exact",
    "bezier",
    "ink",
    "liner",
    "flat",
    "watercolour",
    "charcoal",
    "impressionist",
    "calligraphy",
    "flat+ink",
]


def strokes_of(brush, n: int = 40, opacity: float = 1.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    strokes = brush.space.sample(n, generator)
    strokes[:, brush.space.columns("colour")] = PALETTE[torch.arange(n) % 4]
    strokes[:, brush.space.columns("opacity")] = opacity
    return strokes


@pytest.mark.parametrize("name", BRUSHES)
def test_exact_colours(name: str) -> None:
    brush = load_brush(name)
    strokes, canvas = strokes_of(brush), blank((48, 64))
    colours = torch.unique((paint(canvas, strokes, Solid(brush)).flatten(1).T * 255).round(), dim=0)
    allowed = torch.cat(((PALETTE * 255).round(), torch.full((1, 3), 255.0)))
    assert {tuple(c) for c in colours.tolist()} <= {tuple(c) for c in allowed.tolist()}
    assert len(colours) >= 4
    mixed = torch.unique((paint(canvas, strokes, brush).flatten(1).T * 255).round(), dim=0)
    assert len(mixed) > 100, "the brush itself mixes colours, at edges at least"


def test_no_shipped_brush_is_forgotten() -> None:
    stroke_brushes = {"bezier", "calligraphy", "charcoal", "flat", "impressionist", "ink", "liner", "watercolour"}
    assert stroke_brushes <= set(BRUSHES)


@pytest.mark.parametrize("name", ["bezier", "flat", "exact"])
def test_marks_patches_and_windows_agree(name: str) -> None:
    brush = Solid(load_brush(name))
    strokes, size = strokes_of(brush, 6), (40, 56)
    marks = brush(strokes, size)
    assert set(marks.alpha.unique().tolist()) == {0.0, 1.0}
    patches = brush.patches(strokes, size)
    for i in range(6):
        whole = torch.zeros(1, *size)
        below, alpha = patches.on(whole, i)
        below += alpha
        assert (whole != marks.alpha[i]).float().mean() < 0.003  # windows of a network differ by rounding
    window = Window(torch.full((6,), 8), torch.full((6,), 4), 16, 24)
    part = brush(strokes, size, window).alpha
    assert (part != marks.alpha[:, :, 4:20, 8:32]).float().mean() < 0.003


def test_by_name() -> None:
    brush = load_brush("solid:flat+ink")
    assert isinstance(brush, Solid)
    assert brush.space == MIXED
    assert "solid:NAME" in brush_names()
    with pytest.raises(InputError, match="no brush 'nobody'"):
        load_brush("solid:nobody")


@pytest.mark.parametrize(
    ("name", "least", "most"), [("exact", 1, 1), ("liner", 0.98, 1), ("flat", 0.85, 0.95), ("charcoal", 0.3, 0.6)]
)
def test_coverage(name: str, least: float, most: float) -> None:
    assert least <= coverage(load_brush(name)) <= most


def test_faint_strokes_leave_nothing() -> None:
    brush = Solid(load_brush("exact"))
    assert not brush(strokes_of(brush, 5, FAINT - 0.02), (30, 30)).alpha.any()
    assert brush(strokes_of(brush, 5, FAINT + 0.02), (30, 30)).alpha.any()
