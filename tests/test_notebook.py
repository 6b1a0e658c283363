"""The notebook runs from top to bottom, and git holds it without outputs."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parent.parent / "notebooks" / "quickstart.ipynb"


def test_outputs_are_stripped():
    cells = nbformat.read(NOTEBOOK, as_version=4).cells
    assert all(not cell.outputs and cell.execution_count is None for cell in cells if cell.cell_type == "code")


# The notebook's kernel is another process with another event loop; what its libraries warn of there is not ours.
@pytest.mark.filterwarnings("ignore")
def test_it_runs_and_shows_a_film(tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # as in conftest.py: on a busy machine two threads wait for one another
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, timeout=240, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    shown = [output.data for output in outputs if "data" in output]
    assert any("video/mp4" in data.get("text/html", "") for data in shown)
    assert sum("image/png" in data for data in shown) == 3
