"""The order of strokes with the fewest changes of colour that gives the same picture.

Strokes are opaque and colours few. At each pixel only the last stroke shows, its owner. The picture stays the same if every
stroke that covers a pixel of another colour's owner is painted before that owner; strokes of one colour may come in any
order. That is a directed acyclic graph. Finding the fewest loads is a scheduling problem with batches; a beam search that
paints all strokes of one colour that may be painted comes near it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch.nn.functional import max_pool2d

from renderer.brush import Patches

BEAM = 16  # partial orders that are followed
MARGIN = 1  # pixels by which strokes are taken to be wider, because edges are a little elsewhere at another size


class Precedence(NamedTuple):
    """Pairs of `total` strokes: `first[k]` comes before `then[k]`."""

    first: np.ndarray
    then: np.ndarray
    total: int

    def released(self, painted: np.ndarray) -> np.ndarray:
        """For each stroke (total,), how many of the strokes before it are `painted` (total,) bool."""
        return np.bincount(self.then[painted[self.first]], minlength=self.total)

    def violations(self, sequence: Sequence[int] | np.ndarray) -> int:
        """How many pairs a sequence of strokes has the wrong way round; strokes that are left out do not count."""
        place = np.full(self.total, -1)
        place[np.asarray(sequence, int)] = np.arange(len(sequence))
        first, then = place[self.first], place[self.then]
        return int(((first > then) & (then >= 0)).sum())


def owners(patches: Patches, size: tuple[int, int]) -> np.ndarray:
    """The stroke that shows at each pixel of a canvas of `size`, (H, W); -1 where none does. Alpha is 0 or 1."""
    top = torch.full((1, *size), -1, dtype=torch.long)
    for i in range(len(patches)):
        below, alpha = patches.on(top, i)
        below[:, alpha > 0.5] = i
    return top[0].numpy()


def before(patches: Patches, owner: np.ndarray, colours: np.ndarray) -> Precedence:
    """Which strokes have to come before which for the picture to stay the same.

    Args:
        patches: the marks of N strokes, alpha 0 or 1.
        owner: see `owners`.
        colours: (N,) an index of the palette for each stroke.
    """
    canvas = torch.from_numpy(owner)[None]
    first: list[int] = []
    then: list[int] = []
    for i in range(len(patches)):
        below, alpha = patches.on(canvas, i)
        near = max_pool2d(alpha[None], 2 * MARGIN + 1, 1, MARGIN)[0]
        others = below[0][near > 0.5].unique().numpy()
        others = others[(others >= 0) & (colours[others] != colours[i])]
        first.extend(np.minimum(others, i).tolist())
        then.extend(np.maximum(others, i).tolist())
    return Precedence(np.array(first, int), np.array(then, int), len(colours))


class _State(NamedTuple):
    waiting: np.ndarray  # (N,) strokes that have to come before each and are not painted
    done: np.ndarray  # (N,) bool
    loads: tuple[tuple[int, np.ndarray], ...]  # colour and strokes


def fewest_loads(
    order: Precedence, colours: np.ndarray, shown: Sequence[int] | np.ndarray
) -> list[tuple[int, np.ndarray]]:
    """Arrange the strokes `shown` into loads of one colour each.

    Args:
        order: see `before`.
        colours: (N,) an index of the palette for each stroke.
        shown: indices of the strokes that are painted at all.

    Returns:
        For each load its colour and its strokes in their old order.
    """
    hidden = np.ones(len(colours), bool)
    hidden[shown] = False
    palette = np.unique(colours[np.asarray(shown, int)])
    waiting = order.released(~hidden)
    beam = [_State(waiting, hidden, ())]
    while beam and not beam[0].done.all():
        candidates = []
        for state in beam:
            ready = (state.waiting == 0) & ~state.done
            for colour in palette:
                if state.loads and state.loads[-1][0] == colour:
                    continue
                strokes = np.flatnonzero(ready & (colours == colour))
                if len(strokes):
                    candidates.append((int(state.done.sum()) + len(strokes), state, int(colour), strokes))
        candidates.sort(key=lambda candidate: -candidate[0])
        beam, seen = [], set()
        for _, state, colour, strokes in candidates:
            done = state.done.copy()
            done[strokes] = True
            if done.tobytes() in seen:
                continue
            seen.add(done.tobytes())
            waiting = state.waiting - order.released(done & ~state.done)
            beam.append(_State(waiting, done, (*state.loads, (colour, strokes))))
            if len(beam) == BEAM:
                break
    return list(beam[0].loads)
