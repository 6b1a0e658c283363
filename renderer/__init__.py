"""How a stroke becomes pixels: stroke spaces, brushes, canvas, and the file formats around them."""

from renderer.brush import Brush, Mark, Window
from renderer.brushes.bezier import AnalyticBezier, ExactBezier
from renderer.brushes.mypaint import MYPAINT, MyPaint
from renderer.canvas import blank, over, paint, paint_steps
from renderer.errors import InputError
from renderer.io.checkpoint import Checkpoint, CheckpointError
from renderer.io.images import ImageError, fit, read_image, write_png
from renderer.io.painting import Painting, PaintingError
from renderer.io.svg import to_svg, write_svg
from renderer.io.video import Video, show_video, write_gif, write_mp4
from renderer.strokes import BEZIER, Field, SpaceError, StrokeSpace

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
    "SpaceError",
    "StrokeSpace",
    "Video",
    "Window",
    "blank",
    "fit",
    "over",
    "paint",
    "paint_steps",
    "read_image",
    "show_video",
    "to_svg",
    "write_gif",
    "write_mp4",
    "write_png",
    "write_svg",
]
