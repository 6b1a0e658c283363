"""How good a classifier is, and how far its probabilities can be believed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

BINS = 15


def measure(scores: Tensor, labels: Tensor, classes: Sequence[str], temperature: float = 1.0) -> dict[str, Any]:
    """Figures of logits (N, C) against labels (N,).

    accuracy: share of right answers; balanced_accuracy: mean recall of the classes that occur; recall by class (None
    where none occurs); confusion: rows are true classes, columns answers; ece: see `calibration_error`; nll: mean
    negative log-likelihood in nats, the two last at `temperature`.
    """
    answers, count = scores.argmax(1), len(classes)
    confusion = torch.bincount(labels * count + answers, minlength=count**2).reshape(count, count)
    rows = confusion.sum(1)
    recalls = [confusion[i, i].item() / rows[i].item() if rows[i] else None for i in range(count)]
    present = [recall for recall in recalls if recall is not None]
    return {
        "accuracy": (answers == labels).double().mean().item(),
        "n": len(labels),
        "balanced_accuracy": sum(present) / len(present),
        "recall": dict(zip(classes, recalls, strict=True)),
        "confusion": confusion.tolist(),
        "ece": calibration_error(torch.softmax(scores / temperature, 1), labels),
        "nll": F.cross_entropy(scores / temperature, labels).item(),
    }


def calibration_error(probabilities: Tensor, labels: Tensor) -> float:
    """Expected calibration error of (N, C) in [0, 1]: over 15 equal bins of confidence, |confidence - accuracy|.

    Guo et al. (2017), equation 3.

    >>> calibration_error(torch.tensor([[0.75, 0.25]] * 4), torch.tensor([0, 0, 0, 1]))
    0.0
    """
    confidence, answers = probabilities.double().max(1)
    bins = (confidence * BINS).ceil().long().clamp(1, BINS) - 1
    gaps = torch.zeros(BINS, dtype=torch.float64, device=bins.device)
    return (gaps.index_add(0, bins, (answers == labels).double() - confidence).abs().sum() / len(labels)).item()


def fit_temperature(scores: Tensor, labels: Tensor) -> float:
    """The temperature in [1/4, 20] at which logits (N, C) give labels (N,) the greatest likelihood.

    The loss is convex in 1 / temperature, so that an interval that holds the minimum can be halved by its slope. Where
    all answers are right there is none, and boundless certainty after a few faces would be a mistake.
    """
    scores = scores.double()
    low, high = 1 / 20, 4.0  # of 1 / temperature
    for _ in range(50):
        inverse = (low * high) ** 0.5
        expected = (torch.softmax(scores * inverse, 1) * scores).sum(1)
        slope = (expected - scores.gather(1, labels[:, None])[:, 0]).mean().item()
        low, high = (low, inverse) if slope > 0 else (inverse, high)
    return 1 / (low * high) ** 0.5
