"""MyPaint's brush engine through ctypes: libmypaint 1.6 as Debian and Ubuntu ship it (`make brushes`)."""

from __future__ import annotations

import ctypes
import functools
import math
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from renderer.brushes.mypaint_settings import Setting, scaled
from renderer.errors import InputError

LIBRARY = "libmypaint-1.5.so.1"
TILE = 64  # pixels
FULL = 1 << 15  # the engine's 1.0
STATE_X, STATE_Y, STATE_PARTIAL_DABS = 0, 1, 3
LEAST_RADIUS = 2.0  # pixels; thinner strokes vanish by the engine's anti-aliasing
MOST_SURFACES = 6  # kept by an engine: small canvases are also drawn 2, 4, 8 and 16 times as large
REFERENCE = 512  # pixels: the short side of canvases that are drawn with a brush's settings as they are
OF_STROKES = (b"radius_logarithmic", b"color_h", b"color_s", b"color_v")  # the settings given by a stroke


class Pixels(NamedTuple):
    """The pixels that a stroke touched: the upper left corner, and premultiplied RGBA (h, w, 4) where 1.0 is `FULL`."""

    left: int
    top: int
    rgba: NDArray[np.uint16]


class _Rectangle(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int) for name in ("x", "y", "width", "height")]


class _TileRequest(ctypes.Structure):
    _fields_ = [
        ("x", ctypes.c_int),
        ("y", ctypes.c_int),
        ("readonly", ctypes.c_int),
        ("buffer", ctypes.c_void_p),
        ("context", ctypes.c_void_p),
        ("thread", ctypes.c_int),
        ("level", ctypes.c_int),
    ]


class _SettingInfo(ctypes.Structure):
    _fields_ = [
        ("cname", ctypes.c_char_p),
        ("name", ctypes.c_char_p),
        ("constant", ctypes.c_int),
        ("least", ctypes.c_float),
        ("default", ctypes.c_float),
        ("most", ctypes.c_float),
        ("tooltip", ctypes.c_char_p),
    ]


@functools.cache
def load(name: str = LIBRARY) -> ctypes.CDLL:
    """Load the library. Raises `InputError` when it is not installed."""
    try:
        # Short calls keep Python's lock; drawing, which takes nearly all of the time, releases it for other threads.
        library, unlocked = ctypes.PyDLL(name), ctypes.CDLL(name)
    except OSError as error:
        raise InputError(f"The brush engine {name} is not installed; run `make brushes` first.") from error
    pointer, integer, real, text = ctypes.c_void_p, ctypes.c_int, ctypes.c_float, ctypes.c_char_p
    for function, result, arguments in (
        ("mypaint_init", None, ()),
        ("mypaint_brush_new", pointer, ()),
        ("mypaint_brush_unref", None, (pointer,)),
        ("mypaint_brush_from_defaults", None, (pointer,)),
        ("mypaint_brush_setting_from_cname", integer, (text,)),
        ("mypaint_brush_setting_info", ctypes.POINTER(_SettingInfo), (integer,)),
        ("mypaint_brush_input_from_cname", integer, (text,)),
        ("mypaint_brush_set_base_value", None, (pointer, integer, real)),
        ("mypaint_brush_set_mapping_n", None, (pointer, integer, integer, integer)),
        ("mypaint_brush_set_mapping_point", None, (pointer, integer, integer, integer, real, real)),
        ("mypaint_brush_set_state", None, (pointer, integer, real)),
        ("mypaint_brush_reset", None, (pointer,)),
        ("mypaint_brush_new_stroke", None, (pointer,)),
        ("mypaint_brush_stroke_to", integer, (pointer, pointer, real, real, real, real, real, ctypes.c_double)),
        ("mypaint_fixed_tiled_surface_new", pointer, (integer, integer)),
        ("mypaint_surface_begin_atomic", None, (pointer,)),
        ("mypaint_surface_end_atomic", None, (pointer, ctypes.POINTER(_Rectangle))),
        ("mypaint_surface_unref", None, (pointer,)),
        ("mypaint_tile_request_init", None, (ctypes.POINTER(_TileRequest), integer, integer, integer, integer)),
        ("mypaint_tiled_surface_tile_request_start", None, (pointer, ctypes.POINTER(_TileRequest))),
        ("rng_double_new", pointer, (ctypes.c_long,)),
        ("rng_double_free", None, (pointer,)),
        ("rng_double_set_seed", None, (pointer, ctypes.c_long)),
    ):
        if function == "mypaint_surface_end_atomic":
            setattr(library, function, getattr(unlocked, function))
        entry = getattr(library, function)
        entry.restype, entry.argtypes = result, arguments
    library.mypaint_init()
    return library


