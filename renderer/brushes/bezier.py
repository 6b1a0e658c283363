"""The Bezier brush of Huang et al. (2019): its geometry, its exact rasteriser and a differentiable reference.

A stroke is a row of discs along a quadratic Bezier curve; radius and opacity change linearly along it, and a later disc
replaces an earlier one where they overlap (the authors' code overwrites, it does not blend).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from renderer.brush import Bounds, Brush, Mark, Patches, Size, Window, box_of, layout
from renderer.ops.draw_discs import draw_discs
from renderer.strokes import BEZIER, StrokeSpace


class Curves(NamedTuple):
    """Bezier strokes in pixels: points `start`, `control`, `end` (B, 2) as x, y; `radius`, `opacity` (B, 2)."""

    start: Tensor
    control: Tensor
    end: Tensor
    radius: Tensor
    opacity: Tensor


def curves(strokes: Tensor, size: Size) -> Curves:
    """The geometry of strokes `(B, 13)` on a canvas of `size` (height, width)."""
    height, width = size
    scale = torch.tensor([width, height], dtype=strokes.dtype, device=strokes.device)
    start = BEZIER.get(strokes, "start") * scale
    end = BEZIER.get(strokes, "end") * scale
    control = start + (end - start) * BEZIER.get(strokes, "bend")
    return Curves(start, control, end, BEZIER.get(strokes, "radius") * min(size), BEZIER.get(strokes, "opacity"))


def bounds(strokes: Tensor, size: Size, margin: float = 1.0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The box that each stroke `(B, 13)` touches, clipped to the canvas: left, top, right, bottom, `(B,)` whole pixels.

    The curve is monotone in both axes, so that it lies in the box around its two ends, enlarged by the larger radius and
    by `margin` pixels for the soft edge.
    """
    curve = curves(strokes.detach(), size)
    return box_around(curve.start, curve.end, curve.radius.amax(-1, keepdim=True) + margin, size)


