"""Settings of MyPaint brushes: read from .myb files, checked, and scaled to the size of a canvas."""

from __future__ import annotations

import ctypes
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from renderer.errors import InputError
from renderer.io.read import one_line, parse_json

VERSION = 3  # of .myb files
MOST_POINTS = 64  # of a curve from an input to a setting
# Settings in pixels or seconds, whose defaults count where a file leaves them out.
SCALED = ("speed1_slowness", "speed2_slowness", "offset_by_speed_slowness", "direction_filter")

Curve = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Setting:
    """One setting of a brush: `base`, to which a piecewise linear curve of each input (pressure, speed1, ...) is added."""

    base: float
    inputs: Mapping[str, Curve]

    @property
    def varies(self) -> bool:
        """Whether it can differ from 0."""
        return self.base != 0 or bool(self.inputs)


def read_brush(path: Path, text: str, library: ctypes.CDLL) -> dict[str, Setting]:
    """Read the settings that the engine knows from the text of the .myb file at `path`.

    Values are checked against the engine's ranges, which it does not do itself: some values would end the process.
    Raises `InputError` for anything but a complete brush of version 3.
    """
    try:
        data = parse_json(text)
        version, settings = data["version"], data["settings"]
        if version != VERSION:
            raise InputError(f"The brush {path} has version {one_line(version)}; only version {VERSION} can be used.")
        brush = {}
        for name, value in settings.items():
            number = library.mypaint_brush_setting_from_cname(name.encode())
            info = library.mypaint_brush_setting_info(number).contents if number >= 0 else None
            if info is None or info.cname != name.encode():
                continue  # a setting of another version of the engine; MyPaint ignores it, too
            setting = Setting(float(value["base_value"]), _curves(library, value["inputs"]))
            if not info.least - 1e-5 <= setting.base <= info.most + 1e-5:
                raise InputError(
                    f"The brush {path} has {name} {setting.base:g}, outside {info.least:g} to {info.most:g}."
                )
            brush[name] = setting
    except InputError:
        raise
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
        raise InputError(f"{path} is not a complete MyPaint brush (a .myb file of version {VERSION}).") from error
    if not brush:
        raise InputError(f"The brush {path} has no setting that the engine knows.")
    for name in SCALED:  # defaults are scaled as well
        info = library.mypaint_brush_setting_info(library.mypaint_brush_setting_from_cname(name.encode())).contents
        brush.setdefault(name, Setting(info.default, {}))
    return brush


def _curves(library: ctypes.CDLL, inputs: Mapping[str, Sequence[Sequence[float]]]) -> dict[str, Curve]:
    curves = {}
    for name, points in inputs.items():
        curve = tuple((float(x), float(y)) for x, y in points)
        if not curve or library.mypaint_brush_input_from_cname(name.encode()) < 0:
            continue
        rising = all(a[0] <= b[0] for a, b in itertools.pairwise(curve))
        if not (2 <= len(curve) <= MOST_POINTS and rising and np.isfinite(curve).all()):
            raise ValueError(name)
        curves[name] = curve
    return curves


def scaled(name: str, setting: Setting, scale: float) -> Setting:
    """The setting `name` for a canvas `scale` times as large, drawn `scale` times as slowly.

    So speeds in pixels a second stay the same, and with them curves of speed. Settings in pixels or seconds are multiplied
    by the scale, settings per second divided. Lengths relative to the radius do not change, nor do anti-aliasing and
    snapping, which concern single pixels.
    """
    base, inputs = setting.base, dict(setting.inputs)
    match name:
        case "slow_tracking" | "speed1_slowness" | "speed2_slowness" | "offset_by_speed":
            base, inputs = base * scale, {i: tuple((x, y * scale) for x, y in inputs[i]) for i in inputs}
        case "dabs_per_second":  # the engine reads only the base of this one
            base /= scale
        case "direction_filter":  # a distance of exp(base / 2) - 1 pixels
            base = 2 * math.log1p(math.expm1(base / 2) * scale)
        case "offset_by_speed_slowness":  # a time of exp(base / 100) - 1 seconds
            base = 100 * math.log1p(math.expm1(base / 100) * scale)
    if "brush_radius" in inputs:  # the logarithm of the radius in pixels
        inputs["brush_radius"] = tuple((x + math.log(scale), y) for x, y in inputs["brush_radius"])
    return Setting(base, inputs)