class Engine:
    """One brush and its surfaces; for one thread at a time."""

    def __init__(self, brush: Mapping[str, Setting]) -> None:
        self._library = load()
        self._scaled = {name: setting for name, setting in brush.items() if scaled(name, setting, 2.0) != setting}
        self._brush = self._library.mypaint_brush_new()
        weakref.finalize(self, self._library.mypaint_brush_unref, self._brush)
        self._random = _generator(self._library, self._brush)
        self._library.mypaint_brush_from_defaults(self._brush)
        for name, setting in brush.items():
            self._set(name, setting)
        self._scale = 1.0
        self._surfaces: dict[tuple[int, int], _Surface] = {}

    def resize(self, height: int, width: int, short_side: int) -> None:
        """Prepare a surface of `height` x `width` pixels, of a canvas whose short side has `short_side` pixels."""
        scale = short_side / REFERENCE
        if scale != self._scale:
            for name, setting in self._scaled.items():
                self._set(name, scaled(name, setting, scale))
            self._scale = scale
        if (height, width) not in self._surfaces:
            if len(self._surfaces) == MOST_SURFACES:
                self._surfaces.clear()
            self._surfaces[height, width] = _Surface(self._library, height, width)
        self._surface = self._surfaces[height, width]

    def draw(
        self, path: NDArray[np.float64], pressure: NDArray[np.float64], radius: float, hsv: Sequence[float], seed: int
    ) -> Pixels | None:
        """Draw one stroke.

        Args:
            path: `(E, 2)` points in pixels, evenly spaced in time, E at least 2.
            pressure: `(E,)` in [0, 1].
            radius: in pixels.
            hsv: the colour, in [0, 1].
            seed: of all random numbers.

        Returns:
            The pixels that it touched; None when there are none.
        """
        library, brush, surface = self._library, self._brush, self._surface
        library.rng_double_set_seed(self._random, seed)
        for name, value in zip(OF_STROKES, (math.log(radius), *hsv), strict=True):
            library.mypaint_brush_set_base_value(brush, library.mypaint_brush_setting_from_cname(name), value)
        duration = self._scale / (len(path) - 1)
        x, y = _before(path, radius)
        # The engine would insert a pause where pressure starts at 0.
        points = list(zip(*path.T.tolist(), np.maximum(pressure, 1e-6).tolist(), strict=True))
        library.mypaint_brush_reset(brush)
        library.mypaint_brush_new_stroke(brush)
        # A brush with slow tracking would otherwise start at the end of the last stroke.
        library.mypaint_brush_set_state(brush, STATE_X, x)
        library.mypaint_brush_set_state(brush, STATE_Y, y)
        with surface:
            # The pen arrives along the stroke, so that its direction is defined and the first dab is at the start.
            for point in ((x, y, points[0][2]), points[0]):
                library.mypaint_brush_stroke_to(brush, surface.pointer, *point, 0, 0, duration)
            library.mypaint_brush_set_state(brush, STATE_PARTIAL_DABS, 1 - 1e-4)
            for point in points[1:]:
                library.mypaint_brush_stroke_to(brush, surface.pointer, *point, 0, 0, duration)
        return surface.take()

    def _set(self, name: str, setting: Setting) -> None:
        library, brush = self._library, self._brush
        number = library.mypaint_brush_setting_from_cname(name.encode())
        library.mypaint_brush_set_base_value(brush, number, setting.base)
        for i in {*setting.inputs, "pressure"}:  # the defaults hold curves of pressure
            curve = setting.inputs.get(i, ())
            source = library.mypaint_brush_input_from_cname(i.encode())
            library.mypaint_brush_set_mapping_n(brush, number, source, len(curve))
            for k, (x, y) in enumerate(curve):
                library.mypaint_brush_set_mapping_point(brush, number, source, k, x, y)


