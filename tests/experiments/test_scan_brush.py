"""From a photographed sheet of strokes to a brush; on made-up photographs."""

import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from experiments import scan_brush as command
from experiments.cli import run
from experiments.figures.made_up_sheet import Config as Sheet
from experiments.figures.made_up_sheet import bristles, made_up_sheet, photograph, rows_of_strokes
from experiments.scan_brush import Config, of_all_lengths, scan_brush
from renderer.brush import load_brush
from renderer.brushes.mypaint import MYPAINT
from renderer.brushes.scanned import ACROSS, CAP, Scanned
from renderer.brushes.stroke_sheet import SheetStroke, find_strokes, ink
from renderer.errors import InputError
from renderer.io.images import write_png
from tests.renderer.brush_contract import check_brush

SIZE = (480, 640)
ONE_LINE = r"^[^\n]+\.$"


def sheet(brush: Scanned, rows: int = 4, angle: float = 2.0, shade: float = 0.35, noise: float = 0.012) -> Tensor:
    return photograph(rows_of_strokes(rows), brush, SIZE, angle, shade, noise)


@pytest.fixture(scope="module")
def one() -> Scanned:
    """A brush of a single strip."""
    return Scanned("one", [bristles().strips[2]])


def likeness(stroke: SheetStroke, wanted: Tensor) -> float:
    """Mean absolute difference of alphas between a strip and the one that was drawn, whose body is stretched."""
    values, body = wanted.numpy(), (ACROSS, len(stroke.strip) - 2 * CAP)
    stretched = cv2.resize(values[CAP:-CAP], body, interpolation=cv2.INTER_AREA)
    whole = np.concatenate((values[:CAP], stretched, values[-CAP:])).astype(float)
    return float(np.abs(stroke.strip.numpy() - whole).mean() / 255)


@pytest.mark.parametrize(("angle", "shade"), [(0.0, 0.0), (3.0, 0.35), (-2.0, 0.6)])
def test_strokes_are_found_as_they_were_drawn(one: Scanned, angle: float, shade: float) -> None:
    """Whatever the light and the rotation; each strip is the one that the sheet was drawn with."""
    found = find_strokes(sheet(one, angle=angle, shade=shade))
    assert len(found) == 12
    strokes = rows_of_strokes(4)
    radius = 0.9 * float(MYPAINT.get(strokes, "radius")[0]) * SIZE[0]
    for stroke in found:
        assert stroke.radius == pytest.approx(radius, rel=0.1)
        assert likeness(stroke, one.strips[0]) < 0.1
        assert likeness(stroke, one.strips[0].flip(0)) > 0.2, "the measure sees a difference"


def test_centre_lines_lie_on_the_paths(one: Scanned) -> None:
    found, strokes = find_strokes(sheet(one, angle=0)), rows_of_strokes(4)
    t = np.linspace(0, 1, 200)[:, None]
    start, end, bend = (MYPAINT.get(strokes, name)[:, None].numpy() for name in ("start", "end", "bend"))
    curves = (start + (2 * t * (1 - t) * bend + t * t) * (end - start)) * (SIZE[1], SIZE[0])
    for stroke in found:
        distances = [np.hypot(*(stroke.path[:, None] - curve).transpose(2, 0, 1)).min(1).max() for curve in curves]
        assert min(distances) < 0.3 * stroke.radius


def test_paper_is_removed(one: Scanned) -> None:
    blank = photograph(rows_of_strokes(1)[:0], one, SIZE, 0, 0.6, 0.012)
    drawn = sheet(one, shade=0.6)
    alpha = ink(drawn)
    assert blank.amax((1, 2))[0] - blank.amin((1, 2))[0] > 0.3, "the light is uneven"
    assert alpha[:20].max() < 0.2
    assert alpha[:20].mean() < 0.005
    assert np.quantile(alpha, 0.97) > 0.8


def test_strokes_in_any_direction(one: Scanned) -> None:
    """Vertical ones begin above."""
    turned = sheet(one, angle=0).transpose(1, 2).flip(2)  # a quarter turn to the right
    found = find_strokes(turned)
    assert len(found) == 12
    for stroke in found:
        assert stroke.path[0, 1] < stroke.path[-1, 1]
        assert likeness(stroke, one.strips[0]) < 0.1


