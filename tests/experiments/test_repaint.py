"""The main job from outside: what it writes, and how it answers bad input."""

import csv
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from agents.policy import Policy
from experiments import cli, outputs, replay
from experiments import repaint as script
from experiments.repaint import COLUMNS, Config, repaint
from kaokore import DatasetError, RetryPolicy, fetch_image, write_fake_kaokore
from painter import Painter
from painter.losses.perceptual import Perceptual
from painter.metrics import Metrics, compute_metrics
from renderer.brush import load_brush
from renderer.errors import InputError
from renderer.io.checkpoint import Checkpoint
from renderer.io.images import to_bytes
from renderer.io.painting import MissingBrushWarning, Painting, reference_brush
from renderer.material import surface
from renderer.material.finish import Finish
from renderer.material.papers import embedded_paper
from renderer.strokes import BEZIER

ROOT = Path(__file__).parent.parent.parent
FILES = {"painting.png", "painting.svg", "painting.mp4", "painting.gif", "strokes.safetensors"}


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


@pytest.mark.parametrize("method", ["agent", "optimize", "hybrid", "lines"])
def test_every_method_writes_everything(tmp_path, agent, method):
    source, out = picture(tmp_path / "face.png"), tmp_path / "out"
    repaint(
        Config(
            (source,),
            str(out),
            method=method,
            strokes=12,
            size=48,
            steps=100,
            agent=agent,
            output_size=48,
            video_size=64,
        )
    )
    assert {file.name for file in (out / "face").iterdir()} == FILES
    assert not list(out.rglob("*.tmp*"))
    (row,) = rows(out)
    assert tuple(row) == COLUMNS
    assert (row["input"], row["method"], row["strokes"]) == (source, method, "12")
    painting = Painting.load(out / "face" / "strokes.safetensors")
    assert len(painting.strokes) == 12
    assert painting.provenance["method"] == method

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


@pytest.mark.parametrize("method", ["agent", "optimize", "hybrid", "lines"])
@pytest.mark.parametrize(("palette", "colours"), [("#102030,#c0392b", 2), ("5", 5)])
def test_strokes_keep_within_limits(tmp_path, agent, method, palette, colours):
    source = picture(tmp_path / "face.png")
    limits = {"opaque": True, "min_radius": 0.02, "max_radius": 0.1, "palette": palette}
    config = Config(
        (source,), str(tmp_path), method=method, strokes=25, size=32, steps=20, agent=agent, video=False, **limits
    )
    repaint(config)
    painting = Painting.load(tmp_path / "face" / "strokes.safetensors")
    assert painting.provenance["palette"] == palette
    opacity, radius, colour = (BEZIER.get(painting.strokes, name) for name in ("opacity", "radius", "colour"))
    assert (opacity == 1).all()
    assert 0.02 - 1e-6 <= radius.min() <= radius.max() <= 0.1 + 1e-6
    assert 1 < len((colour * 255).round().unique(dim=0)) <= colours


@pytest.mark.parametrize(("renderer", "method"), [("ink", "optimize"), ("ink", "agent"), ("flat+ink", "lines")])
def test_without_the_engine_the_learned_brush_draws(tmp_path, agent, monkeypatch, renderer, method):
    def missing(*_):
        raise InputError("The brush engine is not installed; run `make brushes` first.")

    monkeypatch.setattr("renderer.brushes.mypaint.load", missing)
    source = picture(tmp_path / "face.png")
    config = Config(
        (source,),
        str(tmp_path),
        method=method,
        strokes=12,
        size=32,
        steps=5,
        agent=agent,
        renderer=renderer,
        output_size=32,
        video_size=32,
    )
    with pytest.warns(MissingBrushWarning, match="learned brush"):
        repaint(config)
    assert {file.name for file in (tmp_path / "face").iterdir()} == FILES
    painting = Painting.load(tmp_path / "face" / "strokes.safetensors")
    learned = painting.render(brush=load_brush(renderer))
    shown = np.asarray(Image.open(tmp_path / "face" / "painting.png")).transpose(2, 0, 1) / 255
    assert np.abs(shown - learned.numpy()).max() < 1 / 255
    with pytest.raises(InputError, match="make brushes"):
        reference_brush(painting.space, painting.size(), painting.provenance)


