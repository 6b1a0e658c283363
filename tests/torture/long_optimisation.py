"""Optimise strokes of every brush for thousands of steps: all values and gradients stay finite and in range.

Strokes start at the extremes: without length, radius, pressure or opacity, and in the canvas' corners. Stochastic brushes
draw with their noise.
"""

from __future__ import annotations

import argparse
import sys
import time

import torch
from torch import Tensor

from painter.losses.pixels import mse
from painter.optimize import OptimizeConfig, optimize
from renderer.brush import load_brush
from renderer.learned.load import shipped_brushes
from renderer.strokes import StrokeSpace

MIXTURES = ("watercolour+ink",)
COUNT = 6  # strokes


def brushes() -> list[str]:
    """The differentiable brushes without a file or a module."""
    return ["analytic", *shipped_brushes(), *MIXTURES]


def extremes(space: StrokeSpace) -> Tensor:
    """Strokes (COUNT, P): a dot, one without radius, one without pressure and opacity, two in corners, a straight one."""
    strokes = space.sample(COUNT, torch.Generator().manual_seed(0))
    columns = {field.name: space.columns(field.name) for field in space.fields}
    strokes[0, columns["end"]] = strokes[0, columns["start"]]
    strokes[1, columns["radius"]] = 0
    for name in {"pressure", "opacity"} & {*columns}:
        strokes[2, columns[name]] = 0
    strokes[3, columns["start"]] = strokes[3, columns["end"]] = 0
    strokes[4, columns["start"]] = strokes[4, columns["end"]] = 1
    strokes[5, columns["end"].start + 1] = strokes[5, columns["start"].start + 1]
    return strokes


def optimise(name: str, steps: int, side: int = 32) -> tuple[float, float]:
    """Optimise `extremes` of a brush towards a picture.

    Args:
        name: The brush.
        steps: Gradient steps.
        side: Pixels a side.

    Returns:
        The loss of the first and of the last step.

    Raises:
        AssertionError: A loss or a stroke is not finite, a stroke is outside [0, 1], or the loss has not fallen.
    """
    generator = torch.Generator().manual_seed(1)
    coarse = torch.rand(1, 3, 5, 5, generator=generator)
    target = torch.nn.functional.interpolate(coarse, (side, side), mode="bilinear")[0]
    brush = load_brush(name)
    losses = []
    for step in optimize(
        target,
        brush,
        COUNT,
        canvas=torch.ones_like(target),
        config=OptimizeConfig(steps=steps, relocations=2),
        loss=mse,
        start=extremes(brush.space),
        generator=generator,
    ):
        losses.append(step.loss)
        assert bool(((step.strokes >= 0) & (step.strokes <= 1)).all()), f"{name}: strokes after step {step.step}"
        assert 0 <= losses[-1] < 1, f"{name}: a loss of {losses[-1]} in step {step.step}"  # false for NaN
    assert losses[-1] < 0.5 * losses[0], f"{name}: the loss went from {losses[0]} to {losses[-1]}"
    return losses[0], losses[-1]


def main() -> int:
    """Optimise with every brush; the exit code is 1 after a finding."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--brushes", nargs="*", default=brushes())
    options, failed = parser.parse_args(), 0
    for name in options.brushes:
        begun = time.monotonic()
        try:
            first, last = optimise(name, options.steps)
        except AssertionError as error:
            failed += 1
            print(f"FOUND {error}", flush=True)
        else:
            seconds = time.monotonic() - begun
            print(f"{name:20} {options.steps} steps, loss {first:.4f} -> {last:.4f}, {seconds:.0f} s", flush=True)
    print(f"{failed} findings")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
