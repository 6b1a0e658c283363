"""The notebook runs from top to bottom, uses the public API only, and is committed without outputs."""

import ast
import shutil
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parent.parent
NOTEBOOK = ROOT / "notebooks" / "quickstart.ipynb"


def cells() -> list[nbformat.NotebookNode]:
    return [cell for cell in nbformat.read(NOTEBOOK, as_version=4).cells if cell.cell_type == "code"]


def test_outputs_are_stripped() -> None:
    assert all(not cell.outputs and cell.execution_count is None for cell in cells())


def test_it_imports_the_public_packages_only() -> None:
    nodes = [node for cell in cells() for node in ast.walk(ast.parse(cell.source))]
    imports = [node.module for node in nodes if isinstance(node, ast.ImportFrom)]
    assert imports == ["painter", "renderer"]
    assert not [node for node in nodes if isinstance(node, ast.Import)]


# The notebook's kernel is another process with another event loop; warnings of its libraries do not concern this project.
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_it_runs_and_shows_paintings_and_a_video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # as in conftest.py: on a busy machine threads wait for each other
    folder = tmp_path / "notebooks"
    folder.mkdir()
    (tmp_path / "docs/images").mkdir(parents=True)
    shutil.copy(ROOT / "docs/images/hikime.png", tmp_path / "docs/images")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, timeout=240, resources={"metadata": {"path": str(folder)}}).execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    shown = [output.data for output in outputs if "data" in output]
    assert any("video/mp4" in data.get("text/html", "") for data in shown)
    assert sum("image/png" in data for data in shown) == 5
    assert (tmp_path / "paintings/quickstart.svg").stat().st_size > 10_000
