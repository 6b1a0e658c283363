"""What painting commands write and say: sizes, contact sheets, JSON lines, and the strokes of work that is stopped."""

import csv
import io
import json
import os
import pty
import select
import signal
import subprocess
import sys
import termios
from contextlib import suppress
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from experiments import cli, outputs, stylize, visualize
from experiments.repaint import Config, repaint
from painter import Painter, Painting
from painter.api import default_size
from renderer.errors import InputError

ROOT = Path(__file__).parent.parent.parent
LONG = ["--strokes", "6", "--steps", "100000", "--output-size", "40"]
SMALL: dict[str, Any] = {"strokes": 3, "size": 24, "video": False}


def picture(path: Path, height: int = 40, width: int = 60, seed: int = 0) -> str:
    """A smooth picture of a few colours."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 6, 3), np.uint8)
    Image.fromarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)).save(path)
    return str(path)


def row(out: Path) -> dict[str, str]:
    """The only row of the table, without times."""
    with (out / "metrics.csv").open() as file:
        (found,) = csv.DictReader(file)
    return {key: value for key, value in found.items() if key != "seconds"}


def strokes_of(folder: Path) -> torch.Tensor:
    return Painting.load(folder / "strokes.safetensors").strokes


def test_the_result_is_drawn_large_and_measured_small(tmp_path: Path, agent: str) -> None:
    source = picture(tmp_path / "face.png")
    sizes = {"default": (1536, 1024), "same": (24, 16), "own": (300, 200)}
    for out, given in (("default", None), ("same", 24), ("own", 300)):
        repaint(Config((source,), str(tmp_path / out), agent=agent, output_size=given, **SMALL))
        with Image.open(tmp_path / out / "face" / "painting.png") as image:
            assert image.size == sizes[out]
        assert f'width="{sizes[out][0]}"' in (tmp_path / out / "face" / "painting.svg").read_text()[:500]
    first, *others = (tmp_path / out for out in sizes)
    for other in others:
        assert (other / "face/strokes.safetensors").read_bytes() == (first / "face/strokes.safetensors").read_bytes()
        assert row(other) == row(first)
    large = cv2.imread(str(first / "face" / "painting.png")).astype(np.float64)
    small = cv2.imread(str(tmp_path / "same" / "face" / "painting.png")).astype(np.float64)
    assert np.abs(cv2.resize(large, (24, 16), interpolation=cv2.INTER_AREA) - small).mean() < 2  # the same picture


def test_a_large_input_gives_a_painting_of_its_size(tmp_path: Path, agent: str) -> None:
    wide, huge = picture(tmp_path / "wide.png", 10, 1700), picture(tmp_path / "huge.png", 5000, 5)
    repaint(Config((wide, huge), str(tmp_path / "out"), agent=agent, **SMALL))
    with Image.open(tmp_path / "out" / "wide" / "painting.png") as image:
        assert max(image.size) == 1700
    with Image.open(tmp_path / "out" / "huge" / "painting.png") as image:
        assert max(image.size) == outputs.LARGEST_DEFAULT


def test_another_output_size_is_not_finished_yet(
    tmp_path: Path, agent: str, capsys: pytest.CaptureFixture[str]
) -> None:
    source = picture(tmp_path / "face.png")
    for size, painted in ((24, True), (24, False), (48, True), (48, False)):
        repaint(Config((source,), str(tmp_path / "out"), agent=agent, output_size=size, **SMALL))
        assert ("painted already" not in capsys.readouterr().out) is painted
    assert [path.name for path in (tmp_path / "out").iterdir() if path.is_dir()] == ["face"]


def test_the_working_size_follows_the_strokes(tmp_path: Path, agent: str) -> None:
    source = picture(tmp_path / "face.png")
    assert [default_size(count) for count in (1, 200, 201, 800, 10**5)] == [128, 128, 128, 256, 1024]
    options: dict[str, Any] = {"agent": agent, "video": False, "output_size": 64}
    repaint(Config((source,), str(tmp_path), strokes=220, **options))
    assert Painting.load(tmp_path / "face" / "strokes.safetensors").size() == (91, 136)
    assert row(tmp_path)["size"] == "136"
    repaint(Config((source,), str(tmp_path / "128"), strokes=2, **options))
    repaint(Config((source,), str(tmp_path / "128"), strokes=2, size=128, **options))  # the same configuration
    assert not (tmp_path / "128" / "face-2").exists()


def test_a_contact_sheet(tmp_path: Path, agent: str) -> None:
    sources = tuple(picture(tmp_path / f"{name}.png", seed=i) for i, name in enumerate("abc"))
    Path(sources[1]).write_text("no picture")
    options: dict[str, Any] = {**SMALL, "strokes": 12, "agent": agent, "output_size": 24}
    with pytest.raises(InputError, match="1 of 3"):
        repaint(Config(sources, str(tmp_path / "out"), **options))
    sheet = np.asarray(Image.open(tmp_path / "out" / "contact_sheet.png")).astype(float)
    assert sheet.shape == (28 + 2 * (171 + 8), 8 + 3 * (256 + 8), 3)  # two rows: target, 10 strokes, painting
    target = cv2.resize(np.asarray(Image.open(sources[0])), (256, 171), interpolation=cv2.INTER_CUBIC)
    assert np.abs(sheet[28:199, 8:264] - target).mean() < 8
    stage, painting = sheet[28:199, 272:528], sheet[28:199, 536:792]
    assert np.abs(stage - painting).mean() > 0.2  # two strokes are missing
    repaint(Config(sources[:1], str(tmp_path / "none"), contact_sheet=False, **options))
    assert not (tmp_path / "none" / "contact_sheet.png").exists()


def test_json_lines(tmp_path: Path, agent: str, capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = picture(tmp_path / "a.png"), tmp_path / "b.png"
    bad.write_text("no picture")
    options: dict[str, Any] = {**SMALL, "agent": agent, "output_size": 24, "json": True}
    for status in ("painted", "painted already"):
        with pytest.raises(InputError, match="1 of 2"):
            repaint(Config((good, str(bad)), str(tmp_path / "out"), **options))
        said = capsys.readouterr()
        lines = {line["input"]: line for line in map(json.loads, said.out.splitlines())}
        assert set(lines) == {good, str(bad)}
        assert (lines[good]["status"], lines[good]["folder"]) == (status, str(tmp_path / "out" / "a"))
        assert lines[str(bad)]["status"] == "failed"
        assert "b.png" in lines[str(bad)]["error"]
        assert "%" not in said.err  # no bar, since it is no terminal
        if status == "painted":
            assert lines[good]["strokes"] == 3
            assert lines[good]["mse"] == pytest.approx(float(row(tmp_path / "out")["mse"]), rel=1e-5)


def test_every_finished_file_is_named_at_the_end(
    tmp_path: Path, agent: str, capsys: pytest.CaptureFixture[str]
) -> None:
    source = picture(tmp_path / "face.png")
    repaint(Config((source,), str(tmp_path / "out"), agent=agent, output_size=24, **SMALL))
    lines = capsys.readouterr().out.splitlines()[1:]
    assert {Path(line).name for line in lines} == {
        *("painting.png", "painting.svg", "strokes.safetensors", "contact_sheet.png", "metrics.csv")
    }
    assert all(Path(line).is_file() for line in lines)


def test_the_bar_shows_the_time_left_and_every_part_of_the_work(
    tmp_path: Path, agent: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source = picture(tmp_path / "face.png")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    repaint(Config((source,), str(tmp_path), agent=agent, output_size=24, video_size=24, **{**SMALL, "video": True}))
    said = capsys.readouterr().err
    for words in ("3 strokes", "writing painting.png", "writing painting.mp4", "measuring", " left"):
        assert words in said


def stop_when_shown(arguments: list[str], words: str) -> tuple[int, str]:
    """Start a command on a terminal, press Ctrl-C when its bar shows `words`; its exit code and what it said there."""
    terminal, inside = pty.openpty()
    termios.tcsetwinsize(terminal, (24, 120))  # without a width, a bar shows nothing
    process = subprocess.Popen(
        [sys.executable, "-m", *arguments],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=inside,
    )
    os.close(inside)
    said, sent = "", False
    with suppress(OSError):  # how a terminal says that the process has closed it
        while select.select([terminal], [], [], 60)[0]:
            said += os.read(terminal, 4096).decode(errors="replace")
            if not sent and words in said:
                process.send_signal(signal.SIGINT)
                sent = True
    os.close(terminal)
    if not sent:
        process.kill()
    return process.wait(60), said


def assert_unfinished(out: Path, code: int, said: str) -> None:
    """Ctrl-C left the strokes so far, drawn, and no row."""
    assert code == 130, said
    assert "Traceback" not in said
    assert "unfinished, " in said
    (folder,) = (path for path in out.iterdir() if path.is_dir())
    assert {path.name for path in folder.iterdir()} == {"painting.png", "strokes.safetensors"}
    painting = Painting.load(folder / "strokes.safetensors")
    assert 1 <= len(painting.strokes) <= 6
    assert painting.provenance["unfinished"] is True
    with Image.open(folder / "painting.png") as image:
        assert max(image.size) == 40
    assert not (out / "metrics.csv").exists()


def test_ctrl_c_on_a_terminal_saves_the_strokes_so_far(tmp_path: Path) -> None:
    source, out = picture(tmp_path / "face.png"), tmp_path / "out"
    options = ["--method", "optimize", "--size", "32", *LONG, "--out", str(out)]
    assert_unfinished(out, *stop_when_shown(["experiments.repaint", source, *options], " strokes"))


class Terminal(io.StringIO):
    """Where a bar is shown; Ctrl-C is pressed when it shows `words` for the first time."""

    def __init__(self, words: str) -> None:
        super().__init__()
        self.words, self.pressed = words, False

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        if self.words in text and not self.pressed:
            self.pressed = True
            signal.raise_signal(signal.SIGINT)
        return super().write(text)


STOPPED: dict[str, tuple[Any, Any, list[str], str]] = {
    "stylize": (stylize.stylize, stylize.Config, ["--renderer", "bezier", "--size", "32"], " strokes"),
    "visualize": (visualize.visualize, visualize.Config, ["--feature", "relu1_1:3", "--size", "32"], "score"),
}


@pytest.mark.parametrize("name", STOPPED)
def test_ctrl_c_saves_the_strokes_so_far(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    function, config, options, words = STOPPED[name]
    inputs = [] if name == "visualize" else [picture(tmp_path / "face.png")]
    terminal = Terminal(words)
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", "120")  # without a width, a bar shows nothing
    with pytest.raises(SystemExit) as stopped:
        cli.run(function, config, arguments=[*inputs, *options, *LONG, "--out", str(tmp_path / "out")])
    assert_unfinished(tmp_path / "out", stopped.value.code, terminal.getvalue())  # type: ignore[arg-type]


def interrupt(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_unfinished_work_is_painted_again_and_finished_work_is_kept(
    tmp_path: Path, agent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = tuple(picture(tmp_path / f"{name}.png", seed=i) for i, name in enumerate("ab"))
    out, options = tmp_path / "out", {**SMALL, "agent": agent, "output_size": 24}
    with monkeypatch.context() as patched:
        patched.setattr(Painting, "export", interrupt)  # while the first of two results is written
        with pytest.raises(KeyboardInterrupt):
            repaint(Config(sources, str(out), **options))
    for name in "ab":
        assert {path.name for path in (out / name).iterdir()} == {"painting.png", "strokes.safetensors"}
        assert len(strokes_of(out / name)) == 3
    repaint(Config(sources, str(out), **options))
    assert {path.name for path in out.iterdir()} == {"a", "b", "metrics.csv", "contact_sheet.png"}
    finished = {path.name: path.read_bytes() for path in (out / "a").iterdir()}
    assert "painting.svg" in finished
    assert "unfinished" not in Painting.load(out / "a" / "strokes.safetensors").provenance
    with monkeypatch.context() as patched:
        patched.setattr(Painting, "export", interrupt)
        with pytest.raises(KeyboardInterrupt):
            repaint(Config(sources, str(out), again=True, **options))
    assert {path.name: path.read_bytes() for path in (out / "a").iterdir()} == finished


def test_a_painting_so_far() -> None:
    image = torch.rand(3, 16, 20)
    steps = Painter("optimize").steps(image, strokes=4, size=20, background="#204060")
    step = next(step for step in steps if len(step.strokes))
    painting = Painter("optimize").painting_so_far(step, {"note": "stopped"})
    assert torch.equal(painting.strokes, step.strokes.detach())
    assert painting.size() == (16, 20)
    assert painting.background == pytest.approx((0x20 / 255, 0x40 / 255, 0x60 / 255))
    assert painting.provenance["note"] == "stopped"
