"""Reading files: what is too large, too deep, of another kind or another encoding is refused in one line."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from renderer.errors import InputError
from renderer.io.read import (
    MAX_DEPTH,
    MAX_TEXT,
    guarded,
    one_line,
    parse_json,
    read_bytes,
    read_json,
    read_text,
    to_json,
)
from renderer.io.tensor_file import read_header, read_tensors, require_finite


class OtherError(InputError):
    """Another error of this project."""


def make_odd(path: Path, kind: str) -> None:
    match kind:
        case "folder":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)
        case "device":
            path.symlink_to("/dev/zero")
        case "circle":
            path.symlink_to(path)
        case "huge":
            with path.open("wb") as file:
                file.truncate(100 * 10**9)  # no block of the disk is taken


@pytest.mark.parametrize("read", [read_bytes, read_text, read_json, read_tensors, read_header])
@pytest.mark.parametrize("kind", ["folder", "pipe", "device", "circle", "huge", "missing"])
def test_what_is_no_file_is_refused_at_once(tmp_path: Path, read: Any, kind: str) -> None:
    make_odd(tmp_path / "file", kind)
    guard = guarded(tmp_path / "file", OtherError, "is wrong", "; mend it")
    with pytest.raises(OtherError, match=r"file is wrong \([^\n]+\); mend it\.$"), guard:
        read(tmp_path / "file")


@pytest.mark.parametrize("name", ["x" * 300, "\0", "\ud800"])
def test_names_that_no_file_can_have(tmp_path: Path, name: str) -> None:
    with pytest.raises(OtherError), guarded("a file", OtherError, "is wrong"):
        read_bytes(tmp_path / name)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_missing_permission(tmp_path: Path) -> None:
    (tmp_path / "file").touch(0)
    with pytest.raises(InputError, match="Permission denied"), guarded(tmp_path / "file", InputError, "is wrong"):
        read_bytes(tmp_path / "file")


def test_size_is_bounded(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    assert read_bytes(path, 5) == b"12345"
    with pytest.raises(ValueError, match="5 bytes are more than the 4"):
        read_bytes(path, 4)


def test_encodings(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"\xef\xbb\xbf\xc3\xa9")
    assert read_text(path) == "é"
    path.write_bytes("é".encode("latin-1"))
    with pytest.raises(ValueError, match="not UTF-8 text: byte 0 is 0xe9"):
        read_text(path)


@pytest.mark.parametrize("text", ["[1]", "1", "", "{", '{"a": ' + "9" * 5000 + "}", "[" * 100_000, '{"a":' * 100_000])
def test_json_that_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_json(text)


@pytest.mark.parametrize(("depth", "fits"), [(MAX_DEPTH, True), (MAX_DEPTH + 1, False)])
def test_depth_of_json(depth: int, fits: bool) -> None:
    text = '{"a":' * (depth - 1) + "{}" + "}" * (depth - 1)
    if fits:
        assert to_json(parse_json(text)).count("{") == depth
    else:
        with pytest.raises(ValueError, match="nested too deeply"):
            parse_json(text)


def test_what_json_cannot_hold() -> None:
    circle: dict[str, Any] = {}
    circle["self"] = circle
    for value in ({1, 2}, Path("a"), torch.zeros(1), 10**5000, circle, "x" * MAX_TEXT):
        with pytest.raises(ValueError, match=r"."):
            to_json({"value": value})


def test_an_error_that_names_the_file_comes_through(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with pytest.raises(OtherError) as caught, guarded(path, OtherError, "is wrong"):
        raise OtherError(f"{path} is of another version.")
    assert str(caught.value) == f"{path} is of another version."
    with pytest.raises(OtherError) as caught, guarded(path, OtherError, "is wrong"):
        raise InputError("There is\nnothing.")
    assert str(caught.value) == f"{path} is wrong (There is nothing)."
    with pytest.raises(KeyboardInterrupt), guarded(path, OtherError, "is wrong"):
        raise KeyboardInterrupt
    assert one_line("a\x85b\u2028c" + "d" * 100, 9) == "a b cd..."


@pytest.mark.parametrize(
    "header",
    [
        {"a": {"dtype": "F32", "shape": [10**10], "data_offsets": [0, 4 * 10**10]}},
        {"a": {"dtype": "F32", "shape": [10**12, 0], "data_offsets": [0, 8]}},
        {"a": {"dtype": "F8_E4M3", "shape": [8], "data_offsets": [0, 8]}},
        {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}, "__metadata__": {"x": 1}},
        {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}, "__metadata__": "x"},
        {"a": {"dtype": "F32", "shape": [2**63, 2**63], "data_offsets": [0, 8]}},
        {"a": 1},
    ],
)
def test_headers_that_promise_too_much(tmp_path: Path, header: dict[str, Any]) -> None:
    text = json.dumps(header).encode()
    (tmp_path / "file").write_bytes(len(text).to_bytes(8, "little") + text + bytes(8))
    with pytest.raises(ValueError, match=r"."):
        read_tensors(tmp_path / "file")


@pytest.mark.parametrize("length", [0, 1, 10**11, 2**64 - 1])
def test_length_of_a_header(tmp_path: Path, length: int) -> None:
    (tmp_path / "file").write_bytes(length.to_bytes(8, "little") + b"{}")
    for read in (read_tensors, read_header):
        with pytest.raises(ValueError, match="header is damaged"):
            read(tmp_path / "file")


def test_tensors_in_the_order_of_their_names(tmp_path: Path) -> None:
    tensors = {"b": torch.ones(2, dtype=torch.bfloat16), "a": torch.zeros(300), "c": torch.tensor(True)}
    save_file(tensors, tmp_path / "file", {"x": "y"})
    metadata, read = read_tensors(tmp_path / "file")
    assert metadata == read_header(tmp_path / "file") == {"x": "y"}
    assert list(read) == ["a", "b", "c"]
    assert all(torch.equal(read[name], tensors[name]) for name in tensors)
    require_finite(read)
    with pytest.raises(ValueError, match="b is not finite"):
        require_finite({"a": torch.zeros(1), "b": torch.tensor([1, torch.inf])})
