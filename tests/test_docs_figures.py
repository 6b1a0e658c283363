"""Pages that commands write are as these commands write them from the recorded measurements."""

import json
from pathlib import Path

import pytest

from experiments.figures import gallery
from experiments.figures.classifier_table import Table, table
from experiments.model_card import PICTURES, ROOT, shipped, shipped_page

DOCS = Path(__file__).parent.parent / "docs"


def test_the_table_of_classifiers_shows_the_evaluations(capsys: pytest.CaptureFixture[str]) -> None:
    table(Table(tuple(sorted((DOCS / "classifiers").glob("*.json")))))
    printed = capsys.readouterr().out.strip()
    assert printed in (DOCS / "classifiers.md").read_text()
    rows = [line.split("|") for line in printed.splitlines()[2:]]
    assert len(rows) == 16
    assert all(row[5].strip() for row in rows), "every network was trained on both tasks"


def test_the_gallery_shows_its_figures() -> None:
    figures = json.loads((DOCS / "images/gallery/figures.json").read_text(encoding="utf-8"))
    config = gallery.Config()
    sections = [gallery._section(look, gallery.Figures(**figures[look.name]), config) for look in gallery.LOOKS]
    assert (DOCS / "gallery.md").read_text(encoding="utf-8") == gallery._page(sections, config.size)


def test_the_page_of_checkpoints_is_that_of_their_metadata() -> None:
    assert (ROOT / "checkpoints/README.md").read_text(encoding="utf-8") == shipped_page()
    assert {path.stem for path in (ROOT / PICTURES).glob("*.jpg")} == set(shipped())
