"""Draw a clip, paint it with strokes that persist, and compare with its frames painted alone.

    python -m experiments.figures.clip_sheet --out docs/images/clip.png --clip clip.mp4

The clip: a still picture with noise, and a red ball that rolls across it. Prints the error of a frame, and the mean
difference of consecutive frames where nothing moves, for both; writes the clip and a sheet of the first and the last frame
(the clip, persistent strokes, painted alone).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from tqdm.auto import tqdm

from experiments.cli import require, run
from experiments.figures.elements import contact_sheet, png_path
from painter import Painter
from painter.persistent import ClipConfig
from renderer.io.images import fit, read_image, to_bytes, write_png
from renderer.io.video import encode_mp4

BALL = (0.75, 0.16, 0.1)
RADIUS = 0.09  # of the ball, as a fraction of the short side


@dataclass(frozen=True)
class Config:
    """Contents of the clip, and how it is painted."""

    picture: str = "docs/images/hikime.png"
    """What does not move."""
    out: str = "clip.png"
    """The sheet to write."""
    clip: str | None = None
    """Write the clip to this MP4, too."""
    frames: int = 24
    noise: float = 0.02
    """Standard deviation of the noise of each frame."""
    size: int = 128
    """Pixels on the long side."""
    strokes: int = 200
    steps: int = ClipConfig.steps
    """Gradient steps for each frame after the first."""
    seed: int = 0


def compare(config: Config) -> None:
    """Draw a clip, paint it with strokes that persist, and compare with its frames painted alone."""
    require(config, frames=2, noise=0, size=16, strokes=1, steps=1)
    out = png_path(config.out)
    picture = fit(read_image(config.picture, config.size), config.size)
    frames = list(draw_clip(picture, config.frames, config.noise, config.seed))
    if config.clip is not None:
        even = [side - side % 2 for side in picture.shape[1:]]
        encode_mp4((to_bytes(frame[:, : even[0], : even[1]]) for frame in frames), config.clip)
    painter = Painter("agent")
    options: dict[str, Any] = {"strokes": config.strokes, "size": config.size, "seed": config.seed}
    follow = painter.paint_clip(frames, ClipConfig(steps=config.steps), **options)
    persistent = [frame.painting for frame in tqdm(follow, "Persistent strokes", len(frames), disable=None)]
    alone = [painter.paint(frame, **options) for frame in tqdm(frames, "Frames alone", disable=None)]
    still = still_area(picture)
    for name, paintings in (("persistent", persistent), ("alone", alone)):
        images = [painting.render() for painting in paintings]
        error = sum(float((a - b).square().mean()) for a, b in zip(images, frames, strict=True)) / len(frames)
        print(f"{name}: mean mse {error:.5f}, difference in still areas {flicker(images, still):.5f}")
    rows = [[frames[i], persistent[i].render(config.size), alone[i].render(config.size)] for i in (0, len(frames) - 1)]
    write_png(contact_sheet(rows, gap=3), out, colours=128, optimize=True)
    print(f"Wrote {out}.")


def draw_clip(picture: Tensor, count: int, noise: float = 0.02, seed: int = 0) -> Iterator[Tensor]:
    """Yield `count` frames of a ball that rolls from left to right over a noisy picture (3, H, W), at half height."""
    generator = torch.Generator().manual_seed(seed)
    height, width = picture.shape[1:]
    radius = RADIUS * min(height, width)
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    for i in range(count):
        middle = width * (0.15 + 0.7 * i / max(1, count - 1))
        inside = (radius + 0.5 - ((x - middle) ** 2 + (y - height / 2) ** 2).sqrt()).clamp(0, 1)
        frame = picture.lerp(picture.new_tensor(BALL)[:, None, None].expand_as(picture), inside)
        yield (frame + noise * torch.randn(picture.shape, generator=generator)).clamp(0, 1)


def still_area(picture: Tensor) -> Tensor:
    """(H, W) bool: what the ball does not come near."""
    height = picture.shape[1]
    y = (torch.arange(height) + 0.5 - height / 2).abs()
    return (y > 2 * RADIUS * min(picture.shape[1:]))[:, None].expand(picture.shape[1:])


def flicker(images: list[Tensor], area: Tensor) -> float:
    """The mean absolute difference of consecutive images (3, H, W) in an area (H, W)."""
    differences = [(a - b).abs()[:, area].mean() for a, b in pairwise(images)]
    return float(torch.stack(differences).mean())


if __name__ == "__main__":
    run(compare, Config, __doc__)
