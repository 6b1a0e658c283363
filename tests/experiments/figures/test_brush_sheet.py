from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from experiments.figures.brush_sheet import (
    CROWD,
    GAP,
    MARGIN,
    PAPER,
    Config,
    brush_sheet,
    measure,
    painterly_strokes,
    sheet,
)
from renderer.brushes.mypaint import MYPAINT, MyPaint
from renderer.errors import InputError
from tests.renderer.brushes.test_mypaint import engine


@engine
def test_the_script_writes_the_same_file_twice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny = Config(brushes=("ink", "charcoal"), columns=2, side=32, measure=True, strokes=4)
    first, second = (brush_sheet(replace(tiny, out=str(tmp_path / n / "b.png"))).read_bytes() for n in "ab")
    assert first == second
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b.png"]
    printed = capsys.readouterr().out
    assert str(tmp_path / "b" / "b.png") in printed
    assert printed.count("| charcoal | tanda/charcoal-03 |") == 2
    with Image.open(tmp_path / "a" / "b.png") as picture:
        assert picture.size == (MARGIN + 3 * (32 + GAP), 2 * (32 + GAP) + GAP)


@engine
def test_each_row_shows_its_brush() -> None:
    """The second row is not the first: each picture has ink on paper, the same strokes of another brush."""
    side = 48
    picture = sheet({name: MyPaint(name) for name in ("liner", "charcoal")}, 3, side, 0).astype(float) / 255
    rows = []
    for r in range(2):
        top = GAP + r * (side + GAP)
        tiles = [picture[top : top + side, x : x + side] for x in range(MARGIN, picture.shape[1], side + GAP)]
        assert len(tiles) == 4
        for tile in tiles[:3]:
            assert np.abs(tile[0, 0] - PAPER).max() < 0.01
            assert tile[side // 4 : 3 * side // 4, side // 4 : 3 * side // 4].min() < 0.6
        rows.append(np.stack(tiles))
    assert np.abs(rows[0] - rows[1]).mean() > 0.01
    assert np.ptp(rows[0][3], axis=2).max() > 0.3, "the crowd is in colours"


def test_painterly_strokes_are_on_the_canvas_and_of_all_sizes() -> None:
    strokes = painterly_strokes(CROWD, torch.Generator().manual_seed(0))
    assert ((strokes >= 0) & (strokes <= 1)).all()
    radius = MYPAINT.get(strokes, "radius")
    assert radius.min() == pytest.approx(0.006, rel=0.01)
    assert radius.max() == pytest.approx(0.072, rel=0.01)
    assert (MYPAINT.get(strokes, "pressure")[:, 1] >= 0.7).all()


@engine
def test_measurements_of_noise_and_colour() -> None:
    liner, charcoal, dabs = (measure(name, MyPaint(name), 8, 0) for name in ("liner", "charcoal", "impressionist"))
    assert liner["other seed"] == "0.000"
    assert float(charcoal["other seed"]) > 0.03
    assert float(charcoal["other size"]) < float(charcoal["other seed"]) / 3
    assert {row["alpha of colour"] for row in (liner, charcoal, dabs)} == {"no"}
    assert liner["colour shift"] == charcoal["colour shift"] == "flat"
    assert float(dabs["colour shift"]) > 0
    assert liner["licence"] == "CC0"
    reach, width, peak = map(float, liner["p 1: reach, width, peak"].split(", "))
    assert (reach, width, peak) == pytest.approx((1, 1, 1), abs=0.1), "the liner is as wide as its radius"
    assert list(liner) == list(dabs), "rows of one table"


@pytest.mark.parametrize(
    "options",
    [{"out": "b.jpg"}, {"columns": 0}, {"side": 4}, {"side": 5000}, {"brushes": ()}, {"brushes": ("nobody",)}],
)
def test_invalid_options_are_reported_in_one_line(tmp_path: Path, options: dict) -> None:
    with pytest.raises(InputError, match=r"^[^\n]+\.$"):
        brush_sheet(Config(**{"out": str(tmp_path / "b.png"), **options}))
    assert not list(tmp_path.iterdir())
