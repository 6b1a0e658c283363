"""Canvases of a painting at any number of strokes, quickly: some are kept, and the strokes after the nearest are drawn."""

from __future__ import annotations

import threading

import torch
from torch import Tensor

from renderer.brush import Brush
from renderer.canvas import blank

EVERY = 16  # strokes between two kept canvases, at first
MOST_BYTES = 96 * 2**20  # of kept canvases; then the distance between them doubles
CHUNK = 128  # strokes that are drawn at once


class CanvasCache:
    """The canvases of one painting at one size. Safe to use from several threads.

    Canvases are kept with 8 bits a channel, so that a canvas at some count may differ by a level from one that is drawn
    from the first stroke. Drawing is that of the brush without per-stroke noise, which takes ten times as long.

    Args:
        brush: draws the strokes.
        size: (height, width) in pixels.
        background: sRGB in [0, 1].
    """

    def __init__(self, brush: Brush, size: tuple[int, int], background: tuple[float, float, float]) -> None:
        self.brush, self.size, self.background = brush.mean_brush(), size, background
        self._strokes = torch.zeros(0, brush.space.width)
        self._kept: dict[int, Tensor] = {}
        self._every = EVERY
        self._last: tuple[int, Tensor] = (0, blank(size, background, brush.device))  # exact, for painting that goes on
        self._lock = threading.RLock()

    def at(self, strokes: Tensor, count: int) -> Tensor:
        """The canvas (3, H, W) in [0, 1] with the first `count` of the strokes (N, P); not to be changed in place.

        What was drawn for other strokes serves for all that begin as they do.
        """
        with self._lock, torch.no_grad():
            self._follow(strokes)
            count = max(0, min(count, len(strokes)))
            begin, canvas = self._nearest(count)
            if begin < count:
                canvas = canvas.clone()
                for patches in self.brush.stream(strokes[begin:count].to(canvas), self.size, CHUNK):
                    for i in range(len(patches)):
                        below, alpha = patches.on(canvas, i)
                        below.lerp_(patches.pigment(i), alpha)
                        begin += 1
                        if begin % self._every == 0 and begin not in self._kept:
                            self._keep(begin, canvas)
            self._last = (count, canvas)
            return canvas.cpu()

    def _follow(self, strokes: Tensor) -> None:
        """Drop what was drawn with strokes that are no longer there."""
        if strokes is self._strokes:
            return
        n = min(len(strokes), len(self._strokes))
        other = (strokes[:n] != self._strokes[:n].to(strokes)).any(1)
        same = int(other.int().argmax()) if bool(other.any()) else n
        self._kept = {count: canvas for count, canvas in self._kept.items() if count <= same}
        if self._last[0] > same:
            self._last = (0, blank(self.size, self.background, self.brush.device))
        self._strokes = strokes

    def _nearest(self, count: int) -> tuple[int, Tensor]:
        kept = max((at for at in self._kept if at <= count), default=0)
        if kept <= self._last[0] <= count:
            return self._last
        if kept == 0:
            return 0, blank(self.size, self.background, self.brush.device)
        return kept, self._kept[kept].float().div_(255)

    def _keep(self, count: int, canvas: Tensor) -> None:
        self._kept[count] = (canvas * 255).round_().to(torch.uint8)
        if sum(map(torch.Tensor.numel, self._kept.values())) > MOST_BYTES:
            self._every *= 2
            self._kept = {at: kept for at, kept in self._kept.items() if at % self._every == 0}
