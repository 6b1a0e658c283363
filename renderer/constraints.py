"""Limits on strokes: what a physical painter, a plotter or a taste allows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from renderer.errors import InputError
from renderer.strokes import StrokeSpace


@dataclass(frozen=True, eq=False)
class StrokeConstraints:
    """Which strokes are allowed; everything is, when nothing is given.

    opaque: no transparency: opacity is 1 all along
    smallest, largest: radius, as fractions of the canvas' short side
    palette: the only colours, `(K, 3)` sRGB in [0, 1], or how many to choose from each image (`for_image`)
    brush: of mixed brushes (`renderer.brushes.mixed`), the only one: 0 the first, 1 the last, between them a mixture

    Raises `InputError` for limits that no stroke can keep.
    """

    opaque: bool = False
    min_radius: float = 0.0
    max_radius: float = 1.0
    palette: Tensor | int | None = None
    brush: float | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.min_radius <= self.max_radius <= 1 or self.max_radius == 0:
            raise InputError(
                f"Radii from {self.min_radius} to {self.max_radius} are no range; give fractions of the short side, "
                "0 at least and 1 at most, the smallest first."
            )
        if self.brush is not None and not 0 <= self.brush <= 1:
            raise InputError(f"A place between brushes is from 0 (the first) to 1 (the last), not {self.brush}.")
        if isinstance(self.palette, int) and self.palette < 1:
            raise InputError("A palette needs one colour at least.")

    @property
    def colours(self) -> Tensor | None:
        """The palette (K, 3), chosen already."""
        assert not isinstance(self.palette, int), "for_image chooses the colours of a palette"
        return self.palette

    def for_image(self, image: Tensor) -> StrokeConstraints:
        """These constraints with the palette chosen from an image (3, H, W), where it is given as a number of colours."""
        return replace(self, palette=palette_of(image, self.palette)) if isinstance(self.palette, int) else self

    def to(self, device: torch.device | str) -> StrokeConstraints:
        """These constraints with the palette on `device`."""
        return replace(self, palette=self.palette.to(device)) if isinstance(self.palette, Tensor) else self

    def provenance(self) -> dict[str, Any]:
        """What differs from no constraints at all, as JSON can hold it; colours as `#rrggbb`."""
        record = {name: getattr(self, name) for name in ("opaque", "min_radius", "max_radius", "brush")}
        record = {name: value for name, value in record.items() if value != getattr(UNCONSTRAINED, name)}
        if self.palette is not None:
            record["palette"] = self.palette if isinstance(self.palette, int) else [hex_code(c) for c in self.palette]
        return record

    def apply(self, strokes: Tensor, space: StrokeSpace) -> Tensor:
        """Strokes `(..., P)` in [0, 1] as near to the given ones as is allowed.

        Gradients pass straight through (Bengio et al. 2013), so that what lies outside the limits can come back.
        """
        mixed = self.brush is not None and any(field.name == "brush" for field in space.fields)
        if not (self.opaque or self.min_radius > 0 or self.max_radius < 1 or self.palette is not None or mixed):
            return strokes
        allowed = strokes.detach().clone()
        radius, opacity, colour = (space.columns(name) for name in ("radius", "opacity", "colour"))
        high = space.field("radius").high
        if self.min_radius > high:
            raise InputError(f"No stroke of this brush has a radius of {self.min_radius}; the largest is {high}.")
        allowed[..., radius] = allowed[..., radius].clamp(self.min_radius / high, self.max_radius / high)
        if self.opaque:
            allowed[..., opacity] = 1
        if self.colours is not None:
            allowed[..., colour] = nearest(allowed[..., colour], self.colours)
        if mixed and self.brush is not None:
            allowed[..., space.columns("brush")] = self.brush
        return strokes + (allowed - strokes).detach() if strokes.requires_grad else allowed


UNCONSTRAINED = StrokeConstraints()


def nearest(colours: Tensor, palette: Tensor) -> Tensor:
    """The colour of `palette` (K, 3) nearest to each of `colours` (..., 3) in sRGB."""
    distance = (colours[..., None, :] - palette).square().sum(-1)
    return palette[distance.argmin(-1)]


def palette_of(picture: Tensor, count: int) -> Tensor:
    """At most `count` colours `(K, 3)` that stand best for a picture (3, H, W): k-means of its pixels in sRGB.

    The same picture gives the same colours. A picture of fewer colours gives as many as it has.
    """
    pixels = picture.flatten(1).mT.cpu().float()
    distinct = torch.unique((pixels * 255).round(), dim=0) / 255
    if len(distinct) <= count:
        return distinct.to(picture)
    import cv2

    cv2.setRNGSeed(0)
    until = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 50, 1e-4)
    _, _, centres = cv2.kmeans(pixels.numpy(), count, None, until, 3, cv2.KMEANS_PP_CENTERS)  # type: ignore[call-overload]
    return torch.from_numpy(centres).clamp(0, 1).to(picture)


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
        raise InputError(f"{text!r} is no palette; give colours such as '#1a1a1a,#c0392b', six digits each.")
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
