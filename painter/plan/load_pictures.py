"""Pictures of a plan: what is there already, pale; the strokes of one load, in colour and outlined; a grid to copy by."""

from __future__ import annotations

import io
from collections.abc import Iterator

import cv2
import numpy as np
import torch
from PIL import Image

from painter.plan.paint_plan import PaintPlan
from renderer.canvas import blank

PICTURE_SIZE = 360  # pixels on the long side
OUTLINE = (214, 0, 110)  # which faces and palettes of paint rarely have
PALE = 0.45  # how much of the earlier strokes is seen


@torch.no_grad()
def load_pictures(plan: PaintPlan, longest: int = PICTURE_SIZE) -> Iterator[np.ndarray]:
    """Yield a picture of each load, uint8 (H, W, 3)."""
    painting = plan.painting
    size = painting.size(longest)
    canvas = blank(size, painting.background)
    for load in plan.loads:
        shown = 1 - PALE * (1 - canvas)  # what was there
        outline = torch.zeros(1, *size)
        patches = plan.brush.patches(painting.strokes[load.strokes.start : load.strokes.stop], size)
        for i in range(len(patches)):
            alpha = patches.on(canvas, i)[1]
            for picture in (canvas, shown):
                patches.on(picture, i)[0].lerp_(patches.pigment(i), alpha)
            inner = cv2.erode(alpha.numpy(), np.ones((3, 3)), borderType=cv2.BORDER_CONSTANT, borderValue=0)
            line, _ = patches.on(outline, i)
            line[0] = torch.maximum(line[0] * (1 - alpha), alpha - torch.from_numpy(inner))
        colour = torch.tensor(OUTLINE)[:, None, None] / 255
        yield with_grid(_bytes(torch.lerp(shown, colour, outline)), plan)


def finished_picture(plan: PaintPlan, longest: int = PICTURE_SIZE) -> np.ndarray:
    """The finished picture, uint8 (H, W, 3)."""
    return _bytes(plan.picture(longest))


def grid_step(plan: PaintPlan) -> int:
    """Mm between two lines of the grid: some six along the longer side."""
    side = max(plan.painting.size()) * plan.scale
    return next((step for step in (5, 10, 20, 25, 50, 100, 200, 250, 500, 1000) if side / step <= 8), 2500)


def with_grid(picture: np.ndarray, plan: PaintPlan) -> np.ndarray:
    """Thin lines every `grid_step` mm from the canvas' left and upper edge."""
    picture = picture.copy()
    step = grid_step(plan)
    for axis, (offset, size) in enumerate(zip(plan.offset, (plan.painting.width, plan.painting.height), strict=True)):
        pixels = picture.shape[1 - axis]
        lines = np.arange(-(-offset // step) * step, offset + size * plan.scale, step)
        places = ((lines - offset) / (size * plan.scale) * pixels).astype(int)
        places = places[(places > 0) & (places < pixels)]
        where = (slice(None), places) if axis == 0 else (places, slice(None))
        picture[where] = (picture[where] * 0.75 + 32).astype(np.uint8)
    return picture


def png(picture: np.ndarray, colours: int = 64) -> bytes:
    """A small PNG file of a picture (H, W, 3) with few colours."""
    buffer = io.BytesIO()
    image = Image.fromarray(picture).quantize(colours, dither=Image.Dither.NONE)
    image.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _bytes(canvas: torch.Tensor) -> np.ndarray:
    return (canvas.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
