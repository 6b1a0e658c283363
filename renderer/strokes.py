"""Names for the columns of a stroke.

Strokes are plain tensors `(..., P)` with every value in [0, 1], so optimisers, replay memories and files need no wrapper.
What the P columns *mean* lives here, and travels inside every checkpoint and painting: a mismatch is an error at load
and never a wrong colour.
"""

from __future__ import annotations

import functools
import itertools
import json
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from renderer.errors import InputError


class SpaceError(InputError):
    """Two parts of the program mean different things by a stroke."""


@dataclass(frozen=True)
class Field:
    """`size` consecutive columns of a stroke; [0, 1] maps linearly to [`low`, `high`] in `unit`."""

    name: str
    size: int
    low: float
    high: float
    unit: str


@dataclass(frozen=True)
class StrokeSpace:
    """An ordered tuple of fields.

    >>> BEZIER.width, BEZIER.columns("radius")
    (13, slice(6, 8, None))
    >>> BEZIER.get(torch.full((2, 13), 0.5), "radius")
    tensor([[0.1250, 0.1250],
            [0.1250, 0.1250]])
    """

    name: str
    fields: tuple[Field, ...]

    @property
    def width(self) -> int:
        """P, the number of columns."""
        return sum(field.size for field in self.fields)

    def field(self, name: str) -> Field:
        """The field called `name`. Raises `SpaceError` when there is none."""
        for field in self.fields:
            if field.name == name:
                return field
        known = ", ".join(field.name for field in self.fields)
        raise SpaceError(f"The stroke space {self.name} has no field {name!r}; it has {known}.")

    def columns(self, name: str) -> slice:
        """Where the field `name` stands in the last dimension of a stroke tensor."""
        self.field(name)
        return self._columns[name]

    @functools.cached_property
    def _columns(self) -> dict[str, slice]:
        ends = list(itertools.accumulate(field.size for field in self.fields))
        return {field.name: slice(end - field.size, end) for field, end in zip(self.fields, ends, strict=True)}

    def get(self, strokes: Tensor, name: str) -> Tensor:
        """`(..., P)` in [0, 1] -> `(..., size)` in the field's physical unit."""
        field = self.field(name)
        values = strokes[..., self._columns[name]]
        return values if (field.low, field.high) == (0, 1) else field.low + (field.high - field.low) * values

    def put(self, strokes: Tensor, name: str, value: Tensor) -> Tensor:
        """A copy of `strokes` whose field `name` holds `value`, given in physical units and clamped to the field's range."""
        field = self.field(name)
        strokes = strokes.clone()
        strokes[..., self.columns(name)] = ((value - field.low) / (field.high - field.low)).clamp(0, 1)
        return strokes

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """`(n, P)` strokes drawn uniformly, on the CPU."""
        return torch.rand(n, self.width, generator=generator)

    def to_json(self) -> str:
        """A JSON object that `from_json` reads back."""
        return json.dumps({"name": self.name, "fields": [asdict(field) for field in self.fields]})

    @classmethod
    def from_json(cls, text: str) -> StrokeSpace:
        """The inverse of `to_json`. Raises `SpaceError` for anything else."""
        try:
            data = json.loads(text)
            return cls(str(data["name"]), tuple(Field(**field) for field in data["fields"]))
        except (ValueError, TypeError, KeyError) as error:
            raise SpaceError(f"Not a description of a stroke space: {error}.") from error

    def require(self, other: StrokeSpace) -> None:
        """Raises `SpaceError` unless `other` means the same by every column."""
        if self != other:
            raise SpaceError(
                f"These strokes are in the space {other.name!r} with {other.width} columns, but the renderer draws "
                f"{self.name!r} with {self.width}; choose the renderer that the strokes were made with."
            )


# Huang et al. (2019), section 3.3: a quadratic Bezier curve whose thickness and transparency vary linearly along it.
# The control point is given relative to the box between start and end, as in the authors' code, so that a curve never
# doubles back. Lengths are relative to the canvas: resolution never enters a stroke.
BEZIER = StrokeSpace(
    "bezier",
    (
        Field("start", 2, 0.0, 1.0, "x, y as fractions of width, height"),
        Field("bend", 2, 0.0, 1.0, "control point, 0 at start and 1 at end, per axis"),
        Field("end", 2, 0.0, 1.0, "x, y as fractions of width, height"),
        Field("radius", 2, 0.0, 0.25, "at start and end, fraction of the short side"),
        Field("opacity", 2, 0.0, 1.0, "at start and end"),
        Field("colour", 3, 0.0, 1.0, "sRGB"),
    ),
)
