"""Commands, options, make targets, files and Python names that the documentation names exist."""

import ast
import contextlib
import io
import pkgutil
import re
import runpy
import shlex
import sys
import warnings
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from experiments.__main__ import COMMANDS as SUBCOMMANDS
from experiments.__main__ import GROUPS

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
OPTION = r"--[a-z][\w.-]*"
OTHERS = {"pip", "pytest", "tensorboard", "pre-commit", "mkdocs", "torchrun"}  # programs with options of their own


@cache
def help_of(module: str, *subcommands: str) -> str:
    """What `python -m MODULE SUBCOMMANDS --help` prints, without a new process: that would take seconds for each."""
    printed, arguments, code = io.StringIO(), sys.argv, None
    sys.argv = [module, *subcommands, "--help"]
    try:
        with contextlib.redirect_stdout(printed), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*found in sys.modules.*")
            runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as stopped:
        code = stopped.code
    finally:
        sys.argv = arguments
    assert not code, f"{module} {subcommands} has no help"
    return printed.getvalue()


def subcommands_of(text: str) -> set[str]:
    """The subcommands that a help text lists in its usage: {train,evaluate}."""
    listed = re.search(r"\{([a-z0-9_,\s│-]+)\}", text.split("╭")[0])
    return set(re.findall(r"[a-z0-9_-]+", listed[1])) if listed else set()


def options_of(text: str) -> set[str]:
    """The options that a help text explains; an option's entry starts its line."""
    entries = re.findall(rf"^[\s│]*(?:-\w, )?({OPTION}(?:, {OPTION})*)", text, re.MULTILINE)
    return {option for entry in entries for option in re.findall(OPTION, entry)}


def commands() -> dict[str, str]:
    """All commands by the names that pages use: the module's, and its last part."""
    found = {"kaokore": "kaokore"}
    for path in sorted((ROOT / "experiments").rglob("*.py")):
        if path.name == "__main__.py" or '__name__ == "__main__"' in path.read_text(encoding="utf-8"):
            parts = [part for part in path.relative_to(ROOT).with_suffix("").parts if part != "__main__"]
            found[".".join(parts)] = found[parts[-1]] = ".".join(parts)
    return found


COMMANDS = commands()


