"""The table of commands in docs/scripts.md is complete."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent


def commands() -> set[str]:
    """The modules of experiments that can be run, without that of `kaokore-painter`, which runs them."""
    found = set()
    for file in sorted((ROOT / "experiments").rglob("*.py")):
        if file.name == "__main__.py" or '__name__ == "__main__"' in file.read_text(encoding="utf-8"):
            parts = file.relative_to(ROOT / "experiments").with_suffix("").parts
            found.add(".".join(part for part in parts if part != "__main__"))
    return found - {""}


def test_every_command_is_in_the_table_and_nothing_else() -> None:
    page = (ROOT / "docs/scripts.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    assert {name for row in rows for name in re.findall(r"`([\w.]+)`", row)} == commands()
