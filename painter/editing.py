"""Change the colours of strokes, and their order, for `Painting.edit`."""

from __future__ import annotations

import colorsys
from typing import Literal

import torch
from torch import Tensor

from painter.selection import TOLERANCE, near
from renderer.constraints import parse_colour
from renderer.io.painting import Painting

Order = Literal["colour", "lightness", "size", "reverse"]


def move_colour(colours: Tensor, old: str, new: str, tolerance: float = TOLERANCE) -> Tensor:
    """Move the colours near `old` by the difference from `old` to `new`, so that shades remain shades.

    Args:
        colours: (N, 3), sRGB in [0, 1].
        old: `#rrggbb`.
        new: `#rrggbb`.
        tolerance: how far red, green and blue may lie from `old`, in [0, 1].

    Returns:
        (N, 3), clipped to [0, 1]. Raises `InputError` for what is no colour.
    """
    found, result = near(colours, old, tolerance), colours.clone()
    change = colours.new_tensor(parse_colour(new)) - colours.new_tensor(parse_colour(old))
    result[found] = (colours[found] + change).clamp(0, 1)
    return result


def shift_colours(colours: Tensor, hue: float = 0.0, lightness: float = 0.0) -> Tensor:
    """Turn the hues of colours (N, 3), sRGB in [0, 1], by degrees, and add to their lightness, which is in [0, 1]."""
    hues, lights, saturations = to_hls(colours)
    return from_hls((hues + hue / 360) % 1, (lights + lightness).clamp(0, 1), saturations)


def stroke_order(painting: Painting, order: Order) -> Tensor:
    """Indices (N,) of the strokes by hue, by lightness (dark ones first), by size (large ones first), or reversed."""
    if order == "reverse":
        return torch.arange(len(painting.strokes)).flip(0)
    if order == "size":
        return torch.argsort(-painting.space.get(painting.strokes, "radius").mean(1), stable=True)
    hue, light, _ = to_hls(painting.space.get(painting.strokes, "colour"))
    return torch.argsort(hue if order == "colour" else light, stable=True)


def to_hls(colours: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Hue, lightness and saturation (N,), in [0, 1], of colours (N, 3), sRGB in [0, 1]."""
    values = torch.tensor([colorsys.rgb_to_hls(*colour) for colour in colours.tolist()], dtype=colours.dtype)
    hue, light, saturation = values.view(-1, 3).unbind(1)
    return hue, light, saturation


def from_hls(hue: Tensor, light: Tensor, saturation: Tensor) -> Tensor:
    """Colours (N, 3), sRGB in [0, 1]: the inverse of `to_hls`."""
    rows = torch.stack((hue, light, saturation), 1).tolist()
    colours = torch.tensor([colorsys.hls_to_rgb(*row) for row in rows], dtype=hue.dtype)
    return colours.view(-1, 3).clamp(0, 1)
