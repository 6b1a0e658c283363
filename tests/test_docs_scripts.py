"""The table of scripts lists all of them."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_every_script_is_in_the_table_and_nothing_else():
    rows = [
        line.split("|")[1] for line in (ROOT / "docs/scripts.md").read_text().splitlines() if line.startswith("| `")
    ]
    named = {name for row in rows for name in re.findall(r"`(?:figures\.)?(\w+)`", row)}
    assert named == scripts()


def scripts():
    """The names of all modules of experiments that can be run, but for the entry that leads to them."""
    files = [*ROOT.glob("experiments/*.py"), *ROOT.glob("experiments/*/*.py")]
    return {
        file.parent.name if file.name == "__main__.py" else file.stem
        for file in files
        if _runs(file) and file != ROOT / "experiments" / "__main__.py"
    }


def _runs(file: Path) -> bool:
    return file.name == "__main__.py" or '__name__ == "__main__"' in file.read_text()
