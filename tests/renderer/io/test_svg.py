import io
import re
from pathlib import Path
from xml.etree import ElementTree

import cairosvg
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from renderer.errors import InputError
from renderer.io import svg_outlines
from renderer.io.painting import Painting
from renderer.io.svg import to_svg, write_svg
from renderer.strokes import BEZIER, Field, SpaceError, StrokeSpace

SVG = "{http://www.w3.org/2000/svg}"


def rasterise(text: str, size: int | None = None) -> np.ndarray:
    """Rasterise an SVG with cairo: (H, W, 3) in [0, 1]."""
    png = cairosvg.svg2png(bytestring=text.encode(), output_width=size)
    with Image.open(io.BytesIO(png)) as image:
        return np.asarray(image.convert("RGB")) / 255


def drawn(painting: Painting, size: int | None = None) -> np.ndarray:
    return painting.render(size).permute(1, 2, 0).numpy()


def painterly(n: int, seed: int = 0) -> torch.Tensor:
    """Strokes from large to small, of any shape."""
    strokes = BEZIER.sample(n, torch.Generator().manual_seed(seed))
    scale = torch.linspace(1, 0.1, n)[:, None]
    strokes[:, 6:8] *= 0.7 * scale
    strokes[:, 4:6] = (strokes[:, :2] + (strokes[:, 4:6] - 0.5) * scale).clamp(0, 1)
    return strokes


def stroke(
    start=(0.2, 0.3), bend=(0.5, 0.5), end=(0.8, 0.6), radius=(0.4, 0.4), opacity=(1.0, 1.0), colour=(0.0, 0.0, 0.0)
) -> Painting:
    """One stroke on 100x80 pixels; `radius` as a fraction of the largest."""
    return Painting(torch.tensor([[*start, *bend, *end, *radius, *opacity, *colour]]), BEZIER, 80, 100)


def test_painting_looks_the_same() -> None:
    """Measured: .0061 and .0057. With gradients from start to end it is .017."""
    painting = Painting(painterly(60), BEZIER, 128, 128, (0.9, 0.85, 0.8))
    text = to_svg(painting)
    assert np.abs(rasterise(text) - drawn(painting)).mean() < 0.008
    assert np.abs(rasterise(text, 256) - drawn(painting, 256)).mean() < 0.008
    # The measure detects missing strokes and a wrong order.
    for strokes in (painting.strokes[:-20], painting.strokes.flip(0)):
        other = Painting(strokes, BEZIER, 128, 128, painting.background)
        assert np.abs(rasterise(text) - drawn(other)).mean() > 0.02


def test_opaque_outlines_are_exact() -> None:
    """Measured: .0033, at most .17, all of it at antialiased edges."""
    strokes = painterly(40, seed=2)
    strokes[:, BEZIER.columns("opacity")] = 1
    painting = Painting(strokes, BEZIER, 100, 128)
    difference = np.abs(rasterise(to_svg(painting)) - drawn(painting))
    assert difference.mean() < 0.004
    assert difference.max() < 0.3


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"start": (0.5, 0.5), "end": (0.5, 0.5)},  # a dot
        {"start": (0.5, 0.5), "end": (0.5, 0.5), "radius": (1.0, 0.2)},
        {"bend": (0.0, 0.0)},  # no direction at the start
        {"bend": (1.0, 1.0), "radius": (0.0, 1.0)},
        {"bend": (0.0, 1.0), "radius": (1.0, 1.0)},  # a thick corner, which folds
        {"bend": (1.0, 0.0), "radius": (0.1, 0.05)},
        {"radius": (1.0, 0.0)},
        {"radius": (0.0, 1.0)},
        {"start": (0.4, 0.5), "end": (0.6, 0.55), "radius": (1.0, 0.05)},  # the end extends beyond the start
        {"start": (0.45, 0.5), "end": (0.55, 0.55), "radius": (0.1, 1.0)},  # the end covers the start
        {"start": (0.5, 0.1), "end": (0.5, 0.9)},
        {"start": (0.9, 0.5), "end": (0.1, 0.5), "radius": (0.05, 0.6)},
        {"start": (0.0, 0.0), "end": (1.0, 1.0), "radius": (1.0, 1.0)},  # over the edges
        {"radius": (0.03, 0.03)},  # a hairline
    ],
)
def test_one_outline_is_exact(options: dict) -> None:
    painting = stroke(**options)
    text = to_svg(painting)
    assert text.count("<path") == text.count("M") == text.count("z") == 1  # a single closed outline
    assert np.abs(rasterise(text) - drawn(painting)).mean() < 0.002


@given(st.lists(st.sampled_from([0.0, 0.01, 0.3, 0.5, 0.77, 1.0]), min_size=13, max_size=13))
def test_every_stroke_has_an_outline(values: list[float]) -> None:
    painting = Painting(torch.tensor([values]), BEZIER, 40, 64)
    numbers = np.array(re.findall(r"-?\d*\.?\d+", " ".join(re.findall(r'd="([^"]*)"', to_svg(painting)))), float)
    assert np.isfinite(numbers).all()
    seen = max(values[6:8]) > 0 and max(values[8:10]) > 0
    assert seen == (len(numbers) > 8)
    if seen and values[8] == values[9] == 1:
        assert np.abs(rasterise(to_svg(painting)) - drawn(painting)).mean() < 0.006


