"""The command that writes a painting for other programs."""

import re
import sys
from pathlib import Path

import pytest
import torch
from pyora import Project

from experiments.cli import run
from experiments.export import Config, export
from renderer.errors import InputError
from renderer.io.painting import Painting
from renderer.strokes import BEZIER


@pytest.fixture(scope="module")
def strokes(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("painting") / "strokes.safetensors"
    Painting(BEZIER.sample(9, torch.Generator().manual_seed(0)), BEZIER, 24, 32).save(path)
    return str(path)


@pytest.mark.parametrize("suffix", ["ora", "psd", "svg", "ORA"])
def test_layers(tmp_path: Path, strokes: str, suffix: str, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "new" / f"a.{suffix}"
    assert export(Config(strokes, str(out), size=64, layer_strokes=4)) == out
    assert [path.name for path in out.parent.iterdir()] == [out.name]
    assert capsys.readouterr().out == f"Wrote {out}: 9 strokes.\n"
    if suffix.lower() == "ora":
        assert len(list(Project.load(str(out)).iter_layers)) == 4


@pytest.mark.parametrize("suffix", ["svg", "hpgl", "gcode"])
def test_plots(tmp_path: Path, strokes: str, suffix: str, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / f"lines.{suffix}"
    assert export(Config(strokes, str(out), colours=3, centre_lines=True, canvas_size="200x150", pens=(1, 5))) == out
    assert capsys.readouterr().out == f"Wrote {out}: 9 strokes as lines for pens of 1, 5 mm.\n"
    if suffix == "svg":
        assert len(set(re.findall(r'stroke="(#\w+)"', out.read_text()))) == 3


@pytest.mark.parametrize("suffix", ["html", "csv", "json"])
def test_plans(tmp_path: Path, strokes: str, suffix: str, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / f"plan.{suffix}"
    assert export(Config(strokes, str(out), plan=suffix == "html", colours=3, canvas_size="300x400")) == out
    assert re.fullmatch(rf"Wrote {out}: \d strokes in 3 colours and \d loads of paint .*\n", capsys.readouterr().out)
    assert out.stat().st_size > 500


def test_a_page_that_plays(tmp_path: Path, strokes: str, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "face.html"
    assert export(Config(strokes, str(out))) == out
    assert capsys.readouterr().out == f"Wrote {out}: 9 strokes.\n"
    assert "<title>face</title>" in out.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "options",
    [
        {"out": "a.bmp"},
        {"out": "a"},
        {"size": 0},
        {"size": 16_385},
        {"renderer": "nobody"},
        {"layer_strokes": 0},
        {"out": "a.html", "plan": True, "colours": 1},
        {"out": "a.ora", "plan": True},
        {"out": "a.html", "centre_lines": True},
        {"out": "a.hpgl", "colours": 0},
        {"out": "a.hpgl", "canvas_size": "900x900"},
        {"out": "a.svg", "centre_lines": True, "pens": (0,)},
        {"out": "a.html", "canvas_size": "300x400"},
        {"out": "a.html", "plan": True, "canvas_size": "300"},
        {"out": "a.html", "plan": True, "canvas_size": "0x400"},
        {"out": "a.html", "plan": True, "canvas_size": "3.0.0x400"},
        {"strokes": "missing.safetensors"},
        {"strokes": __file__},
    ],
)
def test_impossible_options_are_one_line(tmp_path: Path, strokes: str, options: dict) -> None:
    options = {"strokes": strokes, "out": "a.ora", **options}
    options["out"] = str(tmp_path / options["out"])
    with pytest.raises(InputError, match=r"^[^\n]+\.$"):
        export(Config(**options))
    assert not list(tmp_path.iterdir())


def test_command_line(
    tmp_path: Path, strokes: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["export", strokes, "--size", "16", "--out", str(tmp_path / "a.ora")])
    run(export, Config)
    assert (tmp_path / "a.ora").is_file()
    monkeypatch.setattr(sys, "argv", ["export", strokes, "--out", str(tmp_path / "a.xyz")])
    with pytest.raises(SystemExit) as stopped:
        run(export, Config)
    assert stopped.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1
