"""The StyleGAN's commands at their smallest: files, exact resumption, refusals of invalid options."""

import dataclasses
import json
import math
import os
from pathlib import Path

import av
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file

from experiments import train_stylegan as training
from experiments.stylegan import (
    Evaluate,
    Interpolate,
    Mix,
    Project,
    Sample,
    evaluate,
    interpolate,
    main,
    mix,
    project,
    sample,
)
from experiments.train_stylegan import CPU, GPU, PAPER, TINY, Train, train
from kaokore import KaoKore, write_fake_kaokore
from kaokore.classify import networks
from kaokore.loading import load_images
from kaokore.stylegan import load_generator
from kaokore.stylegan.data import joint_class
from kaokore.stylegan.evaluate import conditional_accuracy
from kaokore.stylegan.networks import CLASSES, Generator
from kaokore.stylegan.projection import ProjectionConfig, autocorrelation, fit_face
from renderer.errors import InputError
from renderer.io.checkpoint import Checkpoint
from renderer.io.images import find_images, read_image
from tests.experiments.interruptions import contents
from tests.experiments.refusals import exit_code, option_list, refusal


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return str(write_fake_kaokore(tmp_path_factory.mktemp("kaokore"), n=40))


@pytest.fixture(scope="module")
def trained(root, tmp_path_factory):
    config = dataclasses.replace(TINY, root=root, evaluate_every=0.02, runs=str(tmp_path_factory.mktemp("runs")))
    return train(config)


@pytest.fixture(scope="module")
def checkpoint(trained):
    return str(trained / "latest.safetensors")


def size(path):
    """Width and height."""
    with Image.open(path) as image:
        return image.size


# Training


def test_the_run_folder_is_the_record(trained, root):
    files = {"config.json", "state.safetensors", "latest.safetensors", "best.safetensors", "samples.png"}
    assert files <= set(os.listdir(trained))
    assert list(trained.glob("events*"))
    assert size(trained / "samples.png") == (CLASSES * 10 + 2, training.ROWS * 10 + 2)
    about = Checkpoint.load(trained / "latest.safetensors", "stylegan").about
    assert about["images"] == 40
    classes = joint_class(*load_images(root, "train", 8).labels.unbind(1))
    assert about["counts"] == torch.bincount(classes, minlength=CLASSES).tolist()
    assert sum(about["counts"]) == about["train_faces"] == len(KaoKore(root, split="train", missing="skip"))
    assert isinstance(about["kid"], float)
    assert "CC BY-SA" in about["data"]
    assert {"command", "commit", "seed"} <= about.keys()
    with safe_open(trained / "latest.safetensors", "pt") as file:
        assert file.get_tensor("means").shape == (CLASSES, 8)
        assert {file.get_tensor(name).dtype for name in file.keys()} == {torch.float16}  # noqa: SIM118


def test_the_presets_have_the_documented_sizes():
    sizes = {}
    for name, preset in (("cpu", CPU), ("gpu", GPU), ("paper", PAPER)):
        with torch.device("meta"):
            generator = Generator(preset.networks)
        sizes[name] = sum(p.numel() for p in generator.parameters())
        training._check(preset)
    assert 2 * sizes["cpu"] < 2 * sizes["gpu"] < 15e6
    assert sizes["paper"] > 10 * sizes["cpu"]
    assert PAPER.networks.size == 256


@pytest.mark.parametrize("full", [True, False])
def test_sessions_of_one_step_resume_exactly(root, tmp_path, full):
    """Bit for bit: weights, moments, random numbers, augmentation, and the saved generator."""
    networks = dataclasses.replace(TINY.networks, conditional=full, noise=full)
    training_config = dataclasses.replace(
        TINY.training, ada=-1.0, projected=float(full)
    )  # any sign of learning raises p
    config = dataclasses.replace(TINY, root=root, networks=networks, training=training_config)
    whole = train(dataclasses.replace(config, runs=str(tmp_path / "whole")))
    parts = train(dataclasses.replace(config, minutes=0.0, runs=str(tmp_path / "parts")))
    for session in (1, 2, 3):
        with safe_open(parts / "state.safetensors", "pt") as file:
            assert int(file.metadata()["step"]) == session
        torch.rand(3)  # as other random numbers in between
        assert (
            train(Train(resume=str(parts), minutes=0.0 if session < 3 else None)) == parts
        )  # the last one does the rest
    for file in ("state.safetensors", "latest.safetensors", "samples.png"):
        if file.endswith("png"):
            assert (whole / file).read_bytes() == (parts / file).read_bytes()
        else:
            assert contents(whole / file) == contents(parts / file)
    state = json.loads(contents(whole / "state.safetensors")["notes"])["state"]
    assert state["shown"] == 40
    assert state["p"] > 0, "the augmentation took part"

    before = (parts / "state.safetensors").stat().st_mtime_ns
    train(Train(resume=str(parts)))  # there is nothing left to do, and nothing is done
    assert (parts / "state.safetensors").stat().st_mtime_ns == before


