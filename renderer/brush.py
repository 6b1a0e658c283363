"""The brush contract: strokes in, marks out; and the registry of brushes by name."""

from __future__ import annotations

import os
import shlex
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from renderer.checks import check_size, check_strokes
from renderer.errors import InputError
from renderer.extensions import import_callable
from renderer.io.hub import is_address
from renderer.strokes import StrokeSpace

if TYPE_CHECKING:
    from renderer.ops.refine_strokes import StrokeMapWeights
    from renderer.ops.triton_strokes import StrokeCodes

Size = tuple[int, int]
"""(height, width) in pixels."""

Bounds = tuple[Tensor, Tensor, Tensor, Tensor]
"""left, top, right, bottom, each `(B,)` whole pixels; right and bottom are exclusive."""


class Mark(NamedTuple):
    """The mark of a stroke: how much (`alpha`) of which `colour` it leaves.

    alpha:  (B, 1, h, w) in [0, 1]
    colour: (B, 3, 1, 1) for a flat colour, or (B, 3, h, w) of a textured brush; sRGB in [0, 1]
    """

    alpha: Tensor
    colour: Tensor


@dataclass(frozen=True)
class Window:
    """A part of the canvas for each stroke, all of one shape, in whole pixels; it may hang over the canvas' edge.

    left, top: (B,) integer tensors, the canvas pixel of each window's upper left corner
    height, width: the shape of all windows
    """

    left: Tensor
    top: Tensor
    height: int
    width: int


@dataclass(frozen=True)
class Patches:
    """The marks of N strokes, each only on its own box of the canvas; the boxes vary in size and may be empty.

    alpha:   (T,) the pixels of all boxes, row by row, in one row of memory
    colour:  (N, 3) the flat colours
    box:     (N, 4) left, top, width, height in whole pixels
    start:   (N,) where the pixels of each box begin in `alpha`
    texture: (3, T) of a textured brush: the colour of every pixel, which then counts instead of `colour`
    """

    alpha: Tensor
    colour: Tensor
    box: Tensor
    start: Tensor
    texture: Tensor | None = None

    def __len__(self) -> int:
        return len(self.box)

    def on(self, canvas: Tensor, i: int) -> tuple[Tensor, Tensor]:
        """The part of `canvas` (C, H, W) below stroke i, `(C, h, w)`, and the stroke's alpha, `(h, w)`, both as views."""
        left, top, width, height = self.box[i].tolist()
        begin = int(self.start[i])
        alpha = self.alpha[begin : begin + width * height].view(height, width)
        return canvas[:, top : top + height, left : left + width], alpha

    def pigment(self, i: int) -> Tensor:
        """The colour of stroke i: flat `(3, 1, 1)`, or `(3, h, w)` of a textured brush."""
        if self.texture is None:
            return self.colour[i, :, None, None]
        _, _, width, height = self.box[i].tolist()
        begin = int(self.start[i])
        return self.texture[:, begin : begin + width * height].view(3, height, width)


