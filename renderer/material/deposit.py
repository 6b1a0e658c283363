"""The paint that one stroke leaves: the smooth mark of a brush, broken up by a material."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

from renderer.material.materials import Material
from renderer.material.noise_tiles import TILE, Array, bristle_tile, cloud_tile, clump_tile, pool_tile, speckle_tile
from renderer.material.path_coordinates import PathCoordinates, enlarged

HAIR_CELLS = GRAIN_CELLS = 3.0  # cells of a tile in a hair, and in a grain
TYPICAL = 0.02  # half width at which a material's hairs have their own breadth, fraction of the short side
HAIR_GROWTH = 0.4  # exponent: broad brushes have broader hairs, but more of them
FINE, BROAD = 0.002, 0.012  # half widths below which marks are not broken up, and above which they are in full
THIN, THICK = 0.15, 0.75  # alphas of a glaze, which stays smooth, and of paint with a body
BROADEST = 0.03  # half width above which outlines waver no further
LONG_ROW = 1024  # pixels in a row of what is computed together: OpenCV takes no long rows
VISIBLE = 1 / 512  # alpha


@dataclass(frozen=True)
class StrokeFrame:
    """What is known of a stroke where it is drawn.

    alpha: of the smooth mark, (h, w) in [0, 1]
    colour: (3,) sRGB, or (h, w, 3) of a textured brush
    path: coordinates in pixels
    half_width: of the mark, in pixels
    left, top: of the box on the canvas, in pixels
    short: the canvas' short side in pixels
    tooth: the paper's relief in the box (h, w), or None
    noise: numbers in [0, 1) that depend on the stroke only
    peak: the largest alpha of the whole mark, of which this may be a part
    tint: the paper's mean tint (3,), which is the white of a material without colour
    """

    alpha: Array
    colour: Array
    path: PathCoordinates
    half_width: float
    left: int
    top: int
    short: int
    tooth: Array | None
    noise: Array
    peak: float
    tint: Array


@dataclass(frozen=True)
class Deposit:
    """The paint on the pixels that a stroke covers.

    pixels: (n,) indices into the box, row by row
    alpha: (n,); colour: (3,) or (n, 3); height: (n,) as a fraction of the short side, or None
    """

    pixels: Array
    alpha: Array
    colour: Array
    height: Array | None


def stroke_numbers(row: Array, seed: int) -> Array:
    """Twelve numbers in [0, 1) from the values of a stroke, whatever its place in a painting."""
    first = zlib.crc32(np.ascontiguousarray(row, np.float32).tobytes(), seed & 0xFFFFFFFF)
    return np.random.default_rng(first).random(12)


def deposit(frame: StrokeFrame, material: Material) -> Deposit | None:
    """The paint of a stroke; None where it leaves none."""
    alpha = _wavering(frame, material) if material.wobble else frame.alpha
    if float(alpha.max(initial=0.0)) <= VISIBLE:
        return None
    return _Covered(frame, material, alpha).deposit()


def waver(material: Material, half_width: float, short: int) -> float:
    """How far beyond its smooth outline a mark may reach, in pixels."""
    return 3 * material.wobble * min(half_width, BROADEST * short)


class _Covered:
    """The pixels that a stroke covers; fields are (rows, LONG_ROW), the last row filled up with copies."""

    def __init__(self, frame: StrokeFrame, material: Material, alpha: Array) -> None:
        self.frame, self.material = frame, material
        self.pixels = np.flatnonzero(alpha > VISIBLE)
        padding = -len(self.pixels) % min(LONG_ROW, len(self.pixels))
        self.index = np.concatenate((self.pixels, self.pixels[:padding])).reshape(-1, min(LONG_ROW, len(self.pixels)))
        self.alpha = alpha.ravel()[self.index]
        self.inside = _inside(alpha, frame.peak).ravel()[self.index]  # pixels
        self.along, self.across = frame.path.along.ravel()[self.index], frame.path.across.ravel()[self.index]
        self.tooth = None if frame.tooth is None else np.ascontiguousarray(frame.tooth).ravel()[self.index]
        self.hairs = self._along_stroke(bristle_tile())
        rows, columns = np.divmod(self.index, alpha.shape[1])
        self.x, self.y = (
            (columns + (frame.left + 0.5)).astype(np.float32),
            (rows + (frame.top + 0.5)).astype(np.float32),
        )
        # Details carry the likeness, and glazes the colour: both stay whole.
        width = (frame.half_width / frame.short - FINE) / (BROAD - FINE)
        self.body = float(np.clip((frame.peak - THIN) / (THICK - THIN), 0.2, 1))
        if material.saturation < 1:  # lights are bare paper, which shows no hairs
            dark = 1 - float(np.mean(frame.colour))
            self.body *= material.saturation + (1 - material.saturation) * (0.25 + 0.75 * dark)
        self.broad = float(np.clip(width, 0.25, 1))

    def deposit(self) -> Deposit:
        m, frame, inside = self.material, self.frame, self.inside
        alpha = self._broken() if m.breaks else self.alpha
        if m.rim:
            # Water carries pigment to the rim: what the rim gains, the inside loses.
            band = np.exp(-((inside / (m.rim_width * frame.short) - 0.6) ** 2))
            alpha = alpha * (1 + m.rim * (band - 0.25))
        if m.pools:
            size = min(frame.half_width, BROADEST * frame.short) / frame.short
            alpha = alpha * (1 + m.pools * self._on_canvas(pool_tile(), size / 5))
        if m.granulation and self.tooth is not None:
            alpha = alpha * (1 - m.granulation * np.tanh(self.tooth))
        alpha = np.clip(alpha, 0, 1)
        colour = self._pigment()
        height = None
        if m.thickness:
            # Thin strokes carry little paint, and broad ones do not pile up for ever.
            width = frame.half_width / frame.short
            body = m.thickness * self.body * width / (1 + width / 0.03)
            shape = (1 - m.ridges) + m.ridges * np.clip(0.55 + 0.5 * self.hairs, 0, 2)
            if m.bead:
                shape = shape + m.bead * np.exp(-(((inside / frame.half_width - 0.10) / 0.09) ** 2))
            height = self._listed(body * alpha * shape)
        if colour.ndim > 1:
            colour = colour.reshape(-1, 3)[: len(self.pixels)]
        return Deposit(self.pixels, self._listed(alpha), colour, height)

    def _listed(self, field: Array) -> Array:
        """A field without the copies that fill it up, (n,)."""
        return field.ravel()[: len(self.pixels)]

    def _broken(self) -> Array:
        """Alpha as the share of a texture that is covered, see `Material`."""
        m, frame = self.material, self.frame
        texture, weight = m.hairs * self.hairs, m.hairs**2
        if m.grains:
            texture, weight = texture + m.grains * self._grains(), weight + m.grains**2
        if self.tooth is not None and m.tooth:  # paint stays on what is high
            texture, weight = texture - m.tooth * self.tooth, weight + m.tooth**2
        threshold = 1 / (1 + np.exp((-1.7 / max(1e-6, weight) ** 0.5) * texture))  # uniform in [0, 1], about
        cover = self.alpha * (1 + m.opaque)
        if m.ragged:
            cover = cover * np.clip(0.25 + 0.75 * self.inside / (m.ragged * frame.half_width), 0, 1)
        length = frame.path.length / frame.half_width  # in half widths
        if m.ends or m.dry:
            along = self.along / frame.half_width
            if m.ends:
                tip = np.minimum(along + 1, length + 1 - along) / (m.ends * min(1.0, 0.3 + 0.2 * length))
                cover = cover * np.clip(0.15 + 0.85 * tip, 0, 1)
            if m.dry:
                used = np.clip(along / max(length, 1e-3), 0, 1)
                cover = cover * (1 - m.dry * min(1.0, length / 8) * (0.4 + 1.2 * frame.noise[8]) * used**2)
        broken = np.clip((cover * (1 + m.softness) - threshold) / m.softness, 0, 1)
        broken = broken * np.clip(cover / 0.02, 0, 1)  # without a jump where there is next to nothing
        return self.alpha + m.breaks * self.broad * self.body * (broken - self.alpha)

    def _grains(self) -> Array:
        return self._on_canvas(speckle_tile(), self.material.grain / GRAIN_CELLS)

    def _pigment(self) -> Array:
        """The colour, (3,) or (rows, LONG_ROW, 3)."""
        m, frame, colour = self.material, self.frame, self.frame.colour
        if colour.ndim > 1:
            colour = colour.reshape(-1, 3)[self.index]
        if m.saturation != 1:
            grey = colour @ np.array([0.30, 0.59, 0.11], np.float32)
            grey = np.clip(0.5 + m.contrast * (grey - 0.5), 0, 1)[..., None]
            tinted = grey + m.warmth * np.array([1.0, 0.2, -1.2], np.float32) * (1 - grey)
            tinted = tinted * frame.tint
            colour = tinted + m.saturation * (colour - tinted)
        if m.jitter:
            shift = frame.noise[9:12] - 0.5
            colour = colour + m.jitter * 3.4 * (shift - 0.5 * shift.mean()).astype(np.float32)
        if m.streaks:
            colour = colour + (m.streaks * self.body * self.hairs)[..., None]
        if m.hues:
            clumps = self._along_stroke(clump_tile())
            colour = colour + m.hues * (clumps - 0.6 * clumps.mean(-1, keepdims=True))
        return np.clip(colour, 0, 1).astype(np.float32)

    def _along_stroke(self, tile: Array) -> Array:
        """A tile of streaks wrapped along the stroke, from a place of the stroke's own."""
        frame = self.frame
        width = frame.half_width / frame.short
        cell = self.material.hair * (width / TYPICAL) ** HAIR_GROWTH / HAIR_CELLS * frame.short  # pixels
        return wrapped(tile, self.along / cell + TILE * frame.noise[1], self.across / cell + TILE * frame.noise[0])

    def _on_canvas(self, tile: Array, cell: float) -> Array:
        return _turned(tile, self.frame, cell, self.x, self.y)


