"""How generator and discriminator learn from one another: one step at a time, everything that is random handed in.

Karras et al. (2020), "Analyzing and Improving the Image Quality of StyleGAN", with the adaptive augmentation of Karras
et al. (2020b). Departures: all players see the same dreamt pictures in a step, which saves one pass of the generator;
the regularisers are added to a step's loss every few steps, and Adam's constants stay the same in between; R1 looks at
the pictures that the discriminator sees, augmented, because a warp has no second derivative here.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from kaokore.stylegan.augment import Changes, adapt, augment, draw_changes, shift
from kaokore.stylegan.data import Faces, send
from kaokore.stylegan.discriminator import Discriminator
from kaokore.stylegan.networks import Generator, NetworkConfig
from kaokore.stylegan.projected_discriminator import Projected

WHOSE = ("dreams", "reals")
# Pixels at most that the projected discriminator's pictures are moved by. The strides of the network that it sees through
# have a lattice, whose knots would show as dots in all dreams.
SHIFT = 4
Teach = Callable[[dict[str, Tensor], bool, bool, bool], dict[str, Tensor]]


@dataclass(frozen=True)
class TrainConfig:
    """What the players follow."""

    batch: int = 16
    """Faces a step."""
    learning_rate: float = 0.0025
    """Of Adam (betas 0 and .99), for generator and discriminator."""
    projected: float = 0.0
    """How much a second discriminator counts, which looks through EfficientNet-Lite0; 0 does without it."""
    projected_from: float = 0.0
    """Thousands of faces after which it joins in."""
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
    """What a training knows besides tensors: faces shown, probability of augmentation, r_t, faces since it was measured."""

    shown: int = 0
    p: float = 0.0
    r_t: float = 0.0
    seen: int = 0


class Players(nn.Module):
    """All networks, and the generator's moving average, which is what dreams in the end.

    `path` (): the mean length of paths so far; `signs` (): the sum of the discriminator's signs at real faces since r_t
    was measured.
    """

    def __init__(self, networks: NetworkConfig, config: TrainConfig) -> None:
        """Draws the weights from PyTorch's generator of random numbers. Raises `InputError` without Lite0's weights."""
        super().__init__()
        self.generator, self.discriminator = Generator(networks), Discriminator(networks)
        self.average = copy.deepcopy(self.generator).requires_grad_(False)
        self.projected = Projected(networks) if config.projected > 0 else None
        self.register_buffer("path", torch.zeros(()))
        self.register_buffer("signs", torch.zeros(()))
        self.path: Tensor
        self.signs: Tensor


def optimizers_of(players: Players, config: TrainConfig) -> dict[str, torch.optim.Optimizer]:
    """Adam as in the paper, in one pass over the weights, for each player by name. The players stay on their device."""
    rates = {"generator": config.learning_rate, "discriminator": config.learning_rate}
    if players.projected is not None:
        rates["projected"] = config.projected_rate
    free = {name: [p for p in getattr(players, name).parameters() if p.requires_grad] for name in rates}
    options: dict[str, Any] = {"betas": (0.0, 0.99), "eps": 1e-8, "fused": True, "capturable": players.path.is_cuda}
    return {name: torch.optim.Adam(free[name], rates[name], **options) for name in rates}


def step(
    teach: Teach, players: Players, faces: Faces, config: TrainConfig, number: int, state: State, draws: torch.Generator
) -> dict[str, Tensor]:
    """Step `number` of all players; moves `state` on and returns losses () by name.

    `teach` is `learn` with its first three arguments given, or a recording of that. A GPU is waited for every fourth step
    only.
    """
    n, path = config.batch, config.path > 0 and number % config.path_every == 0
    penalise = config.r1 > 0 and number % config.r1_every == 0
    joined = players.projected is not None and state.shown >= 1000 * config.projected_from
    losses = teach(draw(players.generator, faces, config, state.p, path, draws), penalise, path, joined)
    state.shown += n
    state.seen += n
    if number % 4 == 3:
        state.r_t = players.signs.item() / state.seen
        if config.ada < 1:
            state.p = adapt(state.p, state.r_t, state.seen, config.ada, 1000 * config.ada_speed)
        players.signs.zero_()
        state.seen = 0
    follow(players.average, players.generator, decay_of(n, state.shown, config.ema))
    return losses


def draw(
    generator: Generator, faces: Faces, config: TrainConfig, p: float, path: bool, draws: torch.Generator
) -> dict[str, Tensor]:
    """All that is random in a step, by name, on the generator's device; `path` says whether paths are measured.

    Faces are in the order of their classes, so that discriminators compare faces of one class with one another.
    """
    n, networks = config.batch, generator.config
    reals, classes = faces.draw(n, draws)
    order = classes.argsort()
    drawn = {"reals": reals[send(order, reals.device)], "classes": classes[order]}
    drawn["wanted"] = faces.draw_classes(n, draws).sort().values
    drawn["z"] = torch.randn(2, n, networks.latent, generator=draws)
    drawn["late"] = draw_mixing(n, networks.styles, config.mixing, draws)
    if networks.noise:
        drawn |= {f"noise {i}": noise for i, noise in enumerate(generator.draw_noise(n, draws))}
    for whose in WHOSE:
        changes = draw_changes(n, networks.size, p, draws)._asdict()
        drawn |= {f"{whose} {name}": change for name, change in changes.items()}
        if config.projected > 0:
            drawn[f"{whose} shift"] = torch.randint(-SHIFT, SHIFT + 1, (n, 2), generator=draws)
    if path:
        drawn["direction"] = torch.randn(max(1, n // 2), 3, networks.size, networks.size, generator=draws)
    return {name: send(tensor, generator.constant.device) for name, tensor in drawn.items()}


def learn(
    players: Players,
    optimizers: Mapping[str, torch.optim.Optimizer],
    config: TrainConfig,
    drawn: dict[str, Tensor],
    penalise: bool,
    path: bool,
    joined: bool,
) -> dict[str, Tensor]:
    """One descent of each player on what was drawn.

    `penalise`: with R1; `path`: with path length regularisation; `joined`: with the projected discriminator.

    Nothing here is random, comes from the CPU or waits for the GPU, so that a GPU can record and repeat it.
    """
    generator, discriminator = players.generator, players.discriminator
    projected = players.projected if joined else None
    noise = [tensor for name, tensor in drawn.items() if name.startswith("noise")] or None
    changes, changes_of_reals = (Changes(*(drawn[f"{whose} {name}"] for name in Changes._fields)) for whose in WHOSE)
    wanted = drawn["wanted"]
    losses: dict[str, Tensor] = {}

    discriminator.requires_grad_(False)
    w = styles_of(generator, drawn["z"], wanted, drawn["late"])
    dreams = augment(generator(w, noise), changes)
    loss = F.softplus(-discriminator(dreams, wanted)).mean()  # non-saturating
    losses["generator"] = loss.detach()
    if projected is not None:
        projected.judges.requires_grad_(False)
        seen = projected.see(shift(dreams, drawn["dreams shift"]))
        loss = loss - config.projected * projected.judge(seen, wanted).mean()
    if path:
        half = len(drawn["direction"])
        few = w[::2][:half]
        pictures = generator(few, noise and [part[::2][:half] for part in noise])
        lengths = path_lengths(pictures, few, drawn["direction"])
        mean = lengths.mean().detach()
        players.path.lerp_(mean, 0.01 * config.path_every**0.5)
        loss = loss + config.path * config.path_every * (lengths - players.path).square().mean()
        losses["path_length"] = mean
    _descend(optimizers["generator"], loss)

    discriminator.requires_grad_(True)
    reals = augment(drawn["reals"], changes_of_reals)
    scores = discriminator(reals.requires_grad_(penalise), drawn["classes"])
    players.signs.add_(scores.detach().sign().sum())
    loss = F.softplus(-scores).mean() + F.softplus(discriminator(dreams.detach(), wanted)).mean()
    losses["discriminator"] = loss.detach()
    if penalise:
        penalty = r1(scores, reals)
        loss = loss + config.r1 / 2 * config.r1_every * penalty
        losses["r1"] = penalty.detach()
    _descend(optimizers["discriminator"], loss)

    if projected is not None:
        projected.judges.requires_grad_(True)
        with torch.no_grad():
            seen_reals = projected.see(shift(reals, drawn["reals shift"]))
        loss = F.relu(1 - projected.judge(seen_reals, drawn["classes"])).mean()  # hinge
        loss = loss + F.relu(1 + projected.judge([features.detach() for features in seen], wanted)).mean()
        losses["projected"] = loss.detach()
        _descend(optimizers["projected"], loss)
    return losses


def draw_mixing(n: int, styles: int, mixing: float, draws: torch.Generator) -> Tensor:
    """(n, styles) bool: the layers that have the second style; with probability `mixing`, those from a random one on."""
    cut = torch.randint(1, styles, (n, 1), generator=draws)
    cut = torch.where(torch.rand(n, 1, generator=draws) < mixing, cut, styles)
    return torch.arange(styles) >= cut


def styles_of(generator: Generator, z: Tensor, classes: Tensor, late: Tensor) -> Tensor:
    """w (B, L, D) of z (2, B, D) and classes (B,): the second one's where `late` (B, L) is true."""
    first, second = (generator.mapping(part, classes)[:, None] for part in z)
    return torch.where(late[:, :, None], second, first)


def r1(scores: Tensor, pictures: Tensor) -> Tensor:
    """Mean squared norm of the gradient of scores (B,) with respect to pictures (B, 3, S, S): a scalar to minimise."""
    (gradient,) = torch.autograd.grad(scores.sum(), pictures, create_graph=True)
    return gradient.square().sum((1, 2, 3)).mean()


def path_lengths(pictures: Tensor, w: Tensor, direction: Tensor) -> Tensor:
    """(B,): how far pictures (B, 3, S, S) move in a direction of N(0, 1) when w (B, L, D) does (equation 4)."""
    direction = direction / math.sqrt(pictures[0, 0].numel())
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
    get_ema_multi_avg_fn(decay)(list(average.parameters()), list(network.parameters()), None)


def _descend(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
