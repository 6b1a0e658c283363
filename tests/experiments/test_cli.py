"""The command line: options, presets, old names, subcommands, messages and exit codes."""

import importlib
import os
import runpy
import signal
import subprocess
import sys
import warnings
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import tyro

from experiments.cli import Command, ctrl_c_waits, renamed_options, require, run, run_subcommand
from renderer.errors import InputError


@dataclass(frozen=True)
class Inner:
    """A nested configuration."""

    steps: int = 3


@dataclass(frozen=True)
class Options:
    """Options of the example."""

    steps: int = 1
    rate: float = 0.5
    inner: Inner = field(default_factory=Inner)


@dataclass(frozen=True)
class Flat:
    """Options without a prefix."""

    inner: tyro.conf.OmitArgPrefixes[Inner] = field(default_factory=Inner)


PRESETS = {"small": ("a small one", Options()), "large": ("a large one", Options(steps=100))}


def parsed(*arguments, config=Options, **options):
    """What the command receives."""
    seen = []
    run(seen.append, config, "An example.", arguments=arguments, prog="example", **options)
    return seen[0]


def test_two_options_of_one_name_are_told_apart_by_their_prefix():
    assert parsed("--steps", "5", "--inner.steps", "6") == Options(steps=5, inner=Inner(6))
    assert parsed("--steps", "6", config=Flat) == Flat(Inner(6))


@pytest.mark.parametrize(
    ("arguments", "steps", "rate"),
    [([], 1, 0.5), (["large"], 100, 0.5), (["large", "--rate", "2"], 100, 2.0), (["--steps", "7"], 7, 0.5)],
)
def test_a_preset_sets_all_defaults(arguments, steps, rate):
    options = parsed(*arguments, presets=PRESETS)
    assert (options.steps, options.rate) == (steps, rate)


@pytest.mark.parametrize("arguments", [["--rate", "2", "--preset", "large"], ["--preset=large", "--rate", "2"]])
def test_the_old_form_of_a_preset(arguments):
    with pytest.warns(DeprecationWarning, match="large, as the first argument"):
        assert parsed(*arguments, presets=PRESETS) == Options(steps=100, rate=2.0)


def test_help_names_all_presets_and_options(capsys):
    with pytest.raises(SystemExit) as stopped:
        parsed("--help", presets=PRESETS)
    assert stopped.value.code == 0
    said = capsys.readouterr().out
    assert all(text in said for text in ("a small one", "a large one", "--inner.steps", "An example."))


