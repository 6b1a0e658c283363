"""Choose strokes of a painting by their numbers or their colour."""

from __future__ import annotations

import re

import torch
from torch import Tensor

from painter.importance import importance
from renderer.canvas import blank
from renderer.constraints import parse_colour
from renderer.errors import InputError
from renderer.io.painting import Painting

TOLERANCE = 0.1  # how far each channel may lie from a colour, of 1


def select_strokes(painting: Painting, text: str, tolerance: float = TOLERANCE) -> Tensor:
    """Choose strokes.

    Args:
        painting: whose strokes.
        text: `0:100`, the first hundred (as in Python, `-50:` are the last fifty); `7`, a single one; or `#c0392b`, those of
            about this colour.
        tolerance: how far red, green and blue may lie from the colour, in [0, 1].

    Returns:
        (N,) bool.

    Raises:
        InputError: for other text, and for numbers beyond the painting's strokes.
    """
    count = len(painting.strokes)
    if text.startswith("#"):
        colours = painting.space.get(painting.strokes, "colour")
        return near(colours, text, tolerance)
    match = re.fullmatch(r"(-?\d{1,9})?(:)?(-?\d{1,9})?", text)
    if match is None or text in ("", ":") or not (match[2] or match[1]):
        raise InputError(f"{text!r} are no strokes; choose some such as 0:100, -50: or '#c0392b'.")
    chosen = torch.zeros(count, dtype=torch.bool)
    first, last = (None if part is None else int(part) for part in (match[1], match[3]))
    if match[2]:
        chosen[first:last] = True
    elif first is not None and -count <= first < count:
        chosen[first] = True
    if not chosen.any():
        raise InputError(f"There are no strokes {text} in a painting of {count}.")
    return chosen


def near(colours: Tensor, code: str, tolerance: float = TOLERANCE) -> Tensor:
    """Which of the colours (N, 3), sRGB in [0, 1], lie within `tolerance` of `#rrggbb` in every channel; (N,) bool."""
    difference = (colours - colours.new_tensor(parse_colour(code))).abs()
    return (difference <= tolerance + 1e-6).all(1)


def least_important(painting: Painting, count: int) -> Tensor:
    """The `count` strokes whose absence changes the painting least, (N,) bool, as drawn at its own size.

    Each stroke's change is that of leaving out it alone (`painter.importance`). Raises `InputError` for more strokes than
    the painting has.
    """
    if not 0 <= count <= len(painting.strokes):
        raise InputError(f"A painting of {len(painting.strokes)} strokes has no {count} to leave out.")
    canvas = blank(painting.size(), painting.background)
    values = importance(painting.strokes.float(), canvas, painting.render(), painting.default_brush())
    chosen = torch.zeros(len(values), dtype=torch.bool)
    chosen[values.argsort(stable=True)[:count]] = True
    return chosen
