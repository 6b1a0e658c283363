from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from experiments.figures.fidelity_sheet import BANDS, MARGIN, TITLE, Config, fidelity_sheet, sheet
from renderer.brush import Mark, Window, load_brush
from renderer.brushes.bezier import BezierBrush, ExactBezier
from renderer.errors import InputError
from renderer.learned.learned_brush import LearnedBrush

SHIPPED = Path(__file__).parents[3] / "docs" / "images" / "fidelity.png"


def test_the_script_writes_the_same_file_twice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = (
        fidelity_sheet(Config(out=str(tmp_path / name / "sheet.png"), columns=2, side=24)).read_bytes()
        for name in ("one", "two")
    )
    assert first == second
    assert [path.name for path in (tmp_path / "one").iterdir()] == ["sheet.png"]
    assert str(tmp_path / "two" / "sheet.png") in capsys.readouterr().out


def test_reference_strokes_are_above_learned_ones() -> None:
    side, brush = 32, ExactBezier()
    picture = sheet(load_brush(), brush, torch.Generator().manual_seed(5), 1, side)
    stroke = brush.space.sample(1, torch.Generator().manual_seed(5))
    true = 255 * (1 - brush(stroke, (side, side)).alpha[0, 0].numpy())
    tiles = [
        picture[top : top + side, MARGIN : MARGIN + side] for top in (TITLE, TITLE + side + 4, TITLE + 2 * (side + 4))
    ]
    assert np.abs(tiles[0] - true).max() <= 0.51
    difference = np.abs(tiles[1].astype(float) - true)
    assert 0 < difference.mean() < 3
    assert np.abs((255 - tiles[2]) - (4 * difference).clip(max=255)).max() <= 5


def test_a_perfect_brush_has_no_difference() -> None:
    brush, side = ExactBezier(supersample=1), 24
    picture = sheet(brush, brush, torch.Generator().manual_seed(0), 1, side)
    band = len(picture) // len(BANDS)
    for top in range(TITLE + 2 * (side + 4), len(picture), band):
        assert (picture[top : top + side, MARGIN : MARGIN + side] == 255).all()


class Elsewhere(LearnedBrush, BezierBrush):
    """A perfect brush on another device, simulated by the meta device."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.empty(1, device="meta"))
        self.asked: list[str] = []

    def forward(self, strokes: torch.Tensor, size: tuple[int, int], window: Window | None = None) -> Mark:
        self.asked.append(strokes.device.type)
        return ExactBezier(1)(torch.zeros(strokes.shape), size)


def test_strokes_are_moved_to_the_device_of_the_network() -> None:
    network = Elsewhere()
    sheet(network, ExactBezier(1), torch.Generator().manual_seed(0), 1, 24)
    assert network.asked == ["meta"] * len(BANDS)


def test_the_shipped_sheet_has_the_shape_of_the_command() -> None:
    with Image.open(SHIPPED) as picture:
        size = picture.size
    assert size[0] == MARGIN + Config.columns * (Config.side + 4)
    assert SHIPPED.stat().st_size < 200_000


@pytest.mark.parametrize("options", [{"out": "sheet.jpg"}, {"columns": 0}, {"side": 4}, {"renderer": "nobody"}])
def test_invalid_options_are_reported_in_one_line(tmp_path: Path, options: dict) -> None:
    with pytest.raises(InputError, match=r"^[^\n]+\.$"):
        fidelity_sheet(Config(**{"out": str(tmp_path / "sheet.png"), **options}))
    assert not list(tmp_path.iterdir())
