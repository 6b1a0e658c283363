"""Paint what activates a network: a class of ImageNet, a status or gender of KaoKore, or a single feature.

    python -m experiments.visualize --class lemon --out lemon
    python -m experiments.visualize --status warrior --renderer ink --out warrior
    python -m experiments.visualize --feature relu4_2:17 --out feature

There is no target image: random strokes are optimised for the network's score ("visualizing ImageNet classes" of Nakano
2019). A class is painted as one object on a plain ground, everything else all over the canvas. Writes painting.png,
painting.svg, strokes.safetensors, painting.mp4 and painting.gif to a folder in --out that has the objective's name. What is
painted already with the same options is skipped; other options make another folder.
"""

from __future__ import annotations

import difflib
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import torch
import tyro
from torch import Tensor

from experiments.cli import require, run, whole_number
from experiments.outputs import (
    VIDEO_SIDE,
    finished_files,
    output_size,
    part_of,
    progress_bar,
    save_unfinished,
    write_folder,
)
from experiments.results import find_folder, fingerprint, plain_options
from kaokore.classify import CLASSES, load_classifier
from kaokore.classify.efficientnet_lite import EfficientNetLite0, imagenet_weights
from painter import Painter, Painting
from painter.losses.activation import (
    ACTIVATION_CONFIG,
    DEFAULT_VIEWS,
    Score,
    ViewConfig,
    activation_loss,
    channel_score,
    class_score,
    paint_without_target,
    vgg_layer,
)
from painter.object_painting import OBJECT_CONFIG, paint_object
from renderer.brush import require_gradient
from renderer.canvas import blank
from renderer.constraints import StrokeConstraints
from renderer.errors import InputError
from renderer.io.files import check_writable

LARGEST = 2048  # pixels a side while painting


@dataclass(frozen=True)
class Config:
    """What is painted, and with what."""

    out: str
    """Folder for the results."""
    class_: Annotated[str | None, tyro.conf.arg(name="class")] = None
    """A class of ImageNet: its name (lemon) or number (951)."""
    status: str | None = None
    """A status of KaoKore's classifier: noble, warrior, incarnation or commoner."""
    gender: str | None = None
    """A gender of KaoKore's classifier: male or female."""
    feature: str | None = None
    """LAYER:CHANNEL, with a layer of VGG16 (relu4_2:17) or a block of EfficientNet-Lite0 (block10:33)."""
    renderer: str = "bezier"
    """The brush, as in experiments.repaint: bezier, ink, watercolour, a checkpoint of your own ..."""
    strokes: int | None = None
    """Number of strokes; by default 180 for an object, otherwise 300."""
    steps: int | None = None
    """Gradient steps; by default 240 for an object, otherwise 400."""
    size: int = 128
    """Pixels of the square canvas while painting."""
    whole_canvas: bool = False
    """With --class: paint all over the canvas, as other objectives do, instead of one object on a plain ground."""
    view: tyro.conf.OmitArgPrefixes[ViewConfig] = DEFAULT_VIEWS
    geometry_lr: float = ACTIVATION_CONFIG.geometry_lr
    """Learning rate of the strokes' geometry; larger than with a target, because the first strokes are random."""
    colour_lr: float | None = None
    """Learning rate of colour and opacity; by default .03 for an object, otherwise .04."""
    min_radius: float = 0.0
    """Least radius of a stroke, as a fraction of the side."""
    seed: int = 0
    """Of all randomness. Equal seeds and numbers of threads (OMP_NUM_THREADS) give equal paintings."""
    again: bool = False
    """Paint again what is painted already with the same options."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1 ..."""
    output_size: int | None = None
    """Pixels of the sides of painting.png; 1,536 by default."""
    video: bool = True
    """Write the video (mp4 and gif)."""
    video_size: int = VIDEO_SIDE
    """Pixels of the video's sides; a GIF has 480 at most."""


# Options whose default is None.
DEFAULTS: dict[str, Any] = {"strokes": 300, "steps": ACTIVATION_CONFIG.steps, "colour_lr": ACTIVATION_CONFIG.colour_lr}
OBJECT_DEFAULTS: dict[str, Any] = {"strokes": 180, "steps": OBJECT_CONFIG.steps, "colour_lr": OBJECT_CONFIG.colour_lr}
# Every option that a painting depends on, besides the views.
RESULT_OPTIONS = (
    *("class_", "status", "gender", "feature", "renderer", "strokes", "steps", "size", "whole_canvas"),
    *("geometry_lr", "colour_lr", "min_radius", "seed"),
)


