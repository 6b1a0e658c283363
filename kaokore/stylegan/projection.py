"""Project an image: find the style whose generated image is nearest to it.

Karras et al. (2020), "Analyzing and Improving the Image Quality of StyleGAN", appendix D.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from kaokore.loading import crop_square
from kaokore.stylegan.generator import FaceGenerator
from kaokore.stylegan.networks import CLASSES


@dataclass(frozen=True)
class ProjectionConfig:
    """Options of the optimisation."""

    space: Literal["w", "w+"] = "w+"
    """One style for all layers, or one for each layer, which is nearer to the image but less typical of the generator."""
    steps: int = 300
    learning_rate: float = 0.05
    """Of Adam, at its highest."""
    pixels: float = 5.0
    """Weight of the squared difference of pixels beside the perceptual distance."""
    noise: float = 1e4
    """Weight of the noise regularisation."""


@dataclass(frozen=True)
class ProjectionStep:
    """The state after an optimiser step.

    Attributes:
        step: From 1.
        loss: The distance that is minimised, without the noise regularisation.
        styles: w (1, L, D).
        noise: (1, 1, S, S) for each convolution.
    """

    step: int
    loss: float
    styles: Tensor
    noise: list[Tensor]

    @torch.no_grad()
    def image(self, generator: FaceGenerator) -> Tensor:
        """Generate the image (3, S, S) in [0, 1]."""
        return (generator.network(self.styles, self.noise)[0] / 2 + 0.5).clamp(0, 1).contiguous()


def project(
    generator: FaceGenerator,
    target: Tensor,
    perceptual: Callable[[Tensor, Tensor], Tensor],
    config: ProjectionConfig = ProjectionConfig(),
    *,
    seed: int = 0,
) -> Iterator[ProjectionStep]:
    """Optimise style and noise towards an image, yielding after each step.

    Adam starts from the mean style of the class whose mean face is nearest. The learning rate is warmed up and falls by a
    cosine; noise is added to the style, less and less over the first three quarters of the steps.

    Args:
        generator: On the device of `target`.
        target: (3, S, S) in [0, 1], S being the generator's size; see `fit_face`.
        perceptual: Distance (B,) of two batches of images (B, 3, S, S).
        config: Options of the optimisation.
        seed: Of the random numbers.
    """
    network, draws = generator.network, torch.Generator().manual_seed(seed)
    L = network.config.styles
    with torch.no_grad():
        z = network.draw_latent(1024, draws)
        deviation = network.mapping(z, torch.arange(1024, device=z.device) % CLASSES).std(0).mean()
        faces = network(network.means) / 2 + 0.5
        start = network.means[(faces - target).square().mean((1, 2, 3)).argmin()]
    w = start.expand(1, L if config.space == "w+" else 1, -1).clone().requires_grad_()
    noise = [part.requires_grad_() for part in network.draw_noise(1, draws)]
    optimizer = torch.optim.Adam([w, *noise], config.learning_rate, (0.9, 0.999))
    for step in range(config.steps):
        t = step / config.steps
        for group in optimizer.param_groups:
            ramp = min(1.0, (t + 1 / config.steps) / 0.05) * (0.5 - 0.5 * math.cos(math.pi * min(1.0, (1 - t) / 0.25)))
            group["lr"] = config.learning_rate * ramp
        strength = 0.05 * deviation * max(0.0, 1 - t / 0.75) ** 2
        perturbed = w + strength * torch.randn(w.shape, generator=draws).to(w.device)
        image = network(perturbed.expand(-1, L, -1), noise) / 2 + 0.5
        loss = perceptual(image, target[None]).sum() + config.pixels * (image - target).square().mean()
        optimizer.zero_grad()
        (loss + config.noise * autocorrelation(noise)).backward()
        optimizer.step()
        with torch.no_grad():
            for part in noise:
                part.sub_(part.mean()).mul_(part.square().mean().rsqrt())
        styles = w.detach().expand(-1, L, -1).clone()
        yield ProjectionStep(step + 1, loss.item(), styles, [part.detach().clone() for part in noise])


def autocorrelation(noise: list[Tensor]) -> Tensor:
    """Measure how far noise maps (1, 1, S, S) are from white noise, at all scales from 8 pixels on.

    The squared correlation of each map with itself, shifted by one pixel. Keeps the image from being encoded in the noise.
    """
    total = noise[0].new_zeros(())
    for part in noise:
        while part.shape[-1] >= 8:
            for dim in (2, 3):
                total = total + (part * part.roll(1, dim)).mean().square()
            part = F.avg_pool2d(part, 2) * 2
    return total


def fit_face(image: Tensor, side: int) -> Tensor:
    """Crop an image (3, H, W) to its middle square and resize it to (3, side, side), in [0, 1]."""
    middle = crop_square(image)[None]
    return F.interpolate(middle, (side, side), mode="bilinear", antialias=True, align_corners=False)[0].clamp(0, 1)
