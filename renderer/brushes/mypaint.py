"""Reference brushes of MyPaint, drawn by its own engine: ink, charcoal, watercolour, and any other .myb file.

Not differentiable. The engine is that of SPIRAL (Ganin et al., 2018) and Neural Painters (Nakano, 2019), as Linux
distributions ship it: `make brushes` installs it. `docs/brushes.md` shows brushes and measures them.
"""

from __future__ import annotations

import colorsys
import itertools
import os
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import avg_pool2d, pad

from renderer.brush import Mark, Patches, ReferenceBrush, Size, Window, concatenated
from renderer.brushes.mypaint_engine import FULL, LEAST_RADIUS, Engine, Pixels, load
from renderer.brushes.mypaint_settings import Setting, read_brush
from renderer.errors import InputError
from renderer.io.read import guarded, read_text
from renderer.strokes import MYPAINT as MYPAINT
from renderer.strokes import SpaceError

# Chosen by eye for repainting the faces of picture scrolls; docs/brushes.md shows them.
BRUSHES = {
    "ink": "kaerhon_v1/inkster_l",
    "liner": "deevad/liner",
    "kabura": "classic/kabura",
    "calligraphy": "classic/calligraphy",
    "charcoal": "tanda/charcoal-03",
    "pencil": "tanda/pencil-8b",
    "watercolour": "deevad/rigger_brush",
    "wash": "tanda/acrylic-05-with-water",
    "flat": "classic/wet_knife",
    "impasto": "tanda/oil-01-paint",
    "impressionist": "classic/imp_details",
}

FOLDER = Path("/usr/share/mypaint-data")  # of Debian's package mypaint-brushes, below it VERSION/brushes/GROUP/NAME.myb
MAX_BYTES = 2**20  # of a .myb file
EVENTS = 64  # of the pen's movement in a stroke
# Dabs of a pixel or two have no shape: below a radius of FINE_RADIUS pixels, strokes are drawn on a canvas 2, 4, 8 ... times
# as large, of at most FINE_SIDE pixels on the long side, and averaged down.
FINE_RADIUS, FINE_SIDE = 8.0, 1024
COLOURING = ("change_color_h", "change_color_l", "change_color_hsl_s", "change_color_v", "change_color_hsv_s")


class Patch(NamedTuple):
    """The mark of one stroke: alpha (h, w), and colour (3, h, w) or flat (3, 1, 1), at canvas pixel left, top."""

    left: int
    top: int
    alpha: Tensor
    colour: Tensor


def find_brush(brush: str | Path, folder: Path = FOLDER) -> Path:
    """Find the file of a brush.

    Args:
        brush: a .myb file, a name of `BRUSHES`, or a name such as `deevad/liner` in the installed collection.
        folder: where collections are installed; the newest version that has the brush counts.

    Raises:
        InputError: when there is no such brush.
    """
    if os.path.isfile(brush):
        return Path(brush)
    name = BRUSHES.get(str(brush), str(brush)).removesuffix(".myb")
    found = sorted(folder.glob("*/brushes"))[::-1]
    for path in (root / f"{name}.myb" for root in found):
        if os.path.isfile(path):
            return path
    known = sorted({path.stem for root in found for path in (root / name).parent.glob("*.myb")})
    if known:
        raise InputError(f"There is no brush {name!r} among {', '.join(known)}.")
    if not found:
        raise InputError(f"There are no brushes below {folder}; run `make brushes` first, or give a .myb file.")
    raise InputError(f"There is no brush {str(brush)!r}: give a .myb file, or a name such as deevad/liner.")