def test_the_best_generator_is_kept(root, tmp_path, monkeypatch):
    values = iter([3.0, 1.0, 2.0, 4.0, 5.0])
    monkeypatch.setattr(training, "sample_kid", lambda *_: next(values))
    folder = train(dataclasses.replace(TINY, root=root, evaluate_every=0.008, runs=str(tmp_path)))
    best, latest = (load_generator(folder / f"{name}.safetensors").about for name in ("best", "latest"))
    assert (best["kid"], best["images"]) == (1.0, 16)
    assert (latest["kid"], latest["images"]) == (5.0, 40)


def test_a_divergence_is_reported(root, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "train_step", lambda *_, **__: {"generator": torch.tensor(math.nan)})
    with pytest.raises(InputError, match="diverged before step 1"):
        train(dataclasses.replace(TINY, root=root, runs=str(tmp_path)))


# Samples


def test_sample_writes_images_that_repaint_reads(checkpoint, tmp_path):
    out = sample(Sample(checkpoint, n=5, seed=3, out=str(tmp_path / "a")))
    faces = find_images([out / "faces"])
    assert [path.name for path in faces] == [f"sample-{i:04d}.png" for i in range(5)]
    assert read_image(faces[0]).shape == (3, 8, 8)
    assert size(out / "grid.png") == (32, 22)
    assert load_file(out / "w.safetensors")["w"].shape == (5, 8)
    same = sample(Sample(checkpoint, n=5, seed=3, out=str(tmp_path / "b")))
    other = sample(Sample(checkpoint, n=5, seed=4, out=str(tmp_path / "c")))
    grids = [(folder / "grid.png").read_bytes() for folder in (out, same, other)]
    assert grids[0] == grids[1] != grids[2]


def test_truncation_and_class_take_effect(checkpoint):
    generator = load_generator(checkpoint)
    draws = torch.Generator().manual_seed(0)
    w = generator.sample_styles(4, draws, gender="female", status="warrior", truncation=0.0)
    assert torch.allclose(w, generator.network.means[5].expand(4, -1))
    assert generator.sample_styles(200, draws, truncation=1.0).std(0).min() > 0


def test_interpolate_writes_looping_videos(checkpoint, tmp_path):
    video = interpolate(Interpolate(checkpoint, n=3, seconds=0.2, video_size=33, out=str(tmp_path / "loop.mp4")))
    with av.open(str(video)) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height, stream.codec_context.name) == (32, 32, "h264")
        frames = [frame.to_ndarray(format="rgb24").astype(float) for frame in container.decode(stream)]
    assert len(frames) == 18
    steps = [abs(a - b).mean() for a, b in zip(frames, frames[1:] + frames[:1], strict=True)]
    assert steps[-1] < 2 * max(steps[:-1]) + 1
    video = interpolate(Interpolate(checkpoint, n=3, seconds=0.4, video_size=32, out=str(tmp_path / "loop.gif")))
    with Image.open(video) as image:
        assert (image.n_frames, image.size, image.info["loop"]) == (15, (32, 32), 0)


def test_mix_combines_coarse_and_fine_styles(checkpoint, tmp_path):
    path = mix(Mix(checkpoint, rows=2, columns=3, layers=4, out=str(tmp_path / "mix.png")))
    picture = read_image(path)
    cell = lambda row, column: picture[:, row * 10 + 2 : row * 10 + 10, column * 10 + 2 : column * 10 + 10]  # noqa: E731
    assert picture.shape == (3, 32, 42)
    assert (cell(0, 0) == 1).all()
    for layers, source in ((4, (1, 0)), (0, (0, 1))):  # all of the row's, none of the row's
        picture = read_image(mix(dataclasses.replace(Mix(checkpoint, rows=2, columns=3), layers=layers, out=str(path))))
        assert torch.allclose(cell(1, 1), cell(*source), atol=2 / 255)
        assert not torch.allclose(cell(1, 0), cell(0, 1), atol=2 / 255)


