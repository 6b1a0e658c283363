"""The three training objectives of a neural brush (Nakano 2019): reconstruction, adversarial, variational."""

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
MEAN, COARSE = 10.0, 10.0  # weights of the two reconstruction losses beside the critic's loss
PRIOR = 2e-4  # weight of the Kullback-Leibler divergence: a few bits of latents against thousands of pixels


def point_loss(network: nn.Module, points: Points) -> Tensor:
    """Reconstruction: alpha MSE at points of strokes; of a brush with grain, that of its mean."""
    assert isinstance(network, NeuralBrush)
    alpha = network.at(points.strokes, points.size, points.owner, points.x, points.y, mean=True)
    return (alpha - points.alpha).square().mean()


class Critic(nn.Module):
    """Scores windows (B, 2, h, w) of an alpha and the mean alpha of the same stroke -> (B, 1, h / 4, w / 4).

    The second channel conditions the critic on the stroke.
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
        scores: Tensor = self.body(2 * views - 1)
        return scores


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
    """Train a brush with grain as the paper's GAN; yields the alpha MSE of the mean after each step.

    Hinge loss with a patch critic and spectral norms (Miyato et al. 2018). The mean is trained by reconstruction at the
    same time; the grain is free, but its averages over squares of 8 pixels are those of the reference brush.

    Args:
        network: a brush with grain.
        critic: scores real and generated windows.
        optimizer: over the network's weights.
        critic_optimizer: over the critic's weights.
        data: for each step `Points`, `Views` and normal tensors (2, TILE, TILE) and (B, 2), see `RandomNormals`.
        done: how many steps were taken before.
        learning_rate: of both, at the start; it falls linearly to zero.
        workers: processes that compute batches.
    """
    device = next(network.parameters()).device
    for step, (points, views, (noise, shift)) in supply(data, done, workers, device):
        set_rate(optimizer, learning_rate, step, len(data))  # type: ignore[arg-type]
        set_rate(critic_optimizer, learning_rate, step, len(data))  # type: ignore[arg-type]
        assert network.grain is not None
        stroke_noise = StrokeNoise(noise.new_zeros(len(shift), network.latent), shift * TILE, network.grain.tile(noise))
        with torch.no_grad():
            mean = draw(network, views, mean=True)
        generated = draw(network, views, stroke_noise)
        visible = (avg_pool2d(mean, 4) > 0.01).float()  # elsewhere there is nothing to score
        weight = visible / (visible.sum() + 1e-6)

        real_score = critic(torch.cat((views.alpha, mean), 1))
        generated_score = critic(torch.cat((generated.detach(), mean), 1))
        critic_loss = ((relu(1 - real_score) + relu(1 + generated_score)) * weight).sum()
        critic_optimizer.zero_grad()
        critic_loss.backward()
        critic_optimizer.step()

        error = point_loss(network, points)
        adversarial = -(critic(torch.cat((generated, mean), 1)) * weight).sum()
        coarse = (avg_pool2d(generated, 8) - avg_pool2d(views.alpha, 8)).square().mean()
        optimizer.zero_grad()
        (0.1 * adversarial + COARSE * coarse + MEAN * error).backward()
        optimizer.step()
        yield Progress(step, error.item())


class Encoder(nn.Module):
    """Encodes the noise of marks: alpha and mean alpha (B, 1, 64, 64) -> a normal distribution, two (B, latent)."""

    def __init__(self, latent: int, width: int = 16) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in ((2, width), (width, 2 * width), (2 * width, 4 * width), (4 * width, 4 * width)):
            layers += [nn.Conv2d(before, after, 4, 2, 1), nn.SiLU()]
        self.body = nn.Sequential(*layers, nn.Flatten(), nn.Linear(4 * width * 4 * 4, 2 * latent))

    def forward(self, alpha: Tensor, mean: Tensor) -> tuple[Tensor, Tensor]:
        """The mean and the logarithm of the variance."""
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
    """Train a brush with latents as the paper's VAE; yields the alpha MSE of the reconstruction after each step.

    Args:
        network: a brush with latents, the decoder.
        encoder: sees the reference mark.
        optimizer: over the weights of both.
        data: for each step `Views` of whole canvases (64 px) and a normal tensor (B, latent).
        done: how many steps were taken before.
        learning_rate: at the start; it falls linearly to zero.
        workers: processes that compute batches.
    """
    device = next(network.parameters()).device
    for step, (views, (random,)) in supply(data, done, workers, device):
        set_rate(optimizer, learning_rate, step, len(data))  # type: ignore[arg-type]
        with torch.no_grad():
            mean = draw(network, views, StrokeNoise(torch.zeros_like(random), random[:, :2], None))
        centre, spread = encoder(views.alpha, mean)
        latent = centre + (spread / 2).exp() * random
        drawn = draw(network, views, StrokeNoise(latent, random[:, :2], None))
        error = (drawn - views.alpha).square().mean()
        divergence = (centre.square() + spread.exp() - 1 - spread).sum(1).mean() / 2
        optimizer.zero_grad()
        (error + PRIOR * divergence).backward()
        optimizer.step()
        yield Progress(step, error.item())


def draw(network: NeuralBrush, views: Views, stroke_noise: StrokeNoise | None = None, mean: bool = False) -> Tensor:
    """Draw the strokes of `views` in their windows: alpha (B, 1, h, w)."""
    return network(views.strokes, views.size, views.window, stroke_noise, mean).alpha
