"""A canvas with a surface: paper, the paint of strokes with its height, and light."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from renderer.brush import Brush, Patches
from renderer.material.deposit import StrokeFrame, deposit, stroke_numbers, waver
from renderer.material.finish import Finish
from renderer.material.grounds import GROUNDS
from renderer.material.lighting import lit
from renderer.material.materials import load_material
from renderer.material.noise_tiles import Array, canvas_field
from renderer.material.papers import make_sheet
from renderer.material.path_coordinates import coordinates, half_widths
from renderer.strokes import StrokeSpace

LEAST_SHORT = (
    768  # pixels on the short side at which a surface is drawn: fibres and hairs are thinner than a pixel below it
)
LEAST_WIDTH = 0.75  # pixels: half width of the finest stroke
AT_ONCE = 2**22  # pixels of a stroke that are computed at once
MARGIN = 0.6  # half widths beyond them that outlines depend on
BLACK = np.array([0.12, 0.116, 0.11], np.float32)  # sRGB of a dry black pigment
SCREEN_SOFTNESS = 0.9  # range of the paper's tooth over which dry pigment fades
PAPER_RELIEF = 0.2  # where a paper is chosen for a material without light

Box = tuple[int, int, int, int]
"""left, top, width, height in pixels."""


class _Piece(NamedTuple):
    """A part of stroke `stroke` of some patches: its box with what it depends on, and the rows that are laid."""

    stroke: int
    box: Box
    first: int
    last: int


class Surface:
    """A canvas that strokes are laid on.

    Args:
        size: (height, width) in pixels.
        background: sRGB in [0, 1].
        finish: what it is drawn in.
    """

    def __init__(self, size: tuple[int, int], background: tuple[float, float, float], finish: Finish) -> None:
        self.size, self.finish, self.short = size, finish, min(size)
        self.material = load_material(finish.material)
        paper = self.material.paper if finish.paper is None else finish.paper
        on_paper = PAPER_RELIEF if paper != "none" or finish.ground else 0.0
        self.relief = max(self.material.relief, on_paper) if finish.relief is None else finish.relief
        sheet = make_sheet(paper, size, finish.seed)
        self.tint = sheet.tint.mean((0, 1))
        self.paper = np.array(background, np.float32) * sheet.tint
        self.colour = np.empty((*size, 3), np.float32)  # of the paint and what is below it, without light
        self.colour[:] = self.paper
        self.height: Array = np.zeros(size, np.float32) + sheet.depth * sheet.relief
        self.tooth: Array | None = sheet.relief if sheet.relief.shape == size else None
        self.screen = _screen(size, sheet.relief, finish.seed) if self.material.screen else None
        self.bare: Array | None = None  # the share of each pixel where the ground shows
        self.tilt: Array | None = None
        if finish.ground is not None:
            ground = GROUNDS[finish.ground](size, finish.seed)
            self.colour[:] = self.paper = ground.colour
            self.height = 0.35 * self.height + ground.relief
            self.bare, self.tilt = np.ones(size, np.float32), ground.tilt

    @torch.no_grad()
    def lay(self, patches: Patches, strokes: Tensor, space: StrokeSpace) -> list[Box]:
        """Lay strokes (n, P) on the canvas, whose smooth marks are `patches`; the boxes of what has changed."""
        rows = strokes.detach().cpu().float()
        widths = (half_widths(rows, space) * self.short).clamp(min=LEAST_WIDTH).tolist()
        alphas = [patches.alpha[:0]] * len(rows)
        pieces: list[_Piece] = []
        boxes: list[Box] = [(left, top, width, height) for left, top, width, height in patches.box.tolist()]
        for i, (left, top, width, height) in enumerate(boxes):
            begin = int(patches.start[i])
            alphas[i] = patches.alpha[begin : begin + width * height].view(height, width).cpu().float()
            if width and height:
                pieces += self._pieces(i, (left, top, width, height), widths[i])
        for group in _groups(pieces):
            index = [piece.stroke for piece in group]
            paths = coordinates(rows[index], space, self.size, torch.tensor([piece.box for piece in group]))
            for (i, piece, first, last), path in zip(group, paths, strict=True):
                left, top, width, height = piece
                tooth = None if self.tooth is None else self.tooth[top : top + height, left : left + width]
                colour = patches.pigment(i).cpu().float()
                if colour.shape[1:] != (1, 1):
                    colour = _placed(colour, boxes[i], piece)
                frame = StrokeFrame(
                    alpha=_placed(alphas[i], boxes[i], piece).numpy(),
                    colour=colour.permute(1, 2, 0).squeeze().numpy(),
                    path=path,
                    half_width=widths[i],
                    left=left,
                    top=top,
                    short=self.short,
                    tooth=tooth,
                    noise=stroke_numbers(rows[i].numpy(), self.finish.seed),
                    peak=float(alphas[i].max()),
                    tint=self.tint,
                )
                self._put(frame, first, last)
        return [(left, first, width, last - first) for _, (left, _, width, _), first, last in pieces]

    def _pieces(self, stroke: int, box: Box, half_width: float) -> Iterator[_Piece]:
        """A stroke's box, enlarged by what its outline wavers, in bands of bounded size."""
        left, top, width, height = box
        beyond = math.ceil(waver(self.material, half_width, self.short)) if self.material.wobble else 0
        x, right = max(0, left - beyond), min(self.size[1], left + width + beyond)
        y, bottom = max(0, top - beyond), min(self.size[0], top + height + beyond)
        rows, margin = max(1, AT_ONCE // (right - x)), math.ceil(MARGIN * half_width)
        if rows < bottom - y:
            rows = max(rows, margin)
        for first in range(y, bottom, rows):
            last = min(bottom, first + rows)
            upper, lower = max(y, first - margin), min(bottom, last + margin)
            yield _Piece(stroke, (x, upper, right - x, lower - upper), first, last)

    def _put(self, frame: StrokeFrame, first: int, last: int) -> None:
        """Lay the paint of a frame on the rows of the canvas from `first` to `last`."""
        paint = deposit(frame, self.material)
        if paint is None:
            return
        width = frame.alpha.shape[1]
        begin, end = np.searchsorted(paint.pixels, ((first - frame.top) * width, (last - frame.top) * width))
        row, column = np.divmod(paint.pixels[begin:end], width)
        there = (row + frame.top) * self.size[1] + (column + frame.left)
        canvas, alpha = self.colour.reshape(-1, 3), paint.alpha[begin:end]
        colour = paint.colour[begin:end] if paint.colour.ndim > 1 else paint.colour
        below = canvas[there]
        canvas[there] = below + alpha[:, None] * (colour - below)
        if paint.height is not None:
            height = self.height.reshape(-1)
            height[there] = height[there] * (1 - self.material.levels * alpha) + paint.height[begin:end]
        if self.bare is not None:
            self.bare.reshape(-1)[there] *= 1 - alpha

    def image(self, box: Box | None = None) -> Array:
        """The lit canvas (height, width, 3) in [0, 1], or a box of it."""
        left, top, width, height = box or (0, 0, self.size[1], self.size[0])
        # With a pixel around it, whose height slopes depend on.
        x, y = max(0, left - 1), max(0, top - 1)
        around = np.s_[y : top + height + 1, x : left + width + 1]
        colour = self.colour[around]
        if self.screen is not None:
            paper = self.paper[around] if self.paper.shape[:2] == self.size else self.paper
            colour = self._screened(colour, paper, self.screen[around])
        sparkle = None
        if self.bare is not None and self.tilt is not None:
            sparkle = self.bare[around], self.tilt[around]
        result = lit(
            colour,
            self.height[around],
            self.short,
            relief=self.relief,
            azimuth=self.finish.light,
            gloss=self.material.gloss,
            sparkle=sparkle,
        )
        return result[top - y : top - y + height, left - x : left - x + width]

    def _screened(self, colour: Array, paper: Array, screen: Array) -> Array:
        """Greys as black grains on the paper's tooth, about as dark on average."""
        dark = 1 - float(BLACK.mean())
        cover = np.clip(1 - (colour / np.maximum(paper, 0.05)).mean(-1), 0, 1) / dark
        broken = np.clip((cover * (1 + SCREEN_SOFTNESS) - screen) / SCREEN_SOFTNESS, 0, 1)
        cover = cover + self.material.screen * (broken - cover)
        return np.asarray(paper + cover[..., None] * (BLACK - paper), np.float32)


def draw(
    strokes: Tensor,
    space: StrokeSpace,
    surface: Surface,
    brush: Brush,
    chunk: int = 64,
) -> Iterator[list[Box]]:
    """Lay strokes (N, P) on a surface; yields the boxes that have changed after each one."""
    done = 0
    for patches in brush.stream(strokes, surface.size, chunk):
        for i in range(len(patches)):
            one = Patches(
                patches.alpha,
                patches.colour[i : i + 1],
                patches.box[i : i + 1],
                patches.start[i : i + 1],
                patches.texture,
            )
            yield surface.lay(one, strokes[done : done + 1], space)
            done += 1


def drawing_times(size: tuple[int, int]) -> int:
    """How many times as large a canvas of `size` (height, width) is drawn, and then averaged down."""
    return -(-LEAST_SHORT // min(size))


def _screen(size: tuple[int, int], relief: Array, seed: int) -> Array:
    """The threshold (h, w) in [0, 1] of dry pigment: low on what is high."""
    grains = 0.9 * canvas_field(size, 0.0005, seed + 50) + 0.35 * canvas_field(size, 0.0013, seed + 51)
    return np.asarray(1 / (1 + np.exp(1.1 * (0.6 * relief + grains))), np.float32)


def _groups(pieces: list[_Piece]) -> Iterator[list[_Piece]]:
    """Pieces in order, so many at a time that they have about `AT_ONCE` pixels."""
    group: list[_Piece] = []
    pixels = 0
    for piece in pieces:
        area = piece.box[2] * piece.box[3]
        if group and pixels + area > AT_ONCE:
            yield group
            group, pixels = [], 0
        group.append(piece)
        pixels += area
    if group:
        yield group


def _placed(field: Tensor, box: Box, piece: Box) -> Tensor:
    """A field (..., h, w) on `box` as the same on `piece`; 0 where it is not known."""
    left, top, width, height = piece
    x, y = box[0] - left, box[1] - top
    if (x, y, width, height) == (0, 0, box[2], box[3]):
        return field
    result = field.new_zeros(*field.shape[:-2], height, width)
    rows = slice(max(0, y), min(height, y + box[3]))
    columns = slice(max(0, x), min(width, x + box[2]))
    result[..., rows, columns] = field[..., rows.start - y : rows.stop - y, columns.start - x : columns.stop - x]
    return result
