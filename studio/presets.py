"""Settings of a painting, and presets of them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor

from painter.api import MAX_SIZE, default_size
from painter.methods import METHODS, Method
from renderer.brush import brush_names, require_gradient
from renderer.constraints import Constraint, StrokeConstraints, parse_colour, parse_palette
from renderer.errors import InputError
from renderer.strokes import StrokeSpace

MAX_STROKES = 10_000  # of a document, so that every edit stays quick
MAX_STEPS = 20_000
MAX_COLOURS = 64  # of a palette
LARGEST_RADIUS = 0.25  # of the stroke spaces


@dataclass(frozen=True)
class LeastOpacity:
    """A constraint: no stroke is more transparent.

    Attributes:
        least: in [0, 1].
    """

    least: float

    def apply(self, strokes: Tensor, space: StrokeSpace) -> Tensor:
        """The strokes (..., P) with their opacity raised to `least`."""
        columns = space.columns("opacity")
        strokes = strokes.clone()
        strokes[..., columns] = strokes[..., columns].clamp(min=self.least)
        return strokes


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How a document is painted.

    Attributes:
        brush: a shipped or registered brush, or several with plus signs; never a file or a module, since settings also come
            from session files.
        method: agent, optimize, hybrid or lines, see `painter.Painter`.
        strokes: how many, at most `MAX_STROKES`.
        min_radius: least radius of a stroke, as a fraction of the canvas' short side.
        max_radius: greatest radius, likewise; at most `LARGEST_RADIUS`.
        palette: the only colours: how many to choose from the picture ("6"), which ("#1a1a1a,#c0392b"), or all ("").
        opacity: least opacity, in [0, 1]; 1: all strokes are opaque.
        background: what the painting begins on: "#c69c5a", or "mean", the picture's mean colour.
        blend: of several brushes, paint with this mixture only: 0 is the first, 1 the last; None for all mixtures.
        steps: gradient steps of optimize and hybrid; lines take a fifth.
        size: pixels on the long side while painting; None for a size that suits the number of strokes.
        seed: of all randomness.

    Raises:
        InputError: for values out of range, and brushes that are not known or cannot be learned from.
    """

    brush: str = "bezier"
    method: Method = "agent"
    strokes: int = 400
    min_radius: float = 0.0
    max_radius: float = LARGEST_RADIUS
    palette: str = ""
    opacity: float = 0.0
    background: str = "#ffffff"
    blend: float | None = None
    steps: int = 300
    size: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise InputError(f"There is no method {self.method!r}; choose one of {', '.join(METHODS)}.")
        require_known_brush(self.brush)
        _require("strokes", self.strokes, 1, MAX_STROKES)
        _require("steps", self.steps, 1, MAX_STEPS)
        _require("opacity", self.opacity, 0, 1)
        _require("seed", self.seed, 0, 2**63 - 1)
        if self.size is not None:
            _require("size", self.size, 16, min(MAX_SIZE, 2048))
        if self.background != "mean":
            parse_colour(self.background)
        if not 0 <= self.min_radius <= self.max_radius <= LARGEST_RADIUS or self.max_radius == 0:
            raise InputError(
                f"Radii are from 0 to {LARGEST_RADIUS}, the smallest first, not from {self.min_radius} to {self.max_radius}."
            )
        palette = self._palette()
        if (palette if isinstance(palette, int) else 1 if palette is None else len(palette)) > MAX_COLOURS:
            raise InputError(f"A palette has {MAX_COLOURS} colours at most.")
        self.constraints()

    def working_size(self) -> int:
        """Pixels on the long side while painting."""
        return default_size(self.strokes) if self.size is None else self.size

    def constraints(self) -> StrokeConstraints:
        """What strokes are allowed. Raises `InputError`."""
        others: tuple[Constraint, ...] = (LeastOpacity(self.opacity),) if 0 < self.opacity < 1 else ()
        largest = 1.0 if self.max_radius == LARGEST_RADIUS else self.max_radius
        return StrokeConstraints(self.opacity == 1, self.min_radius, largest, self._palette(), self.blend, others)

    def options(self) -> dict[str, Any]:
        """The options of `painter.Painter.steps`."""
        return {
            "strokes": self.strokes,
            "size": self.working_size(),
            "constraints": self.constraints(),
            "background": self.background,
            "seed": self.seed,
        }

    def _palette(self) -> Tensor | int | None:
        text = self.palette.strip()
        if not text:
            return None
        return int(text) if text.isascii() and text.isdigit() and len(text) < 5 else parse_palette(text)


