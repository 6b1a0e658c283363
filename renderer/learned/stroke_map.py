"""The stroke map: a network that says where along a Bezier stroke every pixel lies."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from renderer.brush import Brush, Mark, Patches, Size, Window, box_of, layout
from renderer.brushes.bezier import BezierBrush, SampledBezier, curves, mark_of_patches, polynomials
from renderer.learned.learned_brush import MIRRORED, LearnedBrush, mix_mirrored
from renderer.ops import native
from renderer.ops.decode_stroke_map import MAX_GRID, decode_stroke_map
from renderer.ops.draw_discs import SOURCE
from renderer.ops.refine_strokes import StrokeMapWeights, pack
from renderer.ops.triton_strokes import StrokeCodes, corners, encode_stroke_map


class StrokeMap(LearnedBrush, BezierBrush):
    """Learns *where along the stroke* every pixel lies, in the stroke's own frame; the rest is geometry.

    A multilayer perceptron maps the shape of a stroke (6 numbers, without position, size and mirror images) to two coarse
    maps over its bounding square, each of curve parameters t in [0, 1]:

    - *nearest*: the disc that comes closest to covering the pixel, which gives its depth below the outline. The exact t
      maximises the depth, so that an error in t has an effect of second order only; and any t gives a disc of the stroke,
      so that nothing is drawn outside of it.
    - *last*: the last disc that holds the pixel, which gives its opacity (later discs replace earlier ones).

    The maps are interpolated linearly on the canvas, so that strokes are drawn at any resolution, only in the window asked
    for, with a gradient into every field. `renderer.ops.decode_stroke_map` has the formulas.

    Args:
        hidden: width of the perceptron.
        grid: nodes a side of the maps.
    """

    has_stroke_map = True

    def __init__(self, hidden: int = 128, grid: int = 8) -> None:
        super().__init__()
        if hidden < 1:
            raise ValueError(f"a stroke map has a perceptron of 1 channel or more, not {hidden}")
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
        self._stroke_map: tuple[list[tuple[int, int]], StrokeMapWeights] | None = None  # and of which weights

    def forward(self, strokes: Tensor, size: Size, window: Window | None = None) -> Mark:
        """See `renderer.brush.Brush`."""
        self.check(strokes, size)
        return mark_of_patches(self, strokes, size, window)

    def patches(self, strokes: Tensor, size: Size, box: Tensor | None = None) -> Patches:
        """See `renderer.brush.Brush`: all boxes at once."""
        self.check(strokes, size)
        box = box_of(self.bounds(strokes, size)) if box is None else box
        start, total = layout(box)
        alpha = decode_stroke_map(*self._geometry(strokes, size), self.sharpness, box, start, total)
        return Patches(alpha, self.space.get(strokes, "colour"), box, start)

    def codes(self, strokes: Tensor, size: Size) -> StrokeCodes:
        """See `renderer.brush.Brush`."""
        weights: list[Tensor] = [*self.body.parameters()]
        hidden = len(weights[1])
        frozen = not (torch.is_grad_enabled() and any(weight.requires_grad for weight in weights))
        if frozen and hidden >= 16 and hidden & (hidden - 1) == 0:  # the kernel's matrices have such sides
            shapes, maps, box, colour = encode_stroke_map(strokes, weights, size)
            return StrokeCodes(shapes, maps, self.sharpness, box, colour)
        shapes, maps = self._geometry(strokes, size)
        box, colour = corners(*self.bounds(strokes, size)), self.space.get(strokes, "colour")
        return StrokeCodes(shapes, maps, self.sharpness, box, colour)

    def stroke_map(self) -> StrokeMapWeights | None:
        """See `renderer.brush.Brush`; None where the weights need a gradient.

        Kept until the weights change; PyTorch does not count changes through `weight.data`.
        """
        layers: list[tuple[Tensor, Tensor]] = [
            (layer.weight, layer.bias) for layer in self.body if isinstance(layer, nn.Linear)
        ]
        weights = [self.sharpness, *(weight for layer in layers for weight in layer)]
        if torch.is_grad_enabled() and any(weight.requires_grad for weight in weights):
            return None
        if any(weight.is_inference() for weight in weights):  # whose changes are not counted
            return self._packed(layers)
        version = [(weight.data_ptr(), weight._version) for weight in weights]
        if self._stroke_map is None or self._stroke_map[0] != version:
            self._stroke_map = version, self._packed(layers)
        return self._stroke_map[1]

    def quick_reference(self) -> Brush | None:
        """See `renderer.brush.Brush`."""
        return SampledBezier() if self.device.type == "cpu" and native.load(SOURCE) is not None else None

    def _packed(self, layers: list[tuple[Tensor, Tensor]]) -> StrokeMapWeights:
        radius = self.space.field("radius").high
        return StrokeMapWeights(pack(layers), len(layers[0][1]), self.grid, float(self.sharpness), radius, MIRRORED)

    def _geometry(self, strokes: Tensor, size: Size) -> tuple[Tensor, Tensor]:
        """The arguments `shapes` (B, 14) and `maps` (B, 2, G, G) of `decode_stroke_map`."""
        curve = curves(strokes, size)
        # The stroke's own frame: centred on its box, scaled to its longer side, mirrored to run to the lower right.
        centre = (curve.start + curve.end) / 2
        half = (curve.end - curve.start) / 2
        mirror = torch.where(half < 0, -1.0, 1.0)
        extent = half.abs().amax(-1, keepdim=True) + curve.radius.amax(-1, keepdim=True) + 1e-3
        maps = self._maps(half / extent, (curve.control - centre) / extent, curve.radius / extent, mirror)
        ends = torch.stack((curve.radius, curve.opacity), 1)  # (B, radius and opacity, start and end)
        lines = torch.stack((ends[..., 0], ends[..., 1] - ends[..., 0]), -1)
        shapes = torch.cat((centre, mirror / extent, polynomials(curve).flatten(1), lines.flatten(1)), -1)
        return shapes, maps

    def _maps(self, half: Tensor, bend: Tensor, radius: Tensor, mirror: Tensor, axes: int = 2) -> Tensor:
        """The maps (B, 2, G, G) in frames mirrored by `mirror`; all arguments (B, 2), lengths in the frame's unit.

        The network is not exactly symmetric. A stroke that runs along an axis could as well have the mirrored frame: the
        maps of both are mixed, for the first `axes` axes, so that they are continuous in the stroke.
        """
        if axes == 0:
            maps: Tensor = self.body(torch.cat((half * mirror, bend * mirror, radius), -1) * 2) + 0.5
            return maps.view(-1, 2, self.grid, self.grid)
        axis = axes - 1
        flip = torch.tensor([1.0, -1.0] if axis else [-1.0, 1.0], dtype=mirror.dtype, device=mirror.device)

        def image(rows: Tensor | slice) -> Tensor:
            return self._maps(half[rows], bend[rows], radius[rows], mirror[rows] * flip, axis).flip(-1 - axis)

        return mix_mirrored(self._maps(half, bend, radius, mirror, axis), half[:, axis], image)
