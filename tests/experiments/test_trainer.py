"""The loop under all trainings: exact resumption, saves, evaluations, time budget, early end, divergence."""

import json
import math
from dataclasses import dataclass, field

import pytest
import torch
from safetensors import safe_open
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn

from experiments import runs, trainer
from experiments.trainer import RunOptions, Trainer, resumed
from renderer.errors import InputError
from tests.experiments.interruptions import contents


@dataclass(frozen=True, kw_only=True)
class Config(RunOptions):
    """Options of an example."""

    steps: int = 6
    evaluate_every: int = 0


class Clock:
    """Time that passes one minute a look."""

    def __init__(self, monkeypatch):
        self.minutes = 0.0
        monkeypatch.setattr(trainer.time, "monotonic", self)

    def __call__(self):
        self.minutes += 1
        return self.minutes * 60


def train(config, *, stop_after=math.inf, spoil=None, end_at=None, log_every=1):
    """A small training; returns the trainer and what its steps said."""
    config = resumed(config, "example")
    torch.manual_seed(config.seed)
    network = nn.Linear(3, 1)
    optimizer = torch.optim.Adam(network.parameters(), 0.1)
    draws = torch.Generator().manual_seed(config.seed)
    seen = []
    with Trainer("example", config, {"network": network, "optimizer": optimizer, "draws": draws}) as training:
        for step in training.steps(config.steps, evaluate_every=config.evaluate_every, log_every=log_every):
            x = torch.randn(4, 3, generator=draws)
            loss = (network(x) - x.sum(1, keepdim=True)).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if spoil == (step, "weights"):
                nn.init.constant_(network.weight, math.nan)
            training.log({"train/loss": math.nan if spoil == (step, "loss") else loss})
            training.show(loss=f"{loss.item():.3f}")
            if step == end_at:
                training.finish()
            if training.evaluating and training.improved(loss.item()):
                training.notes["best_step"] = step
            seen.append((step, training.evaluating, training.saving))
            if len(seen) > stop_after:
                raise KeyboardInterrupt
    return training, seen


def state_of(folder):
    return contents(folder / "state.safetensors")


def test_a_stopped_training_continues_as_if_it_had_not_stopped(tmp_path):
    config = Config(evaluate_every=2, seed=3, runs=str(tmp_path / "whole"))
    whole, _ = train(config)
    with pytest.raises(KeyboardInterrupt):
        train(Config(evaluate_every=2, seed=3, runs=str(tmp_path / "parts")), stop_after=3)
    (folder,) = (tmp_path / "parts").iterdir()
    torch.rand(5)
    parts, seen = train(Config(resume=str(folder)))
    assert [step for step, *_ in seen] == [2, 3, 4, 5], "from the last save on"
    assert state_of(whole.folder) == state_of(parts.folder)
    assert "best_step" in parts.notes

    again, seen = train(Config(resume=str(folder)))
    assert (seen, again.done) == ([], 6)


def test_sessions_of_one_step(tmp_path, capsys):
    whole, _ = train(Config(runs=str(tmp_path / "whole")))
    part, seen = train(Config(minutes=0.0, runs=str(tmp_path / "parts")))
    assert [step for step, *_ in seen] == [0]
    assert f"1 of 6 steps; continue with --resume {part.folder}." in capsys.readouterr().out
    for step in range(1, 6):
        _, seen = train(Config(resume=str(part.folder), minutes=0.0))
        assert [step for step, *_ in seen] == [step]
    assert state_of(whole.folder) == state_of(part.folder)


@pytest.mark.parametrize(
    ("every", "total", "expected"), [(2, 5, [1, 3, 4]), (5, 5, [4]), (9, 5, [4]), (1, 3, [0, 1, 2]), (0, 3, [])]
)
def test_evaluations_come_every_so_many_steps_and_at_the_end(tmp_path, every, total, expected):
    _, seen = train(Config(steps=total, evaluate_every=every, runs=str(tmp_path)))
    assert [step for step, evaluating, _ in seen if evaluating] == expected
    assert all(saving for _, evaluating, saving in seen if evaluating)
    assert seen[-1][2], "the last step is saved in any case"