def test_a_shadow_and_a_dark_table(one: Scanned) -> None:
    """Neither a soft shadow over the sheet nor the table around it is ink."""
    image = sheet(one, angle=0).permute(1, 2, 0).numpy()
    y, x = np.mgrid[0 : SIZE[0], 0 : SIZE[1]]
    shadow = 1 - 0.4 / (1 + np.exp(-(x - 440 + 0.5 * y) / 24))
    shaded = (image * shadow[..., None]).astype(np.float32)
    on_table = cv2.copyMakeBorder(image, 30, 20, 25, 35, cv2.BORDER_CONSTANT, value=(0.35, 0.22, 0.15))
    for changed in (shaded, on_table):
        found = find_strokes(torch.from_numpy(changed).permute(2, 0, 1))
        assert len(found) == 12
        for stroke in found:
            assert likeness(stroke, one.strips[0]) < 0.12


def test_other_marks_are_left_out(one: Scanned) -> None:
    image = sheet(one, angle=0).permute(1, 2, 0).contiguous().numpy()
    cv2.circle(image, (320, 20), 12, (0.1, 0.1, 0.2), -1)  # a dab
    cv2.line(image, (520, 440), (600, 440), (0.1, 0.1, 0.2), 11)  # a stroke of another breadth, such as a lost bristle
    cv2.line(image, (0, 300), (0, 470), (0.1, 0.1, 0.2), 30)  # beyond the border
    for ends in (((320, 420), (320, 472)), ((294, 446), (346, 446))):  # a cross
        cv2.line(image, *ends, (0.1, 0.1, 0.2), 8)
    assert len(find_strokes(torch.from_numpy(image).permute(2, 0, 1))) == 12


def test_the_brush_is_made_and_keeps_the_contract(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    made_up_sheet(Sheet("sheet.jpg", size=640))
    Path("mine.png").write_bytes(b"of the user")
    for out in ("mine", "mine.safetensors"):
        assert scan_brush(Config("sheet.jpg", out)) == Path("mine.safetensors")
    assert Path("mine.png").read_bytes() == b"of the user"
    brush = load_brush("mine")
    assert isinstance(brush, Scanned)
    assert len(brush.strips) == 12
    check_brush(brush)
    with Image.open("mine-strokes.png") as picture:
        assert picture.size == (640, 2 * 480)
    scan_brush(Config("sheet.jpg", "few", strokes=2))
    assert len(load_brush("few").strips) == 2  # type: ignore[attr-defined]


def test_strokes_of_all_lengths_are_kept() -> None:
    lengths = [9, 5, 7, 6, 8]
    strokes = [SheetStroke(torch.zeros(n, 2), np.zeros((2, 2)), 1.0) for n in lengths]
    assert [len(stroke.strip) for stroke in of_all_lengths(strokes, 3)] == [5, 7, 9]
    assert [len(stroke.strip) for stroke in of_all_lengths(strokes, 9)] == [5, 6, 7, 8, 9]


def broken(tmp_path: Path, kind: str) -> Config:
    """Options that cannot be used."""
    path = tmp_path / "sheet.png"
    match kind:
        case "blank":
            write_png(photograph(rows_of_strokes(1)[:0], bristles(), SIZE, 0, 0.3, 0.012), path)
        case "small":
            strokes = rows_of_strokes(3)
            strokes[:, MYPAINT.columns("radius")] *= 0.15
            write_png(photograph(strokes, bristles(), SIZE, 0, 0.0, 0.0), path)
        case "dabs":
            strokes = rows_of_strokes(3)
            strokes[:, MYPAINT.columns("end")] = strokes[:, MYPAINT.columns("start")]
            write_png(photograph(strokes, Scanned("dab", [bristles().strips[0][:60]]), SIZE, 0, 0.3, 0.012), path)
        case "dark":
            write_png(torch.zeros(3, *SIZE), path)
        case "random":
            write_png(torch.rand(3, *SIZE, generator=torch.Generator().manual_seed(0)), path)
        case "tiny":
            write_png(torch.ones(3, 1, 1), path)
        case "text":
            path.write_text("not a picture")
    config = Config(str(path), str(tmp_path / "mine"))
    return replace(config, out=str(tmp_path / "no" / "mine")) if kind == "no folder" else config


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("blank", "no strokes"),
        ("small", "too small"),
        ("dabs", "None of the 9 marks"),
        ("dark", "strokes"),
        ("random", "strokes"),
        ("tiny", "strokes"),
        ("text", "sheet.png"),
        ("missing", "sheet.png"),
        ("no folder", "--out"),
    ],
)
def test_errors_are_one_line(tmp_path: Path, kind: str, words: str) -> None:
    with pytest.raises(InputError, match=ONE_LINE) as error:
        scan_brush(broken(tmp_path, kind))
    assert words in str(error.value)
    assert not (tmp_path / "mine.safetensors").exists()


def test_exit_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["scan_brush", str(tmp_path / "none.jpg")])
    with pytest.raises(SystemExit) as stop:
        run(scan_brush, Config, command.__doc__)
    assert stop.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1
