"""Edit the strokes of a saved painting: recolour, remove, keep or reorder them.

    python -m experiments.edit paintings/face/strokes.safetensors --out blue.png --recolour '#c0392b=#2b7ac0'
    python -m experiments.edit paintings/face/strokes.safetensors --out dusk.safetensors --hue 20 --lightness -0.1
    python -m experiments.edit paintings/face/strokes.safetensors --out few.svg --remove 0:10 '#ffffff' --remove-least 50
    python -m experiments.edit paintings/face/strokes.safetensors --out ordered.mp4 --order size

Writes the edited painting in the format of --out: .safetensors to edit or continue it again, .png, .svg, .mp4 and all others
of replay and export. First strokes are chosen, by their numbers in the given painting; then they are recoloured,
then ordered.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
import tyro

from experiments.cli import run
from painter.editing import Order, move_colour, shift_colours, stroke_order
from painter.selection import TOLERANCE, least_important, select_strokes
from renderer.constraints import parse_colour
from renderer.errors import InputError
from renderer.io.painting import Painting


@dataclass(frozen=True)
class Config:
    """Options of an edit."""

    strokes: tyro.conf.Positional[str]
    """A painting's strokes.safetensors."""
    out: str
    """The file to write; its suffix names the format."""
    recolour: tuple[str, ...] = ()
    """Colours to replace, as '#c0392b=#2b7ac0'; colours near the first one move along."""
    tolerance: float = TOLERANCE
    """How far red, green and blue may lie from a colour that is replaced, removed or kept, in [0, 1]."""
    hue: float = 0.0
    """Degrees by which all hues turn: 120 makes red green."""
    lightness: float = 0.0
    """What is added to the lightness of all colours, in [-1, 1]."""
    background: str | None = None
    """The new colour of the background, '#c69c5a'."""
    remove: tuple[str, ...] = ()
    """Strokes to leave out: 0:100, the first hundred; -50:, the last fifty; or a colour, '#c0392b'."""
    remove_least: int = 0
    """How many strokes to leave out whose absence changes the painting least."""
    keep: tuple[str, ...] = ()
    """Strokes to keep, as for --remove; all others are left out."""
    order: Order | None = None
    """The order of the strokes: by colour (hue), by lightness (dark ones first), by size (large ones first), or reverse."""
    size: int | None = None
    """Pixels on the long side; 1,536 by default for images."""


def edit(config: Config) -> Path:
    """Edit the strokes of a saved painting. Raises `InputError`."""
    _check(config)
    before = painting = Painting.load(config.strokes)
    gone = torch.zeros(len(painting.strokes), dtype=torch.bool)
    for text in config.remove:
        gone |= select_strokes(painting, text, config.tolerance)
    if config.keep:
        kept = [select_strokes(painting, text, config.tolerance) for text in config.keep]
        gone |= ~torch.stack(kept).any(0)
    painting = painting.edit(remove=gone)
    if config.remove_least:
        painting = painting.edit(remove=least_important(painting, config.remove_least))
    for old, new in (pair.split("=") for pair in config.recolour):
        painting = painting.edit(recolour=partial(move_colour, old=old, new=new, tolerance=config.tolerance))
    if config.hue or config.lightness:
        painting = painting.edit(recolour=partial(shift_colours, hue=config.hue, lightness=config.lightness))
    if config.background is not None:
        painting = painting.edit(background=parse_colour(config.background))
    if config.order is not None:
        painting = painting.edit(order=stroke_order(painting, config.order))
    out = painting.export(config.out, size=config.size)
    print(f"Wrote {out}: {len(painting.strokes)} of {len(before.strokes)} strokes.")
    return out


def _check(config: Config) -> None:
    if not 0 <= config.tolerance <= 1:
        raise InputError(f"--tolerance must be between 0 and 1, not {config.tolerance}.")
    if not -1 <= config.lightness <= 1:
        raise InputError(f"--lightness must be between -1 and 1, not {config.lightness}.")
    if not math.isfinite(config.hue):
        raise InputError(f"--hue must be a number of degrees, not {config.hue}.")
    if config.remove_least < 0:
        raise InputError(f"--remove-least must be at least 0, not {config.remove_least}.")
    for pair in config.recolour:
        if pair.count("=") != 1:
            raise InputError(f"--recolour takes pairs such as '#c0392b=#2b7ac0', not {pair!r}.")
        for code in pair.split("="):
            parse_colour(code)


if __name__ == "__main__":
    run(edit, Config, __doc__)
