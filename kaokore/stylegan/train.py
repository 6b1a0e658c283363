"""The training step of generator and discriminators; all random numbers are passed in.

Karras et al. (2020), "Analyzing and Improving the Image Quality of StyleGAN", with the adaptive augmentation of Karras
et al. (2020b), and a projected discriminator beside theirs or instead of it. Departures: all networks see the same
generated images in a step, which saves one pass of the generator; these have the classes of the step's real images; the
regularisers are added to a step's loss every few steps, and Adam's constants stay the same in between; R1 is computed at
the augmented images that the discriminator sees, because a warp has no second derivative here.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kaokore.loading import to_device
from kaokore.stylegan.augment import Changes, View, adapt, augment, draw_changes, draw_views, see
from kaokore.stylegan.data import Faces
from kaokore.stylegan.discriminator import Discriminator
from kaokore.stylegan.networks import Generator, NetworkConfig
from kaokore.stylegan.projected_discriminator import Projected, classification_loss, of_classes
from renderer.errors import InputError
from renderer.learned.ema import update_ema
from renderer.learned.processes import ALONE, Processes

Drawn = TypeVar("Drawn", Changes, View)
SOURCES = ("fakes", "reals")
Update = Callable[[dict[str, Tensor], bool, bool, bool, bool], dict[str, Tensor]]
"""`update_networks` with its first three arguments given: batch, penalise, path, joined, alone -> losses."""


@dataclass(frozen=True)
class TrainConfig:
    """Options of the training step."""

    batch: int = 16
    """Images per step."""
    learning_rate: float = 0.0025
    """Of Adam (betas 0 and .99), for generator and discriminator."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of convolutions and products. bfloat16 takes a fifth to a third less on CPUs with AMX; other CPUs may be slower."""
    balance: float = 0.0
    """0 trains on classes with their frequencies, 1 on equally many faces of each."""
    own: float = 1.0
    """Weight of StyleGAN2's discriminator; 0 leaves it out, and with it R1 and adaptive augmentation."""
    projected: float = 0.0
    """Weight of the projected discriminator, which sees features of EfficientNet-Lite0; 0 leaves it out."""
    projected_from: float = 0.0
    """Thousands of training images after which it is used."""
    projected_rate: float = 0.0005
    """Its learning rate."""
    classify: float = 0.0
    """Weight of a cross-entropy by which the projected discriminator tells classes apart, for it and the generator."""
    view: int = 64
    """Pixels that smaller images are enlarged to for it."""
    alone: float = 0.0
    """Thousands of training images in which only the discriminators learn: new ones would spoil a trained generator."""
    r1: float = 0.2
    """Weight gamma of R1, the penalty on the discriminator's gradient at real images (Mescheder et al. 2018)."""
    r1_every: int = 16
    """Steps between penalties, each of which is weighted by this number."""
    path: float = 2.0
    """Weight of path length regularisation."""
    path_every: int = 8
    """Steps between these, likewise; on half a batch."""
    mixing: float = 0.9
    """Probability that the later layers of an image get the style of another w."""
    ema: float = 10.0
    """Half-life of the generator's moving average, in thousands of training images; shorter at the start."""
    ada: float = 0.6
    """Target of r_t = E[sign D(real)], which controls the augmentation; 1 turns it off."""
    ada_speed: float = 200.0
    """Thousands of training images in which the probability of augmentation can go from 0 to 1."""


@dataclass
class State:
    """The numbers of a training that are not tensors.

    Attributes:
        shown: Real images shown so far.
        p: Probability of augmentation.
        r_t: Mean sign of the discriminator at real images, as last measured.
        seen: Real images since that measurement.
        before: Real images that the generator had been trained on before this training.
    """

    shown: int = 0
    p: float = 0.0
    r_t: float = 0.0
    seen: int = 0
    before: int = 0


