"""Training on MyPaint brushes. Most tests require the engine and are skipped without it."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from experiments import renderer_tasks
from experiments.figures.fidelity_sheet import Config as Sheet
from experiments.figures.fidelity_sheet import fidelity_sheet
from experiments.train_renderer import TINY, Config
from experiments.train_renderer import train_renderer as run_renderer
from renderer.brush import load_brush
from renderer.brushes.mypaint import find_brush
from renderer.errors import InputError
from renderer.io.checkpoint import Checkpoint
from renderer.learned.neural_brush import NeuralBrush
from tests.experiments.interruptions import stopped_and_resumed
from tests.renderer.brushes.test_mypaint import engine
from tests.renderer.brushes.test_scanned import brush as scanned

pytestmark = pytest.mark.usefixtures("small_sheets")
ONE_LINE = r"^[^\n]+\.$"


def tiny(runs: Path, **options: Any) -> Config:
    return dataclasses.replace(TINY, runs=str(runs), **{"brush": "charcoal", "steps": 3, **options})


@pytest.fixture(scope="module", params=["reconstruction", "gan", "vae"])
def whole(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, small_sheets: None
) -> tuple[Config, Path]:
    """Configuration and run folder of a training of each form."""
    config = tiny(tmp_path_factory.mktemp("runs"), form=request.param, minutes_between_saves=0.0)
    return config, run_renderer(config)


@engine
def test_every_form_writes_a_brush_that_can_be_loaded(whole: tuple[Config, Path]) -> None:
    config, folder = whole
    assert {"config.json", "samples.png", "state.safetensors"} <= {file.name for file in folder.iterdir()}
    about = Checkpoint.load(folder / "latest.safetensors", "neural-brush").about
    assert {"command", "commit", "seed", "alpha_mse", "alpha_mse_of_noise", "kernel_distance"} <= about.keys()
    assert about["alpha_mse_of_noise"] > 1e-4, "charcoal is stochastic"
    brush = load_brush(str(folder / "latest.safetensors"))
    assert isinstance(brush, NeuralBrush)
    assert brush.brush == "charcoal"
    assert brush.myb == find_brush("charcoal").read_text()
    assert (brush.grain is not None, brush.latent > 0) == (config.form == "gan", config.form == "vae")


@engine
def test_it_resumes_exactly(whole: tuple[Config, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    config, folder = whole
    stopped = stopped_and_resumed(monkeypatch, run_renderer, config, saves=2)
    first, second = (Checkpoint.load(path / "latest.safetensors") for path in (folder, stopped))
    assert first.hash() == second.hash()
    assert first.about["alpha_mse"] == second.about["alpha_mse"]


@engine
def test_a_brush_file(tmp_path: Path) -> None:
    (tmp_path / "mine.myb").write_text(find_brush("liner").read_text())
    folder = run_renderer(tiny(tmp_path / "runs", brush=str(tmp_path / "mine.myb"), steps=1))
    (tmp_path / "mine.myb").unlink()
    assert load_brush(str(folder / "latest.safetensors")).brush == "mine"  # type: ignore[attr-defined]
    sheet = fidelity_sheet(Sheet(str(tmp_path / "a.png"), str(folder / "latest.safetensors"), 1, 32))
    with Image.open(sheet) as picture:
        assert picture.size[0] > 32, "the reference brush draws, too"


def test_quick_and_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A scanned brush is learned without the engine; a copy with a short name paints."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(renderer_tasks, "QUICK", renderer_tasks.Plan(16, 2, 5, 0))
    scanned().save("scan.safetensors")
    folder = run_renderer(Config(brush="scan.safetensors", quick=True, out="learned", hidden=16, batch=8, runs="runs"))
    assert "python -m experiments.repaint face.jpg --renderer learned" in capsys.readouterr().out
    checkpoint = Checkpoint.load(folder / "latest.safetensors")
    assert checkpoint.about["steps"] == 2
    assert Checkpoint.load("learned.safetensors").hash() == checkpoint.hash()
    brush = load_brush("learned")
    assert brush.differentiable
    assert brush.provenance() == scanned().provenance(), "paintings are drawn by the scanned brush"
    assert Config(brush="ink", quick=True, steps=7).resolved() == renderer_tasks.Plan(16, 7, 5, 0)
    assert Config(brush="ink", form="vae", workers=3).resolved() == renderer_tasks.Plan(100_000, 10_000, 2000, 3)


@pytest.mark.parametrize(
    "options",
    [
        {"quick": True, "brush": None},
        {"quick": True, "brush": "charcoal", "form": "gan"},
        {"brush": "charcoal", "out": "no/such/folder/mine"},
        {"brush": "nobody"},
        {"brush": __file__},
        {"brush": "charcoal", "arch": "huang2019"},
        {"brush": None, "form": "gan"},
        {"brush": "charcoal", "strokes": 0},
        {"brush": "charcoal", "steps": 0},
    ],
)
def test_invalid_options_are_reported_in_one_line(tmp_path: Path, options: dict) -> None:
    """And no run folder is made; also without the engine."""
    with pytest.raises(InputError, match=ONE_LINE):
        run_renderer(tiny(tmp_path / "runs", **options))
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("name", ["ink"])
def test_shipped_brushes_have_the_recorded_error(name: str) -> None:
    """They draw without the engine."""
    checkpoint = Checkpoint.load(name, "neural-brush")
    assert checkpoint.about["alpha_mse"] < 1e-3
    brush = load_brush(name)
    assert brush(brush.space.sample(2, torch.Generator().manual_seed(0)), (20, 30)).alpha.any()
