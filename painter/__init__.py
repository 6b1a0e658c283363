"""Repaint images stroke by stroke: the public API, stroke optimisation, losses and the line-first method."""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from painter.api import Painter
    from painter.methods import Step
    from painter.optimize import OptimizeConfig
    from painter.persistent import ClipConfig, ClipFrame
    from painter.watching import watch
    from renderer.constraints import StrokeConstraints
    from renderer.io.painting import Painting

__all__ = ["ClipConfig", "ClipFrame", "OptimizeConfig", "Painter", "Painting", "Step", "StrokeConstraints", "watch"]

_MODULES = {
    "ClipConfig": "painter.persistent",
    "ClipFrame": "painter.persistent",
    "OptimizeConfig": "painter.optimize",
    "Painter": "painter.api",
    "Painting": "renderer.io.painting",
    "Step": "painter.methods",
    "StrokeConstraints": "renderer.constraints",
    "watch": "painter.watching",
}


def __getattr__(name: str) -> object:
    """Import public names on first use, so that `import painter` is quick."""
    if name == "load_renderer":
        import warnings

        warnings.warn("painter.load_renderer is now renderer.load_brush", DeprecationWarning, stacklevel=2)
        return importlib.import_module("renderer.brush").load_brush
    if name in _MODULES:
        return getattr(importlib.import_module(_MODULES[name]), name)
    raise AttributeError(f"module 'painter' has no attribute {name!r}")