class Networks(nn.Module):
    """All networks of a training, and the generator's moving average, which is the result.

    `path` (): the mean path length so far; `signs` (): the sum of the discriminator's signs at real images since r_t was
    measured. Initial weights are drawn from PyTorch's global generator of random numbers.

    Raises:
        InputError: The projected discriminator is wanted and Lite0's weights are not installed, or classes are to be told
            apart (`config.classify`) by networks without classes.
    """

    def __init__(self, networks: NetworkConfig, config: TrainConfig) -> None:
        super().__init__()
        if config.classify > 0 and not networks.conditional:
            raise InputError("--classify requires networks that are conditional on gender and status.")
        self.generator = Generator(networks)
        self.discriminator = Discriminator(networks) if config.own > 0 else None
        self.average = copy.deepcopy(self.generator).requires_grad_(False)
        self.projected = Projected(networks, config.view) if config.projected > 0 else None
        self.register_buffer("path", torch.zeros(()))
        self.register_buffer("signs", torch.zeros(()))
        self.path: Tensor
        self.signs: Tensor


def make_optimizers(networks: Networks, config: TrainConfig) -> dict[str, torch.optim.Optimizer]:
    """Make a fused Adam, as in the paper, for each trained network by name. The networks must stay on their device."""
    rates = {"generator": config.learning_rate}
    if networks.discriminator is not None:
        rates["discriminator"] = config.learning_rate
    if networks.projected is not None:
        rates["projected"] = config.projected_rate
    free = {name: [p for p in getattr(networks, name).parameters() if p.requires_grad] for name in rates}
    options: dict[str, Any] = {"betas": (0.0, 0.99), "eps": 1e-8, "fused": True, "capturable": networks.path.is_cuda}
    return {name: torch.optim.Adam(free[name], rates[name], **options) for name in rates}


def train_step(
    update: Update,
    networks: Networks,
    faces: Faces,
    config: TrainConfig,
    *,
    number: int,
    state: State,
    draws: torch.Generator,
    processes: Processes = ALONE,
) -> dict[str, Tensor]:
    """Take one step with all networks. Reads results back from a GPU in every fourth step only.

    Args:
        update: `update_networks` with its first three arguments given, or a CUDA graph of it (see `Recorded`).
        networks: The networks that `update` trains.
        faces: Training images, on the networks' device.
        config: Options of the step.
        number: Of the step, from 0.
        state: Updated in place.
        draws: Random numbers, on the CPU.
        processes: Those that share the training, as given to `update`.

    Returns:
        Losses () by name.
    """
    n, alone = config.batch, state.shown < 1000 * config.alone
    path = config.path > 0 and number % config.path_every == 0 and not alone
    penalise = config.own > 0 and config.r1 > 0 and number % config.r1_every == 0
    joined = networks.projected is not None and state.shown >= 1000 * config.projected_from
    batch = draw_batch(networks.generator, faces, config, p=state.p, path=path, draws=draws)
    batch = {name: processes.part(tensor, 1 if name == "z" else 0) for name, tensor in batch.items()}
    losses = update(batch, penalise, path, joined, alone)
    state.shown += n
    state.seen += n
    if number % 4 == 3 and config.own > 0:
        state.r_t = networks.signs.item() / state.seen
        if config.ada < 1:
            state.p = adapt(state.p, state.r_t, state.seen, target=config.ada, speed=1000 * config.ada_speed)
        networks.signs.zero_()
        state.seen = 0
    if not alone:
        update_ema(networks.average, networks.generator, ema_decay(n, state.before + state.shown, config.ema))
    return losses


