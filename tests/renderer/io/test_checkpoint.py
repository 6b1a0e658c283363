"""Checkpoints: round trips, and errors of one line for invalid files."""

import errno
import os
import stat
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from renderer.brush import load_brush
from renderer.errors import InputError
from renderer.io import checkpoint as module
from renderer.io.checkpoint import FORMAT, Checkpoint, CheckpointError, find
from renderer.io.files import atomic
from renderer.learned.load import KINDS
from renderer.learned.stroke_map import StrokeMap
from renderer.strokes import BEZIER, SpaceError


def make(seed: int = 0, **config: int) -> Checkpoint:
    torch.manual_seed(seed)
    config = {"hidden": 8, "grid": 4} | config
    return Checkpoint("stroke-map", config, StrokeMap(**config).state_dict(), BEZIER, {"command": "ä", "mse": 0.5})


def one_sentence(error: pytest.ExceptionInfo[InputError]) -> None:
    text = str(error.value)
    assert text.endswith(".")
    assert "\n" not in text
    assert "Traceback" not in text


def test_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "some.safetensors"
    saved = make()
    saved.save(path)
    loaded = Checkpoint.load(path)
    assert (loaded.kind, loaded.config, loaded.space, loaded.about) == (
        saved.kind,
        saved.config,
        saved.space,
        saved.about,
    )
    assert loaded.tensors.keys() == saved.tensors.keys()
    assert all(torch.equal(loaded.tensors[name], saved.tensors[name]) for name in saved.tensors)
    assert loaded.hash() == saved.hash()
    assert [entry.name for entry in path.parent.iterdir()] == ["some.safetensors"]


def test_network_without_strokes_has_no_space(tmp_path: Path) -> None:
    Checkpoint("critic", {}, {"weight": torch.zeros(2)}).save(tmp_path / "critic.safetensors")
    loaded = Checkpoint.load(tmp_path / "critic.safetensors", "actor", "critic")
    assert loaded.space is None
    assert loaded.about == {}


def test_brush_is_rebuilt(tmp_path: Path) -> None:
    make(1).save(tmp_path / "some.safetensors")
    torch.manual_seed(1)
    network = StrokeMap(hidden=8, grid=4)
    strokes = BEZIER.sample(3, torch.Generator().manual_seed(0))
    loaded = load_brush(str(tmp_path / "some.safetensors"))
    assert torch.equal(loaded(strokes, (9, 12)).alpha, network(strokes, (9, 12)).alpha.detach())


def test_hash_identifies_the_network() -> None:
    hash_ = make().hash()
    assert make().hash() == hash_
    assert Checkpoint("stroke-map", make().config, make().tensors).hash() == hash_, "the notes do not count"
    changed = make()
    changed.tensors["body.0.weight"][0, 0] += 1e-3
    renamed = Checkpoint("other", make().config, make().tensors)
    swapped = Checkpoint("stroke-map", make().config, dict(zip("ab", make().tensors.values(), strict=False)))
    assert (
        swapped.hash()
        != Checkpoint("stroke-map", make().config, dict(zip("ac", make().tensors.values(), strict=False))).hash()
    )
    configured = Checkpoint("stroke-map", make().config | {"grid": 5}, make().tensors)
    assert len({hash_, changed.hash(), renamed.hash(), configured.hash(), make(1).hash()}) == 5


def test_shipped_checkpoints_by_name() -> None:
    assert find("bezier") == module.FOLDER / "bezier.safetensors"
    assert Checkpoint.load("bezier", "stroke-map").space == BEZIER


def test_file_without_suffix_in_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FOLDER", tmp_path)
    make().save(tmp_path / "mine.safetensors")
    make().save(tmp_path / "yours.safetensors")
    assert find("mine") == tmp_path / "mine.safetensors"
    with pytest.raises(CheckpointError, match=r"no checkpoint hers; shipped are: mine, yours\.") as error:
        find("hers")
    one_sentence(error)


@pytest.mark.parametrize("name", ["nothing", "no/such/file.safetensors", "../checkpoints/bezier", "x" * 300, "\0"])
def test_missing(name: str) -> None:
    with pytest.raises(CheckpointError, match="There is no checkpoint") as error:
        Checkpoint.load(name)
    one_sentence(error)


@pytest.mark.parametrize("length", [0, 4, 200, -7])
def test_truncated(tmp_path: Path, length: int) -> None:
    path = tmp_path / "short.safetensors"
    make().save(path)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(CheckpointError, match="damaged") as error:
        Checkpoint.load(path)
    one_sentence(error)


