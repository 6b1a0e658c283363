"""How a stroke becomes pixels: stroke spaces, brushes, canvas, and the file formats around them."""

from renderer.bezier import AnalyticBezier, ExactBezier
from renderer.canvas import blank, over, paint, paint_steps
from renderer.checkpoint import Checkpoint, CheckpointError
from renderer.errors import InputError
from renderer.film import Film, show_film, write_gif, write_mp4
from renderer.mypaint import MYPAINT, MyPaint
from renderer.painting import Painting, PaintingError
from renderer.pictures import PictureError, fit, read_picture, write_png
from renderer.protocol import Mark, Renderer, Window
from renderer.space import BEZIER, Field, SpaceError, StrokeSpace
from renderer.svg import to_svg, write_svg

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
