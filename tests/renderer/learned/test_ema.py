"""The moving average of a network, against its definition."""

import copy

import pytest
import torch
from torch import nn

from renderer.learned.ema import update_ema


def networks() -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(0)
    average = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    model = copy.deepcopy(average)
    with torch.no_grad():
        for value in model.parameters():
            value.add_(torch.randn_like(value))
    model.train()(torch.randn(8, 3))
    return average, model


@pytest.mark.parametrize("decay", [0.0, 0.9, 0.999])
@pytest.mark.parametrize("average_buffers", [False, True])
def test_update_ema(decay: float, average_buffers: bool) -> None:
    average, model = networks()
    before, values = copy.deepcopy(average.state_dict()), model.state_dict()
    update_ema(average, model, decay, average_buffers=average_buffers)
    parameters = dict(average.named_parameters())
    for name, after in average.state_dict().items():
        averaged = name in parameters or (average_buffers and after.is_floating_point())
        # Bit for bit, so that trainings can be resumed.
        expected = before[name].lerp(values[name], 1 - decay) if averaged else values[name]
        assert torch.equal(after, expected), name
    assert values["1.num_batches_tracked"] == 1
    assert all(parameter.grad_fn is None for parameter in parameters.values())
