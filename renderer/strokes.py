"""Stroke spaces: names, ranges and units of the columns of a stroke.

Strokes are plain tensors `(..., P)` with every value in [0, 1], so that optimisers, replay memories and files need no
wrapper. A stroke space says what the P columns mean. Every checkpoint and painting contains its space, so that a mismatch is
an error when it is loaded.
"""

from __future__ import annotations

import functools
import html
import itertools
import json
import math
from dataclasses import asdict, dataclass
from dataclasses import field as attribute
from typing import Literal

import torch
from torch import Tensor

from renderer.errors import InputError
from renderer.io.from_json import from_json
from renderer.io.read import parse_json
from renderer.io.rich_display import table


class SpaceError(InputError):
    """Strokes of one space were given where those of another are needed."""


MAX_COLUMNS = 256  # of a stroke

Kind = Literal["position", "length", "shape", "appearance"]


@dataclass(frozen=True)
class Field:
    """`size` consecutive columns of a stroke; [0, 1] maps linearly to [`low`, `high`] in `unit`.

    default: the value of a stroke of which nothing else is known, in `unit`
    step_scale: how far an optimiser may step at rate 1, as a part of the range; see `StrokeSpace.step_sizes`
    kind: position: x and y as fractions of the canvas' width and height. length: a fraction of its short side.
        appearance: colour or opacity. shape: anything else.

    These three are not compared: they say how to handle a field, not what its columns mean.

    Raises `SpaceError` for less than one column, and for a range without an extent.
    """

    name: str
    size: int
    low: float
    high: float
    unit: str
    default: float = attribute(default=0.5, compare=False)
    step_scale: float = attribute(default=1.0, compare=False)
    kind: Kind = attribute(default="shape", compare=False)

    def __post_init__(self) -> None:
        if not 1 <= self.size <= MAX_COLUMNS:
            raise SpaceError(f"The field {self.name} of a stroke has 1 to {MAX_COLUMNS} columns, not {self.size}.")
        if not -math.inf < self.low < self.high < math.inf:
            raise SpaceError(f"The field {self.name} of a stroke has no range from {self.low} to {self.high}.")


