"""Imports at start-up: heavy packages are imported where they are used, so that every command answers --help quickly.

The tests look at which modules are imported and not at seconds, which depend on the machine.
"""

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from tests.test_docs_scripts import commands

ROOT = Path(__file__).parent.parent
# Packages whose import takes long, or of which a command needs few. `import torch` alone imports none of them.
HEAVY = (
    "gymnasium",
    "kornia",
    "matplotlib",
    "nicegui",
    "skimage",
    "stable_baselines3",
    "sympy",
    "tensorboard",
    "torch._dynamo",
    "torchvision",
)
MODULES = ["kaokore", "experiments", *sorted(f"experiments.{name}" for name in commands())]
SUBCOMMANDS = {
    "experiments": ("train", "figures"),
    "experiments.classify": ("train", "evaluate", "table"),
    "experiments.recognizability": ("paint", "report"),
    "experiments.stylegan": ("train", "sample", "interpolate", "mix", "project", "evaluate"),
    "kaokore": ("download", "fetch", "info"),
}
IMPORTS = [f"import {name}" for name in ("renderer", "agents", "painter", "kaokore")] + ["from painter import Painter"]
ORDERS = ["agents, gymnasium", "gymnasium, agents", "agents.policy, gymnasium, agents"]
MADE = "import gymnasium\nprint(type(gymnasium.make('agents:KaoKorePaint-v0', size=36).unwrapped).__name__)"
SPEC = "print(gymnasium.spec('KaoKorePaint-v0').vector_entry_point, len(gymnasium.registry) > 5)"
CODES = {
    **{code: f"{code}\nprint(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))" for code in IMPORTS},
    **{order: f"import {order}\n{SPEC}" for order in ORDERS},
    MADE: MADE,
}
# Importing torch takes most of the time, so that one process does it and copies of it run the rest.
FORKED = """
import contextlib, io, json, os, sys
import torch
for code in json.loads(sys.argv[1]).values():
    if os.fork() == 0:
        with contextlib.redirect_stdout(io.StringIO()) as said, contextlib.redirect_stderr(io.StringIO()) as warned:
            exec(code)
        print(json.dumps([said.getvalue(), warned.getvalue()]), flush=True)
        os._exit(0)
    os.wait()
"""
HELP = """
import json, os, runpy, sys, warnings
import cv2, torch, tyro
import agents, experiments.cli, kaokore, painter, renderer
heavy, commands = json.loads(sys.argv[1])
for name, subcommands in commands.items():
    if os.fork() == 0:
        codes = []
        warnings.simplefilter("ignore")  # runpy warns about modules that were imported before
        sys.stdout = open(os.devnull, "w")
        for arguments in [[], *([part] for part in subcommands)]:
            sys.argv = [name, *arguments, "--help"]
            try:
                runpy.run_module(name, run_name="__main__", alter_sys=True)
            except SystemExit as stopped:
                codes.append(stopped.code)
        print(json.dumps([name, codes, [name for name in heavy if name in sys.modules]]), file=sys.stderr, flush=True)
        os._exit(0)
    os.wait()
"""


def run(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run code in a new interpreter, in the root of the repository."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    asked = [sys.executable, "-c", code, *arguments]
    return subprocess.run(asked, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600, check=True)


@cache
def help_of_all() -> dict[str, tuple[list[object], list[str]]]:
    """Exit codes and heavy packages by module, after --help of it and of its subcommands."""
    lines = run(HELP, json.dumps([HEAVY, {name: SUBCOMMANDS.get(name, ()) for name in MODULES}])).stderr.splitlines()
    answers = {name: (codes, found) for name, codes, found in (json.loads(line) for line in lines if line[:2] == '["')}
    assert set(answers) == set(MODULES), "\n".join(lines)
    return answers


@pytest.mark.parametrize("module", MODULES)
def test_help_imports_nothing_heavy(module: str) -> None:
    codes, found = help_of_all()[module]
    assert codes == [0] * (1 + len(SUBCOMMANDS.get(module, ())))
    assert not found, f"{module} --help imports {', '.join(found)}: import these where they are used"


def test_help_shows_each_example_on_a_line() -> None:
    """Without an indentation, tyro joins lines to a paragraph."""
    files = [file for package in ("experiments", "kaokore") for file in (ROOT / package).rglob("*.py")]
    assert len(files) > len(MODULES)
    assert [file for file in files if "\npython -m" in file.read_text(encoding="utf-8")] == []


@cache
def outputs() -> dict[str, tuple[str, str]]:
    """What each of `CODES` writes to stdout and stderr."""
    lines = run(FORKED, json.dumps(CODES)).stdout.splitlines()
    return dict(zip(CODES, (tuple(json.loads(line)) for line in lines), strict=True))


@pytest.mark.parametrize("code", IMPORTS)
def test_importing_imports_nothing_heavy(code: str) -> None:
    found, said = outputs()[code]
    assert not json.loads(found), f"{code} imports {found}"
    assert not said


@pytest.mark.parametrize("first", ORDERS)
def test_the_environment_is_registered_whichever_is_imported_first(first: str) -> None:
    printed, said = outputs()[first]
    assert printed.split() == ["agents.vector_environment:KaoKorePaintVector", "True"]
    assert not said, "registered once, so that gymnasium does not warn"


def test_the_environment_is_made_by_name_and_by_module() -> None:
    assert outputs()[MADE][0].strip() == "KaoKorePaint"
