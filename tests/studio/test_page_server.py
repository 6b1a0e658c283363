"""The studio's page without a browser: who may ask, what it answers, and that nothing gets out of its folder."""

import base64
import contextlib
import io
import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

pytest.importorskip("starlette", reason="the page needs Starlette (pip install -e '.[studio]')")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of the test client about the version of its HTTP library
    from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from kaokore import write_fake_kaokore
from kaokore.errors import DatasetError
from kaokore.page_security import STRICT_POLICY
from studio.jobs import JobQueue
from studio.page_faces import ENLARGED, PAGE, Faces
from studio.page_server import MAX_UPLOAD, STATIC, make_app
from studio.page_state import Studio
from studio.painters import Painters
from studio.workspace import Workspace

LIVE = "ws://127.0.0.1/live"
ORIGIN = {"Origin": "http://127.0.0.1"}


def picture(side: int = 48) -> bytes:
    pixels = np.zeros((side, side, 3), np.uint8)
    pixels[: side // 2] = 200, 40, 30
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def painters() -> Painters:
    return Painters(device="cpu")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(write_fake_kaokore(tmp_path_factory.mktemp("kaokore"), n=24))


@contextlib.contextmanager
def running(folder: Path, painters: Painters, root: Path) -> Iterator[TestClient]:
    app = make_app(Studio(Workspace(folder, painters), Faces(root), JobQueue()))
    with TestClient(app, base_url="http://127.0.0.1") as client:
        yield client


@pytest.fixture
def client(tmp_path: Path, painters: Painters, root: Path) -> Iterator[TestClient]:
    with running(tmp_path / "out", painters, root) as client:
        yield client


class Tab:
    """A browser tab: it asks, and remembers what it was told meanwhile."""

    def __init__(self, socket: Any) -> None:
        self.socket, self.number = socket, 0
        self.facts: dict[str, Any] = {}
        self.job: dict[str, Any] = {}
        self.exported: dict[str, Any] = {}
        self.frames: list[tuple[dict[str, Any], bytes]] = []

    def receive(self) -> dict[str, Any]:
        message = self.socket.receive()
        if message.get("bytes"):
            data = message["bytes"]
            length = int.from_bytes(data[:4], "big")
            self.frames.append((json.loads(data[4 : 4 + length]), data[4 + length :]))
            return {}
        told: dict[str, Any] = json.loads(message["text"])
        match told.get("event"):
            case "facts":
                self.facts = told["facts"]
            case "job":
                self.job = told
            case "export":
                self.exported = told
        return told

    def answer(self, name: str, /, **arguments: Any) -> dict[str, Any]:
        self.number += 1
        self.socket.send_text(json.dumps({"id": self.number, "do": name, **arguments}))
        while (told := self.receive()).get("id") != self.number:
            pass
        return told

    def ask(self, name: str, /, **arguments: Any) -> Any:
        told = self.answer(name, **arguments)
        assert "error" not in told, told["error"]
        return told["result"]

    def wait(self) -> None:
        """Until what is painted has ended, and its facts have come."""
        while self.job.get("state") not in ("finished", "stopped", "failed"):
            self.receive()

    def paint(self, name: str, /, **arguments: Any) -> None:
        self.job = {}
        self.ask(name, **arguments)
        self.wait()
        assert self.job["state"] == "finished", self.job["error"]


@pytest.fixture
def tab(client: TestClient) -> Iterator[Tab]:
    with client.websocket_connect(LIVE, headers=ORIGIN) as socket:
        tab = Tab(socket)
        name = client.post("/upload", params={"name": "a face.png"}, content=picture()).json()["name"]
        tab.ask("open", name=name)
        yield tab


def settings(tab: Tab, **changes: Any) -> dict[str, Any]:
    return {**tab.facts["settings"], "strokes": 12, "size": 32, **changes}


def test_the_page_and_its_files_come_with_the_strict_policy(client: TestClient) -> None:
    page = client.get("/")
    assert page.status_code == 200
    for path in ("/", *(f"/static/{file.name}" for file in STATIC.iterdir()), "/nothing", "/static/nothing"):
        answer = client.get(path)
        assert answer.headers["content-security-policy"] == STRICT_POLICY
        assert answer.status_code == (404 if path.endswith("nothing") else 200)
    text = "".join(file.read_text(encoding="utf-8") for file in STATIC.iterdir())
    assert not [word for word in ("onclick", "style=", "<script>", "eval(", "innerHTML", "https://") if word in text]
    assert text.count("http://") == text.count("http://www.w3.org/")


@pytest.mark.parametrize(
    "path", ["/static/../page_server.py", "/static/%2e%2e%2fpage_server.py", "/docs", "/document/a/picture/b", "/live"]
)
def test_unknown_paths_are_404(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer.text) == (404, "There is no such page.")


@pytest.mark.parametrize("headers", [{"Host": "evil.example"}, {"Origin": "http://evil.example"}])
def test_other_sites_are_refused(client: TestClient, headers: dict[str, str]) -> None:
    assert client.get("/", headers=headers).status_code == 403
    assert client.post("/upload", content=picture(), headers=headers).status_code == 403
    for others in (headers, {}):  # a websocket must say where it comes from
        with pytest.raises(WebSocketDisconnect), client.websocket_connect(LIVE, headers={**others}):
            pass


def test_uploads_are_limited_and_stay_inside(client: TestClient, tmp_path: Path) -> None:
    for data, code, words in (
        (b"no picture", 400, "evil"),
        (b"\0" * (MAX_UPLOAD + 1), 413, "32 MiB"),
    ):
        answer = client.post("/upload", params={"name": "../../evil.png"}, content=data)
        assert answer.status_code == code
        assert words in answer.json()["error"]
        assert "\n" not in answer.json()["error"]
    answer = client.post("/upload", params={"name": "../../<b>evil.png"}, content=picture())
    assert answer.json() == {"name": "b evil"}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert [path.name for path in (tmp_path / "out" / "documents").iterdir()] == ["b evil"]


def test_views(client: TestClient, tab: Tab) -> None:
    for view in ("picture", "painting", "error"):
        answer = client.get(f"/document/a face/{view}", params={"size": 64, "version": tab.facts["version"]})
        assert Image.open(io.BytesIO(answer.content)).size == (64, 64)
        assert "immutable" in answer.headers["cache-control"]
        assert client.get(f"/document/a face/{view}").headers["cache-control"] == "no-store"
    for path, code in (
        ("/document/a face/mask", 404),
        ("/document/a face/secret", 404),
        ("/document/nobody/picture", 400),
        ("/document/..%2f..%2fetc/picture", 404),
        ("/document/a face/picture?size=5000", 400),
        ("/document/a face/picture?size=x", 400),
        ("/document/a face/export/nothing.png", 404),
        ("/document/a face/export/..%2fpicture.png", 404),
        ("/face/99999999", 400),
    ):
        assert client.get(path).status_code == code, path


def test_painting_live_and_every_edit(client: TestClient, tab: Tab) -> None:
    tab.paint("paint", settings=settings(tab))
    assert tab.facts["count"] == tab.facts["cursor"] == 12
    about, image = tab.frames[-1]
    assert about["strokes"] == 12
    assert Image.open(io.BytesIO(image)).format == "JPEG"
    assert [about["strokes"] for about, _ in tab.frames] == sorted(about["strokes"] for about, _ in tab.frames)

    found = next(filter(None, (tab.ask("at", x=x / 9, y=y / 9) for x in range(1, 9) for y in range(1, 9))))
    assert {value["name"] for value in found["values"]} >= {"start", "end", "radius", "opacity", "colour"}
    tab.ask("lock", index=found["index"], locked=True)
    assert tab.facts["locked"] == 1
    assert "locked" in tab.answer("erase", index=found["index"])["error"]
    tab.ask("lock", index=found["index"], locked=False)
    tab.ask("erase", index=found["index"])
    assert tab.facts["count"] == 11
    colour = tab.ask("about", index=0)["colour"]
    assert "another colour" in tab.ask("recolour", old=colour, new="#123456", tolerance=0.01)

    tab.ask("show", count=5)
    assert tab.ask("stroke", points=[[0.1, 0.1, 0.5], [0.5, 0.6, 0.7]], radius=0.03, colour="#000000", opacity=1) >= 1
    drawn = tab.facts["count"] - 11
    assert tab.facts["cursor"] == 5 + drawn
    tab.ask("cut")
    assert tab.facts["count"] == 5 + drawn
    tab.frames.clear()
    tab.paint("more", strokes=3)
    assert tab.facts["count"] == 8 + drawn
    assert tab.frames[0][0]["strokes"] >= 5 + drawn, "what is there stays on the screen"
    assert "no mask" in tab.answer("repaint", strokes=3)["error"]
    mask = np.zeros((32, 32), np.uint8)
    mask[4:28, 4:28] = 255
    file = io.BytesIO()
    Image.fromarray(mask).save(file, "PNG")
    tab.ask("mask", png=base64.b64encode(file.getvalue()).decode())
    assert tab.facts["mask"]
    assert client.get("/document/a face/mask").headers["content-type"] == "image/png"
    tab.paint("repaint", strokes=2)
    assert tab.facts["count"] == 10 + drawn
    version = tab.facts["version"]
    assert tab.ask("undo").startswith("Undone: Repaint")
    assert tab.facts["count"] == 8 + drawn
    assert tab.facts["version"] != version
    tab.ask("redo")
    assert tab.facts["count"] == 10 + drawn
    assert tab.ask("quality")["mse"] < 1

    copy = tab.ask("duplicate")
    assert tab.ask("compare", other=copy)["difference"] < 1e-9
    tab.ask("rename", name="  <i>new/../name ")
    assert tab.facts["name"] == "i new .. name"
    assert [entry["name"] for entry in tab.ask("paintings")] == ["i new .. name", copy]
    tab.ask("remove", name=copy)
    assert len(tab.ask("paintings")) == 1


def test_a_tab_is_told_of_changes_after_many_renames(client: TestClient, tab: Tab) -> None:
    """The folder of a document is gone for a moment, while other parts of the page ask for it."""
    for i in range(30):
        tab.ask("rename", name=f"name {i % 2}")
    tab.paint("paint", settings=settings(tab))
    assert tab.facts["count"] == 12


def test_a_painting_that_another_tab_removed(client: TestClient, tab: Tab) -> None:
    with client.websocket_connect(LIVE, headers=ORIGIN) as socket:
        Tab(socket).ask("remove", name="a face")
    for command, given in {"paint": {"settings": settings(tab)}, "undo": {}, "rename": {"name": "b"}}.items():
        told = tab.answer(command, **given)
        assert told["error"] == "a face was renamed or removed elsewhere: choose a painting."


def test_exports_come_as_files(client: TestClient, tab: Tab) -> None:
    tab.paint("paint", settings=settings(tab))
    for kind, size in (("png", 32), ("page", None), ("session", None)):
        tab.exported = {}
        tab.ask("export", kind=kind, size=size)
        while tab.exported.get("state") not in ("finished", "failed"):
            tab.receive()
        answer = client.get(tab.exported["url"])
        assert answer.headers["content-disposition"].startswith("attachment; ")
        assert answer.headers["content-type"] == "application/octet-stream"
        if kind == "png":
            assert Image.open(io.BytesIO(answer.content)).size == (32, 32)
    session = client.post("/upload", params={"name": "b.session.safetensors"}, content=answer.content)
    tab.ask("open", name=session.json()["name"])
    assert tab.facts["count"] == 12
    assert "16 to" in (tab.ask("export", kind="png", size=1) and _failure(tab))
    assert "no export" in tab.answer("export", kind="exe")["error"]


def _failure(tab: Tab) -> str:
    while tab.exported.get("state") != "failed":
        tab.receive()
    return str(tab.exported["error"])


def test_stop_go_on_and_the_queue(client: TestClient, tab: Tab) -> None:
    slow = settings(tab, method="optimize", strokes=8, steps=20_000)
    with client.websocket_connect(LIVE, headers=ORIGIN) as socket:
        second = Tab(socket)
        second.ask("sample", seed=3)
        tab.ask("paint", settings=slow)
        assert "in work already" in tab.answer("paint", settings=slow)["error"]
        second.ask("paint", settings=settings(tab, method="agent"))
        while not second.job:
            second.receive()
        assert (second.job["state"], second.job["place"]) == ("waiting", 1)
        while not tab.frames:
            tab.receive()
        tab.ask("stop")
        tab.wait()
        assert tab.job["state"] == "stopped"
        assert tab.facts["unfinished"]
        second.wait()
        assert second.job["state"] == "finished"
    tab.job = {}
    tab.ask("go_on")
    tab.ask("stop")
    tab.wait()


def test_what_was_done_is_there_after_a_restart(tmp_path: Path, painters: Painters, root: Path) -> None:
    versions = []
    for start in (True, False):
        with running(tmp_path, painters, root) as client, client.websocket_connect(LIVE, headers=ORIGIN) as socket:
            tab = Tab(socket)
            if start:
                tab.ask("face", number=tab.ask("faces", start=0)[0])
                tab.paint("paint", settings=settings(tab))
            else:
                tab.ask("open", name=tab.ask("paintings")[0]["name"])
                assert tab.facts["count"] == 0
            versions.append(tab.facts["version"])
            tab.ask("undo") if start else tab.ask("redo")
            versions.append(tab.facts["version"])
    assert versions == [versions[0], versions[1], versions[1], versions[0]], "browsers may keep images"


BAD = [
    "no JSON",
    "[]",
    "{}",
    '{"do": "do"}',
    '{"do": "_edit"}',
    '{"do": "__init__"}',
    '{"do": "facts"}',
    '{"do": ["undo"]}',
    '{"do": "show"}',
    '{"do": "show", "count": "many"}',
    '{"do": "show", "count": 1, "more": 2}',
    '{"do": "open", "name": "../.."}',
    '{"do": "paint", "settings": {"strokes": 0}}',
    '{"do": "paint", "settings": {"strokes": "ten"}}',
    '{"do": "paint", "settings": {"brush": "/etc/passwd"}}',
    '{"do": "paint", "settings": {"brush": "os:system"}}',
    '{"do": "paint", "settings": {"secret": 1}}',
    '{"do": "more", "strokes": -1}',
    '{"do": "lock", "index": 5, "locked": true}',
    '{"do": "recolour", "old": "red", "new": "#ffffff"}',
    '{"do": "mask", "png": "***"}',
    '{"do": "mask", "png": "AAAA"}',
    '{"do": "stroke", "points": [], "radius": 0.1, "colour": "#000000", "opacity": 1}',
    '{"do": "stroke", "points": [[0, 0, 1e400]], "radius": 0.1, "colour": "#000000", "opacity": 1}',
    '{"do": "stroke", "points": [[0, 0]], "radius": 0.1, "colour": "#000000", "opacity": 1}',
    '{"do": "go_on"}',
    '{"do": "undo"}',
    '{"do": "sample", "seed": -1}',
    '{"do": "face", "number": 99999999}',
    '{"do": "compare", "other": "nobody"}',
    '{"do": "mask", "png": ""}',
    "[" * 2000,
]


def test_bad_commands_are_one_line_and_change_nothing(tab: Tab) -> None:
    for message in BAD:
        tab.socket.send_text(message)
        while "error" not in (told := tab.receive()):
            assert "result" not in told, message
        assert told["error"], message
        assert "\n" not in told["error"], message
        assert "Error:" not in told["error"], f"{message}: a defect, not a message"
    assert tab.ask("paintings")[0]["name"] == "a face"
    assert tab.facts["count"] == 0


def test_faces(root: Path, tmp_path: Path) -> None:
    faces = Faces(root)
    assert sorted(set(faces.page(0))) == faces.ids
    assert len(faces.page(5)) == PAGE
    assert Image.open(io.BytesIO(faces.thumbnail(faces.ids[0]))).size == (160, 160)
    first, again = faces.sample(1), faces.sample(1)
    assert torch.equal(first, again)
    assert first.shape[-1] == 64 * ENLARGED
    with pytest.raises(DatasetError):
        Faces(tmp_path)
