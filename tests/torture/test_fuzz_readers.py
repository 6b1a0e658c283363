"""A small fixed part of the fuzzing of readers: `python -m tests.torture.fuzz_readers` is the whole."""

import shutil
from pathlib import Path

import pytest

from renderer.brushes.mypaint_engine import load
from renderer.errors import InputError
from tests.torture.fuzz_readers import TARGETS, read_all, sound_files, write_odd

COUNT = {"classifier": 4, "history": 10, "generator": 10, "state": 20, "brush": 20, "agent": 20, "name": 10}
MAY_BE_EMPTY = {"metrics", "journal", "history", "labels", "urls", "tags", "rows"}


@pytest.fixture(scope="module")
def has_engine() -> bool:
    try:
        load()
    except InputError:
        return False
    return True


@pytest.mark.parametrize("name", TARGETS)
def test_damaged_files_are_read_or_refused(tmp_path: Path, name: str, has_engine: bool) -> None:
    if name == "myb" and not has_engine:
        pytest.skip("MyPaint's engine is not installed")
    target = TARGETS[name]
    if target.sound:
        sound_files(target, tmp_path / "sound")
    report = read_all(target, range(COUNT.get(name, 40)), 1, tmp_path, None)
    assert report["findings"] == []
    assert report["outcomes"].total() == COUNT.get(name, 40)
    assert name in {"palette", "name"} or report["outcomes"]["refused"] > 0


@pytest.mark.parametrize("name", [name for name in TARGETS if TARGETS[name].names_file])
def test_what_is_no_file_of_the_kind(tmp_path: Path, name: str) -> None:
    for kind in range(7):
        folder = tmp_path / str(kind)
        folder.mkdir()
        write_odd(folder / TARGETS[name].name, kind)
        if (kind == 6 and name in MAY_BE_EMPTY) or (kind == 1 and name in {"metrics", "journal", "history"}):
            continue
        with pytest.raises(InputError, match=r"^[^\n]+\.$"):
            TARGETS[name].read(folder / TARGETS[name].name)
        shutil.rmtree(folder)
