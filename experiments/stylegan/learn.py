"""How generator and discriminator learn from one another: one step at a time, everything that is random handed in.

Karras et al. (2020), "Analyzing and Improving the Image Quality of StyleGAN", with the adaptive augmentation of Karras
et al. (2020b). Departures: all players see the same dreamt pictures in a step, which saves one pass of the generator;
the regularisers are added to a step's loss every few steps, and Adam's constants stay the same in between; R1 looks at
the pictures that the discriminator sees, augmented, because a warp has no second derivative here.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from experiments.stylegan.augment import adapt, augment
from experiments.stylegan.data import Faces
from experiments.stylegan.discriminator import Discriminator
from experiments.stylegan.networks import Generator, NetworkConfig
from experiments.stylegan.projected import Projected


@dataclass(frozen=True)
class LearnConfig:
    """What the players follow."""

    batch: int = 16
    """Faces a step."""
    learning_rate: float = 0.0025
    """Of Adam (betas 0 and .99), for generator and discriminator."""
    projected: float = 0.0
    """How much a second discriminator counts, which looks through EfficientNet-Lite0; 0 does without it."""
    projected_rate: float = 0.0002
    """Learning rate of that."""
    r1: float = 0.2
    """Weight gamma of R1, the penalty on the discriminator's gradient at real faces (Mescheder et al. 2018)."""
    r1_every: int = 16
    """Steps between penalties, each of which counts as many times as much."""
    path: float = 2.0
    """Weight of path length regularisation."""
    path_every: int = 8
    """Steps between these, likewise; on half a batch."""
    mixing: float = 0.9
    """Probability that a dream takes its later layers' style from another w."""
    ema: float = 10.0
    """Half-life of the moving average of the generator, in thousands of faces; shorter at the start."""
    ada: float = 0.6
    """Target of r_t = E[sign D(real)], which the augmentation is steered by; 1 turns it off."""
    ada_speed: float = 200.0
    """Thousands of faces in which the probability of augmentation can go from 0 to 1."""


@dataclass
class State:
    """What a training knows besides weights: faces shown, probability of augmentation, mean path length, signs seen."""

    shown: int = 0
    p: float = 0.0
    path: float = 0.0
    signs: float = 0.0
    signs_seen: int = 0
    r_t: float = 0.0


class Players(nn.Module):
    """All networks, and the generator's moving average, which is what dreams in the end."""

    def __init__(self, networks: NetworkConfig, config: LearnConfig) -> None:
        """Draws the weights from PyTorch's generator of random numbers. Raises `InputError` without Lite0's weights."""
        super().__init__()
        self.generator, self.discriminator = Generator(networks), Discriminator(networks)
        self.average = copy.deepcopy(self.generator).requires_grad_(False)
        self.projected = Projected(networks) if config.projected > 0 else None


def optimizers_of(players: Players, config: LearnConfig) -> dict[str, torch.optim.Optimizer]:
    """Adam as in the paper, in one pass over the weights, for each player by name."""
    rates = {"generator": config.learning_rate, "discriminator": config.learning_rate}
    if players.projected is not None:
        rates["projected"] = config.projected_rate
    free = {name: [p for p in getattr(players, name).parameters() if p.requires_grad] for name in rates}
    return {name: torch.optim.Adam(free[name], rates[name], (0.0, 0.99), 1e-8, fused=True) for name in rates}


