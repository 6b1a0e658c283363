"""The trainings of renderer and agent at their smallest: files, exact resumption, messages for invalid input."""

import dataclasses
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from agents.train import train_episode
from experiments import cli, renderer_tasks, runs, train_agent, train_renderer
from experiments.train_agent import train_agent as run_agent
from experiments.train_renderer import train_renderer as run_renderer
from renderer.errors import InputError
from renderer.io.checkpoint import Checkpoint
from renderer.learned.train import fit
from tests.experiments.interruptions import contents, stopped_and_resumed

pytestmark = pytest.mark.usefixtures("small_sheets")


def same(first, second):
    first, second = (Checkpoint.load(folder / "latest.safetensors").tensors for folder in (first, second))
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("arch", ["stroke-map", "huang2019"])
def test_renderer_writes_a_checkpoint_with_its_record(tmp_path, arch):
    config = dataclasses.replace(train_renderer.TINY, arch=arch, steps=2, batch=2, runs=str(tmp_path))
    folder = run_renderer(config)
    checkpoint = Checkpoint.load(folder / "latest.safetensors", arch)
    assert 0 < checkpoint.about["alpha_mse"] < 1
    assert checkpoint.about["steps"] == 2
    assert {"command", "commit", "seed"} <= checkpoint.about.keys()
    assert {"config.json", "samples.png", "state.safetensors"} <= {file.name for file in folder.iterdir()}


def test_renderer_resumes_exactly(tmp_path, monkeypatch):
    config = dataclasses.replace(train_renderer.TINY, steps=4, minutes_between_saves=0.0, runs=str(tmp_path))
    whole = run_renderer(config)

    stopped = stopped_and_resumed(monkeypatch, run_renderer, config, saves=2)
    assert same(whole, stopped)


def test_agent_trains_and_resumes_exactly(tmp_path, root, monkeypatch):
    config = dataclasses.replace(train_agent.TINY, root=root, episodes=3, runs=str(tmp_path))
    whole = run_agent(config)
    best = Checkpoint.load(whole / "best.safetensors", "policy")
    assert 0 < best.about["dev_mse"] < 0.2
    assert best.about["renderer_hash"] == Checkpoint.load("bezier").hash()
    assert "KaoKore" in best.about["data"]

    stopped = stopped_and_resumed(monkeypatch, run_agent, config)
    assert same(whole, stopped)


def test_a_run_of_another_script_is_refused(tmp_path):
    config = dataclasses.replace(train_renderer.TINY, steps=1, batch=2, runs=str(tmp_path))
    folder = run_renderer(config)
    with pytest.raises(InputError, match="train_renderer"):
        run_agent(train_agent.Config(resume=str(folder)))
    with pytest.raises(InputError, match="can be resumed"):
        run_agent(train_agent.Config(resume=str(tmp_path / "nothing")))


def exit_code(monkeypatch, script, function, *arguments):
    """The exit code of the command."""
    monkeypatch.setattr(sys, "argv", ["script.py", *map(str, arguments)])
    try:
        cli.run(function, script.Config)
    except SystemExit as stopped:
        return stopped.code
    return 0


def test_a_run_stopped_by_ctrl_c_between_saves_resumes_exactly(tmp_path, root, monkeypatch, capsys):
    """Stopped in the third of four episodes, after the save of the second; the third is repeated exactly."""
    config = dataclasses.replace(
        train_agent.TINY, root=root, episodes=4, evaluate_every=2, seed=3, runs=str(tmp_path / "whole")
    )
    whole = run_agent(config)
    episodes = []

    def stop(*arguments):
        episodes.append(None)
        for progress in train_episode(*arguments):
            yield progress
            if len(episodes) == 3:
                raise KeyboardInterrupt

    monkeypatch.setattr(train_agent, "train_episode", stop)
    options = {key: value for key, value in vars(config).items() if isinstance(value, int | float | str)}
    options["runs"] = tmp_path / "stopped"
    arguments = [part for key, value in options.items() for part in (f"--{key.replace('_', '-')}", value)]
    assert exit_code(monkeypatch, train_agent, run_agent, *arguments) == 130
    assert "Stopped" in capsys.readouterr().err.splitlines()[-1]

    monkeypatch.setattr(train_agent, "train_episode", train_episode)
    (stopped,) = (tmp_path / "stopped").iterdir()
    assert exit_code(monkeypatch, train_agent, run_agent, "--resume", stopped) == 0
    assert same(whole, stopped)
    assert contents(whole / "state.safetensors") == contents(stopped / "state.safetensors")
    best = [Checkpoint.load(folder / "best.safetensors") for folder in (whole, stopped)]
    assert best[0].hash() == best[1].hash()
    assert best[0].about["dev_mse"] == best[1].about["dev_mse"]

    # A finished run is not changed.
    latest = (stopped / "latest.safetensors").read_bytes()
    assert exit_code(monkeypatch, train_agent, run_agent, "--resume", stopped) == 0
    assert (stopped / "latest.safetensors").read_bytes() == latest


