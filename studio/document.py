"""A document: a picture and the painting that is made of it, with every edit on the disk."""

from __future__ import annotations

import io
import math
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from painter.api import Layers, background_colour, layer_record, layers_after
from painter.editing import move_colour
from painter.methods import Step
from renderer.brush import Brush
from renderer.errors import InputError
from renderer.io.images import as_image, fit, fitted_size, read_image, resize, to_bytes, write_png
from renderer.io.painting import Painting
from studio.canvas_cache import CanvasCache
from studio.hand_stroke import strokes_of_line
from studio.history import Edit, History
from studio.painters import Painters
from studio.presets import MAX_STROKES, Settings, require_known_brush
from studio.session_file import MAX_SIDE, State, read_session, resized_mask, write_session
from studio.stroke_facts import Marks, StrokeFacts, facts_of, svg_path

VIEW_SIZE = 512  # pixels on the long side of what a page shows, by default
LARGEST_VIEW = 2048
MARKS_SIZE = 384  # pixels at which strokes are looked up under a pointer
PICTURE = "picture.png"


class BusyError(InputError):
    """The document is being painted."""


@dataclass(frozen=True)
class Quality:
    """How near a painting is to its picture, at the size it was painted.

    Attributes:
        mse: mean squared error over sRGB in [0, 1].
        psnr: in dB.
    """

    mse: float
    psnr: float


