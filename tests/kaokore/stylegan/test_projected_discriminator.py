"""The projected discriminator: the frozen network is EfficientNet-Lite0, the rest learns."""

import dataclasses
import math

import pytest
import torch
from torch import nn

from kaokore.classify.efficientnet_lite import EfficientNetLite0, SameConv, imagenet_weights
from kaokore.stylegan import projected_discriminator as projected
from kaokore.stylegan.networks import CLASSES
from kaokore.stylegan.projected_discriminator import (
    FrozenDepthwise,
    Projected,
    Projection,
    classification_loss,
    of_classes,
)
from tests.kaokore.stylegan.examples import SMALL, draws


def test_folded_network_equals_lite0():
    """Folding normalisation into convolutions changes nothing; mixed features have a standard deviation of about 1."""
    lite = EfficientNetLite0(1000)
    lite.load_state_dict(imagenet_weights())
    lite.eval()
    torch.manual_seed(0)
    projection, x = Projection().train(), torch.rand(2, 3, 64, 64) * 2 - 1
    assert not any(isinstance(part, nn.BatchNorm2d) for part in projection.modules())
    assert not any(part.training for part in projection.modules())
    mine = theirs = (x * 127.5 + 0.5) / 128
    begin = 0
    for depth, end in zip(projection.depths, projected.ENDS, strict=True):
        mine, theirs = depth(mine), lite.features[begin:end](theirs)
        assert torch.allclose(mine, theirs, atol=1e-3)
        begin = end
    for features, width, side in zip(projection(x), projected.WIDTHS, (16, 8, 4, 2), strict=True):
        assert features.shape == (2, width, side, side)
        assert 0.3 < features.std() < 3


def test_only_the_discriminators_learn():
    torch.manual_seed(0)
    network = Projected(SMALL)
    frozen = {name: weight.clone() for name, weight in network.project.state_dict().items()}
    optimizer = torch.optim.Adam([p for p in network.parameters() if p.requires_grad], 0.001, (0.0, 0.99))
    x, classes = torch.rand(16, 3, 8, 8, generator=draws()) - 0.5, torch.arange(16) % CLASSES
    signs = torch.where(torch.arange(16) < 8, 1.0, -1.0)
    x[:8, 0] += 0.5  # the real ones are redder

    def loss():
        return torch.relu(1 - signs[:, None] * torch.cat(network(x, classes), 1)).mean()

    before = loss().item()
    for _ in range(12):
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()
    assert loss().item() < 0.6 * before
    assert all(torch.equal(weight, frozen[name]) for name, weight in network.project.state_dict().items())
    pictures = x.clone().requires_grad_()
    torch.cat(network(pictures, classes), 1).sum().backward()
    assert (pictures.grad.abs().sum((1, 2, 3)) > 0).all()


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("side", [7, 8])
def test_the_gradient_of_frozen_depthwise_convolutions_is_pytorchs(stride, side):
    torch.manual_seed(0)
    plain = SameConv(6, 6, 5, stride, groups=6).requires_grad_(False)
    x, gradients = torch.randn(2, 6, side, side), []
    for convolution in (plain, FrozenDepthwise(plain)):
        inputs = x.clone().requires_grad_()
        outputs = convolution(inputs)
        outputs.square().sum().backward()
        gradients.append(inputs.grad)
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("view", [64, 96])
def test_a_larger_view_shows_the_network_more(view):
    network = Projected(SMALL, view).eval()
    assert [x.shape[-1] for x in network.features(torch.zeros(1, 3, 8, 8))] == [
        view // 4,
        view // 8,
        view // 16,
        view // 32,
    ]


def test_classes_are_told_apart_by_the_logits_of_the_image_s_own_class():
    """The cross-entropy is low where the logits of the own class are the highest, and `of_classes` selects these."""
    classes = torch.arange(16) % CLASSES
    clear = [8 * nn.functional.one_hot(classes, CLASSES)[:, :, None].float().expand(-1, -1, k) for k in (1, 64)]
    assert classification_loss(clear, classes) < 1e-3
    assert classification_loss(clear, (classes + 1) % CLASSES) > 8
    assert classification_loss([torch.zeros(16, CLASSES, 4)], classes) == pytest.approx(math.log(CLASSES), rel=1e-5)
    assert [x.tolist() for x in of_classes(clear, classes)] == [[[8.0]] * 16, [[8.0] * 64] * 16]
    only = torch.randn(16, 1, 4)
    assert torch.equal(of_classes([only], classes)[0], only[:, 0])


def test_an_unconditional_network_has_one_logit_for_all_classes():
    network = Projected(dataclasses.replace(SMALL, conditional=False)).eval()
    x = torch.rand(2, 3, 8, 8, generator=draws()) - 0.5
    assert [y.shape[1] for y in network.logits(network.features(x))] == [1] * 4
    for a, b in zip(network(x, torch.tensor([0, 1])), network(x, torch.tensor([5, 2])), strict=True):
        assert torch.equal(a, b)
