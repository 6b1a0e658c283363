"""Training data for neural brushes: strokes of the reference brush, sampled at points or in windows."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from renderer.brush import ReferenceBrush, Window
from renderer.strokes import MYPAINT

# Canvas sides to train on, in turn: small ones are cheap and have thin lines, large ones have sharp edges.
SIDES = (48, 96, 64, 192, 128, 256)


class Points(NamedTuple):
    """Reference alphas at points of strokes.

    strokes: (B, 14); size: height and width of the canvas
    owner: (T,) the stroke of each point; x, y: (T,) pixel centres; alpha: (T,) of the reference brush
    """

    strokes: Tensor
    size: tuple[int, int]
    owner: Tensor
    x: Tensor
    y: Tensor
    alpha: Tensor


class Views(NamedTuple):
    """Reference alphas in one window of each stroke.

    strokes: (B, 14); size: height and width of the canvas
    left, top: (B,) corners of the windows; alpha: (B, 1, h, w) of the reference brush
    """

    strokes: Tensor
    size: tuple[int, int]
    left: Tensor
    top: Tensor
    alpha: Tensor

    @property
    def window(self) -> Window:
        """The windows, as brushes take them."""
        return Window(self.left, self.top, self.alpha.shape[-2], self.alpha.shape[-1])


def painterly(n: int, generator: torch.Generator) -> Tensor:
    """Sample `(n, 14)` opaque strokes as painters use them: many thin and short ones, of which a uniform sample has few.

    A quarter is uniformly random, a quarter thinner, half short for its radius. Every second one has even pressure.
    """
    strokes = MYPAINT.sample(n, generator)
    radius, start, end, pressure = (MYPAINT.columns(name) for name in ("radius", "start", "end", "pressure"))
    strokes[: 3 * n // 4, radius] *= torch.rand(3 * n // 4, 1, generator=generator) ** 2
    short = strokes[: n // 2]
    step = 12 * MYPAINT.get(short, "radius") * torch.rand(len(short), 1, generator=generator)
    angle = 2 * math.pi * torch.rand(len(short), 1, generator=generator)
    short[:, end] = (short[:, start] + step * torch.cat((angle.cos(), angle.sin()), -1)).clamp(0, 1)
    strokes[::2, pressure] = strokes[::2, pressure][:, :1]
    strokes[:, MYPAINT.columns("opacity")] = 1
    return strokes


class BrushPoints(Dataset[Points]):
    """`count` batches of `batch` strokes of a brush, with `places` points each. Batch i depends on (seed, i) alone.

    reach: how far points lie from the path at most, in radii
    sides: of the canvases, in turn
    """

    def __init__(
        self,
        brush: ReferenceBrush,
        reach: float,
        batch: int,
        count: int,
        seed: int,
        places: int = 192,
        sides: tuple[int, ...] = SIDES,
    ) -> None:
        self.brush, self.reach, self.batch, self.count, self.seed = brush, reach, batch, count, seed
        self.places, self.sides = places, sides

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, i: int) -> Points:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + i)
        strokes, side = painterly(self.batch, generator), self.sides[i % len(self.sides)]
        # Points around random points of the path, within the reach, near ones more often.
        shape = (self.batch, self.places)
        t, far, turn = (torch.rand(shape, generator=generator) for _ in range(3))
        far = (self.reach * side * MYPAINT.get(strokes, "radius") + 1) * far**0.75
        angle = 2 * math.pi * turn
        path_x, path_y = on_path(strokes, side, t)
        x, y = (path_x + far * angle.cos()).floor().long(), (path_y + far * angle.sin()).floor().long()
        patches = self.brush.patches(strokes, (side, side))
        left, top, width, height = patches.box[:, :, None].unbind(1)
        column, row = x - left, y - top
        inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
        alpha = torch.zeros(shape)
        alpha[inside] = patches.alpha[(patches.start[:, None] + row * width + column)[inside]]
        seen = (x >= 0) & (x < side) & (y >= 0) & (y < side)
        owner = torch.arange(self.batch, dtype=torch.int32)[:, None].expand(shape)
        return Points(strokes, (side, side), owner[seen], x[seen] + 0.5, y[seen] + 0.5, alpha[seen].clamp(0, 1))


class BrushViews(Dataset[Views]):
    """`count` batches of `batch` strokes of a brush in windows of `side` pixels. Batch i depends on (seed, i) alone.

    whole: the windows are whole canvases; otherwise they lie around a point of each path, on larger canvases
    """

    def __init__(self, brush: ReferenceBrush, batch: int, count: int, seed: int, side: int, whole: bool) -> None:
        self.brush, self.batch, self.count, self.seed = brush, batch, count, seed
        self.side, self.whole = side, whole

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, i: int) -> Views:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + i)
        strokes = painterly(self.batch, generator)
        side = self.side if self.whole else self.side * (2 + i % 3)
        left = top = torch.zeros(self.batch, dtype=torch.long)
        if not self.whole:
            # Thin strokes have no texture to learn.
            radius = MYPAINT.columns("radius")
            strokes[:, radius] = 0.1 + 0.9 * strokes[:, radius]
            x, y = on_path(strokes, side, torch.rand(self.batch, 1, generator=generator))
            left, top = ((at[:, 0] - self.side / 2).round().long().clamp(0, side - self.side) for at in (x, y))
        alpha = self.brush(strokes, (side, side), Window(left, top, self.side, self.side)).alpha.clamp(0, 1)
        return Views(strokes, (side, side), left, top, alpha)


class RandomNormals(Dataset[tuple[Tensor, ...]]):
    """Tuples of standard normal tensors of the given shapes. Item i depends on (seed, i) alone."""

    def __init__(self, shapes: tuple[tuple[int, ...], ...], count: int, seed: int) -> None:
        self.shapes, self.count, self.seed = shapes, count, seed

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, i: int) -> tuple[Tensor, ...]:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + i)
        return tuple(torch.randn(shape, generator=generator) for shape in self.shapes)


class Pool(Dataset[Any]):
    """`steps` batches from a fixed list, in a new random order for each pass, which depends on (seed, pass) alone.

    Drawing a reference stroke takes a hundred times as long as a training step on it, so that strokes are used many times.
    """

    def __init__(self, batches: list[Any], steps: int, seed: int) -> None:
        self.batches, self.steps, self.seed = batches, steps, seed
        self._turn, self._order = -1, torch.empty(0)

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, i: int) -> Any:
        turn, place = divmod(i, len(self.batches))
        if turn != self._turn:
            generator = torch.Generator().manual_seed(self.seed * 1_000_003 + turn)
            self._turn, self._order = turn, torch.randperm(len(self.batches), generator=generator)
        return self.batches[int(self._order[place])]


class Zipped(Dataset[tuple[Any, ...]]):
    """Several data sets in parallel: item i is the tuple of their items i."""

    def __init__(self, *sets: Dataset[Any]) -> None:
        self.sets = sets

    def __len__(self) -> int:
        return min(len(part) for part in self.sets)  # type: ignore[arg-type]

    def __getitem__(self, i: int) -> tuple[Any, ...]:
        return tuple(part[i] for part in self.sets)


def iterate(data: Dataset[Any], workers: int) -> Iterator[Any]:
    """Yield all batches in order, computed by `workers` processes (0: by this one)."""
    yield from DataLoader(data, batch_size=None, num_workers=workers, worker_init_fn=_one_thread)


def _one_thread(_: int) -> None:
    torch.set_num_threads(1)


def on_path(strokes: Tensor, side: int, t: Tensor) -> tuple[Tensor, Tensor]:
    """x and y in pixels on a canvas side x side, each `(B, K)`, at parameters t (B, K) of the strokes' curves."""
    start, bend, end = (MYPAINT.get(strokes, name)[:, None] for name in ("start", "bend", "end"))
    t = t[..., None]
    at = (start + (2 * t * (1 - t) * bend + t * t) * (end - start)) * side
    return at[..., 0], at[..., 1]