def box_around(start: Tensor, end: Tensor, reach: Tensor, size: Size) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Boxes around points `start` and `end` (B, 2), enlarged by `reach` (B, 1), all in pixels, as of `bounds`."""
    height, width = size
    low = (torch.minimum(start, end) - reach).floor().long().clamp(min=0)
    high = (torch.maximum(start, end) + reach).ceil().long()
    left, top = low[:, 0].clamp(max=width - 1), low[:, 1].clamp(max=height - 1)
    return left, top, high[:, 0].clamp(max=width), high[:, 1].clamp(max=height)


def polynomials(curve: Curves) -> Tensor:
    """The curves as (a t + b) t + c: `(B, 2, 3)`, x and y, a to c."""
    return torch.stack(
        (curve.start - 2 * curve.control + curve.end, 2 * (curve.control - curve.start), curve.start), -1
    )


def mark_of_patches(brush: Brush, strokes: Tensor, size: Size, window: Window | None) -> Mark:
    """The mark of a brush that draws patches: on boxes that are all alike, the canvas or the windows."""
    h, w = size if window is None else (window.height, window.width)
    box = torch.tensor([0, 0, w, h], device=strokes.device).repeat(len(strokes), 1)
    if window is not None:
        box[:, 0], box[:, 1] = window.left, window.top
    return Mark(brush.patches(strokes, size, box).alpha.view(-1, 1, h, w), colours(strokes))


def colours(strokes: Tensor, space: StrokeSpace = BEZIER) -> Tensor:
    """The flat colours of the marks of strokes `(B, P)`: `(B, 3, 1, 1)`."""
    return space.get(strokes, "colour")[:, :, None, None]


def pixel_centres(size: Size, window: Window | None, like: Tensor) -> tuple[Tensor, Tensor]:
    """x `(B or 1, w)` and y `(B or 1, h)` of the pixel centres of the canvas or of the windows, in pixels."""
    height, width = size if window is None else (window.height, window.width)
    x = torch.arange(width, dtype=like.dtype, device=like.device)[None] + 0.5
    y = torch.arange(height, dtype=like.dtype, device=like.device)[None] + 0.5
    if window is None:
        return x, y
    return x + window.left.to(like)[:, None], y + window.top.to(like)[:, None]


class BezierBrush(Brush):
    """A brush of strokes of BEZIER, with their bounds."""

    space = BEZIER

    def bounds(self, strokes: Tensor, size: Size) -> Bounds:
        """The box around the curve, with a margin of a pixel for the soft edge."""
        return bounds(strokes, size)


class ExactBezier(BezierBrush):
    """The reference brush, drawn by OpenCV: discs at sub-pixel positions on a supersampled canvas, averaged down.

    Not differentiable. Errors of position are below 1/16 of a (supersampled) pixel; antialiasing is a box filter over
    `supersample` squared samples.

    Args:
        supersample: samples per pixel and axis.
        outline_error: how far the outline of a row of discs may lie from the curve's, in samples; with fewer discs it is
            faster. At 0 there is a disc every 1.5 samples.
    """

    def __init__(self, supersample: int = 4, outline_error: float = 0.0) -> None:
        self.supersample, self.outline_error = supersample, outline_error

    def __call__(self, strokes: Tensor, size: Size, window: Window | None = None) -> Mark:
        """See `renderer.brush.Brush`."""
        self.check(strokes, size)
        curve = [part.detach().double().cpu().numpy() for part in curves(strokes, size)]
        shape = size if window is None else (window.height, window.width)
        origin = np.zeros((len(strokes), 2))
        if window is not None:
            origin = torch.stack((window.left, window.top), -1).double().cpu().numpy()
        alpha = np.empty((len(strokes), 1, *shape), np.float32)
        for i in range(len(strokes)):
            start, control, end, radius, opacity = (part[i] for part in curve)
            alpha[i, 0] = self._draw(start, control, end, radius, opacity, origin[i], shape)
        return Mark(torch.from_numpy(alpha).to(strokes), colours(strokes))

    def _draw(
        self,
        start: np.ndarray,
        control: np.ndarray,
        end: np.ndarray,
        radius: np.ndarray,
        opacity: np.ndarray,
        origin: np.ndarray,
        shape: tuple[int, int],
    ) -> np.ndarray:
        import cv2

        s = self.supersample
        points = (np.stack((start, control, end)) - origin) * s
        length = np.abs(np.diff(points, axis=0)).sum()
        # Steps of at most 1.5 samples keep the outline smooth; at least 64 keep the change of opacity smooth.
        least = 64
        spacing = 1.5
        if self.outline_error > 0:
            # Between discs at a distance d, the outline lies d^2 / 8r inside of the curve's. One step of opacity for each
            # of the 8 bits that a change of it may show.
            spacing = max(spacing, float(np.sqrt(8 * self.outline_error * s * max(0.0, radius.min()))))
            least = max(4, int(64 * abs(opacity[0] - opacity[1])))
        steps = int(np.clip(length / spacing, least, 2048))
        t = np.linspace(0, 1, steps)[:, None]
        centres = (1 - t) ** 2 * points[0] + 2 * t * (1 - t) * points[1] + t**2 * points[2]
        # OpenCV's coordinates start at pixel centres, here in sixteenths (shift=4); its discs are .4 samples too large.
        centres = np.rint((centres - 0.5) * 16).astype(int)
        radii = np.rint((((1 - t) * radius[0] + t * radius[1]) * s - 0.4) * 16).astype(int).ravel()
        values = ((1 - t) * opacity[0] + t * opacity[1]).ravel()
        fine = np.zeros((shape[0] * s, shape[1] * s), np.float32)
        for (x, y), r, value in zip(centres.tolist(), radii.tolist(), values.tolist(), strict=True):
            if r > 0:
                cv2.circle(fine, (x, y), r, value, -1, cv2.LINE_8, 4)
        return cv2.resize(fine, (shape[1], shape[0]), interpolation=cv2.INTER_AREA) if s > 1 else fine


class SampledBezier(BezierBrush):
    """The reference brush drawn in C, many times as fast and nearly the same: discs are fewer and not rounded.

    Not differentiable. For strokes in single precision on the CPU, where a compiler is installed.

    Args:
        supersample: samples per pixel and axis.
        outline_error: as of `ExactBezier`.
    """

    def __init__(self, supersample: int = 4, outline_error: float = 0.05) -> None:
        self.supersample, self.outline_error = supersample, outline_error

    def __call__(self, strokes: Tensor, size: Size, window: Window | None = None) -> Mark:
        """See `renderer.brush.Brush`."""
        return mark_of_patches(self, strokes, size, window)

    def patches(self, strokes: Tensor, size: Size, box: Tensor | None = None) -> Patches:
        """See `renderer.brush.Brush`: all boxes at once."""
        self.check(strokes, size)
        box = box_of(self.bounds(strokes, size)) if box is None else box
        start, total = layout(box)
        curve = curves(strokes.detach(), size)
        ends = torch.stack((curve.radius, curve.opacity), 1)  # (B, radius and opacity, start and end)
        parts = (polynomials(curve).flatten(1), torch.stack((ends[..., 0], ends[..., 1] - ends[..., 0]), -1).flatten(1))
        numbers = torch.cat(parts, -1)
        alpha = draw_discs(numbers, box, start, total, self.supersample, self.outline_error)
        return Patches(alpha, self.space.get(strokes, "colour"), box, start)


class AnalyticBezier(BezierBrush):
    """A differentiable brush without weights: the distance of every pixel to many discs along the curve.

    Simple and slow (pixels times `discs` values a stroke); tests compare the learned brush with it. A pixel is covered as
    far as the nearest disc covers it, and has the opacity of the last disc that holds it.
    """

    differentiable = True

    def __init__(self, discs: int = 64) -> None:
        self.discs = discs

    def __call__(self, strokes: Tensor, size: Size, window: Window | None = None) -> Mark:
        """See `renderer.brush.Brush`."""
        self.check(strokes, size)
        curve = curves(strokes, size)
        x, y = pixel_centres(size, window, strokes)
        t = torch.linspace(0, 1, self.discs, dtype=strokes.dtype, device=strokes.device)[:, None]
        centre = (
            (1 - t) ** 2 * curve.start[:, None] + 2 * t * (1 - t) * curve.control[:, None] + t**2 * curve.end[:, None]
        )  # (B, T, 2)
        radius = (1 - t.T) * curve.radius[:, :1] + t.T * curve.radius[:, 1:]
        opacity = (1 - t.T) * curve.opacity[:, :1] + t.T * curve.opacity[:, 1:]
        square = (x[:, None, None, :] - centre[..., 0, None, None]) ** 2
        square = square + (y[:, None, :, None] - centre[..., 1, None, None]) ** 2
        distance = (square + 1e-12).sqrt()  # (B, T, h, w)
        depth, nearest = (radius[..., None, None] - distance).max(1)
        half_width = radius.gather(1, nearest.flatten(1)).view_as(depth)
        last = (
            (distance <= radius[..., None, None]) * torch.arange(1, self.discs + 1, device=t.device)[:, None, None]
        ).amax(1)
        last = torch.where(last > 0, last - 1, nearest)
        value = opacity.gather(1, last.flatten(1)).view_as(depth)
        return Mark((edge(depth) - edge(depth - 2 * half_width))[:, None] * value[:, None], colours(strokes))


def edge(depth: Tensor, sharpness: float | Tensor = 4.5) -> Tensor:
    """Coverage of a pixel whose centre lies `depth` pixels inside an outline (negative outside).

    A sigmoid instead of the ramp of a box filter: nearly the same values, and a gradient outside the stroke, too.
    """
    return torch.sigmoid(sharpness * depth)