@dataclass(frozen=True)
class StrokeSpace:
    """An ordered tuple of fields.

    Agents and optimisation need the fields start, end (positions), radius (a length), opacity and colour.

    >>> BEZIER.width, BEZIER.columns("radius")
    (13, slice(6, 8, None))
    >>> BEZIER.get(torch.full((2, 13), 0.5), "radius")
    tensor([[0.1250, 0.1250],
            [0.1250, 0.1250]])
    """

    name: str
    fields: tuple[Field, ...]

    def __post_init__(self) -> None:
        names = [field.name for field in self.fields]
        if not names or len({*names}) < len(names) or self.width > MAX_COLUMNS:
            raise SpaceError(
                f"A stroke space has one or more fields of different names, and at most {MAX_COLUMNS} columns."
            )

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

    def __contains__(self, name: str) -> bool:
        """Whether there is a field called `name`."""
        return name in self._columns

    def columns(self, name: str) -> slice:
        """The columns of the field `name` in the last dimension of strokes. Raises `SpaceError` when there is none."""
        self.field(name)
        return self._columns[name]

    @functools.cached_property
    def _columns(self) -> dict[str, slice]:
        ends = list(itertools.accumulate(field.size for field in self.fields))
        return {field.name: slice(end - field.size, end) for field, end in zip(self.fields, ends, strict=True)}

    def get(self, strokes: Tensor, name: str) -> Tensor:
        """The field `name` of strokes `(..., P)` in [0, 1]: `(..., size)` in the field's unit."""
        field = self.field(name)
        values = strokes[..., self._columns[name]]
        return values if (field.low, field.high) == (0, 1) else field.low + (field.high - field.low) * values

    def put(self, strokes: Tensor, name: str, value: Tensor) -> Tensor:
        """A copy of `strokes` whose field `name` is `value`, given in the field's unit and clamped to its range."""
        field = self.field(name)
        strokes = strokes.clone()
        strokes[..., self.columns(name)] = ((value - field.low) / (field.high - field.low)).clamp(0, 1)
        return strokes

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Sample `(n, P)` strokes uniformly, on the CPU."""
        return torch.rand(n, self.width, generator=generator)

    def default_strokes(self, n: int) -> Tensor:
        """`(n, P)` equal strokes with every field at its default, on the CPU."""
        values = [
            (field.default - field.low) / (field.high - field.low) for field in self.fields for _ in range(field.size)
        ]
        return torch.tensor(values).expand(n, -1).clone()

    def step_sizes(self, scale: Tensor, size: tuple[int, int]) -> Tensor:
        """How far an optimiser may step in each column at rate 1, `(..., P)` in [0, 1].

        Args:
            scale: `(...)`, the scale of each stroke as a fraction of the canvas' short side. Steps of positions and
                lengths are proportional to it; others are `step_scale` itself.
            size: height and width of the canvas.
        """
        height, width = size
        steps = scale.new_zeros(*scale.shape, self.width)
        for field in self.fields:
            columns = self._columns[field.name]
            if field.kind == "position":
                per_axis = min(size) / scale.new_tensor([width, height]) / (field.high - field.low)
                steps[..., columns] = scale[..., None] * per_axis * field.step_scale
            elif field.kind == "length":
                steps[..., columns] = scale[..., None] / (field.high - field.low) * field.step_scale
            else:
                steps[..., columns] = field.step_scale
        return steps

    def _repr_html_(self) -> str:
        """A table of the fields, for a notebook."""
        rows = [
            (field.name, field.size, f"{field.low:g} to {field.high:g}", field.unit, f"{field.default:g}", field.kind)
            for field in self.fields
        ]
        head = ("field", "columns", "range", "unit", "default", "kind")
        return f"<b>{html.escape(self.name)}</b>, {self.width} columns{table(head, rows)}"

    def step_sizes_of(self, strokes: Tensor, size: tuple[int, int]) -> Tensor:
        """`step_sizes` of strokes `(..., P)` in proportion to their thickness, of which a thin one counts as two pixels."""
        return self.step_sizes(2 * self.get(strokes, "radius").amax(-1).clamp(min=2 / min(size)), size)

    def to_json(self) -> str:
        """A JSON object for `from_json`."""
        fields = [asdict(field) for field in self.fields]
        if self in KNOWN:  # as in files of all versions
            fields = [{key: field[key] for key in ("name", "size", "low", "high", "unit")} for field in fields]
        return json.dumps({"name": self.name, "fields": fields})

    @classmethod
    def from_json(cls, text: str) -> StrokeSpace:
        """The inverse of `to_json`. Raises `SpaceError` for anything else."""
        try:
            space = from_json(cls, parse_json(text))
        except ValueError as error:
            raise SpaceError(f"Not a description of a stroke space: {str(error).rstrip('.')}.") from error
        return next((known for known in KNOWN if known == space), space)

    def require(self, other: StrokeSpace) -> None:
        """Raise `SpaceError` unless the columns of `other` have the same meaning."""
        if self != other:
            raise SpaceError(
                f"These strokes are in the space {other.name!r} with {other.width} columns, but the brush draws "
                f"{self.name!r} with {self.width}; choose the brush that the strokes were made with."
            )


# Huang et al. (2019), section 3.3: a quadratic Bezier curve whose thickness and transparency vary linearly along it. The
# control point is relative to the box between start and end, as in the authors' code, so that a curve is monotone in both
# axes. Lengths are relative to the canvas: resolution never enters a stroke.
BEZIER = StrokeSpace(
    "bezier",
    (
        Field("start", 2, 0.0, 1.0, "x, y as fractions of width, height", kind="position"),
        Field("bend", 2, 0.0, 1.0, "control point, 0 at start and 1 at end, per axis"),
        Field("end", 2, 0.0, 1.0, "x, y as fractions of width, height", kind="position"),
        Field("radius", 2, 0.0, 0.25, "at start and end, fraction of the short side", 0.05, 0.5, "length"),
        Field("opacity", 2, 0.0, 1.0, "at start and end", 0.9, 1.0, "appearance"),
        Field("colour", 3, 0.0, 1.0, "sRGB", 0.5, 0.3, "appearance"),
    ),
)

# Strokes of MyPaint's brushes. Path and colour as in BEZIER, and the path in the same columns, so that what places strokes
# serves both. Opacity is no setting of the engine: it multiplies the finished mark, exactly, whatever the brush makes of
# pressure. Pressure is high by default: at low pressure, some brushes hardly mark.
MYPAINT = StrokeSpace(
    "mypaint",
    (
        *BEZIER.fields[:3],
        Field("radius", 1, 0.0, 0.25, "the brush's basic radius, fraction of the short side", 0.05, 0.5, "length"),
        Field("pressure", 3, 0.0, 1.0, "at start, middle and end, linear in between", 0.7, 0.5),
        Field("opacity", 1, 0.0, 1.0, "of the whole mark", 0.9, 1.0, "appearance"),
        BEZIER.field("colour"),
    ),
)

# Strokes of several brushes of MyPaint, see `renderer.brushes.mixed`.
MIXED = StrokeSpace(
    "mixed", (*MYPAINT.fields, Field("brush", 1, 0.0, 1.0, "0 the first, 1 the last, a mixture between", 0.5, 0.5))
)

KNOWN = (BEZIER, MYPAINT, MIXED)