class MyPaint(ReferenceBrush):
    """One brush of MyPaint. A mark depends only on its stroke, `seed` and the canvas' size.

    The engine's random numbers are a function of `seed` and the stroke's geometry, radius and pressure, not of its colour,
    its position in a batch or the size. A mark does not depend on the canvas below: the brush does not smudge.

    Args:
        brush: a .myb file or a name, see `find_brush`.
        seed: of the per-stroke noise.
        threads: strokes drawn at the same time.

    Raises:
        InputError: when the engine is missing, the file is not a brush, or the brush leaves no mark of its own.
    """

    space = MYPAINT

    def __init__(self, brush: str | Path, seed: int = 0, threads: int = 1) -> None:
        library = load()
        if threads < 1:
            raise InputError(f"A brush draws in at least 1 thread, not {threads}.")
        self.path = find_brush(brush)
        self.seed = seed
        self.threads = threads
        with guarded(self.path, InputError, "is no brush that can be read"):
            self.myb = read_text(self.path, MAX_BYTES)
        settings = {**read_brush(self.path, self.myb, library), "smudge": Setting(0.0, {})}
        self.textured = any(name in settings and settings[name].varies for name in COLOURING)
        self._engines: SimpleQueue[Engine] = SimpleQueue()
        for _ in range(threads):
            self._engines.put(Engine(settings))
        probe = torch.full((1, MYPAINT.width), 0.5)
        probe[:, MYPAINT.columns("start")], probe[:, MYPAINT.columns("end")] = 0.1, 0.9
        probe[:, MYPAINT.columns("pressure")] = probe[:, MYPAINT.columns("opacity")] = 1
        if not self(probe, (64, 64)).alpha.any():
            raise InputError(f"The brush {self.path} leaves no mark of its own: it only changes the canvas.")

    @torch.no_grad()
    def __call__(self, strokes: Tensor, size: Size, window: Window | None = None) -> Mark:
        """See `renderer.brush.Brush`. Raises `InputError` for strokes that are not `(B, 14)` numbers in [0, 1]."""
        rows = _rows(strokes)
        height, width = size if window is None else (window.height, window.width)
        origins = None if window is None else torch.stack((window.left, window.top), -1).tolist()
        alpha = torch.zeros(len(strokes), 1, height, width)
        colour = MYPAINT.get(strokes.detach(), "colour")[:, :, None, None].float().cpu()
        if self.textured:
            colour = colour.repeat(1, 1, height, width)
        for i, patch in enumerate(self._patches(rows, size, (height, width), origins)):
            if patch is not None:
                h, w = patch.alpha.shape
                alpha[i, 0, patch.top : patch.top + h, patch.left : patch.left + w] = patch.alpha
                if self.textured:
                    colour[i, :, patch.top : patch.top + h, patch.left : patch.left + w] = patch.colour
        return Mark(alpha.to(strokes), colour.to(strokes))

    def patches(self, strokes: Tensor, size: Size, box: Tensor | None = None) -> Patches:
        """See `renderer.brush.Brush`; by default, the boxes hold the pixels that the engine touched."""
        if box is not None or len(strokes) == 0:
            return super().patches(strokes, size, box)
        return concatenated(list(self.stream(strokes, size)))

    @torch.no_grad()
    def stream(self, strokes: Tensor, size: Size, chunk: int = 1) -> Iterator[Patches]:
        """See `renderer.brush.Brush`; stroke by stroke."""
        colours = MYPAINT.get(strokes.detach(), "colour")
        start = torch.zeros(1, dtype=torch.long, device=strokes.device)
        for patch, colour in zip(self._patches(_rows(strokes), size, size, None), colours, strict=True):
            patch = Patch(0, 0, torch.zeros(0, 0), torch.zeros(3, 0, 0)) if patch is None else patch
            h, w = patch.alpha.shape
            box = torch.tensor([[patch.left, patch.top, w, h]], device=strokes.device)
            texture = patch.colour.flatten(1).to(strokes) if self.textured else None
            yield Patches(patch.alpha.flatten().to(strokes), colour[None], box, start, texture)

    def with_seed(self, seed: int) -> MyPaint:
        """See `renderer.brush.ReferenceBrush`."""
        return MyPaint(self.path, seed, self.threads)

    def provenance(self) -> dict[str, Any]:
        """The brush's name, and its file's text."""
        return {"brush": self.path.stem, "myb": self.myb}

    def _patches(
        self, rows: NDArray[np.float32], size: Size, shape: tuple[int, int], origins: list[list[int]] | None
    ) -> Iterator[Patch | None]:
        origins = origins or [[0, 0]] * len(rows)
        jobs = ((row, size, shape, origin) for row, origin in zip(rows, origins, strict=True))
        if self.threads == 1:
            yield from itertools.starmap(self._draw, jobs)
            return
        with ThreadPoolExecutor(self.threads) as pool:
            while chunk := list(itertools.islice(jobs, 4 * self.threads)):  # so that few marks wait in memory
                yield from pool.map(self._draw, *zip(*chunk, strict=True))

    def _draw(
        self, row: NDArray[np.float32], size: Size, shape: tuple[int, int], origin: Sequence[int]
    ) -> Patch | None:
        """Draw one stroke (14,) on the part of a canvas of `size` that has the given shape and origin (x, y)."""
        stroke = torch.from_numpy(row).double()
        pressure, colour = (MYPAINT.get(stroke, name).tolist() for name in ("pressure", "colour"))
        radius, opacity = (float(MYPAINT.get(stroke, name)) for name in ("radius", "opacity"))
        if radius == 0 or opacity == 0 or not any(pressure):
            return None
        short, k = min(size), 1
        while k * short * radius < FINE_RADIUS and 2 * k * max(size) <= FINE_SIDE:
            k *= 2
        radius *= k * short
        t = np.linspace(0, 1, EVENTS + 1)
        path = k * (_path(stroke, t) * (size[1], size[0]) - origin)
        if np.ptp(path, axis=0).max() < 0.01 * radius:  # a dot: the engine draws only moving pens
            path[:, 0] += 0.01 * radius * t
        # Without the colour, so that alpha does not depend on it.
        seed = zlib.crc32(row[: MYPAINT.columns("opacity").start].tobytes(), self.seed & 0xFFFFFFFF)
        engine = self._engines.get()
        try:
            engine.resize(k * shape[0], k * shape[1], k * short)
            hsv = colorsys.rgb_to_hsv(*colour)
            pressures = np.interp(t, (0, 0.5, 1), pressure)
            pixels = engine.draw(path, pressures, max(radius, LEAST_RADIUS), hsv, seed)
        finally:
            self._engines.put(engine)
        if pixels is None:
            return None
        left, top, values = _reduced(pixels, k, 0 if self.textured else 3)
        flat = torch.tensor(colour)[:, None, None]
        alpha, pigment = values[-1], values[:-1]
        pigment = torch.where(alpha > 0, pigment / alpha, flat).clamp(max=1) if self.textured else flat
        # Strokes thinner than the engine can draw fade instead.
        return Patch(left, top, alpha * (opacity * min(1.0, radius / LEAST_RADIUS) / FULL), pigment)


