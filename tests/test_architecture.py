"""The arrows of the design, and the habits that a syntax tree can see."""

import ast
import importlib
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAY_IMPORT = {
    "renderer": set(),
    "painter": {"renderer", "agents"},
    "agents": {"renderer"},
    "kaokore": {"renderer"},
    "experiments": {"renderer", "painter", "agents", "kaokore"},
}
PYTHON = [path for package in MAY_IMPORT for path in sorted((ROOT / package).rglob("*.py"))]
MAY_PRINT = {path for path in PYTHON if path.relative_to(ROOT).parts[0] == "experiments" or path.name == "__main__.py"}


def imported(path: Path) -> Iterator[str]:
    """The first names of the modules that a file imports, wherever in the file it does."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name.split(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.split(".")[0]


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_imports_point_downwards(package: str) -> None:
    ours = {*MAY_IMPORT, "tests"}
    for path in sorted((ROOT / package).rglob("*.py")):
        upwards = set(imported(path)) & ours - MAY_IMPORT[package] - {package}
        assert not upwards, f"{path.relative_to(ROOT)} imports {upwards}"


@pytest.mark.parametrize("package", [*MAY_IMPORT, "tests"])
def test_packages_are_those_of_this_repository(package: str) -> None:
    assert Path(str(importlib.import_module(package).__file__)).resolve() == ROOT / package / "__init__.py"


@pytest.mark.parametrize("path", PYTHON, ids=lambda path: str(path.relative_to(ROOT)))
def test_habits(path: Path) -> None:
    assert path.name != "utils.py", "name the file after what is in it"
    assert not {"pickle", "cloudpickle", "dill", "joblib"} & set(imported(path)), "files hold no code: use safetensors"
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.names[0].name != "*", f"line {node.lineno}: import names, not *"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and path not in MAY_PRINT:
            assert node.func.id != "print", f"line {node.lineno}: libraries do not print"


def test_files_name_no_machine() -> None:
    """No path of somebody's machine, and no package index but the public ones."""
    here = re.compile(
        r"(?<![\w.~-])/(?:home|root|Users|work|tmp)/\w|@ file:[/]|(?:index-url|find-links)[= ](?!https://download\.pytorch\.org/)"
    )
    listed = subprocess.run(
        ["git", "ls-files", "-z", "-co", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        path = ROOT / name
        if path.suffix not in {".png", ".jpg", ".mp4", ".gif", ".safetensors"} and path.is_file():
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
                assert not here.search(line), f"{name}:{number}: {line.strip()[:80]}"
