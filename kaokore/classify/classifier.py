"""A trained classifier of KaoKore faces, and its file."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kaokore.classify.networks import MODELS, build
from kaokore.versions import CLASSES
from renderer.io.checkpoint import Checkpoint, CheckpointError
from renderer.io.from_json import from_json
from renderer.io.read import guarded

KIND = "classifier"
MAX_SIZE = 2048  # pixels of a side


@dataclass
class Classifier:
    """A network with everything that a prediction needs.

    Attributes:
        model: A name of `MODELS`.
        task: "gender" or "status".
        size: Pixels of the side that images are resized to.
        network: Normalised images (B, 3, size, size) -> logits (B, classes).
        flip: Whether the logits of an image and of its mirror image are averaged.
        temperature: Divides the logits (Guo et al. 2017, "On Calibration of Modern Neural Networks").
        about: Metrics, seed, origin of the weights ... (JSON).
    """

    model: str
    task: str
    size: int
    network: nn.Module
    flip: bool = True
    temperature: float = 1.0
    about: dict[str, Any] = field(default_factory=dict)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the columns of `probabilities`."""
        return CLASSES[self.task]

    def probabilities(self, images: Tensor) -> Tensor:
        """Predict calibrated probabilities (B, classes) of images (B, 3, H, W), sRGB in [0, 1], of any size.

        Differentiable in the images. Weights are frozen, so without a gradient in the images no graph is kept.
        """
        return torch.softmax(self.scores(images) / self.temperature, 1)

    def scores(self, images: Tensor) -> Tensor:
        """Predict logits (B, classes), not yet divided by the temperature; see `probabilities`."""
        if images.shape[-2:] != (self.size, self.size):
            images = F.interpolate(images, (self.size, self.size), mode="bilinear", antialias=True, align_corners=False)
        images = normalise(images, self.model)
        scores = self.network(images)
        return (scores + self.network(images.flip(-1))) / 2 if self.flip else scores

    def save(self, path: str | Path) -> None:
        """Write a checkpoint with weights in half precision; tensors that would overflow keep their precision.

        Raises `InputError` when it cannot be written.
        """
        config = {"model": self.model, "task": self.task, "size": self.size}
        config |= {"flip": self.flip, "temperature": self.temperature}
        tensors = {name: _half(tensor) for name, tensor in self.network.state_dict().items()}
        Checkpoint(KIND, config, tensors, about=self.about).save(path)


def load_classifier(path_or_name: str | Path, device: torch.device | str = "cpu") -> Classifier:
    """Load the classifier of a file, or of `checkpoints/NAME.safetensors`.

    Raises:
        CheckpointError: The file is not a classifier.
    """
    made = Checkpoint.load(path_or_name, KIND)
    with guarded(path_or_name, CheckpointError, "is no classifier, or of another version"):
        kinds = {"model": str, "task": str, "size": int, "flip": bool, "temperature": float}
        config: dict[str, Any] = {key: from_json(kind, made.config[key], key) for key, kind in kinds.items()}
        known = config["model"] in MODELS and config["task"] in CLASSES and config["temperature"] > 0
        if not (known and MODELS[config["model"]].min_size <= config["size"] <= MAX_SIZE):
            raise ValueError("its configuration is of no classifier")
    network = build(config["model"], len(CLASSES[config["task"]]))
    made.fill(network)
    network.eval().requires_grad_(False).to(device).to(memory_format=torch.channels_last)
    return Classifier(**config, network=network, about=made.about)


def normalise(images: Tensor, model: str) -> Tensor:
    """Normalise images in [0, 1] to the mean and deviation that the network expects."""
    architecture = MODELS[model]
    mean, deviation = images.new_tensor(architecture.mean), images.new_tensor(architecture.deviation)
    return (images - mean[:, None, None]) / deviation[:, None, None]


def _half(tensor: Tensor) -> Tensor:
    half = tensor.half()
    return half if tensor.is_floating_point() and bool(half.isfinite().all()) else tensor