class _Surface:
    """Tiles of 64 x 64 pixels, transparent between strokes. A `with` block draws one stroke."""

    def __init__(self, library: ctypes.CDLL, height: int, width: int) -> None:
        self._library, self._height, self._width = library, height, width
        rows, columns = -(-height // TILE), -(-width // TILE)
        self.pointer = library.mypaint_fixed_tiled_surface_new(width, height)
        if not self.pointer:
            raise InputError(f"There is not enough memory for {width}x{height} pixels; draw a smaller size.")
        weakref.finalize(self, library.mypaint_surface_unref, self.pointer)
        # The tiles lie one after another, row by row, and stay where they are.
        first, size = self._tile(0, 0), TILE * TILE * 4
        assert self._tile(columns - 1, rows - 1) == first + 2 * size * (rows * columns - 1)
        memory = (ctypes.c_uint16 * (rows * columns * size)).from_address(first)
        self._tiles = np.ctypeslib.as_array(memory).reshape(rows, columns, TILE, TILE, 4)
        self._tiles.fill(0)
        self._touched = _Rectangle()

    def __enter__(self) -> None:
        self._library.mypaint_surface_begin_atomic(self.pointer)

    def __exit__(self, *_: object) -> None:
        self._library.mypaint_surface_end_atomic(self.pointer, self._touched)

    def take(self) -> Pixels | None:
        """Return the pixels of the last stroke and clear them; only its tiles are read.

        Pixels beyond the canvas, on the rest of the last tiles, are left out.
        """
        box = self._touched
        left, right = max(box.x, 0), min(box.x + box.width, self._width)
        top, bottom = max(box.y, 0), min(box.y + box.height, self._height)
        if left >= right or top >= bottom:
            return None
        x, y = left // TILE, top // TILE
        tiles = self._tiles[y : -(-bottom // TILE), x : -(-right // TILE)]
        pixels = tiles.swapaxes(1, 2).reshape(tiles.shape[0] * TILE, tiles.shape[1] * TILE, 4)
        rgba = pixels[top - y * TILE : bottom - y * TILE, left - x * TILE : right - x * TILE].copy()
        tiles[:] = 0
        return Pixels(left, top, rgba)

    def _tile(self, x: int, y: int) -> int:
        request = _TileRequest()
        self._library.mypaint_tile_request_init(request, 0, x, y, 1)
        self._library.mypaint_tiled_surface_tile_request_start(self.pointer, request)
        assert request.buffer is not None
        return int(request.buffer)


def _before(path: NDArray[np.float64], radius: float) -> tuple[float, float]:
    """A point a hundredth of a radius before the path, against its first direction."""
    steps = path[1:] - path[0]
    lengths = np.hypot(*steps.T)
    first = int(np.argmax(lengths > 1e-6 * radius))
    x, y = path[0] - 0.01 * radius * steps[first] / max(float(lengths[first]), 1e-9)
    return float(x), float(y)


def _generator(library: ctypes.CDLL, brush: int) -> int:
    """Find the address of a new brush's random state, since libmypaint has no function that seeds it.

    Every new brush starts with the seed 1000, so that the state's bytes are known. Each word of the brush is tried as an
    address; it is read through the operating system, which reports an error where there is no memory.
    """
    example = library.rng_double_new(1000)
    state = ctypes.string_at(example, 80)  # ten numbers
    library.rng_double_free(example)
    with Path("/proc/self/mem").open("rb", 0) as memory:
        for word in np.frombuffer(ctypes.string_at(brush, 1024), np.uint64).tolist():
            try:
                memory.seek(word)
                if memory.read(80) == state:
                    return int(word)
            except (OSError, ValueError, OverflowError):
                continue
    raise InputError("This libmypaint is of another version than 1.6, so that its random numbers cannot be seeded.")