@pytest.mark.parametrize("method", ["agent", "optimize", "hybrid", "lines"])
def test_another_background(tmp_path, agent, method):
    source = picture(tmp_path / "face.png")
    for background in ("#204060", "mean"):
        out = tmp_path / background
        options = {"size": 32, "steps": 5, "agent": agent, "video": False, "background": background, "output_size": 32}
        repaint(Config((source,), str(out), method=method, strokes=1, **options))
        painting = Painting.load(out / "face" / "strokes.safetensors")
        target = np.asarray(Image.open(source)) / 255
        wanted = target.mean((0, 1)) if background == "mean" else np.array([0x20, 0x40, 0x60]) / 255
        assert painting.background == pytest.approx(wanted, abs=0.01)
        shown = np.asarray(Image.open(out / "face" / "painting.png")) / 255
        bare = np.abs(shown - wanted).max(-1) < 0.01
        assert bare.any() or method == "optimize"


def test_a_material_is_drawn_and_recorded(tmp_path, agent, monkeypatch):
    monkeypatch.setattr(surface, "LEAST_SHORT", 48)
    given = picture(tmp_path / "a.png")
    plain = Config((given,), str(tmp_path / "out"), agent=agent, strokes=3, size=48, output_size=96, video=False)
    repaint(plain)
    repaint(replace(plain, material="oil", paper=given, relief=0.5))
    first, oil = (Painting.load(tmp_path / f"out/{name}/strokes.safetensors") for name in ("a", "a-2"))
    assert oil.finish == Finish("oil", embedded_paper(given), relief=0.5)
    assert str(tmp_path) not in str(oil.provenance), "the paper itself is recorded"
    assert torch.equal(first.strokes, oil.strokes), "planning does not see the material"
    metrics = rows(tmp_path / "out")
    assert metrics[0]["mse"] == metrics[1]["mse"], "metrics are of the bare strokes"
    image = cv2.imread(str(tmp_path / "out/a-2/painting.png"))[..., ::-1]
    assert np.array_equal(image, to_bytes(oil.render(96, finish=oil.finish)))


def test_the_mean_colour_of_gold_is_what_one_plans_on():
    assert script.background_on(Config(("a.png",), "x", ground="gold")) == "#cca34c"
    assert script.background_on(Config(("a.png",), "x", ground="gold", background="mean")) == "mean"
    assert script.background_on(Config(("a.png",), "x")) == "#ffffff"


def test_brushes_can_be_blended(tmp_path, agent):
    source = picture(tmp_path / "face.png")
    options = {"renderer": "flat+ink", "blend": 0.25, "agent": agent, "video": False}
    for method in ("agent", "optimize"):
        repaint(Config((source,), str(tmp_path), method=method, strokes=6, size=32, steps=5, **options))
        strokes = Painting.load(tmp_path / "face" / "strokes.safetensors").strokes
        assert (strokes[:, -1] == 0.25).all()


def test_same_seed_same_painting(tmp_path, agent):
    source = picture(tmp_path / "face.png")
    for out in ("a", "b"):
        repaint(
            Config(
                (source,), str(tmp_path / out), method="hybrid", strokes=10, size=32, steps=5, agent=agent, video=False
            )
        )
    first, second = (Painting.load(tmp_path / out / "face" / "strokes.safetensors").strokes for out in ("a", "b"))
    assert torch.equal(first, second)


def test_a_time_budget_is_kept(tmp_path, agent):
    source = picture(tmp_path / "face.png")
    repaint(Config((source,), str(tmp_path / "out"), method="optimize", strokes=20, seconds=1.0, size=32, video=False))
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

    # Another run with other options keeps the earlier rows and folders, and adds its own.
    repaint(Config((inputs[1],), str(out), strokes=5, size=24, agent=agent, video=False))
    assert [(row["folder"], row["strokes"]) for row in rows(out)] == [
        ("face", "3"),
        ("face-2", "3"),
        ("00000001", "3"),
        ("face-3", "5"),
    ]
    assert len(Painting.load(out / "face-2" / "strokes.safetensors").strokes) == 3


