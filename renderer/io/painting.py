"""A painting: strokes, their stroke space and a background in one small file; rendered at any size."""

from __future__ import annotations

import base64
import functools
import io
import itertools
import json
import math
import operator
import os
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import avg_pool2d

from renderer.brush import Brush, Patches, ReferenceBrush, box_of, load_brush
from renderer.brushes.bezier import ExactBezier
from renderer.brushes.mixed import MAX_BRUSHES, MIXED, mixed
from renderer.brushes.mypaint import MYPAINT, MyPaint
from renderer.brushes.scanned import Scanned, is_strips
from renderer.canvas import blank, magnification
from renderer.checks import check_painting
from renderer.constraints import hex_code, parse_colour
from renderer.errors import InputError
from renderer.io.files import atomic
from renderer.io.from_json import from_json
from renderer.io.images import fitted_size, to_bytes
from renderer.io.read import guarded, one_line, parse_json, reason, to_json
from renderer.io.rich_display import picture_and_facts
from renderer.io.tensor_file import read_tensors, write_tensors
from renderer.material.finish import Finish
from renderer.strokes import BEZIER, KNOWN, SpaceError, StrokeSpace

Colour = tuple[float, float, float]
"""sRGB in [0, 1]."""

Box = tuple[int, int, int, int]
"""left, top, width, height in pixels."""

Pace = Literal["even", "by-area", "ease"]
PACES: tuple[Pace, ...] = get_args(Pace)

FORMAT = "kaokore-painting/1"
FORMAT_JSON = "kaokore-strokes/1"
EXPORTS = (".png", ".jpg", ".svg", ".html", ".ora", ".psd", ".hpgl", ".gcode", ".mp4", ".gif", ".json", ".safetensors")
IMAGE_SIZE, VIDEO_SIZE, GIF_SIZE = 1536, 512, 256  # pixels on the long side of exports
AREA_SIZE = 128  # pixels on the long side where areas of marks are measured
LARGEST = 16_384  # pixels on the long side
MAX_BYTES = 256 * 2**20  # of a file: some four million strokes
MAX_STROKES = 5_000_000
DTYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16)  # of strokes
FINISHED_CHUNK = 16  # strokes whose marks are in memory at once
AT_ONCE = 16_000_000  # pixels of marks in memory at once, if every stroke covered the canvas


class PaintingError(InputError):
    """A file is no painting, or a painting's strokes cannot be right."""


class MissingBrushError(PaintingError):
    """MyPaint's engine, or one of its brushes, is not installed; `learned` names the learned brush that can stand in."""

    def __init__(self, reason: str, learned: str) -> None:
        super().__init__(f"{reason}; or draw the painting with the learned brush, --renderer {one_line(learned)}.")
        self.reason, self.learned = reason, learned


class MissingBrushWarning(UserWarning):
    """A painting is drawn with a learned brush, for want of the reference brush."""


