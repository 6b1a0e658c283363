"""Faces that no scroll ever held: dreamt one by one, from one into another, and mixed of two."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

from experiments.cli import require
from kaokore.stylegan.generator import Dream, begin, grid
from kaokore.stylegan.interpolation import write_film
from renderer.errors import InputError
from renderer.io.files import atomic, check_writable
from renderer.io.images import write_png

LARGEST = 1024  # pixels of a film's side


@dataclass(frozen=True)
class Sample(Dream):
    """Dream faces; each becomes a picture that `python -m experiments.repaint` can paint."""

    out: str = "dreams"
    """Folder: grid.png, w.safetensors, and the faces in faces/."""
    n: int = 16
    """How many."""


@dataclass(frozen=True)
class Interpolate(Dream):
    """Dream one face into another and back to the first: a film that may loop for ever."""

    out: str = "dream.mp4"
    """The film, .mp4 or .gif."""
    n: int = 6
    """Faces on the way."""
    seconds: float = 2.0
    """From one to the next."""
    video_size: int = 256
    """Pixels of the film's side."""


@dataclass(frozen=True)
class Mix(Dream):
    """Mix the coarse styles of some faces with the fine styles of others (Karras et al. 2019, figure 3)."""

    out: str = "mix.png"
    """The grid: in its first column what gives shape, in its first row what gives colour and detail."""
    rows: int = 4
    columns: int = 6
    layers: int | None = None
    """First layers that come from the first column's face; half by default."""


def sample(config: Sample) -> Path:
    """Writes the faces and returns their folder. Raises `InputError`."""
    require(config, n=1)
    dreamer, draws = begin(config)
    out = Path(config.out)
    w = dreamer.styles(config.n, config, draws)
    check_writable(out)
    pictures = dreamer.paint(w, draws)
    for i, picture in enumerate(pictures):
        write_png(picture, out / "faces" / f"dream-{i:04d}.png")
    write_png(grid(pictures), out / "grid.png")
    with atomic(out / "w.safetensors") as temporary:
        save_file({"w": w.cpu().contiguous()}, temporary)
    print(f"{out}/grid.png: {len(pictures)} faces; `python -m experiments.repaint {out}/faces` paints them.")
    return out


def interpolate(config: Interpolate) -> Path:
    """Writes the film and returns its path. Raises `InputError`."""
    require(config, n=2, seconds=0.1, video_size=16)
    if config.video_size > LARGEST:
        raise InputError(f"--video-size must be at most {LARGEST}, not {config.video_size}.")
    dreamer, draws = begin(config)
    corners = dreamer.styles(config.n, config, draws)

    def frames(fps: float) -> list[Tensor]:
        w = walk(corners, max(1, round(config.seconds * fps)))
        pictures = dreamer.paint(w)  # without noise, which would boil
        size = (config.video_size, config.video_size)
        return [F.interpolate(picture[None], size, mode="bicubic", align_corners=False)[0] for picture in pictures]

    path = write_film(frames, config.out)
    print(f"{path}: {config.n} faces and back; open it in any browser.")
    return path


def walk(corners: Tensor, between: int) -> Tensor:
    """A closed smooth way through styles (n, D): (n * between, D), at each corner every `between` steps.

    Catmull-Rom splines: the end goes over into the beginning with no jump and no corner. In w, where straight lines are
    what the path length regulariser made smooth.
    """
    t = (torch.arange(between, device=corners.device) / between)[:, None, None]
    a, b, c, d = (corners.roll(shift, 0) for shift in (1, 0, -1, -2))
    way = b + t / 2 * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))
    return way.transpose(0, 1).flatten(0, 1)


def mix(config: Mix) -> Path:
    """Writes the grid and returns its path. Raises `InputError`."""
    require(config, rows=1, columns=1)
    dreamer, draws = begin(config)
    L = dreamer.generator.config.styles
    layers = L // 2 if config.layers is None else config.layers
    if not 0 <= layers <= L:
        raise InputError(f"--layers must be between 0 and {L}, not {layers}.")
    rows, columns = (dreamer.styles(n, config, draws) for n in (config.rows, config.columns))
    coarse = torch.arange(L, device=rows.device)[:, None] < layers
    mixed = torch.where(coarse, rows[:, None, None], columns[None, :, None])
    left, top, inside = dreamer.paint(rows), dreamer.paint(columns), dreamer.paint(mixed.flatten(0, 1))
    lines = [torch.cat((torch.ones_like(top[:1]), top))]
    lines += [torch.cat((left[i : i + 1], line)) for i, line in enumerate(inside.split(config.columns))]
    write_png(grid(torch.cat(lines), config.columns + 1), config.out)
    print(f"{config.out}: shape from the left, colour and detail from above.")
    return Path(config.out)
