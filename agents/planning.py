"""Planning: the most promising proposals are improved on the model before they are painted.

The policy's guess of a shape is near the best one but seldom on it. Gains are differentiable in shapes, so that a few
steps of gradient ascent move each proposal to where it gains more, at the cost of drawing it a few times in thought.
"""

from __future__ import annotations

import torch
from torch import Tensor

from renderer.fitted import candidates
from renderer.protocol import Renderer


def promising(gain: Tensor, group: Tensor, count: int) -> Tensor:
    """The indices `(B, count)` of proposals with the largest gains `(B, K)`, at most one of each group `(K,)`.

    Proposals of one group (a cell) would end as the same stroke. Fewer are returned where there are fewer groups.
    """
    groups = int(group.max()) + 1
    best = torch.full((len(gain), groups), -torch.inf, device=gain.device, dtype=gain.dtype)
    best = best.scatter_reduce(1, group.expand_as(gain), gain, "amax")
    alone = torch.where(gain >= best[:, group], gain, -torch.inf)
    return alone.topk(min(count, groups), 1).indices


@torch.enable_grad()
def refine(
    strokes: Tensor, cell: Tensor, canvas: Tensor, target: Tensor, renderer: Renderer, steps: int, rate: float = 0.1
) -> Tensor:
    """`steps` of Adam on the shapes of strokes `(B, M, P)`, each alone on the canvas, up the gradient of its gain.

    cell (B, M): the side of the cell that each comes from, as a fraction of the canvas' short side. `rate` is the first
    step's length in cells; it falls linearly. canvas, target (B, 3, H, W).
    """
    space = renderer.space
    height, width = canvas.shape[-2:]
    short = min(height, width)
    pace = torch.zeros_like(strokes)
    for name in ("start", "end"):
        pace[..., space.columns(name)] = cell[..., None] * (short / cell.new_tensor([width, height]))
    for name in ("bend", "opacity"):
        pace[..., space.columns(name)] = 1.0
    pace[..., space.columns("radius")] = cell[..., None] / space.field("radius").high / 2
    mean, square = torch.zeros_like(strokes), torch.zeros_like(strokes)
    for step in range(steps):
        shapes = strokes.detach().requires_grad_()
        gain = candidates(canvas, target, shapes, renderer).gain
        (gradient,) = torch.autograd.grad(gain.sum(), shapes)
        # Adam with a short memory, since there are few steps; the bias corrections are exact from the first on.
        mean = 0.8 * mean + 0.2 * gradient
        square = 0.9 * square + 0.1 * gradient * gradient
        direction = (mean / (1 - 0.8 ** (step + 1))) / ((square / (1 - 0.9 ** (step + 1))).sqrt() + 1e-12)
        strokes = (strokes + rate * (1 - step / steps) * pace * direction).clamp(0, 1).detach()
    return strokes
