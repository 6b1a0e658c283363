"""Paint the frames of a video with strokes that persist from frame to frame, so that nothing flickers.

    Algorithm: paint frames t_1, t_2, ... with n strokes each
    S <- paint(t_1);  seen <- t_1
    for each further frame t:
        if t differs from the frame before as a whole (a cut):  S <- paint(t);  seen <- t;  continue
        C <- where t differs from `seen` by more than noise
        lock the strokes that mark nothing in C
        move the others by the optical flow at their middles, if that comes closer to t
        take those of them that do most harm or least good, and place them anew in C, where the error is large
        a few Adam steps on the free strokes; outside of C, the target is the canvas as it was
        seen <- t in C

After Litwinowicz (1997) and Hertzmann and Perlin (2000), "Painterly rendering for video and interaction", who paint over
the last frame only where the video changes; here strokes are moved instead of added, so that their number stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from painter.importance import importance
from painter.optimize import optimize
from painter.placement import _blur, place
from renderer.brush import Brush
from renderer.canvas import paint
from renderer.errors import InputError
from renderer.io.painting import Painting

if TYPE_CHECKING:
    from painter.api import ImageLike, Painter
    from painter.methods import Task


@dataclass(frozen=True)
class ClipConfig:
    """How strokes follow a video."""

    steps: int = 100
    """Gradient steps for each frame after the first."""
    relocate_fraction: float = 0.15
    """Fraction of the strokes in changed areas that are placed anew, of least importance first; what does harm, too."""
    radius: tuple[float, float] = (0.05, 0.015)
    """Greatest and least radius of strokes that are placed anew, as fractions of the short side."""
    noise: float = 3.0
    """A pixel changes if its difference is so many times the median of the frame's."""
    least_change: float = 0.015
    """Differences below this, in [0, 1], are no change."""
    greatest_noise: float = 0.05
    """Differences above this are a change, whatever the median."""
    cut: float = 0.12
    """A mean difference between consecutive frames above this is a scene cut, after which a painting begins anew."""


DEFAULT_CLIP_CONFIG = ClipConfig()
STAGES = 3  # sizes of strokes that are placed anew, large to small


@dataclass(frozen=True, eq=False)
class ClipFrame:
    """A painted frame.

    Attributes:
        index: of the frame, from 0.
        target: the frame at the working size, (3, H, W), sRGB in [0, 1], on the CPU.
        painting: its strokes.
        cut: whether the painting began anew, as at the first frame.
        changed: the part of the canvas, in [0, 1], that was repainted.
    """

    index: int
    target: Tensor
    painting: Painting
    cut: bool
    changed: float


def paint_clip(
    painter: Painter, frames: Iterable[ImageLike], config: ClipConfig = DEFAULT_CLIP_CONFIG, **options: Any
) -> Iterator[ClipFrame]:
    """Paint frames one by one; frames are read as they are needed.

    Args:
        painter: paints the first frame and those after cuts by its method, and gives the brush.
        frames: images of one size, as for `Painter.steps`.
        config: how strokes follow.
        options: those of `Painter.paint`.

    Yields:
        A `ClipFrame` for each frame, with as many strokes.

    Raises:
        InputError: for frames of several sizes and as `Painter.steps`.
    """
    brush = painter.brush.mean_brush()
    before: Tensor | None = None
    follow = dict(options)
    for index, frame in enumerate(frames):
        task, _ = painter._task(frame, **follow)
        target = task.target
        if before is not None and before.shape != target.shape:
            raise InputError(f"Frame {index} of the clip has another size than the frames before it.")
        if before is None or _mean_difference(before, target) > config.cut:
            painting = painter.paint(frame, **options)
            strokes, seen = painting.strokes.to(target), target
            # Until the next cut, a background and a palette that are chosen from the image stay as they are.
            limits = painter._task(frame, **options)[0].constraints
            follow = {**options, "background": painting.background, "constraints": limits}
            yield ClipFrame(index, target.cpu(), painting, True, 1.0)
            record = {key: value for key, value in painting.provenance.items() if key != "layers"}
        else:
            area = _changed(target, seen, config)
            if bool(area.any()):
                strokes, seen = _follow(task, strokes, before, area, brush, config), torch.where(area, target, seen)
            painting = replace(painting, strokes=strokes.cpu(), provenance=record)
            yield ClipFrame(index, target.cpu(), painting, False, float(area.float().mean()))
        before = target


def _mean_difference(a: Tensor, b: Tensor) -> float:
    return float((_smooth(a) - _smooth(b)).abs().mean())


