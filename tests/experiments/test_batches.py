"""Painting many images: in batches, with worker processes, and each with its own faults."""

import csv
import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from experiments import outputs, replay
from experiments.batches import choose_batch
from experiments.cores import available_cores
from experiments.repaint import Config, repaint
from painter import Painter
from painter.workers import Workers
from renderer.errors import InputError
from renderer.io.painting import MissingBrushWarning, Painting

ROOT = Path(__file__).parent.parent.parent
CPU = torch.device("cpu")


def photographs(folder: Path, count: int) -> list[str]:
    """Smooth pictures of two sizes."""
    folder.mkdir()
    for i in range(count):
        coarse = np.random.default_rng(i).integers(0, 256, (4, 6, 3), np.uint8)
        size = (60, 40) if i % 2 == 0 else (40, 60)
        pixels = cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC)
        Image.fromarray(pixels).save(folder / f"{i}.png")
    return [str(folder / f"{i}.png") for i in range(count)]


def rows(out: Path) -> list[dict[str, str]]:
    with (out / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


def strokes(folder: Path) -> torch.Tensor:
    return Painting.load(folder / "strokes.safetensors").strokes


@pytest.mark.parametrize("method", ["agent", "optimize", "hybrid", "lines"])
def test_a_batch_is_each_image_alone(tmp_path: Path, agent: str, method: str) -> None:
    sources = photographs(tmp_path / "in", 3)
    options = {"strokes": 6, "size": 24, "steps": 5, "agent": agent, "video": False}
    for batch in ("1", "auto", "2"):
        repaint(Config(tuple(sources), str(tmp_path / batch), method=method, batch=batch, **options))
    repaint(Config((sources[1],), str(tmp_path / "alone"), method=method, **options))
    for name in "012":
        first, *others = (strokes(tmp_path / batch / name) for batch in ("1", "auto", "2"))
        for other in others:
            torch.testing.assert_close(first, other, atol=1e-3, rtol=0)  # rounding, enlarged by steps of the optimiser
    alone = (tmp_path / "alone" / "1" / "strokes.safetensors").read_bytes()
    assert (tmp_path / "1" / "1" / "strokes.safetensors").read_bytes() == alone


def test_workers_write_what_this_process_would(
    tmp_path: Path, agent: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With an image that cannot be read, one that cannot be painted, and one that is done already."""
    sources = photographs(tmp_path / "in", 6)
    Path(sources[1]).write_text("no picture")
    paint = Painter.paint_batch

    def fail_on_4(painter: Painter, images: list[torch.Tensor], **options: object) -> list[Painting]:
        if any(record["input"] == "4.png" for record in options["provenance"]):  # type: ignore[attr-defined]
            raise InputError("4 cannot be painted.")
        return paint(painter, images, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Painter, "paint_batch", fail_on_4)
    options = {"strokes": 4, "size": 24, "agent": agent, "output_size": 24, "video_size": 32, "batch": "4"}
    out = tmp_path / "out"
    repaint(Config((sources[0],), str(out), **options))
    before = (out / "0" / "strokes.safetensors").stat().st_mtime_ns
    capsys.readouterr()
    with pytest.raises(InputError, match="2 of 6 inputs could not be painted"):
        repaint(Config(tuple(sources), str(out), **options))
    assert (out / "0" / "strokes.safetensors").stat().st_mtime_ns == before
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    assert lines[0] == f"{out / '0'}: painted already; --again repaints it."
    assert [Path(line.split(":")[0]).name for line in lines[1:-1]] == ["2", "3", "5"]
    assert [line.split(":")[0] for line in printed.err.splitlines()] == ["error", "error"]
    assert "1.png" in printed.err
    assert [row["folder"] for row in rows(out)] == ["0", "2", "3", "5"]
    assert {path.name for path in out.iterdir()} == {"0", "2", "3", "5", "metrics.csv", "contact_sheet.png"}
    for name in ("2", "3", "5"):
        files = {"painting.png", "painting.svg", "painting.mp4", "painting.gif", "strokes.safetensors"}
        assert {path.name for path in (out / name).iterdir()} == files
        again = tmp_path / "again.png"
        replay.replay(replay.Config(str(out / name / "strokes.safetensors"), str(again), size=24))
        assert (out / name / "painting.png").read_bytes() == again.read_bytes()


def test_folders_of_one_batch_do_not_meet(tmp_path: Path, agent: str) -> None:
    """`0` holds another result, so that the first input gets the folder that the second one is named after."""
    sources = photographs(tmp_path / "in", 2)
    Path(sources[1]).rename(tmp_path / "in" / "0-2.png")
    out, options = tmp_path / "out", {"size": 24, "agent": agent, "video": False}
    repaint(Config((sources[0],), str(out), strokes=3, **options))
    repaint(Config((sources[0], str(tmp_path / "in" / "0-2.png")), str(out), strokes=2, **options))
    assert [(row["folder"], Path(row["input"]).name) for row in rows(out)] == [
        ("0", "0.png"),
        ("0-2", "0.png"),
        ("0-2-2", "0-2.png"),
    ]


def test_an_interruption_costs_only_the_batch_at_work(
    tmp_path: Path, agent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    paint = Painter.paint_batch

    def stop_at_4(painter: Painter, images: list[torch.Tensor], **options: object) -> list[Painting]:
        if options["provenance"][0]["input"] == "4.png":  # type: ignore[index]
            raise KeyboardInterrupt
        return paint(painter, images, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Painter, "paint_batch", stop_at_4)
    sources, out = photographs(tmp_path / "in", 6), tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        repaint(Config(tuple(sources), str(out), strokes=2, size=16, agent=agent, video=False, batch="2"))
    assert [row["folder"] for row in rows(out)] == ["0", "1", "2", "3"]
    assert {path.name for path in out.iterdir()} == {"0", "1", "2", "3", "metrics.csv"}


def double(number: int) -> int:
    if number < 0:
        raise InputError(f"{number} is negative.")
    return 2 * number


def die_once(marker: str) -> int:
    if not os.path.exists(marker):
        Path(marker).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return 7


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def note() -> int:
    import warnings

    warnings.warn("drawn otherwise", MissingBrushWarning, stacklevel=1)
    return threads()


def threads() -> int:
    return torch.get_num_threads()


def test_calls_in_other_processes(tmp_path: Path) -> None:
    with Workers(1) as workers:
        numbers = [workers.start(double, number) for number in (1, -1, 3)]
        assert numbers[0]() == 2
        with pytest.raises(InputError, match="-1 is negative"):
            numbers[1]()
        assert numbers[2]() == 6
        noting = workers.start(note)
        with pytest.warns(MissingBrushWarning, match="drawn otherwise"):
            assert noting() == 1  # one thread a process
        # What is lost with a process runs again; what ends it twice is given up, alone.
        dying, healthy = workers.start(die_once, str(tmp_path / "marker")), workers.start(double, 4)
        assert (dying(), healthy()) == (7, 8)
        hopeless = workers.start(die)
        with pytest.raises(InputError, match="is memory short"):
            hopeless()
        assert workers.start(double, 5)() == 10
    assert Workers(0).start(double, 6)() == 12


def test_workers_end_with_a_killed_parent(tmp_path_factory: pytest.TempPathFactory) -> None:
    code = (
        "import os, time\n"
        "from painter.workers import Workers\n"
        "workers = Workers(1)\n"
        "print(workers.start(os.getpid)(), flush=True)\n"
        "time.sleep(60)\n"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path_factory.mktemp("killed"))}  # where it leaves its sockets
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        assert worker != parent.pid
        os.kill(worker, 0)  # it is there
        parent.kill()
    deadline = time.monotonic() + 20
    while Path(f"/proc/{worker}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    with pytest.raises(ProcessLookupError):
        os.kill(worker, 0)


def test_batches_are_chosen_by_size_and_device(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = [choose_batch("agent", size, 200, CPU) for size in (64, 128, 256, 2048)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[1] > 4
    assert sizes[-1] == 1
    assert choose_batch("lines", 128, 200, CPU) == 1
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (8 * 2**30, 80 * 2**30))
    gpu = torch.device("cuda")
    assert choose_batch("agent", 128, 200, gpu) == 1024
    assert choose_batch("agent", 128, 800, gpu) == 256
    assert choose_batch("agent", 512, 200, gpu) == 64
    assert choose_batch("agent", 8192, 20_000, gpu) == 1


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_is_shown_on_terminals_only(monkeypatch: pytest.MonkeyPatch, terminal: bool) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: terminal, raising=False)
    monkeypatch.setattr(sys, "stderr", stream)
    with outputs.batch_bar("faces", 3) as (show, advance):
        show(0.5, "10 strokes")
        advance()
    shown = stream.getvalue()
    assert ("1 of 3 images" in shown and "images/s" in shown and "left" in shown) if terminal else shown == ""


def test_cores_of_a_container(tmp_path: Path) -> None:
    unlimited = available_cores(tmp_path / "missing")
    assert unlimited == len(os.sched_getaffinity(0))
    for text, cores in (("max 100000", unlimited), ("150000 100000", min(2, unlimited)), ("1000 100000", 1)):
        (tmp_path / "cpu.max").write_text(text + "\n")
        assert available_cores(tmp_path / "cpu.max") == cores
