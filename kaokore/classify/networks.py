"""The networks: the seven that KaoKore's authors measured (from torchvision) and EfficientNet-Lite0."""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import requests
import torch
from torch import Tensor, nn

from kaokore.classify import efficientnet_lite as lite
from renderer.errors import InputError
from renderer.io.files import atomic

Name = Literal[
    "vgg11", "alexnet", "resnet18", "resnet34", "mobilenet_v2", "densenet121", "inception_v3", "efficientnet_lite0"
]
Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Architecture:
    """What differs from network to network.

    title: as published; least: the smallest side in pixels that the network takes
    mean, deviation: of the colours in [0, 1] that the ImageNet weights expect
    rate: AdamW's learning rate from scratch; without normalisation layers, or deep without shortcuts, a network bears less
    """

    title: str
    least: int = 32
    mean: Colour = (0.485, 0.456, 0.406)
    deviation: Colour = (0.229, 0.224, 0.225)
    rate: float = 2e-3


MODELS: dict[str, Architecture] = {
    "vgg11": Architecture("VGG11", rate=2e-4),
    "alexnet": Architecture("AlexNet", least=63, rate=3e-4),
    "resnet18": Architecture("ResNet-18"),
    "resnet34": Architecture("ResNet-34"),
    "mobilenet_v2": Architecture("MobileNet-v2"),
    "densenet121": Architecture("DenseNet-121"),
    "inception_v3": Architecture("Inception-v3", least=75, mean=(0.5,) * 3, deviation=(0.5,) * 3, rate=4e-4),
    "efficientnet_lite0": Architecture("EfficientNet-Lite0", mean=(127 / 255,) * 3, deviation=(128 / 255,) * 3),
}


def build(model: str, classes: int) -> nn.Module:
    """A network with fresh weights: normalised (B, 3, H, W) -> logits (B, classes).

    Inception-v3 comes without its auxiliary classifier, whose layers fit inputs of about 299 px only, and with PyTorch's
    own first weights: torchvision's would give the head a deviation of .1, and a first loss of 7 nats.
    """
    if model == "efficientnet_lite0":
        return lite.EfficientNetLite0(classes)
    options: dict[str, Any] = {}
    if model == "inception_v3":  # `mean` and `deviation` above do what `transform_input` would
        options = {"aux_logits": False, "transform_input": False, "init_weights": False}
    from torchvision import models  # here, because it takes over a second

    return models.get_model(model, weights=None, num_classes=classes, **options)


def parts(network: nn.Module) -> list[nn.Module]:
    """The parts of a network's body from the first layer on, without its head."""
    features = getattr(network, "features", None)
    if features is not None:
        return list(features.children())
    return [part for part in network.children() if not isinstance(part, nn.Linear)]


def imagenet_weights(model: str, timeout: float = 10.0) -> dict[str, Tensor]:
    """A network's ImageNet weights, head included, by name.

    torchvision's are looked for where torch.hub keeps files, and downloaded there otherwise; a server that says nothing
    for `timeout` seconds counts as unreachable. Raises `InputError` when they cannot be had.
    """
    if model == "efficientnet_lite0":
        return lite.imagenet_weights()
    from torchvision import models

    weights = models.get_model_weights(model)["IMAGENET1K_V1"]
    path = Path(torch.hub.get_dir()) / "checkpoints" / os.path.basename(weights.url)
    if not path.is_file():
        _download(weights.url, path, timeout)
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)  # tensors alone: no code of the file is run
        # DenseNet's file is of a time when names might hold dots.
        return {re.sub(r"(\.denselayer\d+\.\w+)\.([12]\.)", r"\1\2", name): weight for name, weight in found.items()}
    except Exception as error:  # torch lets through whatever it stumbles over in a damaged file
        raise InputError(f"{path} is damaged; delete it, so that it is fetched again.") from error


def start_from(network: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Puts ImageNet's weights into `network`, but for the head. Raises `InputError` if some are missing."""
    mine = network.state_dict()
    head = list(mine)[-2:]
    fitting = {name: weight for name, weight in weights.items() if name in mine and weight.shape == mine[name].shape}
    missing = [name for name in mine if name not in {*fitting, *head} and not name.endswith("num_batches_tracked")]
    if missing:
        raise InputError(f"These weights are of another network: {missing[0]} is missing or of another shape.")
    network.load_state_dict({**mine, **fitting})


def start(network: nn.Module, model: str, weights: str) -> tuple[str, str]:
    """Fills a fresh network as `weights` says: "imagenet", "scratch", or "auto", which is imagenet where it can be had.

    Returns which of the two it was, and why. Raises `InputError` when "imagenet" cannot be had.
    """
    if weights == "scratch":
        return "scratch", "as asked"
    try:
        start_from(network, imagenet_weights(model))
    except InputError as error:
        if weights == "imagenet":
            raise
        return "scratch", str(error).rstrip(".")
    return "imagenet", "the body; the head is fresh"


def _download(url: str, path: Path, timeout: float, longest: float = 1800.0) -> None:
    """Fetches `url`, whose name ends in the first digits of its SHA-256. torch.hub does the same without any timeout."""
    expected, digest, begun = Path(url).stem.rpartition("-")[-1], hashlib.sha256(), time.monotonic()
    try:
        with requests.get(url, stream=True, timeout=timeout) as answer, atomic(path) as temporary:
            answer.raise_for_status()
            with open(temporary, "wb") as file:
                for chunk in answer.iter_content(1 << 20):
                    digest.update(chunk)
                    file.write(chunk)
                    if time.monotonic() - begun > longest:
                        raise requests.Timeout(f"not done after {longest / 60:.0f} minutes")
            if not digest.hexdigest().startswith(expected):
                raise requests.RequestException("the file is not the expected one")
    except (requests.RequestException, InputError) as error:  # `atomic` takes the network's errors for the disk's
        reason = type(error.__cause__ or error).__name__
        raise InputError(
            f"{url} cannot be downloaded ({reason}); put the file into {path.parent}, or train from scratch."
        ) from error
