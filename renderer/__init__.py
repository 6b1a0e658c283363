"""How a stroke becomes pixels: stroke spaces, brushes, canvas, and the file formats around them."""

from renderer.brushes.bezier import AnalyticBezier, ExactBezier
from renderer.canvas import blank, over, paint, paint_steps
from renderer.io.checkpoint import Checkpoint, CheckpointError
from renderer.errors import InputError
from renderer.io.video import Film, show_film, write_gif, write_mp4
from renderer.brushes.mypaint import MYPAINT, MyPaint
from renderer.io.painting import Painting, PaintingError
from renderer.io.images import PictureError, fit, read_picture, write_png
from renderer.brush import Mark, Renderer, Window
from renderer.strokes import BEZIER, Field, SpaceError, StrokeSpace
from renderer.io.svg import to_svg, write_svg

__all__ = [
    "BEZIER",
    "MYPAINT",
    "AnalyticBezier",
    "Checkpoint",
    "CheckpointError",
    "ExactBezier",
    "Field",
    "Film",
    "InputError",
    "Mark",
    "MyPaint",
    "Painting",
    "PaintingError",
    "PictureError",
    "Renderer",
    "SpaceError",
    "StrokeSpace",
    "Window",
    "blank",
    "fit",
    "over",
    "paint",
    "paint_steps",
    "read_picture",
    "show_film",
    "to_svg",
    "write_gif",
    "write_mp4",
    "write_png",
    "write_svg",
]
