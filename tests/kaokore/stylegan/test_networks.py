"""Generator and discriminator: shapes, classes, truncation, minibatch deviation."""

import dataclasses

import pytest
import torch
from torch import nn

from kaokore.stylegan.discriminator import Discriminator, group_deviation
from kaokore.stylegan.networks import CLASSES, Generator, NetworkConfig
from tests.kaokore.stylegan.examples import SMALL, draws, make_networks


def test_shapes_and_sizes():
    for size in (8, 16, 32):
        config = NetworkConfig(size=size, channels=64, most_channels=8, latent=8, mapping=2)
        generator, discriminator = Generator(config), Discriminator(config)
        w = generator.mapping(torch.randn(3, 8), torch.arange(3))
        noise = generator.draw_noise(3, draws())
        assert len(noise) == len(generator.convs) == config.styles - 1
        pictures = generator(w, noise)
        assert pictures.shape == (3, 3, size, size)
        assert discriminator(pictures, torch.arange(3)).shape == (3,)
        assert torch.equal(pictures, generator(w[:, None].expand(-1, config.styles, -1), noise))
        assert torch.allclose(pictures[1:2], generator(w[1:2], [part[1:2] for part in noise]), atol=1e-5)


def test_every_style_layer_and_noise_has_an_effect():
    torch.manual_seed(0)
    generator = Generator(NetworkConfig(size=16, channels=64, most_channels=8, latent=8))
    for conv in generator.convs:
        nn.init.constant_(conv.strength, 0.3)
    w = torch.randn(1, generator.config.styles, 8).requires_grad_()
    noise = [part.requires_grad_() for part in generator.draw_noise(1, draws())]
    generator(w, noise).square().sum().backward()
    assert (w.grad[0].abs().sum(1) > 0).all()
    assert all(part.grad.abs().sum() > 0 for part in noise)
    silent = Generator(dataclasses.replace(generator.config, noise=False))
    silent.load_state_dict(generator.state_dict())
    assert torch.equal(silent(w, noise), generator(w))


@pytest.mark.parametrize("conditional", [True, False])
def test_classes_condition_both_networks_or_none(conditional):
    torch.manual_seed(0)
    config = dataclasses.replace(SMALL, conditional=conditional)
    generator, discriminator = Generator(config), Discriminator(config)
    z, every = torch.randn(1, 8).expand(CLASSES, -1), torch.arange(CLASSES)
    w = generator.mapping(z, every)
    pictures = generator(w[:1]).expand(CLASSES, -1, -1, -1)
    for values in (w, discriminator(pictures, every)[:, None]):
        assert (torch.cdist(values, values).fill_diagonal_(9).min() > 1e-5) == conditional


def test_means_per_class_and_truncation():
    generator = make_networks().generator
    generator.set_means(512)
    z = generator.draw_latent(4096, draws(5))
    for k in (0, 5):
        w = generator.mapping(z, torch.full((4096,), k))
        assert (generator.means[k] - w.mean(0)).abs().max() < 0.15 * w.std(0).mean()
        classes = torch.full((4096,), k)
        assert torch.allclose(generator.truncate(w, classes, 0.0), generator.means[k].expand_as(w))
        assert torch.allclose(generator.truncate(w, classes, 1.0), w)
        half = generator.truncate(w, classes, 0.5)
        assert torch.allclose(half - generator.means[k], (w - generator.means[k]) / 2, atol=1e-5)


def test_group_deviation_measures_variety():
    """Zero for equal images, else the mean standard deviation of each group of four."""
    x = torch.randn(1, 3, 4, 4).expand(8, -1, -1, -1)
    assert group_deviation(x).max() < 1e-3
    torch.manual_seed(0)
    x = torch.randn(8, 3, 4, 4)
    expected = [x[:4].std(0, unbiased=False).mean().item(), x[4:].std(0, unbiased=False).mean().item()]
    assert group_deviation(x)[2, 0, 1, 2].item() == pytest.approx(expected[0], rel=1e-5)
    assert group_deviation(x)[6, 0, 1, 2].item() == pytest.approx(expected[1], rel=1e-5)
    assert group_deviation(x[:6]).shape == (6, 1, 4, 4)
    # And the discriminator looks at it: what it says of a picture depends on the others.
    discriminator, pictures, classes = Discriminator(SMALL), torch.randn(4, 3, 8, 8), torch.zeros(4, dtype=torch.int64)
    alone = discriminator(pictures[:1].expand(4, -1, -1, -1), classes)
    assert (alone[0] - discriminator(pictures, classes)[0]).abs() > 1e-3
