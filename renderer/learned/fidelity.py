"""Fidelity of a learned brush to its reference brush, and traits of the reference brush."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from renderer.brush import Brush, ReferenceBrush, Window
from renderer.learned.data import on_path, painterly
from renderer.learned.kernel_distance import kernel_distance
from renderer.learned.train import alpha_error
from renderer.strokes import MYPAINT

VISIBLE = 0.01  # alpha
PATCH = 16  # pixels


@dataclass(frozen=True)
class Traits:
    """Traits of a brush, measured on strokes; they choose the inputs of a `NeuralBrush`.

    reach: how far marks reach from their paths, in radii
    directed: whether the mark of a mirrored stroke differs from the mirrored mark
    sized: whether the mark of a stroke half as large, on the same canvas, differs from the mark at half the size
    """

    reach: float
    directed: bool
    sized: bool


def traits(brush: ReferenceBrush, n: int = 64, seed: int = 0, side: int = 128) -> Traits:
    """Measure a brush on `n` strokes on a canvas side x side; takes about a second."""
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
    other = brush.with_seed(brush.seed + 1)(strokes, (side, side)).alpha[:, 0]
    mirror = brush(mirrored, (side, side)).alpha[:, 0].flip(-1)
    small = brush(half, (2 * side, 2 * side)).alpha[:, 0, :side, :side]
    limit = _difference(alpha, other) + 0.01  # stochastic brushes differ from seed to seed
    directed, sized = _difference(alpha, mirror) > limit, _difference(alpha, small) > limit
    pressed = MYPAINT.put(strokes, "pressure", 0.5 + 0.5 * MYPAINT.get(strokes, "pressure"))
    return Traits(round(_reach(brush, pressed, side) + 0.1, 2), directed, sized)


def _reach(brush: Brush, strokes: Tensor, side: int) -> float:
    """The largest distance of a visible pixel from the path of its stroke, in radii."""
    seen = brush(strokes, (side, side)).alpha[:, 0] > VISIBLE / 2
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
    """Mean absolute difference where either is visible."""
    seen = torch.maximum(a, b) > VISIBLE
    return float((a - b).abs()[seen].mean()) if seen.any() else 0.0


def fidelity(learned: Brush, reference: ReferenceBrush, n: int, seed: int) -> dict[str, float]:
    """Measure a learned brush against its reference brush on `n` strokes.

    Returns:
        alpha_mse: see `renderer.learned.train.alpha_error`.
        alpha_mse_of_noise: the least alpha_mse of a network that does not know the seed, half the mean squared difference
            of two seeds.
        kernel_distance: see `appearance_distance`, in thousandths.
        kernel_distance_of_noise: the same between two seeds of the reference brush.
    """
    other = reference.with_seed(reference.seed + 1)
    return {
        "alpha_mse": alpha_error(learned, reference, n, seed),
        "alpha_mse_of_noise": alpha_error(other, reference, n, seed) / 2,
        "kernel_distance": 1e3 * appearance_distance(learned, reference, n, seed),
        "kernel_distance_of_noise": 1e3 * appearance_distance(other, reference, n, seed),
    }


@torch.no_grad()
def appearance_distance(learned: Brush, reference: Brush, n: int, seed: int, side: int = 128) -> float:
    """Compare the appearance of two brushes, whatever their noise is where.

    The kernel distance (`renderer.learned.kernel_distance`) of patches of alpha around points of `n` strokes, each patch
    as its pixels and its coarser levels. 0 for the same brush, .01 for ink and liner, 1.9 for ink and an empty canvas.
    """
    generator = torch.Generator().manual_seed(seed)
    strokes = painterly(n, generator)
    x, y = on_path(strokes, side, torch.rand(n, 1, generator=generator))
    left, top = ((at[:, 0] - PATCH / 2).round().long().clamp(0, side - PATCH) for at in (x, y))
    window = Window(left, top, PATCH, PATCH)
    device = learned.device
    there = Window(left.to(device), top.to(device), PATCH, PATCH)
    ours = _features(learned(strokes.to(device), (side, side), there).alpha.cpu())
    theirs = _features(reference(strokes, (side, side), window).alpha)
    return kernel_distance(ours, theirs, divisor=1.0, paired=True)  # pairs show the same stroke


def _features(alpha: Tensor) -> Tensor:
    """(n, 1, PATCH, PATCH) -> (n, D): four levels of equal weight."""
    levels = [avg_pool2d(alpha, 2**k).flatten(1) * 2**k / PATCH for k in range(4)]
    return torch.cat(levels, 1).double() / 2