@pytest.mark.parametrize("space", ["w", "w+"])
def test_project_finds_a_generated_face_again(checkpoint, tmp_path, space):
    """The result is nearer than the initial mean face."""
    samples = sample(Sample(checkpoint, n=1, truncation=1.5, seed=8, out=str(tmp_path / "samples")))
    face = samples / "faces" / "sample-0000.png"
    errors = {}
    for steps in (1, 60):
        optimise = ProjectionConfig(space, steps=steps, learning_rate=0.2)
        config = Project(str(face), checkpoint, str(tmp_path / "out"), optimise)
        out = project(config)
        figures = json.loads((out / "projection.json").read_text())
        errors[steps] = figures["perceptual"] + 5 * figures["mse"]
    assert errors[60] < 0.7 * errors[1]
    found = load_file(out / "w.safetensors")
    assert found["w"].shape == (1, 4, 8)
    assert bool((found["w"] == found["w"][:, :1]).all()) == (space == "w")
    noise = [found[f"noise/{i}"] for i in range(3)]
    with torch.no_grad():
        again = load_generator(checkpoint).network(found["w"], noise)[0] / 2 + 0.5
    assert torch.allclose(again.clamp(0, 1), read_image(out / "projection.png"), atol=2 / 255)
    assert size(out / "pair.png") == (16, 8)


def test_crop_and_autocorrelation():
    wide = torch.zeros(3, 10, 30)
    wide[:, :, 10:20] = 1
    assert (fit_face(wide, 5) == 1).all()
    draws = torch.Generator().manual_seed(0)
    white = torch.randn(1, 1, 32, 32, generator=draws)
    smooth = torch.nn.functional.interpolate(torch.randn(1, 1, 4, 4, generator=draws), (32, 32), mode="bilinear")
    assert autocorrelation([smooth / smooth.std()]) > 20 * autocorrelation([white])


