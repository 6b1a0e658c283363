"""The table of scripts is the whole of it."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_every_script_is_in_the_table_and_nothing_else():
    files = [*ROOT.glob("experiments/*.py"), *ROOT.glob("experiments/*/__main__.py")]
    scripts = {file.parent.name if file.name == "__main__.py" else file.stem for file in files if _runs(file)}
    rows = [
        line.split("|")[1] for line in (ROOT / "docs/scripts.md").read_text().splitlines() if line.startswith("| `")
    ]
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert named == scripts


def _runs(file: Path) -> bool:
    return file.name == "__main__.py" or '__name__ == "__main__"' in file.read_text()
