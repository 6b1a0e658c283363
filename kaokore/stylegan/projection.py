"""Find the dream that is nearest to a given face."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
import tyro
from safetensors.torch import save_file
from torch import Tensor
from tqdm import tqdm

from experiments.cli import choose_device, picture_path, require
from kaokore.stylegan.generator import Dreamer, load_dreamer
from kaokore.stylegan.networks import CLASSES
from painter.losses.perceptual import Perceptual
from renderer.errors import InputError
from renderer.io.files import atomic, check_writable
from renderer.io.images import read_image, write_png


@dataclass(frozen=True)
class Project:
    """Find the dream that is nearest to a given face."""

    face: Annotated[str, tyro.conf.Positional]
    """A picture, or kaokore:ID. What is not square is cut around the middle."""
    checkpoint: str = "stylegan"
    """A file that train wrote, or a shipped one's name."""
    out: str = "projection"
    """Folder: projection.png, pair.png, w.safetensors, projection.json."""
    space: Literal["w", "w+"] = "w+"
    """One style for all layers, or one for each, which comes nearer and is less of a dream."""
    steps: int = 300
    learning_rate: float = 0.05
    """Of Adam, at its highest."""
    pixels: float = 5.0
    """Weight of the squared difference of pixels beside the perceptual distance."""
    noise: float = 1e4
    """Weight of the noise regularisation."""
    seed: int = 0
    device: str = "auto"
    root: str | None = None
    """KaoKore's folder for kaokore:ID; else KAOKORE_ROOT, else data/kaokore."""


def project(config: Project) -> Path:
    """Writes the nearest dream and its error; returns the folder. Raises `InputError` or `DatasetError`."""
    require(config, steps=1, pixels=0, noise=0)
    if not 0 < config.learning_rate < math.inf:
        raise InputError(f"--learning-rate must be a positive number, not {config.learning_rate}.")
    device = choose_device(config.device)
    dreamer = load_dreamer(config.checkpoint, device)
    side = dreamer.generator.config.size
    target = square(read_image(picture_path(config.face, config.root), side), side).to(device)
    out = Path(config.out)
    check_writable(out)
    w, noise, picture, distance = nearest(dreamer, target, config)
    mse = (picture - target).square().mean().item()
    figures = {"mse": mse, "perceptual": distance, "space": config.space, "steps": config.steps, "face": config.face}
    write_png(picture, out / "projection.png")
    write_png(torch.cat((target, picture), 2), out / "pair.png")
    with atomic(out / "w.safetensors") as temporary:
        save_file({"w": w.cpu(), **{f"noise/{i}": n.cpu() for i, n in enumerate(noise)}}, temporary)
    with atomic(out / "projection.json") as temporary:
        temporary.write_text(json.dumps(figures) + "\n")
    print(f"{out}/pair.png: mse {mse:.5f}, perceptual distance {distance:.3f}; w is in {out}/w.safetensors.")
    return out


def nearest(dreamer: Dreamer, target: Tensor, config: Project) -> tuple[Tensor, list[Tensor], Tensor, float]:
    """w (1, L, D), noise, the dream (3, S, S) in [0, 1] and its perceptual distance to the target (3, S, S).

    Karras et al. (2020), appendix D: from the mean style, Adam on style and noise maps, the learning rate warmed up and
    let down by a cosine, the style shaken less and less over the first three quarters. The mean is of the class whose
    mean face is nearest.
    """
    generator, draws = dreamer.generator, torch.Generator().manual_seed(config.seed)
    perceptual = Perceptual().to(target.device)
    L = generator.config.styles
    with torch.no_grad():
        z = generator.draw_latent(1024, draws)
        deviation = generator.mapping(z, torch.arange(1024, device=z.device) % CLASSES).std(0).mean()
        faces = generator(generator.means) / 2 + 0.5
        start = generator.means[(faces - target).square().mean((1, 2, 3)).argmin()]
    w = start.expand(1, L if config.space == "w+" else 1, -1).clone().requires_grad_()
    noise = [part.requires_grad_() for part in generator.draw_noise(1, draws)]
    optimizer = torch.optim.Adam([w, *noise], config.learning_rate, (0.9, 0.999))
    for step in tqdm(range(config.steps), desc="projection", leave=False):
        t = step / config.steps
        for group in optimizer.param_groups:
            ramp = min(1.0, (t + 1 / config.steps) / 0.05) * (0.5 - 0.5 * math.cos(math.pi * min(1.0, (1 - t) / 0.25)))
            group["lr"] = config.learning_rate * ramp
        shake = 0.05 * deviation * max(0.0, 1 - t / 0.75) ** 2
        shaken = w + shake * torch.randn(w.shape, generator=draws).to(w.device)
        picture = generator(shaken.expand(-1, L, -1), noise) / 2 + 0.5
        loss = perceptual(picture, target[None]).sum() + config.pixels * (picture - target).square().mean()
        optimizer.zero_grad()
        (loss + config.noise * correlation(noise)).backward()
        optimizer.step()
        with torch.no_grad():
            for part in noise:
                part.sub_(part.mean()).mul_(part.square().mean().rsqrt())
    with torch.no_grad():
        styles = w.expand(-1, L, -1).contiguous()
        picture = (generator(styles, noise)[0] / 2 + 0.5).clamp(0, 1).contiguous()
        return styles, [part.detach() for part in noise], picture, perceptual(picture[None], target[None]).item()


def correlation(noise: list[Tensor]) -> Tensor:
    """How far noise maps (1, 1, S, S) are from white, at all scales from 8 pixels on: so that they hide no picture.

    Karras et al. (2020), appendix D: squared correlation of each map with itself, shifted by one pixel.
    """
    total = noise[0].new_zeros(())
    for part in noise:
        while part.shape[-1] >= 8:
            for dim in (2, 3):
                total = total + (part * part.roll(1, dim)).mean().square()
            part = F.avg_pool2d(part, 2) * 2
    return total


def square(picture: Tensor, side: int) -> Tensor:
    """(3, H, W) -> (3, side, side): the middle, resized by area averaging."""
    height, width = picture.shape[1:]
    least = min(height, width)
    top, left = (height - least) // 2, (width - least) // 2
    middle = picture[None, :, top : top + least, left : left + least]
    return F.interpolate(middle, (side, side), mode="bilinear", antialias=True, align_corners=False)[0].clamp(0, 1)
