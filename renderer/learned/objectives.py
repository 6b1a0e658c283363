"""The three forms in which a neural painter learns (Nakano 2019): reconstruction, adversarial, variational."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, relu
from torch.nn.utils.parametrizations import spectral_norm
from torch.utils.data import Dataset

from renderer.learned.data import Points, Views
from renderer.learned.neural_brush import NeuralBrush
from renderer.learned.stochastic import TILE, StrokeNoise
from renderer.learned.train import Progress, set_rate, supply

BETAS = (0.5, 0.99)  # of Adam against a critic
MEAN, COARSE = 10.0, 10.0  # weights of both reconstructions beside the critic's judgement
PRIOR = 2e-4  # weight of the Kullback-Leibler divergence: latents of a few bits beside thousands of pixels


def point_loss(network: nn.Module, points: Points) -> Tensor:
    """Reconstruction: the alpha MSE at places along strokes; of a brush with grain, that of its mean."""
    assert isinstance(network, NeuralBrush)
    alpha = network.at(points.strokes, points.size, points.owner, points.x, points.y, mean=True)
    return (alpha - points.alpha).square().mean()


class Critic(nn.Module):
    """Judges windows (B, 2, h, w): an alpha and, beside it, what the brush leaves on average -> (B, 1, h / 4, w / 4).

    The second channel says which stroke it is, pixel by pixel, so that the first has to look like that very stroke.
    """

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.body = nn.Sequential(
            spectral_norm(nn.Conv2d(2, width, 4, 2, 1)),
            nn.LeakyReLU(0.2),
            spectral_norm(nn.Conv2d(width, 2 * width, 4, 2, 1)),
            nn.LeakyReLU(0.2),
            spectral_norm(nn.Conv2d(2 * width, 2 * width, 3, 1, 1)),
            nn.LeakyReLU(0.2),
            nn.Conv2d(2 * width, 1, 1),
        )

    def forward(self, views: Tensor) -> Tensor:
        """See the class."""
        judged: Tensor = self.body(2 * views - 1)
        return judged


def fit_adversarially(
    network: NeuralBrush,
    critic: Critic,
    optimizer: torch.optim.Optimizer,
    critic_optimizer: torch.optim.Optimizer,
    data: Dataset[Any],
    done: int = 0,
    learning_rate: float = 1e-3,
    workers: int = 0,
) -> Iterator[Progress]:
    """The paper's GAN, for a brush with grain: hinge loss, a critic of patches with spectral norms (Miyato et al. 2018).

    data: of each step `Points`, `Views` and random numbers (2, TILE, TILE), (B, 2) (see `Draws`). The mean is learned by
    reconstruction all the while; grains are free, but in squares of 8 pixels they add up to what is there.
    Yields the alpha MSE of the mean.
    """
    device = next(network.parameters()).device
    for step, (points, views, (noise, shift)) in supply(data, done, workers, device):
        set_rate(optimizer, learning_rate, step, len(data))  # type: ignore[arg-type]
        set_rate(critic_optimizer, learning_rate, step, len(data))  # type: ignore[arg-type]
        assert network.grain is not None
        stroke_noise = StrokeNoise(noise.new_zeros(len(shift), network.latent), shift * TILE, network.grain.tile(noise))
        with torch.no_grad():
            mean = draw(network, views, mean=True)
        made = draw(network, views, stroke_noise)
        here = (avg_pool2d(mean, 4) > 0.01).float()  # where there is something to judge
        weight = here / (here.sum() + 1e-6)

        true_score = critic(torch.cat((views.alpha, mean), 1))
        made_score = critic(torch.cat((made.detach(), mean), 1))
        judged = ((relu(1 - true_score) + relu(1 + made_score)) * weight).sum()
        critic_optimizer.zero_grad()
        judged.backward()
        critic_optimizer.step()

        error = point_loss(network, points)
        fooled = -(critic(torch.cat((made, mean), 1)) * weight).sum()
        coarse = (avg_pool2d(made, 8) - avg_pool2d(views.alpha, 8)).square().mean()
        optimizer.zero_grad()
        (0.1 * fooled + COARSE * coarse + MEAN * error).backward()
        optimizer.step()
        yield Progress(step, error.item())


class Encoder(nn.Module):
    """What chance did in a mark, as a normal distribution: alpha (B, 1, 64, 64) and its mean mark -> two (B, latent)."""

    def __init__(self, latent: int, width: int = 16) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in ((2, width), (width, 2 * width), (2 * width, 4 * width), (4 * width, 4 * width)):
            layers += [nn.Conv2d(before, after, 4, 2, 1), nn.SiLU()]
        self.body = nn.Sequential(*layers, nn.Flatten(), nn.Linear(4 * width * 4 * 4, 2 * latent))

    def forward(self, alpha: Tensor, mean: Tensor) -> tuple[Tensor, Tensor]:
        """The distribution's mean and the logarithm of its variance."""
        centre, spread = self.body(torch.cat((alpha, alpha - mean), 1)).chunk(2, 1)
        return centre, spread.clamp(-8, 4)


def fit_variationally(
    network: NeuralBrush,
    encoder: Encoder,
    optimizer: torch.optim.Optimizer,
    data: Dataset[Any],
    done: int = 0,
    learning_rate: float = 1e-3,
    workers: int = 0,
) -> Iterator[Progress]:
    """The paper's VAE, for a brush with latents: an encoder sees the true mark, the network draws it again.

    data: of each step `Views` of whole canvases (64 px) and random numbers (B, latent). Yields the alpha MSE of what is
    drawn with the encoder's help. `optimizer` has the weights of both.
    """
    device = next(network.parameters()).device
    for step, (views, (random,)) in supply(data, done, workers, device):
        set_rate(optimizer, learning_rate, step, len(data))  # type: ignore[arg-type]
        with torch.no_grad():
            mean = draw(network, views, StrokeNoise(torch.zeros_like(random), random[:, :2], None))
        centre, spread = encoder(views.alpha, mean)
        latent = centre + (spread / 2).exp() * random
        made = draw(network, views, StrokeNoise(latent, random[:, :2], None))
        error = (made - views.alpha).square().mean()
        divergence = (centre.square() + spread.exp() - 1 - spread).sum(1).mean() / 2
        optimizer.zero_grad()
        (error + PRIOR * divergence).backward()
        optimizer.step()
        yield Progress(step, error.item())


def draw(network: NeuralBrush, views: Views, stroke_noise: StrokeNoise | None = None, mean: bool = False) -> Tensor:
    """The network's alpha (B, 1, h, w) in the windows of `views`."""
    return network(views.strokes, views.size, views.window, stroke_noise, mean).alpha
