"""A made-up data set, the real one where it is, and a server that misbehaves on demand."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from kaokore import read_urls, write_fake_kaokore
from kaokore.versions import recognise

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def fake_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A made-up data set that no test writes to."""
    return write_fake_kaokore(tmp_path_factory.mktemp("fake"))


@pytest.fixture
def fake(fake_once: Path, tmp_path: Path) -> Path:
    """A made-up data set for one test to spoil."""
    return Path(shutil.copytree(fake_once, tmp_path / "kaokore"))


@pytest.fixture(scope="session")
def real() -> Path:
    """The real version 1.1, as far as this machine has it."""
    root = Path(os.environ.get("KAOKORE_ROOT") or REPOSITORY.parent / "shared" / "kaokore")
    if not (root / "urls.txt").is_file():
        pytest.skip("KaoKore is not on this machine")
    version = recognise(read_urls(root))
    if version is None or version.name != "1.1":
        pytest.skip("the data set here is not version 1.1")
    return root


class FlakyServer(ThreadingHTTPServer):
    """Serves `files` by path. `plan[path]` lists what befalls the next requests for it; after that all is well.

    A step is a status code, `"truncate"` (fewer bytes than announced), `"half"` (half the file, announced as whole),
    `"stall"` (the headers and then silence), or a function to call before serving.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.plan: dict[str, list[int | str | Callable[[], None]]] = defaultdict(list)
        self.headers: dict[str, str] = {}
        self.hits: Counter[str] = Counter()
        self.delay, self.active, self.peak = 0.0, 0, 0
        self.closing = threading.Event()
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def serve_folder(self, root: Path, prefix: str = "") -> None:
        """Serves the metadata under `prefix`, and every image at the address that `urls.txt` gives it."""
        for path in root.glob("*.*"):
            self.files[f"{prefix}/{path.name}"] = path.read_bytes()
        for image_id, url in enumerate(read_urls(root)):
            if url:
                self.files[url.removeprefix(self.url)] = (root / "images_256" / f"{image_id:08d}.jpg").read_bytes()

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is what these tests are about."""


class _Handler(BaseHTTPRequestHandler):
    server: FlakyServer

    def do_GET(self) -> None:
        with self.server.lock:
            self.server.hits[self.path] += 1
            self.server.active += 1
            self.server.peak = max(self.server.peak, self.server.active)
            step = self.server.plan[self.path].pop(0) if self.server.plan[self.path] else 200
        try:
            time.sleep(self.server.delay)
            self._answer(step)
        finally:
            with self.server.lock:
                self.server.active -= 1

    def _answer(self, step: int | str | Callable[[], None]) -> None:
        content = self.server.files.get(self.path)
        if callable(step):
            step()
        status = step if isinstance(step, int) and step != 200 else 200 if content is not None else 404
        body = content if status == 200 and content is not None else b"no"
        if step == "half":
            body = body[: len(body) // 2]
        self.send_response(status)
        for name, value in self.server.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if step == "stall":
            self.server.closing.wait(10)
        else:
            self.wfile.write(body[: len(body) // 2] if step == "truncate" else body)

    def log_message(self, *_: object) -> None:
        """Silence."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FlakyServer]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    flaky = FlakyServer()
    thread = threading.Thread(target=flaky.serve_forever, args=(0.02,))
    thread.start()
    yield flaky
    flaky.closing.set()
    flaky.shutdown()
    thread.join()
    flaky.server_close()


@pytest.fixture
def published(server: FlakyServer, tmp_path: Path) -> Path:
    """A made-up data set whose images and metadata (as version 1.1) are on `server`; the answer key of a download."""
    root = write_fake_kaokore(tmp_path / "published", n=14, base_url=server.url)
    server.serve_folder(root, prefix="/dataset_v1.1")
    return root
