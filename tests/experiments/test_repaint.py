"""The main job from outside: what it writes, and how it answers bad input."""

import csv
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
from safetensors.torch import save_file

from agents.policy import Policy
from experiments import cli, measures
from experiments import repaint as script
from experiments.repaint import COLUMNS, Config, repaint
from kaokore import DatasetError, write_fake_kaokore
from painter.features import Perceptual
from renderer.checkpoint import Checkpoint
from renderer.errors import InputError
from renderer.painting import Painting
from renderer.space import BEZIER

ROOT = Path(__file__).parent.parent.parent
FILES = {"painting.png", "painting.svg", "painting.mp4", "painting.gif", "strokes.safetensors"}


@pytest.fixture(scope="module")
def agent(tmp_path_factory):
    """A small, untrained agent."""
    settings = {"width": 16, "blocks": 1, "each": 2}
    path = tmp_path_factory.mktemp("agent") / "tiny.safetensors"
    Checkpoint("policy", settings, Policy(**settings).state_dict(), BEZIER).save(path)
    return str(path)


@pytest.fixture(autouse=True)
def _one_perceptual(monkeypatch, perceptual):
    monkeypatch.setattr(script, "Perceptual", lambda: perceptual)


@pytest.fixture(scope="module")
def perceptual():
    return Perceptual()


