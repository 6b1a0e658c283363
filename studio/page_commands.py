"""What a browser tab can ask for: each command is a method with checked arguments."""

from __future__ import annotations

import base64
import binascii
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

from renderer.errors import InputError
from renderer.io.from_json import call_with_json
from studio.document import Document, as_pixels, compare
from studio.exports import FORMATS, export
from studio.jobs import Job
from studio.page_state import GONE, Studio
from studio.presets import LARGEST_RADIUS, MAX_STROKES, Settings, brush_choices, presets

MAX_POINTS = 5000  # of a drawn stroke


class Commands:
    """The commands of one browser tab. They may draw and write files: call them outside of the event loop.

    Args:
        studio: what all tabs share.
    """

    def __init__(self, studio: Studio) -> None:
        self._studio, self.owner = studio, studio.new_owner()
        self.document: Document | None = None
        self.exports: list[Job] = []

    def do(self, name: object, arguments: dict[str, Any]) -> Any:
        """Carry out a command and return its result, which JSON can hold. Raises `InputError`."""
        command: Callable[..., Any] | None = None
        if isinstance(name, str) and name.isidentifier() and not name.startswith("_") and name not in ("do", "facts"):
            command = getattr(type(self), name, None)
        if not inspect.isfunction(command):
            raise InputError(f"There is no command {name!r:.40}.")
        bound = command.__get__(self)
        try:
            return call_with_json(bound, arguments)
        except InputError:
            raise
        except (TypeError, ValueError) as error:
            raise InputError(f"{name}: {error}") from error

    def facts(self) -> dict[str, Any] | None:
        """Of the open document."""
        return None if self.document is None else self._studio.facts(self.document)

    # Documents.

    def hello(self) -> dict[str, Any]:
        """What a page needs to know before anything else."""
        return {
            "presets": [
                {"name": name, "title": preset.title, "about": preset.about, "settings": vars(preset.settings)}
                for name, preset in presets().items()
            ],
            "brushes": brush_choices(),
            "formats": [{"kind": kind, "title": form.title, "size": form.size} for kind, form in FORMATS.items()],
            "faces": len(self._studio.faces.ids),
            "credit": self._studio.faces.credit,
            "most_strokes": MAX_STROKES,
            "largest_radius": LARGEST_RADIUS,
        }

    def paintings(self) -> list[dict[str, Any]]:
        """All documents, the one changed last first."""
        return [{"name": entry.name, "changed": entry.changed} for entry in self._studio.workspace.list()]

    def open(self, name: str) -> None:
        """Show a document in this tab."""
        self.document = self._studio.workspace.open(name)

    def face(self, number: int) -> None:
        """Begin with a face of KaoKore."""
        name, path = self._studio.faces.path(number)
        self.document = self._studio.workspace.create(name, path)

    def sample(self, seed: int) -> None:
        """Begin with a sampled face."""
        if not 0 <= seed < 2**32:
            raise InputError(f"A seed is from 0 to {2**32 - 1:,}, not {seed}.")
        self.document = self._studio.workspace.create(f"sampled face {seed}", self._studio.faces.sample(seed))

    def faces(self, start: int) -> list[int]:
        """Numbers of KaoKore's faces to choose from."""
        return self._studio.faces.page(max(0, start))

    def rename(self, name: str) -> None:
        """Give the document another name."""
        document = self._present()
        if name.strip() and name != document.name:
            self.document = self._studio.workspace.rename(document.name, name)

    def duplicate(self) -> str:
        """Copy the document, to compare the copy with; returns its name."""
        return self._studio.workspace.duplicate(self._present().name).name

    def remove(self, name: str) -> None:
        """Remove a document."""
        self._studio.workspace.remove(name)
        if self.document is not None and self.document.name == name:
            self.document = None

    # Painting.

    def paint(self, settings: Settings) -> None:
        """Paint anew."""
        document = self._present()
        self._studio.paint("Paint", document, lambda: document.paint(settings), self.owner, settings)

    def more(self, strokes: int, settings: Settings | None = None) -> None:
        """Add strokes after those that are shown."""
        document = self._present()
        _check_strokes(strokes)
        self._studio.paint(f"Add {strokes} strokes", document, lambda: document.more(strokes, settings), self.owner)

    def repaint(self, strokes: int, settings: Settings | None = None) -> None:
        """Add strokes inside the mask."""
        document = self._present()
        _check_strokes(strokes)
        if document.state.mask is None:
            raise InputError("There is no mask: brush over the part that should be repainted (key b).")
        self._studio.paint("Repaint a part", document, lambda: document.repaint(strokes, settings), self.owner)

    def go_on(self) -> None:
        """Do the rest of what was stopped."""
        document = self._present()
        if not document.unfinished:
            raise InputError("There is nothing to go on with: the painting is finished. Add strokes instead.")
        self._studio.paint("Go on", document, document.go_on, self.owner)

    def stop(self) -> None:
        """Stop painting; what is there is kept."""
        job = self._studio.job(self._present())
        if job is not None:
            self._studio.queue.stop(job)

    # Edits.

    def show(self, count: int) -> None:
        """Show the first `count` strokes."""
        self._present().show(count)

    def cut(self) -> None:
        """Leave out the strokes that are not shown."""
        self._present().cut()

    def undo(self) -> str:
        """Take the last edit back."""
        return f"Undone: {self._present().undo()}"

    def redo(self) -> str:
        """Do an edit again."""
        return f"Done again: {self._present().redo()}"

    def erase(self, index: int) -> None:
        """Remove a stroke."""
        self._present().erase([index])

    def lock(self, index: int, locked: bool) -> None:
        """Lock or unlock a stroke."""
        self._present().lock([index], locked)

    def recolour(self, old: str, new: str, tolerance: float = 0.1) -> str:
        """Change one colour everywhere."""
        count = self._present().recolour(old, new, tolerance)
        return f"{count} strokes have another colour now."

    def mask(self, png: str | None) -> None:
        """Set the part to repaint: a PNG in base64, white inside; or none."""
        document = self._present()
        if png is None:
            document.set_mask(None)
            return
        try:
            pixels = as_pixels(base64.b64decode(png, validate=True))
        except binascii.Error as error:
            raise InputError("The mask is no image.") from error
        document.set_mask(pixels)

    def stroke(self, points: list[tuple[float, ...]], radius: float, colour: str, opacity: float) -> int:
        """Add a drawn stroke; returns how many strokes it became."""
        document = self._present()
        if len(points) > MAX_POINTS:
            raise InputError(f"A stroke has {MAX_POINTS:,} points at most, not {len(points):,}.")
        return document.add_stroke(points, radius=radius, colour=colour, opacity=opacity, locked=True)

    # Queries.

    def at(self, x: float, y: float) -> dict[str, Any] | None:
        """The topmost stroke at x, y with its outline."""
        facts = self._present().stroke_at(x, y)
        return None if facts is None else self.about(facts.index)

    def about(self, index: int) -> dict[str, Any]:
        """A stroke's numbers and outline."""
        document = self._present()
        facts = document.stroke(index)
        path, box = document.outline(index)
        values = [{"name": value.name, "numbers": value.numbers, "unit": value.unit} for value in facts.values]
        return {
            "index": facts.index,
            "colour": facts.colour,
            "locked": facts.locked,
            "values": values,
            "outline": path,
            "box": box,
        }

    def quality(self) -> dict[str, float]:
        """How near the painting is to the picture."""
        quality = self._present().quality()
        return {"mse": quality.mse, "psnr": min(quality.psnr, 99.0)}

    def compare(self, other: str) -> dict[str, Any]:
        """Compare what is shown with another document."""
        second = self._studio.workspace.open(other)
        found = compare(self._present(), second)
        return {
            "first": {"mse": found.first.mse, "strokes": found.strokes[0], "facts": self.facts()},
            "second": {"mse": found.second.mse, "strokes": found.strokes[1], "facts": self._studio.facts(second)},
            "difference": found.difference.mse,
        }

    # Files.

    def export(self, kind: str, size: int | None = None, colours: int = 8) -> int:
        """Write a file; returns the number of the job. Its address is sent when it is written."""
        document = self._present()
        if kind not in FORMATS:
            raise InputError(f"There is no export {kind!r:.40}; choose one of {', '.join(FORMATS)}.")

        def work(job: Job) -> Path:
            def report(progress: float) -> None:
                job.progress = progress
                if job.stopping:
                    raise InputError("The export was stopped.")

            return export(document, kind, size=size, colours=colours, on_progress=report)

        job = self._studio.queue.submit(FORMATS[kind].title, document, work, owner=self.owner)
        self.exports.append(job)
        return job.number

    def _present(self) -> Document:
        if self.document is None:
            raise InputError("No painting is open: choose a picture first.")
        if self._studio.version(self.document) == GONE:
            raise InputError(f"{self.document.name} was renamed or removed elsewhere: choose a painting.")
        return self.document


def _check_strokes(strokes: int) -> None:
    if not 0 <= strokes <= MAX_STROKES:
        raise InputError(f"strokes must be between 0 and {MAX_STROKES:,}, not {strokes}.")
