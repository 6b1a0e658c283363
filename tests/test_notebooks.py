"""Notebooks run from top to bottom, are committed without outputs, and link to pages that exist."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from jupyter_client.manager import KernelManager
from jupyter_core.utils import run_sync
from nbclient import NotebookClient

from renderer import fit, read_image
from renderer.io.images import write_png

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
NAMES = [path.stem for path in NOTEBOOKS]
FEWER_STROKES = ("3_paint_with_the_agent", "4_content_style_and_constraints", "5_kaokore", "quickstart")  # for speed
# Pictures in the outputs of each, at least.
IMAGES = {
    "1_strokes_and_brushes": 4,
    "2_learn_a_renderer": 4,
    "3_paint_with_the_agent": 4,
    "4_content_style_and_constraints": 4,
    "5_kaokore": 2,
    "6_your_own_loss_brush_and_agent": 3,
    "7_gymnasium_and_stable_baselines3": 1,
    "8_edit_a_saved_painting": 3,
    "quickstart": 5,
}


def cells(path: Path) -> list[nbformat.NotebookNode]:
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


def test_all_notebooks_are_known() -> None:
    assert set(NAMES) == set(IMAGES)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=NAMES)
def test_outputs_are_stripped(path: Path) -> None:
    assert all(not cell.outputs and cell.execution_count is None for cell in cells(path))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=NAMES)
def test_links_lead_to_files(path: Path) -> None:
    text = "\n".join(cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "markdown")
    links = re.findall(r"\]\(([^)#]+)\)", text)
    assert links or path.stem == "quickstart"
    for link in links:
        assert (path.parent / link).is_file(), link


def test_the_quickstart_imports_the_public_packages_only() -> None:
    path = ROOT / "notebooks" / "quickstart.ipynb"
    nodes = [node for cell in cells(path) for node in ast.walk(ast.parse(cell.source))]
    imports = [node.module for node in nodes if isinstance(node, ast.ImportFrom)]
    assert imports == ["painter", "renderer"]
    assert not [node for node in nodes if isinstance(node, ast.Import)]


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KernelManager]:
    """One process for all notebooks: torch is imported once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")  # as in conftest.py: on a busy machine threads wait for each other
        patch.setenv("PYTHONPATH", str(ROOT))
        patch.setenv("TMPDIR", str(tmp_path_factory.mktemp("kernel")))  # it is killed in the end
        patch.setenv("KAOKORE_ROOT", str(ROOT / "none"))
        manager = NotebookClient(nbformat.v4.new_notebook()).create_kernel_manager()
        run_sync(manager.start_kernel)()
    yield manager
    run_sync(manager.shutdown_kernel)(now=True)


# The notebook's kernel is another process with another event loop; warnings of its libraries do not concern this project.
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=NAMES)
def test_it_runs_and_shows_pictures(path: Path, kernel: KernelManager, tmp_path: Path) -> None:
    folder = tmp_path / "notebooks"
    folder.mkdir()
    (tmp_path / "docs/images").mkdir(parents=True)
    face = fit(read_image(ROOT / "docs/images/hikime.png"), 48)  # a small picture is painted small
    write_png(face, tmp_path / "docs/images/hikime.png")
    notebook = nbformat.read(path, as_version=4)
    if path.stem in FEWER_STROKES:
        for cell in notebook.cells:
            cell.source = re.sub(r"\b(100|150|200)\b", "25", cell.source)
    steps = "30" if path.stem == "2_learn_a_renderer" else "8"  # of trainings and optimisation
    code = f"import os\nos.chdir({str(folder)!r})\nos.environ['NOTEBOOK_STEPS'] = {steps!r}\ndel os"
    begin = nbformat.v4.new_code_cell(f"%reset -f\n{code}")
    notebook.cells.insert(0, begin)
    client = NotebookClient(notebook, km=kernel, timeout=240)
    client.execute()
    client.kc.stop_channels()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    shown = [output.data for output in outputs if "data" in output]
    assert sum("image/png" in data for data in shown) >= IMAGES[path.stem]
    printed = [output.text for output in outputs if output.output_type == "stream" and output.name == "stderr"]
    assert all("MissingBrushWarning" in text for text in printed), printed  # where MyPaint's engine is not installed
    texts = [data["text/plain"] for data in shown if "text/plain" in data]
    assert max(map(len, texts)) < 1000, "a text that nobody reads"
    if path.stem in ("3_paint_with_the_agent", "8_edit_a_saved_painting"):
        assert any("application/vnd.jupyter.widget-view+json" in data for data in shown)
    if path.stem in ("quickstart", "3_paint_with_the_agent"):
        assert any("video/mp4" in data.get("text/html", "") for data in shown)
    if path.stem == "quickstart":
        assert (tmp_path / "paintings/quickstart.svg").stat().st_size > 10_000
