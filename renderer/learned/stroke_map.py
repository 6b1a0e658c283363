"""Our learned renderer: a network that knows where along a stroke every pixel belongs."""

from __future__ import annotations

import ctypes

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from renderer.brush import Mark, Window
from renderer.brushes.bezier import bounds, colours, curves, edge, pixel_centres
from renderer.ops import native
from renderer.ops.triton_strokes import StrokeCodes, corners
from renderer.strokes import BEZIER

MAX_GRID = 64  # as in `stroke_map.c`, which has room for no more

SOURCE = native.FOLDER / "stroke_map.c"


class StrokeMap(nn.Module):
    """Learns *where along the stroke* every pixel belongs, in the stroke's own frame, and lets geometry do the rest.

    A multilayer perceptron maps the shape of a stroke (6 numbers: position, size and mirror images taken out) to two
    coarse maps over its bounding square, each holding a curve parameter t in [0, 1]:

    - *nearest*: the disc that comes closest to covering the pixel, giving its depth below the outline. An error in t
      is of second order there, because the true t maximises the depth; and any t gives a disc that is really part of
      the stroke, so that nothing is ever drawn outside of it.
    - *last*: the last disc that holds the pixel, giving its opacity (later discs replace earlier ones).

    The maps are placed on the canvas by linear interpolation along each axis, so that strokes are drawn at any
    resolution, only in the window asked for, with a gradient to every field.
    """

    space = BEZIER

    def __init__(self, hidden: int = 128, grid: int = 8) -> None:
        super().__init__()
        if not 2 <= grid <= MAX_GRID:
            raise ValueError(f"a stroke map has 2 to {MAX_GRID} nodes a side, not {grid}")
        self.grid = grid
        self.body = nn.Sequential(
            nn.Linear(6, hidden),
            nn.SiLU(),
            nn.Linear(hidden, hidden),
            nn.SiLU(),
            nn.Linear(hidden, hidden),
            nn.SiLU(),
            nn.Linear(hidden, 2 * grid * grid),
        )
        self.sharpness = nn.Parameter(torch.tensor(4.5))

    def forward(self, strokes: Tensor, size: tuple[int, int], window: Window | None = None) -> Mark:
        """See `renderer.brush.Brush`."""
        shapes, maps = self._geometry(strokes, size)
        if _kernel(strokes) is None:
            return Mark(self._decode(shapes, maps, *pixel_centres(size, window, strokes)), colours(strokes))
        h, w = size if window is None else (window.height, window.width)
        n = len(strokes)
        box = torch.tensor([0, 0, w, h]).repeat(n, 1)
        if window is not None:
            box[:, 0], box[:, 1] = window.left, window.top
        alpha: Tensor = _Decode.apply(shapes, maps, self.sharpness, box, torch.arange(n) * (h * w), n * h * w)
        return Mark(alpha.view(n, 1, h, w), colours(strokes))

    def patch_alphas(
        self, strokes: Tensor, size: tuple[int, int], box: Tensor, start: Tensor, total: int
    ) -> Tensor | None:
        """The alphas of `renderer.canvas.Patches`, `(total,)`, in one fused kernel; None where it is not available."""
        if _kernel(strokes) is None:
            return None
        alpha: Tensor = _Decode.apply(*self._geometry(strokes, size), self.sharpness, box, start, total)
        return alpha

    def codes(self, strokes: Tensor, size: tuple[int, int]) -> StrokeCodes:
        """What the Triton kernels draw strokes `(N, P)` from."""
        return StrokeCodes(*self._geometry(strokes, size), self.sharpness, corners(*bounds(strokes, size)))

    def _geometry(self, strokes: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """What a pixel needs to know of each stroke: 14 numbers `(B, 14)` (listed in `_decode`), maps `(B, 2, G, G)`."""
        curve = curves(strokes, size)
        # The stroke's own frame: centred on its box, scaled to its longer side, mirrored to run to the lower right.
        centre = (curve.start + curve.end) / 2
        half = (curve.end - curve.start) / 2
        mirror = torch.where(half < 0, -1.0, 1.0)
        extent = half.abs().amax(-1, keepdim=True) + curve.radius.amax(-1, keepdim=True) + 1e-3
        bend = (curve.control - centre) * mirror / extent
        maps = self.body(torch.cat((half * mirror / extent, bend, curve.radius / extent), -1) * 2) + 0.5
        polynomial = torch.stack(
            (curve.start - 2 * curve.control + curve.end, 2 * (curve.control - curve.start), curve.start), -1
        )  # (B, x and y, powers 2 1 0)
        ends = torch.stack((curve.radius, curve.opacity), 1)  # (B, radius and opacity, start and end)
        lines = torch.stack((ends[..., 0], ends[..., 1] - ends[..., 0]), -1)
        shapes = torch.cat((centre, mirror / extent, polynomial.flatten(1), lines.flatten(1)), -1)
        return shapes, maps.view(-1, 2, self.grid, self.grid)

    def _decode(self, shapes: Tensor, maps: Tensor, x: Tensor, y: Tensor) -> Tensor:
        """Alpha `(B, 1, h, w)` at pixel centres x `(B, w)`, y `(B, h)`. `stroke_map.c` does the same, pixel by pixel."""
        centre_x, centre_y, scale_x, scale_y, *rest = shapes[:, :, None].unbind(1)  # each (B, 1)
        ax, bx, cx, ay, by, cy, r0, dr, w0, dw = (value[:, :, None] for value in rest)  # each (B, 1, 1)
        across = self._interpolation((x - centre_x) * scale_x)  # (B, grid, w)
        down = self._interpolation((y - centre_y) * scale_y)  # (B, grid, h)
        t = torch.matmul(torch.matmul(down.mT[:, None], maps), across[:, None]).clamp(0, 1)
        nearest, last = t[:, 0], t[:, 1]  # (B, h, w)
        dx = x[:, None, :] - ((ax * nearest + bx) * nearest + cx)
        dy = y[:, :, None] - ((ay * nearest + by) * nearest + cy)
        radius = r0 + dr * nearest
        distance = (dx * dx + dy * dy + 1e-6).sqrt()
        # The second edge is the far side of the stroke: it makes lines thinner than a pixel fade instead of vanish.
        cover = edge(radius - distance, self.sharpness) - edge(-radius - distance, self.sharpness)
        return (cover * (w0 + dw * last))[:, None]

    def _interpolation(self, position: Tensor) -> Tensor:
        """Weights of the map's nodes at `position` (B, n) in the own frame: `(B, grid, n)`, linear between the nodes."""
        nodes = torch.linspace(0, self.grid - 1, self.grid, dtype=position.dtype, device=position.device)
        scaled = ((position + 1) * ((self.grid - 1) / 2)).clamp(0, self.grid - 1)
        return (1 - (scaled[:, None, :] - nodes[:, None]).abs()).clamp(min=0)


def _kernel(strokes: Tensor) -> ctypes.CDLL | None:
    """The compiled form of `_decode`, for single precision on the CPU."""
    return native.load_for(strokes, SOURCE)


class _Decode(Function):
    """`StrokeMap._decode` over ragged boxes, fused: every pixel is visited once and nothing between is stored."""

    @staticmethod
    def forward(ctx, shapes, maps, sharpness, box, start, total):  # type: ignore[no-untyped-def]
        shapes, maps = shapes.contiguous(), maps.contiguous()
        alpha = shapes.new_empty(total)
        numbers = (len(shapes), maps.shape[-1], float(sharpness))
        native.call(_kernel(shapes), "stroke_map_forward", (shapes, maps, box, start, alpha), *numbers)
        ctx.save_for_backward(shapes, maps, box, start)
        ctx.numbers = numbers
        return alpha

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):  # type: ignore[no-untyped-def]
        shapes, maps, box, start = ctx.saved_tensors
        grads = torch.zeros_like(shapes), torch.zeros_like(maps), shapes.new_zeros(len(shapes))
        tensors = (shapes, maps, box, start, grad.contiguous(), *grads)
        native.call(_kernel(shapes), "stroke_map_backward", tensors, *ctx.numbers)
        return grads[0], grads[1], grads[2].sum(), None, None, None
