"""Marks without transparency: every pixel is painted fully or not at all, as by a hand with opaque paint.

A painting drawn so has exactly the colours of its strokes and its background, whatever the brush: pressure, grain and
antialiased edges, which mix colours, only decide where the mark is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from renderer.brush import Bounds, Brush, Mark, Patches, Size, Window, load_brush

FAINT = 0.25  # alpha below which nothing is painted: a glaze would otherwise become an opaque area


class Solid(Brush):
    """Another brush's marks, painted where alpha is at least half of the mark's largest and at least 0.25.

    Not differentiable. The colour is the stroke's own, also where the other brush is textured.

    Args:
        brush: the other brush.
    """

    def __init__(self, brush: Brush) -> None:
        self.brush = brush
        self.space = brush.space

    @property
    def device(self) -> torch.device:
        """See `renderer.brush.Brush`."""
        return self.brush.device

    def bounds(self, strokes: Tensor, size: Size) -> Bounds:
        """See `renderer.brush.Brush`."""
        return self.brush.bounds(strokes, size)

    def provenance(self) -> dict[str, Any]:
        """What the other brush records."""
        return self.brush.provenance()

    @torch.no_grad()
    def __call__(self, strokes: Tensor, size: Size, window: Window | None = None) -> Mark:
        """See `renderer.brush.Brush`."""
        alpha = self.brush(strokes, size, window).alpha
        # The largest alpha may lie outside of the window.
        peak = alpha.amax((1, 2, 3)) if window is None else _peaks(self.brush.patches(strokes, size))
        solid = (alpha >= _threshold(peak)[:, None, None, None]).to(alpha)
        return Mark(solid, self.space.get(strokes, "colour")[:, :, None, None])

    @torch.no_grad()
    def patches(self, strokes: Tensor, size: Size, box: Tensor | None = None) -> Patches:
        """See `renderer.brush.Brush`."""
        if box is not None:
            return super().patches(strokes, size, box)
        return solidified(self.brush.patches(strokes, size))

    @torch.no_grad()
    def stream(self, strokes: Tensor, size: Size, chunk: int = 256) -> Iterator[Patches]:
        """See `renderer.brush.Brush`."""
        yield from map(solidified, self.brush.stream(strokes, size, chunk))


def load_solid(name: str) -> Solid:
    """The solid marks of the brush `name`; `load_brush` does it for `solid:NAME`."""
    return Solid(load_brush(name))


@torch.no_grad()
def coverage(brush: Brush, count: int = 64, size: Size = (96, 96)) -> float:
    """How much the inside of a mark covers, in [0, 1]: the median of alpha above half of its largest.

    Of `count` random strokes of opacity 1, fixed for a brush; 1 is opaque.
    """
    space = brush.space
    strokes = space.sample(count, torch.Generator().manual_seed(0))
    strokes[:, space.columns("opacity")] = 1
    radius = space.columns("radius")
    strokes[:, radius] = strokes[:, radius].clamp(min=0.2)  # at which edges are a small part
    patches = brush.patches(strokes.to(brush.device), size)
    inside = patches.alpha > (_peaks(patches) / 2)[_owner(patches)]
    return float(patches.alpha[inside].median())


def _threshold(peak: Tensor) -> Tensor:
    return (peak / 2).clamp(min=FAINT)


def _owner(patches: Patches) -> Tensor:
    """The stroke (T,) that each pixel of the patches belongs to."""
    area = patches.box[:, 2] * patches.box[:, 3]
    order = patches.start.argsort(stable=True)
    return order.repeat_interleave(area[order])


def _peaks(patches: Patches) -> Tensor:
    """The largest alpha (N,) of each stroke."""
    return patches.alpha.new_zeros(len(patches)).scatter_reduce(0, _owner(patches), patches.alpha, "amax")


def solidified(patches: Patches) -> Patches:
    """The solid marks of patches: alpha 0 or 1, flat colours."""
    solid = patches.alpha >= _threshold(_peaks(patches))[_owner(patches)]
    return replace(patches, alpha=solid.to(patches.alpha), texture=None)