def test_videos_are_as_long_as_asked_for(tmp_path, agent):
    source = picture(tmp_path / "face.png")
    options = {"strokes": 3, "size": 16, "agent": agent, "video_size": 32, "output_size": 16}
    out = tmp_path / "out"
    repaint(Config((source,), str(out), video_seconds=3, fps=60, pace="even", contact_sheet=False, **options))
    folder = out / "face"
    with av.open(str(folder / "painting.mp4")) as container:
        assert (container.streams.video[0].frames, container.streams.video[0].average_rate) == (180, 60)
    with Image.open(folder / "painting.gif") as image:
        durations = []
        for i in range(image.n_frames):
            image.seek(i)
            durations.append(image.info["duration"])
    assert sum(durations) == 3000
    for wrong in ({"video_seconds": 0.0}, {"fps": 1e9}, {"pace": "fast"}):
        with pytest.raises(InputError, match=r"^[^\n]+\.$"):
            repaint(Config((source,), str(out), **options, **wrong))


def test_one_input_and_one_configuration_make_one_folder(tmp_path, agent, capsys):
    for folder, seed in (("a", 0), ("b", 1)):
        (tmp_path / folder).mkdir()
        picture(tmp_path / folder / "face.png", seed=seed)
    out, options = tmp_path / "out", {"strokes": 3, "size": 24, "agent": agent}
    first, second = (str(tmp_path / folder / "face.png") for folder in "ab")
    repaint(Config((first,), str(out), video_size=32, **options))
    before = {file.name: file.read_bytes() for file in (out / "face").iterdir()}
    repaint(Config((second,), str(out), video=False, **options))  # another picture of the same name
    repaint(Config((first,), str(out), renderer="ink", video=False, **options))
    assert {file.name: file.read_bytes() for file in (out / "face").iterdir()} == before
    assert "painting.mp4" in before
    assert {file.name for file in (out / "face-2").iterdir()} == FILES - {"painting.mp4", "painting.gif"}
    table = [(row["folder"], row["input"], row["renderer"], row["size"], row["seed"]) for row in rows(out)]
    assert table == [
        ("face", first, "bezier", "24", "0"),
        ("face-2", second, "bezier", "24", "0"),
        ("face-3", first, "ink", "24", "0"),
    ]
    # What is finished is skipped, unless --again; without its videos it is not finished.
    capsys.readouterr()
    repaint(Config((second,), str(out), video=False, **options))
    assert "painted already" in capsys.readouterr().out
    repaint(Config((second,), str(out), video_size=32, **options))
    assert {file.name for file in (out / "face-2").iterdir()} == FILES
    repaint(Config((second,), str(out), video=False, again=True, **options))
    assert {file.name for file in (out / "face-2").iterdir()} == FILES - {"painting.mp4", "painting.gif"}
    assert len(rows(out)) == 3


def test_a_painting_names_nothing_of_this_machine(tmp_path, agent):
    picture(tmp_path / "face.png")
    files = []
    for out in ("one", "two"):
        repaint(
            Config((str(tmp_path / "face.png"),), str(tmp_path / out), strokes=3, size=24, agent=agent, video=False)
        )
        files.append((tmp_path / out / "face" / "strokes.safetensors").read_bytes())
    assert files[0] == files[1]
    assert str(tmp_path).encode() not in files[0]


def test_the_painting_is_saved_before_it_is_measured(tmp_path, agent, monkeypatch):
    source = picture(tmp_path / "face.png")
    monkeypatch.setattr(outputs, "compute_metrics", lambda *_: pytest.fail("as if memory ran out"))
    with pytest.raises(pytest.fail.Exception):
        repaint(Config((source,), str(tmp_path / "out"), strokes=3, size=24, agent=agent, video=False))
    assert (tmp_path / "out" / "face" / "painting.png").is_file()