@dataclass(frozen=True)
class Preset:
    """Settings with a name.

    Attributes:
        title: what a person reads.
        about: a sentence on what comes out.
        settings: the settings.
    """

    title: str
    about: str
    settings: Settings = field(default_factory=Settings)


def presets() -> dict[str, Preset]:
    """All presets by name, the first of them for a first painting."""
    return {
        "bezier": Preset("Smooth strokes", "Four hundred strokes of any size and opacity: the nearest to the picture."),
        "scroll": Preset(
            "Scroll",
            "Broad masses on toned paper, then ink lines, as the picture scrolls were painted.",
            Settings(brush="watercolour+ink", method="lines", strokes=500, background="mean", steps=200),
        ),
        "gouache": Preset(
            "Gouache",
            "Opaque flat strokes, none very small.",
            Settings(brush="flat", strokes=400, min_radius=0.016, opacity=1.0, background="mean"),
        ),
        "watercolour and ink": Preset(
            "Watercolour and ink",
            "Watercolour and ink in any mixture, on white paper.",
            Settings(brush="watercolour+ink", strokes=400),
        ),
        "six colours, opaque": Preset(
            "Six colours, opaque",
            "As a person can paint it: six colours to mix, no transparency.",
            Settings(strokes=400, palette="6", opacity=1.0, min_radius=0.01, background="mean"),
        ),
        "charcoal": Preset(
            "Charcoal",
            "Charcoal in four colours on toned paper.",
            Settings(brush="charcoal", strokes=300, palette="4", background="mean"),
        ),
        "impressionist": Preset(
            "Impressionist",
            "Soft dabs, none of them small or large.",
            Settings(brush="impressionist", strokes=400, min_radius=0.02, max_radius=0.06, background="mean"),
        ),
        "few strokes": Preset("Few strokes", "Forty strokes that say the most.", Settings(strokes=40, size=128)),
        "finest": Preset(
            "Finest",
            "Six hundred strokes, placed by the agent and then moved together; takes longer.",
            Settings(method="hybrid", strokes=600, steps=400),
        ),
    }


def require_known_brush(name: str) -> None:
    """Raise `InputError` unless all brushes of `name` (with plus signs between) are known by name and differentiable."""
    known = [brush for brush in brush_names() if ":" not in brush and not brush.endswith("NAME")]
    for part in name.split("+"):
        if part not in known:
            raise InputError(f"There is no brush {part!r:.60} in the studio; choose one of {', '.join(known)}.")
    require_gradient(name)


def brush_choices() -> list[str]:
    """The names of brushes that a page offers: registered and shipped ones that are differentiable, and a mixture."""
    single = [name for name in brush_names() if not name.endswith("NAME") and name != "exact"]
    return [*single, "watercolour+ink"]


def with_changes(settings: Settings, **changes: Any) -> Settings:
    """`settings` with some values replaced. Raises `InputError`, also for names that are no settings."""
    try:
        return replace(settings, **changes)
    except TypeError as error:
        raise InputError(f"There are no such settings: {error}.") from error


def _require(name: str, value: float, least: float, most: float) -> None:
    if not (math.isfinite(value) and least <= value <= most):
        raise InputError(f"{name} must be between {least:,} and {most:,}, not {value}.")