class Brush(ABC):
    """Draws each stroke by itself; what it draws depends on the stroke and the canvas' size only.

    A brush must have a `space` and `__call__`; everything else has a default. A brush with weights is an `nn.Module` too,
    named first: `class MyBrush(nn.Module, Brush)`; it draws in `forward`, overrides `device`, and, as most brushes of this
    kind, sets `differentiable`. `docs/add_a_brush.md` shows an example.

    space: the strokes that the brush draws
    differentiable: whether marks have a gradient with respect to strokes, as agents and optimisation need it
    textured: whether the colour varies inside a mark
    has_stroke_map: whether `stroke_map` is what the brush draws from, so that planning is compiled on the CPU
    """

    space: StrokeSpace
    differentiable: bool = False
    textured: bool = False
    has_stroke_map: bool = False

    @abstractmethod
    def __call__(self, strokes: Tensor, size: Size, window: Window | None = None) -> Mark:
        """Draw strokes.

        Args:
            strokes: `(B, P)` in [0, 1], of the brush's `space`.
            size: height and width of the whole canvas in pixels. Resolution never enters a stroke: a larger canvas shows
                the same mark in more pixels.
            window: draw only this part of the canvas, so that the cost of a stroke is that of the pixels that it touches.

        Returns:
            The marks on the canvas or in the windows.
        """

    @property
    def device(self) -> torch.device:
        """The device that strokes have to be on."""
        return torch.device("cpu")

    def check(self, strokes: Tensor, size: Size) -> None:
        """Raise `InputError` for strokes that are not `(N, P)` finite floats of the space, and sizes below 1 pixel.

        Brushes call it where they draw. On a GPU, values are not checked, since that would wait for it.
        """
        check_size(size)
        check_strokes(strokes, self.space)

    def bounds(self, strokes: Tensor, size: Size) -> Bounds:
        """The box that each stroke of `(B, P)` may touch, inside the canvas; by default all of it.

        A brush that knows better is faster. No gradient.
        """
        zero = torch.zeros(len(strokes), dtype=torch.long, device=strokes.device)
        return zero, zero, zero + size[1], zero + size[0]

    def patches(self, strokes: Tensor, size: Size, box: Tensor | None = None) -> Patches:
        """Draw each stroke only on its own box of the canvas. Differentiable if the brush is.

        By default, windows of equal shapes are drawn together.

        Args:
            strokes: `(N, P)`.
            size: height and width of the canvas.
            box: `(N, 4)` left, top, width, height of the boxes; by default, boxes that hold `bounds`.

        Raises:
            InputError: for strokes that are not `(N, P)` finite floats of the brush's space, and sizes below 1 pixel.
        """
        self.check(strokes, size)
        if box is None:
            box = _few_shapes(box_of(self.bounds(strokes, size)), size)
        start = torch.empty_like(box[:, 0])
        alphas, textures, total = [strokes.new_zeros(0)], [strokes.new_zeros(3, 0)], 0
        for w, h in box[:, 2:].unique(dim=0).tolist():
            rows = ((box[:, 2] == w) & (box[:, 3] == h)).nonzero()[:, 0]
            mark = self(strokes[rows], size, Window(box[rows, 0], box[rows, 1], h, w))
            alphas.append(mark.alpha.flatten())
            if self.textured:
                textures.append(mark.colour.expand(-1, 3, h, w).transpose(0, 1).flatten(1))
            start[rows] = total + torch.arange(len(rows), device=start.device) * (h * w)
            total += len(rows) * h * w
        texture = torch.cat(textures, 1) if self.textured else None
        return Patches(torch.cat(alphas), self.space.get(strokes, "colour"), box, start, texture)

    def stream(self, strokes: Tensor, size: Size, chunk: int = 256) -> Iterator[Patches]:
        """Yield the patches of strokes `(N, P)` in painting order, at most `chunk` at a time, so that memory is bounded."""
        self.check(strokes, size)
        for first in range(0, len(strokes), chunk):
            yield self.patches(strokes[first : first + chunk], size)

    def codes(self, strokes: Tensor, size: Size) -> StrokeCodes | None:
        """What the kernels on a GPU draw strokes `(N, P)` from; None, the default, if they cannot draw this brush."""
        return None

    def stroke_map(self) -> StrokeMapWeights | None:
        """What `renderer.ops.refine_strokes` draws strokes from; None, the default, if it cannot draw this brush."""
        return None

    def quick_reference(self) -> Brush | None:
        """A brush that draws nearly as the reference brush does, in little time; None, the default, where there is none.

        `painter.optimize` corrects what is learned by it.
        """
        return None

    def mean_brush(self) -> Brush:
        """The brush without per-stroke noise: the mean of a stochastic brush, and by default the brush itself.

        Agents and optimisation use it, since noise cannot be planned.
        """
        return self

    def provenance(self) -> dict[str, Any]:
        """What a painting must record to be drawn again with the reference brush; anything that JSON can hold."""
        return {}