def test_runs_at_once_lose_no_row(tmp_path):
    """Four processes, copies of one that has imported what they need, write rows into one table."""
    code = """
import os, sys
from pathlib import Path
from experiments.results import MetricsTable
children = []
for n in range(4):
    children.append(os.fork())
    if children[-1] == 0:
        table = MetricsTable(Path(sys.argv[1]), ("input", "folder"))
        for i in range(15):
            table.put({"input": "a", "folder": f"{n}-{i}"})
        os._exit(0)
sys.exit(any(os.waitpid(child, 0)[1] for child in children))
"""
    subprocess.run([sys.executable, "-c", code, tmp_path / "metrics.csv"], cwd=ROOT, timeout=120, check=True)
    assert len({row["folder"] for row in rows(tmp_path)}) == 60


def test_names_of_many_letters(tmp_path, agent):
    """Of a folder with a number there may be 255 bytes; Japanese letters have three each."""
    for letters in ("a" * 251, "顔" * 83):
        source = picture(tmp_path / f"{letters}.png", seed=len(letters))
        out = tmp_path / letters[:3]
        for strokes in (2, 3):
            repaint(Config((source,), str(out), strokes=strokes, size=24, agent=agent, video=False))
        first, second = sorted(out.glob("*/"))
        assert first.name.startswith(letters[:60])
        assert second.name == f"{first.name}-2"
        assert [row["folder"] for row in rows(out)] == [first.name, second.name]


def test_a_checkpoint_with_other_weights_makes_another_folder(tmp_path, agent):
    source, mine = picture(tmp_path / "face.png"), tmp_path / "tiny.safetensors"
    for seed in (0, 1):
        torch.manual_seed(seed)
        settings = {"width": 16, "blocks": 1, "each": 2}
        Checkpoint("policy", settings, Policy(**settings).state_dict(), BEZIER).save(mine)
        repaint(Config((source,), str(tmp_path / "out"), strokes=3, size=24, agent=str(mine), video=False))
    assert [row["folder"] for row in rows(tmp_path / "out")] == ["face", "face-2"]


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
        (["--renderer", "exact"], "not differentiable"),
        (["--renderer", "mypaint:ink+mypaint:flat"], "not differentiable"),
        (["--background", "red"], "one colour"),
        (["--background", "#102030,#ffffff"], "one colour"),
        (["--blend", "2"], "not 2"),
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


def test_what_is_skipped_of_a_folder_is_said(tmp_path, agent, monkeypatch, capsys):
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "notes.txt").write_text("no image")
    options = (folder, "--out", tmp_path / "out", "--agent", agent, "--strokes", 2, "--size", 16, "--no-video")
    code, said = command(monkeypatch, capsys, *options)
    assert code == 2
    assert f"holds no images that can be read: 1 file of {folder} was skipped: notes.txt (no image)." in said
    Path(picture(tmp_path / "face.jpg")).rename(folder / "face.jfif")
    code, said = command(monkeypatch, capsys, *options)
    assert code == 0
    assert f"1 file of {folder} was skipped: notes.txt (no image).\n" in said
    assert [Path(row["input"]).name for row in rows(tmp_path / "out")] == ["face.jfif"]


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
    repaint(
        Config(
            (source,), str(tmp_path / "out"), method="hybrid", strokes=4, size=20, steps=3, agent=agent, output_size=20
        )
    )
    with Image.open(tmp_path / "out" / "face" / "painting.png") as image:
        assert max(image.size) == 20
    assert rows(tmp_path / "out")[0]["strokes"] == "4"


def test_equal_pictures_measure_as_equal():
    same = torch.rand(3, 16, 16)
    assert compute_metrics(same, same, Perceptual()) == Metrics(0.0, float("inf"), pytest.approx(1.0), 0.0)


@pytest.mark.slow
def test_ctrl_c_keeps_what_is_finished(tmp_path, agent):
    folder, out = tmp_path / "faces", tmp_path / "out"
    folder.mkdir()
    for i in range(40):
        picture(folder / f"{i:02d}.png", seed=i)
    options = ["--out", str(out), "--agent", agent, "--strokes", "20", "--size", "32", "--video-size", "32"]
    options += ["--output-size", "32"]
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


