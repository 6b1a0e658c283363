"""A stochastic brush of strips: the learned mean of a brush, broken up as the reference brush does it."""

from __future__ import annotations

import zlib
from typing import Any

import torch
from torch import Tensor

from renderer.brush import Bounds, Brush, Mark, Patches, Size, Window, box_of, layout
from renderer.brushes.bezier import pixel_centres
from renderer.errors import InputError
from renderer.io.checkpoint import FOLDER
from renderer.io.read import one_line
from renderer.learned.curve_coordinates import sweeps
from renderer.learned.load import load_learned_brush
from renderer.learned.neural_brush import NeuralBrush
from renderer.learned.stochastic import StrokeNoise
from renderer.learned.strips import PRESSURES, UNIT, Strips, endless
from renderer.ops.patch_pixels import lookup, pixels_of
from renderer.strokes import MYPAINT

SUFFIX = "-strips"  # of the name of a brush, for its file among the checkpoints
COARSE = 8.0  # cells in a pixel above which grains are averaged


class StripBrush(Brush):
    """Draws the mean of a learned brush through the strips of `renderer.learned.strips`.

    Where the strip's rank is T and the mean alpha is m, alpha is that of the table at m and T. A hash of the stroke's
    geometry and `seed` chooses the strip and the place where it begins, so that a stroke is the same whenever it is
    drawn, at any size. Its gradient is that of the mark with its noise held in place; `mean_brush` is the learned mean.

    Args:
        mean: draws the mean.
        strips: of the same brush.
        seed: of the per-stroke noise.
    """

    space = MYPAINT
    differentiable = True

    def __init__(self, mean: NeuralBrush, strips: Strips, seed: int = 0) -> None:
        self.mean, self.strips, self.seed = mean.mean_brush(), strips, seed
        self.textured = strips.colours is not None
        seeds = strips.ranks.shape[1]
        ranks, colours = endless(strips)
        # The first row again at the end, so that values between the last and the first are found.
        self._ranks = _closed(ranks.flatten(0, 1).float() / 255)  # (pressures * seeds, rows + 1, columns)
        self._alphas = strips.alphas.float()[None] / 255
        self._colours = None if colours is None else _closed(colours.flatten(0, 1).float() / 127)
        self._seeds = seeds

    @property
    def device(self) -> torch.device:
        """See `renderer.brush.Brush`."""
        return self.mean.device

    def bounds(self, strokes: Tensor, size: Size) -> Bounds:
        """See `renderer.brush.Brush`."""
        return self.mean.bounds(strokes, size)

    def mean_brush(self) -> NeuralBrush:
        """See `renderer.brush.Brush`."""
        return self.mean

    def provenance(self) -> dict[str, Any]:
        """What the learned brush records."""
        return self.mean.provenance()

    def __call__(self, strokes: Tensor, size: Size, window: Window | None = None) -> Mark:
        """See `renderer.brush.Brush`."""
        self.mean.check(strokes, size)
        x, y = (at.expand(len(strokes), -1) for at in pixel_centres(size, window, strokes))
        left, top, right, bottom = (side[:, None] for side in self.bounds(strokes, size))
        across, down = (x > left) & (x < right), (y > top) & (y < bottom)
        owner, row, column = (down[:, :, None] & across[:, None, :]).nonzero(as_tuple=True)
        values, pigment = self._at(strokes, size, owner, x[owner, column], y[owner, row])
        alpha = strokes.new_zeros(len(strokes), 1, y.shape[1], x.shape[1])
        alpha[owner, 0, row, column] = values
        colour = MYPAINT.get(strokes, "colour")[:, :, None, None]
        if pigment is not None:
            colour = colour.repeat(1, 1, *alpha.shape[2:])
            colour[owner, :, row, column] = pigment.T
        return Mark(alpha, colour)

    def patches(self, strokes: Tensor, size: Size, box: Tensor | None = None) -> Patches:
        """See `renderer.brush.Brush`; all boxes at once."""
        self.mean.check(strokes, size)
        box = box_of(self.bounds(strokes, size)) if box is None else box
        start, total = layout(box)
        owner, x, y = pixels_of(box, start, total)
        alpha, texture = self._at(strokes, size, owner, x.to(strokes), y.to(strokes))
        return Patches(alpha, MYPAINT.get(strokes, "colour"), box, start, texture)

    def _at(self, strokes: Tensor, size: Size, owner: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor | None]:
        """Alphas (T,) at points x, y (T,) in pixels of the strokes `owner` (T,), and colours (3, T) of a textured brush."""
        noise = StrokeNoise(strokes.new_zeros(len(strokes), self.mean.latent), strokes.new_zeros(len(strokes), 2), None)
        opacity = MYPAINT.get(strokes, "opacity")[:, 0][owner]
        mean = self.mean.at(strokes, size, owner, x, y, noise)
        share = mean / opacity.clamp(min=1e-6)
        seed, shift = self._choose(strokes.detach())
        radius = (MYPAINT.get(strokes.detach(), "radius")[:, 0] * min(size)).clamp(min=1e-3)
        cell = (UNIT / radius)[owner]
        with torch.no_grad():
            reach = self.mean.reach * radius[:, None] + 1
            sweep = sweeps(strokes.detach(), size, reach)
            place = sweep.locate(owner, x, y)
            along = (sweep.arc(owner, place.t) + reach[:, 0][owner] * (place.before + place.behind)) * cell
            across = place.side * reach[:, 0][owner] * cell + self._ranks.shape[2] / 2 - 0.5
            strip = seed[owner] + self._seeds * _nearest(strokes.detach(), owner, place.t)
        level = share.clamp(min=1e-8).sqrt() * (self._alphas.shape[1] - 1)
        zero, alpha = torch.zeros_like(owner), torch.zeros_like(mean)
        for down, right in ((-0.25, -0.25), (-0.25, 0.25), (0.25, -0.25), (0.25, 0.25)):  # of a pixel
            rank = self._rank(self._ranks, strip, along + shift[owner] + down * cell, across + right * cell)
            alpha = alpha + lookup(self._alphas, zero, level, rank * (self._alphas.shape[2] - 1)) / 4
        # Where a pixel holds many grains, it shows their mean.
        alpha = share + (alpha - share) * (COARSE / cell).clamp(max=1)
        alpha = alpha.clamp(0, 1) * opacity * (mean > 0)
        if self._colours is None:
            return alpha, None
        with torch.no_grad():
            changes = [self._rank(self._colours[..., k], strip, along + shift[owner], across) for k in range(3)]
        return alpha, _recoloured(MYPAINT.get(strokes, "colour")[owner].T, torch.stack(changes))

    def _rank(self, strips: Tensor, strip: Tensor, row: Tensor, column: Tensor) -> Tensor:
        """Values (T,) of strips at rows, which go round in loops, and columns."""
        return lookup(strips, strip, row.remainder(strips.shape[1] - 1), column.clamp(0, strips.shape[2] - 1))

    def _choose(self, strokes: Tensor) -> tuple[Tensor, Tensor]:
        """The seed of each stroke's strips, (B,), and where they begin, (B,) in cells."""
        shape = strokes[:, : MYPAINT.columns("opacity").start].float().cpu().contiguous().numpy()
        hashes = [zlib.crc32(row.tobytes(), self.seed & 0xFFFFFFFF) for row in shape]
        rows = self._ranks.shape[1] - 1
        seeds = torch.tensor([number % self._seeds for number in hashes], dtype=torch.long, device=strokes.device)
        begins = [number // self._seeds % rows for number in hashes]
        return seeds, torch.tensor(begins, dtype=strokes.dtype, device=strokes.device)


def load_strips(name: str) -> StripBrush:
    """The strips of a shipped stochastic brush, over its learned mean; `load_brush` does it for `strips:NAME`."""
    known = [path.stem.removesuffix(SUFFIX) for path in sorted(FOLDER.glob(f"*{SUFFIX}.safetensors"))]
    if name not in known:
        raise InputError(f"There are no strips of the brush {one_line(name)}; choose one of {', '.join(known)}.")
    mean = load_learned_brush(name)
    if not isinstance(mean, NeuralBrush):
        raise InputError(f"The brush {name} has no mean that strips can break up.")
    return StripBrush(mean, Strips.load(f"{name}{SUFFIX}"))


def _closed(loops: Tensor) -> Tensor:
    """Loops (n, rows, ...) with their first row again at the end."""
    return torch.cat((loops, loops[:, :1]), 1)


def _nearest(strokes: Tensor, owner: Tensor, t: Tensor) -> Tensor:
    """The number of the pressure (T,) whose strips are nearest at t (T,) of the strokes `owner` (T,)."""
    first, middle, last = MYPAINT.get(strokes, "pressure")[owner].unbind(-1)
    pressure = torch.where(t < 0.5, first + (middle - first) * 2 * t, middle + (last - middle) * (2 * t - 1))
    known = torch.tensor(PRESSURES).to(pressure)
    return torch.bucketize(pressure, (known[1:] + known[:-1]) / 2)


def _recoloured(colour: Tensor, change: Tensor) -> Tensor:
    """Colours (3, T) with hue, saturation and value changed by (3, T); sRGB in [0, 1]."""
    high, low = colour.amax(0), colour.amin(0)
    spread = (high - low).clamp(min=1e-6)
    red, green, blue = colour
    hue = torch.where(
        high == red,
        (green - blue) / spread,
        torch.where(high == green, 2 + (blue - red) / spread, 4 + (red - green) / spread),
    )
    hue = (hue / 6 + change[0]).remainder(1)
    saturation = (torch.where(high > 0, (high - low) / high.clamp(min=1e-6), 0.0) + change[1]).clamp(0, 1)
    value = (high + change[2]).clamp(0, 1)
    parts = [(hue * 6 + shift).remainder(6) for shift in (5.0, 3.0, 1.0)]
    return torch.stack([value - value * saturation * torch.minimum(k, 4 - k).clamp(0, 1) for k in parts])
