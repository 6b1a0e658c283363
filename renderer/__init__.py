"""How a stroke becomes pixels: stroke spaces, brushes, canvas, tiling, and the file formats around them."""

from renderer.bezier import AnalyticBezier, ExactBezier
from renderer.canvas import blank, over, paint, paint_steps
from renderer.checkpoint import Checkpoint, CheckpointError
from renderer.errors import InputError
from renderer.protocol import Mark, Renderer, Window
from renderer.space import BEZIER, Field, SpaceError, StrokeSpace

__all__ = [
    "BEZIER",
    "AnalyticBezier",
    "Checkpoint",
    "CheckpointError",
    "ExactBezier",
    "Field",
    "InputError",
    "Mark",
    "Renderer",
    "SpaceError",
    "StrokeSpace",
    "Window",
    "blank",
    "over",
    "paint",
    "paint_steps",
]
