"""Files that once ended a program with a foreign error, took all memory, or never ended: each is refused in one line."""

import json
import os
import pwd
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from agents.policy import Policy
from agents.registry import load_agent
from experiments import runs
from experiments.cli import whole_number
from experiments.painting_options import PaintingOptions
from experiments.recognizability.rows import NAMES, read_rows
from experiments.repaint import COLUMNS
from experiments.results import MetricsTable, fingerprint
from experiments.train_agent import TINY, Config
from experiments.trainer import resumed
from kaokore import read_labels, read_tags, read_urls, resolve_root
from kaokore.annotate.annotations import Annotations
from kaokore.classify import load_classifier
from kaokore.labels import read_label_table
from kaokore.stylegan import load_generator
from kaokore.stylegan.networks import NetworkConfig
from painter import Painter
from renderer.brush import load_brush
from renderer.brushes.bezier import AnalyticBezier
from renderer.errors import InputError
from renderer.io.checkpoint import Checkpoint, CheckpointError
from renderer.io.painting import Painting, PaintingError
from renderer.learned.neural_brush import NeuralBrush
from renderer.learned.stroke_map import StrokeMap
from renderer.strokes import BEZIER, MYPAINT, Field, SpaceError, StrokeSpace

DEEP = '{"a":' * 100_000 + "1" + "}" * 100_000
SMALL = {"brush": "ink", "reach": 1.5, "hidden": 4, "along": 12, "across": 3}
STROKES = torch.full((2, 13), 0.5)


def refused(read: Callable[[], object], *words: str) -> None:
    """`read` raises an error of the project, of one line that contains the words."""
    with pytest.raises(InputError, match=r"^[^\n]+\.$") as caught:
        read()
    assert all(word in str(caught.value) for word in words), str(caught.value)


def describe(**changes: Any) -> str:
    """What a painting's file says of it."""
    space = json.loads(BEZIER.to_json())
    about = {
        "format": "kaokore-painting/1",
        "space": space,
        "height": 8,
        "width": 8,
        "background": [1, 1, 1],
        "made_by": {},
    }
    return json.dumps(about | changes)


def sparse(path: Path, header: dict[str, Any], size: int) -> None:
    """A safetensors file whose content takes no room on the disk."""
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + size)


# Depth, size, encoding, and what is no file.


def test_json_nested_100000_deep(tmp_path: Path) -> None:
    path = tmp_path / "deep.safetensors"
    save_file({"strokes": STROKES}, path, {"painting": DEEP})
    refused(lambda: Painting.load(path), "deep.safetensors", "nested too deeply")
    metadata = {"format": "kaokore-painter/1", "kind": "stroke-map", "about": "{}", "space": BEZIER.to_json()}
    save_file({"weight": STROKES}, path, metadata | {"config": DEEP})
    refused(lambda: Checkpoint.load(path), "deep.safetensors", "nested too deeply")
    save_file({"weight": STROKES}, path, {"step": "1", "notes": "{}", "groups": DEEP})
    refused(lambda: runs.load_state(path, {}), "deep.safetensors", "nested too deeply")
    (tmp_path / "config.json").write_text(DEEP)
    refused(lambda: runs.resume(tmp_path, "train_agent", Config), str(tmp_path), "nested too deeply")
    (tmp_path / "labels.csv.journal").write_text(DEEP + "\n")
    refused(lambda: Annotations(tmp_path / "labels.csv", "gender", ["a"], "b"), "Line 1 of", "nested too deeply")


@pytest.mark.parametrize("name", ["urls.txt", "labels.csv", "original_tags.txt"])
@pytest.mark.parametrize("kind", ["folder", "bytes", "sparse"])
def test_files_of_the_data_set(tmp_path: Path, name: str, kind: str) -> None:
    path = tmp_path / name
    if kind == "folder":
        path.mkdir()
    elif kind == "bytes":
        path.write_bytes(b"\xff\xfe00000000.jpg\n")
    else:
        with path.open("wb") as file:
            file.truncate(100 * 10**9)
    read = {"urls.txt": read_urls, "labels.csv": read_labels, "original_tags.txt": read_tags}[name]
    refused(lambda: read(tmp_path), name, "cannot be read")


