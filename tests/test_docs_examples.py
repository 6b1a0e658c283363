"""The examples of the pages "Add a ..." run and are short."""

import shutil
from pathlib import Path

import pytest

from tests.test_docs_python import blocks

ROOT = Path(__file__).parent.parent
PAGES = sorted((ROOT / "docs").glob("add_*.md"))
MAX_LINES = 40


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_example_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(ROOT / "docs/images/hikime.png", tmp_path / "face.jpg")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": page.stem}
    for block in blocks(page):
        assert len(block.splitlines()) < MAX_LINES
        exec(compile(block, page.name, "exec"), names)
