"""Paint what a network has in mind: a class of ImageNet, a status or gender of KaoKore, or a single feature.

    python -m experiments.visualize --class lemon --out lemon
    python -m experiments.visualize --status warrior --renderer ink --out warrior
    python -m experiments.visualize --feature relu4_2:17 --out feature

No picture is copied: strokes begin at random and climb the network's score ("visualizing ImageNet classes" of Nakano
2019). Writes painting.png, painting.svg, strokes.safetensors, painting.mp4 and painting.gif.
"""

from __future__ import annotations

import difflib
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated

import torch
import tyro
from torch import Tensor
from tqdm import tqdm

from experiments.cli import choose_device, require, require_gradient, run
from experiments.outputs import finishing_brush, write_painting
from experiments.runs import describe_run
from kaokore.classify import CLASSES, load_classifier
from kaokore.classify.efficientnet_lite import EfficientNetLite0, imagenet_weights
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
from renderer.canvas import blank
from renderer.constraints import StrokeConstraints
from renderer.errors import InputError
from renderer.io.files import check_writable
from renderer.io.painting import Painting
from renderer.learned.load import load_brush

LARGEST = 2048  # pixels a side while painting


@dataclass(frozen=True)
class Config:
    """What is painted, and with what."""

    out: str
    """Folder for the results."""
    class_: Annotated[str | None, tyro.conf.arg(name="class")] = None
    """A class of ImageNet: its name (lemon) or number (951)."""
    status: str | None = None
    """noble, warrior, incarnation or commoner, as KaoKore's classifier sees one."""
    gender: str | None = None
    """male or female, likewise."""
    feature: str | None = None
    """LAYER:CHANNEL: of VGG16 by the layer's name (relu4_2:17), or of EfficientNet-Lite0 by a block's number
    (block10:33)."""
    renderer: str = "bezier"
    """What to paint with, as in experiments.repaint: bezier, ink, watercolour, a checkpoint of your own ..."""
    strokes: int = 300
    steps: int = ACTIVATION_CONFIG.steps
    """Gradient steps."""
    size: int = 128
    """Pixels of the square canvas while painting."""
    view: tyro.conf.OmitArgPrefixes[ViewConfig] = DEFAULT_VIEWS
    geometry_lr: float = ACTIVATION_CONFIG.geometry_lr
    """How far strokes move in a step: further than after a picture, because nothing places them well."""
    colour_lr: float = ACTIVATION_CONFIG.colour_lr
    min_radius: float = 0.0
    """Least radius of a stroke, as a fraction of the side."""
    seed: int = 0
    device: str = "auto"
    """auto, cpu, cuda, cuda:1 ..."""
    video: bool = True
    """Write the film (mp4 and gif)."""
    video_size: int = 512
    """Pixels on the side of the film."""


def visualize(config: Config) -> None:
    """Paint a class or a feature of a network from nothing."""
    require(config, strokes=1, steps=1, size=8, video_size=1, geometry_lr=1e-6, colour_lr=1e-6)
    if config.size > LARGEST:
        raise InputError(f"--size can be {LARGEST} at most, not {config.size}; strokes can be replayed larger.")
    require_gradient(config.renderer)
    device = choose_device(config.device)
    score, tell = _wanted(config, device)
    renderer = load_brush(config.renderer, device)
    brush = finishing_brush(renderer)
    out = Path(config.out)
    check_writable(out)

    generator = torch.Generator().manual_seed(config.seed)
    background = blank((config.size, config.size), device=device)
    rates = replace(ACTIVATION_CONFIG, steps=config.steps, geometry_lr=config.geometry_lr, colour_lr=config.colour_lr)
    loss = activation_loss(score, config.view, generator)
    begun = time.monotonic()
    strokes = background.new_zeros(0, renderer.space.width)
    steps = paint_without_target(
        loss,
        renderer,
        config.strokes,
        canvas=background,
        config=rates,
        generator=generator,
        constraints=StrokeConstraints(min_radius=config.min_radius),
    )
    for progress in (bar := tqdm(steps, total=config.steps)):
        strokes = progress.strokes
        bar.set_postfix_str(f"score {-progress.loss:.2f}", refresh=False)
    seconds = time.monotonic() - begun

    painting = Painting.by(renderer, strokes, (config.size, config.size), provenance=asdict(config) | describe_run())
    picture = painting.render(brush=brush)
    write_painting(painting, picture, out, config.video_size if config.video else None, brush)
    with torch.no_grad():
        said = tell(picture[None].to(device))
    print(
        f"{out}: {len(strokes)} strokes in {seconds:.1f} s. {said} "
        f"Open {out}/painting.png{' or painting.mp4' if config.video else ''}."
    )


