"""Every export of a document is written by the library's functions into the document's folder."""

import json
from pathlib import Path

import pytest
from PIL import Image

from renderer.errors import InputError
from renderer.io.painting import Painting
from studio.document import Document
from studio.exports import FORMATS, export
from studio.session_file import read_session

OPTIONS = {"png": {"size": 64}, "jpg": {"size": 64}, "svg": {"size": 64}, "ora": {"size": 64}, "psd": {"size": 64}}
# Written by functions that differ in the suffix only and have tests of their own, which take seconds.
ELSEWHERE = {"plan pdf": "plan page", "gcode": "hpgl", "psd": "ora"}
VIDEO = {"size": 32, "seconds": 1.0, "fps": 5.0}


@pytest.fixture
def drawn(document: Document) -> Document:
    document.add_stroke([(0.1, 0.2, 0.5), (0.9, 0.6, 0.5)], colour="#cc3322", radius=0.1)
    document.add_stroke([(0.1, 0.8, 0.5), (0.9, 0.9, 0.5)], colour="#2233cc", radius=0.05)
    return document


@pytest.mark.parametrize("kind", [kind for kind in FORMATS if kind not in ELSEWHERE])
def test_formats(drawn: Document, kind: str) -> None:
    progress: list[float] = []
    options = OPTIONS.get(kind, VIDEO if kind in ("mp4", "gif") else {})
    path = export(drawn, kind, **options, on_progress=progress.append)
    assert path.parent == drawn.folder / "exports"
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    assert path.name.endswith(FORMATS[kind].suffix)
    assert path.stat().st_size > 50
    if kind in ("mp4", "gif"):
        assert progress[-1] == 1
    if kind in ("png", "jpg"):
        with Image.open(path) as image:
            assert image.size == (64, 48)
    if kind == "json":
        assert len(json.loads(path.read_text())["strokes"]) == 2
    if kind == "session":
        assert read_session(path)[0].locked.all()
    if kind == "strokes":
        assert len(Painting.load(path).strokes) == 2


def test_only_what_is_shown_is_exported(drawn: Document) -> None:
    drawn.show(1)
    assert len(Painting.load(export(drawn, "strokes")).strokes) == 1
    assert len(read_session(export(drawn, "session"))[0].painting.strokes) == 2


def test_an_export_can_be_stopped(drawn: Document) -> None:
    def stop(_: float) -> None:
        raise InputError("The export was stopped.")

    with pytest.raises(InputError, match="stopped"):
        export(drawn, "mp4", size=32, on_progress=stop)
    assert not list((drawn.folder / "exports").iterdir())


def test_bad_exports(drawn: Document, tmp_path: Path) -> None:
    for kind, options in (("bmp", {}), ("png", {"size": 10**6}), ("mp4", {"size": 4096}), ("lines", {"colours": 0})):
        with pytest.raises(InputError):
            export(drawn, kind, **options)  # type: ignore[arg-type]
