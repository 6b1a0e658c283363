"""Tracing of marks, mostly with `Discs`, a brush that needs no engine."""

from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from torch import Tensor

from renderer.brush import Brush, Mark, Patches, Window
from renderer.brushes import mypaint
from renderer.brushes.bezier import ExactBezier, pixel_centres
from renderer.brushes.mixed import MIXED, mixed
from renderer.brushes.mypaint import MYPAINT, MyPaint
from renderer.errors import InputError
from renderer.io.painting import MissingBrushWarning, Painting
from renderer.io.svg import to_svg, write_svg
from renderer.io.svg_marks import MOST_POINTS, _lloyd, trace
from renderer.strokes import BEZIER, SpaceError
from tests.renderer.brushes.test_mypaint import engine
from tests.renderer.io.test_svg import SVG, painterly, rasterise

SIZE = (48, 64)  # height, width


class Discs(Brush):
    """A disc around the start; the three pressures are the softness of its edge, the size of its hole and its grain."""

    space = MYPAINT

    def __init__(self, textured: bool = False) -> None:
        self.textured = textured

    def __call__(self, strokes: Tensor, size: tuple[int, int], window: Window | None = None) -> Mark:
        x, y = pixel_centres(size, window, strokes)
        start, radius, opacity = (MYPAINT.get(strokes, name)[..., None] for name in ("start", "radius", "opacity"))
        soft, hole, grain = MYPAINT.get(strokes, "pressure")[..., None, None].unbind(1)
        x, y = x[:, None, :] - start[:, :1] * size[1], y[:, :, None] - start[:, 1:] * size[0]
        distance = (x.square() + y.square()).sqrt()
        breadth = radius * min(size)
        alpha = ((breadth - distance) / (soft * breadth).clamp(min=1) + 0.5).clamp(0, 1)
        alpha = alpha * (distance - hole * breadth + 0.5).clamp(0, 1)
        noise = torch.rand(alpha.shape, generator=torch.Generator().manual_seed(0))
        alpha = (opacity * alpha * (1 - grain * noise.round()))[:, None]
        colour = MYPAINT.get(strokes, "colour")[..., None, None]
        if self.textured:  # darker to the left
            colour = colour * (x[:, None] > 0).expand_as(alpha)
        return Mark(alpha, colour)


class DiscPatches(Discs):
    """The same with patches that hold only the mark."""

    def patches(self, strokes: Tensor, size: tuple[int, int], box: Tensor | None = None) -> Patches:
        assert box is None
        assert len(strokes) == 1
        alpha = self(strokes, size).alpha[0, 0]
        left = top = height = width = 0
        if alpha.any():
            rows, columns = (alpha.amax(axis).nonzero()[:, 0] for axis in (1, 0))
            top, left = int(rows[0]), int(columns[0])
            height, width = int(rows[-1]) + 1 - top, int(columns[-1]) + 1 - left
        box = torch.tensor([[left, top, width, height]])
        inside = alpha[top : top + height, left : left + width]
        return Patches(inside.flatten(), MYPAINT.get(strokes, "colour"), box, torch.zeros(1, dtype=torch.long))


def disc(at=(0.5, 0.5), radius=0.2, soft=0.0, hole=0.0, grain=0.0, opacity=1.0, colour=(0.0, 0.0, 0.0)) -> Tensor:
    stroke = torch.zeros(1, MYPAINT.width)
    values = {"start": at, "radius": [radius], "pressure": (soft, hole, grain), "opacity": [opacity], "colour": colour}
    for name, value in values.items():
        stroke = MYPAINT.put(stroke, name, torch.tensor(value))
    return stroke


def painted(strokes: Tensor, brush: Brush, size: tuple[int, int] = SIZE) -> np.ndarray:
    """(H, W, 3): drawn four times as large and averaged, as viewers antialias vectors."""
    height, width = size
    canvas = torch.ones(3, 4 * height, 4 * width)
    for stroke in strokes:
        mark = brush(stroke[None], (4 * height, 4 * width))
        canvas = torch.lerp(canvas, mark.colour[0].expand_as(canvas), mark.alpha[0])
    return torch.nn.functional.avg_pool2d(canvas, 4).permute(1, 2, 0).numpy()


def difference(strokes: Tensor, brush: Brush) -> float:
    text = to_svg(Painting(strokes, MYPAINT, *SIZE), None, brush)
    return float(np.abs(rasterise(text) - painted(strokes, brush)).mean())


