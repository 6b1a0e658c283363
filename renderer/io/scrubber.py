"""A widget for notebooks that scrubs through the strokes of a painting."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from renderer.brush import Brush
from renderer.errors import InputError
from renderer.io.html_player import SCRIPT, coded
from renderer.io.painting import Painting

INSTALL = "pip install 'kaokore-painter[notebook]'"
LARGEST = 2000  # pixels


def scrubber(painting: Painting, brush: Brush | None = None, *, width: int = 384, seconds: float = 8.0) -> Any:
    """A widget that shows any number of a painting's strokes, by a slider, and plays them.

    The strokes are drawn in the browser (`renderer.io.html_player`), so that it needs no network, and no kernel after it is
    made. While there is one, `widget.count` is the number of strokes shown, which can be set, too, and
    `widget.shown()` the painting up to there.

    Args:
        painting: to show.
        brush: draws it; by default as the page of `Painting.export`.
        width: on the page, in pixels.
        seconds: that playing all strokes takes.

    Raises:
        InputError: when the package anywidget is not installed, and for values out of range.
    """
    if not 16 <= width <= LARGEST or not 0 < seconds <= 3600:
        raise InputError(f"A scrubber is 16 to {LARGEST} pixels wide and plays for up to 3600 seconds.")
    widget = _widget_class()(
        coded=coded(painting, brush), count=len(painting.strokes), width=int(width), seconds=float(seconds)
    )
    widget.painting = painting
    return widget


@functools.cache
def _widget_class() -> Any:
    try:
        import anywidget
        import traitlets
    except ImportError as error:
        raise InputError(f"This widget needs the package anywidget: {INSTALL}.") from error

    class Scrubber(anywidget.AnyWidget):
        """A painting whose strokes are scrubbed through; see `scrubber`."""

        _esm = SCRIPT.read_text(encoding="utf-8") + (Path(__file__).parent / "scrubber.js").read_text(encoding="utf-8")
        coded = traitlets.Dict().tag(sync=True)
        count = traitlets.Int(min=0).tag(sync=True)
        width = traitlets.Int().tag(sync=True)
        seconds = traitlets.Float().tag(sync=True)
        painting: Painting

        def shown(self) -> Painting:
            """The painting with the strokes that are shown."""
            return self.painting.edit(remove=slice(self.count, None))

        def __repr__(self) -> str:
            """A line, without the strokes."""
            return f"Scrubber({self.count} of {len(self.painting.strokes)} strokes)"

    return Scrubber
