"""The projected discriminator: the frozen network is EfficientNet-Lite0, the rest learns."""

import torch
from torch import nn

from kaokore.classify.efficientnet_lite import EfficientNetLite0, imagenet_weights
from kaokore.stylegan import projected_discriminator as projected
from kaokore.stylegan.networks import CLASSES
from kaokore.stylegan.projected_discriminator import Projected, Projection
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
        return torch.relu(1 - signs[:, None] * network(x, classes)).mean()

    before = loss().item()
    for _ in range(12):
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()
    assert loss().item() < 0.6 * before
    assert all(torch.equal(weight, frozen[name]) for name, weight in network.project.state_dict().items())
    pictures = x.clone().requires_grad_()
    network(pictures, classes).sum().backward()
    assert (pictures.grad.abs().sum((1, 2, 3)) > 0).all()
