"""Generate faces: `python -m experiments.stylegan train | sample | interpolate | mix | project | evaluate`."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import torch.nn.functional as F
import tyro
from torch import Tensor
from tqdm import tqdm

from experiments.cli import KAOKORE, Command, choose_device, picture_path, progress, require, run_subcommand
from experiments.results import STYLES, fingerprint, free_folder, plain_options, printable
from experiments.train_stylegan import PRESETS, Train, train
from kaokore.classify import CLASSES, load_classifier
from kaokore.classify.evaluate import evaluate as evaluate_classifier
from kaokore.loading import load_images
from kaokore.stylegan import FaceGenerator, load_generator
from kaokore.stylegan.evaluate import conditional_accuracy, nearest_images
from kaokore.stylegan.features import Features, batched, load_features
from kaokore.stylegan.generator import image_grid
from kaokore.stylegan.interpolation import closed_spline, write_loop
from kaokore.stylegan.metrics import fid
from kaokore.stylegan.projection import ProjectionConfig, fit_face
from kaokore.stylegan.projection import project as project_image
from painter.losses import perceptual
from renderer.errors import InputError
from renderer.io.files import atomic, check_writable
from renderer.io.images import read_image, write_png
from renderer.io.tensor_file import write_tensors
from renderer.learned.kernel_distance import kernel_distance

MAX_VIDEO_SIZE = 1024  # pixels


@dataclass(frozen=True)
class Sampling:
    """Options of all commands that sample faces."""

    checkpoint: str = "stylegan"
    """A file that `train` wrote, or the name of a shipped one."""
    gender: str | None = None
    """male or female; by default both, as frequent as in the data."""
    status: str | None = None
    """noble, warrior, incarnation or commoner; by default all, as frequent as in the data."""
    truncation: float = 0.7
    """How far a style may be from the mean of its class: 0 is the mean, 1 does not truncate."""
    seed: int = 0
    device: str = "auto"


@dataclass(frozen=True)
class Sample(Sampling):
    """Generate faces; `python -m experiments.repaint` can paint them."""

    out: str = "samples"
    """Folder: grid.png, w.safetensors, and the images in faces/."""
    n: int = 16
    """How many."""
    again: bool = False
    """Sample again what is there already with the same options."""


@dataclass(frozen=True)
class Interpolate(Sampling):
    """Write a looping video that interpolates between faces."""

    out: str = "interpolation.mp4"
    """The video, .mp4 or .gif."""
    n: int = 6
    """Faces to pass."""
    seconds: float = 2.0
    """From one to the next."""
    video_size: int = 256
    """Pixels of the video's side."""


@dataclass(frozen=True)
class Mix(Sampling):
    """Mix the coarse styles of some faces with the fine styles of others (Karras et al. 2019, figure 3)."""

    out: str = "mix.png"
    """The grid: shape comes from its first column, colour and detail from its first row."""
    rows: int = 4
    columns: int = 6
    layers: int | None = None
    """The first layers, which take the style of the first column's face; half of them by default."""


@dataclass(frozen=True)
class Project:
    """Find the generated face that is nearest to an image."""

    face: Annotated[str, tyro.conf.Positional]
    """An image, or kaokore:ID. It is cropped to its middle square."""
    checkpoint: str = "stylegan"
    """A file that `train` wrote, or the name of a shipped one."""
    out: str = "projection"
    """Folder: projection.png, pair.png, w.safetensors, projection.json."""
    optimise: tyro.conf.OmitArgPrefixes[ProjectionConfig] = field(default_factory=ProjectionConfig)
    seed: int = 0
    again: bool = False
    """Project again what is there already with the same options."""
    device: str = "auto"
    root: str | None = None
    """KaoKore's folder for kaokore:ID; else KAOKORE_ROOT, else data/kaokore."""


@dataclass(frozen=True)
class Evaluate(Sampling):
    """Measure the distance of generated to real faces; prints one line of JSON."""

    root: str | None = None
    """KaoKore's folder; else KAOKORE_ROOT, else data/kaokore."""
    version: str = "1.1"
    """Of KaoKore."""
    faces: int = 2000
    """How many to generate. FID depends on it."""
    features: Literal["lite0", "hed", "inception"] = "lite0"
    """The network that images are compared by; inception's weights are downloaded."""
    truncation: float = 1.0
    neighbours: str | None = None
    """An image to write: 16 samples, each above the train face that is nearest by these features. Takes minutes."""


