"""Watch a painting while it is painted: in a notebook its canvas and a progress bar, elsewhere a progress bar."""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Iterable, Iterator

from PIL import Image

from painter.methods import Step
from renderer.io.display import Shown, bar, in_notebook
from renderer.io.images import to_bytes

SIZE = 256  # pixels on the page


def watch(steps: Iterable[Step], label: str = "Painting", *, size: int = SIZE) -> Iterator[Step]:
    """Pass the steps of a painting on, and show them.

        for step in watch(painter.steps("face.jpg", strokes=200)):
            pass

    Args:
        steps: of `painter.Painter.steps` or `refine_steps`.
        label: what the bar is called.
        size: pixels on the long side of the canvas on the page of a notebook.

    Yields:
        The steps, as they come.
    """
    if not in_notebook():
        from tqdm.auto import tqdm

        with tqdm(total=100, desc=label, unit="%", disable=None) as terminal:
            for step in steps:
                terminal.update(int(100 * step.progress) - terminal.n)
                yield step
        return
    shown, begun, last = Shown(), time.monotonic(), None
    for step in steps:
        last = step
        shown.update(lambda: _page(step, label, size, begun))  # noqa: B023
        yield step
    if last is not None:
        shown.update(lambda: _page(last, label, size, begun), last=True)


def _page(step: Step, label: str, size: int, begun: float) -> str:
    buffer = io.BytesIO()
    Image.fromarray(to_bytes(step.canvas)).save(buffer, "JPEG", quality=88)
    data = base64.b64encode(buffer.getvalue()).decode()
    note = f"{len(step.strokes)} strokes"
    side = "width" if step.background.shape[2] >= step.background.shape[1] else "height"
    picture = f"<img alt='The canvas with {note}' src='data:image/jpeg;base64,{data}' style='{side}:{size}px'>"
    return f"{picture}{bar(step.progress, label, note, begun)}"