def _rows(strokes: Tensor) -> NDArray[np.float32]:
    """The strokes as an array `(N, 14)`. Raises `InputError` for other shapes, and values outside [0, 1]."""
    if strokes.dim() != 2 or strokes.shape[1] != MYPAINT.width:
        raise SpaceError(f"Strokes of the space mypaint are (N, {MYPAINT.width}), not {tuple(strokes.shape)}.")
    rows = strokes.detach().float().cpu().contiguous().numpy()
    if not ((rows >= 0) & (rows <= 1)).all():  # false for NaN, too
        raise SpaceError("Strokes of the space mypaint must be numbers between 0 and 1.")
    return rows


def _path(stroke: Tensor, t: NDArray[np.float64]) -> NDArray[np.float64]:
    """The path in fractions of width and height, `(len(t), 2)`: the curve of `renderer.brushes.bezier.curves`."""
    start, bend, end = (MYPAINT.get(stroke, name).numpy() for name in ("start", "bend", "end"))
    control, t = start + (end - start) * bend, t[:, None]
    path: NDArray[np.float64] = (1 - t) ** 2 * start + 2 * t * (1 - t) * control + t**2 * end
    return path


def _reduced(pixels: Pixels, k: int, first: int) -> tuple[int, int, Tensor]:
    """Average squares of k x k pixels: left, top, and premultiplied RGBA from channel `first` on, `(4 - first, h, w)`."""
    left, top, rgba = pixels
    values = torch.from_numpy(rgba[..., first:].astype(np.float32)).permute(2, 0, 1)
    if k == 1:
        return left, top, values
    height, width = values.shape[1:]
    before = (left % k, top % k)
    around = (before[0], -(before[0] + width) % k, before[1], -(before[1] + height) % k)
    return left // k, top // k, avg_pool2d(pad(values, around), k)