def visualize(config: Config) -> None:
    """Paint what activates a class or a feature of a network."""
    one_object = config.class_ is not None and not config.whole_canvas
    defaults = OBJECT_DEFAULTS if one_object else DEFAULTS
    config = replace(config, **{name: value for name, value in defaults.items() if getattr(config, name) is None})
    assert config.strokes is not None
    assert config.steps is not None
    assert config.colour_lr is not None
    require(config, strokes=1, steps=1, size=8, video_size=1, geometry_lr=1e-6, colour_lr=1e-6)
    if config.size > LARGEST:
        raise InputError(
            f"--size can be {LARGEST} at most, not {config.size}; a finished painting can be rendered larger."
        )
    if one_object and config.view != DEFAULT_VIEWS:
        raise InputError("An object has views of its own; --views and the like need --whole-canvas beside --class.")
    if config.whole_canvas and config.class_ is None:
        raise InputError("--whole-canvas is for --class; other objectives are painted all over the canvas anyway.")
    require_gradient(config.renderer)
    side = output_size(config.output_size)
    rates = replace(ACTIVATION_CONFIG, steps=config.steps, geometry_lr=config.geometry_lr, colour_lr=config.colour_lr)
    painter = Painter("optimize", brush=config.renderer, device=config.device, config=rates)
    objective = _objective(config, painter.device)
    options, files = plain_options(config, RESULT_OPTIONS)
    options["view"] = asdict(config.view)
    record = {**options, "fingerprint": fingerprint(None, options, *files)}
    out, name = Path(config.out), next(v for v in (config.class_, config.status, config.gender, config.feature) if v)
    folder, done = find_folder(out, name.replace(":", "-").replace("/", "-"), record["fingerprint"])
    if done and not config.again and finished_files(folder, config.video, side):
        print(f"{folder}: painted already; --again paints it again.")
        return
    check_writable(out)

    begun = time.monotonic()
    painting = None
    with progress_bar(folder.name) as show:
        try:
            for progress, value, now in _paint(config, config.strokes, painter, objective, one_object, record):
                painting = now
                show(0.9 * progress, f"score {value:.2f}")
        except KeyboardInterrupt:
            if painting is not None:
                save_unfinished(painting, folder, side)
            raise
        assert painting is not None
        seconds = time.monotonic() - begun
        write_folder(painting, folder, side, config.video_size if config.video else None, part_of(show, 0.9, 1.0))
    with torch.no_grad():
        response = objective.describe(painting.render()[None].to(painter.device))
    print(
        f"{folder}: {len(painting.strokes)} strokes in {seconds:.1f} s. {response} "
        f"Open {folder}/painting.png{' or painting.mp4' if config.video else ''}."
    )


def _paint(
    config: Config, count: int, painter: Painter, objective: Objective, one_object: bool, record: dict[str, Any]
) -> Iterator[tuple[float, float, Painting]]:
    """Yield the done part in (0, 1], the score and the painting of `count` strokes after each step."""
    generator = torch.Generator().manual_seed(config.seed)
    constraints, size = StrokeConstraints(min_radius=config.min_radius), (config.size, config.size)
    rates = painter.config
    if one_object:
        assert objective.logits is not None
        for now in paint_object(
            objective.logits,
            objective.index,
            painter.brush,
            count,
            size=config.size,
            config=replace(OBJECT_CONFIG, steps=rates.steps, geometry_lr=rates.geometry_lr, colour_lr=rates.colour_lr),
            generator=generator,
            constraints=constraints,
            device=painter.device,
        ):
            painting = Painting.by(painter.brush, now.strokes, size, now.ground, provenance=record)
            yield now.progress, now.score, painting
        return
    for step in paint_without_target(
        activation_loss(objective.score, config.view, generator),
        painter.brush,
        count,
        canvas=blank(size, device=painter.device),
        config=rates,
        generator=generator,
        constraints=constraints,
    ):
        yield step.progress, -step.loss, Painting.by(painter.brush, step.strokes, size, provenance=record)


@dataclass(frozen=True)
class Objective:
    """What is maximised.

    score: of pictures `(B, 3, H, W)`
    describe: the network's response to a finished painting `(1, 3, H, W)`, in words
    logits, index: the classifier and the class, where it is one
    """

    score: Score
    describe: Callable[[Tensor], str]
    logits: Callable[[Tensor], Tensor] | None = None
    index: int = 0


