"""The studio's command: refusals, a port of its own, and a clean end without a browser."""

import socket
from functools import partial

import pytest

from experiments import cli
from experiments.studio import Options, studio
from tests.experiments.refusals import option_list, refusal

start = partial(cli.run, studio, Options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"port": -1}, "--port"),
        ({"port": 70000}, "70000"),
        ({"host": "0.0.0.0"}, "has no password"),
        ({"host": "192.168.0.1"}, "has no password"),
        ({"root": "nowhere"}, "no data set folder nowhere"),
        ({"agent": "nowhere"}, "nowhere"),
        ({"device": "meta"}, "meta"),
        ({"out": "/dev/null/studio"}, "Cannot write"),
        ({"wrong": 1}, "wrong"),
    ],
    ids=str,
)
def test_invalid_options_are_refused(tmp_path, monkeypatch, capsys, options, message):
    pytest.importorskip("starlette")
    options = {"out": tmp_path / "out", "port": 0, **options}
    assert message in refusal(monkeypatch, capsys, start, "studio", *option_list(options))


def test_a_port_that_is_taken(tmp_path, monkeypatch, capsys):
    pytest.importorskip("starlette")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        said = refusal(monkeypatch, capsys, start, "studio", "--out", str(tmp_path / "out"), "--port", str(port))
    assert str(port) in said


def test_without_starlette(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "pip install -e '.[studio]'" in refusal(monkeypatch, capsys, start, "studio", "--out", str(tmp_path / "out"))
