import sys
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image

from experiments.cli import run
from experiments.replay import Config, replay
from renderer.brush import load_brush
from renderer.brushes import mypaint
from renderer.brushes.mypaint import MYPAINT, MyPaint
from renderer.canvas import blank, paint_steps
from renderer.errors import InputError
from renderer.io.images import to_bytes
from renderer.io.painting import PACES, Painting, _mark_areas, schedule
from renderer.io.svg import to_svg
from renderer.material import surface
from renderer.material.finish import Finish
from renderer.strokes import BEZIER
from tests.renderer.brushes.test_mypaint import engine


@pytest.fixture(scope="module")
def strokes(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("painting") / "strokes.safetensors"
    Painting(BEZIER.sample(5, torch.Generator().manual_seed(0)), BEZIER, 24, 32).save(path)
    return str(path)


@pytest.mark.parametrize("suffix", ["png", "PNG", "mp4", "gif", "svg"])
def test_every_suffix(tmp_path: Path, strokes: str, suffix: str, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "new" / f"a.{suffix}"
    assert replay(Config(strokes, str(out), size=64)) == out
    assert [path.name for path in out.parent.iterdir()] == [out.name]
    assert capsys.readouterr().out == f"Wrote {out}: 5 strokes, 64x48 pixels.\n"
    match suffix.lower():
        case "svg":
            assert 'width="64" height="48" viewBox="0 0 32 24"' in out.read_text()
        case "mp4":
            with av.open(str(out)) as container:
                assert (container.streams.video[0].width, container.streams.video[0].height) == (64, 48)
        case _:
            with Image.open(out) as image:
                assert image.size == (64, 48)


@pytest.mark.parametrize(("seconds", "fps", "frames"), [(3.0, 24, 72), (0.5, 10, 5), (1.5, 29.97, 45), (12.0, 5, 60)])
def test_a_video_is_as_long_as_asked_for(tmp_path: Path, strokes: str, seconds: float, fps: float, frames: int) -> None:
    out = str(tmp_path / "a.mp4")
    replay(Config(strokes, out, size=64, video_seconds=seconds, fps=fps))
    with av.open(out) as container:
        stream = container.streams.video[0]
        assert float(stream.average_rate) == pytest.approx(fps, rel=1e-5)
        assert stream.frames == frames == sum(1 for _ in container.decode(stream))
        assert container.duration == pytest.approx(1e6 * frames / fps, abs=1e3)
        assert abs(container.duration / 1e6 - seconds) <= 0.5 / fps + 1e-3


@pytest.mark.parametrize(("seconds", "fps"), [(3.0, None), (0.5, 20.0), (7.31, 12.5), (1.0, 50.0)])
def test_a_gif_is_as_long_as_asked_for(tmp_path: Path, strokes: str, seconds: float, fps: float | None) -> None:
    out = replay(Config(strokes, str(tmp_path / "a.gif"), size=64, video_seconds=seconds, fps=fps))
    with Image.open(out) as image:
        durations = []
        for i in range(image.n_frames):
            image.seek(i)
            durations.append(image.info["duration"])
    assert sum(durations) == pytest.approx(1000 * seconds)
    assert min(durations) >= 20


def test_the_pace_says_when_strokes_appear(tmp_path: Path) -> None:
    """One large stroke and then 15 small ones: by area, the small ones come late."""
    values = BEZIER.default_strokes(16)
    values = BEZIER.put(values, "radius", torch.full((16, 2), 0.02))
    values[0] = BEZIER.put(values[:1], "radius", torch.ones(1, 2))
    values = BEZIER.put(values, "start", torch.rand(16, 2, generator=torch.Generator().manual_seed(0)))
    painting = Painting(values, BEZIER, 64, 64)
    brush = painting.default_brush()
    shown = {pace: schedule(16, 9, pace, _mark_areas(painting, brush)) for pace in PACES}
    assert shown["even"] == [0, 2, 4, 6, 8, 10, 12, 14, 16]
    assert shown["ease"][4] == 4
    assert shown["by-area"][4] <= 2
    assert all(frames[0] == 0 and frames[-1] == 16 and sorted(frames) == frames for frames in shown.values())
    for pace in PACES:
        painting.export(tmp_path / f"{pace}.mp4", size=32, seconds=1, fps=10, pace=pace)
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 3


def test_progress_of_encoding(tmp_path: Path, strokes: str, capsys: pytest.CaptureFixture[str]) -> None:
    calls = []
    painting = Painting.load(strokes)
    for name in ("a.mp4", "a.gif"):
        painting.export(tmp_path / name, size=32, seconds=2, fps=10, on_frame=lambda *call: calls.append(call))
        assert [done for done, _ in calls] == list(range(1, calls[0][1] + 1))
        calls.clear()
    replay(Config(strokes, str(tmp_path / "b.mp4"), size=32))
    assert capsys.readouterr().err == ""  # quiet when not on a terminal


def test_odd_sides_are_reported_as_written(tmp_path: Path, strokes: str, capsys: pytest.CaptureFixture[str]) -> None:
    out = replay(Config(strokes, str(tmp_path / "a.mp4"), size=50))
    with av.open(str(out)) as container:
        stream = container.streams.video[0]
        assert f"{stream.width}x{stream.height} pixels" in capsys.readouterr().out
        assert (stream.width, stream.height) == (50, 38)


def test_the_picture_is_the_painting_s(tmp_path: Path, strokes: str) -> None:
    painting = Painting.load(strokes)
    for name in ("exact", "bezier"):
        out = replay(Config(strokes, str(tmp_path / f"{name}.png"), 40, name))
        renderer = None if name == "exact" else load_brush(name)
        with Image.open(out) as image:
            np.testing.assert_array_equal(np.asarray(image), to_bytes(painting.render(40, renderer)))
    assert (tmp_path / "exact.png").read_bytes() != (tmp_path / "bezier.png").read_bytes()


@pytest.fixture(scope="module")
def ink(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A painting by the learned ink brush."""
    path = tmp_path_factory.mktemp("ink") / "strokes.safetensors"
    strokes = MYPAINT.sample(5, torch.Generator().manual_seed(0))
    Painting(strokes, MYPAINT, 24, 32, provenance=load_brush("ink").provenance()).save(path)
    return str(path)


@engine
def test_strokes_of_mypaint_are_drawn_by_its_engine(tmp_path: Path, ink: str) -> None:
    out = replay(Config(ink, str(tmp_path / "a.png"), 48))
    strokes = Painting.load(ink).strokes
    *_, canvas = paint_steps(blank((36, 48)), strokes, MyPaint("ink"))
    with Image.open(out) as image:
        np.testing.assert_array_equal(np.asarray(image), to_bytes(canvas))
    for name in ("b.mp4", "c.gif"):
        assert replay(Config(ink, str(tmp_path / name), 48)).is_file()


def test_without_the_engine_the_learned_brush_is_named(
    tmp_path: Path, ink: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load() -> None:
        raise InputError("The brush engine is not installed; run `make brushes` first.")

    monkeypatch.setattr(mypaint, "load", load)
    for name in ("a.png", "a.svg"):
        with pytest.raises(InputError, match=r"make brushes.*--renderer ink\.$"):
            replay(Config(ink, str(tmp_path / name)))
    out = replay(Config(ink, str(tmp_path / "a.png"), 40, "ink"))
    with Image.open(out) as image:
        learned = Painting.load(ink).render(40, load_brush("ink"))
        np.testing.assert_array_equal(np.asarray(image), to_bytes(learned))


def test_vectors_are_traced_from_the_learned_brush(tmp_path: Path, ink: str) -> None:
    out = replay(Config(ink, str(tmp_path / "a.svg"), 48, "ink"))
    assert out.read_text() == to_svg(Painting.load(ink), 48, load_brush("ink"))
    assert out.read_text().count('<g id="stroke-') == 5


def test_strokes_of_mypaint_are_not_bezier_s(tmp_path: Path, ink: str) -> None:
    for out in ("a.svg", "a.png"):
        with pytest.raises(InputError, match="mypaint"):
            replay(Config(ink, str(tmp_path / out), renderer="bezier"))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "options",
    [
        {"out": "a.bmp"},
        {"out": "a"},
        {"size": 0},
        {"size": -5},
        {"size": 16_385},
        {"out": "a.mp4", "size": 5000},
        {"out": "a.gif", "size": 5000},
        {"renderer": "nobody"},
        {"out": "a.mp4", "video_seconds": 0},
        {"out": "a.mp4", "video_seconds": float("nan")},
        {"out": "a.mp4", "video_seconds": 1e9},
        {"out": "a.mp4", "video_seconds": 0.01},
        {"out": "a.mp4", "fps": 0},
        {"out": "a.gif", "fps": 60},
        {"out": "a.mp4", "pace": "fast"},
        {"out": "a.png", "video_seconds": 5},
        {"strokes": "missing.safetensors"},
        {"strokes": __file__},
    ],
)
def test_impossible_options_are_one_sentence(tmp_path: Path, strokes: str, options: dict) -> None:
    options = {"strokes": strokes, "out": "a.png", **options}
    options["out"] = str(tmp_path / options["out"])
    with pytest.raises(InputError, match=r"^[^\n]+\.$"):
        replay(Config(**options))
    assert not list(tmp_path.iterdir())


def test_command_line(
    tmp_path: Path, strokes: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "a.png"
    monkeypatch.setattr(sys, "argv", ["replay", strokes, "--size", "16", "--out", str(out)])
    run(replay, Config)
    assert out.is_file()
    monkeypatch.setattr(sys, "argv", ["replay", str(tmp_path / "none"), "--out", str(out)])
    with pytest.raises(SystemExit) as stopped:
        run(replay, Config)
    assert stopped.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_material(tmp_path: Path, strokes: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(surface, "LEAST_SHORT", 48)
    plain, oil, recorded, bare = (str(tmp_path / f"{name}.png") for name in ("plain", "oil", "recorded", "bare"))
    replay(Config(strokes, plain, size=64))
    replay(Config(strokes, oil, size=64, material="oil", paper="washi", relief=1.0))
    finished = str(tmp_path / "oil.safetensors")
    Painting.load(strokes).with_finish(Finish("oil", "washi", relief=1.0)).save(finished)
    replay(Config(finished, recorded, size=64))
    replay(Config(finished, bare, size=64, material="none"))
    assert Path(oil).read_bytes() == Path(recorded).read_bytes() != Path(plain).read_bytes()
    assert Path(bare).read_bytes() == Path(plain).read_bytes()
    lit = str(tmp_path / "lit.png")
    replay(Config(finished, lit, size=64, light=0.0))
    assert Path(lit).read_bytes() != Path(oil).read_bytes(), "the rest is as recorded"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"material": "mud"}, "There is no material 'mud'; choose one of none, oil"),
        ({"paper": "vellum"}, "There is no paper vellum; choose one of none, rough"),
        ({"ground": "#ffffff"}, "There is no ground '#ffffff'; choose gold"),
        ({"relief": 1.5}, "Relief is a number from 0 to 1, not 1.5"),
        ({"material": "oil", "out": "a.svg"}, "are drawn in .png"),
    ],
)
def test_wrong_materials(strokes: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        replay(Config(strokes, **{"out": "a.png", **options}))  # type: ignore[arg-type]
