"""Lines for plotters: an SVG that vpype reads, and what vpype makes of it."""

import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch

from renderer.errors import InputError
from renderer.io import plotter
from renderer.io.painting import Painting
from renderer.io.svg_centre_lines import centre_lines, place_on
from renderer.strokes import BEZIER, MIXED, MYPAINT, Field, StrokeSpace

SVG = "{http://www.w3.org/2000/svg}"
LABEL = "{http://www.inkscape.org/namespaces/inkscape}label"
COLOURS = torch.tensor([[0.0, 0.0, 0.0], [1.0, 0.8, 0.0]])


def painting(space: StrokeSpace = BEZIER, n: int = 12) -> Painting:
    strokes = space.sample(n, torch.Generator().manual_seed(0))
    strokes[:, space.columns("opacity")] = 1
    strokes[:, space.columns("colour")] = COLOURS[torch.arange(n) % 2]
    return Painting(strokes, space, 30, 40)


@pytest.mark.parametrize("space", [BEZIER, MYPAINT, MIXED])
def test_a_layer_for_each_colour_and_pen(space: StrokeSpace) -> None:
    made = painting(space)
    root = ElementTree.fromstring(centre_lines(made, (200, 200), (15, 75)))
    assert (root.attrib["width"], root.attrib["viewBox"]) == ("200mm", "0 0 200 200")
    labels = [layer.attrib[LABEL] for layer in root]
    expected = ["1 #ffcc00 75 mm", "2 #ffcc00 15 mm", "3 #000000 75 mm", "4 #000000 15 mm"]
    assert labels == expected, "light colours first"
    found = {}
    for layer in root:
        assert layer.attrib["fill"] == "none"
        for path in layer:
            assert path.tag == f"{SVG}path"
            assert re.fullmatch(r"M[\d.]+ [\d.]+Q[\d.]+ [\d.]+ [\d.]+ [\d.]+", path.attrib["d"]), "one open curve"
            found[path.attrib["id"]] = layer.attrib["stroke"], float(layer.attrib["stroke-width"])
    assert sorted(found) == [f"stroke-{i:04}" for i in range(1, 13)]
    diameter = 2 * space.get(made.strokes, "radius").mean(1) * 150  # mm
    for i in range(12):
        colour, pen = found[f"stroke-{i + 1:04}"]
        assert colour == ("#000000", "#ffcc00")[i % 2]
        assert pen == (15 if diameter[i] < (15 * 75) ** 0.5 else 75)


def test_places() -> None:
    stroke = BEZIER.default_strokes(1)
    for name, value in (("start", (0.0, 0.0)), ("bend", (1.0, 0.0)), ("end", (1.0, 1.0))):
        stroke[:, BEZIER.columns(name)] = torch.tensor(value)
    text = centre_lines(Painting(stroke, BEZIER, 30, 40), (200, 200))
    assert 'd="M0.00 25.00Q200.00 25.00 200.00 175.00"' in text, "in the middle of the sheet"
    assert place_on(painting()).canvas == (300, 225)


def test_faint_strokes_are_no_lines() -> None:
    made = painting()
    made.strokes[0, BEZIER.columns("opacity")] = 0.2
    made.strokes[1, BEZIER.columns("radius")] = 0
    assert re.findall(r'id="stroke-(\d+)"', centre_lines(made)).count("0001") == 0
    assert centre_lines(made).count("<path") == 10
    assert "<path" not in centre_lines(painting(n=0))


def test_what_cannot_be() -> None:
    for pens in ((), (0,), (101,), (float("nan"),)):
        with pytest.raises(InputError, match=r"^Pens are"):
            centre_lines(painting(), pens=pens)
    with pytest.raises(InputError, match=r"^A canvas is"):
        centre_lines(painting(), (5, 100))
    space = StrokeSpace("dots", (Field("at", 2, 0, 1, ""), Field("colour", 3, 0, 1, "")))
    with pytest.raises(InputError, match="have no start"):
        centre_lines(Painting(torch.rand(2, 5), space, 30, 40))


def test_vpype_reads_it(tmp_path: Path) -> None:
    painting().export(tmp_path / "a.svg", centre_lines=True, canvas=(200, 200), pens=(15, 75))
    program = [sys.executable, "-c", "from vpype_cli import cli; cli()", "read", str(tmp_path / "a.svg"), "stat"]
    text = subprocess.run(program, capture_output=True, text=True, check=True).stdout
    assert "Layer count: 4" in text
    assert re.findall(r"Path count: (\d+)", text)[-1] == "12"
    assert "svg_stroke: '#ffcc00'" in text
    width, _ = re.search(r"vp_page_size: \(([\d.]+), ([\d.]+)\)", text).groups()
    assert float(width) == pytest.approx(200 * 96 / 25.4, abs=0.01)


def test_g_code(tmp_path: Path) -> None:
    made = painting()
    made.export(tmp_path / "a.gcode", canvas=(200, 150))
    lines = (tmp_path / "a.gcode").read_text().splitlines()
    assert lines[:3] == ["G21", "G17", "G90"]  # mm, absolute
    moves = [re.match(r"G0[01] X([-\d.]+) Y([-\d.]+)", line) for line in lines]
    points = np.array([[float(value) for value in move.groups()] for move in moves if move])
    ends = torch.cat((BEZIER.get(made.strokes, "start"), BEZIER.get(made.strokes, "end"))).numpy() * [200, 150]
    ends[:, 1] = 150 - ends[:, 1]  # up is positive
    for end in ends:
        assert np.abs(points - end).max(1).min() < 0.1
    assert [path.name for path in tmp_path.iterdir()] == ["a.gcode"]


@pytest.mark.parametrize("canvas", [(180, 240), (240, 180), (390, 250), None])
def test_hpgl(tmp_path: Path, canvas: tuple[float, float] | None) -> None:
    painting().export(tmp_path / "a.hpgl", canvas=canvas)
    text = (tmp_path / "a.hpgl").read_text()
    assert text.startswith("IN;")
    assert text.count("PD") >= 10
    assert text.count("SP") >= 3  # pens


def test_what_a_plotter_cannot_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="255x395 mm at most, not 500x500"):
        painting().export(tmp_path / "a.hpgl", canvas=(500, 500))
    monkeypatch.setattr(plotter, "TOLERANCE", "nonsense")
    with pytest.raises(InputError, match=r"^vpype could not write [^\n]*\.$"):
        painting().export(tmp_path / "a.hpgl")
    monkeypatch.setattr(plotter.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"^Plotter files need vpype: pip install .*\[plotter\]'\.$"):
        painting().export(tmp_path / "a.gcode")
    assert not list(tmp_path.iterdir())
