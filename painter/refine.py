"""Go on with a painting: improve its strokes, add more, or repaint a region and leave everything else bit for bit."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace

import cv2
import numpy as np
import torch
from torch import Tensor

from agents.registry import Agent, adjusted
from painter.methods import AGENT_PROGRESS, Method, Step, Task, rest_of_budget
from painter.optimize import optimize
from renderer.brush import Brush
from renderer.canvas import paint
from renderer.constraints import StrokeConstraints
from renderer.errors import InputError
from renderer.strokes import StrokeSpace

SAMPLES = 17  # points along a curve at which its distance to the region's edge is looked up
SCALES = (1.0, 0.75, 0.5, 0.3, 0.15, 0.05, 0.0)  # by how much a stroke is shortened until it lies in the region
MARGIN = 1.5  # pixels between a mark and the region's edge, for anti-aliasing


@dataclass(frozen=True, eq=False)
class Region:
    """Where a painting may change.

    Attributes:
        inside: (H, W) bool.
        depth: (H, W) float, how far each pixel lies from the nearest one outside, in pixels; the canvas' edge is no limit.
    """

    inside: Tensor
    depth: Tensor

    @classmethod
    def of(cls, mask: Tensor, size: tuple[int, int]) -> Region:
        """From a mask (3, H, W) in [0, 1], white inside, scaled to `size`. Raises `InputError` when nothing is inside."""
        grey = mask.mean(0).cpu().numpy()
        inside = cv2.resize(grey, size[::-1], interpolation=cv2.INTER_AREA) > 0.5
        if not inside.any():
            raise InputError("The region is empty: paint it white on black.")
        # With a far border of "inside", so that the canvas' edge does not count as outside.
        padded = np.pad(inside.astype(np.uint8), 1, mode="edge")
        far = float(sum(size))
        depth = (
            cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1] if not inside.all() else None
        )
        depth = np.full(size, far, np.float32) if depth is None else np.minimum(depth, far)
        return cls(torch.from_numpy(inside), torch.from_numpy(np.ascontiguousarray(depth)))


@dataclass(frozen=True, eq=False)
class WithinRegion(StrokeConstraints):
    """Stroke constraints, and strokes whose marks stay inside a region.

    Attributes:
        region: where marks may be.
        reach: how far a brush marks from its path, in radii.
        locked: of the first strokes, those that stay as they are, (N,) bool; None when all strokes are new.
    """

    region: Region | None = None
    reach: float = 1.0
    locked: Tensor | None = None

    @classmethod
    def around(
        cls, constraints: StrokeConstraints, region: Region, brush: Brush, locked: Tensor | None
    ) -> WithinRegion:
        """`constraints`, and the region for the marks of `brush`."""
        given = {item.name: getattr(constraints, item.name) for item in fields(StrokeConstraints)}
        size = (region.inside.shape[0], region.inside.shape[1])
        return cls(**given, region=region, reach=_reach(brush, size), locked=locked)

    def apply(self, strokes: Tensor, space: StrokeSpace) -> Tensor:
        """Strokes (..., P) shortened and thinned until they lie inside; gradients pass straight through."""
        strokes = super().apply(strokes, space)
        if self.region is None:
            return strokes
        within = _contained(strokes.detach(), space, self.region, self.reach)
        if self.locked is not None:
            count = min(len(self.locked), strokes.shape[-2])
            keep = torch.zeros(strokes.shape[-2], 1, dtype=torch.bool, device=strokes.device)
            keep[:count, 0] = self.locked[:count]
            within = torch.where(keep, strokes.detach(), within)
        return strokes + (within - strokes).detach() if strokes.requires_grad else within


def refine_steps(
    method: Method,
    task: Task,
    brush: Brush,
    agent: Agent | None,
    start: Tensor,
    locked: Tensor,
    region: Region | None,
) -> Iterator[Step]:
    """Improve the strokes `start` and add as many as `task.count` asks for; yields after each step.

    Args:
        method: agent and lines add strokes; optimize and hybrid also optimise the old ones that are not locked.
        task: `task.count` counts old and new strokes. A time budget of its configuration is that of all the work.
        brush: what the strokes are painted with.
        agent: adds strokes (agent, lines, hybrid).
        start: the old strokes, (N, P).
        locked: which of them stay as they are, (N,) bool.
        region: outside of it the canvas stays bit for bit; None for no limit.
    """
    begun, brush = time.monotonic(), brush.mean_brush()
    canvas, old = task.canvas, start
    before = _draw(canvas, old, brush)
    if region is not None:
        region = Region(region.inside.to(start.device), region.depth.to(start.device))
        locked = locked | _leaks(old, brush, region)
        constraints: StrokeConstraints = WithinRegion.around(task.constraints, region, brush, None)
        # What lies outside is as it should be, so that nothing pulls strokes there.
        task = replace(task, target=torch.where(region.inside, task.target, before), constraints=constraints)
    strokes = start
    missing = task.count - len(old)
    share = {"agent": 1.0, "lines": 1.0, "hybrid": AGENT_PROGRESS}.get(method, 0.0)
    if method != "optimize" and missing > 0:
        assert agent is not None, f"{method} needs an agent"
        agent = adjusted(agent, seconds=task.config.seconds)
        for _, fresh in agent(before, task.target, missing, constraints=task.constraints):
            strokes = torch.cat((strokes, _without_leaks(fresh, brush, region)))
            yield Step(share * (len(strokes) - len(old)) / missing, strokes, canvas, brush)
    elif method in ("agent", "lines"):
        yield Step(1.0, strokes, canvas, brush)
    if method not in ("optimize", "hybrid"):
        return
    added = len(strokes) > len(old)
    config = rest_of_budget(task.config, time.monotonic() - begun) if added else task.config
    if config is None:
        yield Step(1.0, strokes, canvas, brush)
        return
    fixed = torch.cat((locked, locked.new_zeros(len(strokes) - len(old))))
    if isinstance(task.constraints, WithinRegion):
        task = replace(task, constraints=replace(task.constraints, locked=fixed))
    steps = optimize(
        task.target,
        brush,
        task.count,
        canvas=canvas,
        config=config,
        loss=task.loss,
        start=strokes,
        generator=task.generator,
        constraints=task.constraints,
        penalty=task.penalty,
        locked=fixed,
    )
    for step in steps:
        refined = torch.where(fixed[:, None], strokes, step.strokes[: len(fixed)])
        kept = _without_leaks(torch.cat((refined, step.strokes[len(fixed) :])), brush, region, keep=fixed)
        yield Step(share + (1 - share) * step.progress, kept, canvas, brush)


@torch.no_grad()
def _draw(canvas: Tensor, strokes: Tensor, brush: Brush) -> Tensor:
    return paint(canvas, strokes, brush)


def _without_leaks(strokes: Tensor, brush: Brush, region: Region | None, keep: Tensor | None = None) -> Tensor:
    """The strokes, those that still mark a pixel outside the region made invisible; `keep` (N,) are left as they are."""
    if region is None or len(strokes) == 0:
        return strokes
    leaks = _leaks(strokes, brush, region)
    if keep is not None:
        leaks[: len(keep)] &= ~keep
    strokes = strokes.clone()
    for name in ("radius", "opacity"):
        strokes[leaks, brush.space.columns(name)] = 0
    return strokes


@torch.no_grad()
def _leaks(strokes: Tensor, brush: Brush, region: Region) -> Tensor:
    """(N,) bool: which strokes (N, P) mark a pixel outside the region."""
    size = (region.inside.shape[0], region.inside.shape[1])
    leaks = torch.zeros(len(strokes), dtype=torch.bool, device=strokes.device)
    if len(strokes) == 0:
        return leaks
    patches = brush.patches(strokes, size)
    outside = (~region.inside)[None].to(strokes)
    for i in range(len(strokes)):
        under, alpha = patches.on(outside, i)
        leaks[i] = bool((under[0] * alpha > 0).any())
    return leaks


def _reach(brush: Brush, size: tuple[int, int]) -> float:
    """How far a mark lies from its path at most, in radii, measured on the box of a dot in the middle."""
    space = brush.space
    radius = 0.1
    stroke = torch.full((1, space.width), 0.5)
    for name, value in (("start", 0.5), ("end", 0.5), ("radius", radius)):
        stroke = space.put(stroke, name, stroke.new_full((1, space.field(name).size), value))
    left, _, right, _ = brush.bounds(stroke, size)
    return max(1.0, float(right - left) / 2 / (radius * min(size)))


def _contained(strokes: Tensor, space: StrokeSpace, region: Region, reach: float) -> Tensor:
    """The strokes (..., P), shortened about their middles and thinned until they lie inside the region."""
    height, width = region.inside.shape
    scale = strokes.new_tensor([width, height])
    start, end, bend = (space.get(strokes, name) for name in ("start", "end", "bend"))
    middle = (start + end) / 2
    t = torch.linspace(0, 1, SAMPLES, device=strokes.device)[:, None]
    room = strokes.new_full(strokes.shape[:-1], -1.0)
    first, last = start, end
    for shorter in SCALES:
        a, b = middle + shorter * (start - middle), middle + shorter * (end - middle)
        control = a + bend * (b - a)
        curve = (
            (1 - t) ** 2 * a[..., None, :] + 2 * t * (1 - t) * control[..., None, :] + t**2 * b[..., None, :]
        ) * scale
        x, y = (curve[..., i].long().clamp(0, side - 1) for i, side in ((0, width), (1, height)))
        least = (region.depth[y, x].amin(-1) - MARGIN) / (reach * min(height, width))
        fits = (least > 0) & (room <= 0)
        first, last = torch.where(fits[..., None], a, first), torch.where(fits[..., None], b, last)
        room = torch.where(fits, least, room)
    strokes = space.put(space.put(strokes, "start", first), "end", last)
    radius = space.get(strokes, "radius")
    return space.put(strokes, "radius", torch.minimum(radius, room.clamp(min=0)[..., None].expand_as(radius)))
