"""The networks: the seven of KaoKore's authors (from torchvision) and EfficientNet-Lite0."""

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
    """The properties of a network.

    Attributes:
        title: Its published name.
        min_size: The smallest side in pixels that it accepts.
        mean: Of the colours in [0, 1], which the ImageNet weights expect to be subtracted.
        deviation: Of the colours, which the ImageNet weights expect to be divided by.
        rate: AdamW's learning rate from scratch; lower for networks without normalisation layers, or deep without shortcuts.
    """

    title: str
    min_size: int = 32
    mean: Colour = (0.485, 0.456, 0.406)
    deviation: Colour = (0.229, 0.224, 0.225)
    rate: float = 2e-3


MODELS: dict[str, Architecture] = {
    "vgg11": Architecture("VGG11", rate=2e-4),
    "alexnet": Architecture("AlexNet", min_size=63, rate=3e-4),
    "resnet18": Architecture("ResNet-18"),
    "resnet34": Architecture("ResNet-34"),
    "mobilenet_v2": Architecture("MobileNet-v2"),
    "densenet121": Architecture("DenseNet-121"),
    "inception_v3": Architecture("Inception-v3", min_size=75, mean=(0.5,) * 3, deviation=(0.5,) * 3, rate=4e-4),
    "efficientnet_lite0": Architecture("EfficientNet-Lite0", mean=(127 / 255,) * 3, deviation=(128 / 255,) * 3),
}


def build(model: str, classes: int) -> nn.Module:
    """Build a network with random weights: normalised images (B, 3, H, W) -> logits (B, classes).

    Inception-v3 is built without its auxiliary classifier, whose layers fit inputs of about 299 pixels only, and with
    PyTorch's default initialisation: torchvision's gives the head a deviation of .1, and an initial loss of 7 nats.
    """
    if model == "efficientnet_lite0":
        return lite.EfficientNetLite0(classes)
    options: dict[str, Any] = {}
    if model == "inception_v3":  # `mean` and `deviation` above replace `transform_input`
        options = {"aux_logits": False, "transform_input": False, "init_weights": False}
    from torchvision import models  # here, because it takes over a second

    return models.get_model(model, weights=None, num_classes=classes, **options)


def parts(network: nn.Module) -> list[nn.Module]:
    """List the parts of a network's body from the first layer on, without its head."""
    features = getattr(network, "features", None)
    if features is not None:
        return list(features.children())
    return [part for part in network.children() if not isinstance(part, nn.Linear)]


def imagenet_weights(model: str, timeout: float = 10.0) -> dict[str, Tensor]:
    """Load a network's ImageNet weights, including the head, by name.

    torchvision's are read from torch.hub's cache and downloaded to it if missing; a server that sends nothing for
    `timeout` seconds counts as unreachable. Raises `InputError` when they cannot be downloaded.
    """
    if model == "efficientnet_lite0":
        return lite.imagenet_weights()
    from torchvision import models

    weights = models.get_model_weights(model)["IMAGENET1K_V1"]
    path = Path(torch.hub.get_dir()) / "checkpoints" / os.path.basename(weights.url)
    if not path.is_file():
        _download(weights.url, path, timeout)
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)  # tensors only, no code
        # DenseNet's file is older than the rule that names of layers contain no dots.
        return {re.sub(r"(\.denselayer\d+\.\w+)\.([12]\.)", r"\1\2", name): weight for name, weight in found.items()}
    except Exception as error:  # torch raises many types of errors for a damaged file
        raise InputError(f"{path} is damaged; delete it, so that it is fetched again.") from error


def start_from(network: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Load ImageNet weights into `network`, without the head. Raises `InputError` if some are missing."""
    own = network.state_dict()
    head = list(own)[-2:]
    fitting = {name: weight for name, weight in weights.items() if name in own and weight.shape == own[name].shape}
    missing = [name for name in own if name not in {*fitting, *head} and not name.endswith("num_batches_tracked")]
    if missing:
        raise InputError(f"These weights are of another network: {missing[0]} is missing or of another shape.")
    network.load_state_dict({**own, **fitting})


def start(network: nn.Module, model: str, weights: str) -> tuple[str, str]:
    """Initialise a new network.

    Args:
        network: Of `build`.
        model: Its name.
        weights: "imagenet", "scratch", or "auto": imagenet if the weights are available.

    Returns:
        "imagenet" or "scratch", and the reason.

    Raises:
        InputError: "imagenet" was requested and the weights are not available.
    """
    if weights == "scratch":
        return "scratch", "as requested"
    try:
        start_from(network, imagenet_weights(model))
    except InputError as error:
        if weights == "imagenet":
            raise
        return "scratch", str(error).rstrip(".")
    return "imagenet", "without the head"


def _download(url: str, path: Path, timeout: float, longest: float = 1800.0) -> None:
    """Download `url`, whose name ends in the first digits of its SHA-256. torch.hub does the same without a timeout."""
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
    except (requests.RequestException, InputError) as error:  # `atomic` reports the network's errors as the disk's
        reason = type(error.__cause__ or error).__name__
        raise InputError(
            f"{url} cannot be downloaded ({reason}); put the file into {path.parent}, or train from scratch."
        ) from error