def test_saves_come_every_so_many_minutes(tmp_path, monkeypatch):
    Clock(monkeypatch)  # one look before the loop, one a step, one a save
    _, seen = train(Config(steps=10, minutes_between_saves=3.0, runs=str(tmp_path)))
    assert [step for step, _, saving in seen if saving] == [2, 5, 8, 9]


def test_the_time_of_a_session(tmp_path, monkeypatch):
    Clock(monkeypatch)
    training, seen = train(Config(steps=10, minutes=4.0, evaluate_every=10, runs=str(tmp_path)))
    assert training.done == len(seen) == 4
    assert seen[-1] == (3, False, True)
    assert not training.finished


def test_an_early_end_is_remembered(tmp_path):
    training, seen = train(Config(runs=str(tmp_path)), end_at=2)
    assert training.finished
    assert [step for step, *_ in seen] == [0, 1, 2]
    assert json.loads(state_of(training.folder)["notes"])["finished"]
    again, seen = train(Config(resume=str(training.folder)))
    assert (seen, again.finished) == ([], True)


@pytest.mark.parametrize("what", ["loss", "weights"])
def test_a_divergence_keeps_the_last_good_state(tmp_path, what):
    config = Config(evaluate_every=2, runs=str(tmp_path))
    with pytest.raises(InputError, match=r"diverged .*keeps its last good state\. Start again") as error:
        train(config, spoil=(3, what))
    assert "\n" not in str(error.value)
    (folder,) = tmp_path.iterdir()
    state = state_of(folder)
    assert state["step"] == "2"
    with safe_open(folder / "state.safetensors", "pt") as file:
        assert file.get_tensor("network/weight").isfinite().all()


def test_a_divergence_before_the_first_save(tmp_path):
    with pytest.raises(InputError, match=r"before step 1 \(train/loss is nan\)\. Start again"):
        train(Config(runs=str(tmp_path)), spoil=(0, "loss"))


def test_curves(tmp_path):
    training, _ = train(Config(steps=7, runs=str(tmp_path)), log_every=3)
    events = EventAccumulator(str(training.folder)).Reload().Scalars("train/loss")
    assert [event.step for event in events] == [1, 4, 7]
    assert all(math.isfinite(event.value) for event in events)


def test_scores(tmp_path):
    with Trainer("example", Config(runs=str(tmp_path)), {}) as training:
        assert [training.improved(score) for score in (3.0, 4.0, 3.0, 1.0)] == [True, False, False, True]
    with Trainer("example", Config(runs=str(tmp_path)), {}, {"best": None}) as training:
        assert [training.improved(score) for score in ([-0.5, 1.0], [-0.5, 0.9], [-0.4, 0.1])] == [True, True, False]


def test_a_resumed_run_has_its_own_options_and_the_time_of_this_session(tmp_path):
    training, _ = train(Config(steps=3, seed=5, minutes=9.0, runs=str(tmp_path)))
    config = resumed(Config(resume=str(training.folder), steps=100, minutes=2.0), "example")
    assert (config.steps, config.seed, config.minutes, config.resume) == (3, 5, 2.0, str(training.folder))
    with pytest.raises(InputError, match="is a run of example"):
        resumed(Config(resume=str(training.folder)), "another")


@pytest.mark.parametrize("options", [{"minutes": -1.0}, {"minutes": math.inf}, {"minutes_between_saves": -1.0}])
def test_impossible_times(options):
    (name,) = options
    with pytest.raises(InputError, match=f"--{name.replace('_', '-')} must be"):
        resumed(Config(**options), "example")


@dataclass(frozen=True)
class Algorithm:
    """A nested configuration."""

    round_strokes: tuple[int, ...] = (1,)


@dataclass(frozen=True, kw_only=True)
class Nested(RunOptions):
    """Options with it."""

    training: Algorithm = field(default_factory=Algorithm)


def test_runs_of_version_0_1_resume(tmp_path):
    """Fields of their configurations had other names."""
    arguments = {"learn": {"limits": [2, 3]}, "seed": 4}
    (tmp_path / "config.json").write_text(json.dumps({"script": "old", "arguments": arguments}))
    assert runs.resume(tmp_path, "old", Nested) == Nested(training=Algorithm((2, 3)), seed=4)