def levels(stroke: Tensor, brush: Brush | None = None):
    mark = trace(brush or Discs(), stroke[0], SIZE)
    assert mark is not None
    return mark.levels


@pytest.mark.parametrize(
    ("options", "most"),
    [
        ({}, 0.0008),  # crisp. Measured: .0005
        ({"hole": 0.5}, 0.003),
        ({"radius": 0.01}, 0.001),  # a dot of a pixel
        ({"opacity": 0.37}, 0.0008),
        ({"soft": 1.0}, 0.004),
        ({"soft": 1.0, "opacity": 0.5}, 0.004),
        ({"at": (0.0, 0.0), "radius": 0.25}, 0.0015),  # over the edges
        ({"at": (1.0, 1.0), "radius": 0.25, "soft": 0.5}, 0.004),
        ({"grain": 0.8}, 0.012),  # finer than the painting
    ],
)
@pytest.mark.parametrize("kind", [Discs, DiscPatches])
def test_mark_looks_the_same(options: dict, most: float, kind: type[Discs]) -> None:
    strokes = disc(**options)
    assert difference(strokes, kind()) < most
    assert 3 * most < np.abs(1 - painted(strokes, kind())).mean() or options == {"radius": 0.01}


def test_number_of_levels_and_their_composite() -> None:
    crisp, soft = levels(disc(opacity=0.6)), levels(disc(soft=1.0, opacity=0.6))
    assert len(crisp) <= 2 < 4 <= len(soft)
    for found in (crisp, soft):
        through = np.prod([1 - level.opacity for level in found])
        assert 1 - through == pytest.approx(0.6, abs=0.05)
        areas = [max(np.ptp(contour, axis=0).prod() for contour in level.contours) for level in found]
        assert areas == sorted(areas, reverse=True), "the outermost first"


def test_position_of_a_crisp_disc() -> None:
    (contour,) = levels(disc(at=(0.25, 0.5)))[0].contours
    np.testing.assert_allclose(contour.min(0), [16 - 9.6, 24 - 9.6], atol=0.06)
    np.testing.assert_allclose(contour.max(0), [16 + 9.6, 24 + 9.6], atol=0.06)
    assert len(contour) < 80
    ring = levels(disc(hole=0.5))[0]
    assert len(ring.contours) == 2, "its hole is a contour of the same path"


def test_tiny_dots_are_kept() -> None:
    """A dot of a quarter of a pixel's area. Shown at its own size, its levels add up to .38, since viewers blend each."""
    small = rasterise(to_svg(Painting(disc(radius=0.006), MYPAINT, *SIZE), None, Discs()), 1024)
    assert (1 - small).sum() / 3 / 16**2 == pytest.approx(np.pi * (0.006 * 48) ** 2, rel=0.1)


def test_grain_is_blurred_until_it_has_few_points() -> None:
    coarse = disc(radius=0.25, grain=0.9)
    assert sum(len(contour) for level in levels(coarse) for contour in level.contours) <= MOST_POINTS


def test_invisible_strokes_are_left_out() -> None:
    strokes = torch.cat((disc(opacity=0.0), disc(radius=0.0), disc(opacity=0.001), disc()))
    for brush in (Discs(), DiscPatches()):
        text = to_svg(Painting(strokes, MYPAINT, *SIZE), None, brush)
        assert [group.attrib["id"] for group in ElementTree.fromstring(text).iter(f"{SVG}g")][2:] == ["stroke-0004"]


def test_document(tmp_path) -> None:
    colours = [(1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)]
    strokes = torch.cat([disc(at=(0.4 + 0.1 * i, 0.5), colour=colour) for i, colour in enumerate(colours)])
    painting = Painting(strokes, MYPAINT, *SIZE, (1.0, 0.5, 0.0))
    write_svg(painting, tmp_path / "a.svg", 640, Discs())
    text = (tmp_path / "a.svg").read_text()
    root = ElementTree.fromstring(text)
    assert root.attrib == {"width": "640", "height": "480", "viewBox": "0 0 64 48"}
    (rect,), groups = root
    assert rect.attrib["fill"] == "#ff8000"
    assert [group.attrib["id"] for group in groups] == ["stroke-0001", "stroke-0002", "stroke-0003"]
    assert [group.attrib["fill"] for group in groups] == ["#ff0000", "#00ff00", "#0000ff"]
    assert all(group.attrib["fill-rule"] == "evenodd" and len(group) for group in groups)
    picture = rasterise(text)
    np.testing.assert_allclose(picture[240, 384], [0, 0, 1], atol=0.02)  # where all three overlap, the last is on top
    assert np.abs(picture - rasterise(to_svg(Painting(strokes.flip(0), MYPAINT, *SIZE), 640, Discs()))).mean() > 0.02