def sample(config: Sample) -> Path:
    """Write faces, a grid of them, and their styles; return the folder."""
    require(config, n=1)
    generator, draws = _begin(config)
    options, files = plain_options(config, ("checkpoint", "gender", "status", "truncation", "seed", "n"))
    result = fingerprint(None, options, *files)
    out, done = free_folder(config.out, result)
    if done and (out / "grid.png").is_file() and not config.again:
        print(f"{out}: sampled already; --again samples again.")
        return out
    w = _sample_styles(generator, config.n, config, draws)
    check_writable(out)
    write_tensors(out / STYLES, {"w": w}, {"fingerprint": result})  # first: it tells whose the folder is
    images = generator.synthesise(w, draws)
    for i, image in enumerate(images):
        write_png(image, out / "faces" / f"sample-{i:04d}.png")
    write_png(image_grid(images), out / "grid.png")  # last: with it, all is there
    print(f"{out}/grid.png: {len(images)} faces; `python -m experiments.repaint {out}/faces` paints them.")
    return out


def interpolate(config: Interpolate) -> Path:
    """Write a looping video and return its path."""
    require(config, n=2, seconds=0.1, video_size=16)
    if config.video_size > MAX_VIDEO_SIZE:
        raise InputError(f"--video-size must be at most {MAX_VIDEO_SIZE}, not {config.video_size}.")
    generator, draws = _begin(config)
    knots = _sample_styles(generator, config.n, config, draws)

    def frames(fps: float) -> list[Tensor]:
        w = closed_spline(knots, max(1, round(config.seconds * fps)))
        images = generator.synthesise(w)  # without noise, which would flicker
        size = (config.video_size, config.video_size)
        return [F.interpolate(image[None], size, mode="bicubic", align_corners=False)[0] for image in images]

    path = write_loop(frames, config.out)
    print(f"{path}: {config.n} faces in a loop.")
    return path


def mix(config: Mix) -> Path:
    """Write a grid of mixed styles and return its path."""
    require(config, rows=1, columns=1)
    generator, draws = _begin(config)
    L = generator.network.config.styles
    layers = L // 2 if config.layers is None else config.layers
    if not 0 <= layers <= L:
        raise InputError(f"--layers must be between 0 and {L}, not {layers}.")
    rows, columns = (_sample_styles(generator, n, config, draws) for n in (config.rows, config.columns))
    coarse = torch.arange(L, device=rows.device)[:, None] < layers
    mixed = torch.where(coarse, rows[:, None, None], columns[None, :, None])
    left, top, inside = (generator.synthesise(w) for w in (rows, columns, mixed.flatten(0, 1)))
    lines = [torch.cat((torch.ones_like(top[:1]), top))]
    lines += [torch.cat((left[i : i + 1], line)) for i, line in enumerate(inside.split(config.columns))]
    write_png(image_grid(torch.cat(lines), config.columns + 1), config.out)
    print(f"{config.out}: shape from the left, colour and detail from above.")
    return Path(config.out)


def project(config: Project) -> Path:
    """Write the nearest generated face and its error; return the folder."""
    optimise = config.optimise
    require(optimise, steps=1, pixels=0, noise=0)
    if not 0 < optimise.learning_rate < math.inf:
        raise InputError(f"--learning-rate must be a positive number, not {optimise.learning_rate}.")
    device = choose_device(config.device)
    generator = load_generator(config.checkpoint, device)
    side = generator.network.config.size
    path = picture_path(config.face, config.root)
    target = fit_face(read_image(path, side), side).to(device)
    options, files = plain_options(config, ("checkpoint", "seed"))
    result = fingerprint(path, options | {"optimise": asdict(optimise)}, *files)
    out, done = free_folder(config.out, result)
    if done and (out / "projection.json").is_file() and not config.again:
        print(f"{out}: projected already; --again projects it again.")
        return out
    check_writable(out)
    distance = perceptual.Perceptual().to(device)
    steps = project_image(generator, target, distance, optimise, seed=config.seed)
    *_, last = tqdm(steps, desc="projection", total=optimise.steps, leave=False, disable=None)
    image = last.image(generator)
    mse = (image - target).square().mean().item()
    with torch.no_grad():
        error = distance(image[None], target[None]).item()
    record = {"mse": mse, "perceptual": error, "space": optimise.space, "steps": optimise.steps}
    record["face"] = config.face if config.face.startswith(KAOKORE) else printable(path.name)
    noise = {f"noise/{i}": part for i, part in enumerate(last.noise)}
    write_tensors(out / STYLES, {"w": last.styles, **noise}, {"fingerprint": result})
    write_png(image, out / "projection.png")
    write_png(torch.cat((target, image), 2), out / "pair.png")
    with atomic(out / "projection.json") as temporary:
        temporary.write_text(json.dumps(record) + "\n")
    print(f"{out}/pair.png: mse {mse:.5f}, perceptual distance {error:.3f}; w is in {out}/w.safetensors.")
    return out


