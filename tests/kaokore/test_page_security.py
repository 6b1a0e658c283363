"""The page answers this machine's own browser only, and isolates itself from other sites."""

import asyncio
import contextlib
import http.client
import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kaokore import write_fake_kaokore
from kaokore.page_security import (
    NICEGUI_POLICY,
    STRICT_POLICY,
    PageSecurity,
    check_loopback,
    isolation,
    names_this_machine,
)
from renderer.errors import InputError

HEADERS = isolation(NICEGUI_POLICY)
FACES = 16  # of the made-up data set, without a label


# The middleware alone


def request(headers, kind="http"):
    """What the client gets from an application that answers everything with 200, and whether it was asked."""
    asked, sent = [], []

    async def application(scope, receive, send):
        asked.append(scope)
        if scope["type"] == "http":
            headers = [(b"content-type", b"text/html"), (b"X-Frame-Options", b"ALLOWALL")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": b"secret"})
        elif scope["type"] == "websocket":
            await send({"type": "websocket.accept"})

    async def receive():
        return {"type": f"{kind}.connect"}

    async def send(message):
        sent.append(message)

    pairs = [(name.encode(), value.encode()) for name, value in headers]
    asyncio.run(PageSecurity(application)({"type": kind, "headers": pairs}, receive, send))
    return sent, bool(asked)


GOOD_HOSTS = ["127.0.0.1:8080", "localhost:8080", "LOCALHOST", "[::1]:8080", "127.0.0.2"]
BAD_HOSTS = ["evil.example", "evil.example:8080", "192.168.0.7:8080", "0.0.0.0:8080", "localhost.evil.example", ""]
BAD_HOSTS += ["evil.example@127.0.0.1", "127.0.0.1@evil.example", "127.0.0.1.evil.example", "127.0.0.1:x", "[::1", "[]"]


@pytest.mark.parametrize("host", GOOD_HOSTS)
def test_own_requests_are_passed_on_with_headers(host):
    for origin in ([], [("Origin", f"http://{host}")]):
        sent, asked = request([("Host", host), *origin])
        assert asked
        assert sent[0]["status"] == 200
        headers = sent[0]["headers"]
        assert dict(headers)[b"content-type"] == b"text/html"
        assert [value.decode() for name, value in headers if name.lower() == b"x-frame-options"] == ["DENY"]
        strict = isolation(STRICT_POLICY)
        assert {name: dict(headers)[name.encode()].decode() for name in strict} == strict
        assert "unsafe" not in strict["content-security-policy"]
    assert request([("Host", host), ("Origin", f"http://{host}")], "websocket") == (
        [{"type": "websocket.accept"}],
        True,
    )


@pytest.mark.parametrize("host", BAD_HOSTS)
def test_other_hosts_are_refused(host):
    """DNS rebinding: the name of a foreign site resolves to this machine."""
    assert not names_this_machine(host)
    for origin in ([], [("origin", f"http://{host}")]):
        sent, asked = request([("host", host), *origin])
        assert (sent[0]["status"], asked) == (403, False)
        assert b"secret" not in sent[1]["body"]
        assert dict(sent[0]["headers"])[b"x-frame-options"] == b"DENY"
    sent, asked = request([("host", host), ("origin", f"http://{host}")], "websocket")
    assert ([message["type"] for message in sent], asked) == (["websocket.close"], False)


@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "https://127.0.0.1:8080", "http://127.0.0.1:9090", "http://localhost:8080", "null"],
)
@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_other_origins_are_refused(origin, kind):
    sent, asked = request([("host", "127.0.0.1:8080"), ("origin", origin)], kind)
    assert not asked
    assert sent[0].get("status") == 403 or sent[0]["type"] == "websocket.close"


def test_ambiguous_headers_are_refused():
    own = ("host", "127.0.0.1:8080")
    for headers in ([], [own, own], [own, ("host", "evil.example")]):
        assert not request(headers)[1]
    assert not request([own, ("origin", "http://127.0.0.1:8080"), ("origin", "http://evil.example")])[1]
    assert not request([own], "websocket")[1], "a websocket needs an origin"


def test_the_server_starts_and_ends():
    assert request([], "lifespan") == ([], True)


def test_only_loopback_addresses_are_served():
    for host in ("127.0.0.1", "localhost", "::1", "127.1.2.3"):
        check_loopback(host)
    for host in ("0.0.0.0", "::", "192.168.0.7", "", "example.org", "127.1"):
        with pytest.raises(InputError, match="--host must be an address of this machine alone"):
            check_loopback(host)


