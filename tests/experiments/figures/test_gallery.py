"""The gallery's page, sheets and videos; looks that are not painted again are kept."""

import dataclasses
import json
from pathlib import Path

import pytest
from PIL import Image

from experiments.figures import gallery as script
from experiments.figures.gallery import LOOKS, Config, Look, gallery
from kaokore import KaoKore
from renderer.brush import load_brush
from renderer.constraints import StrokeConstraints
from renderer.errors import InputError
from tests.renderer.brushes.test_mypaint import engine


def config(root: Path, out: Path, *looks: str) -> Config:
    faces = tuple(KaoKore(root, split="dev", target="none").ids[:2])
    return Config(str(root), faces, 1, looks, size=32, shown=40, video_size=32, steps=2, out=str(out))


@engine
@pytest.mark.slow
def test_page_sheets_and_videos(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(script, "LOOKS", [dataclasses.replace(look, strokes=30) for look in LOOKS])
    out = gallery(config(root, tmp_path / "gallery.md", "flat"))
    folder = tmp_path / "images" / "gallery"
    with Image.open(folder / "flat.jpg") as sheet:
        assert sheet.size == (48, 2 * 44 + 4)
    assert (folder / "flat.mp4").stat().st_size > 500
    text = out.read_text()
    assert "## Flat" in text
    assert "CC BY-SA" in text
    assert "## Watercolour" not in text
    # Another look is added to the page; the first keeps its figures.
    first = json.loads((folder / "figures.json").read_text())["flat"]
    gallery(config(root, out, "watercolour"))
    text = out.read_text()
    assert text.index("## Watercolour") < text.index("## Flat")
    assert json.loads((folder / "figures.json").read_text())["flat"] == first
    assert f"MSE to the faces: {first['mse']:.4f}; " in text


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: look.name)
def test_every_look_can_be_painted(look: Look) -> None:
    assert load_brush(look.brush).space.width in (14, 15)
    StrokeConstraints(min_radius=look.min_radius, max_radius=look.max_radius)
    assert f"--strokes {look.strokes}" in look.options()


def test_invalid_options(root: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="masses-and-ink"):
        gallery(config(root, tmp_path / "gallery.md", "oil"))
    with pytest.raises(InputError, match="from 0 to 0"):
        gallery(Config(str(root), ("1",), 1, out=str(tmp_path / "gallery.md")))