def test_evaluate_prints_one_line_of_json(root, checkpoint, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(conditional_accuracy, "__kwdefaults__", conditional_accuracy.__kwdefaults__ | {"count": 3})
    figures = evaluate(Evaluate(checkpoint, root=root, faces=12, neighbours=str(tmp_path / "new" / "neighbours.png")))
    said = capsys.readouterr().out
    assert said.count("\n") == 1
    assert json.loads(said) == figures
    assert figures["faces"] == figures["real_faces"] == 12
    assert figures["dev_faces"] == len(KaoKore(root, split="dev", missing="skip"))
    assert figures["features"] == "lite0"
    assert figures["kid"] > figures["kid_real"], "what was hardly trained is farther than real faces are"
    assert figures["fid"] > figures["fid_real"]
    assert size(tmp_path / "new" / "neighbours.png") == (8 * 10 + 2, 3 * 10 + 2), "8 + 8 + 4 + 4 images"
    assert figures["nearest"] > figures["nearest_real"] > 0
    assert set(figures["obeys"]) == set(figures["obeys_real"]) == {"gender", "status"}
    assert all(0 <= share <= 1 for share in (*figures["obeys"].values(), *figures["obeys_real"].values()))


def test_inception_without_network_is_refused(root, checkpoint, tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise networks.requests.ConnectionError("no network")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(networks.requests, "get", refuse)
    with pytest.raises(InputError, match="cannot be downloaded"):
        evaluate(Evaluate(checkpoint, root=root, faces=4, features="inception"))


# Command line


def test_sample_from_the_command_line(checkpoint, tmp_path, monkeypatch, capsys):
    options = ("--n", 2, "--checkpoint", checkpoint, "--gender", "female", "--out", tmp_path / "samples")
    assert exit_code(monkeypatch, main, "stylegan", "sample", *options) == 0
    assert "experiments.repaint" in capsys.readouterr().out
    assert len(os.listdir(tmp_path / "samples" / "faces")) == 2


def test_presets_are_read(root, tmp_path, monkeypatch):
    """The preset of the paper, with some options replaced."""
    small = ["--size", 8, "--channels", 64, "--most-channels", 8, "--latent", 8, "--evaluate-every", 0]
    arguments = ["--root", root, "--runs", tmp_path, "--minutes", 0, *small]
    assert exit_code(monkeypatch, main, "stylegan", "train", "paper", *arguments) == 0
    (folder,) = tmp_path.iterdir()
    record = json.loads((folder / "config.json").read_text())
    assert record["script"] == "stylegan"
    assert record["command"].startswith("python -m experiments.stylegan train paper")
    assert record["arguments"]["training"]["r1"] == PAPER.training.r1
    assert record["arguments"]["networks"]["mapping"] == PAPER.networks.mapping


def test_the_gpu_preset_trains_with_both_discriminators(root, tmp_path, monkeypatch):
    small = ["--size", 8, "--channels", 64, "--most-channels", 8, "--latent", 8, "--batch", 4, "--view", 32]
    arguments = [
        "--root",
        root,
        "--runs",
        tmp_path,
        "--images",
        0.008,
        *small,
        "--projected-from",
        0,
        "--evaluate-faces",
        8,
    ]
    assert exit_code(monkeypatch, main, "stylegan", "train", "gpu", *arguments) == 0
    (folder,) = tmp_path.iterdir()
    assert {"best.safetensors", "samples.png"} <= set(os.listdir(folder))
    generator = load_generator(folder / "latest.safetensors")
    assert generator.network.config.size == 8
    assert isinstance(generator.about["kid"], float)


def test_refining_goes_on_from_a_trained_generator(root, checkpoint, tmp_path, monkeypatch):
    """Its sizes are those of the generator; the resumed training no longer needs the file, and ends with the same bits."""
    start, runs = tmp_path / "start.safetensors", tmp_path / "runs"
    start.write_bytes(Path(checkpoint).read_bytes())
    options = ["--root", root, "--batch", 4, "--view", 32, "--evaluate-every", 0, "--alone", 0.005, "--images", 0.016]
    command = ["stylegan", "train", "refine", "--start", start, *options]
    assert exit_code(monkeypatch, main, *command, "--runs", runs / "whole") == 0
    assert exit_code(monkeypatch, main, *command, "--runs", runs / "parts", "--minutes", 0) == 0
    (whole,), (parts,) = ((runs / name).iterdir() for name in ("whole", "parts"))
    start.unlink()
    assert exit_code(monkeypatch, main, "stylegan", "train", "--resume", parts) == 0
    assert contents(whole / "state.safetensors") == contents(parts / "state.safetensors")
    before, after = load_generator(checkpoint), load_generator(parts / "latest.safetensors")
    assert after.network.config == before.network.config
    assert after.about["start"]["images"] == before.about["images"]
    assert after.about["images"] == before.about["images"] + 16
    assert not torch.equal(after.network.constant, before.network.constant)
    torch.testing.assert_close(after.network.constant, before.network.constant, atol=0.02, rtol=0)


@pytest.mark.parametrize(
    "options",
    [
        {"size": 48},
        {"size": 4},
        {"channels": 0},
        {"latent": 0},
        {"mapping": 0},
        {"batch": 1},
        {"learning-rate": 0},
        {"projected": -1},
        {"projected-rate": 0},
        {"own": 0, "projected": 0},
        {"view": 16},
        {"balance": -1},
        {"alone": -1},
        {"learning-rate": "nan"},
        {"r1": -1},
        {"r1-every": 0},
        {"path-every": 0},
        {"mixing": 1.5},
        {"ada": 2},
        {"ada": -2},
        {"ada-speed": 0},
        {"ema": -1},
        {"images": 0},
        {"minutes": -1},
        {"minutes": "inf"},
        {"minutes-between-saves": -1},
        {"evaluate-every": -1},
        {"evaluate-faces": 1},
        {"seed": -1},
        {"device": "meta"},
        {"root": "nowhere"},
        {"version": "2.0"},
        {"resume": "nowhere"},
        {"preset": "large"},  # the old form
    ],
    ids=str,
)
def test_invalid_training_options_are_refused(root, tmp_path, monkeypatch, capsys, options):
    """And leave no run folder."""
    arguments = option_list(options)
    rest = [] if "root" in options else ["--root", root]
    said = refusal(monkeypatch, capsys, main, "stylegan", "train", "--runs", tmp_path / "runs", *rest, *arguments)
    assert any(name in said for name in options)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sample", "--n", 0], "--n must"),
        (["sample", "--gender", "boy"], "male, female"),
        (["sample", "--status", "king"], "noble, warrior"),
        (["sample", "--truncation", "nan"], "--truncation"),
        (["sample", "--seed", -1], "--seed"),
        (["sample", "--device", "meta"], "meta"),
        (["interpolate", "--n", 1], "--n must"),
        (["interpolate", "--seconds", 0], "--seconds"),
        (["interpolate", "--video-size", 9999], "--video-size"),
        (["interpolate", "--out", "film.avi", "--seconds", 0.1], ".mp4 or .gif"),
        (["mix", "--rows", 0], "--rows"),
        (["mix", "--layers", 99], "--layers"),
        (["project", "nowhere.png"], "no image nowhere.png"),
        (["project", "nowhere.png", "--steps", 0], "--steps"),
        (["project", "nowhere.png", "--learning-rate", 0], "--learning-rate"),
        (["evaluate", "--faces", 1], "--faces"),
        (["evaluate", "--root", "nowhere"], "nowhere"),
    ],
    ids=str,
)
def test_invalid_options_are_refused(checkpoint, tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert message in refusal(monkeypatch, capsys, main, "stylegan", *arguments, "--checkpoint", checkpoint)
    assert os.listdir(tmp_path) == []


def test_other_checkpoints_are_refused(root, tmp_path, monkeypatch, capsys):
    def refused(checkpoint):
        refusal(monkeypatch, capsys, main, "stylegan", "sample", "--checkpoint", checkpoint, "--out", tmp_path / "out")

    for name in ("bezier", "none"):
        refused(name)
    damaged = tmp_path / "damaged.safetensors"
    Checkpoint("stylegan", {"size": 8}, {}, about={"counts": [1] * CLASSES}).save(damaged)
    refused(damaged)
    Checkpoint("stylegan", {"size": 8}, {}).save(damaged)
    refused(damaged)
    assert not (tmp_path / "out").exists()


def test_labels_need_a_conditional_generator(root, tmp_path):
    networks = dataclasses.replace(TINY.networks, conditional=False)
    folder = train(dataclasses.replace(TINY, root=root, networks=networks, images=0.004, runs=str(tmp_path)))
    plain = str(folder / "latest.safetensors")
    with pytest.raises(InputError, match="without labels"):
        sample(Sample(plain, gender="female", out=str(tmp_path / "out")))
    assert len(os.listdir(sample(Sample(plain, n=1, out=str(tmp_path / "out"))))) == 3


def test_another_result_never_changes_one_that_is_there(checkpoint, tmp_path, capsys):
    out = tmp_path / "samples"
    for n, folder in ((3, "samples"), (1, "samples-2"), (2, "samples-3")):
        assert sample(Sample(checkpoint, n=n, out=str(out))) == tmp_path / folder
        assert len(os.listdir(tmp_path / folder / "faces")) == n
    capsys.readouterr()
    (tmp_path / "samples-2" / "grid.png").unlink()  # as if it had been killed before
    for again, said in ((False, "1 faces"), (False, "sampled already"), (True, "1 faces")):
        assert sample(Sample(checkpoint, n=1, out=str(out), again=again)) == tmp_path / "samples-2"
        assert said in capsys.readouterr().out
    for seed, folder in ((0, "projection"), (1, "projection-2"), (0, "projection")):
        config = Project(str(out / "faces" / "sample-0000.png"), checkpoint, str(tmp_path / "projection"), seed=seed)
        assert project(dataclasses.replace(config, optimise=ProjectionConfig(steps=1))) == tmp_path / folder
    assert "projected already" in capsys.readouterr().out
    paths = [path for path in tmp_path.rglob("*") if path.is_file() and str(tmp_path).encode() in path.read_bytes()]
    assert not paths, "nothing of this machine"


def test_other_files_are_never_mixed_with_a_result(checkpoint, tmp_path, monkeypatch):
    (tmp_path / "mine.txt").touch()
    assert sample(Sample(checkpoint, n=1, out=str(tmp_path))).name == f"{tmp_path.name}-2"
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="current folder holds other files"):
        sample(Sample(checkpoint, n=1, out="."))
    assert os.listdir(tmp_path) == ["mine.txt"]