@pytest.mark.parametrize(
    ("options", "most"),
    [
        ({"radius": (0.2, 0.2)}, 0.0015),  # straight: along a line
        ({"start": (0.4, 0.5), "end": (0.5, 0.55), "radius": (1.0, 0.3)}, 0.0025),  # inside itself: around a point
        ({"start": (0.4, 0.5), "end": (0.4, 0.5), "radius": (1.0, 0.0)}, 0.0025),  # around its middle
        ({"start": (0.45, 0.5), "end": (0.55, 0.55), "radius": (0.1, 1.0)}, 0.0015),  # the last disc covers all
        ({"bend": (0.9, 0.1), "radius": (0.5, 0.3)}, 0.005),  # bent: a straight gradient is an approximation
    ],
)
@pytest.mark.parametrize("opacity", [(0.1, 1.0), (0.9, 0.2)])
def test_gradients(options: dict, most: float, opacity: tuple[float, float]) -> None:
    painting = stroke(opacity=opacity, **options)
    assert np.abs(rasterise(to_svg(painting)) - drawn(painting)).mean() < most


def test_document(tmp_path: Path) -> None:
    painting = Painting(painterly(30), BEZIER, 50, 70, (1.0, 0.5, 0.0))
    write_svg(painting, tmp_path / "new" / "a.svg")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.svg"]
    text = (tmp_path / "new" / "a.svg").read_text()
    assert text == to_svg(painting)
    root = ElementTree.fromstring(text)
    assert root.attrib == {"width": "70", "height": "50", "viewBox": "0 0 70 50"}
    background, layer = root
    (rect,), shapes = background, list(layer)
    assert rect.attrib["fill"] == "#ff8000"
    paths = [shape for shape in shapes if shape.tag == f"{SVG}path"]
    assert len(paths) == 30
    gradients = {shape.attrib["id"] for shape in shapes if shape.tag != f"{SVG}path"}
    used = {path.attrib["fill"][5:-1] for path in paths if path.attrib["fill"].startswith("url(")}
    assert used == gradients  # all defined, none twice
    assert len(used) > 10
    assert len("".join(re.findall(r' d="([^"]*)"', text))) < 30 * 250
    assert len(text) < 30 * 600  # half of it gradients
    assert not re.search(r"\.\d{3,}", "".join(re.findall(r' d="([^"]*)"', text)))  # two decimals
    assert not re.search(r"nan|inf|\de-", "".join(re.findall(r'="([^"]*)"', text)))


def test_many_strokes_on_a_large_canvas() -> None:
    painting = Painting(painterly(300, seed=3), BEZIER, 4000, 3000)
    text = to_svg(painting)
    assert text.count("<path") == 300
    assert len(text) < 300 * 2000
    ElementTree.fromstring(text)
    assert np.abs(rasterise(text, 150) - drawn(painting, 200)).mean() < 0.01


def test_size_changes_only_the_display_size() -> None:
    painting = Painting(painterly(5), BEZIER, 50, 100)
    small, large = to_svg(painting).splitlines(), to_svg(painting, 800).splitlines()
    assert 'width="800" height="400" viewBox="0 0 100 50"' in large[0]
    assert small[1:] == large[1:]


def test_invisible_strokes_are_left_out() -> None:
    assert "<path" not in to_svg(stroke(radius=(0.0, 0.0)))
    assert "<path" not in to_svg(stroke(opacity=(0.0, 0.0)))
    empty = Painting(torch.zeros(0, 13), BEZIER, 8, 8, (0.0, 0.0, 1.0))
    assert (rasterise(to_svg(empty)) == [0, 0, 1]).all()


def test_only_beziers() -> None:
    other = StrokeSpace("dots", (Field("at", 2, 0.0, 1.0, "x, y"),))
    with pytest.raises(SpaceError, match=r"^[^\n]+\.$"):
        to_svg(Painting(torch.zeros(1, 2), other, 8, 8))


def test_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: Path, *_: object, **__: object) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", fail)
    with pytest.raises(InputError, match="No space"):
        write_svg(stroke(), tmp_path / "a.svg")
    assert not list(tmp_path.iterdir())


def test_outline_is_within_its_tolerance() -> None:
    """An outline is within `TOLERANCE` of the edge of the union of many discs, except in the corner of a notch."""
    depths = []
    for values in painterly(40, seed=5):
        radius = values[6:8].double().numpy() * 32
        curve = np.array([[0, 0], [*values[2:4].numpy() * [60, 30]], [60, 0]]) * float(values[0])
        curve[1] = curve[1].clip(0, curve[2, 0])
        pieces = svg_outlines.outline(curve, radius)
        centres, _, radii = svg_outlines.discs(curve, radius, 4000)
        points = np.einsum("sk,nkd->nsd", svg_outlines.BERNSTEIN, pieces).reshape(-1, 2)
        depths.append(np.abs((radii - np.hypot(*(points[:, None] - centres).transpose(2, 0, 1))).max(1)))
    assert np.quantile(np.concatenate(depths), 0.98) < svg_outlines.TOLERANCE
    assert max(depth.max() for depth in depths) < 0.2