@dataclass(frozen=True, eq=False, repr=False)
class Painting:
    """Strokes in painting order, and all that is needed to render them again.

    Attributes:
        strokes: (N, P) floats in [0, 1]; none is a bare background.
        space: what the P columns mean.
        height, width: pixels, as it was painted.
        background: sRGB in [0, 1].
        provenance: how it was made, anything that JSON can hold; with what `Brush.provenance` gives.
        brush: what draws strokes of a space without a reference brush (`docs/add_a_brush.md`); it is not saved.

    Raises:
        PaintingError: for strokes outside [0, 1] or not finite, for columns that the space does not have, and for
            provenance that JSON cannot hold.
    """

    strokes: Tensor
    space: StrokeSpace
    height: int
    width: int
    background: tuple[float, float, float] = (1.0, 1.0, 1.0)
    provenance: dict[str, Any] = field(default_factory=dict)
    brush: Brush | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        shape = tuple(self.strokes.shape)
        if len(shape) != 2 or shape[1] != self.space.width or self.strokes.dtype not in DTYPES:
            wanted = f"floating-point numbers of shape (N, {self.space.width})"
            raise PaintingError(
                f"Strokes of the space {self.space.name} are {wanted}, not {self.strokes.dtype} {shape}."
            )
        if not bool(((self.strokes >= 0) & (self.strokes <= 1)).all()):  # false for NaN, too
            raise PaintingError("A painting's strokes must be numbers between 0 and 1.")
        if len(self.strokes) > MAX_STROKES:
            raise PaintingError(f"A painting has at most {MAX_STROKES:,} strokes, not {len(self.strokes):,}.")
        try:  # numbers of numpy, too, are written as JSON
            height, width = operator.index(self.height), operator.index(self.width)
            red, green, blue = map(float, self.background)
            to_json(self.provenance)
        except (TypeError, ValueError) as error:
            raise PaintingError(
                f"A painting has a size in whole pixels, a background of three numbers and provenance that JSON can hold "
                f"({reason(error)})."
            ) from error
        if not (1 <= height <= LARGEST and 1 <= width <= LARGEST):
            raise PaintingError(f"A painting has 1 to {LARGEST} pixels a side, not {width}x{height}.")
        if not all(0 <= value <= 1 for value in (red, green, blue)):
            raise PaintingError(f"A background is three numbers between 0 and 1, not {self.background}.")
        for name, value in (("height", height), ("width", width), ("background", (red, green, blue))):
            object.__setattr__(self, name, value)

    @classmethod
    def by(
        cls,
        brush: Brush,
        strokes: Tensor,
        size: Sequence[int],
        background: Colour = (1.0, 1.0, 1.0),
        provenance: Mapping[str, Any] | None = None,
    ) -> Painting:
        """A painting made with `brush`, which it records.

        Args:
            brush: whose stroke space the strokes have.
            strokes: (N, P), on any device.
            size: (height, width) in pixels.
            background: sRGB in [0, 1].
            provenance: further entries; anything that JSON can hold.
        """
        height, width = size
        record = {**(provenance or {}), **brush.provenance()}
        own = None if brush.space in KNOWN else brush
        return cls(strokes.detach().cpu(), brush.space, height, width, background, record, own)

    def save(self, path: str | Path) -> None:
        """Write one safetensors file, whole or not at all; equal paintings give equal bytes. Raises `InputError`."""
        about = {"format": FORMAT, **self.record()}
        write_tensors(path, {"strokes": self.strokes}, {"painting": json.dumps(about)})

    @classmethod
    def load(cls, path: str | Path) -> Painting:
        """Read what `save` wrote, bit for bit. Raises `PaintingError`."""
        path = Path(path)
        if not os.path.isfile(path):  # unlike Path.is_file, also where a name is too long
            raise PaintingError(f"There is no painting {path}.")
        with guarded(path, PaintingError, "is damaged or not a painting"):
            metadata, tensors = read_tensors(path, max_bytes=MAX_BYTES)
            about = parse_json(metadata.get("painting", "{}"))
            if about.get("format") != FORMAT:
                raise PaintingError(f"{path} is not a painting of Kaokore Painter, or of another version of it.")
            return cls.from_record(tensors["strokes"], about)

    def record(self) -> dict[str, Any]:
        """All but the strokes, as JSON can hold it."""
        return {
            "space": json.loads(self.space.to_json()),
            "height": self.height,
            "width": self.width,
            "background": self.background,
            "made_by": self.provenance,
        }

    @classmethod
    def from_record(cls, strokes: Tensor, record: Mapping[str, Any]) -> Painting:
        """The painting of strokes (N, P) and of what `record` returned.

        Raises `PaintingError`, `SpaceError`, `KeyError`, `TypeError` or `ValueError` for a damaged record; see `guarded`.
        """
        space = StrokeSpace.from_json(json.dumps(record["space"]))
        height, width = (from_json(int, record[name], name) for name in ("height", "width"))
        red, green, blue = from_json(tuple[float, ...], record["background"], "background")
        made_by = from_json(dict, record["made_by"], "made_by")
        return cls(strokes, space, height, width, (red, green, blue), made_by)

    def size(self, longest: int | None = None) -> tuple[int, int]:
        """(height, width) with `longest` pixels on the long side; as it was painted for None. Raises `PaintingError`."""
        if longest is None:
            return self.height, self.width
        if not 1 <= longest <= LARGEST:
            raise PaintingError(f"A painting can be drawn with 1 to {LARGEST} pixels on its long side, not {longest}.")
        return fitted_size((self.height, self.width), longest)

    @property
    def finish(self) -> Finish | None:
        """The material, paper and light that the painting records; None if it records none. Raises `InputError`."""
        return Finish.recorded(self.provenance)

    def with_finish(self, finish: Finish | None) -> Painting:
        """A copy that records a finish, or none; `export` and `show` draw it."""
        record = {key: value for key, value in self.provenance.items() if key != "finish"}
        return replace(self, provenance=record if finish is None else {**record, "finish": finish.record()})

    def render(self, longest: int | None = None, brush: Brush | None = None, finish: Finish | None = None) -> Tensor:
        """Render the painting as an image (3, H, W) in [0, 1].

        Args:
            longest: pixels on the long side; as it was painted for None.
            brush: of the same stroke space; the default is `default_brush`.
            finish: material, paper and light. None draws the bare strokes, as they are measured, whatever the painting
                records.
        """
        if finish is not None and not finish.plain:
            return self._finished(longest, brush, finish)
        (height, width), times = self.size(longest), magnification(self.size(longest))
        canvas = blank((times * height, times * width), self.background)
        _lay(canvas, self.strokes.detach().cpu().to(canvas), self._own_or(brush, longest))
        return _reduced(canvas, times).clamp_(0, 1)

    @torch.no_grad()
    def _finished(self, longest: int | None, brush: Brush | None, finish: Finish) -> Tensor:
        """`render` in a material."""
        from renderer.material.surface import Surface, drawing_times  # here, because few paintings need it

        (height, width), times = self.size(longest), drawing_times(self.size(longest))
        surface = Surface((times * height, times * width), self.background, finish)
        brush, strokes = self._surface_brush(brush, max(surface.size)), self.strokes.detach().cpu().float()
        done = 0
        for patches in brush.stream(strokes.to(brush.device), surface.size, FINISHED_CHUNK):
            surface.lay(patches, strokes[done : done + len(patches)], self.space)
            done += len(patches)
        return _reduced(torch.from_numpy(surface.image()).permute(2, 0, 1).contiguous(), times)

    def frames(
        self, count: int, longest: int | None = None, brush: Brush | None = None, pace: Pace = "ease"
    ) -> Iterator[Tensor]:
        """Yield `count` canvases (3, H, W), from the blank background to the finished painting, timed by `schedule`.

        The same tensor each time, changed in place: copy what is to be kept.
        """
        for canvas, _ in self.changes(count, longest, brush, pace):
            yield canvas

    @torch.no_grad()
    def changes(
        self,
        count: int,
        longest: int | None = None,
        brush: Brush | None = None,
        pace: Pace = "ease",
        finish: Finish | None = None,
    ) -> Iterator[tuple[Tensor, list[Box]]]:
        """`frames`, each with the boxes of its new strokes: left, top, width and height in pixels; see `render`."""
        if finish is not None and not finish.plain:
            yield from self._finished_changes(count, longest, brush, pace, finish)
            return
        (height, width), times = self.size(longest), magnification(self.size(longest))
        canvas = blank((times * height, times * width), self.background)
        brush = self._own_or(brush, longest)
        strokes = self.strokes.detach().cpu().to(canvas)
        check_painting(canvas, strokes, brush.space)
        weights = _mark_areas(self, brush) if pace == "by-area" else None
        streamed = brush.stream(strokes, (canvas.shape[1], canvas.shape[2]), _chunk(canvas))
        marks = ((patches, i) for patches in streamed for i in range(len(patches)))
        shown = 0
        for wanted in schedule(len(strokes), count, pace, weights):
            changed = []
            for patches, i in itertools.islice(marks, wanted - shown):
                _lay_patch(canvas, patches, i)
                changed.append(_reduced_box(patches.box[i].tolist(), times))
            shown = wanted
            yield _reduced(canvas, times), changed

    def _finished_changes(
        self, count: int, longest: int | None, brush: Brush | None, pace: Pace, finish: Finish
    ) -> Iterator[tuple[Tensor, list[Box]]]:
        """`changes` in a material."""
        from renderer.material.surface import Surface, draw, drawing_times

        (height, width), times = self.size(longest), drawing_times(self.size(longest))
        surface = Surface((times * height, times * width), self.background, finish)
        brush, strokes = self._surface_brush(brush, max(surface.size)), self.strokes.detach().cpu().float()
        canvas = torch.empty(3, height, width)

        def light(box: Box) -> Box:
            """Draw a box of the surface anew; where it is on the canvas."""
            left, top, w, h = reduced = _reduced_box(_widened(box, surface.size), times)
            pixels = torch.from_numpy(surface.image((times * left, times * top, times * w, times * h)))
            canvas[:, top : top + h, left : left + w] = _reduced(pixels.permute(2, 0, 1), times)
            return reduced

        light((0, 0, surface.size[1], surface.size[0]))
        weights = _mark_areas(self, brush) if pace == "by-area" else None
        drawn, shown = draw(strokes, self.space, surface, brush), 0
        for wanted in schedule(len(strokes), count, pace, weights):
            boxes = [box for boxes in itertools.islice(drawn, wanted - shown) for box in boxes]
            shown = wanted
            yield canvas, [light(box) for box in boxes]

    def default_brush(self, longest: int | None = None) -> Brush:
        """The reference brush; or, with a warning, the learned one where MyPaint's engine is not installed."""
        if self.brush is not None:
            return self.brush
        try:
            return reference_brush(self.space, self.size(longest), self.provenance)
        except MissingBrushError as error:
            from renderer.learned.load import shipped_brushes

            # Only names of shipped brushes: a painting may come from anywhere, and must not choose files or modules.
            if not {*error.learned.split("+")} <= {*shipped_brushes()}:
                raise
            try:
                brush = _learned_brush(error.learned)
            except InputError:
                raise error from None
            warnings.warn(f"Drawn with the learned brush {error.learned}: {error.reason}.", MissingBrushWarning, 2)
            return brush

    def edit(
        self,
        *,
        remove: Sequence[int] | slice | Tensor | None = None,
        order: Sequence[int] | Tensor | None = None,
        recolour: Mapping[str, str] | Callable[[Tensor], Tensor] | None = None,
        background: Colour | None = None,
    ) -> Painting:
        """A changed copy.

        Args:
            remove: the strokes to leave out: indices, a slice or a bool tensor (N,).
            order: a permutation of the indices of all strokes, the first at the bottom.
            recolour: colours to replace as `{"#c0392b": "#2b7ac0"}` (compared at 8 bits a channel), or a function from
                colours (N, 3), sRGB in [0, 1], to new ones.
            background: its new colour.

        Raises:
            PaintingError: for indices out of range and an order that is no permutation.
        """
        strokes, kept = self.strokes, torch.ones(len(self.strokes), dtype=torch.bool)
        moved = remove is not None or order is not None
        record = {key: value for key, value in self.provenance.items() if key != "layers" or not moved}
        if recolour is not None:
            colours = strokes[:, self.space.columns("colour")]
            colours = recolour(colours) if callable(recolour) else _replaced(colours, recolour)
            strokes = self.space.put(strokes, "colour", colours)
        try:
            if remove is not None:
                kept[remove if isinstance(remove, slice) else torch.as_tensor(remove)] = False
        except (IndexError, TypeError) as error:
            raise PaintingError(f"There are no such strokes to remove; the painting has {len(strokes)}.") from error
        if order is not None:
            index = torch.as_tensor(order)
            if not torch.equal(index.sort().values, torch.arange(len(strokes))):
                raise PaintingError(f"An order names each of the {len(strokes)} strokes once.")
            strokes, kept = strokes[index], kept[index]
        return replace(self, strokes=strokes[kept], background=background or self.background, provenance=record)

    def export(
        self,
        path: str | Path,
        *,
        size: int | None = None,
        brush: Brush | None = None,
        finish: Finish | None = None,
        layer_strokes: int | None = None,
        centre_lines: bool = False,
        canvas: tuple[float, float] | None = None,
        pens: Sequence[float] = (0.3, 0.8, 2.0),
        seconds: float | None = None,
        fps: float | None = None,
        pace: Pace = "ease",
        on_frame: Callable[[int, int], object] | None = None,
    ) -> Path:
        """Write the painting in the format of the suffix.

        Images .png, .jpg; vectors .svg; a page that plays it .html; layers .ora (Krita, GIMP), .psd; plotters .hpgl, .gcode;
        videos .mp4, .gif; strokes .json, .safetensors. `painter.plan` writes plans to paint it by hand.

        Args:
            path: the file to write, whole or not at all.
            size: pixels on the long side; by default 1,536 for images, 512 for videos, 256 for GIFs.
            finish: of images and videos: material, paper and light, see `render`. None draws what the painting records;
                `Finish()` draws the bare strokes.
            brush: what draws it, see `render`. JSON holds the strokes in physical units instead (`to_json`).
            layer_strokes: strokes in each layer of .svg, .ora and .psd; by default masses and lines, or the rounds of the
                agent, see `renderer.io.layered.layers_of`.
            centre_lines: an SVG of open lines for plotters, see `renderer.io.svg_centre_lines`; as in .hpgl, .gcode.
            canvas: width and height in mm of the sheet that centre lines are drawn on.
            pens: widths in mm of the pens that centre lines are drawn with.
            seconds: length of a video, with its pauses; see `renderer.io.video.Timing`.
            fps: frames a second of a video.
            pace: which strokes each frame of a video adds, see `schedule`.
            on_frame: called with the number of frames of a video that are written, and of all.

        Returns:
            The path.

        Raises:
            InputError: for another suffix, and where the file cannot be written.
        """
        # Here, because these modules draw paintings and import this one.
        from renderer.io.html_player import write_html
        from renderer.io.images import write_jpeg, write_png
        from renderer.io.openraster import write_ora
        from renderer.io.photoshop import write_psd
        from renderer.io.plotter import write_plot
        from renderer.io.svg import write_svg
        from renderer.io.svg_centre_lines import write_centre_lines
        from renderer.io.video import Timing, write_gif, write_mp4

        path, finish = Path(path), self.finish if finish is None else finish
        size_of_image, size_of_video, size_of_gif = (
            default if size is None else size for default in (IMAGE_SIZE, VIDEO_SIZE, GIF_SIZE)
        )
        match path.suffix.lower():
            case ".png":
                write_png(self.render(size_of_image, brush, finish), path)
            case ".jpg" | ".jpeg":
                write_jpeg(self.render(size_of_image, brush, finish), path)
            case ".svg" if centre_lines:
                write_centre_lines(self, path, canvas, pens)
            case ".hpgl" | ".gcode":
                write_plot(self, path, canvas, pens)
            case ".svg":
                write_svg(self, path, size_of_image, brush, layer_strokes)
            case ".html":
                write_html(self, path, brush)
            case ".ora":
                write_ora(self, path, size_of_image, brush, layer_strokes)
            case ".psd":
                write_psd(self, path, size_of_image, brush, layer_strokes)
            case ".mp4":
                write_mp4(self, path, size_of_video, brush, Timing(seconds, fps, pace), on_frame, finish)
            case ".gif":
                write_gif(self, path, size_of_gif, brush, Timing(seconds, fps, pace), on_frame, finish)
            case ".json":
                with atomic(path) as temporary:
                    temporary.write_text(self.to_json() + "\n", encoding="utf-8")
            case ".safetensors":
                self.save(path)
            case _:
                raise InputError(f"{path} should end in one of {', '.join(EXPORTS)}.")
        return path

    def to_json(self) -> str:
        """The strokes in the physical units of their fields, one object a stroke, with size, background and units."""
        fields = {field.name: {"unit": field.unit, "low": field.low, "high": field.high} for field in self.space.fields}
        columns = {name: self.space.get(self.strokes.double(), name).tolist() for name in fields}
        strokes = [
            {name: [round(value, 6) for value in values[i]] for name, values in columns.items()}
            for i in range(len(self.strokes))
        ]
        about = {"format": FORMAT_JSON, "height": self.height, "width": self.width, "background": self.background}
        return json.dumps({**about, "space": self.space.name, "fields": fields, "strokes": strokes})

    def show(self, size: int = 512) -> None:
        """Show the painting: in a notebook below the cell, elsewhere in a window of the system's image viewer."""
        image = Image.fromarray(to_bytes(self.render(size, finish=self.finish)))
        try:
            from IPython import get_ipython
            from IPython.display import display
        except ImportError:
            notebook = None
        else:
            notebook = get_ipython()
        if notebook is None:
            image.show()
        else:
            display(image)

    def _own_or(self, brush: Brush | None, longest: int | None) -> Brush:
        brush = self.default_brush(longest) if brush is None else brush
        brush.space.require(self.space)
        return brush

    def _surface_brush(self, brush: Brush | None, longest: int) -> Brush:
        """The brush below a material, which breaks up its edges: fewer samples and discs of the exact one are enough."""
        brush = self._own_or(brush, longest)
        return ExactBezier(min(2, brush.supersample), 1 / 16) if type(brush) is ExactBezier else brush

    def __repr__(self) -> str:
        """A line, without the strokes."""
        facts = [f"{len(self.strokes):,} strokes", self.space.name, f"{self.width}x{self.height} pixels"]
        method = self.provenance.get("method")
        return f"Painting({', '.join(facts + ([f'by {one_line(method)}'] if method else []))})"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        """Picture and facts, for a notebook; the picture is enlarged if it is small."""
        buffer = io.BytesIO()
        shown = self.render(max(384, self.height, self.width), finish=self.finish)
        Image.fromarray(to_bytes(shown)).save(buffer, "PNG")
        page = picture_and_facts(buffer.getvalue(), repr(self), self._facts())
        return {"text/plain": repr(self), "text/html": page, "image/png": base64.b64encode(buffer.getvalue()).decode()}

    def _facts(self) -> dict[str, object]:
        known = {
            name: self.provenance[name] for name in ("method", "brush", "seed", "refined_by") if name in self.provenance
        }
        return {
            "strokes": f"{len(self.strokes):,}",
            "stroke space": self.space.name,
            "painted at": f"{self.width}x{self.height} pixels",
            "background": hex_code(torch.tensor(self.background)),
            **{name.replace("_", " "): one_line(value) for name, value in known.items()},
            **({} if self.finish is None else {"finish": one_line(self.finish.record())}),
        }