def _objective(config: Config, device: torch.device) -> Objective:
    given = {name: getattr(config, name) for name in ("class_", "status", "gender", "feature")}
    chosen = [(name, value) for name, value in given.items() if value is not None]
    if len(chosen) != 1:
        raise InputError("Give exactly one of --class, --status, --gender and --feature.")
    ((name, value),) = chosen
    if name == "feature":
        return _feature_objective(value, device)
    if name == "class_":
        names, side = imagenet_classes(), 224
        index = find_class(value, names)
        network = imagenet_network(device)
        logits: Callable[[Tensor], Tensor] = lambda pictures: network(_prepared(pictures))  # noqa: E731
    else:
        names = list(CLASSES[name])
        if value not in names:
            raise InputError(f"There is no {name} {value!r}; choose one of {', '.join(names)}.")
        classifier = load_classifier(f"kaokore-{name}", device)
        index, side, logits = names.index(value), classifier.size, classifier.scores

    def describe(image: Tensor) -> str:
        resized = torch.nn.functional.interpolate(image, (side, side), mode="bilinear", antialias=True)
        best = logits(resized).softmax(1)[0].topk(min(3, len(names)))
        shares = zip(best.values.tolist(), best.indices.tolist(), strict=True)
        return f"Predicted classes: {', '.join(f'{names[i]} {share:.0%}' for share, i in shares)}."

    return Objective(class_score(logits, index), describe, logits, index)


def _feature_objective(text: str, device: torch.device) -> Objective:
    layer, _, channel = text.rpartition(":")
    number = whole_number(channel)
    if not layer or number is None:
        raise InputError(f"{text!r} is not LAYER:CHANNEL, such as relu4_2:17 or block10:33.")
    if layer.startswith("block"):
        network = imagenet_network(device).features
        count = len(network)
        block = whole_number(layer.removeprefix("block"))
        if block is None or block >= count:
            raise InputError(f"EfficientNet-Lite0 has no {layer}; it has block0 to block{count - 1}.")
        body = network[: block + 1]
        score = channel_score(lambda pictures: body(_prepared(pictures)), number)
    else:
        score = channel_score(vgg_layer(layer, device=device), number)
    with torch.no_grad():
        white = score(torch.ones(1, 3, 64, 64, device=device)).item()  # raises for a wrong channel, before any work

    def describe(image: Tensor) -> str:
        return f"The feature is at {score(image).item():.2f} standard deviations of its layer; {white:.2f} on white."

    return Objective(score, describe)


def imagenet_classes() -> list[str]:
    """The names of the 1,000 classes, in the network's order."""
    from torchvision.models import EfficientNet_B0_Weights  # here, because it takes over a second

    names: list[str] = EfficientNet_B0_Weights.IMAGENET1K_V1.meta["categories"]
    return names


def find_class(text: str, names: list[str]) -> int:
    """The index of a class by name or number. Raises `InputError` with the most similar names.

    >>> find_class("Lemon", imagenet_classes()), find_class("7", imagenet_classes())
    (951, 7)
    """
    number = whole_number(text)
    if number is not None:
        if number < len(names):
            return number
        raise InputError(f"There is no class {text}; they are numbered 0 to {len(names) - 1}.")
    lower = [name.lower() for name in names]
    wanted = text.strip().lower()
    if wanted in lower:
        return lower.index(wanted)
    near = [name for name in names if wanted and wanted in name.lower()] or difflib.get_close_matches(wanted, lower)
    hint = f"did you mean {', '.join(near[:5])}?" if near else "they are ImageNet's, such as goldfish, lemon or daisy."
    raise InputError(f"There is no class {text!r}; {hint}")


def imagenet_network(device: torch.device | str = "cpu") -> EfficientNetLite0:
    """EfficientNet-Lite0, pretrained on ImageNet and frozen. Raises `InputError` when its weights are not installed."""
    network = EfficientNetLite0(1000)
    network.load_state_dict(imagenet_weights())
    network.eval().requires_grad_(False).to(device).to(memory_format=torch.channels_last)
    return network


def _prepared(pictures: Tensor) -> Tensor:
    return ((pictures * 255 - 127) / 128).contiguous(memory_format=torch.channels_last)


if __name__ == "__main__":
    renamed = {
        "--smallest": "--min-radius",
        "--shape-rate": "--geometry-lr",
        "--colour-rate": "--colour-lr",
        "--film-size": "--video-size",
    }
    run(visualize, Config, __doc__, renamed=renamed)
