import json
import sys
from dataclasses import replace
from pathlib import Path

import av
import pytest
from PIL import Image

from experiments import clip
from experiments.cli import run
from experiments.clip import Config, repaint_clip
from experiments.figures import clip_sheet as figure
from experiments.repaint import Config as RepaintConfig
from experiments.repaint import repaint
from painter import Painter
from painter.api import default_size
from renderer.errors import InputError
from renderer.io.clip_file import PaintedClip
from renderer.io.images import fit, read_image, to_bytes
from renderer.io.video import encode_mp4

FILES = {"painting.mp4", "frames.safetensors", "first.png", "last.png"}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("clip") / "ball.mp4"
    picture = fit(read_image("docs/images/hikime.png", 48), 48)
    encode_mp4((to_bytes(frame) for frame in figure.draw_clip(picture, 6)), path, 24)
    return str(path)


def config(source: str, out: Path, **options) -> Config:
    return Config(source, str(out), **{"strokes": 6, "size": 24, "frame_steps": 2, "video_size": 33, **options})


def test_a_clip_becomes_a_folder(source: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    repaint_clip(config(source, tmp_path))
    out, err = capsys.readouterr()
    assert "ball: 6 frames of 6 strokes, 0 scene cuts, mean mse 0.0" in out
    assert err == ""
    folder = tmp_path / "ball"
    assert {path.name for path in folder.iterdir()} == FILES
    with av.open(str(folder / "painting.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height, stream.average_rate) == (34, 34, 24)
        assert sum(1 for _ in container.decode(stream)) == 6
    painted = PaintedClip.load(folder / "frames.safetensors")
    assert (tuple(painted.strokes.shape), painted.fps) == ((6, 6, 13), 24)
    assert {"input", "fingerprint", "strokes", "frame_steps"} <= set(painted.provenance)
    for name, index in (("first", 0), ("last", 5)):
        with Image.open(folder / f"{name}.png") as image:
            assert image.tobytes() == to_bytes(painted.frame(index).render(33)).tobytes()

    repaint_clip(config(source, tmp_path))
    assert "painted already" in capsys.readouterr().out
    repaint_clip(config(source, tmp_path, frames=2, start_frame=1, every=2))
    assert len(PaintedClip.load(tmp_path / "ball-2" / "frames.safetensors")) == 2
    with av.open(str(tmp_path / "ball-2" / "painting.mp4")) as container:
        assert container.streams.video[0].average_rate == 12
    assert {path.name for path in tmp_path.iterdir()} == {"ball", "ball-2"}


def test_an_interruption_keeps_the_frames_so_far(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    paint_clip = Painter.paint_clip

    def stop(*args, **options):
        for i, frame in enumerate(paint_clip(*args, **options)):
            if i == 3:
                raise KeyboardInterrupt
            yield frame

    with monkeypatch.context() as patch:
        patch.setattr(Painter, "paint_clip", stop)
        with pytest.raises(KeyboardInterrupt):
            repaint_clip(config(source, tmp_path))
    assert {path.name for path in (tmp_path / "ball").iterdir()} == FILES
    assert len(PaintedClip.load(tmp_path / "ball" / "frames.safetensors")) == 3
    repaint_clip(config(source, tmp_path))  # is not finished, so that it is painted again
    assert len(PaintedClip.load(tmp_path / "ball" / "frames.safetensors")) == 6


@pytest.mark.parametrize(
    "options",
    [
        {"frames": 0},
        {"start_frame": -1},
        {"start_frame": 6},
        {"every": 0},
        {"frame_steps": 0},
        {"cut": -1.0},
        {"video_size": 0},
        {"video_size": 5000},
        {"input": "none.mp4"},
        {"input": __file__},
        {"strokes": 0},
    ],
)
def test_mistakes_are_one_line(source: str, tmp_path: Path, options: dict) -> None:
    with pytest.raises(InputError, match=r"^[^\n]+\.$"):
        repaint_clip(replace(config(source, tmp_path), **options))
    assert not list(tmp_path.iterdir())


def test_too_many_strokes(source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clip, "MAX_BYTES", 1000)
    with pytest.raises(InputError, match="--every"):
        repaint_clip(config(source, tmp_path))


def test_command_line(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--out", str(tmp_path), "--strokes", "3", "--frames", "2", "--frame-steps", "1"]
    monkeypatch.setattr(sys, "argv", ["clip", source, *options])
    run(repaint_clip, Config)
    clip = PaintedClip.load(tmp_path / "ball" / "frames.safetensors")
    assert (tuple(clip.strokes.shape), clip.first.width) == ((2, 3, 13), default_size(3))


def test_repaint_takes_clips(source: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = {"strokes": 4, "size": 16, "video_size": 16}
    repaint(RepaintConfig((source,), str(tmp_path), **options))
    assert len(PaintedClip.load(tmp_path / "ball" / "frames.safetensors")) == 6
    capsys.readouterr()
    for again, status in ((True, "painted"), (False, "painted already")):
        repaint(RepaintConfig((source,), str(tmp_path), json=True, again=again, **options))
        said = json.loads(capsys.readouterr().out)
        assert (said["input"], said["status"], said["folder"]) == (source, status, str(tmp_path / "ball"))
    with pytest.raises(InputError, match=r"^[^\n]*clips and images[^\n]*\.$"):
        repaint(RepaintConfig((source, "docs/images/hikime.png"), str(tmp_path), **options))
    with pytest.raises(InputError, match=r"^[^\n]*--seconds[^\n]*\.$"):
        repaint(RepaintConfig((source,), str(tmp_path), seconds=1.0, **options))


def test_figure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, made = tmp_path / "sheet.png", tmp_path / "clip.mp4"
    figure.compare(figure.Config(out=str(out), clip=str(made), frames=2, size=24, strokes=4, steps=1))
    with Image.open(out) as image:
        assert image.width > 3 * 24
        assert image.height > 2 * 24
    assert made.is_file()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines[:2]] == ["persistent", "alone"]