def code(page: Path) -> Iterator[str]:
    """The lines of a page's code blocks that are not Python, and the code in its prose."""
    text = page.read_text(encoding="utf-8")
    for language, block in re.findall(r"^```(\w*)\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        if language != "python":
            yield from block.replace("\\\n", " ").splitlines()
    prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    yield from (span.replace("\n", " ") for span in re.findall(r"`([^`]+)`", prose))


def problems(line: str) -> Iterator[str]:
    """What is wrong with a line of code of a page, in words."""
    try:
        words = shlex.split(line, comments=True)
    except ValueError:
        return
    if not words or words[0].split("/")[-1] in OTHERS:
        return
    if words[0] == "make":
        targets = set(re.findall(r"^([a-z]+(?:-[a-z]+)*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
        yield from (f"make has no target {word}" for word in words[1:] if "=" not in word and word not in targets)
        return
    if words[0].split("/")[-1] == "kaokore-painter" and words[1:]:
        name, words = " ".join(words[1:]), installed(words[1:])
        if not words:
            yield f"kaokore-painter has no command {name}"
            return
    if words[0].split("/")[-1] in ("python", "python3") and words[1:2] == ["-m"]:
        words = [words[2].removeprefix("kaokore_painter."), *words[3:]]  # the name in a wheel
        if words[0] in OTHERS or words[0].endswith(".NAME"):
            return
        if words[0].startswith("tests.torture"):
            path = ROOT / words[0].replace(".", "/")
            if not (path.with_suffix(".py").is_file() or (path / "__main__.py").is_file()):
                yield f"there is no module {words[0]}"
            return
        if words[0] not in COMMANDS:
            yield f"there is no command {words[0]}"
            return
    given = [word.partition("=")[0] for word in words if re.fullmatch(rf"{OPTION}(=.*)?", word)]
    if words[0] in COMMANDS:
        module, subcommands = COMMANDS[words[0]], []
        while words[1 + len(subcommands) :] and words[1 + len(subcommands)] in subcommands_of(
            help_of(module, *subcommands)
        ):
            subcommands.append(words[1 + len(subcommands)])
        known = options_of(help_of(module, *subcommands))
        yield from (
            f"{' '.join([module, *subcommands])} has no option {option}" for option in given if option not in known
        )
    elif words[0].startswith("--"):
        yield from (f"no command has an option {option}" for option in given if option not in all_options())


def installed(words: list[str]) -> list[str]:
    """What the arguments of kaokore-painter run: `train agent --seed 1` is experiments.train_agent --seed 1."""
    name, *rest = words
    table = SUBCOMMANDS
    if name in GROUPS and rest:
        table, (name, *rest) = GROUPS[name], rest
    return [*table[name][0].split(), *rest] if name in table else []


@cache
def all_options() -> frozenset[str]:
    found = {"--help"}
    for module in set(COMMANDS.values()):
        text = help_of(module)
        found |= options_of(text)
        for subcommand in subcommands_of(text):
            found |= options_of(help_of(module, subcommand))
    return frozenset(found)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pages_name_commands_and_options_that_exist(page: Path) -> None:
    wrong = [f"{problem}: {line.strip()}" for line in code(page) for problem in problems(line)]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("module", sorted(set(COMMANDS.values())))
def test_docstrings_of_commands_name_commands_and_options_that_exist(module: str) -> None:
    path = next(ROOT.glob(f"{module.replace('.', '/')}.py"), ROOT / module.replace(".", "/") / "__main__.py")
    lines = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").splitlines()
    examples = [line.strip() for line in lines if line.strip().startswith("python -m ")]
    wrong = [f"{problem}: {line}" for line in examples for problem in problems(line)]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pages_name_files_and_python_names_that_exist(page: Path) -> None:
    words = [word.rstrip(".,:;") for line in code(page) for word in re.split(r"[\s'\"()\[\]]+", line)]
    folders = "renderer|agents|painter|kaokore|studio|experiments|docs|tests|notebooks|checkpoints"
    files = {word for word in words if re.fullmatch(rf"(?:{folders})(?:/[\w.*+-]+)*/?", word) and "/" in word}
    names = {word for word in words if re.fullmatch(r"(?:renderer|agents|painter|kaokore)(?:\.\w+)+", word)}
    missing = [file for file in files if not any(ROOT.glob(file.rstrip("/")))]
    missing += [name for name in names if not exists(name)]
    assert not missing, ", ".join(sorted(missing))


@cache
def identifiers() -> frozenset[str]:
    """All identifiers in the code and the tests, and the names of their files."""
    found = set[str]()
    for folder in ("renderer", "agents", "painter", "kaokore", "studio", "experiments", "tests"):
        for path in (ROOT / folder).rglob("*.py"):
            found |= {path.stem, *re.findall(r"[A-Za-z_]\w*", path.read_text(encoding="utf-8"))}
    return frozenset(found)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_prose_names_identifiers_that_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"^```.*?^```", text, re.MULTILINE | re.DOTALL)
    prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    spans = [span for span in re.findall(r"`([^`]+)`", prose) if "/" not in span]  # paths: see above
    words = {word for span in spans for word in re.findall(r"[A-Za-z_]\w*", span)}
    ours = {word for word in words if re.search(r"_|[a-z][A-Z]", word) and not word.startswith("my_")}
    missing = ours - identifiers() - set(re.findall(r"\w+", "".join(blocks)))
    assert not missing, ", ".join(sorted(missing))


def exists(name: str) -> bool:
    """Whether a dotted name is a module, or what a module defines.

    >>> exists("renderer.strokes.BEZIER"), exists("renderer.strokes.NOTHING")
    (True, False)
    """
    try:
        pkgutil.resolve_name(name)
    except (ImportError, AttributeError):
        return False
    return True


@pytest.mark.parametrize("module", sorted(set(COMMANDS.values())))
def test_help_shows_examples_to_copy(module: str) -> None:
    """The examples of a command's docstring, each in one indented line."""
    path = next(ROOT.glob(f"{module.replace('.', '/')}.py"), ROOT / module.replace(".", "/") / "__main__.py")
    lines = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").splitlines()
    shown = {line.rstrip() for line in help_of(module).splitlines()}
    assert not [line for line in lines if line.startswith("    python -m ") and line.rstrip() not in shown]


def test_wrong_commands_are_noticed() -> None:
    assert list(problems("python -m experiments.paint face.jpg")) == ["there is no command experiments.paint"]
    assert list(problems("python -m experiments.repaint a.jpg --colour 3")) == [
        "experiments.repaint has no option --colour"
    ]
    assert list(problems("classify train --colour 3")) == ["experiments.classify train has no option --colour"]
    assert list(problems("kaokore-painter train agent --colour 3")) == [
        "experiments.train_agent has no option --colour"
    ]
    assert list(problems("kaokore-painter tea")) == ["kaokore-painter has no command tea"]
    assert list(problems("--colour 3")) == ["no command has an option --colour"]
    assert list(problems("make tea FACE=a.jpg")) == ["make has no target tea"]
    assert not list(problems(".venv/bin/python -m experiments.repaint a.jpg --out b --strokes 3  # and --more"))