def evaluate(config: Evaluate) -> dict[str, Any]:
    """Print metrics of generated faces against the dev images as JSON, and return them.

    The keys with `real` are those of as many train images as were generated (or all) against dev, for comparison: FID of
    few images is far above 0 even for these. `obeys` is the conditional accuracy. With `neighbours`, `nearest` is the median
    distance of samples to the nearest train face, and `nearest_real` that of dev faces: copies would be nearer.
    """
    require(config, faces=2)
    device = choose_device(config.device)
    generator, draws = _begin(config)
    features = _load_features(config.features, device)
    size = generator.network.config.size
    dev, train = (
        load_images(config.root, split, size, version=config.version, track=progress(f"{split} images")).images
        for split in ("dev", "train")
    )
    if config.neighbours is not None:
        check_writable(Path(config.neighbours).parent)
    all_train, train = train, train[torch.randperm(len(train), generator=draws)[: config.faces]]
    samples = generator.synthesise(_sample_styles(generator, config.faces, config, draws), draws)
    theirs, real, ours = features(dev / 255), features(train / 255), features(samples)
    metrics: dict[str, Any] = {"kid": kernel_distance(ours, theirs), "fid": fid(ours, theirs), "faces": len(ours)}
    metrics |= {"kid_real": kernel_distance(real, theirs), "fid_real": fid(real, theirs), "real_faces": len(real)}
    if generator.network.config.conditional:
        accuracies = {task: _conditional_accuracies(generator, task, config, device) for task in CLASSES}
        metrics["obeys"] = {task: generated for task, (generated, _) in accuracies.items()}
        metrics["obeys_real"] = {task: measured for task, (_, measured) in accuracies.items()}
    if config.neighbours is not None:
        known = features(all_train / 255)
        pairs = {"nearest": samples[: max(16, len(dev))], "nearest_real": dev[: len(samples)] / 255}
        found = {name: nearest_images(images, all_train / 255, features, known) for name, images in pairs.items()}
        metrics |= {name: distances.median().item() for name, (distances, _) in found.items()}
        rows = zip(samples[:16].split(8), found["nearest"][1][:16].split(8), strict=True)
        write_png(image_grid(torch.cat([row for pair in rows for row in pair]), 8), config.neighbours)
    metrics |= {"dev_faces": len(theirs), "features": config.features, "truncation": config.truncation, "size": size}
    metrics |= {"seed": config.seed, "images": generator.about.get("images")}
    print(json.dumps(metrics))
    return metrics


def _begin(config: Sampling) -> tuple[FaceGenerator, torch.Generator]:
    """The generator of a command, and the source of all its random numbers."""
    require(config, truncation=0)
    return load_generator(config.checkpoint, choose_device(config.device)), torch.Generator().manual_seed(config.seed)


def _sample_styles(generator: FaceGenerator, n: int, config: Sampling, draws: torch.Generator) -> Tensor:
    return generator.sample_styles(n, draws, gender=config.gender, status=config.status, truncation=config.truncation)


def _load_features(source: Literal["lite0", "hed", "inception"], device: torch.device) -> Features:
    """As `load_features`; "hed" gives channel means of VGG16's last three blocks (ImageNet, then edges): 1,280 numbers."""
    track = progress("features", "batch")
    if source != "hed":
        return load_features(source, device, track)
    vgg = perceptual.Features("hed", (15, 22, 29)).to(device)
    return batched(lambda x: torch.cat([tap.mean((2, 3)) for tap in vgg(x)], 1), 128, device, track=track)


def _conditional_accuracies(
    generator: FaceGenerator, task: str, config: Evaluate, device: torch.device
) -> tuple[float, float]:
    """Accuracy of the shipped classifier on generated faces, and its balanced accuracy on dev at the same size."""
    classifier, track = load_classifier(f"kaokore-{task}", device), progress("classifier", "batch")
    accuracy = conditional_accuracy(
        generator, classifier, truncation=config.truncation, seed=config.seed, device=device, track=track
    )
    size = generator.network.config.size
    images, labels, _ = load_images(config.root, "dev", size, task=task, version=config.version)
    real = evaluate_classifier(classifier, images, labels, split="dev", device=device, track=track)
    return accuracy, float(real["balanced_accuracy"])


def main() -> None:
    """Read the command line and run one subcommand."""
    commands = {
        "train": Command(train, Train, PRESETS),
        "sample": Command(sample, Sample),
        "interpolate": Command(interpolate, Interpolate),
        "mix": Command(mix, Mix),
        "project": Command(project, Project),
        "evaluate": Command(evaluate, Evaluate),
    }
    run_subcommand(commands, __doc__, renamed={"--film-size": "--video-size"})


if __name__ == "__main__":
    main()