def _wavering(frame: StrokeFrame, m: Material) -> Array:
    """The alpha with its outline displaced by clouds that are as large as the stroke is broad."""
    import cv2

    height, width = frame.alpha.shape
    size = min(frame.half_width, BROADEST * frame.short)
    step = max(1, min(4, int(size / 8)))  # clouds are smooth over a few pixels
    x = (frame.left + 0.5 + step * np.arange(-(-width // step) + 1, dtype=np.float32))[None]
    y = (frame.top + 0.5 + step * np.arange(-(-height // step) + 1, dtype=np.float32))[:, None]
    clouds = m.wobble * size * _turned(cloud_tile(), frame, size / 10 / frame.short, x, y)
    moved: Array = enlarged(clouds, step, height, width)
    moved = np.ascontiguousarray(moved.transpose(2, 0, 1))
    moved[0] += np.arange(width, dtype=np.float32)
    moved[1] += np.arange(height, dtype=np.float32)[:, None]
    return np.asarray(cv2.remap(frame.alpha, moved[0], moved[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))


def _inside(alpha: Array, peak: float) -> Array:
    """How far each pixel lies inside the mark's outline, in pixels; the canvas' edge is no outline."""
    import cv2

    mask = (alpha > 0.15 * peak).astype(np.uint8)
    if mask.all():
        return np.full(alpha.shape, 1e4, np.float32)
    return np.asarray(cv2.distanceTransform(mask, cv2.DIST_L2, cv2.DIST_MASK_5))


def _turned(tile: Array, frame: StrokeFrame, cell: float, x: Array, y: Array) -> Array:
    """A tile on the canvas, in cells of a fraction of its short side, turned by an angle of the stroke's own."""
    angle, pixels = 2 * np.pi * frame.noise[2], cell * frame.short
    cos, sin = np.float32(np.cos(angle) / pixels), np.float32(np.sin(angle) / pixels)
    return wrapped(tile, TILE * frame.noise[3] + sin * x + cos * y, TILE * frame.noise[4] + cos * x - sin * y)


def wrapped(tile: Array, row: Array, column: Array) -> Array:
    """Values of a tile that repeats, interpolated linearly, at rows and columns (h, w) in cells."""
    import cv2

    places = []
    for at in (row, column):
        turns = np.floor(at * np.float32(1 / TILE))
        turns *= -TILE
        turns += at
        places.append(turns.astype(np.float32, copy=False))
    return np.asarray(cv2.remap(tile, places[1], places[0], cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP))
