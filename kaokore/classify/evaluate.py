"""Evaluate a classifier on labelled images."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from kaokore.classify.classifier import Classifier
from kaokore.classify.metrics import measure
from kaokore.loading import Track, untracked


def evaluate(
    classifier: Classifier,
    images: Tensor,
    labels: Tensor,
    *,
    split: str = "",
    device: torch.device | str = "cpu",
    batch: int = 64,
    track: Track = untracked,
) -> dict[str, Any]:
    """Measure a classifier (see `measure`) on labelled images.

    Args:
        classifier: On `device`.
        images: (N, 3, H, W) uint8, sRGB.
        labels: (N,) int64, indices of `classifier.classes`.
        split: The name of the images' split, for the record.
        device: The classifier's device.
        batch: Images that are classified at once.
        track: Wraps the list of batches, for example in a progress bar.

    Returns:
        The metrics, with the task, the network, the split, the image size and the origin of the weights, for JSON.
    """
    scores = predict_scores(classifier, images, device=device, batch=batch, track=track)
    metrics = measure(scores, labels, classifier.classes, classifier.temperature)
    settings = {"pretrained": classifier.about.get("pretrained"), "size": classifier.size, "flip": classifier.flip}
    settings["temperature"] = classifier.temperature
    return {"task": classifier.task, "model": classifier.model, **metrics, "split": split, **settings}


@torch.no_grad()
def predict_scores(
    classifier: Classifier,
    images: Tensor,
    *,
    device: torch.device | str = "cpu",
    batch: int = 64,
    track: Track = untracked,
) -> Tensor:
    """Compute logits (N, C), on the CPU, of images (N, 3, H, W) uint8; see `evaluate` for the options."""
    batches = [
        classifier.scores((part.to(device) / 255).contiguous(memory_format=torch.channels_last)).float().cpu()
        for part in track(images.split(batch))
    ]
    return torch.cat(batches)
