"""The training step of a classifier."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from kaokore.classify.networks import build, parts
from kaokore.classify.train import class_weights, freeze, make_optimizer, train_step, update_average


@given(st.floats(0.0, 1.0))
def test_class_weights(balance):
    labels = torch.tensor([0] * 60 + [1] * 30 + [3] * 10)
    weights = class_weights(labels, 4, balance)
    assert weights[labels].mean().item() == pytest.approx(1, rel=1e-5)
    assert (weights[3] / weights[0]).item() == pytest.approx(6**balance, rel=1e-4)


def test_frozen_parts_do_not_learn():
    network = build("efficientnet_lite0", 2)
    frozen = freeze(parts(network), 0.5)
    assert len(frozen) == 9
    assert not any(parameter.requires_grad for part in frozen for parameter in part.parameters())
    assert network.classifier.weight.requires_grad
    assert freeze(parts(network), 1.0) == parts(network)


def test_a_step_in_bfloat16_is_nearly_that_in_float32():
    """The losses are close but not equal, so that the option has an effect. Weights stay in full precision."""
    losses = []
    for precision in (torch.float32, torch.bfloat16):
        torch.manual_seed(0)
        network, images, labels = build("resnet18", 2), torch.randn(8, 3, 32, 32), torch.arange(8) % 2
        optimizer = make_optimizer(network, 1e-3, 0.0)
        losses.append(
            [
                train_step(
                    network, optimizer, images, labels, weights=torch.ones(2), smoothing=0.0, precision=precision
                )
                for _ in range(3)
            ]
        )
        assert all(weight.dtype != torch.bfloat16 for weight in network.state_dict().values())
    assert losses[0] != losses[1]
    assert losses[0] == pytest.approx(losses[1], abs=0.05)
    assert losses[1][-1] < 0.5 * losses[1][0]


def test_the_average_follows():
    average, network = nn.BatchNorm1d(3), nn.BatchNorm1d(3)
    nn.init.constant_(network.weight, 2.0)
    network.num_batches_tracked.fill_(7)
    update_average(average, network, 1000, 0.9)
    assert average.weight.tolist() == pytest.approx([1.1] * 3)
    assert average.num_batches_tracked == 7
    update_average(average, network, 0, 0.9)  # the first step: nine parts of ten are new
    assert average.weight.tolist() == pytest.approx([1.91] * 3)
