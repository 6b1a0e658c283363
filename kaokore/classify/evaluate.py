"""Measure a classifier on a split of KaoKore: one line of JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from tqdm import tqdm

from experiments.cli import choose_device, require
from kaokore.classify.classifier import Classifier, load_classifier
from kaokore.classify.data import Faces, load_labelled
from kaokore.classify.metrics import measure


@dataclass(frozen=True)
class Evaluate:
    """Measure a classifier on a split of KaoKore; prints one line of JSON."""

    checkpoint: str
    """A file that train wrote, or a shipped one's name."""
    root: str | None = None
    """KaoKore's folder; else KAOKORE_ROOT, else data/kaokore."""
    split: Literal["train", "dev", "test"] = "test"
    version: str = "1.1"
    """Of KaoKore."""
    batch: int = 64
    device: str = "auto"


def evaluate(config: Evaluate) -> dict[str, Any]:
    """Prints `report` of the split's labelled faces as JSON, and returns it. Raises `InputError` or `DatasetError`."""
    require(config, batch=1)
    device = choose_device(config.device)
    classifier = load_classifier(config.checkpoint, device)
    faces = load_labelled(config.root, config.split, classifier.task, classifier.size, version=config.version)
    figures = report(classifier, faces, config.split, device, config.batch)
    print(json.dumps(figures))
    return figures


def report(classifier: Classifier, faces: Faces, split: str, device: torch.device, batch: int = 64) -> dict[str, Any]:
    """Figures (see `measure`) with what they are figures of: task, model, split, size, origin of the weights."""
    scores = scores_of(classifier, faces.images, device, batch)
    figures = measure(scores, faces.labels, classifier.classes, classifier.temperature)
    known = {"pretrained": classifier.about.get("pretrained"), "size": classifier.size, "flip": classifier.flip}
    known["temperature"] = classifier.temperature
    return {"task": classifier.task, "model": classifier.model, **figures, "split": split, **known}


@torch.no_grad()
def scores_of(classifier: Classifier, images: Tensor, device: torch.device, batch: int = 64) -> Tensor:
    """Logits (N, C), on the CPU, of faces (N, 3, H, W) uint8."""
    batches = [
        classifier.scores((part.to(device) / 255).contiguous(memory_format=torch.channels_last)).float().cpu()
        for part in tqdm(images.split(batch), desc="faces", leave=False)
    ]
    return torch.cat(batches)