# The annotation page


@pytest.fixture(scope="module")
def port(tmp_path_factory):
    """Of the annotation page, which runs in a process of its own."""
    pytest.importorskip("nicegui", reason="the page needs NiceGUI (pip install -e '.[annotate]')")
    folder = tmp_path_factory.mktemp("page")
    root = write_fake_kaokore(folder / "kaokore", n=144)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    options = ["--root", root, "--task", "gender", "--out", folder / "labels.csv", "--port", str(port), "--no-open"]
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "NICEGUI"))}
    process = subprocess.Popen(
        [sys.executable, "-m", "experiments.annotate", *options],
        cwd=Path(__file__).parents[3],
        env=environment | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(600):
            assert process.poll() is None
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            time.sleep(0.1)
        yield port
    finally:
        process.kill()
        process.wait()


def ask(port, path, method="GET", **headers):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request(method, path, headers=headers)
    response = connection.getresponse()
    found = response.status, response.read(), {name.lower(): value for name, value in response.getheaders()}
    connection.close()
    return found


def handshake(port, client, **headers):
    """The status line of a websocket's handshake with the page's server."""
    lines = {
        "Host": f"127.0.0.1:{port}",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version": "13",
        **headers,
    }
    path = f"/_nicegui_ws/socket.io/?EIO=4&transport=websocket&client_id={client}"
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        text = f"GET {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items()) + "\r\n"
        connection.sendall(text.encode())
        return connection.recv(100).decode().split("\r\n")[0]


def test_the_page_and_its_faces_are_served(port):
    status, body, headers = ask(port, "/")
    assert status == 200
    assert b"client_id" in body
    assert HEADERS.items() <= headers.items()
    for place in (0, FACES - 1):
        status, body, headers = ask(port, f"/face/{place}")
        assert status == 200
        assert body.startswith(b"\x89PNG")
        assert HEADERS.items() <= headers.items()
    static = re.search(rb'src="(/_nicegui/[^"]+nicegui\.js)"', ask(port, "/")[1])
    assert ask(port, static[1].decode())[0] == 200


@pytest.mark.parametrize("path", ["/", "/face/0", "/nothing"])
def test_the_page_refuses_other_hosts_and_origins(port, path):
    for headers in ({"Host": "evil.example"}, {"Host": f"evil.example:{port}"}, {"Origin": "http://evil.example"}):
        status, body, answered = ask(port, path, **headers)
        assert status == 403
        assert b"client_id" not in body
        assert HEADERS.items() <= answered.items()


def test_the_page_refuses_websockets_of_other_hosts_and_origins(port):
    client = re.search(rb"client_id[^0-9a-f]+([0-9a-f-]{36})", ask(port, "/")[1])[1].decode()
    own = f"http://127.0.0.1:{port}"
    assert " 403" in handshake(port, client, Origin="http://evil.example")
    assert " 403" in handshake(port, client, Host="evil.example", Origin="http://evil.example")
    assert " 403" in handshake(port, client)
    assert " 101" in handshake(port, client, Origin=own)


@pytest.mark.parametrize("place", [-1, FACES, 10**30, "x", "%2e%2e", "1.5", ""])
def test_there_are_no_other_faces(port, place):
    status, body, _ = ask(port, f"/face/{place}")
    assert (status, b"client_id" in body) == (404, False)


def test_unknown_paths_and_methods_make_no_page(port):
    for path in ("/nothing", "/index.html", "/docs", "/openapi.json", "/_nicegui/nothing"):
        status, body, _ = ask(port, path)
        assert (status, b"client_id" in body) == (404, False)
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        assert ask(port, "/", method)[0] == 405
        assert ask(port, "/face/0", method)[0] == 405


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc to read the memory of the server")
def test_unknown_paths_cost_no_memory(port):
    def memory():
        for status in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                words = status.read_bytes().split(b"\0")
                if b"experiments.annotate" in words and str(port).encode() in words:
                    return int(re.search(r"VmRSS:\s+(\d+)", (status.parent / "status").read_text())[1]) / 1024
        raise AssertionError("the server is not there")

    for _ in range(20):
        ask(port, "/nothing")
    before = memory()
    for _ in range(200):
        ask(port, "/nothing")
    assert memory() - before < 5, "MiB; a client of the page takes a quarter of one"