def test_the_command_line_from_outside(tmp_path, agent, monkeypatch, capsys):
    source, out = picture(tmp_path / "face.png"), tmp_path / "out"
    base = [sys.executable, "-m", "experiments.repaint"]
    options = ["--out", str(out), "--agent", agent, "--strokes", "3", "--size", "16", "--no-video", "--device", "cpu"]
    done = subprocess.run([*base, source, *options], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert str(out) in done.stdout.splitlines()[-1]
    assert (out / "face" / "painting.svg").exists()
    code, said = command(monkeypatch, capsys, source)
    assert code == 2
    assert "--out" in said


def test_every_kind_of_picture(tmp_path, agent):
    """What pictures are made of does not show in their names; what is seen is painted, whole and the right way up."""
    folder, out = tmp_path / "kinds", tmp_path / "out"
    folder.mkdir()
    pixels = np.asarray(Image.open(picture(tmp_path / "face.png")))
    colour = Image.fromarray(pixels)
    turned = Image.Exif()
    turned[0x0112] = 6
    colour.convert("L").save(folder / "grey.png")
    colour.convert("P").save(folder / "palette.gif")
    colour.convert("RGBA").save(folder / "alpha.png")
    colour.convert("CMYK").save(folder / "cmyk.jpg", quality=95)
    colour.save(folder / "turned.jpg", quality=95, exif=turned)
    cv2.imwrite(str(folder / "deep.png"), np.ascontiguousarray(pixels[:, :, ::-1]).astype(np.uint16) * 257)
    Image.new("RGB", (1, 1), "red").save(folder / "one.png")
    Image.new("RGB", (20_000, 100), "blue").save(folder / "wide.png")
    repaint(Config((str(folder),), str(out), strokes=2, size=24, agent=agent, output_size=24, video=False))

    errors = {Path(row["input"]).stem: float(row["mse"]) for row in rows(out)}
    shown = {name: np.asarray(Image.open(out / name / "painting.png")) / 255 for name in errors}
    others = {"one": (24, 24, 3), "wide": (1, 24, 3), "turned": (24, 16, 3)}
    usual = dict.fromkeys(("grey", "palette", "alpha", "cmyk", "deep"), (16, 24, 3))
    assert {name: pixels.shape for name, pixels in shown.items()} == usual | others
    straight = cv2.resize(pixels, (24, 16), interpolation=cv2.INTER_AREA) / 255
    targets = {"deep": straight, "alpha": straight, "turned": np.rot90(straight, -1), "wide": np.array([0.0, 0.0, 1.0])}
    for name, target in targets.items():
        assert errors[name] == pytest.approx(((shown[name] - target) ** 2).mean(), abs=2e-3), name


def test_a_picture_is_painted_once(tmp_path, agent, monkeypatch):
    source, out = picture(tmp_path / "face.png"), tmp_path / "out"
    (tmp_path / "link.png").symlink_to(source)
    monkeypatch.chdir(tmp_path)
    inputs = (source, "face.png", str(tmp_path), source)
    repaint(Config(inputs, str(out), strokes=2, size=16, agent=agent, video=False))
    assert [row["input"] for row in rows(out)] == [source]
    assert {path.name for path in out.iterdir()} == {"face", "metrics.csv", "contact_sheet.png"}


@pytest.mark.parametrize(
    ("name", "folder"), [("..png", "picture"), ("...png", "picture"), ("metrics.csv.png", "metrics.csv-2")]
)
def test_results_stay_in_their_folder(tmp_path, agent, name, folder):
    """A picture called `...png` would name the folder above, and `metrics.csv.png` the table."""
    source, out = picture(tmp_path / "face.png"), tmp_path / "out"
    (tmp_path / "in").mkdir()
    odd = Path(source).rename(tmp_path / "in" / name)
    repaint(Config((str(odd),), str(out), strokes=2, size=16, agent=agent, video=False))
    assert {path.name for path in tmp_path.iterdir()} == {"in", "out"}
    assert {path.name for path in out.iterdir()} == {folder, "metrics.csv", "contact_sheet.png"}


def test_names_need_not_be_text(tmp_path, agent, monkeypatch, capsys):
    """Old archives hold names in Shift-JIS, which are not UTF-8."""
    picture(tmp_path / "face.png")
    odd, out = os.fsdecode(os.fsencode(tmp_path) + b"/\x8a\xe7.png"), tmp_path / "out"
    (tmp_path / "face.png").rename(odd)
    options = ("--agent", agent, "--strokes", 2, "--size", 16, "--video-size", 16)
    for _ in range(2):  # the table is read, too
        code, said = command(monkeypatch, capsys, odd, "--out", out, *options)
        assert code == 0, said
    with (out / "metrics.csv").open(encoding="utf-8", errors="surrogateescape") as file:
        assert [row["input"] for row in csv.DictReader(file)] == [odd]
    assert {file.name for file in (out / Path(odd).stem).iterdir()} == FILES


@pytest.mark.parametrize(
    "content",
    [
        None,  # a folder
        b"",
        b"\xff\xfe\0\0",
        f"{','.join(COLUMNS)}\n{','.join('123456789')}\n".encode(),
        f"{','.join(COLUMNS)}\n1,2,3\n".encode(),
    ],
)
def test_what_is_no_table_is_left_alone(tmp_path, agent, monkeypatch, capsys, content):
    source, table = picture(tmp_path / "face.png"), tmp_path / "out" / "metrics.csv"
    table.parent.mkdir()
    table.mkdir() if content is None else table.write_bytes(content)
    code, said = command(monkeypatch, capsys, source, "--out", table.parent, "--agent", agent)
    assert code == 2
    assert "metrics.csv" in said.strip().splitlines()[-1]
    assert table.is_dir() if content is None else table.read_bytes() == content
    assert [path.name for path in table.parent.iterdir()] == ["metrics.csv"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--seed", "-1"], "--seed"),
        (["--seed", str(2**70)], "--seed"),
        (["--steps", "0"], "--steps"),
        (["--video-size", "0"], "--video-size"),
        (["--output-size", "0"], "--output-size"),
        (["--output-size", "16385"], "--output-size"),
        (["--seconds", "inf"], "--seconds"),
        (["--batch", "0"], "--batch"),
        (["--batch", "many"], "auto"),
        (["--strokes", "100001"], "100,000"),
        (["--device", "meta"], "auto or cpu"),
        (["--device", "hpu"], "auto or cpu"),
        (["--device", ""], "auto or cpu"),
        (["--agent", "a" * 300], "no checkpoint"),
        (["--renderer", "agent"], "not a learned brush"),
        (["--out", "a" * 300], "name too long"),
        (["--strokes", "many"], "many"),
        (["--colour", "red"], "--colour"),
        (["--palette", "red"], "six digits"),
        (["--palette", "0"], "one colour"),
        (["--palette", ""], "six digits"),
        (["--min-radius", "0.3"], "largest is 0.25"),
        (["--min-radius", "0.1", "--max-radius", "0.05"], "short side"),
        (["--max-radius", "nan"], "short side"),
    ],
)
def test_more_bad_options(tmp_path, monkeypatch, capsys, options, words):
    source = picture(tmp_path / "face.png")
    monkeypatch.chdir(tmp_path)
    code, said = command(monkeypatch, capsys, source, "--out", "out", *options)
    assert code == 2
    assert words in said
    assert "Traceback" not in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["no-such.png", "a" * 300 + ".png", "\n.png"])
