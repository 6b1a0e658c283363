"""Kaokore Painter under one importable name: `from kaokore_painter import Painter, Painting`.

The wheel holds the project's packages inside this one (`kaokore_painter.renderer`, `kaokore_painter.agents` ...), beside
other distributions' packages of the same names, such as `agents`. In a checkout they stand side by side, and this package
re-exports the public names of `painter` and `renderer`.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from painter.api import Painter
    from painter.methods import Step
    from painter.optimize import OptimizeConfig
    from renderer.brush import Brush, brush_names, load_brush
    from renderer.canvas import blank, paint
    from renderer.constraints import StrokeConstraints
    from renderer.errors import InputError
    from renderer.io.painting import Painting
    from renderer.strokes import StrokeSpace

__all__ = [
    "Brush",
    "InputError",
    "OptimizeConfig",
    "Painter",
    "Painting",
    "Step",
    "StrokeConstraints",
    "StrokeSpace",
    "blank",
    "brush_names",
    "load_brush",
    "paint",
]

_MODULES = {
    "renderer.brush": ("Brush", "brush_names", "load_brush"),
    "renderer.canvas": ("blank", "paint"),
    "renderer.constraints": ("StrokeConstraints",),
    "renderer.errors": ("InputError",),
    "renderer.io.painting": ("Painting",),
    "renderer.strokes": ("StrokeSpace",),
    "painter.api": ("Painter",),
    "painter.methods": ("Step",),
    "painter.optimize": ("OptimizeConfig",),
}
_HOME = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> object:
    """Import public names on first use, so that `import kaokore_painter` is quick."""
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'kaokore_painter' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
