import os
from pathlib import Path

import pytest

from kaokore import __main__ as command
from kaokore.__main__ import main
from kaokore.versions import VERSIONS
from tests.kaokore.conftest import FlakyServer


def test_download(server: FlakyServer, published: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "kaokore"
    options = ["download", "--root", os.fspath(root), "--base-url", server.url]
    assert main([*options, "--images", "3"]) == 0
    assert sorted(os.listdir(root / "images_256")) == ["00000000.jpg", "00000001.jpg", "00000002.jpg"]
    assert "3 got, 0 already there, 0 failed." in capsys.readouterr().out

    gone = next(path for path in server.files if path.endswith(".jpg") and "/000000001_" in path)
    del server.files[gone]
    assert main([*options, "--split", "all"]) == 1
    printed = capsys.readouterr()
    assert "10 got, 3 already there, 1 failed. Run the same command again" in printed.out
    assert ".jpg: HTTP 404" in printed.err


def test_fetch(server: FlakyServer, published: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--root", os.fspath(tmp_path / "kaokore"), "--base-url", server.url]
    assert main(["fetch", "00000006", *options]) == 0
    assert Path(capsys.readouterr().out.strip()).read_bytes().startswith(b"\xff\xd8")
    assert main(["fetch", "3", *options]) == 2
    assert capsys.readouterr().err.startswith("error: Line 3 of urls.txt is blank")


def test_info(fake_once: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", "--root", os.fspath(fake_once)]) == 0
    printed = capsys.readouterr().out
    assert "24 published, 24 here, 2 of them unlabelled" in printed
    assert "incarnation" in printed


def test_invalid_input_ends_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["info"], ["download", "--version", "2.0"]):
        assert main([*arguments, "--root", os.fspath(tmp_path / "nowhere")]) == 2
        printed = capsys.readouterr()
        assert printed.out == ""
        assert printed.err.startswith("error: There is no ")
        assert printed.err.count("\n") == 1


def test_ctrl_c(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "download_metadata", stop)
    assert main(["download", "--version", next(iter(VERSIONS))]) == 130
    assert "kept" in capsys.readouterr().err
