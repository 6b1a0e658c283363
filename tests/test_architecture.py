"""The structure of the code, read from its syntax trees.

Imports point down the layers, modules do not import each other in a circle, one name means one thing, commands stay a
small part, and some habits hold for every file.
"""

import ast
import importlib
import re
import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAY_IMPORT = {
    "renderer": set(),
    "agents": {"renderer"},
    "painter": {"renderer", "agents"},
    "kaokore": {"renderer"},
    "studio": {"renderer", "agents", "painter", "kaokore"},
    "experiments": {"renderer", "agents", "painter", "kaokore", "studio"},
}
# Conventional names, which mean the same thing in every folder.
SHARED_NAMES = {
    "__init__",
    "__main__",
    "augment",  # of training images
    "cuda_graph",  # of painting, of training a StyleGAN
    "data",  # training data
    "errors",
    "evaluate",
    "huang2019",  # the parts of one paper: its renderer, its agent
    "metrics",
    "networks",
    "train",
}
PYTHON = [path for package in MAY_IMPORT for path in sorted((ROOT / package).rglob("*.py"))]
MAY_PRINT = {path for path in PYTHON if path.relative_to(ROOT).parts[0] == "experiments" or path.name == "__main__.py"}


def module_name(path: Path) -> str:
    """`renderer/io/files.py` is renderer.io.files, and `renderer/__init__.py` is renderer."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in PYTHON}


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imported(nodes: Iterable[ast.AST]) -> Iterator[str]:
    """The modules that import statements among `nodes` name; for `from a import b`, a.b where that is one of ours."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for name in node.names:
                full = f"{node.module}.{name.name}"
                yield full if full in MODULES else node.module


def at_import(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements that run when a module is imported: not those in functions, nor those for type checkers."""
    for node in body:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from at_import(node.orelse)
        elif isinstance(node, ast.If | ast.Try | ast.With | ast.ClassDef):
            yield from at_import(child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt))
        else:
            yield node


def packages(path: Path) -> set[str]:
    """The first parts of all names that a file imports, wherever in the file it does."""
    return {name.split(".")[0] for name in imported(ast.walk(tree(path)))}


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_imports_point_down(package: str) -> None:
    ours = {*MAY_IMPORT, "tests"}
    for path in sorted((ROOT / package).rglob("*.py")):
        upwards = packages(path) & ours - MAY_IMPORT[package] - {package}
        assert not upwards, f"{path.relative_to(ROOT)} imports {upwards}"


def test_kaokore_uses_only_files_errors_and_formulas_of_the_renderer() -> None:
    # Of any network, which exist once.
    formulas = {"renderer.learned.ema", "renderer.learned.kernel_distance", "renderer.learned.processes"}
    for path in sorted((ROOT / "kaokore").rglob("*.py")):
        for name in imported(ast.walk(tree(path))):
            if name.split(".")[0] == "renderer":
                allowed = name == "renderer.errors" or name.startswith("renderer.io.") or name in formulas
                assert allowed, f"{path.relative_to(ROOT)}: {name}"


def circle(edges: Mapping[str, Iterable[str]]) -> list[str]:
    """A path in a directed graph that returns to its first node, or nothing.

    >>> circle({"a": ["b"], "b": ["c"], "c": ["b"]})
    ['b', 'c', 'b']
    >>> circle({"a": ["b", "c"], "b": ["c"], "c": []})
    []
    """
    finished: set[str] = set()

    def visit(node: str, path: list[str]) -> list[str]:
        if node in path:
            return [*path[path.index(node) :], node]
        if node not in finished:
            for following in edges[node]:
                if found := visit(following, [*path, node]):
                    return found
            finished.add(node)
        return []

    return next((found for node in edges if (found := visit(node, []))), [])


def test_modules_do_not_import_each_other_in_a_circle() -> None:
    edges = {
        name: sorted(set(imported(at_import(tree(path).body))) & set(MODULES) - {name})
        for name, path in MODULES.items()
    }
    assert sum(map(len, edges.values())) > len(MODULES), "imports are found at all"
    assert not circle(edges), " -> ".join(circle(edges))


def test_a_module_name_means_one_thing() -> None:
    count = Counter(path.stem for path in PYTHON)
    twice = {name for name, times in count.items() if times > 1}
    assert not twice - SHARED_NAMES, f"name these modules after what is in them: {twice - SHARED_NAMES}"
    assert not SHARED_NAMES - twice, f"no longer shared: {SHARED_NAMES - twice}"


def test_commands_are_a_small_part() -> None:
    lines = Counter[str]()
    for package in MAY_IMPORT:
        for path in (ROOT / package).rglob("*"):
            if path.suffix in {".py", ".c", ".css", ".js", ".html"}:
                lines[package] += len(path.read_text(encoding="utf-8").splitlines())
    share = lines["experiments"] / lines.total()
    assert share < 0.3, f"experiments has {share:.1%} of the lines"


@pytest.mark.parametrize("package", [*MAY_IMPORT, "tests"])
def test_packages_are_those_of_this_repository(package: str) -> None:
    assert Path(str(importlib.import_module(package).__file__)).resolve() == ROOT / package / "__init__.py"


@pytest.mark.parametrize("path", PYTHON, ids=lambda path: str(path.relative_to(ROOT)))
def test_habits(path: Path) -> None:
    assert path.name != "utils.py", "name the file after what is in it"
    assert not {"pickle", "cloudpickle", "dill", "joblib"} & packages(path), "files hold no code: use safetensors"
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.ImportFrom):
            assert node.names[0].name != "*", f"line {node.lineno}: import names, not *"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and path not in MAY_PRINT:
            assert node.func.id != "print", f"line {node.lineno}: libraries do not print"


def test_files_name_no_machine() -> None:
    """Files contain no path of one machine and no package index but the public ones."""
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
