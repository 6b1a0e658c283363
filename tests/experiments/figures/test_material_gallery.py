"""The gallery of materials: its page, sheets, film and light; what is painted already is used again."""

import json
from pathlib import Path

import pytest
from PIL import Image

from experiments.figures import material_gallery as script
from experiments.painting_options import PaintingOptions
from renderer.errors import InputError
from renderer.material import surface
from renderer.material.materials import material_names

DOCS = Path(__file__).parents[3] / "docs"


def test_page_sheets_and_film(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(surface, "LEAST_SHORT", 32)
    monkeypatch.setattr(
        script, "PLANS", dict.fromkeys(script.PLANS, PaintingOptions(method="optimize", strokes=2, steps=1))
    )
    work, out = tmp_path / "work", tmp_path / "page.md"
    names = ("coffee.png", "rocket.jpg")
    options = {"faces": (), "photographs": names, "close": (1,), "size": 64, "shown": 20, "cut": 24, "work": str(work)}
    config = script.Config(materials=("oil",), out=str(out), **options)  # type: ignore[arg-type]
    script.material_gallery(config)
    folder = tmp_path / "images/materials"
    with Image.open(folder / "oil.jpg") as sheet, Image.open(folder / "oil_100.jpg") as cut:
        assert sheet.size == (52, 28)
        assert cut.size == (32, 32)
    assert (folder / "light.jpg").is_file()
    assert (folder / "oil.mp4").stat().st_size > 500
    assert {path.name for path in work.iterdir()} >= {"coffee-broad.safetensors", "coffee-oil.jpg", "rocket-oil.jpg"}
    first = json.loads((folder / "figures.json").read_text())
    assert first["oil"]["seconds"] > 0
    monkeypatch.setattr(script, "_film_and_light", lambda *_: None)
    drawn = (work / "coffee-oil.jpg").stat().st_mtime_ns
    script.material_gallery(script.Config(materials=("oil", "ink"), out=str(out), **options))  # type: ignore[arg-type]
    assert (work / "coffee-oil.jpg").stat().st_mtime_ns == drawn
    assert json.loads((folder / "figures.json").read_text())["oil"] == first["oil"]
    assert out.read_text().index("## Oil") < out.read_text().index("## Ink")


def test_every_material_has_a_place() -> None:
    assert set(script.MATERIALS) <= set(material_names())
    assert {plan for plan, _ in script.MATERIALS.values()} == set(script.PLANS)


def test_invalid_options() -> None:
    with pytest.raises(InputError, match="no material 'mud' in the gallery"):
        script.material_gallery(script.Config(materials=("mud",)))
    with pytest.raises(InputError, match="has no picture none"):
        script.material_gallery(script.Config(faces=(), photographs=("none.png",)))
    with pytest.raises(InputError, match="takes numbers"):
        script.material_gallery(script.Config(faces=(), photographs=("coffee.png",)))


def test_the_page_in_the_documentation_shows_its_figures() -> None:
    figures = json.loads((DOCS / "images/materials/figures.json").read_text(encoding="utf-8"))
    shown = {name: script.Figures(**figures[name]) for name in script.MATERIALS if name in figures}
    assert (DOCS / "gallery_materials.md").read_text(encoding="utf-8") == script.page(
        shown, (DOCS / "images/materials/light.jpg").is_file()
    )
