"""Strips of a stochastic brush: where along and across a stroke paint falls first, and how much of it.

A strip is a texture exemplar. It is cut from straight strokes of the reference brush, and holds at every place the *rank* of
alpha among all values that the brush leaves at the same pressure and distance from the path: uniform in [0, 1]. A second
table says which alpha a rank means where the mean alpha is m. So one strip serves every stroke, whatever its
mean: the values have the right distribution, and the grains the right shapes.
"""

from __future__ import annotations

import colorsys
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from renderer.brush import ReferenceBrush
from renderer.errors import InputError
from renderer.io.checkpoint import Checkpoint, CheckpointError
from renderer.io.read import guarded
from renderer.strokes import MYPAINT

Array = NDArray[Any]

KIND = "strips"
UNIT = 16  # cells of a strip in a radius
LENGTH = 28  # radii of an exemplar along its path
ENDS = 3  # radii at its ends that are left out: pressure settles there
PRESSURES = (0.15, 0.3, 0.45, 0.6, 0.8, 1.0)
SEEDS = 3  # strips of each pressure
SAMPLES = 24  # strokes of each pressure from which ranks are counted
MEANS, RANKS = 33, 65  # nodes of the table of alphas
OVERLAP = 3 * UNIT  # rows in which one strip is joined to the next
RARE = 0.03  # share of paint below which values say nothing of grains
MOST_CELLS = 2**22  # of all strips
PROBE = (0.75, 0.5, 0.5)  # the colour from which changes of hue are measured: all of them are seen there


class Strips:
    """The strips of one brush.

    Args:
        ranks: (pressures, seeds, rows, columns) of uint8; rows lie along a path, columns across it, the middle on the path.
        alphas: (MEANS, RANKS) of uint8: alpha by the square root of the mean and by rank, both from 0 to 1.
        colours: (pressures, seeds, rows, columns, 3) of int8, changes of hue, saturation and value in 127ths; or None.

    Raises:
        InputError: for tensors of other shapes or types.
    """

    def __init__(self, ranks: Tensor, alphas: Tensor, colours: Tensor | None = None) -> None:
        sound = ranks.dim() == 4 and ranks.dtype == torch.uint8 and ranks.shape[0] == len(PRESSURES)
        sound = sound and min(ranks.shape) > 0 and min(ranks.shape[2:]) > 1 and ranks.numel() <= MOST_CELLS
        sound = sound and alphas.dtype == torch.uint8 and alphas.shape == (MEANS, RANKS)
        if colours is not None:
            sound = sound and colours.dtype == torch.int8 and colours.shape == (*ranks.shape, 3)
        if not sound:
            raise InputError("These are no strips of a brush.")
        self.ranks, self.alphas, self.colours = ranks, alphas, colours

    def save(self, path: str | Path, about: Mapping[str, Any] | None = None) -> None:
        """Write one safetensors file, whole or not at all. Raises `InputError`."""
        tensors = {"ranks": self.ranks, "alphas": self.alphas}
        if self.colours is not None:
            tensors["colours"] = self.colours
        Checkpoint(KIND, {}, tensors, MYPAINT, dict(about or {})).save(path)

    @classmethod
    def load(cls, path_or_name: str | Path) -> Strips:
        """Read what `save` wrote. Raises `CheckpointError`."""
        checkpoint = Checkpoint.load(path_or_name, KIND)
        with guarded(checkpoint.path or path_or_name, CheckpointError, "holds no strips of a brush"):
            return cls(checkpoint.tensors["ranks"], checkpoint.tensors["alphas"], checkpoint.tensors.get("colours"))