class ReferenceBrush(Brush):
    """A brush of the space MYPAINT to learn from. Its per-stroke noise is a function of `seed` and the stroke.

    `provenance` has the name of the brush as `brush`, and as `myb` the text from which it can be made again.
    """

    seed: int

    @abstractmethod
    def with_seed(self, seed: int) -> ReferenceBrush:
        """The same brush with other noise."""


def box_of(bounds: Bounds) -> Tensor:
    """Boxes `(N, 4)` of left, top, width, height, at least a pixel wide and high."""
    left, top, right, bottom = bounds
    return torch.stack((left, top, (right - left).clamp(min=1), (bottom - top).clamp(min=1)), -1)


def layout(box: Tensor) -> tuple[Tensor, int]:
    """Boxes `(N, 4)` one after another in memory: where each begins, `(N,)`, and the number of pixels of all."""
    ends = (box[:, 2] * box[:, 3]).cumsum(0)
    return ends - box[:, 2] * box[:, 3], int(ends[-1]) if len(ends) > 0 else 0


def concatenated(parts: Sequence[Patches]) -> Patches:
    """The patches of one stroke or more, one part after another."""
    starts, total = [], 0
    for part in parts:
        starts.append(part.start + total)
        total += len(part.alpha)
    textures = [part.texture for part in parts if part.texture is not None]
    alpha, colour, box = (
        torch.cat(tensors) for tensors in zip(*((p.alpha, p.colour, p.box) for p in parts), strict=True)
    )
    return Patches(alpha, colour, box, torch.cat(starts), torch.cat(textures, 1) if textures else None)


def _few_shapes(box: Tensor, size: Size) -> Tensor:
    """Larger boxes with few different shapes; those that would reach over the far edges are shifted back."""
    left, top, width, height = box.unbind(1)
    width, height = _round_up(width).clamp(max=size[1]), _round_up(height).clamp(max=size[0])
    return torch.stack((torch.minimum(left, size[1] - width), torch.minimum(top, size[0] - height), width, height), -1)


