"""How like the true brush a learned one is, and what kind of brush the true one is."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from renderer.brush import Brush, Window
from renderer.brushes.mypaint import MyPaint
from renderer.learned.data import on_path, painterly
from renderer.learned.kernel_distance import kernel_distance
from renderer.learned.train import alpha_error
from renderer.strokes import MYPAINT

SEEN = 0.01  # alpha
PATCH = 16  # pixels


@dataclass(frozen=True)
class Traits:
    """What kind of brush one is, measured on strokes.

    reach: how far marks reach from their paths, in basic radii
    directed: whether the mark of a mirrored stroke is another than the mirrored mark
    sized: whether a stroke half as large, on the same canvas, has another mark than half the size
    """

    reach: float
    directed: bool
    sized: bool


def traits(brush: MyPaint, n: int = 64, seed: int = 0, side: int = 128) -> Traits:
    """Measures a brush on `n` strokes; takes about a second."""
    strokes = MYPAINT.sample(n, torch.Generator().manual_seed(seed))
    strokes[:, MYPAINT.columns("opacity")] = 1
    # In the middle, so that nothing is cut off.
    for name in ("start", "end"):
        strokes = MYPAINT.put(strokes, name, 0.35 + 0.3 * MYPAINT.get(strokes, name))
    strokes = MYPAINT.put(strokes, "radius", 0.02 + 0.2 * MYPAINT.get(strokes, "radius"))
    mirrored, half = strokes.clone(), strokes.clone()
    for name in ("start", "end"):
        mirrored[:, MYPAINT.columns(name).start] = 1 - mirrored[:, MYPAINT.columns(name).start]
    for name in ("start", "end", "radius"):
        half[:, MYPAINT.columns(name)] /= 2
    alpha = brush(strokes, (side, side)).alpha[:, 0]
    other = MyPaint(brush.path, brush.seed + 1)(strokes, (side, side)).alpha[:, 0]
    mirror = brush(mirrored, (side, side)).alpha[:, 0].flip(-1)
    small = brush(half, (2 * side, 2 * side)).alpha[:, 0, :side, :side]
    limit = _difference(alpha, other) + 0.01  # brushes of chance differ anyhow
    directed, sized = _difference(alpha, mirror) > limit, _difference(alpha, small) > limit
    pressed = MYPAINT.put(strokes, "pressure", 0.5 + 0.5 * MYPAINT.get(strokes, "pressure"))
    return Traits(round(_reach(brush, pressed, side) + 0.1, 2), directed, sized)


def _reach(brush: MyPaint, strokes: Tensor, side: int) -> float:
    """The largest distance of a pixel that is seen from its stroke's path, in basic radii."""
    seen = brush(strokes, (side, side)).alpha[:, 0] > SEEN / 2
    path_x, path_y = on_path(strokes, side, torch.linspace(0, 1, 65).expand(len(strokes), -1))
    radius = side * MYPAINT.get(strokes, "radius")[:, 0]
    reach = 0.1
    for k in range(len(strokes)):
        rows, columns = (at[:, None] + 0.5 for at in seen[k].nonzero().unbind(1))
        if len(rows):
            square = (columns - path_x[k]).square() + (rows - path_y[k]).square()
            reach = max(reach, float(square.amin(1).max().sqrt() / radius[k]))
    return reach


def _difference(a: Tensor, b: Tensor) -> float:
    """Mean absolute difference where either is seen."""
    seen = torch.maximum(a, b) > SEEN
    return float((a - b).abs()[seen].mean()) if seen.any() else 0.0


def fidelity(renderer: Brush, brush: MyPaint, n: int, seed: int) -> dict[str, float]:
    """Figures for a checkpoint, on `n` strokes.

    alpha_mse: see `renderer.learned.train.alpha_error`; alpha_mse_of_chance: below it no network falls that knows only the
    stroke (half the mean squared difference of two seeds). kernel_distance: see `appearance_distance`, in thousandths;
    kernel_distance_of_chance: between two seeds of the true brush.
    """
    other = MyPaint(brush.path, brush.seed + 1)
    return {
        "alpha_mse": alpha_error(renderer, brush, n, seed),
        "alpha_mse_of_chance": alpha_error(other, brush, n, seed) / 2,
        "kernel_distance": 1e3 * appearance_distance(renderer, brush, n, seed),
        "kernel_distance_of_chance": 1e3 * appearance_distance(other, brush, n, seed),
    }


@torch.no_grad()
def appearance_distance(renderer: Brush, brush: Brush, n: int, seed: int, side: int = 128) -> float:
    """Distance between the looks of two brushes, regardless of the positions of their dabs.

    It is 0 for the same brush, .01 for ink and liner, 1.9 for ink and an empty canvas. Kernel Inception Distance (Binkowski
    et al. 2018): the squared maximum mean discrepancy of a cubic polynomial kernel, unbiased; here of patches of alpha
    around points of `n` strokes, each as its pixels and its coarser levels.
    """
    generator = torch.Generator().manual_seed(seed)
    strokes = painterly(n, generator)
    x, y = on_path(strokes, side, torch.rand(n, 1, generator=generator))
    left, top = ((at[:, 0] - PATCH / 2).round().long().clamp(0, side - PATCH) for at in (x, y))
    window = Window(left, top, PATCH, PATCH)
    device = renderer.device
    there = Window(left.to(device), top.to(device), PATCH, PATCH)
    ours = _looks(renderer(strokes.to(device), (side, side), there).alpha.cpu())
    theirs = _looks(brush(strokes, (side, side), window).alpha)
    return kernel_distance(ours, theirs, divisor=1.0, paired=True)  # paired: the same stroke at the same place


def _looks(alpha: Tensor) -> Tensor:
    """(n, 1, PATCH, PATCH) -> (n, D): four levels, each of the same weight."""
    levels = [avg_pool2d(alpha, 2**k).flatten(1) * 2**k / PATCH for k in range(4)]
    return torch.cat(levels, 1).double() / 2
