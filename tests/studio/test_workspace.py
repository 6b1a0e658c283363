"""The folder of the studio: names, limits, uploads of every kind, and restarts."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from renderer.errors import InputError
from studio import workspace as module
from studio.document import Document
from studio.painters import Painters
from studio.workspace import Workspace, clean_name


@pytest.fixture
def workspace(tmp_path: Path, painters: Painters) -> Workspace:
    return Workspace(tmp_path / "studio", painters)


def png() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((30, 40, 3), np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    "name", ["../../x.png", "/etc/passwd", "a\0b.png", "..", "", "CON.png", "a" * 500, "花" * 90 + ".png", "x/../.."]
)
def test_nothing_is_written_outside_of_the_folder(workspace: Workspace, tmp_path: Path, name: str) -> None:
    document = workspace.upload(name, png())
    assert document.folder.parent == workspace.documents_folder
    assert [path.name for path in tmp_path.iterdir()] == ["studio"]
    assert [path.name for path in workspace.folder.iterdir()] == ["documents"]
    assert workspace.list()[0].name == document.name
    workspace.close()


def test_a_folder_that_leads_nowhere(painters: Painters, tmp_path: Path) -> None:
    (tmp_path / "circle").symlink_to("circle")
    with pytest.raises(InputError, match="circle: "):
        Workspace(tmp_path / "circle", painters)


def test_documents_are_kept_over_restarts(workspace: Workspace, painters: Painters) -> None:
    document = workspace.create("face", np.zeros((30, 40, 3), np.uint8))
    document.add_stroke([(0.5, 0.5, 1.0)])
    assert workspace.open("face") is document
    with pytest.raises(InputError, match="open in another process"):
        Document(document.folder, painters)
    workspace.close()
    again = Workspace(workspace.folder, painters)
    assert again.open("face").count == 1
    assert again.open("face").undo() == "Draw a stroke"
    copy = again.duplicate("face")
    assert copy.name == "face copy"
    renamed = again.rename("face", "other/face")
    assert renamed.name == "other face"
    again.remove("other face")
    with pytest.raises(InputError, match="There is no document"):
        again.open("other face")
    assert [entry.name for entry in again.list()] == ["face copy"]
    again.close()


def test_uploads_of_sessions_and_paintings(workspace: Workspace, tmp_path: Path) -> None:
    document = workspace.create("face", np.zeros((30, 40, 3), np.uint8))
    document.add_stroke([(0.5, 0.5, 1.0)], colour="#ff0000")
    session = document.save(tmp_path / "a.safetensors").read_bytes()
    document.painting.save(tmp_path / "b.safetensors")
    assert workspace.upload("face.safetensors", session).count == 1
    opened = workspace.upload("b.safetensors", (tmp_path / "b.safetensors").read_bytes())
    assert opened.count == 1
    assert opened.quality().mse < 1e-3
    assert sorted(entry.name for entry in workspace.list()) == ["b", "face", "face 2"]
    workspace.close()


def test_bad_uploads(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, data in (("a.png", b"no"), ("a.safetensors", b"no"), ("a", b""), ("a.exe", b"MZ")):
        with pytest.raises(InputError, match=r"^[^\n]+\.$") as caught:
            workspace.upload(name, data)
        assert ".tmp" not in str(caught.value)
    monkeypatch.setattr(module, "MAX_SIDE", 39)
    with pytest.raises(InputError, match="over 39 pixels a side"):
        workspace.upload("a.png", png())
    monkeypatch.setattr(module, "MAX_UPLOAD", 10)
    with pytest.raises(InputError, match="reduce it"):
        workspace.upload("a.png", png())
    assert workspace.list() == []
    assert not list(workspace.folder.glob(".*"))


def test_clean_names_stay() -> None:
    for name in ("face 2", "a.b", "(x)", "é"):
        assert clean_name(name) == name == clean_name(clean_name(name))
