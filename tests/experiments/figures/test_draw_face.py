from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from experiments.figures.draw_face import Config, draw_face, face
from renderer.errors import InputError

SHIPPED = Path(__file__).parents[3] / "docs" / "images" / "hikime.png"


def test_a_seed_determines_the_image() -> None:
    first = face(48, seed=3)
    assert first.shape == (48, 48, 3)
    assert first.dtype == np.uint8
    np.testing.assert_array_equal(first, face(48, seed=3))
    for other in (4, 7):  # other robes; the same robes on another background
        assert np.abs(first.astype(int) - face(48, seed=other)).mean() > 1


def test_size_changes_only_the_resolution() -> None:
    large = Image.fromarray(face(128, seed=0)).resize((64, 64), Image.Resampling.BOX)
    assert np.abs(np.asarray(large).astype(int) - face(64, seed=0)).mean() < 6


def test_the_script_writes_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = draw_face(Config(out=str(tmp_path / "new" / "face.png"), size=32))
    with Image.open(out) as picture:
        assert picture.size == (32, 32)
    assert [path.name for path in out.parent.iterdir()] == ["face.png"]
    assert str(out) in capsys.readouterr().out


def test_the_shipped_image_is_reproduced() -> None:
    with Image.open(SHIPPED) as picture:
        shipped = np.asarray(picture)
    assert SHIPPED.stat().st_size < 400_000
    assert np.abs(shipped.astype(int) - face(Config.size, Config.seed)).mean() < 1


@pytest.mark.parametrize("options", [{"out": "face.jpg"}, {"size": 8}, {"size": 2000}, {"seed": -1}])
def test_invalid_options_are_reported_in_one_line(tmp_path: Path, options: dict) -> None:
    with pytest.raises(InputError, match=r"^[^\n]+\.$"):
        draw_face(Config(**{"out": str(tmp_path / "face.png"), **options}))
    assert not list(tmp_path.iterdir())
