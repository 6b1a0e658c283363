"""Layered files, read by independent readers: pyora, psd-tools, ElementTree and Pillow."""

import io
import re
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from PIL import Image
from psd_tools import PSDImage
from pyora import Project

from renderer.brush import load_brush
from renderer.brushes.mixed import MIXED
from renderer.errors import InputError
from renderer.io.layered import draw_transparent, layers_of
from renderer.io.painting import Painting
from renderer.io.svg import to_svg
from renderer.strokes import BEZIER, MYPAINT

INKSCAPE = "{http://www.inkscape.org/namespaces/inkscape}"
ROUNDING = 2.5 / 255  # of three layers and the picture, at 8 bits


def painting(space=BEZIER, n=12, layers=(("masses", 7), ("lines", 5))) -> Painting:
    strokes = space.sample(n, torch.Generator().manual_seed(3))
    strokes[:, space.columns("radius")] *= 0.6
    provenance = {"layers": [list(layer) for layer in layers]} if layers else {}
    return Painting(strokes, space, 30, 40, (0.9, 0.8, 0.6), provenance)


def composited(layers: list[tuple[Image.Image, tuple[int, int]]], size: tuple[int, int]) -> np.ndarray:
    """Layers, the lowest first, blended normally by Pillow."""
    canvas = Image.new("RGBA", size)
    for image, offset in layers:
        placed = Image.new("RGBA", size)
        placed.paste(image, offset)
        canvas = Image.alpha_composite(canvas, placed)
    assert canvas.getextrema()[3] == (255, 255)
    return np.asarray(canvas.convert("RGB")) / 255


@pytest.fixture(params=["bezier", "ink", "flat+ink"])
def painted(request):
    """A painting and its brush."""
    brush = load_brush(request.param)
    return painting(brush.space), brush


def picture(made: Painting, size: int, brush) -> np.ndarray:
    return made.render(size, brush).permute(1, 2, 0).numpy()


def test_open_raster(tmp_path: Path, painted) -> None:
    made, brush = painted
    made.export(tmp_path / "a.ora", size=64, brush=brush)
    project = Project.load(str(tmp_path / "a.ora"))
    assert project.dimensions == (64, 48)
    layers = list(project.iter_layers)
    assert [layer.name for layer in layers] == ["background", "masses", "lines"]
    pixels = composited([(layer.get_image_data(), layer.offsets) for layer in layers], (64, 48))
    expected = picture(made, 64, brush)
    assert np.abs(pixels - expected).max() < ROUNDING
    without = composited([(layer.get_image_data(), layer.offsets) for layer in layers[:2]], (64, 48))
    assert np.abs(without - expected).max() > 0.1, "a missing layer would be noticed"
    merged = Image.open(io.BytesIO(Project.extract_composite(str(tmp_path / "a.ora"))))
    assert np.abs(np.asarray(merged) / 255 - expected).max() < 1 / 255


def test_open_raster_s_container(tmp_path: Path) -> None:
    for name in ("a", "b"):
        painting().export(tmp_path / f"{name}.ora", size=300)
    assert (tmp_path / "a.ora").read_bytes() == (tmp_path / "b.ora").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.ora") as archive:
        first = archive.infolist()[0]
        assert (first.filename, first.compress_type) == ("mimetype", zipfile.ZIP_STORED)
        assert archive.read("mimetype") == b"image/openraster"
        assert archive.testzip() is None
        with archive.open("Thumbnails/thumbnail.png") as file, Image.open(file) as thumbnail:
            assert thumbnail.size == (256, 192)
        stack = ElementTree.fromstring(archive.read("stack.xml"))[0]
        assert [layer.attrib["name"] for layer in stack] == ["lines", "masses", "background"], "the highest first"


