"""The view of a painting while it is painted: strokes appear one after another, though they are found many at a time."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

import torch
from torch import Tensor

from studio.canvas_cache import CanvasCache
from studio.document import encode

SLOWEST = 0.08  # seconds that drawing a frame should take at most; then frames become smaller
FIRST_ROUND = 0.3  # seconds over which the first strokes appear


@dataclass(frozen=True)
class Frame:
    """What a page shows of a painting in the making.

    Attributes:
        number: grows with every frame that differs.
        image: the bytes of a JPEG; None where nothing has changed since the frame `after`.
        strokes: how many are shown.
        progress: of the work, in [0, 1].
        seconds: since the work began.
    """

    number: int
    image: bytes | None
    strokes: int
    progress: float
    seconds: float


class LiveView:
    """Takes steps from the thread that paints, and gives frames to those that watch. Safe to use from several threads.

    Methods that add strokes yield them in rounds; a round's strokes appear evenly until the next one is expected. Methods
    that move all strokes show each step as it is.

    Args:
        views: the canvases at decreasing sizes; a smaller one is taken where drawing is slow.
        strokes: (n, P) that are there before; by default none.
    """

    def __init__(self, views: list[CanvasCache], strokes: Tensor | None = None) -> None:
        self._views = views
        self._level = 0
        self._lock = threading.Lock()
        self._drawing = threading.Lock()
        self._strokes = torch.zeros(0, views[0].brush.space.width) if strokes is None else strokes
        self._before = len(self._strokes)  # strokes when the present round came
        self._began = self._came = time.monotonic()
        self._round = FIRST_ROUND
        self._progress = 0.0
        self._number = 0
        self._shown: tuple[Tensor, int] | None = None
        self._image = b""

    def step(self, strokes: Tensor, progress: float) -> None:
        """Take the strokes (n, P) so far, and the part of the work that is done."""
        now = time.monotonic()
        strokes = strokes.detach().cpu()
        with self._lock:
            shown = self._count(now)
            same = len(strokes) >= shown and torch.equal(strokes[:shown], self._strokes[:shown])
            self._round = min(2.0, max(0.02, now - self._came)) if len(self._strokes) else FIRST_ROUND
            self._before = shown if same and len(strokes) > shown else len(strokes)
            self._strokes, self._came, self._progress = strokes, now, progress

    def frame(self, after: int = -1, whole: bool = False) -> Frame:
        """The present frame; its image is None where nothing has changed since frame `after`.

        Args:
            after: the number of the frame that is already shown.
            whole: show all strokes, such as at the end.
        """
        with self._drawing:
            now = time.monotonic()
            with self._lock:
                strokes, progress = self._strokes, self._progress
                count = len(strokes) if whole else self._count(now)
            if self._shown is None or self._shown[0] is not strokes or self._shown[1] != count:
                begun = time.perf_counter()
                canvas = self._views[self._level].at(strokes, count)
                self._image = encode(canvas)
                self._number += 1
                self._shown = strokes, count
                if time.perf_counter() - begun > SLOWEST and self._level + 1 < len(self._views):
                    self._level += 1
            image = self._image if self._number != after else None
            return Frame(self._number, image, count, progress, now - self._began)

    def _count(self, now: float) -> int:
        """How many strokes are shown at a time."""
        fresh = len(self._strokes) - self._before
        return (
            self._before + min(fresh, int(fresh * (now - self._came) / self._round + 1)) if fresh > 0 else self._before
        )
