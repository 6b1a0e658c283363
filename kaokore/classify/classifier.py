"""A trained classifier of KaoKore faces, and its file."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kaokore import GENDERS, STATUSES
from kaokore.classify.networks import MODELS, build
from renderer.io.checkpoint import Checkpoint, CheckpointError

Task = Literal["gender", "status"]
CLASSES: dict[str, tuple[str, ...]] = {"gender": GENDERS, "status": STATUSES}
KIND = "classifier"


@dataclass
class Classifier:
    """A network with all that its answers need.

    model: a name of `MODELS`; task: "gender" or "status"
    size: pixels of the side that faces are brought to
    flip: whether a face and its mirror image are averaged
    temperature: what logits are divided by (Guo et al. 2017, "On Calibration of Modern Neural Networks")
    about: metrics, seed, where the weights come from ... (JSON)
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
        """The classes' names, in the order of `probabilities`' columns."""
        return CLASSES[self.task]

    def probabilities(self, images: Tensor) -> Tensor:
        """Faces (B, 3, H, W), sRGB in [0, 1], of any size -> (B, classes), calibrated, rows sum to 1.

        Differentiable in the images. Weights are frozen, so without a gradient in the images no graph is kept.
        """
        return torch.softmax(self.scores(images) / self.temperature, 1)

    def scores(self, images: Tensor) -> Tensor:
        """The logits behind `probabilities`, before the temperature."""
        if images.shape[-2:] != (self.size, self.size):
            images = F.interpolate(images, (self.size, self.size), mode="bilinear", antialias=True, align_corners=False)
        images = normalise(images, self.model)
        scores = self.network(images)
        return (scores + self.network(images.flip(-1))) / 2 if self.flip else scores

    def save(self, path: str | Path) -> None:
        """Writes a checkpoint with weights in half precision, as long as each stays finite there.

        Raises `InputError` when it cannot be written.
        """
        config = {"model": self.model, "task": self.task, "size": self.size}
        config |= {"flip": self.flip, "temperature": self.temperature}
        tensors = {name: _half(tensor) for name, tensor in self.network.state_dict().items()}
        Checkpoint(KIND, config, tensors, about=self.about).save(path)


def load_classifier(path_or_name: str | Path, device: torch.device | str = "cpu") -> Classifier:
    """The classifier of a file, or of `checkpoints/NAME.safetensors`; nothing else is needed.

    Raises `CheckpointError` unless it is one.
    """
    made = Checkpoint.load(path_or_name, KIND)
    try:
        config = {key: made.config[key] for key in ("model", "task", "size", "flip", "temperature")}
        known = config["model"] in MODELS and config["task"] in CLASSES
        sound = known and config["size"] >= MODELS[config["model"]].least and config["temperature"] > 0
    except (KeyError, TypeError):
        sound = False
    if not sound:
        raise CheckpointError(f"{path_or_name} is damaged or of another version: {made.config} is no classifier.")
    network = build(config["model"], len(CLASSES[config["task"]]))
    made.fill(network)
    network.eval().requires_grad_(False).to(device).to(memory_format=torch.channels_last)
    return Classifier(**config, network=network, about=made.about)


def normalise(images: Tensor, model: str) -> Tensor:
    """Faces in [0, 1] as the network expects them."""
    architecture = MODELS[model]
    mean, deviation = images.new_tensor(architecture.mean), images.new_tensor(architecture.deviation)
    return (images - mean[:, None, None]) / deviation[:, None, None]


def _half(tensor: Tensor) -> Tensor:
    half = tensor.half()
    return half if tensor.is_floating_point() and bool(half.isfinite().all()) else tensor
