"""Edits of a saved painting from the command line."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from experiments import cli
from experiments import edit as script
from experiments.edit import Config, edit
from painter import Painting
from painter.editing import from_hls, to_hls
from painter.selection import least_important
from renderer.errors import InputError
from renderer.strokes import BEZIER

RED, BLUE, DARK_RED = (0.8, 0.1, 0.1), (0.1, 0.1, 0.8), (0.75, 0.05, 0.05)


@pytest.fixture
def painting(tmp_path: Path) -> Painting:
    """Four strokes: a large red one, a blue one, a dark red one, and a red one under no other that nobody sees."""
    strokes = BEZIER.sample(4, torch.Generator().manual_seed(1))
    strokes = BEZIER.put(strokes, "colour", torch.tensor([RED, BLUE, DARK_RED, RED]))
    strokes = BEZIER.put(strokes, "radius", torch.tensor([[0.2, 0.2], [0.05, 0.05], [0.1, 0.1], [0.02, 0.02]]))
    strokes = BEZIER.put(strokes, "opacity", torch.tensor([[1.0, 1], [1, 1], [1, 1], [0, 0]]))
    painting = Painting(strokes, BEZIER, 32, 48, provenance={"method": "agent"})
    painting.save(tmp_path / "strokes.safetensors")
    return painting


def edited(tmp_path: Path, **options: object) -> Painting:
    edit(Config(str(tmp_path / "strokes.safetensors"), str(tmp_path / "out.safetensors"), **options))  # type: ignore[arg-type]
    return Painting.load(tmp_path / "out.safetensors")


def colours(painting: Painting) -> torch.Tensor:
    return BEZIER.get(painting.strokes, "colour")


def test_recolour_keeps_shades(tmp_path: Path, painting: Painting) -> None:
    after = colours(edited(tmp_path, recolour=("#cc1a1a=#1acc1a",)))
    torch.testing.assert_close(after[0], torch.tensor([0.1, 0.8, 0.1]), atol=4e-3, rtol=0)
    torch.testing.assert_close(after[2], torch.tensor([0.05, 0.75, 0.05]), atol=4e-3, rtol=0)
    assert torch.equal(after[1], colours(painting)[1])
    narrow = colours(edited(tmp_path, recolour=("#cc1a1a=#1acc1a",), tolerance=0.01))
    assert torch.equal(narrow[2], colours(painting)[2])


def test_hue_and_lightness(tmp_path: Path, painting: Painting) -> None:
    after = colours(edited(tmp_path, hue=120.0))
    torch.testing.assert_close(after[0], torch.tensor([0.1, 0.8, 0.1]))
    after = colours(edited(tmp_path, lightness=0.2))
    torch.testing.assert_close(to_hls(after)[1], to_hls(colours(painting))[1] + 0.2)
    random = torch.rand(50, 3, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(from_hls(*to_hls(random)), random, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("options", "left"),
    [
        ({"remove": ("0:2",)}, [2, 3]),
        ({"remove": ("#cc1a1a",)}, [1]),
        ({"remove": ("1", "-1:")}, [0, 2]),
        ({"keep": ("1:3",)}, [1, 2]),
        ({"keep": ("1:", "0"), "remove": ("2",)}, [0, 1, 3]),
        ({"remove_least": 1}, [0, 1, 2]),
        ({"order": "size"}, [0, 2, 1, 3]),
        ({"order": "reverse"}, [3, 2, 1, 0]),
        ({"order": "lightness"}, [2, 0, 1, 3]),
        ({"order": "colour"}, [0, 2, 3, 1]),
    ],
)
def test_strokes_that_remain(tmp_path: Path, painting: Painting, options: dict[str, object], left: list[int]) -> None:
    after = edited(tmp_path, **options)
    assert torch.equal(after.strokes, painting.strokes[left])
    assert (after.size(), after.provenance) == (painting.size(), painting.provenance)


def test_the_least_important_strokes_change_least(painting: Painting) -> None:
    one, all_ = (least_important(painting, count) for count in (1, 4))
    assert one.tolist() == [False, False, False, True]
    assert all_.all()
    with pytest.raises(InputError, match="of 4 strokes"):
        least_important(painting, 5)


def test_an_image_of_the_edit(tmp_path: Path, painting: Painting, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "blue.png"
    edit(Config(str(tmp_path / "strokes.safetensors"), str(out), keep=("0",), background="#0000ff", size=48))
    shown = np.asarray(Image.open(out))
    assert shown.shape == (32, 48, 3)
    assert {tuple(colour) for colour in shown.reshape(-1, 3).tolist()} >= {(0, 0, 255), (204, 26, 26)}
    assert "1 of 4 strokes" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--recolour", "red"], "pairs such as"),
        (["--recolour", "#ff0000=blue"], "six digits"),
        (["--remove", "9"], "no strokes 9"),
        (["--remove-least", "9"], "of 4 strokes"),
        (["--tolerance", "2"], "--tolerance"),
        (["--lightness", "nan"], "--lightness"),
        (["--hue", "inf"], "--hue"),
        (["--background", "blue"], "six digits"),
        (["--out", "x.doc"], "should end in"),
        (["--order", "beauty"], "beauty"),
    ],
)
def test_bad_options(
    tmp_path: Path,
    painting: Painting,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    words: str,
) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.run(
            edit,
            Config,
            script.__doc__,
            arguments=[str(tmp_path / "strokes.safetensors"), "--out", str(tmp_path / "x.png"), *options],
        )
    assert stopped.value.code == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "x.png").exists()
