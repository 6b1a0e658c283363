"""The trainings of the baselines at their smallest, and the agent's after `kill -9`."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from agents.registry import load_agent
from experiments import cli, train_agent, train_huang2019, train_ppo
from renderer.brush import load_brush
from renderer.io.checkpoint import Checkpoint
from tests.experiments.interruptions import contents, stopped_and_resumed


@pytest.mark.parametrize("recipe", [{}, {"reward": "l2", "model_based": False}], ids=["wgan", "model-free"])
def test_huang2019_trains_and_resumes_exactly(tmp_path, root, monkeypatch, recipe):
    tiny = dataclasses.replace(train_huang2019.TINY.recipe, noise=0.1, **recipe)
    config = dataclasses.replace(
        train_huang2019.TINY,
        recipe=tiny,
        episodes=2,
        evaluate_every=2,
        root=root,
        runs=str(tmp_path),
        minutes_between_saves=0.0,
    )
    whole = train_huang2019.train_huang2019(config)
    about = Checkpoint.load(whole / "latest.safetensors", "huang2019-actor").about
    assert 0 < about["dev_mse"] < 1
    assert about["dev_perceptual"] > 0
    assert about["strokes"] == 6
    assert (whole / "samples.png").exists()
    stopped = stopped_and_resumed(monkeypatch, train_huang2019.train_huang2019, config)
    assert contents(whole / "state.safetensors") == contents(stopped / "state.safetensors")

    renderer = load_brush("bezier")
    agent = load_agent(str(whole / "latest.safetensors"), renderer)
    *_, (canvas, _) = agent(torch.ones(3, 20, 30), torch.rand(3, 20, 30), 5)
    assert canvas.shape == (3, 20, 30)


def test_ppo_trains_and_resumes_exactly(tmp_path, root, monkeypatch):
    config = dataclasses.replace(train_ppo.TINY, root=root, runs=str(tmp_path))
    whole = train_ppo.train_ppo(config)
    metrics = json.loads((whole / "metrics.json").read_text())
    assert 0 < metrics["dev_mse"] < 1
    assert metrics["updates"] == 2
    stopped = stopped_and_resumed(monkeypatch, train_ppo.train_ppo, config)
    assert contents(whole / "state.safetensors") == contents(stopped / "state.safetensors")


def test_presets(monkeypatch):
    for arguments, size, episodes in ((["paper"], 128, 50_000), ([], 64, 600), (["--size", "48"], 48, 600)):
        seen = []
        monkeypatch.setattr(sys, "argv", ["script.py", *arguments])
        cli.run(seen.append, train_huang2019.Config, presets=train_huang2019.PRESETS)
        assert (seen[0].recipe.size, seen[0].episodes) == (size, episodes)


@pytest.mark.parametrize(
    ("script", "options"),
    [
        (train_huang2019, ["cloud"]),
        (train_huang2019, ["--preset", "cloud"]),
        (train_huang2019, ["--episodes", "0"]),
        (train_huang2019, ["--size", "8"]),
        (train_huang2019, ["--batch", "1"]),
        (train_huang2019, ["--reward", "l3"]),
        (train_huang2019, ["--tau", "nan"]),
        (train_huang2019, ["--root", "nowhere"]),
        (train_huang2019, ["--resume", "nowhere"]),
        (train_ppo, ["--size", "20"]),
        (train_ppo, ["--episodes", "0"]),
        (train_ppo, ["--resume", "nowhere"]),
    ],
    ids=lambda value: "_".join(value) if isinstance(value, list) else value.__name__,
)
def test_invalid_options_are_reported_in_one_line(tmp_path, monkeypatch, capsys, script, options):
    monkeypatch.setattr(sys, "argv", ["script.py", "--runs", str(tmp_path / "runs"), *options])
    presets = train_huang2019.PRESETS if script is train_huang2019 else None
    train = getattr(script, script.__name__.split(".")[-1])
    with pytest.raises(SystemExit) as stopped:
        cli.run(train, script.Config, presets=presets)
    assert stopped.value.code == 2
    assert "Traceback" not in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_a_killed_run_resumes_exactly(tmp_path, root):
    """The agent's training, killed at any moment after its first save."""
    config = dataclasses.replace(train_agent.TINY, root=root, episodes=5, runs=str(tmp_path / "whole"))
    whole = train_agent.train_agent(config)
    options = {key: value for key, value in dataclasses.asdict(config).items() if isinstance(value, int | float | str)}
    options["runs"] = str(tmp_path / "killed")
    arguments = [part for key, value in options.items() for part in (f"--{key.replace('_', '-')}", str(value))]
    process = subprocess.Popen(
        [sys.executable, "-m", "experiments.train_agent", *arguments],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    deadline = time.monotonic() + 90
    while not list((tmp_path / "killed").glob("*/state.safetensors")) and time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()[0].decode()
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=30)
    (killed,) = (tmp_path / "killed").iterdir()
    train_agent.train_agent(train_agent.Config(resume=str(killed)))
    assert contents(whole / "state.safetensors") == contents(killed / "state.safetensors")
