"""Evaluate a generator: kernel distance to real images, and conditional accuracy."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from kaokore.classify.classifier import Classifier
from kaokore.classify.evaluate import evaluate
from kaokore.loading import Track, untracked
from kaokore.stylegan.generator import FaceGenerator
from renderer.learned.kernel_distance import kernel_distance

PER_CLASS = 100


def conditional_accuracy(
    generator: FaceGenerator,
    classifier: Classifier,
    *,
    count: int = PER_CLASS,
    truncation: float = 1.0,
    seed: int = 0,
    device: torch.device | str = "cpu",
    track: Track = untracked,
) -> float:
    """Measure how often a classifier assigns the label that an image was generated for.

    Args:
        generator: Trained with labels.
        classifier: Of the labels in question, on `device`.
        count: Images to generate for each label.
        truncation: See `FaceGenerator.sample_styles`.
        seed: Of the samples, the same for each label.
        device: The classifier's device.
        track: Wraps the list of the classifier's batches.

    Returns:
        The share of images with the requested label, in [0, 1].
    """
    images = []
    for label in classifier.classes:
        draws = torch.Generator().manual_seed(seed)
        w = generator.sample_styles(count, draws, **{classifier.task: label}, truncation=truncation)
        images.append(generator.synthesise(w, draws))
    pixels = (torch.cat(images) * 255).round().byte()
    labels = torch.arange(len(images)).repeat_interleave(count)
    return float(evaluate(classifier, pixels, labels, device=device, track=track)["accuracy"])


def sample_kid(
    generator: FaceGenerator, features: Callable[[Tensor], Tensor], real_features: Tensor, count: int
) -> float:
    """Measure the KID of `count` generated images, always with the same seed: the curve of a training.

    Args:
        generator: Any.
        features: Images (N, 3, S, S) in [0, 1] -> (N, F).
        real_features: (M, F), of real images.
        count: Images to generate.
    """
    draws = torch.Generator().manual_seed(0)
    w = generator.sample_styles(count, draws, truncation=1.0)
    return kernel_distance(features(generator.synthesise(w, draws)), real_features)


def nearest_images(
    images: Tensor, others: Tensor, features: Callable[[Tensor], Tensor], other_features: Tensor
) -> tuple[Tensor, Tensor]:
    """Find the image among `others` that is nearest to each image or to its mirror image, to detect copies.

    Args:
        images: (N, 3, S, S) in [0, 1].
        others: (M, 3, S, S), of any range.
        features: Images -> features (N, F).
        other_features: (M, F), of `others`.

    Returns:
        Euclidean distances of features (N,), and the nearest images (N, 3, S, S), mirrored where that is nearer.
    """
    both = torch.cdist(features(torch.cat((images, images.flip(-1)))), other_features)
    distances, chosen = both.view(2, len(images), -1).min(2)
    mirrored = distances[1] < distances[0]
    index = torch.where(mirrored, chosen[1], chosen[0])
    found = others[index]
    return distances.min(0).values, torch.where(mirrored[:, None, None, None], found.flip(-1), found)
