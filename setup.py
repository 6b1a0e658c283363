"""Build the wheel as one package, `kaokore_painter`, which contains the project's packages.

Another distribution installs a package of the name `agents`; a wheel with that top-level name would overwrite it. So the
wheel moves `renderer`, `agents`, `painter`, `kaokore`, `studio` and `experiments` into `kaokore_painter` and renames them in
import statements and in strings that name modules. A checkout and an editable install keep the names as they stand in the
source.
"""

import io
import re
import shutil
import tokenize
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

WHEEL_PACKAGE = "kaokore_painter"
MOVED = ("renderer", "agents", "painter", "kaokore", "studio", "experiments")


class BuildOnePackage(build_py):
    """Copy the packages as usual, then move them into one and add the shipped checkpoints."""

    def run(self) -> None:
        """Build; an editable install is left as it is."""
        root = Path(__file__).parent
        if not self.editable_mode:
            shutil.rmtree(self.build_lib, ignore_errors=True)  # an earlier build's files would be moved again
        super().run()
        if self.editable_mode:
            return
        library = Path(self.build_lib)
        wheel = library / WHEEL_PACKAGE
        for name in MOVED:
            shutil.move(library / name, wheel / name)
        modules = {".".join(path.relative_to(wheel).with_suffix("").parts) for path in wheel.rglob("*.py")}
        modules |= {module.removesuffix(".__init__") for module in modules}
        for path in wheel.rglob("*.py"):
            path.write_text(rename(path.read_text(encoding="utf-8"), modules), encoding="utf-8")
        (wheel / "checkpoints").mkdir()
        for file in sorted((root / "checkpoints").glob("*.safetensors")):
            shutil.copy2(file, wheel / "checkpoints")

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        """All files that were built."""
        if self.editable_mode:
            return list(super().get_outputs(include_bytecode))
        return [str(path) for path in Path(self.build_lib).rglob("*") if path.is_file()]


def rename(source: str, modules: set[str]) -> str:
    """Put `kaokore_painter.` before the moved packages in imports, and in strings before names of existing `modules`."""
    lines = source.splitlines(keepends=True)
    edits: list[tuple[int, int]] = []  # row and column where the prefix goes
    statement: list[tokenize.TokenInfo] = []
    ignored = (tokenize.INDENT, tokenize.DEDENT, tokenize.COMMENT, tokenize.NL, tokenize.ENCODING)
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.STRING:
            edits += _names_in_string(token, modules)
        if token.type in (tokenize.NEWLINE, tokenize.ENDMARKER) or token.string == ";":
            edits += _imported_names(statement)
            statement = []
        elif token.type not in ignored:
            statement.append(token)
    for row, column in sorted(edits, reverse=True):
        line = lines[row - 1]
        lines[row - 1] = f"{line[:column]}{WHEEL_PACKAGE}.{line[column:]}"
    return "".join(lines)


def _imported_names(statement: list[tokenize.TokenInfo]) -> list[tuple[int, int]]:
    """Where `from X.y import z` names a moved package. `import X` binds the name X: the project does not use it."""
    if len(statement) < 2 or statement[1].string not in MOVED:
        return []
    if statement[0].string == "import":
        raise ValueError(f"line {statement[0].start[0]}: write `from {statement[1].string} import ...`")
    return [statement[1].start] if statement[0].string == "from" else []


def _names_in_string(token: tokenize.TokenInfo, modules: set[str]) -> list[tuple[int, int]]:
    """Where a string names a module, something in a module below a package, or a package that is imported or run."""
    found = []
    for i, line in enumerate(token.string.split("\n")):
        offset = token.start[1] if i == 0 else 0
        for match in re.finditer(rf"(?<![\w./-])(?:{'|'.join(MOVED)})(?:\.\w+)*", line):
            module = match[0] if match[0] in modules else match[0].rpartition(".")[0]
            # `painter.refine(...)` in an example is a method of an object, not the module of that name.
            called = line[match.end() :].startswith("(")
            named = module in modules and "." in module and not called
            if named or re.search(r"(?:\bfrom |\bimport |-m )$", line[: match.start()]):
                found.append((token.start[0] + i, match.start() + offset))
    return found


setup(cmdclass={"build_py": BuildOnePackage})