def test_csv_fields_of_200000_characters(tmp_path: Path) -> None:
    cell = "x" * 200_000
    (tmp_path / "labels.csv").write_text(f"image,gender,status,set\n{cell},0,0,train\n")
    refused(lambda: read_labels(tmp_path), "labels.csv")
    refused(lambda: read_label_table(tmp_path / "labels.csv", "gender"), "labels.csv")
    (tmp_path / "rows.csv").write_text(f"{','.join(NAMES)}\n1,{cell}\n")
    refused(lambda: read_rows(tmp_path / "rows.csv"), "rows.csv")
    (tmp_path / "metrics.csv").write_text(f"{','.join(COLUMNS)}\n{cell}\n")
    refused(lambda: MetricsTable(tmp_path / "metrics.csv", COLUMNS), "metrics.csv")


@pytest.mark.parametrize("number", ["nan", "inf", "-1", "1e400", "9" * 5001, "7x"])
def test_numbers_in_rows(tmp_path: Path, number: str) -> None:
    (tmp_path / "rows.csv").write_text(f"{','.join(NAMES)}\n7,a,50,{number},x,0.1,1,m,m,{number},n,n,0.2\n")
    refused(lambda: read_rows(tmp_path / "rows.csv"), "Line 2 of")


# Strokes.


def test_ten_thousand_million_strokes_are_not_allocated(tmp_path: Path) -> None:
    path = tmp_path / "many.safetensors"
    tensor = {"dtype": "F32", "shape": [10**8, 13], "data_offsets": [0, 52 * 10**8]}
    sparse(path, {"__metadata__": {"painting": describe()}, "strokes": tensor}, 52 * 10**8)
    refused(lambda: Painting.load(path), "many.safetensors", "5,200,0")
    tensor = {"dtype": "F32", "shape": [25 * 10**9], "data_offsets": [0, 10**11]}
    sparse(path, {"__metadata__": {"painting": describe()}, "strokes": tensor}, 100)
    refused(lambda: Painting.load(path), "many.safetensors")
    none = {"name": "none", "fields": []}
    sparse(path, {"__metadata__": {"painting": describe(space=none)}, "strokes": tensor | {"shape": [10**12, 0]}}, 0)
    refused(lambda: Painting.load(path), "many.safetensors")


@pytest.mark.parametrize(
    "change",
    [
        {"height": 60_000, "width": 60_000},
        {"height": 10**30},
        {"height": 8.5},
        {"height": "8"},
        {"height": True},
        {"background": [1, 1]},
        {"background": ["a", 1, 1]},
        {"background": [float("nan"), 1, 1]},
        {"made_by": []},
        {"space": {"name": "x", "fields": [{"name": "a", "size": 13, "low": 0, "high": 0, "unit": ""}]}},
        {"space": {"name": "x", "fields": [{"name": "a", "size": "13", "low": 0, "high": 1, "unit": ""}]}},
        {"space": {"name": 1, "fields": []}},
        {"space": None},
    ],
)
def test_wrong_values_in_a_painting(tmp_path: Path, change: dict[str, Any]) -> None:
    save_file({"strokes": STROKES}, tmp_path / "a.safetensors", {"painting": describe(**change)})
    refused(lambda: Painting.load(tmp_path / "a.safetensors"), "a.safetensors")


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.int32, torch.complex64])
def test_strokes_of_other_numbers(tmp_path: Path, dtype: torch.dtype) -> None:
    refused(lambda: Painting(torch.zeros(2, 13).to(dtype), BEZIER, 8, 8))
    save_file({"strokes": torch.zeros(2, 13).to(dtype)}, tmp_path / "a.safetensors", {"painting": describe()})
    refused(lambda: Painting.load(tmp_path / "a.safetensors"), "a.safetensors")


@pytest.mark.parametrize("name", ["b" * 300, "a\0b", "\ud800", "a\nb", "../../etc/passwd", ""])
@pytest.mark.parametrize("myb", [None, "{}", "\ud800", 7])
def test_brush_names_in_a_painting(name: str, myb: object) -> None:
    painting = Painting(torch.full((1, 14), 0.5), MYPAINT, 8, 8, provenance={"brush": name, "myb": myb})
    refused(lambda: painting.default_brush())
    names = {"brush": [name] * 100_000, "myb": None}
    refused(lambda: Painting(torch.full((1, 14), 0.5), MYPAINT, 8, 8, provenance=names).default_brush())


@pytest.mark.parametrize("value", [{1, 2}, Path("a"), torch.zeros(1), [10**5000], object()])
def test_provenance_that_json_cannot_hold_is_refused_before_the_work_is_lost(value: object) -> None:
    refused(lambda: Painting(STROKES, BEZIER, 8, 8, provenance={"mine": value}), "provenance")


