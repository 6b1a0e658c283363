"""Tables, contact sheets and plots of the figures."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.utils import make_grid

from experiments.figures.elements import contact_sheet, markdown_table, plot_curves, png_path
from renderer.errors import InputError
from renderer.io.images import write_png


def test_equal_images_are_arranged_as_torchvision_does() -> None:
    images = torch.rand(6, 3, 5, 7)
    rows = [list(images[:3]), list(images[3:])]
    assert torch.equal(contact_sheet(rows, gap=2), make_grid(images, 3, padding=2, pad_value=1.0))


def test_rows_and_columns_of_images_of_varying_size() -> None:
    images = [torch.full((3, *size), 0.5) for size in ((4, 6), (2, 3), (8, 5))]
    sheet = contact_sheet([images[:2], images[2:]], gap=1, margin=10, top=3)
    assert sheet.shape == (3, 3 + 5 + 9, 10 + 2 * 7)
    inside = torch.zeros(sheet.shape[1:], dtype=torch.bool)
    inside[3:7, 10:16] = inside[3:5, 17:20] = inside[8:16, 10:15] = True
    assert torch.equal(sheet[0] == 0.5, inside)
    assert torch.equal(sheet == 1, ~inside.expand(3, -1, -1))


def test_a_table_has_equal_columns() -> None:
    lines = markdown_table(["a", "b", "c"], [["1", "", "3"], ["", "2", ""]]).splitlines()
    assert lines == ["| a | b | c |", "| --- | --- | --- |", "| 1 |  | 3 |", "|  | 2 |  |"]


def test_a_plot_replaces_an_older_file(tmp_path: Path) -> None:
    (tmp_path / "plot.png").write_text("older")
    plot_curves([("one", [1, 2, 3], [0.1, 0.2, 0.3]), ("one", [1, 2], [1.0, 2.0])], tmp_path / "plot.png", xlabel="x")
    assert [path.name for path in tmp_path.iterdir()] == ["plot.png"]
    with Image.open(tmp_path / "plot.png") as image:
        assert len(image.convert("RGB").getcolors(1_000_000)) > 10
    with pytest.raises(InputError, match="Cannot write"):
        plot_curves([("one", [1], [1.0])], tmp_path / "plot.png" / "below.png")


def test_pngs_of_arrays_and_of_few_colours(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (12, 9, 3), np.uint8)
    write_png(pixels, tmp_path / "all.png", optimize=True)
    write_png(pixels, tmp_path / "few.png", colours=4)
    with Image.open(tmp_path / "all.png") as image:
        np.testing.assert_array_equal(np.asarray(image), pixels)
    with Image.open(tmp_path / "few.png") as image:
        assert len(image.convert("RGB").getcolors()) <= 4
    with pytest.raises(InputError, match=r"\.png"):
        png_path("sheet.jpg")
