"""Undo and redo on the disk: bounded, and whole after whatever was there."""

from pathlib import Path

import pytest
import torch

from renderer.errors import InputError
from renderer.io.painting import Painting
from renderer.strokes import BEZIER
from studio import history as module
from studio.history import History
from studio.presets import Settings
from studio.session_file import State


def state(count: int) -> State:
    return State(Painting(BEZIER.sample(count), BEZIER, 8, 8), Settings(), torch.zeros(count, dtype=torch.bool))


def count(history: History) -> int:
    present = history.present()
    assert present is not None
    return len(present.painting.strokes)


def test_undo_redo_and_a_new_branch(tmp_path: Path) -> None:
    history = History(tmp_path)
    assert history.present() is None
    for n in range(4):
        history.add(state(n), f"edit {n}")
    assert (history.undo_label(), history.redo_label()) == ("edit 3", None)
    history.undo()
    assert len(history.undo().painting.strokes) == 1
    history.close()
    history = History(tmp_path)
    assert (count(history), history.undo_label(), history.redo_label()) == (1, "edit 1", "edit 2")
    assert len(history.redo().painting.strokes) == 2
    history.undo()
    history.add(state(9), "branch")
    assert history.redo_label() is None
    assert [edit.label for edit in history.edits] == ["edit 0", "edit 1", "branch"]
    assert len(list(tmp_path.glob("*.safetensors"))) == 3
    history.close()
    history.close()
    assert count(History(tmp_path)) == 9


def test_old_edits_are_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_EDITS", 3)
    history = History(tmp_path)
    for n in range(6):
        history.add(state(n), f"edit {n}")
    assert len(list(tmp_path.glob("*.safetensors"))) == len(history) == 3
    history.undo()
    history.undo()
    with pytest.raises(InputError, match="nothing to undo"):
        history.undo()
    history.close()
    history = History(tmp_path)
    assert (count(history), history.redo_label()) == (3, "edit 4")
    monkeypatch.setattr(module, "MAX_BYTES", 1)
    history.redo()
    history.add(state(1), "last")
    assert len(history) == 1


def test_leftovers_are_swept_and_missing_states_are_said(tmp_path: Path) -> None:
    history = History(tmp_path)
    history.add(state(2), "a")
    history.close()
    (tmp_path / "00000007.safetensors").write_bytes(b"of a killed process")
    history = History(tmp_path)
    history.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["00000000.safetensors", "history.jsonl"]
    (tmp_path / "00000000.safetensors").unlink()
    with pytest.raises(InputError, match="is missing"):
        History(tmp_path)