def test_numbers_of_numpy_are_saved(tmp_path: Path) -> None:
    background = tuple(np.linspace(0, 1, 3, dtype=np.float32))
    painting = Painting(STROKES, BEZIER, np.int64(8), np.int32(9), background)  # type: ignore[arg-type]
    painting.save(tmp_path / "a.safetensors")
    loaded = Painting.load(tmp_path / "a.safetensors")
    assert (loaded.height, loaded.width, loaded.background) == (8, 9, (0.0, 0.5, 1.0))


@pytest.mark.parametrize(
    "fields", [(), (Field("a", 1, 0, 1, ""), Field("a", 1, 0, 1, "")), (Field("a", 200, 0, 1, ""),) * 2]
)
def test_spaces_without_a_meaning(fields: tuple[Field, ...]) -> None:
    with pytest.raises(SpaceError):
        StrokeSpace("x", fields)
    for low, high, size in ((1, 0, 1), (0, float("inf"), 1), (float("nan"), 1, 1), (0, 1, 0), (0, 1, 10**9)):
        with pytest.raises(SpaceError):
            Field("a", size, low, high, "")


# Checkpoints.


@pytest.mark.parametrize(
    "change", [{"hidden": -8}, {"hidden": 0}, {"hidden": 10**6}, {"hidden": "8"}, {"grid": 10**30}, {"depth": 1}]
)
def test_configuration_of_a_stroke_map(tmp_path: Path, change: dict[str, Any]) -> None:
    path, network = tmp_path / "a.safetensors", StrokeMap(4, 3)
    Checkpoint("stroke-map", {"hidden": 4, "grid": 3} | change, network.state_dict(), BEZIER).save(path)
    refused(lambda: load_brush(str(path)), "a.safetensors")


@pytest.mark.parametrize(
    "change",
    [
        {"reach": float("nan")},
        {"reach": 1e30},
        {"reach": -1},
        {"along": 10**6},
        {"latent": -1},
        {"grain": 10**9},
        {"myb": 1},
    ],
)
def test_configuration_of_a_neural_brush(tmp_path: Path, change: dict[str, Any]) -> None:
    path, network = tmp_path / "a.safetensors", NeuralBrush(**SMALL)
    Checkpoint("neural-brush", SMALL | change, network.state_dict(), MYPAINT).save(path)
    refused(lambda: load_brush(str(path)), "a.safetensors")


def test_weights_that_overflow(tmp_path: Path) -> None:
    for network, kind, config in (
        (StrokeMap(4, 3), "stroke-map", {"hidden": 4, "grid": 3}),
        (NeuralBrush(**SMALL), "neural-brush", SMALL),
    ):
        weights = {name: torch.full_like(weight, 3e38) for name, weight in network.state_dict().items()}
        Checkpoint(kind, config, weights, network.space).save(tmp_path / "a.safetensors")
        refused(lambda: load_brush(str(tmp_path / "a.safetensors")), "a.safetensors", "cannot draw")


@pytest.mark.parametrize(
    "change", [{"blocks": 10**30}, {"blocks": 10**6}, {"width": 10**6}, {"each": -1}, {"width": 12}]
)
def test_configuration_of_a_policy(tmp_path: Path, change: dict[str, Any]) -> None:
    path, network = tmp_path / "a.safetensors", Policy(8, 1, 1)
    Checkpoint("policy", {"width": 8, "blocks": 1, "each": 1} | change, network.state_dict(), BEZIER).save(path)
    refused(lambda: load_agent(str(path), AnalyticBezier()), "a.safetensors")


@pytest.mark.parametrize(
    "change", [{"size": 10**6}, {"steps": 10**30}, {"blocks": [10**6, 1, 1, 1]}, {"blocks": [1]}, {"bundle": 10**5}]
)
def test_configuration_of_an_actor(tmp_path: Path, change: dict[str, Any]) -> None:
    config = {"size": 64, "steps": 2, "bundle": 2, "blocks": [1, 1, 1, 1]} | change
    Checkpoint("huang2019-actor", config, {"weight": torch.zeros(1)}, BEZIER).save(tmp_path / "a.safetensors")
    refused(lambda: load_agent(str(tmp_path / "a.safetensors"), AnalyticBezier()), "a.safetensors")


@pytest.mark.parametrize("change", [{"mapping": 10**30}, {"mapping": 10**6}, {"size": 48}, {"latent": 0}, {"noise": 1}])
def test_configuration_of_a_generator(tmp_path: Path, change: dict[str, Any]) -> None:
    config = {"size": 8, "channels": 8, "most_channels": 2, "latent": 2, "mapping": 1} | change
    about = {"counts": [1] * 8}
    Checkpoint("stylegan", config, {"weight": torch.zeros(1)}, about=about).save(tmp_path / "a.safetensors")
    refused(lambda: load_generator(tmp_path / "a.safetensors"), "a.safetensors")
    if "noise" not in change:
        refused(lambda: NetworkConfig(**change))