Tell = Callable[[Tensor], str]  # what the network says of a finished painting (1, 3, H, W)


def _wanted(config: Config, device: torch.device) -> tuple[Score, Tell]:
    given = {name: getattr(config, name) for name in ("class_", "status", "gender", "feature")}
    chosen = [(name, value) for name, value in given.items() if value is not None]
    if len(chosen) != 1:
        raise InputError("Say what to paint by exactly one of --class, --status, --gender and --feature.")
    ((name, value),) = chosen
    if name == "feature":
        return _feature(value, config, device)
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

    def tell(picture: Tensor) -> str:
        resized = torch.nn.functional.interpolate(picture, (side, side), mode="bilinear", antialias=True)
        best = logits(resized).softmax(1)[0].topk(min(3, len(names)))
        takes = [
            f"{names[i]} {share:.0%}" for share, i in zip(best.values.tolist(), best.indices.tolist(), strict=True)
        ]
        return f"The network takes it for: {', '.join(takes)}."

    return class_score(logits, index), tell


def _feature(text: str, config: Config, device: torch.device) -> tuple[Score, Tell]:
    layer, _, channel = text.rpartition(":")
    if not layer or not (channel.isascii() and channel.isdecimal()):
        raise InputError(f"{text!r} is no feature; write LAYER:CHANNEL, such as relu4_2:17 or block10:33.")
    if layer.startswith("block"):
        network = imagenet_network(device).features
        count = len(network)
        number = layer.removeprefix("block")
        if not (number.isascii() and number.isdecimal() and int(number) < count):
            raise InputError(f"EfficientNet-Lite0 has no {layer}; it has block0 to block{count - 1}.")
        body = network[: int(number) + 1]
        score = channel_score(lambda pictures: body(_prepared(pictures)), int(channel))
    else:
        score = channel_score(vgg_layer(layer, device=device), int(channel))
    with torch.no_grad():
        white = score(torch.ones(1, 3, 64, 64, device=device)).item()  # a wrong channel is found here, before work

    def tell(picture: Tensor) -> str:
        return f"The feature is at {score(picture).item():.2f} deviations of its layer, on white paper at {white:.2f}."

    return score, tell


def imagenet_classes() -> list[str]:
    """The thousand names, in the network's order."""
    from torchvision.models import EfficientNet_B0_Weights  # here, because it takes over a second

    names: list[str] = EfficientNet_B0_Weights.IMAGENET1K_V1.meta["categories"]
    return names


def find_class(text: str, names: list[str]) -> int:
    """The place of a class by name or number. Raises `InputError` with the names that are nearest.

    >>> find_class("Lemon", imagenet_classes()), find_class("7", imagenet_classes())
    (951, 7)
    """
    if text.isascii() and text.isdecimal():
        if int(text) < len(names):
            return int(text)
        raise InputError(f"There is no class {text}; they are numbered 0 to {len(names) - 1}.")
    lower = [name.lower() for name in names]
    wanted = text.strip().lower()
    if wanted in lower:
        return lower.index(wanted)
    near = [name for name in names if wanted and wanted in name.lower()] or difflib.get_close_matches(wanted, lower)
    hint = f"did you mean {', '.join(near[:5])}?" if near else "they are ImageNet's, such as goldfish, lemon or daisy."
    raise InputError(f"There is no class {text!r}; {hint}")


def imagenet_network(device: torch.device | str = "cpu") -> EfficientNetLite0:
    """EfficientNet-Lite0 as ImageNet taught it, frozen. Raises `InputError` when its weights are not installed."""
    network = EfficientNetLite0(1000)
    network.load_state_dict(imagenet_weights())
    network.eval().requires_grad_(False).to(device).to(memory_format=torch.channels_last)
    return network


def _prepared(pictures: Tensor) -> Tensor:
    return ((pictures * 255 - 127) / 128).contiguous(memory_format=torch.channels_last)


if __name__ == "__main__":
    renamed = {"--smallest": "--min-radius", "--shape-rate": "--geometry-lr", "--film-size": "--video-size"}
    run(visualize, Config, __doc__, renamed=renamed)
