"""Papers and grounds are reproducible, level on average, and the same sheet at every size."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from renderer.errors import InputError
from renderer.material.grounds import GROUND_COLOURS, gold
from renderer.material.noise_tiles import Array, canvas_field
from renderer.material.papers import (
    PHOTOGRAPH,
    Sheet,
    check_paper,
    embedded_paper,
    make_sheet,
    paper_names,
    register_paper,
)

SIZE = (320, 400)


def smoothed(field: Array, size: tuple[int, int]) -> Array:
    """At `size`, without what only the larger of two sizes can show."""
    return cv2.GaussianBlur(cv2.resize(field, size[::-1], interpolation=cv2.INTER_AREA), (0, 0), 2.0)


@pytest.mark.parametrize("name", [name for name in paper_names() if name != "none"])
def test_a_paper_is_the_same_sheet_at_every_size(name: str) -> None:
    sheet, again, larger = make_sheet(name, SIZE, 3), make_sheet(name, SIZE, 3), make_sheet(name, (960, 1200), 3)
    assert sheet.relief.shape == SIZE
    assert np.array_equal(sheet.relief, again.relief)
    assert abs(float(sheet.relief.mean())) < 0.05
    assert 0.8 < float(sheet.relief.std()) < 1.2
    assert float(sheet.tint.min()) > 0.7
    assert float(sheet.tint.max()) <= 1
    assert sheet.depth > 0
    if name != "canvas":  # whose threads are finer than 2 pixels at the smaller size
        same = np.corrcoef(smoothed(sheet.relief, SIZE).ravel(), smoothed(larger.relief, SIZE).ravel())[0, 1]
        assert same > 0.8
    other = make_sheet(name, SIZE, 4)
    assert np.corrcoef(sheet.relief.ravel(), other.relief.ravel())[0, 1] < 0.9


def test_no_paper_is_white_and_flat() -> None:
    sheet = make_sheet("none", SIZE)
    assert not sheet.relief.any()
    assert (sheet.tint == 1).all()


def test_gold_has_its_mean_colour() -> None:
    ground = gold(SIZE, 1)
    assert ground.colour.shape == (*SIZE, 3)
    assert np.allclose(ground.colour.mean((0, 1)), GROUND_COLOURS["gold"], atol=0.05)
    assert ground.tilt.shape == (*SIZE, 2)
    assert np.array_equal(ground.colour, gold(SIZE, 1).colour)


def test_a_field_shows_no_lattice() -> None:
    """No frequency stands out of its neighbourhood, as the lattice of interpolated noise would."""
    field = canvas_field((512, 512), 0.01, 0)  # cells of 5.12 pixels: their frequency is row and column 100
    power = np.abs(np.fft.fft2(field * np.outer(np.hanning(512), np.hanning(512)))) ** 2
    for row, column in ((0, 100), (100, 0), (100, 100)):
        around = power[np.ix_(np.arange(row - 6, row + 7) % 512, np.arange(column - 6, column + 7) % 512)]
        assert around[4:9, 4:9].max() < 8 * np.median(around) + 1e-6 * power.max()
    assert abs(float(field.std()) - 1) < 0.15


def test_a_photographed_paper_travels_as_text(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(180, 250, (60, 90, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "paper.png")
    text = embedded_paper(str(tmp_path / "paper.png"))
    check_paper(text)
    sheet = make_sheet(text, (100, 400))  # wider than the photograph: mirrored
    assert sheet.relief.shape == (100, 400)
    assert sheet.tint.shape == (100, 400, 3)
    assert np.array_equal(sheet.relief, make_sheet(text, (100, 400)).relief)


@pytest.mark.parametrize("text", ["vellum", PHOTOGRAPH, PHOTOGRAPH + "AAAA", PHOTOGRAPH + "é", "../paper.png"])
def test_what_is_no_paper(text: str) -> None:
    with pytest.raises(InputError):
        make_sheet(text, SIZE)


def test_a_paper_of_ones_own() -> None:
    register_paper("lines", lambda size, seed: Sheet(np.ones(size, np.float32), np.ones((1, 1, 3), np.float32), 0.001))
    assert make_sheet("lines", (4, 5)).relief.shape == (4, 5)
    assert "lines" in paper_names()
