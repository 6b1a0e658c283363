"""Strokes to pixels: stroke spaces, brushes, the canvas, and file formats.

Names are imported when they are first used, so that `import renderer` is quick.
"""

from __future__ import annotations

import importlib
import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from renderer.brush import Brush, Mark, Patches, Window, brush_names, load_brush, register_brush
    from renderer.brushes.bezier import AnalyticBezier, ExactBezier
    from renderer.brushes.mypaint import MyPaint
    from renderer.canvas import blank, over, paint, paint_steps
    from renderer.constraints import StrokeConstraints
    from renderer.errors import InputError
    from renderer.io.checkpoint import Checkpoint, CheckpointError
    from renderer.io.display import progress_bar, show_images
    from renderer.io.images import ImageError, fit, read_image, write_png
    from renderer.io.painting import Painting, PaintingError
    from renderer.io.scrubber import scrubber
    from renderer.io.svg import to_svg, write_svg
    from renderer.io.training_curves import TrainingRun
    from renderer.io.video import Video, show_video, write_gif, write_mp4
    from renderer.strokes import BEZIER, MYPAINT, Field, SpaceError, StrokeSpace

_MODULES = {
    "renderer.brush": ("Brush", "Mark", "Patches", "Window", "brush_names", "load_brush", "register_brush"),
    "renderer.brushes.bezier": ("AnalyticBezier", "ExactBezier"),
    "renderer.brushes.mypaint": ("MyPaint",),
    "renderer.canvas": ("blank", "over", "paint", "paint_steps"),
    "renderer.constraints": ("StrokeConstraints",),
    "renderer.errors": ("InputError",),
    "renderer.io.checkpoint": ("Checkpoint", "CheckpointError"),
    "renderer.io.display": ("progress_bar", "show_images"),
    "renderer.io.images": ("ImageError", "fit", "read_image", "write_png"),
    "renderer.io.painting": ("Painting", "PaintingError"),
    "renderer.io.scrubber": ("scrubber",),
    "renderer.io.svg": ("to_svg", "write_svg"),
    "renderer.io.training_curves": ("TrainingRun",),
    "renderer.io.video": ("Video", "show_video", "write_gif", "write_mp4"),
    "renderer.strokes": ("BEZIER", "MYPAINT", "Field", "SpaceError", "StrokeSpace"),
}
_HOME = {name: module for module, names in _MODULES.items() for name in names}

# Names of version 0.1, for one release.
_OLD = {
    "Film": "Video",
    "PictureError": "ImageError",
    "Renderer": "Brush",
    "read_picture": "read_image",
    "show_film": "show_video",
}

__all__ = [
    "BEZIER",
    "MYPAINT",
    "AnalyticBezier",
    "Brush",
    "Checkpoint",
    "CheckpointError",
    "ExactBezier",
    "Field",
    "ImageError",
    "InputError",
    "Mark",
    "MyPaint",
    "Painting",
    "PaintingError",
    "Patches",
    "SpaceError",
    "StrokeConstraints",
    "StrokeSpace",
    "TrainingRun",
    "Video",
    "Window",
    "blank",
    "brush_names",
    "fit",
    "load_brush",
    "over",
    "paint",
    "paint_steps",
    "progress_bar",
    "read_image",
    "register_brush",
    "scrubber",
    "show_images",
    "show_video",
    "to_svg",
    "write_gif",
    "write_mp4",
    "write_png",
    "write_svg",
]


def __getattr__(name: str) -> object:
    if name in _OLD:
        warnings.warn(f"renderer.{name} is now renderer.{_OLD[name]}.", DeprecationWarning, stacklevel=2)
        name = _OLD[name]
    if name not in _HOME:
        raise AttributeError(f"module 'renderer' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
