"""The baseline: the stroke network of Huang et al. (2019)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from renderer.brush import Mark, Window
from renderer.brushes.bezier import BezierBrush, colours
from renderer.learned.learned_brush import LearnedBrush


class Huang2019(LearnedBrush, BezierBrush):
    """Four linear layers, six convolutions, three pixel shuffles (Huang et al. 2019, section 3.4 and the authors' code).

    Draws the whole canvas at a fixed resolution of 128x128; other sizes and windows are interpolated and cropped from it.
    The authors' network returns one minus alpha; this one returns alpha.
    """

    resolution = 128

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.ModuleList(nn.Linear(a, b) for a, b in ((10, 512), (512, 1024), (1024, 2048), (2048, 4096)))
        channels = ((16, 32), (32, 32), (8, 16), (16, 16), (4, 8), (8, 4))
        self.convolution = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in channels)

    def forward(self, strokes: Tensor, size: tuple[int, int], window: Window | None = None) -> Mark:
        """See `renderer.brush.Brush`."""
        self.check(strokes, size)
        x = strokes[:, :10]
        for layer in self.linear:
            x = F.relu(layer(x))
        x = x.view(-1, 16, 16, 16)
        for i, layer in enumerate(self.convolution):
            x = layer(x)
            x = F.relu(x) if i % 2 == 0 else F.pixel_shuffle(x, 2)
        # A sigmoid is never exactly 0: the alpha of a stroke without opacity is set to 0.
        visible = (self.space.get(strokes, "opacity") > 0).any(-1)
        alpha = torch.sigmoid(x) * visible[:, None, None, None]
        if size != (self.resolution, self.resolution):
            alpha = F.interpolate(alpha, size=size, mode="bilinear", align_corners=False, antialias=True)
        if window is not None:
            alpha = crop(alpha, window)
        return Mark(alpha, colours(strokes))


def crop(image: Tensor, window: Window) -> Tensor:
    """Crop each image of `(B, C, H, W)` to its window; zero where a window hangs over the edge."""
    H, W = image.shape[-2:]
    y = window.top[:, None] + torch.arange(window.height, device=image.device)
    x = window.left[:, None] + torch.arange(window.width, device=image.device)
    inside = ((y >= 0) & (y < H))[:, None, :, None] & ((x >= 0) & (x < W))[:, None, None, :]
    batch = torch.arange(len(image), device=image.device)[:, None, None]
    patch = image.permute(0, 2, 3, 1)[batch, y.clamp(0, H - 1)[:, :, None], x.clamp(0, W - 1)[:, None, :]]
    return torch.where(inside, patch.permute(0, 3, 1, 2), image.new_zeros(()))
