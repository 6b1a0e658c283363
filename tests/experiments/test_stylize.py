"""stylize and visualize: the files they write, and invalid input."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from experiments import cli
from experiments import stylize as stylize_script
from experiments import visualize as visualize_script
from experiments.stylize import Config as Stylize
from experiments.stylize import stylize
from experiments.visualize import Config as Visualize
from experiments.visualize import find_class, imagenet_classes, imagenet_network, visualize
from painter.losses.activation import ViewConfig
from renderer.io.painting import Painting

FILES = {"painting.png", "painting.mp4", "painting.gif", "strokes.safetensors"}
STILL = ViewConfig(views=1, side=64)


def picture(path, seed=0, side=40):
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), np.uint8)
    Image.fromarray(cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)).save(path)
    return str(path)


def shown(out):
    """The only painting in `out`."""
    (folder,) = out.iterdir()
    return torch.from_numpy(np.asarray(Image.open(folder / "painting.png")).copy()).float() / 255


def command(monkeypatch, capsys, script, function, config, *arguments):
    """The exit code and the text on stderr, as from the command line."""
    monkeypatch.setattr(sys, "argv", [script.__name__, *map(str, arguments)])
    try:
        cli.run(function, config, script.__doc__)
        code = 0
    except SystemExit as stop:
        code = stop.code
    return code, capsys.readouterr().err


def test_content_alone(tmp_path, capsys):
    source, out = picture(tmp_path / "face.png"), tmp_path / "out"
    stylize(
        Stylize(
            source,
            str(out),
            "bezier",
            strokes=12,
            steps=80,
            size=32,
            content=("relu1_2",),
            pixels=1,
            output_size=32,
            video_size=48,
            stage_shares=(1, 3),
        )
    )
    assert {file.name for file in (out / "face").iterdir()} >= FILES
    painting = Painting.load(out / "face" / "strokes.safetensors")
    assert len(painting.strokes) == 12
    assert painting.provenance["content"] == ["relu1_2"]
    assert "perceptual distance" in capsys.readouterr().out
    target = torch.from_numpy(cv2.resize(np.asarray(Image.open(source)), (32, 32), interpolation=cv2.INTER_AREA)) / 255
    error = (shown(out) - target).square().mean()
    assert error < (1 - target).square().mean() / 2


def test_the_style_image_gives_its_colours_by_weight(tmp_path):
    """A red image in the style of a blue one becomes blue, unless the colour weight is 0."""
    red, blue = (np.zeros((40, 40, 3), np.uint8) for _ in "ab")
    red[8:30, 10:20, 0], red[..., 1], blue[..., 2], blue[::4, :, 1] = 220, 40, 200, 60
    for name, pixels in (("red", red), ("blue", blue)):
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    means = []
    for weight in (10.0, 0.0):
        out = tmp_path / str(weight)
        config = Stylize(
            str(tmp_path / "red.png"),
            str(out),
            "bezier",
            strokes=20,
            steps=60,
            size=32,
            content=("relu1_2",),
            style=str(tmp_path / "blue.png"),
            style_layers=("relu1_2",),
            style_weight=0.1,
            colour_weight=weight,
            curve_weight=0.1,
            video=False,
        )
        stylize(config)
        assert not (out / "red" / "painting.mp4").exists()
        means.append(shown(out).mean((0, 1)))
    bluer = [(mean[2] - mean[0]).item() for mean in means]
    assert bluer[0] > 0.2
    assert bluer[0] > bluer[1] + 0.2


def test_the_strokes_of_a_style_are_measured_and_painted(tmp_path, capsys):
    source, style, out = picture(tmp_path / "face.png"), picture(tmp_path / "style.png", seed=1), tmp_path / "out"
    config = Stylize(source, str(out), style=style, strokes=40, size=48, output_size=48, video=False)
    stylize(config)
    folder = out / "face"
    painting = Painting.load(folder / "strokes.safetensors")
    report = json.loads((folder / "style.json").read_text())
    assert len(painting.strokes) <= 40
    assert painting.finish.material == report["material"]
    assert painting.provenance["layers"][0][0] == "strokes 1"
    assert np.asarray(Image.open(folder / "style.png")).shape[2] == 3
    assert "perceptual distance" in capsys.readouterr().out
    stylize(replace(config, material="none", paper="none", out=str(tmp_path / "bare")))
    bare = Painting.load(tmp_path / "bare" / "face" / "strokes.safetensors")
    assert bare.finish.plain
    assert torch.equal(bare.strokes, painting.strokes)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--method", "strokes", "--curve-weight", "1"], "--curve-weight belongs to --method losses"),
        (["--layers", "9"], "1 to 8 layers"),
        (["--material", "mud"], "There is no material 'mud'"),
        (["--content", "relu8_8"], "no layer 'relu8_8'; it has relu1_1"),
        (["--renderer", "exact"], "'exact' is not differentiable"),
        (["--curve-weight", "1"], "--field style requires --style"),
        (["--curve-weight", "1", "--field", "zigzag"], "Unknown direction field 'zigzag'"),
        (["--style", "nowhere.png"], "no image nowhere.png"),
        (["--size", "9999"], "--size can be 2048 at most"),
        (["--strokes", "0"], "--strokes must be at least 1"),
        (["--stage-shares", "3", "0"], "--stage-shares are positive numbers"),
        (["--content-source", "vgg19", "--content", "relu9_9"], "vgg19 has no layer"),
        (["--style-weight", "-1"], "--style-weight must be at least 0"),
    ],
)
def test_invalid_options_of_stylize(tmp_path, monkeypatch, capsys, options, message):
    arguments = (picture(tmp_path / "face.png"), "--out", tmp_path / "out", *options)
    code, said = command(monkeypatch, capsys, stylize_script, stylize, Stylize, *arguments)
    assert code == 2
    assert message in said
    assert said.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_the_score_of_a_class_rises_above_the_blank_canvas(tmp_path, capsys):
    out = tmp_path / "lemon"
    whole = {"whole_canvas": True, "view": STILL}
    config = Visualize(str(out), "lemon", strokes=20, steps=25, size=48, output_size=48, video_size=48, **whole)
    visualize(config)
    assert {file.name for file in (out / "lemon").iterdir()} >= FILES
    assert "Predicted classes: " in capsys.readouterr().out
    network = imagenet_network()
    pictures = torch.stack((shown(out).permute(2, 0, 1), torch.ones(3, 48, 48)))
    pictures = torch.nn.functional.interpolate(pictures, (64, 64), mode="bilinear")
    painted, blank = network((pictures * 255 - 127) / 128)[:, find_class("lemon", imagenet_classes())]
    assert painted > blank + 3


def test_a_class_is_painted_as_an_object_on_its_own_ground(tmp_path, capsys):
    visualize(Visualize(str(tmp_path), "lemon", strokes=6, steps=3, size=32, output_size=32, video=False))
    assert "6 strokes" in capsys.readouterr().out
    painting = Painting.load(tmp_path / "lemon" / "strokes.safetensors")
    assert painting.background != (1, 1, 1)
    assert painting.provenance["class_"] == "lemon"
    corner = shown(tmp_path)[0, 0]
    torch.testing.assert_close(corner, torch.tensor(painting.background), atol=0.01, rtol=0)


@pytest.mark.parametrize(
    "wanted", [{"status": "warrior"}, {"gender": "female"}, {"feature": "relu1_2:3"}, {"feature": "block2:1"}]
)
def test_other_objectives(tmp_path, capsys, wanted):
    config = Visualize(str(tmp_path), strokes=5, steps=2, size=32, view=replace(STILL, side=32), video=False, **wanted)
    visualize(config)
    said = capsys.readouterr().out
    assert "5 strokes" in said
    assert next(iter(wanted.values())) in said or "deviations of its layer" in said or "Predicted classes" in said
    (strokes,) = tmp_path.glob("*/strokes.safetensors")
    assert Painting.load(strokes).provenance["feature"] == wanted.get("feature")


def files_of(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_one_input_and_one_configuration_make_one_folder(tmp_path, capsys):
    """For both commands: another result never changes one that is there, an equal one is skipped unless --again."""
    for folder in "ab":
        (tmp_path / folder).mkdir()
        picture(tmp_path / folder / "face.png", seed=ord(folder))
    out, small = str(tmp_path / "out"), {"renderer": "bezier", "strokes": 2, "steps": 1, "size": 16}
    first, second = (str(tmp_path / folder / "face.png") for folder in "ab")
    face = {**small, "content": ("relu1_2",), "content_weights": (1.0,)}
    lemon = {**small, "size": 32, "view": replace(STILL, side=32)}
    jobs = [
        ("face", lambda **more: stylize(Stylize(first, out, **face | {"video_size": 32} | more))),
        ("face-2", lambda **more: stylize(Stylize(second, out, video=False, **face | more))),
        ("face-3", lambda **more: stylize(Stylize(first, out, video=False, seed=1, **face | more))),
        ("face-4", lambda **more: stylize(Stylize(first, out, style=second, video=False, **face | more))),
        ("relu1_2-3", lambda **more: visualize(Visualize(out, feature="relu1_2:3", video=False, **lemon | more))),
        (
            "relu1_2-3-2",
            lambda **more: visualize(Visualize(out, feature="relu1_2:3", video=False, seed=1, **lemon | more)),
        ),
    ]
    for number, (name, job) in enumerate(jobs, 1):
        before = files_of(tmp_path / "out")
        job()
        assert f"out/{name}:" in capsys.readouterr().out
        assert files_of(tmp_path / "out").items() >= before.items()
        assert len(list((tmp_path / "out").iterdir())) == number, "and nothing else is left there"
    whole = files_of(tmp_path / "out")
    assert not [path for path, data in whole.items() if str(tmp_path).encode() in data], "nothing of this machine"
    for _, job in (jobs[0], jobs[-1]):
        job()
        assert "painted already" in capsys.readouterr().out
        job(again=True)
        assert "painted already" not in capsys.readouterr().out
    assert files_of(tmp_path / "out") == whole, "the same seed gives the same bytes"
    jobs[0][1](video=False, again=True)
    assert not (tmp_path / "out" / "face" / "painting.mp4").exists(), "nothing stale stays"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "exactly one of --class"),
        (["--class", "lemon", "--status", "noble"], "exactly one of --class"),
        (["--class", "lemmon"], "did you mean lemon"),
        (["--class", "retriever"], "did you mean flat-coated retriever"),
        (["--class", "1000"], "numbered 0 to 999"),
        (["--status", "samurai"], "choose one of noble, warrior, incarnation, commoner"),
        (["--feature", "relu4_2"], "not LAYER:CHANNEL"),
        (["--feature", "relu4_9:1"], "has no layer"),
        (["--feature", "relu1_1:64"], "are 0 to 63"),
        (["--feature", "block99:1"], "it has block0 to block17"),
        (["--class", "lemon", "--views", "0"], "At least 1 view"),
        (["--class", "lemon", "--views", "3"], "need --whole-canvas"),
        (["--status", "noble", "--whole-canvas"], "--whole-canvas is for --class"),
        (["--class", "lemon", "--renderer", "mypaint:ink"], "not differentiable"),
    ],
)
def test_invalid_options_of_visualize(tmp_path, monkeypatch, capsys, options, message):
    arguments = ("--out", tmp_path / "out", "--steps", 1, *options)
    code, said = command(monkeypatch, capsys, visualize_script, visualize, Visualize, *arguments)
    assert code == 2
    assert message in said
    assert not Path(tmp_path / "out").exists()