def endless(strips: Strips) -> tuple[Tensor, Tensor | None]:
    """Join the strips of each pressure to loops, without a seam to be seen.

    Where two strips overlap, the cut runs where they differ least (Efros and Freeman 2001, "Image Quilting"), so that
    grains stay whole. A loop repeats only after all strips of its pressure; a strip that is mirrored would show an
    axis of symmetry on every broad stroke.

    Returns:
        Ranks (pressures, seeds, rows, columns) of uint8, a loop beginning with each seed, and changes of colour
        (pressures, seeds, rows, columns, 3) of int8 of a textured brush, else None.
    """
    ranks = strips.ranks.numpy()
    pressures, seeds, rows, _ = ranks.shape
    overlap = max(1, min(OVERLAP, rows // 3))
    colours = None if strips.colours is None else strips.colours.numpy()
    loops: list[list[Array]] = []
    colour_loops: list[list[Array]] = []
    for pressure in range(pressures):
        # From strip k to the next: which rows of each column are still those of strip k.
        kept = [_before_cut(ranks[pressure, k - 1][-overlap:], ranks[pressure, k][:overlap]) for k in range(seeds)]
        for values, loop in ((ranks, loops), (colours, colour_loops)):
            if values is None:
                continue
            parts = []
            for k in range(seeds):
                own, before = values[pressure, k], values[pressure, k - 1][-overlap:]
                stays = kept[k] if own.ndim == 2 else kept[k][..., None]
                parts.append(np.concatenate((np.where(stays, before, own[:overlap]), own[overlap:-overlap])))
            loop.append([np.concatenate(parts[k:] + parts[:k]) for k in range(seeds)])
    joined = None if colours is None else torch.from_numpy(np.array(colour_loops))
    return torch.from_numpy(np.array(loops)), joined


def _before_cut(first: Array, second: Array) -> Array:
    """Where values (rows, columns) of `first` stay, as booleans: before the cut along which both differ least.

    The cut goes through one row of each column, and by one row at most from one column to the next.
    """
    rows, columns = first.shape
    cost = np.square(first.astype(np.float64) - second)
    reached = cost[:, 0]
    steps = np.zeros((columns, rows), int)
    for column in range(1, columns):
        padded = np.pad(reached, 1, constant_values=np.inf)
        choices = np.stack((padded[1:-1], padded[:-2], padded[2:]))
        best = choices.argmin(0)
        steps[column] = np.array([0, -1, 1])[best]
        reached = cost[:, column] + choices[best, np.arange(rows)]
    at = int(reached.argmin())
    cut = np.zeros(columns, int)
    for column in range(columns - 1, -1, -1):
        cut[column] = at
        at += steps[column, at]
    return np.arange(rows)[:, None] < cut


def fit_strips(brush: ReferenceBrush, reach: float, generator: torch.Generator) -> Strips:
    """Cut strips from strokes of a reference brush; takes some seconds.

    Args:
        brush: whose noise depends on the stroke and its seed.
        reach: how far marks reach from their paths, in radii (`renderer.learned.fidelity.traits`).
        generator: chooses the seeds.
    """
    columns = 2 * math.ceil(reach * UNIT)
    by_pressure: list[list[Array]] = []
    colours: list[Array] = []
    means, values = [], []
    for pressure in reversed(PRESSURES):  # where one leaves nothing, the order is that of the next higher one
        alpha, colour = _exemplars(brush, pressure, columns, generator)  # (SAMPLES, rows, columns)
        both = np.concatenate((alpha, alpha[..., ::-1]), 1)  # a mark has no side
        means.append(both.mean((0, 1))[: columns // 2])
        values.append([both[..., column].ravel() for column in range(columns // 2)])
        above = by_pressure[-1] if by_pressure else None
        strips = [_ranks(alpha[seed], both, None if above is None else above[seed]) for seed in range(SEEDS)]
        by_pressure.append(strips)
        if colour is not None:
            colours.append(colour[:SEEDS])
    ranks = torch.from_numpy(np.round(255 * np.stack(by_pressure[::-1])).astype(np.uint8))
    table = torch.from_numpy(np.round(255 * _alphas(means, values)).astype(np.uint8))
    return Strips(ranks, table, torch.from_numpy(np.stack(colours[::-1])) if colours else None)


def _exemplars(
    brush: ReferenceBrush, pressure: float, columns: int, generator: torch.Generator
) -> tuple[Array, Array | None]:
    """Straight strokes of one pressure: alpha (SAMPLES, rows, columns), and of a textured brush changes of colour."""
    side = LENGTH * UNIT + 2 * columns
    stroke = MYPAINT.default_strokes(SAMPLES)
    middle, first = 0.5 * side, float(columns)
    for name, x in (("start", first), ("end", first + LENGTH * UNIT)):
        stroke = MYPAINT.put(stroke, name, torch.tensor([[x / side, middle / side]]).expand(SAMPLES, 2))
    stroke = MYPAINT.put(stroke, "radius", torch.full((SAMPLES, 1), UNIT / side))
    stroke = MYPAINT.put(stroke, "pressure", torch.full((SAMPLES, 3), pressure))
    stroke = MYPAINT.put(stroke, "opacity", torch.ones(SAMPLES, 1))
    stroke = MYPAINT.put(stroke, "colour", torch.tensor(colorsys.hsv_to_rgb(*PROBE)).expand(SAMPLES, 3))
    top, left = round(middle) - columns // 2, round(first) + ENDS * UNIT
    rows = (LENGTH - 2 * ENDS) * UNIT
    alphas: list[Array] = []
    colours: list[Array] = []
    for one in stroke:
        seed = int(torch.randint(2**31, (), generator=generator))
        mark = brush.with_seed(seed)(one[None], (side, side))
        alphas.append(mark.alpha[0, 0, top : top + columns, left : left + rows].T.numpy())
        if brush.textured and len(colours) < SEEDS:
            colours.append(
                _changes(mark.colour[0, :, top : top + columns, left : left + rows].numpy().transpose(2, 1, 0))
            )
    return np.stack(alphas).astype(np.float32), np.stack(colours) if colours else None


def _changes(colour: Array) -> Array:
    """Changes of hue, saturation and value (rows, columns, 3) from the probe's colour."""
    import cv2

    hsv: Array = cv2.cvtColor(np.ascontiguousarray(colour, np.float32), cv2.COLOR_RGB2HSV)
    hsv[..., 0] /= 360
    change: Array = hsv - np.array(PROBE, np.float32)
    change[..., 0] -= np.round(change[..., 0])
    return np.round(127 * np.clip(change, -1, 1)).astype(np.int8)


def _ranks(strip: Array, both: Array, above: Array | None) -> Array:
    """The rank of each value of a strip among all of its distance from the path, in (0, 1).

    Values without paint have equal ranks; they are ordered by their distance from paint, so that more of it grows from
    the grains that are there. Where there is hardly ever paint, they are those of `above`, the strip of a higher pressure,
    or those nearer to the path, mirrored.
    """
    import cv2

    blank = strip <= 0
    away = cv2.distanceTransform(blank.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    ranks = np.empty_like(strip)
    columns = strip.shape[1]
    share = (both > 0).mean((0, 1))
    sound = np.flatnonzero(np.minimum(share, share[::-1]) > RARE)
    first, last = (int(sound[0]), int(sound[-1])) if len(sound) else (0, columns - 1)
    for column in range(first, last + 1):
        known = np.sort(both[..., min(column, columns - 1 - column)].ravel())
        nothing = np.searchsorted(known, 0, "right") / len(known)
        value = strip[:, column]
        low, high = np.searchsorted(known, value, "left"), np.searchsorted(known, value, "right")
        ranks[:, column] = (low + high) / (2 * len(known))
        empty = blank[:, column]
        order = np.argsort(np.argsort(-away[empty, column], kind="stable"), kind="stable")
        ranks[empty, column] = nothing * (order + 0.5) / max(1, len(order))
    for column in (*range(first - 1, -1, -1), *range(last + 1, columns)):
        mirrored = 2 * first - column if column < first else 2 * last - column
        ranks[:, column] = ranks[:, min(max(mirrored, 0), columns - 1)] if above is None else above[:, column]
    return ranks


def _alphas(means: list[Array], values: list[list[Array]]) -> Array:
    """The table (MEANS, RANKS) of alphas from the values at all pressures and distances, which have these means."""
    mean = np.concatenate(means)
    pooled = [sample for part in values for sample in part]
    nodes, grid = np.linspace(0, 1, MEANS) ** 2, np.linspace(0, 1, RANKS)
    quantiles = np.stack([np.quantile(sample, grid) for sample in pooled])
    table = np.zeros((MEANS, RANKS))
    order = np.argsort(mean)
    for i, node in enumerate(nodes[1:-1], 1):
        nearest = order[np.argsort(np.abs(np.sqrt(mean[order]) - math.sqrt(node)), kind="stable")[:6]]
        curve = np.sort(quantiles[nearest].mean(0))
        for _ in range(20):  # its mean must be the node's
            found = np.trapezoid(curve, grid)
            curve = np.clip(curve * node / max(found, 1e-6), 0, 1)
            if found < node:  # what is full already cannot grow
                curve = np.clip(curve + (node - np.trapezoid(curve, grid)) * (curve > 0), 0, 1)
        table[i] = curve
    table[-1] = 1
    return np.maximum.accumulate(table, 0)