@pytest.mark.parametrize("content", [b"PNG" * 100, b'{"json": 1}', b"\xff" * 64])
def test_other_files(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "picture.png").write_bytes(content)
    with pytest.raises(CheckpointError, match="not a checkpoint") as error:
        Checkpoint.load(tmp_path / "picture.png")
    one_sentence(error)


@pytest.mark.parametrize("metadata", [None, {}, {"format": "kaokore-painter/99"}, {"format": "pt"}])
def test_foreign_safetensors(tmp_path: Path, metadata: dict[str, str] | None) -> None:
    save_file({"weight": torch.zeros(2)}, tmp_path / "foreign.safetensors", metadata)
    with pytest.raises(CheckpointError, match="not written by Kaokore Painter") as error:
        Checkpoint.load(tmp_path / "foreign.safetensors")
    one_sentence(error)


@pytest.mark.parametrize("damage", [{"config": "{"}, {"config": None}, {"kind": None}, {"space": "{}"}, {"about": "x"}])
def test_damaged_metadata(tmp_path: Path, damage: dict[str, str | None]) -> None:
    metadata = {
        "format": FORMAT,
        "kind": "stroke-map",
        "config": "{}",
        "about": "{}",
        "space": BEZIER.to_json(),
    } | damage
    kept = {name: value for name, value in metadata.items() if value is not None}
    save_file({"weight": torch.zeros(2)}, tmp_path / "damaged.safetensors", kept)
    with pytest.raises((CheckpointError, SpaceError)) as error:
        Checkpoint.load(tmp_path / "damaged.safetensors")
    assert isinstance(error.value, CheckpointError)
    one_sentence(error)


def test_wrong_kind(tmp_path: Path) -> None:
    make().save(tmp_path / "some.safetensors")
    with pytest.raises(CheckpointError, match="holds a stroke-map, but a policy or critic is needed") as error:
        Checkpoint.load(tmp_path / "some.safetensors", "policy", "critic")
    one_sentence(error)
    with pytest.raises(CheckpointError, match="which is not a learned brush; choose one of bezier"):
        load_brush("agent")


def test_weights_of_wrong_shape() -> None:
    wrong = Checkpoint("stroke-map", {"hidden": 8, "grid": 5}, make().tensors, BEZIER)
    with pytest.raises(CheckpointError, match="do not fit the network stroke-map") as error:
        wrong.build(KINDS)
    one_sentence(error)
    with pytest.raises(CheckpointError, match="do not fit"):
        Checkpoint("linear", {}, {"weight": torch.zeros(1, 1)}).fill(nn.Linear(1, 1))


@pytest.mark.parametrize(("kind", "config"), [("stroke-map", {"hiden": 8}), ("watercolour", {})])
def test_network_that_cannot_be_built(kind: str, config: dict[str, int]) -> None:
    with pytest.raises(CheckpointError, match=f"cannot build a {kind}") as error:
        Checkpoint(kind, config, {}, BEZIER).build(KINDS)
    one_sentence(error)


# Atomic writing.


def test_atomic_writes(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "some.txt"
    with atomic(path) as temporary:
        temporary.write_text("new")
        assert temporary.parent == path.parent
        assert temporary.suffix == ".txt"
        assert not path.exists()
    assert path.read_text() == "new"
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~mask, "the permissions of any new file"
    with atomic(path) as temporary:
        temporary.write_text("newer")
    assert path.read_text() == "newer"
    assert list(path.parent.iterdir()) == [path]


def test_error_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "some.txt"
    path.write_text("old")

    def half() -> None:
        with atomic(path) as temporary:
            temporary.write_text("half")
            raise KeyError

    with pytest.raises(KeyError):
        half()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "some.safetensors"

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        with pytest.raises(InputError, match=r"Cannot write .*No space left on device; choose another place") as error:
            make().save(path)
    one_sentence(error)
    assert list(tmp_path.iterdir()) == []


def test_path_below_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="Cannot write") as error:
        make().save(tmp_path / "file" / "some.safetensors")
    one_sentence(error)


def test_a_layer_of_no_elements_is_refused():
    def make(width: int) -> torch.nn.Linear:
        return torch.nn.Linear(width, 2)

    tensors = {"weight": torch.zeros(2, 0), "bias": torch.zeros(2)}
    with pytest.raises(CheckpointError, match="cannot build a toy network"):
        Checkpoint("toy", {"width": 0}, tensors, BEZIER).build({"toy": make})