@pytest.mark.parametrize(
    "change", [{"size": 10**6}, {"temperature": float("nan")}, {"flip": 1}, {"model": []}, {"task": ""}]
)
def test_configuration_of_a_classifier(tmp_path: Path, change: dict[str, Any]) -> None:
    config = {"model": "resnet18", "task": "gender", "size": 64, "flip": True, "temperature": 1.0} | change
    Checkpoint("classifier", config, {"weight": torch.zeros(1)}).save(tmp_path / "a.safetensors")
    refused(lambda: load_classifier(tmp_path / "a.safetensors"), "a.safetensors", "no classifier")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite(tmp_path: Path, value: float) -> None:
    network = Policy(8, 1, 1)
    weights = network.state_dict() | {"head.bias": torch.full((10,), value)}
    Checkpoint("policy", {"width": 8, "blocks": 1, "each": 1}, weights, BEZIER).save(tmp_path / "a.safetensors")
    refused(
        lambda: load_agent(str(tmp_path / "a.safetensors"), AnalyticBezier()),
        "a.safetensors",
        "head.bias is not finite",
    )


def test_weights_of_other_numbers() -> None:
    network = StrokeMap(4, 3)
    weights = network.state_dict() | {"body.0.bias": torch.zeros(4, dtype=torch.int64)}
    with pytest.raises(CheckpointError, match=r"body\.0\.bias holds torch\.int64"):
        Checkpoint("stroke-map", {}, weights).fill(network)


def test_every_type_of_weights_has_a_hash() -> None:
    hashes = {
        Checkpoint("a", {}, {"w": torch.ones(2).to(dtype), "n": torch.tensor(3)}).hash()
        for dtype in (torch.float32, torch.bfloat16, torch.float16, torch.bool)
    }
    assert len(hashes) == 4


@pytest.mark.parametrize(
    "name", ["json:loads", ":x", ".a:b", "json:none", "json:__doc__", "no\0:x", "renderer.brushes.bezier:ExactBezier"]
)
def test_agents_that_cannot_be_called(name: str) -> None:
    refused(lambda: load_agent(name, AnalyticBezier()))


# Run folders, journals, options.


@pytest.mark.parametrize(
    "change",
    [
        {"size": "64"},
        {"size": 1.5},
        {"learning_rate": float("nan")},
        {"seed": -1},
        {"seed": 10**30},
        {"training": 3},
        {"more": 1},
        {"training": {"horizon": "x"}},
        {"minutes": "1"},
        {"runs": None},
        {"minutes_between_saves": -1},
    ],
)
def test_wrong_types_in_a_configuration(tmp_path: Path, change: dict[str, Any]) -> None:
    folder = runs.start("train_agent", TINY, tmp_path)
    record = json.loads((folder / "config.json").read_text())
    assert resumed(Config(resume=str(folder)), "train_agent").size == TINY.size
    record["arguments"] |= change
    (folder / "config.json").write_text(json.dumps(record))
    refused(lambda: resumed(Config(resume=str(folder)), "train_agent"), str(folder))


def save_training(path: Path, change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    """Save the state of a training after `change` of its metadata, and return its objects."""
    module = torch.nn.Linear(2, 2)
    optimizer = torch.optim.Adam(module.parameters(), 0.1)
    module(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    objects = {"module": module, "optimizer": optimizer, "draws": torch.Generator()}
    runs.save_state(path, 1, objects, {"best": 0.5})
    data = path.read_bytes()
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:end])
    change(header)
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data[end:])
    return objects


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ("step", "x"),
        ("step", "-1"),
        ("step", "1.5"),
        ("step", "9" * 5001),
        ("notes", "[]"),
        ("groups", "{}"),
        ("groups", '{"optimizer": 3}'),
        ("groups", '{"optimizer": [{"lr": "fast", "params": [0, 1]}]}'),
        ("groups", '{"optimizer": [{"lr": NaN, "params": [0, 1]}]}'),
        ("groups", '{"optimizer": [{"betas": 1, "params": [0, 1]}]}'),
        ("groups", '{"optimizer": [{"params": [0]}]}'),
        ("groups", '{"optimizer": [{"params": [0, 1], "speed": 1}]}'),
        ("groups", '{"optimizer": [{"params": [0, 1], "betas": [0.9, 0.99, 0.999]}]}'),
        ("groups", '{"optimizer": [{"params": [0, 1], "betas": [0.9, 2]}]}'),
        ("groups", '{"optimizer": [{"params": [0, 1], "eps": null}]}'),
        ("groups", '{"optimizer": [{"params": [0, 1], "lr": -0.1}]}'),
        ("groups", '{"optimizer": [{"params": [0, 1], "amsgrad": true}]}'),
    ],
)
def test_wrong_values_in_a_training_state(tmp_path: Path, entry: str, value: str) -> None:
    path = tmp_path / "state.safetensors"
    objects = save_training(path, lambda header: header["__metadata__"].update({entry: value}))
    refused(lambda: runs.load_state(path, objects), "state.safetensors")