def test_textured_mark_has_its_mean_colour() -> None:
    mark = trace(Discs(textured=True), disc(colour=(1.0, 0.5, 0.0))[0], SIZE)
    assert mark is not None
    assert mark.colour == pytest.approx((0.5, 0.25, 0.0), abs=0.02)


def test_bezier_strokes_are_traced_only_with_a_brush() -> None:
    """Measured: .0061, as with outlines, in 2.7 kB a stroke instead of .6."""
    painting = Painting(painterly(60), BEZIER, 128, 128, (0.9, 0.85, 0.8))
    text = to_svg(painting, None, ExactBezier())
    assert '<g id="stroke-' in text
    assert '<g id="stroke-' not in to_svg(painting)
    assert np.abs(rasterise(text) - painting.render().permute(1, 2, 0).numpy()).mean() < 0.008


def test_wrong_space_and_missing_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SpaceError, match=r"^[^\n]+\.$"):
        to_svg(Painting(disc(), MYPAINT, *SIZE), None, ExactBezier())

    def load() -> None:
        raise InputError("The brush engine is not installed; run `make brushes` first.")

    monkeypatch.setattr(mypaint, "load", load)
    with pytest.warns(MissingBrushWarning, match="learned brush ink: [^\n]*make brushes"):
        assert '<g id="stroke-' in to_svg(
            Painting(disc(soft=1.0, hole=1.0, grain=1.0), MYPAINT, *SIZE, provenance={"brush": "ink"})
        )
    with pytest.raises(InputError, match=r"^[^\n]*make brushes[^\n]*--renderer of/mine\.$"):
        to_svg(Painting(disc(), MYPAINT, *SIZE, provenance={"brush": "of/mine"}))


def test_lloyd() -> None:
    centres = (np.arange(256) + 0.5) / 256
    counts = np.zeros(256)
    counts[[50, 100, 255]] = 10, 20, 30
    assert _lloyd(counts, centres, 6) == pytest.approx(list(centres[[50, 100, 255]])), "no value for an empty band"
    (one,) = _lloyd(counts, centres, 1)
    assert centres[100] < one <= centres[255]


def brushstrokes(n: int) -> Tensor:
    """Strokes from large to small, of high pressure."""
    strokes = MYPAINT.sample(n, torch.Generator().manual_seed(0))
    radius, pressure = MYPAINT.columns("radius"), MYPAINT.columns("pressure")
    strokes[:, radius] = strokes[:, radius] * torch.linspace(0.5, 0.05, n)[:, None]
    strokes[:, pressure] = 0.3 + 0.7 * strokes[:, pressure]
    return strokes


@engine
@pytest.mark.parametrize(
    ("name", "most", "size"),
    [("ink", 0.006, 3000), ("watercolour", 0.008, 8000), ("charcoal", 0.012, 22000)],
)
def test_reference_brushes(name: str, most: float, size: int) -> None:
    """Measured: .0038 and 1.7 kB a stroke, .0050 and 5.0 kB, .0077 and 14.5 kB; without half of the strokes it is .05."""
    painting = Painting(brushstrokes(40), MYPAINT, 96, 128, (0.9, 0.85, 0.8), {"brush": name})
    text = to_svg(painting)
    error = np.abs(rasterise(text, 512) - painting.render(512).permute(1, 2, 0).numpy()).mean()
    assert error < most
    assert len(text) < 40 * size
    assert text.count('<g id="stroke-') > 35
    half = Painting(painting.strokes[:20], MYPAINT, 96, 128, painting.background, painting.provenance)
    assert np.abs(rasterise(to_svg(half), 512) - painting.render(512).permute(1, 2, 0).numpy()).mean() > 0.02


@engine
def test_mixed_brushes() -> None:
    strokes = torch.cat((brushstrokes(12), torch.linspace(0, 1, 12)[:, None]), 1)
    painting = Painting(strokes, MIXED, 64, 64, provenance={"brush": ["watercolour", "ink"]})
    text = to_svg(painting)
    assert text.count('<g id="stroke-') == 12
    assert text == to_svg(painting, None, mixed([MyPaint("watercolour"), MyPaint("ink")]))
    assert np.abs(rasterise(text, 256) - painting.render(256).permute(1, 2, 0).numpy()).mean() < 0.02