def picture(path, height=40, width=60, seed=0):
    """A smooth picture of a few colours."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 6, 3), np.uint8)
    Image.fromarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)).save(path)
    return str(path)


def rows(out):
    with (out / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


def command(monkeypatch, capsys, *arguments):
    """The exit code and what was said on stderr, as from the command line."""
    monkeypatch.setattr(sys, "argv", ["repaint.py", *map(str, arguments)])
    try:
        cli.run(repaint, Config, script.__doc__)
        code = 0
    except SystemExit as stop:
        code = stop.code
    return code, capsys.readouterr().err


@pytest.mark.parametrize("method", ["agent", "optimize", "hybrid"])
def test_every_method_writes_everything(tmp_path, agent, method):
    source, out = picture(tmp_path / "face.png"), tmp_path / "out"
    repaint(Config((source,), str(out), method, strokes=12, size=48, steps=100, agent=agent, film_size=64))
    assert {file.name for file in (out / "face").iterdir()} == FILES
    assert not list(out.rglob("*.tmp*"))
    (row,) = rows(out)
    assert tuple(row) == COLUMNS
    assert (row["input"], row["method"], row["strokes"]) == (source, method, "12")
    painting = Painting.load(out / "face" / "strokes.safetensors")
    assert len(painting.strokes) == 12
    assert painting.made_by["method"] == method

    shown = np.asarray(Image.open(out / "face" / "painting.png")).astype(np.float64) / 255
    assert shown.shape == (32, 48, 3)  # the whole picture, 48 on the long side
    target = cv2.resize(np.asarray(Image.open(source)), (48, 32), interpolation=cv2.INTER_AREA) / 255
    mse = ((shown - target) ** 2).mean()
    assert float(row["mse"]) == pytest.approx(mse, abs=2e-4)
    assert mse < ((1 - target) ** 2).mean() / 2  # it is a painting of this picture
    assert float(row["psnr"]) == pytest.approx(-10 * np.log10(float(row["mse"])), abs=1e-3)
    assert 0 <= float(row["ssim"]) <= 1
    assert float(row["perceptual"]) > 0
    assert float(row["seconds"]) > 0


def test_same_seed_same_painting(tmp_path, agent):
    source = picture(tmp_path / "face.png")
    for out in ("a", "b"):
        repaint(Config((source,), str(tmp_path / out), "hybrid", 10, size=32, steps=5, agent=agent, video=False))
    first, second = (Painting.load(tmp_path / out / "face" / "strokes.safetensors").strokes for out in ("a", "b"))
    assert torch.equal(first, second)


def test_a_time_budget_is_kept(tmp_path, agent):
    source = picture(tmp_path / "face.png")
    repaint(Config((source,), str(tmp_path / "out"), "optimize", 20, seconds=1.0, size=32, video=False))
    assert 1.0 <= float(rows(tmp_path / "out")[0]["seconds"]) < 3.0


def test_many_inputs_keep_their_names_apart(tmp_path, agent):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
    picture(tmp_path / "one" / "face.png")
    picture(tmp_path / "two" / "face.jpg", seed=1)
    out = tmp_path / "out"
    write_fake_kaokore(tmp_path / "kaokore", n=4)
    inputs = (str(tmp_path / "one"), str(tmp_path / "two" / "face.jpg"), "kaokore:1")
    repaint(Config(inputs, str(out), strokes=3, size=24, agent=agent, video=False, root=str(tmp_path / "kaokore")))
    assert {folder.name for folder in out.iterdir() if folder.is_dir()} == {"face", "face-2", "00000001"}
    assert len(rows(out)) == 3
    assert not (out / "face" / "painting.mp4").exists()

    # Another run with the same folder keeps the earlier lines and renews its own.
    repaint(Config((inputs[1],), str(out), strokes=5, size=24, agent=agent, video=False))
    assert [row["strokes"] for row in rows(out)] == ["3", "3", "5"]


def make_bad(kind, folder):
    path = folder / f"{kind}.png"
    if kind == "text":
        path.write_text("this is no picture")
    elif kind == "empty":
        path.touch()
    elif kind == "truncated":
        whole = folder / "whole.jpg"
        picture(whole, 200, 200)
        path.write_bytes(whole.read_bytes()[:1500])
        whole.unlink()
    elif kind == "folder":
        path.mkdir()
    return path


@pytest.mark.parametrize("kind", ["text", "empty", "truncated", "folder", "missing"])
def test_bad_pictures_end_in_one_sentence(tmp_path, agent, monkeypatch, capsys, kind):
    bad, out = make_bad(kind, tmp_path), tmp_path / "out"
    code, said = command(monkeypatch, capsys, bad, "--out", out, "--agent", agent, "--strokes", 2)
    assert code == 2
    last = said.strip().splitlines()[-1]
    assert last.startswith("error: ")
    assert bad.name in last
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--strokes", "0"], "--strokes"),
        (["--strokes", "-5"], "--strokes"),
        (["--size", "0"], "--size"),
        (["--size", "99999"], "--size"),
        (["--method", "magic"], "agent, optimize, hybrid"),
        (["--seconds", "nan"], "--seconds"),
        (["--seconds", "-1"], "--seconds"),
        (["--renderer", "nonesuch"], "bezier"),
        (["--renderer", "exact"], "gradient"),
        (["--agent", "nonesuch"], "no checkpoint"),
        (["--agent", "bezier"], "policy"),
        (["--device", "abacus"], "abacus"),
        (["--device", "cuda:63"], "cuda"),
    ],
)
def test_bad_options_end_in_one_sentence(tmp_path, monkeypatch, capsys, options, words):
    source = picture(tmp_path / "face.png")
    code, said = command(monkeypatch, capsys, source, "--out", tmp_path / "out", *options)
    assert code == 2
    assert words in said.strip().splitlines()[-1]
    assert "Traceback" not in said
    assert not (tmp_path / "out" / "face").exists()


def test_damaged_and_foreign_checkpoints(tmp_path, agent, monkeypatch, capsys):
    source = picture(tmp_path / "face.png")
    damaged, foreign = tmp_path / "damaged.safetensors", tmp_path / "foreign.safetensors"
    damaged.write_bytes(Path(agent).read_bytes()[:700])
    save_file({"x": torch.zeros(1)}, foreign)
    for path in (damaged, foreign):
        for option in ("--agent", "--renderer"):
            code, said = command(monkeypatch, capsys, source, "--out", tmp_path / "out", option, path)
            assert code == 2
            assert path.name in said.strip().splitlines()[-1]


def test_one_bad_picture_does_not_cost_the_others(tmp_path, agent, monkeypatch, capsys):
    good, bad = picture(tmp_path / "a.png"), make_bad("text", tmp_path)
    other, out = picture(tmp_path / "z.png", seed=2), tmp_path / "out"
    arguments = (good, bad, other, "--out", out, "--agent", agent, "--strokes", 2, "--size", 16, "--no-video")
    code, said = command(monkeypatch, capsys, *arguments)
    assert code == 2
    assert [Path(row["input"]).name for row in rows(out)] == ["a.png", "z.png"]
    assert "text.png" in said


def test_outputs_that_cannot_be_written(tmp_path, agent, monkeypatch, capsys):
    source, blocked = picture(tmp_path / "face.png"), tmp_path / "file"
    blocked.write_text("in the way")
    code, said = command(monkeypatch, capsys, source, "--out", blocked / "out", "--agent", agent, "--strokes", 2)
    assert code == 2
    assert "Cannot write" in said.strip().splitlines()[-1]


def test_a_foreign_table_is_not_overwritten(tmp_path, agent):
    source = picture(tmp_path / "face.png")
    (tmp_path / "metrics.csv").write_text("my,own\n1,2\n")
    with pytest.raises(InputError, match="choose another --out"):
        repaint(Config((source,), str(tmp_path), strokes=2, agent=agent))
    assert (tmp_path / "metrics.csv").read_text() == "my,own\n1,2\n"


@pytest.mark.parametrize("given", ["kaokore:", "kaokore:face", "kaokore:-1", "kaokore:99999999"])
def test_bad_kaokore_ids(tmp_path, agent, given):
    write_fake_kaokore(tmp_path / "kaokore", n=4)
    with pytest.raises(DatasetError):
        repaint(Config((given,), str(tmp_path / "out"), strokes=2, agent=agent, root=str(tmp_path / "kaokore")))


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (50, 2)])
def test_tiny_pictures(tmp_path, agent, size):
    source = picture(tmp_path / "face.png", *size)
    repaint(Config((source,), str(tmp_path / "out"), "hybrid", 4, size=20, steps=3, agent=agent))
    with Image.open(tmp_path / "out" / "face" / "painting.png") as image:
        assert max(image.size) == 20
    assert rows(tmp_path / "out")[0]["strokes"] == "4"


def test_equal_pictures_measure_as_equal(perceptual):
    same = torch.rand(3, 16, 16)
    assert measures.measure(same, same, perceptual) == measures.Measures(0.0, float("inf"), pytest.approx(1.0), 0.0)


def test_ctrl_c_keeps_what_is_finished(tmp_path, agent):
    folder, out = tmp_path / "faces", tmp_path / "out"
    folder.mkdir()
    for i in range(40):
        picture(folder / f"{i:02d}.png", seed=i)
    options = ["--out", str(out), "--agent", agent, "--strokes", "20", "--size", "32", "--film-size", "32"]
    process = subprocess.Popen(
        [sys.executable, "-m", "experiments.repaint", str(folder), *options],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 90
    while not (out / "metrics.csv").exists() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "Traceback" not in said
    finished = rows(out)
    assert 1 <= len(finished) < 40
    for row in finished:
        assert {file.name for file in (out / Path(row["input"]).stem).iterdir()} == FILES
    assert not list(out.rglob("*.tmp*"))


def test_the_command_line_from_outside(tmp_path, agent):
    source, out = picture(tmp_path / "face.png"), tmp_path / "out"
    base = [sys.executable, "-m", "experiments.repaint"]
    options = ["--out", str(out), "--agent", agent, "--strokes", "3", "--size", "16", "--no-video", "--device", "cpu"]
    done = subprocess.run([*base, source, *options], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert str(out) in done.stdout.splitlines()[-1]
    assert (out / "face" / "painting.svg").exists()
    missing = subprocess.run([*base, source], cwd=ROOT, capture_output=True, text=True)
    assert missing.returncode == 2
    assert "--out" in missing.stderr