def test_pictures_that_are_not_there_are_found_before_the_work(tmp_path, monkeypatch, capsys, name):
    source = picture(tmp_path / "face.png")
    code, said = command(monkeypatch, capsys, source, tmp_path / name, "--out", tmp_path / "out")
    assert code == 2
    assert "error: There is no image or folder" in said
    assert "Traceback" not in said
    assert not (tmp_path / "out").exists()


def test_a_place_that_cannot_be_written_is_found_before_the_work(tmp_path, agent, monkeypatch, capsys):
    monkeypatch.setattr(script, "paint_in_batches", lambda *_, **__: pytest.fail("it began to paint"))
    source, blocked = picture(tmp_path / "face.png"), tmp_path / "file"
    blocked.write_text("in the way")
    for out in (blocked, blocked / "out"):
        code, said = command(monkeypatch, capsys, source, "--out", out, "--agent", agent)
        assert code == 2
        assert said.strip().splitlines()[-1].startswith("error: Cannot write")
    assert blocked.read_text() == "in the way"


def test_ctrl_c_between_pictures(tmp_path, agent, monkeypatch, capsys):
    sources, out = [picture(tmp_path / f"{name}.png") for name in "ab"], tmp_path / "out"
    paint = Painter.paint_batch

    def stop(painter, images, **options):
        if options["provenance"][0]["input"] == "b.png":
            raise KeyboardInterrupt
        return paint(painter, images, **options)

    monkeypatch.setattr(Painter, "paint_batch", stop)
    options = ("--agent", agent, "--strokes", 2, "--size", 16, "--no-video", "--batch", 1)
    code, said = command(monkeypatch, capsys, *sources, "--out", out, *options)
    assert code == 130
    assert said.strip().splitlines()[-1] == "Stopped; everything finished so far is kept."
    assert [row["input"] for row in rows(out)] == sources[:1]
    assert {path.name for path in out.iterdir()} == {"a", "metrics.csv"}


