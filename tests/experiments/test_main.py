"""`kaokore-painter`: its commands are those of `python -m experiments.NAME`."""

import importlib.util
import sys

import pytest

from experiments.__main__ import COMMANDS, GROUPS, main
from tests.test_docs_scripts import commands

MODULES = [
    module.split()[0]
    for name, commands in {"": COMMANDS, **GROUPS}.items()
    for module, _ in commands.values()
    if module  # else the name of a group
]


@pytest.mark.parametrize("module", sorted(set(MODULES)))
def test_the_module_of_a_command_can_be_run(module):
    spec = importlib.util.find_spec(module)
    assert spec is not None
    if spec.submodule_search_locations is not None:
        assert importlib.util.find_spec(f"{module}.__main__") is not None


def test_every_script_is_a_command():
    assert {module.removeprefix("experiments.") for module in MODULES if module != "kaokore"} == commands()
    assert all(COMMANDS[name][0] == "" for name in GROUPS)


def run(monkeypatch, *arguments):
    """The exit code."""
    monkeypatch.setattr(sys, "argv", ["kaokore-painter", *arguments])
    with pytest.raises(SystemExit) as stopped:
        main()
    return stopped.value.code


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["--help"], "stylize"), (["train", "--help"], "huang2019"), (["figures", "--help"], "gallery")],
)
def test_help_lists_commands(arguments, said, monkeypatch, capsys):
    assert run(monkeypatch, *arguments) == 0
    assert said in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["pain"], [], ["train"], ["figures", "none"], ["--out", "x"]])
def test_an_unknown_command(arguments, monkeypatch, capsys):
    assert run(monkeypatch, *arguments) == 2
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # runpy's, about modules that other tests imported
def test_arguments_reach_the_command(tmp_path, monkeypatch, capsys):
    assert run(monkeypatch, "data", "info", "--root", str(tmp_path / "none")) == 2
    assert "no data set folder" in capsys.readouterr().err
    assert run(monkeypatch, "replay", str(tmp_path / "none"), "--out", "a.png") == 2
    assert str(tmp_path / "none") in capsys.readouterr().err
    assert run(monkeypatch, "train", "classifier", "--help") == 0
    assert "python -m experiments.classify train" in capsys.readouterr().out
