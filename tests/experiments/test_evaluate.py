"""evaluate: tables and plots of the painting methods."""

import csv
import json
import sys
from statistics import mean

import pytest
from PIL import Image

from agents.huang2019 import TINY, Actor
from agents.planner import NO_PLANNING, Planning
from agents.policy import Policy
from experiments.evaluate import Config, evaluate
from painter.methods import METHODS
from renderer.errors import InputError
from renderer.io.checkpoint import Checkpoint
from renderer.strokes import BEZIER


@pytest.fixture
def agents(tmp_path):
    small = {"width": 16, "blocks": 1, "each": 2}
    theirs = {"size": TINY.size, "steps": 3, "bundle": 2, "blocks": TINY.blocks}
    Checkpoint("policy", small, Policy(**small).state_dict(), BEZIER).save(tmp_path / "ours.safetensors")
    Checkpoint("huang2019-actor", theirs, Actor(**theirs).state_dict(), BEZIER).save(tmp_path / "theirs.safetensors")
    return {name: str(tmp_path / f"{name}.safetensors") for name in ("ours", "theirs")}


def test_every_method_and_number_of_strokes(tmp_path, root, agents):
    config = Config(root, n=2, size=32, strokes=(2, 14), steps=10, agent=agents["ours"], out=str(tmp_path / "out"))
    report = evaluate(config)
    assert json.loads((tmp_path / "out" / "evaluation.json").read_text())["results"] == report["results"]
    with Image.open(tmp_path / "out" / "evaluation.png") as figure:
        assert figure.width > 300
    found = {(line["method"], line["strokes"]): line for line in report["results"]}
    assert found.keys() == {(method, count) for method in METHODS for count in (2, 14)}
    for line in found.values():
        assert len(line["mse_each"]) == 2
        assert line["mse"] == pytest.approx(mean(line["mse_each"]), rel=1e-3)
        assert line["seconds"] > 0
        assert line["perceptual"] > 0
    for method in METHODS:
        assert found[method, 14]["mse"] < found[method, 2]["mse"]
    assert found["hybrid", 14]["mse"] < found["agent", 14]["mse"]


def test_time_budgets(tmp_path, root, agents):
    methods, budgets = ("agent", "optimize"), (0.01, 0.3)
    config = Config(root, n=1, size=24, methods=methods, strokes=(9,), seconds=budgets, agent=agents["ours"])
    report = evaluate(Config(**{**vars(config), "out": str(tmp_path / "out")}))
    found = {(line["method"], line["budget"]): line for line in report["results"]}
    assert found.keys() == {(method, budget) for method in methods for budget in budgets}
    assert found["optimize", 0.3]["mse"] < found["optimize", 0.01]["mse"]
    assert found["optimize", 0.3]["seconds"] >= 0.3


def test_planning_and_other_agents(tmp_path, root, agents):
    errors = {}
    for name, agent, planning in (
        ("none", "ours", NO_PLANNING),
        ("some", "ours", Planning(3, 5)),
        ("theirs", "theirs", NO_PLANNING),
    ):
        config = Config(root, n=2, size=32, methods=("agent",), strokes=(20,), agent=agents[agent], planning=planning)
        report = evaluate(Config(**{**vars(config), "out": str(tmp_path / name)}))
        errors[name] = report["results"][0]["mse"]
    assert errors["some"] < errors["none"]
    assert errors["theirs"] != errors["none"]


def test_other_brushes(tmp_path, root, agents):
    config = Config(root, n=1, size=32, methods=("agent",), strokes=(12,), renderer="flat+ink", agent=agents["ours"])
    report = evaluate(Config(**{**vars(config), "out": str(tmp_path)}))
    assert report["results"][0]["mse"] < 0.05


LPIPS = """
import torch
class LPIPS(torch.nn.Module):
    def __init__(self, net, verbose):
        super().__init__()
        if {broken}:
            raise OSError("no network")
    def forward(self, a, b):
        assert min(a.shape[2:]) >= 64
        return (a - b).square().mean((1, 2, 3), keepdim=True)
"""


def install_lpips(folder, monkeypatch, broken=False):
    """Stands in for the package `lpips`, whose weights are a download: here it is the squared error in [-1, 1]."""
    (folder / "lpips.py").write_text(LPIPS.replace("{broken}", str(broken)))
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, "lpips", raising=False)


def test_own_pictures_of_any_shape(tmp_path, agents, monkeypatch, capsys):
    folder = tmp_path / "photos"
    folder.mkdir()
    Image.radial_gradient("L").resize((90, 60)).save(folder / "wide.png")
    Image.linear_gradient("L").resize((40, 80)).convert("RGB").save(folder / "tall.jpg")
    (folder / "notes.txt").write_text("no picture")
    install_lpips(tmp_path, monkeypatch)
    config = Config(folder=str(folder), size=48, methods=("agent",), strokes=(3, 9), agent=agents["ours"])
    report = evaluate(Config(**{**vars(config), "out": str(tmp_path / "out")}))
    assert "notes.txt" in capsys.readouterr().err
    with (tmp_path / "out" / "evaluation.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["input"], row["strokes"]) for row in rows] == [
        (name, count) for count in ("3", "9") for name in ("tall.jpg", "wide.png")
    ]
    for row in rows:
        assert all(float(row[name]) > 0 for name in ("seconds", "mse", "psnr", "ssim", "perceptual"))
        # 48 px are enlarged to 64 for LPIPS, which smooths the error a little.
        assert float(row["lpips"]) == pytest.approx(4 * float(row["mse"]), rel=0.3)
    for count, line in zip(("3", "9"), report["results"], strict=True):
        found = [float(row["lpips"]) for row in rows if row["strokes"] == count]
        assert line["lpips"] == pytest.approx(mean(found))


def test_lpips_without_its_weights_is_left_out(tmp_path, root, agents, monkeypatch, capsys):
    install_lpips(tmp_path, monkeypatch, broken=True)
    config = Config(root, n=1, size=32, methods=("agent",), strokes=(2,), agent=agents["ours"])
    report = evaluate(Config(**{**vars(config), "out": str(tmp_path / "out")}))
    assert "lpips" not in report["results"][0]
    assert capsys.readouterr().err.count("LPIPS is left out") == 1


@pytest.mark.parametrize(
    "change",
    [{"folder": "nowhere"}, {"n": 0}, {"strokes": ()}, {"strokes": (0,)}, {"agent": "none"}, {"agent": "bezier"}],
)
def test_mistakes_are_one_sentence(tmp_path, root, change):
    with pytest.raises(InputError):
        evaluate(Config(root, **{"out": str(tmp_path / "out"), **change}))
    assert not (tmp_path / "out").exists()