@pytest.mark.parametrize("arguments", [["medium"], ["--preset", "medium"], ["--preset"]])
def test_an_unknown_preset(arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        parsed(*arguments, presets=PRESETS)
    assert stopped.value.code == 2
    assert "small, large" in capsys.readouterr().err


@pytest.mark.parametrize("given", [["--speed", "2"], ["--speed=2"]])
def test_an_old_name_of_an_option_works_and_warns(given):
    with pytest.warns(DeprecationWarning, match="--speed is now --rate"):
        assert parsed(*given, renamed={"--speed": "--rate"}).rate == 2.0


def test_underscores_are_hyphens_and_values_are_kept():
    with pytest.warns(DeprecationWarning, match="--film_size is now --video-size"):
        assert renamed_options({"--film-size": "--video-size"}, ["film-size", "--film_size", "3"]) == [
            "film-size",
            "--video-size",
            "3",
        ]


OLD_NAMES = [
    ("repaint", ["--out", "x", "--smallest", "0.1"], "min_radius", 0.1),
    ("repaint", ["--out", "x", "--largest", "0.1"], "max_radius", 0.1),
    ("repaint", ["--out", "x", "--film-size", "64"], "video_size", 64),
    ("stylize", ["a.png", "--out", "x", "--budgets", "3", "4"], "stage_shares", (3.0, 4.0)),
    ("stylize", ["a.png", "--out", "x", "--film-size", "64"], "video_size", 64),
    ("visualize", ["--out", "x", "--smallest", "0.1"], "min_radius", 0.1),
    ("visualize", ["--out", "x", "--shape-rate", "0.1"], "geometry_lr", 0.1),
    ("visualize", ["--out", "x", "--film-size", "64"], "video_size", 64),
    ("visualize", ["--out", "x", "--colour-rate", "0.1"], "colour_lr", 0.1),
    ("figures.gallery", ["--film-size", "64"], "video_size", 64),
    ("figures.gallery", ["--filmed", "1"], "video_face", 1),
    ("evaluate", ["--alone", "3"], "independent_steps", 3),
    ("evaluate", ["--together", "3"], "joint_steps", 3),
    ("evaluate", ["--rate", "0.1"], "lr", 0.1),
    ("train_agent", ["--limits", "3", "4"], "round_strokes", (3, 4)),
    ("stylegan", ["interpolate", "--film-size", "64"], "video_size", 64),
]


@pytest.mark.parametrize(("script", "arguments", "name", "value"), OLD_NAMES)
def test_old_options_of_the_scripts(script, arguments, name, value, monkeypatch):
    """Each script is started as `python -m` does, up to the call of its function."""
    seen = []
    given = importlib.import_module("experiments.cli").run
    monkeypatch.setattr("experiments.cli.run", lambda _, *rest, **options: given(seen.append, *rest, **options))
    monkeypatch.setattr(sys, "argv", [script, *arguments])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # runpy's, about a module that is imported already
        with pytest.warns(DeprecationWarning, match=f"is now --{name.replace('_', '-')}") as given_warnings:
            runpy.run_module(f"experiments.{script}", run_name="__main__", alter_sys=True)
    assert not given_warnings[0].filename.endswith("/cli.py"), "Python shows deprecations of the started module only"
    (config,) = seen
    found = [vars(part)[name] for part in (config, *vars(config).values()) if name in getattr(part, "__dict__", {})]
    assert found == [value]


def refuse(_):
    """A command with invalid input."""
    raise InputError("The face is missing.")


def stop(_):
    """A command that is stopped."""
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("function", "code", "line"), [(refuse, 2, "error: The face is missing."), (stop, 130, "Stop")]
)
def test_exit_codes(function, code, line, capsys):
    with pytest.raises(SystemExit) as stopped:
        run(function, Options, arguments=[])
    assert stopped.value.code == code
    said = capsys.readouterr().err
    assert said.startswith(line)
    assert said.count("\n") == 1


def test_subcommands(capsys):
    seen = []
    commands = {"one": Command(seen.append, Options, PRESETS), "two": Command(refuse, Flat)}
    run_subcommand(commands, "Examples.", arguments=["one", "large", "--rate", "3"])
    assert seen == [Options(steps=100, rate=3.0)]
    for arguments, code in ((["--help"], 0), (["three"], 2), ([], 2), (["two"], 2), (["two", "--help"], 0)):
        with pytest.raises(SystemExit) as stopped:
            run_subcommand(commands, "Examples.", arguments=arguments)
        assert stopped.value.code == code, arguments
    said = capsys.readouterr()
    assert "Examples." in said.out
    assert "Options without a prefix." in said.out
    assert "error: The face is missing." in said.err


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_out_of_range(seed):
    @dataclass
    class Seeded:
        seed: int

    with pytest.raises(InputError, match="--seed must be between 0 and"):
        require(Seeded(seed))


@pytest.mark.parametrize("rate", [-0.1, float("nan"), float("inf")])
def test_a_number_out_of_range(rate):
    with pytest.raises(InputError, match=r"--rate must be at least 0\.1"):
        require(Options(rate=rate), rate=0.1)


def test_ctrl_c_waits_until_the_block_is_done():
    done = []

    def two_halves():
        with ctrl_c_waits():
            signal.raise_signal(signal.SIGINT)
            done.append("the second half")

    with pytest.raises(KeyboardInterrupt):
        two_halves()
    assert done == ["the second half"]
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("module", ["experiments", "experiments.repaint", "experiments.figures.strip"])
def test_ctrl_c_before_the_start_is_one_line(module: str, tmp_path: Path) -> None:
    """A package in PyTorch's place stands for the seconds in which modules are loaded."""
    (tmp_path / "torch.py").write_text("raise KeyboardInterrupt")
    done = subprocess.run(
        [sys.executable, "-m", module, "paint"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
    )
    assert (done.stderr, done.returncode) == ("Stopped.\n", -signal.SIGINT)
