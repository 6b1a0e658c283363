"""Renderers by name: the true brush, the analytic reference, and whatever was learned."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import torch
from torch import nn

from renderer.brush import Brush
from renderer.brushes.bezier import AnalyticBezier, ExactBezier
from renderer.brushes.mixed import mixed
from renderer.brushes.mypaint import MyPaint
from renderer.io.checkpoint import Checkpoint
from renderer.learned.huang2019 import Huang2019
from renderer.learned.neural_brush import NeuralBrush
from renderer.learned.stroke_map import StrokeMap

KINDS: dict[str, type[nn.Module]] = {"stroke-map": StrokeMap, "huang2019": Huang2019, "neural-brush": NeuralBrush}


def load_brush(name: str = "bezier", device: torch.device | str = "cpu") -> Brush:
    """`exact` (true brush, no gradient), `analytic` (slow reference), `mypaint:BRUSH` (MyPaint's engine, no gradient), or
    a learned renderer: a shipped name (bezier, ink ...) or a file. With plus signs, brushes in one painting
    (watercolour+ink), see `renderer.brushes.mixed`.

    Learned renderers come frozen: their weights take no gradient, strokes do. Raises `CheckpointError`.
    """
    if "+" in name and not Path(name).is_file():
        return mixed([load_brush(part, device) for part in name.split("+")])
    if name == "exact":
        return ExactBezier()
    if name.startswith("mypaint:"):
        return MyPaint(name.removeprefix("mypaint:"))
    if name == "analytic":
        return AnalyticBezier()
    return cast(Brush, Checkpoint.load(name, *KINDS).build(KINDS, device))
