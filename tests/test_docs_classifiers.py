"""The classifiers' page shows what was measured, as `table` prints it."""

from pathlib import Path

from experiments.figures.classifier_table import Table, table

DOCS = Path(__file__).parent.parent / "docs"


def test_the_table_is_that_of_the_evaluations(capsys):
    table(Table(tuple(sorted((DOCS / "classifiers").glob("*.json")))))
    printed = capsys.readouterr().out.strip()
    assert printed in (DOCS / "classifiers.md").read_text()
    rows = [line.split("|") for line in printed.splitlines()[2:]]
    assert len(rows) == 16
    assert all(row[5].strip() for row in rows), "every network was trained on both tasks"
