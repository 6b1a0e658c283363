"""A paint plan: a painting in few opaque colours, its strokes in as few paint loads as give the same picture."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from painter.plan.load_order import Precedence, before, fewest_loads, owners
from painter.plan.palette import choose_palette, colour_name, nearest_colours
from painter.plan.tube_paints import Recipe, recipes
from renderer.brush import Brush, Patches
from renderer.brushes.solid import Solid, solidified
from renderer.canvas import blank, paint
from renderer.errors import InputError
from renderer.io.painting import Painting
from renderer.io.svg_centre_lines import place_on

MOST_COLOURS = 48
PLAN_SIZE = 512  # pixels on the long side at which strokes are compared
BRUSHES = (1, 2, 4, 6, 10, 16, 25, 40, 60, 100)  # mm, widths that brushes usually have


@dataclass(frozen=True)
class PaletteColour:
    """A colour to mix: its letter in the plan, sRGB in [0, 1], a name, and how it may be mixed."""

    letter: str
    colour: tuple[float, float, float]
    name: str
    recipe: Recipe


@dataclass(frozen=True)
class Load:
    """Strokes that are painted with one colour, one after another.

    Attributes:
        colour: index of the palette.
        strokes: rows of `PaintPlan.strokes`.
        brush: width in mm of the brush for each of them.
    """

    colour: int
    strokes: range
    brush: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class PaintPlan:
    """What to mix and what to paint, in order.

    Attributes:
        painting: the strokes that are seen, in the order and the colours of the plan.
        numbers: (M,) of each of its strokes, the index in the painting that was planned.
        palette: the colours, from dark to light.
        ground: the colour of the bare canvas.
        loads: one after another, they hold all strokes.
        canvas: width and height of the canvas in mm.
        scale: mm for each pixel of the painting's own size.
        offset: mm from the canvas' left and upper edge to the painting's.
        hidden: strokes that were left out because others cover them, or because they are too faint.
        changes: changes of colour in the old order, to compare with the number of loads.
        difference: mean squared error between the plan's picture and the painting as it is, with all of its colours.
        brush: draws the strokes solidly.
    """

    painting: Painting
    numbers: np.ndarray
    palette: tuple[PaletteColour, ...]
    ground: PaletteColour
    loads: tuple[Load, ...]
    canvas: tuple[float, float]
    scale: float
    offset: tuple[float, float]
    hidden: int
    changes: int
    difference: float
    brush: Brush

    def picture(self, longest: int = PLAN_SIZE, loads: int | None = None) -> Tensor:
        """The canvas (3, H, W) after the first `loads` loads; finished for None. Every pixel has a colour of the plan."""
        strokes = self.painting.strokes
        if loads is not None:
            strokes = strokes[: self.loads[loads - 1].strokes.stop] if loads else strokes[:0]
        return paint(blank(self.painting.size(longest), self.painting.background), strokes, self.brush)

    def millimetres(self, index: int) -> dict[str, float]:
        """Start and end of a stroke on the canvas, from its left and upper edge."""
        space, stroke = self.painting.space, self.painting.strokes[index]
        place = {}
        for name in ("start", "end"):
            x, y = space.get(stroke, name).tolist()
            place[f"{name}_x"] = self.offset[0] + x * self.painting.width * self.scale
            place[f"{name}_y"] = self.offset[1] + y * self.painting.height * self.scale
        return place


def make_plan(
    painting: Painting,
    *,
    colours: int = 8,
    canvas: tuple[float, float] | None = None,
    brush: Brush | None = None,
) -> PaintPlan:
    """Plan how to repaint a painting by hand with opaque paint.

    Strokes are made solid (`renderer.brushes.solid`), get the nearest of a few of their colours (`choose_palette`), and are
    arranged so that the colour changes as rarely as possible while the picture stays the same (`load_order`). Best for
    paintings that were made so, with opaque strokes and a palette.

    Args:
        painting: the painting.
        colours: of the palette, at most; a painting with fewer keeps its own.
        canvas: width and height of the canvas in mm, the painting as large as fits in its middle; by default 300 mm on the
            long side, filled.
        brush: draws the strokes; the default is `Painting.default_brush`.

    Raises:
        InputError: for numbers out of range, and a painting of which nothing would be seen.
    """
    if not 2 <= colours <= MOST_COLOURS:
        raise InputError(f"A plan has 2 to {MOST_COLOURS} colours, not {colours}.")
    size = painting.size(PLAN_SIZE)
    inner = painting.default_brush(PLAN_SIZE) if brush is None else brush
    inner.space.require(painting.space)
    solid = Solid(inner)
    placement = place_on(painting, canvas)
    strokes = painting.strokes.detach().cpu().float()
    with torch.no_grad():
        marks = inner.patches(strokes, size)
        patches = solidified(marks)
        owner = owners(patches, size)
        area = np.bincount(owner[owner >= 0], minlength=len(strokes))
        shown = np.flatnonzero(area)
        if len(shown) == 0:
            raise InputError(
                "Nothing of this painting can be seen with opaque paint: it has no strokes, or only faint ones."
            )
        stroke_colours = painting.space.get(strokes, "colour")
        palette = choose_palette(stroke_colours, torch.from_numpy(area).float(), colours)
        index = nearest_colours(stroke_colours, palette).numpy()
        order = before(patches, owner, index)
    loads, diameters = [], _diameters(painting, strokes, placement.scale)
    sequence: list[int] = []
    for colour, members in fewest_loads(order, index, shown):
        members = members[
            (-diameters[members]).argsort(kind="stable")
        ]  # large brushes first; within a load any order will do
        loads.append(
            Load(colour, range(len(sequence), len(sequence) + len(members)), tuple(diameters[members].tolist()))
        )
        sequence.extend(members.tolist())
    numbers = np.array(sequence)
    _check(order, numbers)
    recoloured = painting.space.put(strokes, "colour", palette[torch.from_numpy(index)])
    planned = replace(painting, strokes=recoloured[numbers], provenance={**painting.provenance, "layers": None})
    named = _named(torch.cat((palette, palette.new_tensor([painting.background]))))
    return PaintPlan(
        planned,
        numbers,
        tuple(named[:-1]),
        replace(named[-1], letter=""),
        tuple(loads),
        *placement,
        len(strokes) - len(shown),
        1 + int((np.diff(index[shown]) != 0).sum()),
        _difference(marks, owner, palette[torch.from_numpy(index)], painting),
        solid,
    )


def _difference(marks: Patches, owner: np.ndarray, colours: Tensor, painting: Painting) -> float:
    """The mean squared error between what the owners show in their new `colours` (N, 3) and the marks as they are."""
    picture = blank((owner.shape[0], owner.shape[1]), painting.background)
    flat = torch.cat((colours, colours.new_tensor([painting.background])))[torch.from_numpy(owner)]  # -1 is the last
    for i in range(len(marks)):
        below, alpha = marks.on(picture, i)
        below.lerp_(marks.pigment(i), alpha)
    return float((picture.permute(1, 2, 0) - flat).square().mean())


def _check(order: Precedence, sequence: np.ndarray) -> None:
    """The picture depends on it, so that a mistake must not pass silently."""
    if order.violations(sequence):
        raise AssertionError("the order of the plan would change the picture")


def _diameters(painting: Painting, strokes: Tensor, scale: float) -> np.ndarray:
    """The usual brush width (N,), in mm, nearest to the mean diameter of each stroke."""
    radius = painting.space.get(strokes, "radius").mean(1).double().numpy()
    diameter = 2 * radius * min(painting.size()) * scale
    widths = np.array(BRUSHES)
    return widths[np.abs(np.log(diameter.clip(min=0.1))[:, None] - np.log(widths)).argmin(1)]


def _named(colours: Tensor) -> list[PaletteColour]:
    """Colours (N, 3) with letters, names and recipes."""
    return [
        PaletteColour(_letter(i), (red, green, blue), colour_name(np.array((red, green, blue))), recipe)
        for i, ((red, green, blue), recipe) in enumerate(zip(colours.tolist(), recipes(colours), strict=True))
    ]


def _letter(index: int) -> str:
    """A, B ... Z, AA, AB ...

    >>> [_letter(i) for i in (0, 25, 26)]
    ['A', 'Z', 'AA']
    """
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    return letters[index] if index < 26 else letters[index // 26 - 1] + letters[index % 26]