def test_moments_that_are_missing(tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"
    objects = save_training(path, lambda header: header.update({"other": header.pop("optimizer/0/exp_avg")}))
    refused(lambda: runs.load_state(path, objects), "moments of parameter 0 are missing")


def test_moments_of_another_shape(tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"
    objects = save_training(path, lambda header: header["optimizer/0/exp_avg"].update(shape=[4]))
    refused(lambda: runs.load_state(path, objects), "another shape")


@pytest.mark.parametrize(
    ("moment", "value", "message"),
    [
        ("exp_avg", torch.tensor(0.5), "another shape"),
        ("step", torch.ones(2), "another shape"),
        ("step", torch.tensor(-3.0), "no count"),
        ("step", torch.tensor(3, dtype=torch.int8), "no count"),
    ],
)
def test_moments_that_fail_at_the_next_step(tmp_path: Path, moment: str, value: torch.Tensor, message: str) -> None:
    path = tmp_path / "state.safetensors"
    objects = save_training(path, lambda header: None)
    objects["optimizer"].state[objects["module"].bias][moment] = value
    runs.save_state(path, 1, objects)
    refused(lambda: runs.load_state(path, save_training(tmp_path / "other.safetensors", lambda header: None)), message)


def test_a_pipe_has_no_fingerprint(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    refused(lambda: fingerprint(tmp_path / "pipe.png", {}), "pipe.png cannot be read: it is no regular file")


LABEL = {"do": "label", "image": "0.png", "label": "male", "who": "ann", "when": "", "suggested": "male"}
LABEL |= {"suggested_belief": 0.5, "belief": 0.5, "checkpoint": "c", "checkpoint_hash": "0"}


@pytest.mark.parametrize(
    "change",
    [
        {"image": 1},
        {"image": None},
        {"who": ["ann"]},
        {"when": 3},
        {"label": ["male"]},
        {"label": {}},
        {"suggested": "king"},
        {"suggested_belief": "0.5"},
        {"belief": float("nan")},
        {"checkpoint": 1},
        {"image": "\ud800"},
        {"do": ["label"]},
        {"do": "undo", "action": []},
        {"do": "undo", "action": 10**30},
    ],
)
def test_wrong_types_in_a_journal(tmp_path: Path, change: dict[str, Any]) -> None:
    table = tmp_path / "labels.csv"
    head = {"task": "gender", "source": "a test"}
    lines = [head, LABEL | change]
    (tmp_path / "labels.csv.journal").write_text("".join(json.dumps(line) + "\n" for line in lines))
    refused(lambda: Annotations(table, "gender", ("male", "female"), "a test"), "Line 2 of", "labels.csv.journal")
    (tmp_path / "labels.csv.journal").write_text("".join(json.dumps(line) + "\n" for line in [head, LABEL]))
    Annotations(table, "gender", ("male", "female"), "a test").close()


def test_a_palette_of_5001_digits() -> None:
    for text in ("9" * 5001, "#" + "9" * 5001, "\ud800", ",", ""):
        refused(lambda: PaintingOptions(palette=text).constraints())  # noqa: B023
    assert whole_number("9" * 10) is None
    assert PaintingOptions(palette="7").constraints().palette == 7


def test_a_user_without_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(_: int) -> None:
        raise KeyError("uid")

    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", nobody)
    monkeypatch.setenv("KAOKORE_ROOT", "~/kaokore")
    assert resolve_root() == Path("~/kaokore")


def test_arrays_in_double_precision_are_painted() -> None:
    image = np.full((16, 16, 3), 0.5)
    painting = Painter("agent").paint(image, strokes=3, size=16)
    assert painting.strokes.dtype == torch.float32
    assert torch.equal(painting.strokes, Painter("agent").paint(image.astype(np.float32), strokes=3, size=16).strokes)
    with pytest.raises(PaintingError):
        Painting(painting.strokes, BEZIER, 16, 16, provenance={"image": image})
