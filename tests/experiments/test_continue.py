"""Going on with a saved painting from the command line, and plug-ins of the current folder."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from experiments import cli
from experiments import repaint as script
from experiments.repaint import Config, repaint
from painter import Painting
from painter.selection import select_strokes
from renderer.errors import InputError
from renderer.strokes import BEZIER
from tests.experiments.test_outputs import picture

SMALL: dict[str, Any] = {"size": 48, "video": False, "steps": 6}


@pytest.fixture
def begun(tmp_path: Path, agent: str) -> tuple[str, str]:
    """An image and the strokes of a painting of it."""
    source = picture(tmp_path / "face.png")
    repaint(Config((source,), str(tmp_path / "begun"), strokes=20, agent=agent, output_size=48, **SMALL))
    return source, str(tmp_path / "begun" / "face" / "strokes.safetensors")


def go_on(source: str, start: str, out: Path, **options: Any) -> Path:
    """The folder of the result, with an image of the working size."""
    repaint(Config((source,), str(out), start=start, output_size=48, **{**SMALL, "size": None, **options}))
    return out / "face"


def pixels(folder: Path) -> np.ndarray:
    return np.asarray(Image.open(folder / "painting.png")).astype(int)


@pytest.mark.parametrize("method", ["agent", "optimize", "hybrid", "lines"])
def test_nothing_changes_outside_a_mask(tmp_path: Path, agent: str, begun: tuple[str, str], method: str) -> None:
    mask = np.zeros((32, 48), np.uint8)
    mask[8:24, 12:36] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    options = {"mask": str(tmp_path / "mask.png"), "strokes": 8, "method": method, "agent": agent}
    folder = go_on(*begun, tmp_path / "out", **options)
    before, after = pixels(Path(begun[1]).parent), pixels(folder)
    assert np.array_equal(before[mask == 0], after[mask == 0])
    assert not np.array_equal(before, after)
    assert len(Painting.load(folder / "strokes.safetensors").strokes) == 28


def test_locked_strokes_stay_and_the_others_improve(tmp_path: Path, begun: tuple[str, str]) -> None:
    before = Painting.load(begun[1])
    folder = go_on(*begun, tmp_path / "out", method="optimize", strokes=0, lock="0:12")
    after = Painting.load(folder / "strokes.safetensors")
    assert torch.equal(after.strokes[:12], before.strokes[:12])
    assert not torch.equal(after.strokes[12:], before.strokes[12:])
    assert (after.provenance["lock"], after.provenance["start"]) == ("0:12", "strokes.safetensors")
    colour = "#" + "".join(f"{round(255 * c):02x}" for c in BEZIER.get(before.strokes, "colour")[5].tolist())
    folder = go_on(*begun, tmp_path / "colour", method="optimize", strokes=0, lock=colour)
    assert torch.equal(Painting.load(folder / "strokes.safetensors").strokes[5], before.strokes[5])


def test_unfinished_work_is_gone_on_with(tmp_path: Path, agent: str, begun: tuple[str, str]) -> None:
    painting = Painting.load(begun[1])
    painting.provenance["unfinished"] = True
    painting.save(tmp_path / "stopped.safetensors")
    folder = go_on(begun[0], str(tmp_path / "stopped.safetensors"), tmp_path / "out", strokes=5, agent=agent)
    after = Painting.load(folder / "strokes.safetensors")
    assert torch.equal(after.strokes[:20], painting.strokes)
    assert len(after.strokes) == 25
    assert "unfinished" not in after.provenance
    assert {path.name for path in folder.iterdir()} == {"painting.png", "painting.svg", "strokes.safetensors"}


def test_the_brush_of_the_painting_goes_on(tmp_path: Path, agent: str) -> None:
    source = picture(tmp_path / "face.png")
    options: dict[str, Any] = {**SMALL, "agent": agent, "output_size": 48}
    repaint(Config((source,), str(tmp_path / "ink"), strokes=4, renderer="ink", **options))
    folder = go_on(source, str(tmp_path / "ink/face/strokes.safetensors"), tmp_path / "out", strokes=2, agent=agent)
    assert Painting.load(folder / "strokes.safetensors").provenance["brush"] == "ink"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--mask", "mask.png"], "--mask requires --start"),
        (["--lock", "0:3"], "--lock requires --start"),
        (["--start", "nothing.safetensors"], "There is no painting nothing.safetensors"),
        (["--start", "START", "--size", "64"], "--size is not for --start"),
        (["--start", "START", "--lock", "3:x"], "0:100"),
        (["--start", "START", "--lock", "90:99"], "of 20"),
        (["--start", "START", "--mask", "nothing.png"], "There is no image nothing.png"),
        (["--start", "START", "--strokes", "-1"], "--strokes"),
        (["--loss", "perceptual"], "optimize and hybrid"),
        (["--method", "optimize", "--loss", "beauty"], "module:function"),
        (["--renderer", "nonesuch"], "choose one of exact"),
    ],
)
def test_bad_options(
    tmp_path: Path,
    agent: str,
    begun: tuple[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    words: str,
) -> None:
    given = [begun[1] if option == "START" else option for option in options]
    arguments = [begun[0], "--out", str(tmp_path / "out"), "--agent", agent, *given]
    with pytest.raises(SystemExit) as stopped:
        cli.run(repaint, Config, script.__doc__, arguments=arguments)
    assert stopped.value.code == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert words in last
    assert "kaokore" not in last.replace("kaokore-painter", "")  # a brush is none of the classifiers' checkpoints


PLUGINS = """
from pathlib import Path