def test_stopped_before_the_first_save(tmp_path, monkeypatch):
    config = dataclasses.replace(train_renderer.TINY, steps=2, batch=2, runs=str(tmp_path))
    whole = run_renderer(config)

    def stop(*_):
        raise KeyboardInterrupt
        yield

    monkeypatch.setattr(renderer_tasks, "fit", stop)
    with pytest.raises(KeyboardInterrupt):
        run_renderer(config)
    monkeypatch.setattr(renderer_tasks, "fit", fit)
    (stopped,) = (folder for folder in tmp_path.iterdir() if folder != whole)
    assert run_renderer(train_renderer.Config(resume=str(stopped))) == stopped
    assert same(whole, stopped)


def test_a_folder_that_cannot_be_resumed_is_reported_in_one_line(tmp_path, monkeypatch, capsys):
    folder = run_renderer(dataclasses.replace(train_renderer.TINY, steps=1, batch=2, runs=str(tmp_path)))
    state = folder / "state.safetensors"
    state.write_bytes(state.read_bytes()[:100])
    (tmp_path / "file").touch()
    capsys.readouterr()
    for path in (folder, tmp_path, tmp_path / "none", tmp_path / "file"):
        for script, function in ((train_renderer, run_renderer), (train_agent, run_agent)):
            assert exit_code(monkeypatch, script, function, "--resume", path) == 2
            said = capsys.readouterr().err.strip().splitlines()
            assert said[-1].startswith("error: ")
            assert len(said) == 1


@pytest.mark.parametrize(
    ("script", "options"),
    [
        (train_renderer, {"steps": 0}),
        (train_renderer, {"batch": 0}),
        (train_renderer, {"grid": 1}),
        (train_renderer, {"grid": 65}),
        (train_renderer, {"hidden": 0}),
        (train_renderer, {"workers": -1}),
        (train_renderer, {"test_strokes": 0}),
        (train_renderer, {"learning_rate": float("nan")}),
        (train_renderer, {"seed": 2**60}),
        (train_renderer, {"device": "meta"}),
        (train_renderer, {"arch": "huang2020"}),
        (train_agent, {"episodes": -1}),
        (train_agent, {"batch": 0}),
        (train_agent, {"size": 0}),
        (train_agent, {"width": 12}),
        (train_agent, {"width": 0}),
        (train_agent, {"blocks": -1}),
        (train_agent, {"each": 0}),
        (train_agent, {"horizon": -1}),
        (train_agent, {"horizon": 0, "proposals": 0.0}),
        (train_agent, {"evaluate_faces": 0}),
        (train_agent, {"evaluate_strokes": 0}),
        (train_agent, {"evaluate_every": 0}),
        (train_agent, {"learning_rate": -1.0}),
        (train_agent, {"exploration": float("inf")}),
        (train_agent, {"seed": -1}),
        (train_agent, {"renderer": "agent"}),
        (train_agent, {"renderer": "none"}),
        (train_agent, {"root": "nowhere"}),
    ],
)
def test_invalid_options_are_reported_in_one_line(tmp_path, monkeypatch, capsys, script, options):
    """And no run folder is made."""
    function = run_renderer if script is train_renderer else run_agent
    arguments = [part for key, value in options.items() for part in (f"--{key.replace('_', '-')}", value)]
    assert exit_code(monkeypatch, script, function, "--runs", tmp_path / "runs", *arguments) == 2
    said = capsys.readouterr().err
    assert "Traceback" not in said
    assert next(iter(options)) in said.replace("-", "_") or said.count("\n") == 1
    assert not (tmp_path / "runs").exists()


def test_runs_that_cannot_be_written(tmp_path, monkeypatch, capsys):
    (tmp_path / "file").touch()
    assert exit_code(monkeypatch, train_renderer, run_renderer, "--runs", tmp_path / "file") == 2
    assert capsys.readouterr().err.startswith("error: Cannot write")


def test_a_machine_without_git(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert runs.describe_run()["commit"] == "unknown"


def test_ctrl_c_while_another_process_draws(tmp_path):
    """A terminal sends Ctrl-C to all processes of a command; the worker must print nothing."""
    process = subprocess.Popen(
        [sys.executable, "-m", "experiments.train_renderer", "--runs", tmp_path, "--evaluate-every", "1"],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 90
    while not list(tmp_path.glob("*/samples.png")) and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "Traceback" not in said
    assert said.strip().splitlines()[-1].startswith("Stopped")
    assert not list(tmp_path.rglob("*.tmp*"))