def draw_batch(
    generator: Generator, faces: Faces, config: TrainConfig, *, p: float, path: bool, draws: torch.Generator
) -> dict[str, Tensor]:
    """Draw all random tensors of a step: real images, classes, latents, noise, augmentations.

    Images are in the order of their classes, so that discriminators compare images of one class with one another.

    Args:
        generator: The network; the tensors are sent to its device.
        faces: Training images.
        config: Options of the step.
        p: Probability of each augmentation.
        path: Whether path lengths are measured.
        draws: Random numbers, on the CPU.

    Returns:
        The tensors by name.
    """
    n, networks = config.batch, generator.config
    reals, classes = faces.draw(n, draws, config.balance)
    order = classes.argsort()
    drawn = {"reals": reals[to_device(order, reals.device)], "classes": classes[order]}
    drawn["z"] = torch.randn(2, n, networks.latent, generator=draws)
    drawn["late"] = draw_mixing(n, networks.styles, config.mixing, draws)
    if networks.noise:
        drawn |= {f"noise {i}": noise for i, noise in enumerate(generator.draw_noise(n, draws))}
    for source in SOURCES:
        if config.own > 0:
            changes = draw_changes(n, networks.size, p, draws)._asdict()
            drawn |= {f"{source} {name}": change for name, change in changes.items()}
        if config.projected > 0:
            view = draw_views(n, networks.size, draws)._asdict()
            drawn |= {f"{source} seen {name}": part for name, part in view.items()}
    if path:
        drawn["direction"] = torch.randn(max(1, n // 2), 3, networks.size, networks.size, generator=draws)
    return {name: to_device(tensor, generator.constant.device) for name, tensor in drawn.items()}


def update_networks(
    networks: Networks,
    optimizers: Mapping[str, torch.optim.Optimizer],
    config: TrainConfig,
    batch: dict[str, Tensor],
    penalise: bool,
    path: bool,
    joined: bool,
    alone: bool = False,
    processes: Processes = ALONE,
) -> dict[str, Tensor]:
    """Take one optimiser step of each network on a batch.

    Nothing here is random, comes from the CPU or waits for the GPU, so that it can be recorded as a CUDA graph.

    Args:
        networks: The networks to train.
        optimizers: By the name of their network, see `make_optimizers`.
        config: Options of the step.
        batch: See `draw_batch`.
        penalise: Add the R1 penalty.
        path: Add path length regularisation.
        joined: Use the projected discriminator.
        alone: Leave the generator as it is.
        processes: Those that share the training; `batch` is the part of this one.

    Returns:
        Losses () by name.
    """
    generator, discriminator = networks.generator, networks.discriminator
    projected = networks.projected if joined else None
    noise = [tensor for name, tensor in batch.items() if name.startswith("noise")] or None
    reals, classes = batch["reals"], batch["classes"]
    low = partial(torch.autocast, reals.device.type, torch.bfloat16) if config.precision == "bfloat16" else nullcontext
    losses: dict[str, Tensor] = {}

    loss = reals.new_zeros(())
    with low():
        w = mixed_styles(generator, batch["z"], classes, batch["late"])
        fakes = generator(w, noise).float()
    if discriminator is not None:
        discriminator.requires_grad_(False)
        augmented = augment(fakes, _part(Changes, batch, "fakes "))
        with low():
            scores = discriminator(augmented, classes)
        loss = F.softplus(-scores.float()).mean()  # non-saturating
        losses["generator"] = loss.detach()
        loss = config.own * loss
    if projected is not None:
        projected.judges.requires_grad_(False)
        with low():
            with torch.no_grad():
                real_seen = projected.features(see(reals, _part(View, batch, "reals seen ")))
                real_logits = of_classes(projected.logits(real_seen), classes)
            seen = projected.features(see(fakes, _part(View, batch, "fakes seen ")))
            logits = projected.logits(seen)
        loss = loss + config.projected * relativistic(of_classes(logits, classes), real_logits)
        if config.classify > 0:
            part = classification_loss(logits, classes)
            losses["class"] = part.detach()
            loss = loss + config.classify * part
    if path:
        half = len(batch["direction"])
        few = w[::2][:half].float()
        images = generator(few, noise and [part[::2][:half] for part in noise])
        lengths = path_lengths(images, few, batch["direction"])
        (mean,) = processes.average((), lengths.mean().detach())
        networks.path.lerp_(mean, 0.01 * config.path_every**0.5)
        loss = loss + config.path * config.path_every * (lengths - networks.path).square().mean()
        losses["path_length"] = mean
    if not alone:
        _descend(optimizers["generator"], loss, processes)

    if discriminator is not None:
        discriminator.requires_grad_(True)
        real = augment(reals, _part(Changes, batch, "reals "))
        with low():
            scores = discriminator(real.requires_grad_(penalise), classes).float()
            false = discriminator(augmented.detach(), classes).float()
        networks.signs.add_(processes.total(scores.detach().sign().sum()))
        loss = F.softplus(-scores).mean() + F.softplus(false).mean()
        losses["discriminator"] = loss.detach()
        if penalise:
            penalty = r1(scores, real)
            loss = loss + config.r1 / 2 * config.r1_every * penalty
            losses["r1"] = penalty.detach()
        _descend(optimizers["discriminator"], loss, processes)

    if projected is not None:
        projected.judges.requires_grad_(True)
        with low():
            real_all, fake_all = projected.logits(real_seen), projected.logits([x.detach() for x in seen])
        loss = relativistic(of_classes(real_all, classes), of_classes(fake_all, classes))
        losses["projected"] = loss.detach()
        if config.classify > 0:
            loss = loss + config.classify * classification_loss(real_all, classes)
        _descend(optimizers["projected"], loss, processes)
    return dict(zip(losses, processes.average((), *losses.values()), strict=True))


def relativistic(mine: list[Tensor], theirs: list[Tensor]) -> Tensor:
    """Compute the loss () of logits (B, K) at several depths that should be above others, pair by pair.

    Jolicoeur-Martineau (2019), "The Relativistic Discriminator"; Huang et al. (2024), "The GAN is dead; long live the
    GAN!": each generated face is compared with a real one, so that a generator that omits some real faces loses more than
    by a common threshold. Each depth counts the same, whatever its number K of positions.
    """
    return torch.stack([F.softplus(b - a).mean() for a, b in zip(mine, theirs, strict=True)]).mean()


def draw_mixing(n: int, styles: int, mixing: float, draws: torch.Generator) -> Tensor:
    """Draw which layers take the second style: (n, styles) bool.

    Args:
        n: Images.
        styles: Layers with a style.
        mixing: Probability that these are all layers from a random one on; otherwise there are none.
        draws: Random numbers, on the CPU.
    """
    cut = torch.randint(1, styles, (n, 1), generator=draws)
    cut = torch.where(torch.rand(n, 1, generator=draws) < mixing, cut, styles)
    return torch.arange(styles) >= cut


def mixed_styles(generator: Generator, z: Tensor, classes: Tensor, late: Tensor) -> Tensor:
    """Map latents z (2, B, D) and classes (B,) to styles w (B, L, D): those of z[1] where `late` (B, L) is true."""
    first, second = (generator.mapping(part, classes)[:, None] for part in z)
    return torch.where(late[:, :, None], second, first)


def r1(scores: Tensor, images: Tensor) -> Tensor:
    """Compute the mean squared norm of the gradient of scores (B,) with respect to images (B, 3, S, S)."""
    (gradient,) = torch.autograd.grad(scores.sum(), images, create_graph=True)
    return gradient.square().sum((1, 2, 3)).mean()


def path_lengths(images: Tensor, w: Tensor, direction: Tensor) -> Tensor:
    """Compute path lengths (B,) of images (B, 3, S, S) generated from w (B, L, D) (equation 4).

    `direction` (B, 3, S, S) is drawn from N(0, 1).
    """
    direction = direction / math.sqrt(images[0, 0].numel())
    (gradient,) = torch.autograd.grad((images * direction).sum(), w, create_graph=True)
    return (gradient.square().sum(2).mean(1) + 1e-12).sqrt()


def ema_decay(batch: int, shown: int, half_life: float) -> float:
    """Compute the decay per step of a moving average.

    `half_life` is in thousands of training images and is capped at a twentieth of those shown so far.

    >>> round(ema_decay(16, 10**6, 0.016), 3)
    0.5
    """
    return 0.5 ** (batch / max(1e-8, min(1000 * half_life, 0.05 * shown)))


def _descend(optimizer: torch.optim.Optimizer, loss: Tensor, processes: Processes) -> None:
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    processes.average(parameter for group in optimizer.param_groups for parameter in group["params"])
    optimizer.step()


def _part(kind: type[Drawn], batch: Mapping[str, Tensor], prefix: str) -> Drawn:
    return kind(*(batch[prefix + name] for name in kind._fields))
