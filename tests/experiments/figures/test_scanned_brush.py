"""The figure of a scanned brush, and made-up sheets of other brushes."""

from pathlib import Path

import pytest
from PIL import Image

from experiments.figures.made_up_sheet import Config as Sheet
from experiments.figures.made_up_sheet import made_up_sheet
from experiments.figures.scanned_brush import Config, scanned_brush
from experiments.scan_brush import Config as Scan
from experiments.scan_brush import scan_brush
from renderer.errors import InputError
from tests.renderer.brushes.test_mypaint import engine


def test_figure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    face = Path("docs/images/hikime.png").resolve()
    monkeypatch.chdir(tmp_path)
    made_up_sheet(Sheet("sheet.jpg", size=640, rows=3))
    scan_brush(Scan("sheet.jpg", "mine"))
    out = scanned_brush(Config(brush="mine", learned="liner", face=str(face), strokes=1, out="figure.jpg"))
    with Image.open(out) as picture:
        assert picture.size[0] > 1200
        low, high = picture.convert("L").getextrema()
    assert low < 40
    assert high > 250
    with pytest.raises(InputError, match=r"^--brush bezier should be a file of scan_brush\.$"):
        scanned_brush(Config(brush="bezier", learned="liner"))


@engine
def test_a_sheet_by_mypaint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sheet = made_up_sheet(Sheet(str(tmp_path / "sheet.png"), brush="mypaint:ink", size=640, rows=3))
    scan_brush(Scan(str(sheet), str(tmp_path / "mine")))
    assert "9 of 9 strokes" in capsys.readouterr().out


def test_errors(tmp_path: Path) -> None:
    for wrong in (Sheet(str(tmp_path / "sheet.txt")), Sheet(str(tmp_path / "a.png"), brush="bezier"), Sheet(size=1)):
        with pytest.raises(InputError, match=r"^[^\n]+\.$"):
            made_up_sheet(wrong)
