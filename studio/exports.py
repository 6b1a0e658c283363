"""Exports of a document: every format of the commands, through the same functions, into the document's folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from renderer.brush import Brush
from renderer.errors import InputError
from renderer.io.painting import LARGEST, Pace, Painting
from studio.document import Document

FOLDER = "exports"
LARGEST_VIDEO = 1920  # pixels on the long side; larger ones take many minutes


@dataclass(frozen=True)
class Format:
    """A kind of file.

    Attributes:
        title: what a page calls it.
        suffix: of the file.
        size: pixels on the long side by default; None of files without pixels.
        largest: pixels on the long side at most.
    """

    title: str
    suffix: str
    size: int | None = None
    largest: int = 4096


FORMATS = {
    "png": Format("Image, lossless (PNG)", ".png", 2048, LARGEST),
    "jpg": Format("Image, small (JPEG)", ".jpg", 2048, LARGEST),
    "page": Format("Page that paints itself (HTML)", ".html"),
    "svg": Format("Vectors for Inkscape, Illustrator (SVG)", ".svg", 1536),
    "ora": Format("Layers for Krita, GIMP (OpenRaster)", ".ora", 1536),
    "psd": Format("Layers for Photoshop (PSD)", ".psd", 1536),
    "mp4": Format("Video (MP4)", ".mp4", 720, LARGEST_VIDEO),
    "gif": Format("Animation (GIF)", ".gif", 320, 640),
    "plan page": Format("Plan to paint it by hand (HTML)", ".html"),
    "plan pdf": Format("Plan to print (PDF)", ".pdf"),
    "plan csv": Format("Plan as a table (CSV)", ".csv"),
    "plan json": Format("Plan for robots (JSON)", ".json"),
    "lines": Format("Centre lines for a plotter (SVG)", ".svg"),
    "hpgl": Format("Plotter commands (HPGL)", ".hpgl"),
    "gcode": Format("Plotter commands (G-code)", ".gcode"),
    "json": Format("Strokes in physical units (JSON)", ".json"),
    "strokes": Format("Painting, to render again (safetensors)", ".safetensors"),
    "session": Format("Session of the studio (safetensors)", ".session.safetensors"),
}


def export(
    document: Document,
    kind: str,
    *,
    size: int | None = None,
    seconds: float | None = None,
    fps: float | None = None,
    pace: Pace = "ease",
    layer_strokes: int | None = None,
    colours: int = 8,
    canvas: tuple[float, float] | None = None,
    on_progress: Callable[[float], object] | None = None,
) -> Path:
    """Write what a document shows (up to its cursor) as a file in its folder; an earlier file of the kind is replaced.

    Args:
        document: whose painting; a session holds all its strokes.
        kind: of `FORMATS`.
        size: pixels on the long side (images, layers, vectors, videos).
        seconds: length of a video.
        fps: frames a second of a video.
        pace: which strokes each frame of a video adds.
        layer_strokes: strokes in each layer.
        colours: of a plan or a plot, at most.
        canvas: width and height in mm of a plan or a plot.
        on_progress: called with the part of a video that is written, in [0, 1]; what it raises ends the export.

    Returns:
        The file.

    Raises:
        InputError: for an unknown kind, values out of range, and a file that cannot be written.
    """
    if kind not in FORMATS:
        raise InputError(f"There is no export {kind!r:.40}; choose one of {', '.join(FORMATS)}.")
    form = FORMATS[kind]
    size = form.size if size is None else size
    if form.size is not None and size is not None and not 16 <= size <= form.largest:
        raise InputError(f"{form.title}: the size is from 16 to {form.largest} pixels, not {size}.")
    path = document.folder / FOLDER / f"{document.name}{_addition(kind)}{form.suffix}"
    if kind == "session":
        return document.save(path)
    painting = document.shown()
    brush = document.painters.brush(document.settings.brush) if painting.brush is not None else None
    if kind.startswith("plan "):
        return _write_plan(painting, path, colours, canvas, brush)
    if kind in ("lines", "hpgl", "gcode"):
        from painter.plan.palette import in_few_colours  # here, because it takes long to import

        painting = painting.edit(recolour=lambda values: in_few_colours(values, colours))
        return painting.export(path, centre_lines=True, canvas=canvas)
    on_frame = None
    if on_progress is not None:

        def on_frame(done: int, total: int) -> None:
            on_progress(done / max(1, total))

    options = {"seconds": seconds, "fps": fps, "pace": pace} if kind in ("mp4", "gif") else {}
    return painting.export(
        path,
        size=size,
        brush=brush,
        layer_strokes=layer_strokes,
        on_frame=on_frame,
        **options,  # type: ignore[arg-type]
    )


def _addition(kind: str) -> str:
    """What distinguishes files with one suffix."""
    return {
        "plan page": " plan",
        "plan json": " plan",
        "plan csv": " plan",
        "plan pdf": " plan",
        "lines": " lines",
    }.get(kind, "")


def _write_plan(
    painting: Painting, path: Path, colours: int, canvas: tuple[float, float] | None, brush: Brush | None
) -> Path:
    from painter.plan import make_plan, write_plan  # here, because it takes long to import

    return write_plan(make_plan(painting, colours=colours, canvas=canvas, brush=brush), path)