def test_photoshop(tmp_path: Path, painted) -> None:
    made, brush = painted
    made.export(tmp_path / "a.psd", size=64, brush=brush)
    document = PSDImage.open(tmp_path / "a.psd")
    assert [layer.name for layer in document] == ["background", "masses", "lines"]
    pixels = composited([(layer.topil(), layer.offset) for layer in document], document.size)
    expected = picture(made, 64, brush)
    assert np.abs(pixels - expected).max() < ROUNDING
    assert np.abs(np.asarray(document.topil().convert("RGB")) / 255 - expected).max() < ROUNDING, "the preview"


def test_photoshop_without_its_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "psd_tools", None)
    with pytest.raises(InputError, match=r"^Photoshop documents need psd-tools: pip install .*\[psd\]'\.$"):
        painting().export(tmp_path / "a.psd")
    assert not list(tmp_path.iterdir())


def test_vectors(painted) -> None:
    made, brush = painted
    for drawn_with in {brush, None if made.space == BEZIER else brush}:
        root = ElementTree.fromstring(to_svg(made, 64, drawn_with))
        assert [layer.get(f"{INKSCAPE}label") for layer in root] == ["background", "masses", "lines"]
        assert {layer.get(f"{INKSCAPE}groupmode") for layer in root} == {"layer"}
        ids = [[shape.get("id", "") for shape in layer if shape.get("id", "").startswith("stroke")] for layer in root]
        assert ids[1] == [f"stroke-{i:04}" for i in range(1, 8)]
        assert ids[2] == [f"stroke-{i:04}" for i in range(8, 13)]


def test_an_invisible_stroke_has_no_element() -> None:
    made = painting()
    made.strokes[2, BEZIER.columns("opacity")] = 0
    ids = re.findall(r'id="(stroke-\d+)"', to_svg(made))
    assert len(ids) == 11
    assert "stroke-0003" not in ids


def test_layers() -> None:
    def names(made: Painting, every: int | None = None) -> list[tuple[str, int, int]]:
        return [(layer.name, layer.first, layer.end) for layer in layers_of(made, every)]

    assert names(painting()) == [("masses", 0, 7), ("lines", 7, 12)]
    assert names(painting(), 5) == [("strokes 1-5", 0, 5), ("strokes 6-10", 5, 10), ("strokes 11-12", 10, 12)]
    assert names(painting(n=0)) == []
    for wrong in ((("masses", 7),), (("masses", -1), ("lines", 13)), (("masses", "7"), ("lines", 5)), (7, 5)):
        made = painting(layers=None)
        made.provenance["layers"] = [list(part) if isinstance(part, tuple) else part for part in wrong]
        assert names(made) == [("strokes", 0, 12)]
    assert names(painting(layers=(('<"&', 12),))) == [("strokes", 0, 12)]
    mixture = painting(MIXED, layers=None)
    mixture.strokes[:, MIXED.columns("brush")] = (torch.arange(12) > 3).float()[:, None]
    assert names(mixture) == [("masses", 0, 4), ("lines", 4, 12)]
    mixture.strokes[0, MIXED.columns("brush")] = 1
    assert names(mixture) == [("strokes", 0, 12)]
    for every in (0, -1):
        with pytest.raises(InputError, match=r"^A layer has 1 stroke at least"):
            layers_of(painting(), every)
    with pytest.raises(InputError, match="more than 500 layers"):
        layers_of(painting(n=501, layers=None), 1)


def test_changed_strokes_have_no_old_layers() -> None:
    assert "layers" not in painting().edit(remove=[0]).provenance
    assert "layers" not in painting().edit(order=range(12)).provenance
    assert "layers" in painting().edit(background=(0.0, 0.0, 0.0)).provenance


def test_premultiplied_layers_compose() -> None:
    made, brush = painting(MYPAINT), load_brush("ink")
    canvas = torch.tensor(made.background)[:, None, None].expand(3, 30, 40)
    for part in (made.strokes[:7], made.strokes[7:]):
        layer = draw_transparent(part, (30, 40), brush)
        canvas = layer[:3] + (1 - layer[3]) * canvas
    torch.testing.assert_close(canvas, made.render(brush=brush), atol=1e-5, rtol=0)