class Document:
    """A picture, its painting, and the history of edits, in one folder. Safe to use from several threads.

    Edits are checked and on the disk when they return; `undo` and `redo` go back and forth among them, also after a restart.
    Methods that paint (`paint`, `more`, `go_on`, `repaint`) are generators of `Step`: what was painted is kept as one edit
    when they end, or when they are closed before (`jobs` runs them). While one of them runs, edits raise `BusyError`.

    Attributes:
        folder: of its files.
        painters: makes the painters.
        cursor: how many strokes are shown; edits show all. Strokes that a person draws come after these.

    Raises:
        InputError: when the folder cannot be read, or is open elsewhere.
    """

    def __init__(self, folder: str | Path, painters: Painters) -> None:
        self.folder, self.painters = Path(folder), painters
        self._lock = threading.RLock()
        self._working = False
        self._paused: tuple[Edit, Iterator[Step], Callable[[Step], State]] | None = None
        self._views: dict[tuple[str, int], CanvasCache] = {}
        self._marks: dict[int, tuple[Tensor, Marks]] = {}
        self.picture = read_image(self.folder / PICTURE)
        self.history = History(self.folder / "history")
        try:
            state = self.history.present()
            if state is None:
                state = _blank(self.picture, Settings())
                self.history.add(state, "Choose the picture")
        except BaseException:
            self.close()
            raise
        self.state = state
        self.cursor = len(state.painting.strokes)

    @classmethod
    def create(cls, folder: str | Path, picture: Any, painters: Painters, settings: Settings | None = None) -> Document:
        """A new document in a new folder.

        Args:
            folder: to be made; one that is there is refused.
            picture: see `renderer.io.images.as_image`; it is reduced to `MAX_SIDE` pixels on the long side.
            painters: makes the painters.
            settings: to begin with.

        Raises:
            InputError: for a picture that cannot be read, and a folder that cannot be made.
        """
        image = as_image(picture, MAX_SIDE)
        if max(image.shape[1:]) > MAX_SIDE:
            image = fit(image, MAX_SIDE)
        return cls._made(folder, image, _blank(image, settings or Settings()), painters, "Choose the picture")

    @classmethod
    def from_session(cls, folder: str | Path, session: str | Path, painters: Painters) -> Document:
        """A new document in a new folder from a file that `save` wrote. Raises `InputError`."""
        state, picture, _ = read_session(session)
        if picture is None:
            raise InputError(f"{session} holds no picture.")
        return cls._made(folder, picture, state, painters, "Open the session")

    @classmethod
    def from_painting(cls, folder: str | Path, painting: Painting, painters: Painters) -> Document:
        """A new document from a saved painting; its picture is the painting as it is. Raises `InputError`."""
        names = painting.provenance.get("brush", "bezier")
        brush = "+".join(names) if isinstance(names, list) else str(names)
        require_known_brush(brush)
        painters.brush(brush).space.require(painting.space)
        settings = Settings(brush=brush, strokes=max(1, len(painting.strokes)))
        count = len(painting.strokes)
        state = State(painting, settings, torch.zeros(count, dtype=torch.bool), goal=count)
        picture = painting.render(MAX_SIDE, painters.brush(brush))
        return cls._made(folder, picture, state, painters, "Open the painting")

    @classmethod
    def _made(cls, folder: str | Path, picture: Tensor, state: State, painters: Painters, label: str) -> Document:
        folder = Path(folder)
        try:
            folder.mkdir(parents=True)
        except OSError as error:
            raise InputError(f"Cannot make the folder {folder}: {error.strerror}.") from error
        write_png(picture, folder / PICTURE)
        history = History(folder / "history")
        try:
            history.add(state, label)
        finally:
            history.close()
        return cls(folder, painters)

    def close(self) -> None:
        """Let other processes open it."""
        self.history.close()

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.name

    @property
    def painting(self) -> Painting:
        """All its strokes; see `shown` for those up to the cursor."""
        return self.state.painting

    @property
    def settings(self) -> Settings:
        """What it was painted with."""
        return self.state.settings

    @property
    def count(self) -> int:
        """How many strokes there are."""
        return len(self.state.painting.strokes)

    @property
    def busy(self) -> bool:
        """Whether it is being painted."""
        return self._working

    @property
    def unfinished(self) -> bool:
        """Whether the last work was stopped, so that `go_on` can do the rest."""
        return self.state.goal > self.count or self.state.rest > 0

    def shown(self) -> Painting:
        """The painting up to the cursor."""
        with self._lock:
            return self.painting.edit(remove=slice(self.cursor, None)) if self.cursor < self.count else self.painting

    # Painting.

    def paint(self, settings: Settings | None = None) -> Iterator[Step]:
        """Paint anew, with `settings` or those it has. Raises `InputError`."""
        given = settings or self.settings

        def begin() -> tuple[Iterator[Step], Callable[[Step], State]]:
            painter = self.painters.get(given)
            layers: Layers = []

            def steps() -> Iterator[Step]:
                count = 0
                for step in painter.steps(self.picture, **given.options()):
                    layers[:] = layers_after(layers, step, count)
                    count = len(step.strokes)
                    yield step

            def state_of(step: Step) -> State:
                record = {"seed": given.seed, **given.constraints().provenance(), **layer_record(layers)}
                painting = painter.painting_so_far(step, record)
                size = fitted_size((self.picture.shape[1], self.picture.shape[2]), given.working_size())
                painting = replace(painting, height=size[0], width=size[1])
                mask = None if self.state.mask is None else resized_mask(self.state.mask, size)
                return _state(painting, given, mask, given.strokes, step)

            return steps(), state_of

        yield from self._work("Paint", begin)

    def more(self, strokes: int, settings: Settings | None = None) -> Iterator[Step]:
        """Add strokes to those up to the cursor; what came after them is left out.

        The locked strokes stay, and new ones do not paint over them. optimize and hybrid also move the old strokes that are
        not locked; where strokes are added, only those that do not touch locked ones.

        Args:
            strokes: how many; 0 improves those that are there (optimize, hybrid).
            settings: of the new strokes; the brush is the painting's.

        Raises:
            InputError: for too many strokes.
        """
        yield from self._refine(f"Add {strokes} strokes" if strokes else "Improve", strokes, settings, None)

    def repaint(self, strokes: int, settings: Settings | None = None) -> Iterator[Step]:
        """Add strokes as `more`, but only inside the mask. Raises `InputError` when there is none."""
        if self.state.mask is None:
            raise InputError("There is no mask: brush over the part that should be repainted.")
        yield from self._refine(f"Repaint a part with {strokes} strokes", strokes, settings, self.state.mask)

    def go_on(self) -> Iterator[Step]:
        """Do the rest of the work that was stopped: exactly, if nothing was edited since and there was no restart."""
        with self._lock:
            paused, edit = self._paused, self._present()
        if paused is not None and paused[0] == edit and self.cursor == self.count:
            _, steps, state_of = paused
            yield from self._work("Go on", lambda: (steps, state_of))
            return
        if not self.unfinished:
            raise InputError("There is nothing to go on with: the painting is finished. Add strokes instead.")
        rest = max(1, math.ceil(self.settings.steps * (self.state.rest or 1.0)))
        missing = max(0, self.state.goal - self.count)
        yield from self._refine("Go on", missing, replace(self.settings, steps=rest), None)

    def _refine(self, label: str, strokes: int, settings: Settings | None, mask: Tensor | None) -> Iterator[Step]:
        def begin() -> tuple[Iterator[Step], Callable[[Step], State]]:
            before, old = self.shown(), self.state
            kept, size = len(before.strokes), before.size()
            locked = old.locked[:kept]
            if not 0 <= strokes <= MAX_STROKES - kept:
                raise InputError(f"There can be 0 to {MAX_STROKES - kept:,} more strokes, not {strokes}.")
            given = replace(settings or self.settings, brush=self.settings.brush)
            steps = self.painters.get(given).refine_steps(
                before,
                self.picture,
                region=self._region(mask, locked if strokes else torch.zeros_like(locked), size),
                strokes=strokes,
                locked=locked,
                constraints=given.constraints(),
                seed=given.seed + kept,
            )
            record = {**before.provenance, "refined_by": given.method, "strokes_before": kept}
            record.pop("layers", None)

            def state_of(step: Step) -> State:
                painting = replace(before, strokes=step.strokes.detach().cpu().float().clamp(0, 1), provenance=record)
                state = _state(painting, self.settings, old.mask, kept + strokes, step)
                return replace(state, locked=torch.cat((locked, state.locked[kept:])))

            return steps, state_of

        yield from self._work(label, begin)

    def _region(self, mask: Tensor | None, locked: Tensor, size: tuple[int, int]) -> Tensor | None:
        """Where new strokes may be: in the mask, and not on locked strokes; (H, W) float, None for everywhere."""
        if not bool(locked.any()):
            return None if mask is None else mask.float()
        marks = Marks(self._brush().mean_brush(), self.painting.strokes[: len(locked)], size)
        free = ~marks.cover(locked)
        region = free if mask is None else free & mask
        if not bool(region.any()):
            raise InputError("Locked strokes cover everything that could be painted: unlock some.")
        return region.float()

    def _work(self, label: str, begin: Callable[[], tuple[Iterator[Step], Callable[[Step], State]]]) -> Iterator[Step]:
        """Yield the steps, and keep what was painted, however this ends; no edit comes between `begin` and that."""
        with self._lock:
            self._require_idle()
            self._working = True
        last: Step | None = None
        finished = False
        try:
            steps, state_of = begin()
            for step in steps:
                last = step
                yield step
            finished = True
        finally:
            with self._lock:
                self._working = False
                if last is not None:
                    state = state_of(last)
                    if finished:
                        state = replace(state, goal=len(state.painting.strokes), rest=0.0)
                    self._keep(state, label)
                    self._paused = None if finished else (self._present(), steps, state_of)

    # Edits.

    def undo(self) -> str:
        """Take the last edit back; returns its label. Raises `InputError` when there is none."""
        with self._lock:
            self._require_idle()
            label = self.history.undo_label() or ""
            self._show(self.history.undo())
            return label

    def redo(self) -> str:
        """Do an edit again that was taken back; returns its label. Raises `InputError` when there is none."""
        with self._lock:
            self._require_idle()
            label = self.history.redo_label() or ""
            self._show(self.history.redo())
            return label

    def cut(self, count: int | None = None) -> None:
        """Leave out all strokes after the first `count`, by default after the cursor, to go on from there."""
        with self._lock:
            self._require_idle()
            count = self.cursor if count is None else count
            if not 0 <= count <= self.count:
                raise InputError(f"The painting has 0 to {self.count} strokes to go back to, not {count}.")
            self._strokes(torch.arange(count), f"Go back to {count} strokes")

    def erase(self, indices: Sequence[int]) -> None:
        """Remove strokes. Raises `InputError` for indices that there are not, and for locked strokes."""
        with self._lock:
            self._require_idle()
            chosen = self._chosen(indices)
            if bool((chosen & self.state.locked).any()):
                raise InputError("A locked stroke cannot be erased: unlock it first.")
            self._strokes((~chosen).nonzero()[:, 0], f"Erase {_strokes_text(int(chosen.sum()))}")

    def lock(self, indices: Sequence[int], locked: bool = True) -> None:
        """Lock strokes, or unlock them: locked ones stay as they are and are not painted over. Raises `InputError`."""
        with self._lock:
            self._require_idle()
            chosen = self._chosen(indices)
            locks = self.state.locked | chosen if locked else self.state.locked & ~chosen
            label = f"{'Lock' if locked else 'Unlock'} {_strokes_text(int(chosen.sum()))}"
            self._keep(replace(self.state, locked=locks), label)

    def recolour(self, old: str, new: str, tolerance: float = 0.1) -> int:
        """Change one colour everywhere, with its shades.

        Args:
            old: `#rrggbb`.
            new: `#rrggbb`.
            tolerance: how far red, green and blue may lie from `old`, in [0, 1].

        Returns:
            How many strokes have changed.

        Raises:
            InputError: for what is no colour, and where no stroke has such a colour.
        """
        with self._lock:
            self._require_idle()
            if not 0 <= tolerance <= 1:
                raise InputError(f"A tolerance is from 0 to 1, not {tolerance}.")
            painting = self.painting.edit(recolour=lambda colours: move_colour(colours, old, new, tolerance))
            changed = int((painting.strokes != self.painting.strokes).any(1).sum())
            if changed == 0:
                raise InputError(
                    f"No stroke has a colour near {old}; choose one from the painting, or a larger tolerance."
                )
            self._keep(replace(self.state, painting=painting), f"Recolour {_strokes_text(changed)}")
            return changed

    def set_mask(self, mask: Any | None) -> None:
        """Set the part to repaint: an image of any size, white inside (see `as_image`), or None for no mask.

        Raises `InputError` for an image that cannot be read.
        """
        with self._lock:
            self._require_idle()
            inside = None
            if mask is not None:
                grey = resize(as_image(mask, 4 * MAX_SIDE), self.painting.size())
                inside = grey.mean(0) > 0.5
                inside = inside if bool(inside.any()) else None
            if inside is None and self.state.mask is None:
                return
            self._keep(replace(self.state, mask=inside), "Remove the mask" if inside is None else "Brush the mask")

    def add_stroke(
        self,
        points: Sequence[Sequence[float]],
        *,
        radius: float = 0.02,
        colour: str = "#000000",
        opacity: float = 1.0,
        locked: bool = True,
    ) -> int:
        """Add a line that a person drew, after the strokes up to the cursor.

        Args:
            points: x, y as fractions of width and height, and pressure in [0, 1] (0.5 of a mouse).
            radius: at full pressure, as a fraction of the short side.
            colour: `#rrggbb`.
            opacity: in [0, 1].
            locked: whether the agent leaves it as it is and does not paint over it.

        Returns:
            How many strokes the line became.

        Raises:
            InputError: as `hand_stroke.strokes_of_line`, and for more strokes than a document may have.
        """
        with self._lock:
            self._require_idle()
            painting, at = self.painting, self.cursor
            fresh = strokes_of_line(
                points, painting.space, painting.size(), radius=radius, colour=colour, opacity=opacity
            )
            strokes = torch.cat((painting.strokes[:at], fresh, painting.strokes[at:]))
            locks = torch.cat((self.state.locked[:at], torch.full((len(fresh),), locked), self.state.locked[at:]))
            record = {key: value for key, value in painting.provenance.items() if key != "layers"}
            changed = replace(painting, strokes=strokes, provenance=record)
            goal = max(self.state.goal, len(strokes))
            self._keep(replace(self.state, painting=changed, locked=locks, goal=goal), "Draw a stroke", at + len(fresh))
            return len(fresh)

    def use(self, settings: Settings) -> None:
        """Keep settings for later, without an edit, while there are no strokes; else `paint` takes them."""
        with self._lock:
            self._require_idle()
            if self.count == 0:
                self._keep(_blank(self.picture, settings), "Choose settings")

    def save(self, path: str | Path) -> Path:
        """Write the document as one file, for `from_session`; without its history. Raises `InputError`."""
        with self._lock:
            write_session(path, self.state, self.picture)
        return Path(path)

    # Queries.

    def show(self, count: int) -> None:
        """Move the cursor: show the first `count` strokes."""
        with self._lock:
            self.cursor = max(0, min(int(count), self.count))

    def canvas(self, count: int | None = None, size: int = VIEW_SIZE) -> Tensor:
        """The canvas (3, H, W) in [0, 1] with `count` strokes (by default up to the cursor), `size` pixels on the long side.

        Quick, see `CanvasCache`: drawn by the brush that painted, without the per-stroke noise of a stochastic brush.
        Exports are drawn by the reference brush. Raises `InputError` for a size out of range.
        """
        with self._lock:
            strokes, count = self.painting.strokes, self.cursor if count is None else count
            view = self.view(size)
        return view.at(strokes, count)

    def view(self, size: int = VIEW_SIZE, settings: Settings | None = None) -> CanvasCache:
        """The canvases of one size; of a painting that is made with other `settings`, of that one."""
        if not 8 <= size <= LARGEST_VIEW:
            raise InputError(f"A view has 8 to {LARGEST_VIEW} pixels on the long side, not {size}.")
        with self._lock:
            name, background = self.settings.brush, self.painting.background
            if settings is not None:
                name, background = settings.brush, background_colour(settings.background, self.picture)
            key = (f"{name} {background}", size)
            if key not in self._views:
                if len(self._views) >= 4:
                    self._views.pop(next(iter(self._views)))
                height, width = fitted_size((self.picture.shape[1], self.picture.shape[2]), size)
                self._views[key] = CanvasCache(self.painters.brush(name), (height, width), background)
            return self._views[key]

    def image(self, count: int | None = None, size: int = VIEW_SIZE, kind: str = "jpeg") -> bytes:
        """`canvas` as the bytes of a JPEG or a PNG."""
        return encode(self.canvas(count, size), kind)

    def picture_image(self, size: int = VIEW_SIZE, kind: str = "jpeg") -> bytes:
        """The picture as the bytes of a JPEG or a PNG."""
        return encode(fit(self.picture, size), kind)

    def error_image(self, count: int | None = None, size: int = VIEW_SIZE) -> bytes:
        """Where the painting differs from the picture: a PNG from black (equal) over red to yellow (a difference of 0.5)."""
        canvas = self.canvas(count, size)
        difference = (canvas - resize(self.picture, (canvas.shape[1], canvas.shape[2]))).square().mean(0).sqrt()
        levels = (difference * 2 * 255).clamp(0, 255).byte().cpu().numpy()
        ok, data = cv2.imencode(".png", cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO))
        assert ok
        return data.tobytes()

    def outlines_image(self, count: int | None = None, size: int = VIEW_SIZE) -> bytes:
        """The outlines of the strokes in their colours, on nothing: a PNG to lay over the canvas or the picture."""
        with self._lock:
            painting, count = self.painting, self.cursor if count is None else count
        outlines = self._marks_of(painting, size).outlines(count, painting.space.get(painting.strokes, "colour"))
        buffer = io.BytesIO()
        Image.fromarray(outlines, "RGBA").save(buffer, "PNG", compress_level=1)
        return buffer.getvalue()

    def mask_image(self) -> bytes | None:
        """The mask as a PNG, white inside; None where there is none."""
        mask = self.state.mask
        return None if mask is None else encode(mask.float().expand(3, -1, -1), "png")

    def stroke_at(self, x: float, y: float) -> StrokeFacts | None:
        """The topmost stroke shown at x, y (fractions of width and height) and its numbers; None where there is none."""
        with self._lock:
            painting, count = self.painting, self.cursor
        index = self._marks_of(painting).topmost(x, y, count)
        return None if index is None else self.stroke(index)

    def stroke(self, index: int) -> StrokeFacts:
        """The numbers of a stroke. Raises `InputError` when there is no such stroke."""
        with self._lock:
            if not 0 <= index < self.count:
                raise InputError(f"There is no stroke {index}; the painting has {self.count}.")
            painting, locked = self.painting, bool(self.state.locked[index])
        return facts_of(painting.strokes, painting.space, index, locked)

    def outline(self, index: int) -> tuple[str, tuple[int, int]]:
        """The outline of a stroke as the path data of an SVG, and the (width, height) of that SVG's view box."""
        self.stroke(index)
        marks = self._marks_of(self.painting)
        return svg_path(marks.outline(index)), (marks.size[1], marks.size[0])

    def quality(self, count: int | None = None) -> Quality:
        """How near the painting is to the picture."""
        canvas = self.canvas(count, max(8, *self.painting.size()))
        return quality_of(canvas, resize(self.picture, (canvas.shape[1], canvas.shape[2])))

    def facts(self) -> dict[str, Any]:
        """What a page shows beside the canvas, as JSON can hold it."""
        with self._lock:
            return {
                "name": self.name,
                "count": self.count,
                "cursor": self.cursor,
                "goal": self.state.goal,
                "unfinished": self.unfinished,
                "busy": self.busy,
                "locked": int(self.state.locked.sum()),
                "mask": self.state.mask is not None,
                "brush": self.settings.brush,
                "method": self.settings.method,
                "width": self.painting.width,
                "height": self.painting.height,
                "aspect": self.picture.shape[2] / self.picture.shape[1],
                "undo": self.history.undo_label(),
                "redo": self.history.redo_label(),
            }

    # Inner workings.

    def _brush(self) -> Brush:
        return self.painters.brush(self.settings.brush)

    def _marks_of(self, painting: Painting, size: int = MARKS_SIZE) -> Marks:
        if not 8 <= size <= LARGEST_VIEW:
            raise InputError(f"A view has 8 to {LARGEST_VIEW} pixels on the long side, not {size}.")
        with self._lock:
            self._marks = {key: kept for key, kept in self._marks.items() if kept[0] is painting.strokes}
            if size not in self._marks:
                height, width = fitted_size((self.picture.shape[1], self.picture.shape[2]), size)
                marks = Marks(self._brush().mean_brush(), painting.strokes, (height, width))
                self._marks[size] = painting.strokes, marks
            return self._marks[size][1]

    def _present(self) -> Edit:
        return self.history.edits[self.history.position]

    def _require_idle(self) -> None:
        if self._working:
            raise BusyError("The document is being painted: stop that first.")

    def _chosen(self, indices: Sequence[int]) -> Tensor:
        chosen = torch.zeros(self.count, dtype=torch.bool)
        for index in indices:
            if not 0 <= index < self.count:
                raise InputError(f"There is no stroke {index}; the painting has {self.count}.")
            chosen[index] = True
        if not indices:
            raise InputError("No stroke is chosen.")
        return chosen

    def _strokes(self, kept: Tensor, label: str) -> None:
        """Keep only these strokes, in their order."""
        gone = torch.ones(self.count, dtype=torch.bool)
        gone[kept] = False
        state = replace(self.state, painting=self.painting.edit(remove=gone), locked=self.state.locked[kept])
        self._keep(replace(state, goal=len(kept), rest=0.0), label)

    def _keep(self, state: State, label: str, cursor: int | None = None) -> None:
        self.history.add(state, label)
        self._show(state, cursor)

    def _show(self, state: State, cursor: int | None = None) -> None:
        self.state = state
        self.cursor = len(state.painting.strokes) if cursor is None else cursor

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Nothing changes inside this context."""
        with self._lock:
            yield


def _blank(picture: Tensor, settings: Settings) -> State:
    """A state without strokes, on the background."""
    from renderer.brush import load_brush

    space = load_brush(settings.brush).space
    height, width = fitted_size((picture.shape[1], picture.shape[2]), settings.working_size())
    background = background_colour(settings.background, picture)
    painting = Painting(torch.zeros(0, space.width), space, height, width, background)
    return State(painting, settings, torch.zeros(0, dtype=torch.bool))


def _state(painting: Painting, settings: Settings, mask: Tensor | None, goal: int, step: Step) -> State:
    count = len(painting.strokes)
    rest = 0.0 if settings.method == "agent" else 1 - min(1.0, max(0.0, step.progress))
    painting = replace(painting, strokes=painting.strokes.float().clamp(0, 1))
    return State(painting, settings, torch.zeros(count, dtype=torch.bool), mask, max(goal, count), rest)


def _strokes_text(count: int) -> str:
    return "1 stroke" if count == 1 else f"{count} strokes"


def encode(image: Tensor, kind: str = "jpeg", quality: int = 88) -> bytes:
    """An image (3, H, W) in [0, 1] as the bytes of a JPEG or a PNG. Raises `InputError` for another kind."""
    if kind not in ("jpeg", "png"):
        raise InputError(f"An image is encoded as jpeg or png, not {kind!r}.")
    pixels = cv2.cvtColor(to_bytes(image), cv2.COLOR_RGB2BGR)
    options = [cv2.IMWRITE_JPEG_QUALITY, quality] if kind == "jpeg" else [cv2.IMWRITE_PNG_COMPRESSION, 1]
    ok, data = cv2.imencode(f".{kind}", pixels, options)
    if not ok:
        raise InputError(f"The image cannot be written as {kind}.")
    return data.tobytes()


def quality_of(canvas: Tensor, picture: Tensor) -> Quality:
    """How near a canvas is to a picture, both (3, H, W)."""
    mse = (canvas.cpu() - picture).square().mean().item()
    return Quality(mse, -10 * math.log10(mse) if mse > 0 else math.inf)


@dataclass(frozen=True)
class Comparison:
    """Two documents side by side.

    Attributes:
        first, second: how near each is to the first one's picture.
        strokes: how many each has.
        difference: between the two, as `Quality`.
    """

    first: Quality
    second: Quality
    strokes: tuple[int, int]
    difference: Quality


def compare(first: Document, second: Document, size: int = VIEW_SIZE) -> Comparison:
    """Compare what two documents show, both against the picture of the first, at `size` pixels on the long side."""
    one = first.canvas(size=size)
    shape = (one.shape[1], one.shape[2])
    other, picture = resize(second.canvas(size=size), shape), resize(first.picture, shape)
    counts = first.cursor, second.cursor
    return Comparison(quality_of(one, picture), quality_of(other, picture), counts, quality_of(one, other))


def as_pixels(mask: bytes) -> np.ndarray:
    """The pixels of an encoded image from a page, (H, W) grey uint8. Raises `InputError`."""
    pixels = cv2.imdecode(np.frombuffer(mask, np.uint8), cv2.IMREAD_GRAYSCALE) if mask else None
    if pixels is None:
        raise InputError("The mask is no image.")
    return pixels
