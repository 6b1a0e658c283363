"""The history of a document on the disk: undo and redo survive restarts and kills."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from renderer.errors import InputError
from renderer.io.append_only import AppendOnlyFile
from renderer.io.files import sweep
from renderer.io.from_json import from_json
from renderer.io.read import guarded, parse_json
from studio.session_file import State, read_session, write_session

MAX_EDITS = 200  # that can be undone
MAX_BYTES = 256 * 2**20  # of their states
JOURNAL = "history.jsonl"
_STATE = re.compile(r"\d{8}\.safetensors")


@dataclass(frozen=True)
class Edit:
    """What was done, and the number of the state that came of it."""

    number: int
    label: str


class History:
    """The states of a document, one a file, and a journal of what was done. An edit is on the disk when `add` returns.

    A journal names the states in their order; undo and redo are lines of it, too. The states are written before the line
    that names them, so that a kill at any moment loses at most what had not returned. The folder is locked while it is
    open. Old states go when there are over `MAX_EDITS` or `MAX_BYTES`.

    Args:
        folder: where; made where it is missing.

    Raises:
        InputError: when it cannot be written, is damaged, or is open elsewhere.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._edits: list[Edit] = []
        self._position = -1
        self._next = 0
        self._file = AppendOnlyFile(folder / JOURNAL, "close the other one first")
        try:
            for number, line in enumerate(self._file.whole.split(b"\n")[:-1], 1):
                with guarded(f"Line {number} of {folder / JOURNAL}", InputError, "is damaged", "; remove its folder"):
                    self._replay(line)
            sweep(folder)
            self._drop()
        except BaseException:
            self.close()
            raise

    def __len__(self) -> int:
        return len(self._edits)

    @property
    def edits(self) -> list[Edit]:
        """All edits that can be undone or redone, the oldest first."""
        return list(self._edits)

    @property
    def position(self) -> int:
        """The index of the present edit in `edits`; -1 before the first one."""
        return self._position

    def undo_label(self) -> str | None:
        """What `undo` would take back; None when there is nothing."""
        return self._edits[self._position].label if self._position > 0 else None

    def redo_label(self) -> str | None:
        """What `redo` would do again; None when there is nothing."""
        return self._edits[self._position + 1].label if self._position + 1 < len(self._edits) else None

    def add(self, state: State, label: str) -> None:
        """Add a state after the present one; those that could be redone are gone. Raises `InputError`."""
        edit = Edit(self._next, label)
        write_session(self._path(edit), state)
        self._append({"do": "edit", "state": edit.number, "label": label})
        self._drop()

    def undo(self) -> State:
        """The state before the present one, which is then the present one. Raises `InputError` when there is none."""
        if self.undo_label() is None:
            raise InputError("There is nothing to undo.")
        state = self._read(self._edits[self._position - 1])
        self._append({"do": "undo"})
        return state

    def redo(self) -> State:
        """The state after the present one, as `undo`."""
        if self.redo_label() is None:
            raise InputError("There is nothing to redo.")
        state = self._read(self._edits[self._position + 1])
        self._append({"do": "redo"})
        return state

    def present(self) -> State | None:
        """The present state; None before the first edit. Raises `InputError` when its file is damaged."""
        return self._read(self._edits[self._position]) if self._position >= 0 else None

    def close(self) -> None:
        """Let other processes open the folder."""
        self._file.close()

    def _append(self, line: dict[str, object]) -> None:
        text = json.dumps(line).encode() + b"\n"
        self._file.append(text)
        self._replay(text)

    def _replay(self, text: bytes) -> None:
        line = parse_json(text)
        if line["do"] == "edit":
            number = from_json(int, line["state"], "the state")
            if number < self._next:
                raise ValueError("the numbers of states do not grow")
            self._edits = [*self._edits[: self._position + 1], Edit(number, from_json(str, line["label"], "the label"))]
            self._position, self._next = len(self._edits) - 1, number + 1
        elif line["do"] == "undo" and self._position > 0:
            self._position -= 1
        elif line["do"] == "redo" and self._position + 1 < len(self._edits):
            self._position += 1
        else:
            raise ValueError("there is no such action")

    def _drop(self) -> None:
        """Remove files that nothing names, and the oldest states beyond the limits."""
        sizes = {path: path.stat().st_size for path in self.folder.iterdir() if _STATE.fullmatch(path.name)}
        kept = [edit for edit in self._edits if self._path(edit) in sizes]  # what was dropped before
        while len(kept) > 1 and (len(kept) > MAX_EDITS or sum(sizes[self._path(e)] for e in kept) > MAX_BYTES):
            if self._edits[self._position] is kept[0]:
                break
            kept = kept[1:]
        present = self._edits[self._position] if self._position >= 0 else None
        if present is not None and present not in kept:
            raise InputError(f"{self._path(present)} is missing; remove its folder.")
        for path in {*sizes} - {self._path(edit) for edit in kept}:
            path.unlink(missing_ok=True)
        self._position = kept.index(present) if present is not None else -1
        self._edits = kept

    def _read(self, edit: Edit) -> State:
        return read_session(self._path(edit))[0]

    def _path(self, edit: Edit) -> Path:
        return self.folder / f"{edit.number:08}.safetensors"
