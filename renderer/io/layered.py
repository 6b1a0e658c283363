"""Layers of a painting: consecutive strokes with a name, each drawn on transparency, for programs that edit layers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from renderer.brush import Brush
from renderer.errors import InputError

if TYPE_CHECKING:
    from renderer.io.painting import Painting

MOST_LAYERS = 500  # more than a person looks through, and each holds a picture


@dataclass(frozen=True)
class Layer:
    """Strokes `first` to `end` (exclusive) of a painting, counted from 0, under a name."""

    name: str
    first: int
    end: int


def layers_of(painting: Painting, every: int | None = None) -> list[Layer]:
    """Split a painting into layers, from the lowest to the highest; a painting without strokes has none.

    Args:
        painting: its provenance may record `layers`, pairs of a name and a number of strokes: masses and lines of the
            method `lines`, rounds of the method `agent`.
        every: strokes in each layer, whatever is recorded. By default, and where nothing is recorded that fits, strokes of
            several brushes are split where the brush changes between the first and the last; others are one layer.

    Raises:
        InputError: for less than one stroke a layer, and for more than 500 layers.
    """
    count = len(painting.strokes)
    if every is not None:
        if every < 1:
            raise InputError(f"A layer has 1 stroke at least, not {every}.")
        if count > every * MOST_LAYERS:
            raise InputError(f"{count} strokes give more than {MOST_LAYERS} layers of {every}; put more in each.")
        firsts = list(range(0, count, every))
        return [
            Layer(f"strokes {first + 1}-{min(first + every, count)}", first, min(first + every, count))
            for first in firsts
        ]
    return _recorded(painting.provenance.get("layers"), count) or _by_brush(painting)


def _recorded(record: object, count: int) -> list[Layer]:
    """The layers that a provenance records; none if the record does not fit, because a file may say anything."""
    layers, first = [], 0
    if not isinstance(record, list) or len(record) > MOST_LAYERS:
        return []
    for entry in record:
        match entry:
            case [str(name), int(strokes)] if strokes > 0:
                layers.append(Layer(_printable(name), first, first + strokes))
                first += strokes
            case _:
                return []
    return layers if first == count else []


def _printable(name: str) -> str:
    return re.sub(r"[^\w .,+-]", "", name)[:60] or "strokes"


def _by_brush(painting: Painting) -> list[Layer]:
    """Masses of the first brush and lines of the last where a painting changes once from one to the other."""
    count = len(painting.strokes)
    if count and "brush" in painting.space:
        last = painting.space.get(painting.strokes, "brush")[:, 0] > 0.5
        masses = int((~last).sum())
        if 0 < masses < count and not last[:masses].any():
            return [Layer("masses", 0, masses), Layer("lines", masses, count)]
    return [Layer("strokes", 0, count)] if count else []


@torch.no_grad()
def draw_transparent(strokes: Tensor, size: tuple[int, int], brush: Brush, chunk: int = 256) -> Tensor:
    """Lay strokes (N, P) over a transparent canvas: (4, H, W), colours multiplied by alpha, and alpha; in [0, 1].

    Porter and Duff (1984): premultiplied layers compose by *over*, so that all layers over the background give the painting.
    """
    canvas = torch.zeros(4, *size)
    for patches in brush.stream(strokes.to(canvas), size, chunk):
        for i in range(len(patches)):
            below, alpha = patches.on(canvas, i)
            pigment = patches.pigment(i)
            below.lerp_(torch.cat((pigment, torch.ones_like(pigment[:1]))), alpha)
    return canvas.clamp(0, 1)


def straight_bytes(layer: Tensor) -> np.ndarray:
    """A premultiplied layer (4, H, W) as uint8 (H, W, 4) with straight alpha, which files hold."""
    colour, alpha = layer[:3], layer[3:]
    straight = torch.where(alpha > 0, colour / alpha.clamp(min=1e-6), 0.0)
    bytes_ = (torch.cat((straight, alpha)).clamp(0, 1) * 255).round().to(torch.uint8)
    return np.ascontiguousarray(bytes_.permute(1, 2, 0).numpy())


@dataclass(frozen=True)
class LayerImage:
    """A layer's pixels, uint8 (h, w, 4) with straight alpha, at canvas pixel `left`, `top`."""

    name: str
    left: int
    top: int
    pixels: np.ndarray


def layer_images(
    painting: Painting, longest: int | None = None, brush: Brush | None = None, every: int | None = None
) -> Iterator[LayerImage]:
    """Draw the background and the layers of a painting, the lowest first, each cropped to what it covers.

    Args:
        painting: the painting.
        longest: pixels on the long side; as it was painted for None.
        brush: draws the strokes; the default is `Painting.default_brush`.
        every: strokes in each layer, see `layers_of`.

    Raises:
        InputError: as `layers_of`; `SpaceError` for a brush of another space.
    """
    size = painting.size(longest)
    layers = layers_of(painting, every)
    brush = painting.default_brush(longest) if brush is None else brush
    brush.space.require(painting.space)
    colour = torch.tensor([*painting.background, 1.0])[:, None, None].expand(4, *size)
    yield LayerImage("background", 0, 0, straight_bytes(colour))
    strokes = painting.strokes.detach().cpu().float()
    for layer in layers:
        pixels = straight_bytes(draw_transparent(strokes[layer.first : layer.end], size, brush))
        rows, columns = (np.flatnonzero(pixels[..., 3].any(axis)) for axis in (1, 0))
        if len(rows) == 0:
            rows = columns = np.zeros(1, int)  # formats want a pixel at least
        top, left = int(rows[0]), int(columns[0])
        yield LayerImage(layer.name, left, top, pixels[top : rows[-1] + 1, left : columns[-1] + 1])