def test_kaokore_without_a_network(tmp_path, agent, monkeypatch, capsys):
    """Port 9 answers nobody, at once."""
    root = write_fake_kaokore(tmp_path / "kaokore", n=4, base_url="http://127.0.0.1:9")
    (root / "images_256" / "00000001.jpg").unlink()
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr("experiments.cli.fetch_image", partial(fetch_image, retry=RetryPolicy(0, 0.0, 0.3)))
    options = ("--root", root, "--agent", agent, "--strokes", 2, "--size", 16, "--no-video")
    code, said = command(monkeypatch, capsys, "kaokore:1", "--out", tmp_path / "out", *options)
    assert code == 2
    assert "could not be downloaded" in said.strip().splitlines()[-1]
    assert not (tmp_path / "out").exists()
    code, _ = command(monkeypatch, capsys, "kaokore:2", "kaokore:00000002.jpg", "--out", tmp_path / "out", *options)
    assert code == 0
    assert [row["input"] for row in rows(tmp_path / "out")] == ["kaokore:2"]


def test_replay_is_the_painting(tmp_path, agent):
    """The picture is that of the strokes, bit for bit, and the vectors are one outline a stroke."""
    source, out = picture(tmp_path / "face.png"), tmp_path / "out"
    repaint(Config((source,), str(out), strokes=9, size=40, agent=agent, output_size=40, video=False))
    replay.replay(replay.Config(str(out / "face" / "strokes.safetensors"), str(tmp_path / "again.png"), size=40))
    assert (tmp_path / "again.png").read_bytes() == (out / "face" / "painting.png").read_bytes()
    assert (out / "face" / "painting.svg").read_text().count("<path") == 9


def test_help_says_what_options_mean(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["repaint.py", "--help"])
    with pytest.raises(SystemExit) as stopped:
        cli.run(repaint, Config, script.__doc__)
    assert stopped.value.code == 0
    said = " ".join(capsys.readouterr().out.split())
    for words in ("--no-video", "How many strokes, exactly.", "Pixels on the long side while painting.", "kaokore:42"):
        assert words in said


def test_opaque_with_a_translucent_brush_warns(tmp_path, capsys):
    source = picture(tmp_path / "a.png")
    for renderer, warned in (("flat", True), ("liner", False)):
        repaint(
            Config(
                (source,),
                str(tmp_path / renderer),
                method="optimize",
                steps=2,
                renderer=renderer,
                opaque=True,
                strokes=2,
                size=32,
                video=False,
            )
        )
        assert ("warning: marks of flat cover" in capsys.readouterr().err) is warned