import torch

from renderer.brushes.bezier import AnalyticBezier
from renderer.strokes import BEZIER

class MyBrush(AnalyticBezier):
    def __init__(self):
        super().__init__(discs=8)

def redness(canvas, target):
    Path("loss.txt").touch()
    return (canvas[:, 1:] ** 2).mean((1, 2, 3))

class MyAgent:
    def __init__(self, brush, device, planning):
        pass

    def __call__(self, canvas, target, count, *, constraints=None):
        Path("agent.txt").touch()
        yield canvas, BEZIER.sample(count, torch.Generator().manual_seed(0))
"""


def test_plug_ins_of_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = picture(tmp_path / "face.png")
    (tmp_path / "my_plugins_here.py").write_text(PLUGINS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend("")  # as with `python -m`
    common = [source, "--out", "out", "--size", "16", "--strokes", "4", "--steps", "3", "--no-video", "--json"]
    for options in (
        ["--method", "optimize", "--renderer", "my_plugins_here:MyBrush", "--loss", "my_plugins_here:redness"],
        ["--method", "agent", "--agent", "my_plugins_here:MyAgent"],
    ):
        cli.run(repaint, Config, arguments=[*common, "--output-size", "16", *options])
    assert (tmp_path / "loss.txt").exists()
    assert (tmp_path / "agent.txt").exists()
    loss = Painting.load("out/face/strokes.safetensors")
    assert loss.provenance["loss"] == "my_plugins_here:redness"
    assert loss.provenance["renderer"] == "my_plugins_here:MyBrush"


def test_strokes_are_selected_by_number_and_colour() -> None:
    strokes = torch.full((5, BEZIER.width), 0.5)
    colours = torch.tensor([[1.0, 0, 0], [0.95, 0.05, 0], [0, 0, 1], [0, 0, 0], [1, 1, 1]])
    painting = Painting(BEZIER.put(strokes, "colour", colours), BEZIER, 8, 8)
    wanted = {
        "0:2": [0, 1], "-2:": [3, 4], ":1": [0], "3": [3], "-1": [4], "#ff0000": [0, 1], "#00ff00": [],
    }  # fmt: skip
    for text, indices in wanted.items():
        assert select_strokes(painting, text).nonzero()[:, 0].tolist() == indices
    assert select_strokes(painting, "#ff0000", 0.01).nonzero()[:, 0].tolist() == [0]
    for text in ("", ":", "a", "1:2:3", "5", "7:9", "#red"):
        with pytest.raises(InputError):
            select_strokes(painting, text)
