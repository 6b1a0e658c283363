"""The training scripts at their smallest: they write what they promise, learn, and resume as if never stopped."""

import dataclasses

import pytest
import torch

from experiments import train_agent, train_renderer
from experiments.train_agent import train_agent as teach
from experiments.train_renderer import train_renderer as learn
from kaokore import write_fake_kaokore
from renderer.checkpoint import Checkpoint
from renderer.errors import InputError


class StoppedError(Exception):
    """Stands for a kill in the middle of a training."""


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kaokore")
    write_fake_kaokore(folder, n=24)
    return str(folder)


def same(first, second):
    first, second = (Checkpoint.load(folder / "latest.safetensors").tensors for folder in (first, second))
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("arch", ["stroke-map", "huang2019"])
def test_renderer_writes_a_checkpoint_with_its_record(tmp_path, arch):
    config = dataclasses.replace(train_renderer.TINY, arch=arch, steps=2, batch=2, runs=str(tmp_path))
    folder = learn(config)
    checkpoint = Checkpoint.load(folder / "latest.safetensors", arch)
    assert 0 < checkpoint.about["alpha_mse"] < 1
    assert checkpoint.about["steps"] == 2
    assert {"command", "commit", "seed"} <= checkpoint.about.keys()
    assert {"config.json", "samples.png", "state.safetensors"} <= {file.name for file in folder.iterdir()}


def test_renderer_resumes_as_if_never_stopped(tmp_path, monkeypatch):
    config = dataclasses.replace(train_renderer.TINY, minutes_between_saves=0.0, runs=str(tmp_path))
    whole = learn(config)

    save, saves = train_renderer.runs.save_state, []

    def save_twice(*arguments):
        save(*arguments)
        saves.append(arguments)
        if len(saves) == 2:
            raise StoppedError

    monkeypatch.setattr(train_renderer.runs, "save_state", save_twice)
    with pytest.raises(StoppedError):
        learn(config)
    monkeypatch.setattr(train_renderer.runs, "save_state", save)
    (stopped,) = (folder for folder in tmp_path.iterdir() if folder != whole)
    assert learn(train_renderer.Config(resume=str(stopped))) == stopped
    assert same(whole, stopped)


def test_agent_trains_and_resumes_as_if_never_stopped(tmp_path, root, monkeypatch):
    config = dataclasses.replace(train_agent.TINY, root=root, episodes=3, runs=str(tmp_path))
    whole = teach(config)
    best = Checkpoint.load(whole / "best.safetensors", "policy")
    assert 0 < best.about["dev_mse"] < 0.2
    assert best.about["renderer_hash"] == Checkpoint.load("bezier").hash()
    assert "KaoKore" in best.about["data"]

    save = train_agent.runs.save_state

    def save_once(*arguments):
        save(*arguments)
        raise StoppedError

    monkeypatch.setattr(train_agent.runs, "save_state", save_once)
    with pytest.raises(StoppedError):
        teach(config)
    monkeypatch.setattr(train_agent.runs, "save_state", save)
    (stopped,) = (folder for folder in tmp_path.iterdir() if folder != whole)
    teach(train_agent.Config(resume=str(stopped)))
    assert same(whole, stopped)


def test_a_run_of_another_script_is_refused(tmp_path):
    config = dataclasses.replace(train_renderer.TINY, steps=1, batch=2, runs=str(tmp_path))
    folder = learn(config)
    with pytest.raises(InputError, match="train_renderer"):
        teach(train_agent.Config(resume=str(folder)))
    with pytest.raises(InputError, match="can be resumed"):
        teach(train_agent.Config(resume=str(tmp_path / "nothing")))