def step(
    players: Players,
    optimizers: Mapping[str, torch.optim.Optimizer],
    faces: Faces,
    config: LearnConfig,
    number: int,
    state: State,
    draws: torch.Generator,
) -> dict[str, float]:
    """Step `number` of all players; moves `state` on and returns losses by name."""
    generator, discriminator, projected = players.generator, players.discriminator, players.projected
    device = generator.constant.device
    n = config.batch
    reals, classes = (thing.to(device) for thing in faces.draw(n, draws))
    wanted = faces.draw_classes(n, draws).to(device)
    losses: dict[str, float] = {}

    discriminator.requires_grad_(False)
    dreams = generator(draw_styles(generator, wanted, config.mixing, draws), generator.draw_noise(n, draws))
    shown = augment(dreams, state.p, draws)
    loss = F.softplus(-discriminator(shown, wanted)).mean()  # non-saturating
    losses["generator"] = loss.item()
    if projected is not None:
        projected.judges.requires_grad_(False)
        seen = projected.see(shown)
        loss = loss - config.projected * projected.judge(seen, wanted).mean()
    if config.path > 0 and number % config.path_every == 0:
        w = draw_styles(generator, wanted[: max(1, n // 2)], config.mixing, draws)
        lengths = path_lengths(generator(w, generator.draw_noise(len(w), draws)), w, draws)
        state.path += 0.01 * config.path_every**0.5 * (lengths.mean().item() - state.path)
        loss = loss + config.path * config.path_every * (lengths - state.path).square().mean()
        losses["path_length"] = lengths.mean().item()
    _descend(optimizers["generator"], loss)

    discriminator.requires_grad_(True)
    reals = augment(reals, state.p, draws)
    penalise = config.r1 > 0 and number % config.r1_every == 0
    real_scores = discriminator(reals.requires_grad_(penalise), classes)
    loss = F.softplus(-real_scores).mean()
    loss = loss + F.softplus(discriminator(shown.detach(), wanted)).mean()
    losses["discriminator"] = loss.item()
    if penalise:
        penalty = r1(real_scores, reals)
        loss = loss + config.r1 / 2 * config.r1_every * penalty
        losses["r1"] = penalty.item()
    _descend(optimizers["discriminator"], loss)

    if projected is not None:
        projected.judges.requires_grad_(True)
        with torch.no_grad():
            seen_reals = projected.see(reals)
        loss = F.relu(1 - projected.judge(seen_reals, classes)).mean()  # hinge
        loss = loss + F.relu(1 + projected.judge([features.detach() for features in seen], wanted)).mean()
        losses["projected"] = loss.item()
        _descend(optimizers["projected"], loss)

    state.shown += n
    state.signs += real_scores.detach().sign().sum().item()
    state.signs_seen += n
    if number % 4 == 3:
        state.r_t = state.signs / state.signs_seen
        if config.ada < 1:
            state.p = adapt(state.p, state.r_t, state.signs_seen, config.ada, 1000 * config.ada_speed)
        state.signs, state.signs_seen = 0.0, 0
    follow(players.average, generator, decay_of(n, state.shown, config.ema))
    return losses


def draw_styles(generator: Generator, classes: Tensor, mixing: float, draws: torch.Generator) -> Tensor:
    """w (B, L, D) of random z; with probability `mixing`, layers from a random one on have the w of another z."""
    n, L = len(classes), generator.config.styles
    first, second = (generator.mapping(generator.draw_latent(n, draws), classes)[:, None] for _ in range(2))
    cut = torch.randint(1, L, (n, 1), generator=draws)
    cut = torch.where(torch.rand(n, 1, generator=draws) < mixing, cut, L).to(classes.device)
    return torch.where((torch.arange(L, device=classes.device) < cut)[:, :, None], first, second)


def r1(scores: Tensor, pictures: Tensor) -> Tensor:
    """Mean squared norm of the gradient of scores (B,) with respect to pictures (B, 3, S, S): a scalar to minimise."""
    (gradient,) = torch.autograd.grad(scores.sum(), pictures, create_graph=True)
    return gradient.square().sum((1, 2, 3)).mean()


def path_lengths(pictures: Tensor, w: Tensor, draws: torch.Generator) -> Tensor:
    """(B,): how far pictures (B, 3, S, S) move when w (B, L, D) does, in a random direction of pictures (equation 4)."""
    direction = torch.randn(pictures.shape, generator=draws).to(pictures.device) / math.sqrt(pictures[0, 0].numel())
    (gradient,) = torch.autograd.grad((pictures * direction).sum(), w, create_graph=True)
    return (gradient.square().sum(2).mean(1) + 1e-12).sqrt()


def decay_of(batch: int, shown: int, half_life: float) -> float:
    """Of the moving average: `half_life` thousand faces, but at most a twentieth of those shown so far.

    >>> round(decay_of(16, 10**6, 0.016), 3)
    0.5
    """
    return 0.5 ** (batch / max(1e-8, min(1000 * half_life, 0.05 * shown)))


@torch.no_grad()
def follow(average: nn.Module, network: nn.Module, decay: float) -> None:
    """Moves `average` towards `network`: the exponential moving average of weights."""
    for mean, now in zip(average.parameters(), network.parameters(), strict=True):
        mean.lerp_(now, 1 - decay)


def _descend(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
