"""The Python code in the documentation is right: names that it imports exist, and the first pages run."""

import ast
import importlib
import re
import shutil
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
RUNNING = [ROOT / "README.md", ROOT / "docs/first_painting.md"]


def blocks(page: Path) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)], ids=lambda page: page.name)
def test_imported_names_exist(page: Path) -> None:
    for node in ast.walk(ast.parse("\n".join(blocks(page)))):
        if isinstance(node, ast.ImportFrom):
            module = importlib.import_module(str(node.module))
            for name in node.names:
                assert hasattr(module, name.name), f"{node.module} has no {name.name}"
        elif isinstance(node, ast.Import):
            for name in node.names:
                importlib.import_module(name.name)


@pytest.mark.slow
@pytest.mark.parametrize("page", RUNNING, ids=lambda page: page.name)
@pytest.mark.filterwarnings("ignore:.*learned brush:UserWarning")  # where MyPaint is not installed
def test_the_first_pages_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    face = ROOT / "docs/images/hikime.png"
    (tmp_path / "docs/images").mkdir(parents=True)
    shutil.copy(face, tmp_path / "docs/images")
    shutil.copy(face, tmp_path / "face.jpg")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Image.Image, "show", lambda image: None)  # no window
    names: dict[str, object] = {}
    for block in blocks(page):
        quick = re.sub(r"strokes=\d+", "strokes=8", re.sub(r"\b(?:1024|2048)\b", "64", block))
        exec(compile(quick, page.name, "exec"), names)
    assert [path for path in tmp_path.glob("face.*") if path.suffix == (".svg" if page.name == "README.md" else ".png")]