def _smooth(image: Tensor) -> Tensor:
    return _blur(image, max(1.0, 0.012 * min(image.shape[1:])))


def _changed(target: Tensor, seen: Tensor, config: ClipConfig) -> Tensor:
    """(H, W) bool: where the target differs from what was painted by more than noise, and a little around it."""
    difference = _blur((target - seen).abs().amax(0, keepdim=True), max(1.0, 0.012 * min(target.shape[1:])))
    threshold = (config.noise * difference.median()).clamp(config.least_change, config.greatest_noise)
    reach = 1 + 2 * round(0.02 * min(target.shape[1:]))
    grown = F.max_pool2d((difference > threshold).float()[None], reach, 1, reach // 2)
    return grown[0, 0] > 0


def _follow(task: Task, strokes: Tensor, before: Tensor, area: Tensor, brush: Brush, config: ClipConfig) -> Tensor:
    """The strokes (N, P), of which those that mark the changed area, (H, W) bool, have followed the target."""
    with torch.no_grad():
        painted = paint(task.canvas, strokes, brush)
        target = torch.where(area, task.target, painted)
        free = _marks(strokes, area, brush)
        moved = task.constraints.apply(_moved(strokes, before, task.target, brush), brush.space)
        moved = torch.where(free[:, None], moved, strokes)
        if task.loss(paint(task.canvas, moved, brush)[None], target[None]) < task.loss(painted[None], target[None]):
            strokes = moved
        strokes, free = _relocate(replace(task, target=target), strokes, free, brush, config)
    *_, last = optimize(
        target,
        brush,
        len(strokes),
        canvas=task.canvas,
        config=replace(task.config, steps=config.steps, seconds=None),
        loss=task.loss,
        start=strokes,
        generator=task.generator,
        constraints=task.constraints,
        penalty=task.penalty,
        locked=~free,
    )
    return last.strokes.detach()


def _moved(strokes: Tensor, before: Tensor, target: Tensor, brush: Brush) -> Tensor:
    """The strokes (N, P), each moved by the optical flow from `before` to `target` (Farneback 2003) at its middle."""
    old, new = ((255 * image.mean(0)).byte().cpu().numpy() for image in (before, target))
    height, width = old.shape
    start = np.zeros((height, width, 2), np.float32)
    levels, window = 4, max(5, min(height, width) // 8)
    flow = torch.from_numpy(cv2.calcOpticalFlowFarneback(old, new, start, 0.5, levels, window, 5, 5, 1.1, 0)).to(
        strokes
    )
    first, last = (brush.space.get(strokes, name) for name in ("start", "end"))
    x, y = ((first + last) / 2 * strokes.new_tensor([width, height])).long().unbind(-1)
    step = flow[y.clamp(0, height - 1), x.clamp(0, width - 1)] / strokes.new_tensor([width, height])
    return brush.space.put(brush.space.put(strokes, "start", first + step), "end", last + step)


def _relocate(task: Task, strokes: Tensor, free: Tensor, brush: Brush, config: ClipConfig) -> tuple[Tensor, Tensor]:
    """Place those of the free strokes, (N,) bool, that fit worst anew on top; returns the strokes and which are free."""
    worth = importance(strokes, task.canvas, task.target, brush).masked_fill(~free, torch.inf)
    count = max(int(config.relocate_fraction * int(free.sum())), int((worth < 0).sum()))
    kept = torch.ones_like(free)
    kept[worth.argsort(stable=True)[:count]] = False
    strokes, free = strokes[kept], free[kept]
    large, small = config.radius
    shares = [2**i for i in range(STAGES)]  # twice as many of each smaller size
    for i in range(STAGES):
        some = count * sum(shares[: i + 1]) // sum(shares) - count * sum(shares[:i]) // sum(shares)
        if some == 0:
            continue
        canvas, radius = paint(task.canvas, strokes, brush), large * (small / large) ** (i / (STAGES - 1))
        fresh = place(task.target, canvas, some, radius=radius, generator=task.generator, space=brush.space)
        strokes = torch.cat((strokes, task.constraints.apply(fresh, brush.space)))
        free = torch.cat((free, free.new_ones(some)))
    return strokes, free


def _marks(strokes: Tensor, area: Tensor, brush: Brush) -> Tensor:
    """(N,) bool: which strokes mark a pixel of the area by more than an eighth."""
    patches = brush.patches(strokes, (area.shape[0], area.shape[1]))
    inside = area[None].to(strokes)
    found = [patches.on(inside, i) for i in range(len(patches))]
    return torch.tensor([bool((under[0] * alpha > 0.125).any()) for under, alpha in found], device=strokes.device)
