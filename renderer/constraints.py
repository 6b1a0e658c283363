"""Constraints on strokes: what a painter, a plotter or an artist allows; and the registry of constraints by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from renderer.checks import check_canvas, check_palette
from renderer.errors import InputError
from renderer.extensions import import_callable
from renderer.ops.refine_strokes import Limits
from renderer.strokes import StrokeSpace


@runtime_checkable
class Constraint(Protocol):
    """Says which strokes are allowed. `docs/add_a_constraint.md` shows an example."""

    def apply(self, strokes: Tensor, space: StrokeSpace) -> Tensor:
        """Return the allowed strokes nearest to the given ones.

        Args:
            strokes: `(..., P)` in [0, 1], without a gradient; they must not be changed in place.
            space: what the columns mean.

        Returns:
            Strokes `(..., P)` in [0, 1]. Strokes that are allowed must come back as they are.
        """
        ...


@dataclass(frozen=True, eq=False)
class StrokeConstraints:
    """Which strokes are allowed; by default all are.

    Attributes:
        opaque: no transparency: opacity is 1 all along.
        min_radius: least radius, as a fraction of the canvas' short side.
        max_radius: greatest radius, likewise.
        palette: the only colours, `(K, 3)` sRGB in [0, 1], or how many to choose from each image (`for_image`).
        brush: of mixed brushes (`renderer.brushes.mixed`), the only one: 0 the first, 1 the last, a mixture between.
        others: further constraints, which hold after these, in their order. They do not see the optimal colours that an
            agent computes; use `palette` to limit colours.

    Raises:
        InputError: for constraints that no stroke satisfies.
    """

    opaque: bool = False
    min_radius: float = 0.0
    max_radius: float = 1.0
    palette: Tensor | int | None = None
    brush: float | None = None
    others: tuple[Constraint, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.min_radius <= self.max_radius <= 1 or self.max_radius == 0:
            raise InputError(
                f"Radii from {self.min_radius} to {self.max_radius} are no range; give fractions of the short side, "
                "0 at least and 1 at most, the smallest first."
            )
        if self.brush is not None and not 0 <= self.brush <= 1:
            raise InputError(f"The brush of a mixture is from 0 (the first) to 1 (the last), not {self.brush}.")
        if isinstance(self.palette, int) and self.palette < 1:
            raise InputError("A palette needs one colour at least.")
        if self.palette is not None and not isinstance(self.palette, int):
            object.__setattr__(self, "palette", check_palette(self.palette))

    @property
    def colours(self) -> Tensor | None:
        """The palette (K, 3); None for all colours."""
        assert not isinstance(self.palette, int), "for_image chooses the colours of a palette"
        return self.palette

    def for_image(self, image: Tensor) -> StrokeConstraints:
        """These constraints with the palette chosen from an image (3, H, W), where it is given as a number of colours."""
        return replace(self, palette=palette_of(image, self.palette)) if isinstance(self.palette, int) else self

    def to(self, device: torch.device | str) -> StrokeConstraints:
        """These constraints with the palette on `device`."""
        if not isinstance(self.palette, Tensor):
            return self
        palette = self.palette.to(device)
        return self if palette is self.palette else replace(self, palette=palette)

    def limits(self, space: StrokeSpace) -> Limits | None:
        """These constraints as compiled operations apply them; None where there are others, which only Python knows."""
        if self.others or type(self) is not StrokeConstraints:
            return None
        high = space.field("radius").high
        least, most = (min(radius / high, 1.0) for radius in (self.min_radius, self.max_radius))
        return Limits(least, most, self.opaque, None if self.colours is None else self.colours.contiguous())

    def provenance(self) -> dict[str, Any]:
        """What differs from no constraints at all, as JSON can hold it; colours as `#rrggbb`, others as `module:Class`."""
        values = {
            "opaque": self.opaque,
            "min_radius": self.min_radius,
            "max_radius": self.max_radius,
            "brush": self.brush,
        }
        none = StrokeConstraints
        defaults = {
            "opaque": none.opaque,
            "min_radius": none.min_radius,
            "max_radius": none.max_radius,
            "brush": none.brush,
        }
        record: dict[str, Any] = {name: value for name, value in values.items() if value != defaults[name]}
        if self.palette is not None:
            record["palette"] = self.palette if isinstance(self.palette, int) else [hex_code(c) for c in self.palette]
        if self.others:
            record["others"] = [f"{type(other).__module__}:{type(other).__qualname__}" for other in self.others]
        return record

    def apply(self, strokes: Tensor, space: StrokeSpace) -> Tensor:
        """Return the allowed strokes `(..., P)` in [0, 1] nearest to the given ones.

        Gradients pass straight through (Bengio et al. 2013, "Estimating or Propagating Gradients Through Stochastic
        Neurons"), so that strokes outside the constraints can come back.
        """
        mixed = self.brush is not None and "brush" in space
        limited = self.opaque or self.min_radius > 0 or self.max_radius < 1 or self.palette is not None or mixed
        if not (limited or self.others):
            return strokes
        allowed = strokes.detach()
        if limited:
            allowed = self._limited(allowed.clone(), space)
        for other in self.others:
            allowed = other.apply(allowed, space)
        return strokes + (allowed - strokes).detach() if strokes.requires_grad else allowed

    def _limited(self, strokes: Tensor, space: StrokeSpace) -> Tensor:
        high = space.field("radius").high
        if self.min_radius > high:
            raise InputError(f"No stroke of this brush has a radius of {self.min_radius}; the largest is {high}.")
        radius, opacity, colour = (space.columns(name) for name in ("radius", "opacity", "colour"))
        strokes[..., radius] = strokes[..., radius].clamp(self.min_radius / high, self.max_radius / high)
        if self.opaque:
            strokes[..., opacity] = 1
        if self.colours is not None:
            strokes[..., colour] = nearest(strokes[..., colour], self.colours)
        if self.brush is not None and "brush" in space:
            strokes[..., space.columns("brush")] = self.brush
        return strokes


UNCONSTRAINED = StrokeConstraints()


def as_constraints(given: StrokeConstraints | Constraint | Sequence[Constraint]) -> StrokeConstraints:
    """Stroke constraints from themselves, from a constraint of any class, or from several such constraints."""
    if isinstance(given, StrokeConstraints):
        return given
    return StrokeConstraints(others=(given,) if isinstance(given, Constraint) else tuple(given))


_FACTORIES: dict[str, Callable[[], Constraint]] = {}


def register_constraint(name: str, factory: Callable[[], Constraint]) -> None:
    """Let `load_constraint` make a constraint by `name`, without a colon; an earlier factory of the name is replaced."""
    _FACTORIES[name] = factory


def load_constraint(name: str) -> Constraint:
    """Make a constraint by name.

    Args:
        name: a registered name, or `module:Class` of an importable module, called without arguments.

    Raises:
        InputError: for a name that is not known, or that makes no constraint.
    """
    factory = _FACTORIES.get(name)
    if factory is None:
        factory = import_callable(name, "constraint", 0) if ":" in name else None
    if factory is None:
        known = "".join(f"{name}, " for name in _FACTORIES)
        raise InputError(f"There is no constraint {name!r}; choose {known}or module:Class.")
    constraint = factory()
    if not isinstance(constraint, Constraint):
        raise InputError(f"{name} is not a constraint: a {type(constraint).__name__} has no method apply.")
    return constraint


def nearest(colours: Tensor, palette: Tensor) -> Tensor:
    """The colour of `palette` (K, 3) nearest to each of `colours` (..., 3) in sRGB."""
    distance = (colours[..., None, :] - palette).square().sum(-1)
    return palette[distance.argmin(-1)]


def palette_of(image: Tensor, count: int) -> Tensor:
    """At most `count` colours `(K, 3)` of an image (3, H, W): k-means of its pixels in sRGB.

    Deterministic. An image with fewer colours gives as many as it has. Raises `InputError` for anything but such an image.
    """
    check_canvas(image, "An image", values=True)
    pixels = image.flatten(1).mT.cpu().float()
    distinct = torch.unique((pixels * 255).round(), dim=0) / 255
    if len(distinct) <= count:
        return distinct.to(image)
    import cv2

    cv2.setRNGSeed(0)
    until = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 50, 1e-4)
    _, _, centres = cv2.kmeans(pixels.numpy(), count, None, until, 3, cv2.KMEANS_PP_CENTERS)  # type: ignore[call-overload]
    return torch.from_numpy(centres).clamp(0, 1).to(image)


def parse_palette(text: str) -> Tensor:
    """Colours such as `#1a1a1a,#c0392b,#f5e6c8` -> `(K, 3)`. Raises `InputError`.

    >>> parse_palette("#000000, ff8000")
    tensor([[0.0000, 0.0000, 0.0000],
            [1.0000, 0.5020, 0.0000]])
    """
    try:
        codes = [bytes.fromhex(part.strip().removeprefix("#")) for part in text.split(",")]
    except ValueError:
        codes = []
    if not codes or any(len(code) != 3 for code in codes):
        raise InputError(f"{text!r} is not a palette; give colours such as '#1a1a1a,#c0392b', six digits each.")
    return torch.tensor([list(code) for code in codes]) / 255


def parse_colour(text: str) -> tuple[float, float, float]:
    """A colour such as `#c69c5a` -> (r, g, b) sRGB in [0, 1]. Raises `InputError`."""
    colours = parse_palette(text)
    if len(colours) != 1:
        raise InputError(f"{text!r} is {len(colours)} colours; give one, such as '#c69c5a'.")
    red, green, blue = colours[0].tolist()
    return red, green, blue


def hex_code(colour: Tensor) -> str:
    """sRGB (3,) in [0, 1] -> `#rrggbb`.

    >>> hex_code(torch.tensor([1.0, 0.5020, 0.0]))
    '#ff8000'
    """
    return "#" + "".join(f"{value:02x}" for value in (colour.clamp(0, 1) * 255).round().int().tolist())
