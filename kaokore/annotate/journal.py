"""The journal of an annotation: one JSON object per line, on the disk before the next face is shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from renderer.errors import InputError
from renderer.io.append_only import AppendOnlyFile
from renderer.io.read import guarded, parse_json


class Journal:
    """A file of JSON objects, one a line, see `AppendOnlyFile`; `lines` holds them.

    Raises `InputError` when the file cannot be written, is damaged, or is open in another process.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._file = AppendOnlyFile(path, "let others join by opening its page in their own browser")
        try:
            texts = self._file.whole.split(b"\n")[:-1]
            self.lines = [_parsed(text, number, self.path) for number, text in enumerate(texts, 1)]
        except BaseException:
            self.close()
            raise

    def append(self, line: dict[str, Any]) -> None:
        """Append a line. Raises `InputError` when the disk does not take it; the file is then as it was."""
        self._file.append(json.dumps(line, ensure_ascii=False).encode() + b"\n")
        self.lines.append(line)

    def close(self) -> None:
        """Close the file and release its lock."""
        self._file.close()


def _parsed(text: bytes, number: int, path: Path) -> dict[str, Any]:
    with guarded(f"Line {number} of {path}", InputError, "is damaged", "; mend or remove it, then start again"):
        return parse_json(text)
