"""Images other than faces are painted as faces are."""

from pathlib import Path

import pytest
from PIL import Image

from experiments.figures.beyond import Config, beyond, example_images
from painter import Painter
from renderer.errors import InputError

IMAGES = example_images(64)


@pytest.mark.parametrize("name", IMAGES)
def test_the_agent_reduces_the_error(name: str) -> None:
    """With a hundred strokes, the error is a small part of the image's variance."""
    target, painter = IMAGES[name], Painter("agent")
    assert max(target.shape[1:]) == 64
    assert 0 <= target.min() <= target.max() <= 1
    image = painter.paint(target, strokes=100, size=64).render(brush=painter.brush)
    error, variance = (image - target).square().mean(), (target - target.mean((1, 2), True)).square().mean()
    most = 0.5 if name == "hubble deep field" else 0.15  # a thousand stars, a hundred strokes
    assert error < most * variance


def test_the_page_and_its_sheet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = beyond(Config(strokes=8, size=40, out=str(tmp_path / "beyond.md")))
    with Image.open(tmp_path / "images" / "beyond.jpg") as sheet:
        assert sheet.width == 3 * 48 + 8
    text = out.read_text()
    assert text.count("| 40 x") == len(IMAGES)
    assert all(f"| {name} |" in text for name in IMAGES)
    assert all(line in text for line in capsys.readouterr().out.splitlines() if line.startswith("|"))


def test_invalid_options(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--strokes"):
        beyond(Config(strokes=0, out=str(tmp_path / "beyond.md")))