def _round_up(side: Tensor) -> Tensor:
    """To 8, 16, 24, 32, then 48, 64, 96, 128, 192 ...: 1.5 and 2 times the powers of two."""
    power = 2 ** side.clamp(min=8).double().log2().ceil().long()
    return torch.where(side <= power * 3 // 4, power * 3 // 4, power)


BrushFactory = Callable[..., Brush]

_FACTORIES: dict[str, BrushFactory | str] = {
    "exact": "renderer.brushes.bezier:ExactBezier",
    "analytic": "renderer.brushes.bezier:AnalyticBezier",
    "mypaint:": "renderer.brushes.mypaint:MyPaint",
    "solid:": "renderer.brushes.solid:load_solid",
    "strips:": "renderer.learned.strip_brush:load_strips",
}


def register_brush(name: str, factory: BrushFactory | str) -> None:
    """Let `load_brush` make a brush called `name`; one registered earlier under the name is replaced.

    Args:
        name: a name without `+` and `:`; or `NAME:`, for a family of brushes that are loaded as `NAME:TEXT`.
        factory: makes the brush when called without arguments, for a family with TEXT; or `module:attribute`, which is
            imported when the brush is first loaded.

    Raises:
        InputError: for a name that could not be loaded.
    """
    if not name or "+" in name or ":" in name[:-1]:
        raise InputError(f"A brush cannot be called {name!r}: + and : have a meaning in names of brushes.")
    _FACTORIES[name] = factory


def load_brush(name: str = "bezier", device: torch.device | str = "cpu") -> Brush:
    """Load a brush by name.

    Args:
        name: a registered brush (`exact`, `analytic`, `mypaint:ink`, see `register_brush`); a learned brush, shipped
            (`bezier`, `ink` ...) or a file, also without its suffix (`mine` is `mine.safetensors` in the current folder);
            a file of a scanned brush; `module:Class` of an importable module, called without arguments; or, with plus
            signs, several brushes in one painting (`watercolour+ink`, see `renderer.brushes.mixed`); or an address of the
            Hub, `hf://OWNER/REPOSITORY/FILE` (`renderer.io.hub`).
        device: where the weights of the brush go.

    Returns:
        The brush. Brushes with weights are frozen: strokes take a gradient, weights do not.

    Raises:
        InputError: for a name that is not known, and for brushes that do not mix. `CheckpointError`, an `InputError`, for
            a checkpoint that is damaged or not a brush.
    """
    if os.path.isfile(name):
        return _load_checkpoint(name, device)
    if "+" in name and not name.startswith("solid:"):  # which takes the name of a mixture, too
        from renderer.brushes.mixed import MAX_BRUSHES, mixed

        parts = name.split("+")
        if len(parts) > MAX_BRUSHES:  # before they are loaded
            raise InputError(f"A mixture has at most {MAX_BRUSHES} brushes, not {len(parts):,}.")
        return mixed([load_brush(part, device) for part in parts])
    if is_address(name):
        return _load_checkpoint(name, device)
    family, colon, text = name.partition(":")
    if family + colon in _FACTORIES:
        factory = _FACTORIES[family + colon]
        make = import_callable(factory, "brush", bool(colon)) if isinstance(factory, str) else factory
        return _placed(make(text) if colon else make(), device)
    if colon:
        return _placed(import_callable(name, "brush", 0)(), device)
    return _load_checkpoint(name, device)


def brush_names() -> list[str]:
    """The brushes that `load_brush` finds without a file or a module: the registered and the shipped ones."""
    from renderer.learned.load import shipped_brushes

    return [f"{name}NAME" if name.endswith(":") else name for name in [*_FACTORIES, *shipped_brushes()]]


def require_gradient(name: str) -> None:
    """Raise `InputError` if `name` is that of a reference brush. Loads nothing; other names are not checked."""
    if any(part == "exact" or part.startswith("mypaint:") or _is_scan(part) for part in name.split("+")):
        raise not_differentiable(name)


def not_differentiable(name: str) -> InputError:
    """The error for the brush `name` where a gradient is needed; it says how to get one."""
    from renderer.learned.load import brush_file, shipped_brushes

    parts, shipped = [part.removeprefix("mypaint:") for part in name.split("+")], shipped_brushes()
    for whole, part in zip(name.split("+"), parts, strict=True):
        if (whole != part or _is_scan(part)) and part not in shipped:
            source = part if whole != part else str(brush_file(part))
            return InputError(f"Brush {name!r} is not differentiable; learn it by `{_training(source)}`.")
    learned = "+".join(parts) if all(part in shipped for part in parts) else "bezier or ink"
    return InputError(f"Brush {name!r} is not differentiable; use {learned}.")


def _training(brush: str) -> str:
    return f"python -m experiments.train_renderer --brush {shlex.quote(brush)} --quick"


def _is_scan(name: str) -> bool:
    from renderer.brushes.scanned import is_scan
    from renderer.learned.load import brush_file

    path = brush_file(name)
    return path is not None and is_scan(path)


def _load_checkpoint(name: str, device: torch.device | str) -> Brush:
    from renderer.brushes.scanned import Scanned, is_scan
    from renderer.learned.load import brush_file, load_learned_brush

    path = brush_file(name)
    if path is None:
        raise InputError(
            f"There is no brush {name!r}; choose one of {', '.join(brush_names())}, a checkpoint file, or module:Class."
        )
    if path.suffix == ".myb":
        raise InputError(f"{name} is a brush of MyPaint: use mypaint:{name}, or learn it by `{_training(name)}`.")
    return Scanned.load(path) if is_scan(path) else load_learned_brush(path, device)


def _placed(brush: Brush, device: torch.device | str) -> Brush:
    if not isinstance(brush, Brush):
        raise InputError(f"A {type(brush).__name__} is not a brush: it must derive from renderer.brush.Brush.")
    if isinstance(brush, torch.nn.Module):
        brush.to(device).eval().requires_grad_(False)
    return brush
