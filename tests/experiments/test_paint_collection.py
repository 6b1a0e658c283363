"""Painting a collection: killed workers, a killed command, Ctrl-C; results do not depend on who paints."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import distributed
import numpy as np
import pytest
from PIL import Image
from pyarrow import parquet

from experiments.paint_collection import Config, Manifest, _find, _record, _start_workers, paint_collection
from experiments.painting_options import PaintingOptions
from experiments.painting_worker import Collection, Picture, paint_pictures
from kaokore import write_fake_kaokore
from renderer.errors import InputError
from renderer.io.painting import Painting

ROOT = Path(__file__).parents[2]
OPTIONS = PaintingOptions(method="optimize", strokes=4, size=16, steps=3)


def pictures(folder: Path, n: int) -> list[Path]:
    folder.mkdir(parents=True)
    generator = np.random.default_rng(0)
    paths = [folder / f"{i:02d}.png" for i in range(n)]
    for path in paths:
        Image.fromarray(generator.integers(0, 256, (16, 16, 3), np.uint8)).save(path)
    return paths


def as_picture(path: Path) -> Picture:
    return Picture(str(path), path.stat().st_size, path.stat().st_mtime_ns)


def collection(out: Path, options: PaintingOptions = OPTIONS) -> Collection:
    return Collection(str(out), options, (("method", options.method), ("seed", options.seed)))


def finished(out: Path) -> list[dict[str, object]]:
    """The rows of the manifest that are whole."""
    try:
        lines = (out / "manifest.jsonl").read_bytes().splitlines(keepends=True)
    except FileNotFoundError:
        return []
    return [json.loads(line) for line in lines[1:] if line.endswith(b"\n")]


def wait_for(out: Path, count: int, process: subprocess.Popen[str]) -> list[dict[str, object]]:
    deadline = time.monotonic() + 300
    while len(finished(out)) < count:
        assert process.poll() is None, f"ended early: {process.communicate()}"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return finished(out)


def times(out: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in sorted(out.glob("paintings/*/*/*"))}


@pytest.mark.slow
def test_killed_workers_and_commands_lose_nothing(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A worker is killed, then the command, then a second one is stopped by Ctrl-C; the third finishes."""
    inputs, out = pictures(tmp_path / "in", 20), tmp_path / "out"
    options = ["--out", out, "--method", "optimize", "--strokes", "4", "--size", "16", "--steps", "150"]
    temporary = tmp_path_factory.mktemp("temporary")

    def start(workers: int) -> subprocess.Popen[str]:
        module = [sys.executable, "-m", "experiments.paint_collection"]
        return subprocess.Popen(
            [*module, tmp_path / "in", "--workers", str(workers), *options],
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1", "TMPDIR": str(temporary)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    first = start(2)
    worker = str(wait_for(out, 2, first)[-1]["painted_by"]).rpartition(":")[2]
    os.kill(int(worker), signal.SIGKILL)
    wait_for(out, 6, first)
    first.kill()
    first.communicate(timeout=300)
    before = times(out)

    second = start(1)
    wait_for(out, len(finished(out)) + 4, second)
    os.killpg(second.pid, signal.SIGINT)
    _, said = second.communicate(timeout=300)
    assert second.returncode == 130
    assert said.strip().splitlines()[-1] == "Stopped; everything finished so far is kept."
    assert "Traceback" not in said, said
    assert parquet.read_table(out / "metrics.parquet").num_rows == len(finished(out)) < len(inputs)

    third = start(1)
    printed, said = third.communicate(timeout=300)
    assert third.returncode == 0, said
    assert "20 pictures, mean mse" in printed
    table = parquet.read_table(out / "metrics.parquet").to_pydict()
    assert table["path"] == [str(path) for path in inputs]
    assert sorted(row["path"] for row in finished(out)) == table["path"], "each is recorded once"
    assert sorted(out.glob("paintings/*/*")) == sorted(out / folder for folder in table["folder"])
    assert not list(out.rglob(".*")), "what killed processes left is removed"
    assert not list(temporary.glob("dask*"))
    after = times(out)
    assert {path: after[path] for path in before} == before, "what was finished is not painted again"

    options_of_all = PaintingOptions(method="optimize", strokes=4, size=16, steps=150)
    record = tuple(json.loads((out / "manifest.jsonl").read_text().splitlines()[0])["options"].items())
    (row,) = paint_pictures(Collection(str(tmp_path / "alone"), options_of_all, record), [as_picture(inputs[7])])
    assert {**row, "seconds": 0, "painted_by": ""} == {
        **{name: values[7] for name, values in table.items()},
        "seconds": 0,
        "painted_by": "",
    }
    alone, together = (
        Painting.load(parent / row["folder"] / "strokes.safetensors") for parent in (tmp_path / "alone", out)
    )
    assert alone.strokes.equal(together.strokes)
    assert alone.provenance == together.provenance


def test_ctrl_c_while_workers_start_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers are closed in order, and before their folder is removed."""
    done = []

    class Cluster(AbstractContextManager["Cluster"]):
        def __init__(self, **options: object) -> None:
            (tmp_path / ".workers").mkdir()
            signal.raise_signal(signal.SIGINT)

        def __exit__(self, *reason: object) -> None:
            done.append((tmp_path / ".workers").is_dir())

    monkeypatch.setattr(distributed, "LocalCluster", Cluster)
    monkeypatch.setattr(distributed, "Client", lambda cluster: nullcontext())
    with pytest.raises(KeyboardInterrupt), _start_workers(Config((), str(tmp_path)), 1):
        pass
    assert done == [True]
    assert not list(tmp_path.iterdir())


def test_results_depend_on_content_name_and_seed_only(tmp_path: Path) -> None:
    first, second, third = pictures(tmp_path / "in", 3)
    (tmp_path / "moved").mkdir()
    moved = tmp_path / "moved" / first.name
    moved.write_bytes(first.read_bytes())
    renamed = tmp_path / "moved" / "other.png"
    renamed.write_bytes(first.read_bytes())
    rows = [
        row
        for batch in ([first], [second], [moved], [renamed])
        for row in paint_pictures(collection(tmp_path / "a"), [as_picture(path) for path in batch])
    ]
    assert rows[0]["folder"] == rows[2]["folder"] != rows[3]["folder"]
    assert rows[0]["seed"] == rows[2]["seed"] == rows[3]["seed"] != rows[1]["seed"]
    other = PaintingOptions(method="optimize", strokes=4, size=16, steps=3, seed=1)
    (row,) = paint_pictures(collection(tmp_path / "b", other), [as_picture(first)])
    assert row["seed"] != rows[0]["seed"]
    batch = paint_pictures(collection(tmp_path / "c"), [as_picture(path) for path in (third, second, first)])
    for alone, together in zip((rows[1], rows[0]), batch[1:], strict=True):
        assert (alone["folder"], alone["seed"]) == (together["folder"], together["seed"])
        assert together["mse"] == pytest.approx(alone["mse"], rel=1e-3)


def test_what_cannot_be_read_is_reported_and_a_changed_picture_is_painted(tmp_path: Path) -> None:
    path, broken = pictures(tmp_path / "in", 2)
    broken.write_bytes(b"no image")
    rows = paint_pictures(collection(tmp_path / "out"), [as_picture(broken), as_picture(path)])
    assert str(broken) in rows[0]["error"]
    assert "error" not in rows[1]
    before = times(tmp_path / "out")
    assert paint_pictures(collection(tmp_path / "out"), [as_picture(path)]) == rows[1:]
    assert times(tmp_path / "out") == before

    manifest = Manifest(tmp_path / "out", {"strokes": 4})
    manifest.add(rows[1])
    assert manifest.has(as_picture(path), tmp_path / "out")
    Image.new("RGB", (8, 8)).save(path)
    assert not manifest.has(as_picture(path), tmp_path / "out")
    manifest.close()
    with pytest.raises(InputError, match="other options"):
        Manifest(tmp_path / "out", {"strokes": 5})
    again = Manifest(tmp_path / "out", {"strokes": 4})
    with pytest.raises(InputError, match="open in another process"):
        Manifest(tmp_path / "out", {"strokes": 4})
    again.close()


def test_inputs_are_folders_lists_and_the_data_set(tmp_path: Path) -> None:
    root = write_fake_kaokore(tmp_path / "kaokore", n=24)
    paths = pictures(tmp_path / "in", 2)
    (tmp_path / "list.txt").write_text(f"{paths[1]}\n\n{paths[0]}\n")

    def found(*given: str, **options: object) -> list[Path]:
        return _find(Config(tuple(given), str(tmp_path / "out"), root=str(root), **options))  # type: ignore[arg-type]

    assert found(str(tmp_path / "list.txt"), str(tmp_path / "in")) == [paths[1], paths[0]]
    every, dev = found("kaokore:"), found("kaokore:", split="dev")
    assert set(dev) < set(every)
    women = found("kaokore:", split="dev", gender="female")
    men = found("kaokore:", split="dev", gender="male")
    assert sorted(women + men) == sorted(dev)
    assert not set(women) & set(men)
    assert len(found("kaokore:", status="noble")) < len(every)
    assert found("kaokore:1") == [every[0].with_name("00000001.jpg")]


@pytest.mark.parametrize(
    ("given", "options", "said"),
    [
        ((), {}, "Nothing to paint"),
        (("in",), {"workers": 0}, "--workers"),
        (("in",), {"batch": 0}, "--batch"),
        (("in",), {"strokes": 0}, "--strokes"),
        (("in",), {"split": "dev"}, "require the input kaokore:"),
        (("none.txt",), {}, "cannot be read"),
        (("none",), {}, "no image or folder"),
    ],
)
def test_invalid_options(tmp_path: Path, given: tuple[str, ...], options: dict[str, object], said: str) -> None:
    config = Config(tuple(str(tmp_path / name) for name in given), str(tmp_path / "out"), **options)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=said):
        paint_collection(config)
    assert not (tmp_path / "out").exists()


def test_without_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures(tmp_path / "in", 1)
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(InputError, match=r"distributed is not installed; run .*\[cluster\]"):
        paint_collection(Config((str(tmp_path / "in"),), str(tmp_path / "out")))


def test_a_retrained_checkpoint_of_the_same_name_makes_other_results(tmp_path: Path) -> None:
    checkpoint = tmp_path / "agent.safetensors"
    config = Config((str(tmp_path),), str(tmp_path / "out"), agent=str(checkpoint))
    records = []
    for content in (b"first", b"second", b"first"):
        checkpoint.write_bytes(content)
        records.append(_record(config))
    assert records[0] == records[2] != records[1]
    assert all(record["agent"] == "agent.safetensors" for record in records)
    assert "files" not in _record(Config((), str(tmp_path / "out")))
