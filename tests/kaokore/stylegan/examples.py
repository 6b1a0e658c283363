"""Small networks and made-up faces for the tests of the StyleGAN."""

from functools import partial

import torch

from kaokore.stylegan import train as learn
from kaokore.stylegan.data import Faces
from kaokore.stylegan.networks import CLASSES, NetworkConfig
from kaokore.stylegan.train import (
    Networks,
    TrainConfig,
    make_optimizers,
    train_step,
)

SMALL = NetworkConfig(size=8, channels=64, most_channels=8, latent=8, mapping=2)


def draws(seed=0):
    return torch.Generator().manual_seed(seed)


def make_networks(config=SMALL, seed=0, learning=TrainConfig()):  # noqa: B008
    torch.manual_seed(seed)
    return Networks(config, learning)


def make_update(both, learning):
    return partial(learn.update_networks, both, make_optimizers(both, learning), learning)


def step(update, networks, faces, config, number, state, source):
    return train_step(update, networks, faces, config, number=number, state=state, draws=source)


def styles(generator, classes, mixing, source):
    """w (B, L, D) of random z."""
    z = torch.randn(2, len(classes), generator.config.latent, generator=source)
    late = learn.draw_mixing(len(classes), generator.config.styles, mixing, source)
    return learn.mixed_styles(generator, z, classes, late)


def noisy_faces():
    return Faces(torch.randint(256, (12, 3, 8, 8), dtype=torch.uint8, generator=draws()), torch.arange(12) % CLASSES)
