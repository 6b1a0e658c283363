"""The figures of layers and loads, at their smallest."""

from pathlib import Path

from PIL import Image

from experiments.figures.after_painting import Config, after_painting


def test_figures(tmp_path: Path) -> None:
    after_painting(Config(str(tmp_path), size=40, strokes=12))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["layers.png", "plan.png"]
    with Image.open(tmp_path / "layers.png") as image:
        assert image.size == (4 * 40 + 3 * 8, 40)
