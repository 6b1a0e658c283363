"""Checkpoints by addresses of the Hub, against a server on this machine that answers as the Hub does."""

import hashlib
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch

from agents.policy import Policy
from agents.registry import load_agent
from renderer.brush import load_brush
from renderer.brushes.bezier import AnalyticBezier
from renderer.errors import InputError
from renderer.io import hub
from renderer.io.checkpoint import Checkpoint, CheckpointError
from renderer.io.hub import HubError, HubFile, fetch, parse_address
from renderer.learned.stroke_map import StrokeMap
from renderer.strokes import BEZIER

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Stand(ThreadingHTTPServer):
    """Serves `files` by their path on the Hub; `asked` are the requests."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.claimed: int | None = None  # bytes that it says a file has


class Handler(BaseHTTPRequestHandler):
    server: Stand

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def answer(self, *, body: bool) -> None:
        self.server.asked.append(f"{self.command} {self.path}")
        data = self.server.files.get(self.path)
        self.send_response(404 if data is None else 200)
        data = data or b""
        self.send_header("Content-Length", str(self.server.claimed or len(data)))
        self.send_header("ETag", f'"{hashlib.sha256(data).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if body:
            self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stand]:
    pytest.importorskip("huggingface_hub")
    server = Stand()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv(hub.ALLOW, raising=False)
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def checkpoint_bytes(tmp_path: Path, checkpoint: Checkpoint) -> bytes:
    checkpoint.save(tmp_path / "made.safetensors")
    return (tmp_path / "made.safetensors").read_bytes()


@pytest.fixture
def brush(stand: Stand, tmp_path: Path) -> str:
    torch.manual_seed(0)
    made = Checkpoint("stroke-map", {"hidden": 4, "grid": 3}, StrokeMap(4, 3).state_dict(), BEZIER)
    stand.files["/someone/brushes/resolve/v1/soft.safetensors"] = checkpoint_bytes(tmp_path, made)
    return "hf://someone/brushes/soft.safetensors@v1"


def test_nothing_is_asked_unless_it_is_allowed(stand: Stand, brush: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for load in (load_brush, Checkpoint.load, fetch):
        with pytest.raises(HubError, match=r"not in the cache, and downloads are off; set KAOKORE_HUB=1"):
            load(brush)
    assert stand.asked == []
    monkeypatch.setenv(hub.ALLOW, "1")
    first = load_brush(brush)
    assert any(request.startswith("GET /someone/brushes/resolve/") for request in stand.asked)
    monkeypatch.setenv(hub.ALLOW, "0")
    stand.asked.clear()
    strokes = BEZIER.sample(2)
    assert torch.equal(load_brush(brush)(strokes, (16, 16)).alpha, first(strokes, (16, 16)).alpha)
    assert stand.asked == [], "what is in the cache needs no network"


def test_agents_by_address(stand: Stand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(hub.ALLOW, "1")
    settings = {"width": 16, "blocks": 1, "each": 2}
    made = Checkpoint("policy", settings, Policy(**settings).state_dict(), BEZIER)
    stand.files["/someone/agent/resolve/main/model.safetensors"] = checkpoint_bytes(tmp_path, made)
    assert callable(load_agent("hf://someone/agent", AnalyticBezier()))


def test_what_cannot_be_had_is_one_line(stand: Stand, brush: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(HubError, match=r"^hf://someone/none cannot be downloaded \([^\n]+\)\.$"):
        fetch("hf://someone/none", download=True)
    stand.files["/someone/brushes/resolve/v1/soft.safetensors"] = b"no checkpoint"
    with pytest.raises(CheckpointError, match="is damaged or not a checkpoint"):
        Checkpoint.load(fetch(brush, download=True))
    stand.claimed = 2**40
    with pytest.raises(HubError, match="more than the"):
        fetch("hf://someone/brushes/soft.safetensors@v1", download=True)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # nobody listens there
    with pytest.raises(HubError, match="cannot be downloaded"):
        fetch("hf://someone/other", download=True)
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(HubError, match=r"pip install 'kaokore-painter\[hub\]'"):
        fetch(brush)


def test_addresses() -> None:
    assert parse_address("hf://a/b") == HubFile("a/b", "model.safetensors", None)
    assert parse_address("hf://a/b.c/d/e-f.safetensors@refs/pr/1") == HubFile("a/b.c", "d/e-f.safetensors", "refs/pr/1")
    for bad in (
        "hf://a",
        "hf://a/b/c.bin",
        "hf://a/b/c.pkl@main",
        "hf://a/../c/d.safetensors",
        "hf://a/b/../../x.safetensors",
        "hf:///etc/passwd",
        "hf://a/b/c.safetensors@../x",
        "hf://a/b/ c.safetensors",
        "hf://a/b\n/c.safetensors",
        f"hf://a/{'b' * 200}",
    ):
        with pytest.raises(InputError, match=r"^[^\n]+\.$"):
            parse_address(bad)