def reference_brush(space: StrokeSpace, size: tuple[int, int], provenance: Mapping[str, Any] | None = None) -> Brush:
    """The exact brush that strokes of `space` are meant for; of MYPAINT and MIXED, what `provenance` names.

    The Bezier brush takes fewer discs on canvases of over 512 pixels and fewer samples a pixel on those of over 1,024: its
    time grows with both, and edges are finer anyway. Raises `SpaceError` for another space, `PaintingError` where
    MyPaint's brush or engine is missing.
    """
    if space not in (MYPAINT, MIXED):
        if space != BEZIER:
            raise SpaceError(
                f"There is no reference brush for strokes of the space {space.name!r}; choose the brush that painted them."
            )
        samples = 4 if max(size) <= 1024 else 2 if max(size) <= 4096 else 1
        return ExactBezier(samples, 0.0 if max(size) <= 512 else 1 / 16)
    provenance = provenance or {}
    names, files = provenance.get("brush"), provenance.get("myb")
    if space == MYPAINT:
        names, files = [names], [files]
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names) or len(names) > MAX_BRUSHES:
        wanted = "mypaint:ink" if space == MYPAINT else "mypaint:watercolour+mypaint:ink"
        raise PaintingError(
            f"This painting does not say which of MyPaint's brushes it was made with; choose one, such as {wanted}."
        )
    files = files if isinstance(files, list) else [None] * len(names)
    try:
        brushes = [_mypaint(name, myb) for name, myb in zip(names, files, strict=True)]
        return brushes[0] if space == MYPAINT else mixed(brushes)
    except (OSError, ValueError) as error:  # also for names that no file can have
        raise MissingBrushError(reason(error), "+".join(names)) from error


