"""Metrics of a classifier: accuracy and calibration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

BINS = 15


def measure(scores: Tensor, labels: Tensor, classes: Sequence[str], temperature: float = 1.0) -> dict[str, Any]:
    """Compute metrics of logits against labels.

    Args:
        scores: Logits (N, C).
        labels: (N,) int64.
        classes: The C names of the classes.
        temperature: Divides the logits for ece and nll.

    Returns:
        accuracy: share of correct predictions; n; balanced_accuracy: mean recall of the classes that occur; recall by
        class (None where it does not occur); confusion: rows are true classes, columns predictions; ece: see
        `calibration_error`; nll: mean negative log-likelihood in nats.
    """
    predicted, count = scores.argmax(1), len(classes)
    confusion = torch.bincount(labels * count + predicted, minlength=count**2).reshape(count, count)
    rows = confusion.sum(1)
    recalls = [confusion[i, i].item() / rows[i].item() if rows[i] else None for i in range(count)]
    present = [recall for recall in recalls if recall is not None]
    return {
        "accuracy": (predicted == labels).double().mean().item(),
        "n": len(labels),
        "balanced_accuracy": sum(present) / len(present),
        "recall": dict(zip(classes, recalls, strict=True)),
        "confusion": confusion.tolist(),
        "ece": calibration_error(torch.softmax(scores / temperature, 1), labels),
        "nll": F.cross_entropy(scores / temperature, labels).item(),
    }


def calibration_error(probabilities: Tensor, labels: Tensor) -> float:
    """Compute the expected calibration error of probabilities (N, C) against labels (N,), in [0, 1].

    The mean of |confidence - accuracy| over 15 equal bins of confidence: Guo et al. (2017), equation 3.

    >>> calibration_error(torch.tensor([[0.75, 0.25]] * 4), torch.tensor([0, 0, 0, 1]))
    0.0
    """
    confidence, predicted = probabilities.double().max(1)
    bins = (confidence * BINS).ceil().long().clamp(1, BINS) - 1
    gaps = torch.zeros(BINS, dtype=torch.float64, device=bins.device)
    return (gaps.index_add(0, bins, (predicted == labels).double() - confidence).abs().sum() / len(labels)).item()


def fit_temperature(scores: Tensor, labels: Tensor) -> float:
    """Fit the temperature in [1/4, 20] that maximises the likelihood of labels (N,) under logits (N, C).

    The loss is convex in 1 / temperature, so it is minimised by bisection of its slope. Without the bounds, a few
    correctly predicted images would give a temperature of 0.
    """
    scores = scores.double()
    low, high = 1 / 20, 4.0  # of 1 / temperature
    for _ in range(50):
        inverse = (low * high) ** 0.5
        expected = (torch.softmax(scores * inverse, 1) * scores).sum(1)
        slope = (expected - scores.gather(1, labels[:, None])[:, 0]).mean().item()
        low, high = (low, inverse) if slope > 0 else (inverse, high)
    return 1 / (low * high) ** 0.5
