"""Metrics of known predictions, and calibration."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kaokore.classify.metrics import calibration_error, fit_temperature, measure
from tests.kaokore.classify.examples import random


def scores_and_labels(seed, n=400, classes=4):
    """Logits that are calibrated by construction: labels are drawn from their softmax."""
    scores = 2 * torch.randn(n, classes, generator=random(seed))
    return scores, torch.multinomial(torch.softmax(scores, 1), 1, generator=random(seed + 1))[:, 0]


def test_metrics_of_known_predictions():
    answers, labels = torch.tensor([0, 0, 1, 1, 2]), torch.tensor([0, 0, 0, 1, 1])
    figures = measure(10.0 * torch.eye(3)[answers], labels, ("a", "b", "c"))
    assert figures["accuracy"] == pytest.approx(3 / 5)
    assert figures["recall"] == {"a": pytest.approx(2 / 3), "b": pytest.approx(1 / 2), "c": None}
    assert figures["balanced_accuracy"] == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert figures["confusion"] == [[2, 1, 0], [0, 1, 1], [0, 0, 0]]
    assert figures["n"] == 5
    assert figures["ece"] == pytest.approx(2 / 5, abs=1e-3)  # all sure, two wrong


def test_calibration_error_by_bins():
    # Two bins: at .9 half are right, at .6 all are.
    probabilities = torch.tensor([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.4, 0.6]])
    labels = torch.tensor([0, 1, 0, 1])
    assert calibration_error(probabilities, labels) == pytest.approx((2 * 0.4 + 2 * 0.4) / 4, abs=1e-6)


@given(st.floats(0.4, 5.0), st.integers(0, 50))
def test_the_temperature_scales_with_the_logits_and_is_optimal(factor, seed):
    scores, labels = scores_and_labels(seed)
    temperature = fit_temperature(scores, labels)
    assert fit_temperature(scores * factor, labels) == pytest.approx(temperature * factor, rel=1e-3)
    best, *others = (measure(scores, labels, "abcd", temperature * change)["nll"] for change in (1.0, 0.9, 1.1))
    assert best <= min(others)
    assert 0.7 < temperature < 1.4


def test_the_temperature_is_bounded():
    assert fit_temperature(torch.eye(4), torch.arange(4)) == pytest.approx(0.25, rel=1e-3)
    assert fit_temperature(torch.eye(4), torch.arange(4).flip(0)) == pytest.approx(20, rel=1e-3)


def test_the_temperature_calibrates_an_overconfident_network():
    scores, labels = scores_and_labels(0, n=4000)
    sure = scores * 4
    before = measure(sure, labels, "abcd")["ece"]
    after = measure(sure, labels, "abcd", fit_temperature(sure, labels))["ece"]
    assert after < 0.03 < 0.15 < before