@functools.cache
def _learned_brush(name: str) -> Brush:
    return load_brush(name)


def _mypaint(name: str, myb: object) -> ReferenceBrush:
    """A brush from its file's text, or by name where there is none."""
    if is_strips(myb):
        return Scanned.from_text(name, str(myb))
    if not isinstance(myb, str):
        return MyPaint(name)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{Path(name).name}.myb"
        path.write_text(myb, encoding="utf-8")
        return MyPaint(path)


def _reduced(canvas: Tensor, times: int) -> Tensor:
    """A canvas (3, H, W) with blocks of `times` x `times` pixels averaged."""
    return canvas if times == 1 else avg_pool2d(canvas, times)


def _reduced_box(box: Sequence[int], times: int) -> Box:
    """The pixels (left, top, width, height) of a canvas reduced by `times` that show any of a box."""
    left, top, width, height = box
    right, bottom = -(-(left + width) // times), -(-(top + height) // times)
    return left // times, top // times, right - left // times, bottom - top // times


def _widened(box: Box, size: tuple[int, int]) -> Box:
    """A box with a pixel around it, inside a canvas of `size`."""
    left, top, width, height = box
    x, y = max(0, left - 1), max(0, top - 1)
    return x, y, min(size[1], left + width + 1) - x, min(size[0], top + height + 1) - y


def _chunk(canvas: Tensor) -> int:
    """How many strokes are drawn at once."""
    return max(1, min(256, AT_ONCE // canvas[0].numel()))


@torch.no_grad()
def _lay(canvas: Tensor, strokes: Tensor, brush: Brush) -> None:
    """Lay strokes (N, P) over a canvas (3, H, W), in place, in little memory beside the canvas.

    On a large canvas, one stroke is drawn at a time, and the mark of a learned brush in bands of `AT_ONCE` pixels. Reference
    brushes draw a mark as a whole: MyPaint's engine draws from the stroke's beginning.
    """
    size = canvas.shape[1], canvas.shape[2]
    if _chunk(canvas) > 1 or not brush.differentiable:
        for patches in brush.stream(strokes, size, _chunk(canvas)):
            _lay_patches(canvas, patches)
        return
    for stroke in strokes.split(1):
        left, top, width, height = box_of(brush.bounds(stroke, size))[0].tolist()
        rows = max(1, AT_ONCE // width)
        for first in range(top, top + height, rows):
            band = torch.tensor([[left, first, width, min(rows, top + height - first)]])
            _lay_patches(canvas, brush.patches(stroke, size, band))


def _lay_patches(canvas: Tensor, patches: Patches) -> None:
    for i in range(len(patches)):
        _lay_patch(canvas, patches, i)


def _lay_patch(canvas: Tensor, patches: Patches, i: int) -> None:
    below, alpha = patches.on(canvas, i)
    below.lerp_(patches.pigment(i), alpha)


def schedule(strokes: int, frames: int, pace: Pace = "ease", weights: Tensor | None = None) -> list[int]:
    """How many strokes are shown in each of `frames` frames, from 0 to all.

    Args:
        strokes: how many there are.
        frames: how many there are.
        pace: `ease` is slow at first, since the first strokes change the canvas most; `even` shows the same number of
            strokes in every frame, `by-area` the same sum of `weights`.
        weights: (strokes,), the area of each mark (by-area).

    Raises:
        InputError: for another pace.

    >>> schedule(100, 5), schedule(1, 3), schedule(4, 5, "even")
    ([0, 7, 25, 57, 100], [0, 1, 1], [0, 1, 2, 3, 4])
    >>> schedule(3, 5, "by-area", torch.tensor([2.0, 1.0, 1.0]))
    [0, 1, 1, 2, 3]
    """
    if pace not in PACES:
        raise InputError(f"There is no pace {pace!r}; choose one of {', '.join(PACES)}.")
    times = [i / max(1, frames - 1) for i in range(frames)]
    if pace != "by-area" or weights is None or len(weights) == 0:
        return [math.ceil(strokes * time ** (2 if pace == "ease" else 1)) for time in times]
    begins = weights.double().cumsum(0) - weights  # what is painted when a stroke begins
    limits = torch.tensor(times, dtype=torch.float64) * weights.double().sum()
    shown = torch.searchsorted(begins, limits).tolist()
    return [*shown[:-1], strokes] if frames > 1 else shown


def _mark_areas(painting: Painting, brush: Brush) -> Tensor:
    """The sum of alpha of each mark, (N,), on a small canvas; a little for marks that leave nothing."""
    size = painting.size(AREA_SIZE)
    areas = [
        patches.alpha[begin : begin + width * height].sum()
        for patches in brush.stream(painting.strokes.detach().cpu().float(), size)
        for begin, (_, _, width, height) in zip(patches.start.tolist(), patches.box.tolist(), strict=True)
    ]
    return torch.stack(areas) + 0.1 if areas else torch.zeros(0)


def _replaced(colours: Tensor, changes: Mapping[str, str]) -> Tensor:
    """Colours (N, 3) with those named `#rrggbb` replaced."""
    codes = (colours * 255).round()
    result = colours.clone()
    for old, new in changes.items():
        found = (codes == colours.new_tensor(parse_colour(old)).mul(255).round()).all(1)
        result[found] = colours.new_tensor(parse_colour(new))
    return result
