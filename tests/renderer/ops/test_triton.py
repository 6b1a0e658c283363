"""The Triton kernels compute what the reference computes (in Triton's interpreter), and compile for real GPUs.

Whether a kernel is interpreted is decided when its module is imported, so that the cases with values run in a process of
their own, with TRITON_INTERPRET=1.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from agents.optimal_colour import paint_greedily, score_candidates
from painter.importance import importance
from renderer.brush import Brush, load_brush
from renderer.canvas import paint
from renderer.learned.stroke_map import StrokeMap
from renderer.ops import triton_strokes

triton = pytest.importorskip("triton")
INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
with_values = pytest.mark.skipif(not INTERPRETED, reason="runs inside test_values")
SHARED = {80: 163 * 1024, 90: 227 * 1024}  # bytes that a block may have


@pytest.mark.slow
@pytest.mark.skipif(INTERPRETED, reason="starts this file itself")
def test_values() -> None:
    command = [sys.executable, "-m", "pytest", "-x", "-p", "no:cacheprovider", str(Path(__file__))]
    ran = subprocess.run(command, env={**os.environ, "TRITON_INTERPRET": "1"}, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout[-4000:]
    assert " passed" in ran.stdout


def brush_called(name: str) -> Brush:
    if name == "grid of 5":
        torch.manual_seed(1)
        return StrokeMap(hidden=8, grid=5)
    if name == "frozen grid of 5":
        torch.manual_seed(1)
        return StrokeMap(hidden=16, grid=5).requires_grad_(False)
    return load_brush(name)


def random(*shape: int, seed: int = 0, low: float = 0.0, high: float = 1.0) -> Tensor:
    return low + (high - low) * torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def both(monkeypatch: pytest.MonkeyPatch, compute: Callable[[], Any]) -> tuple[Any, Any]:
    """What the reference computes, and what the kernels do."""
    expected = compute()
    with monkeypatch.context() as patch:
        patch.setattr(triton_strokes, "usable", lambda tensor: True)
        return expected, compute()


def close(ours: Tensor, expected: Tensor, tolerance: float) -> None:
    """Within rounding: relative to the largest entry."""
    assert ours.shape == expected.shape
    assert (ours - expected).abs().max() <= tolerance * max(1.0, float(expected.abs().max()))


CASES = {
    "two pictures": ("bezier", 2, 3, (20, 37), 0.0, 1.0),
    "one stroke": ("bezier", 1, 1, (16, 16), 0.0, 1.0),
    "a stroke map that is trained": ("grid of 5", 1, 3, (17, 5), 0.0, 1.0),
    "a stroke map of another grid": ("frozen grid of 5", 1, 3, (17, 5), 0.0, 1.0),
    "outside of the canvas": ("bezier", 1, 3, (18, 20), 1.05, 1.3),
    "a texture": ("ink", 1, 2, (19, 23), 0.0, 1.0),
    "an undirected texture, partly outside": ("watercolour", 1, 3, (16, 33), -0.2, 1.2),
}


@with_values
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_painting_and_its_gradients(case: tuple, monkeypatch: pytest.MonkeyPatch) -> None:
    name, B, N, size, low, high = case
    brush = brush_called(name)
    canvas, wanted = random(B, 3, *size, seed=1).requires_grad_(), random(B, 3, *size, seed=2) - 0.5
    strokes = random(B, N, brush.space.width, seed=3)
    for place in ("start", "end"):
        strokes[..., brush.space.columns(place)] = low + (high - low) * strokes[..., brush.space.columns(place)]
    strokes.requires_grad_()

    def compute() -> tuple[Tensor, ...]:
        painted = paint(canvas, strokes, brush)
        return painted.detach(), *torch.autograd.grad((painted * wanted).sum(), (canvas, strokes))

    expected, ours = both(monkeypatch, compute)
    close(ours[0], expected[0], 4e-6)
    close(ours[1], expected[1], 4e-6)
    close(ours[2], expected[2], 2e-5)
    assert expected[2].abs().max() > 0.1 or low > 1


@with_values
def test_painting_without_strokes(monkeypatch: pytest.MonkeyPatch) -> None:
    brush, canvas = brush_called("bezier"), random(1, 3, 9, 8).requires_grad_()
    monkeypatch.setattr(triton_strokes, "usable", lambda tensor: True)
    painted = paint(canvas, torch.zeros(1, 0, 13), brush)
    assert painted.equal(canvas)
    assert torch.autograd.grad(painted.sum(), canvas)[0].equal(torch.ones_like(canvas))


@with_values
def test_many_strokes_in_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    from renderer.ops import triton_composite

    monkeypatch.setattr(triton_composite, "LEAST_DEPTH", 1)  # 7 strokes in segments of 3, 3 and 1
    monkeypatch.setattr(triton_composite, "CHUNK", 4)
    brush, canvas = brush_called("bezier"), random(1, 3, 16, 18, seed=1).requires_grad_()
    strokes, wanted = random(1, 7, 13, seed=3).requires_grad_(), random(1, 3, 16, 18, seed=2) - 0.5

    def compute() -> tuple[Tensor, ...]:
        painted = paint(canvas, strokes, brush)
        return painted.detach(), *torch.autograd.grad((painted * wanted).sum(), (canvas, strokes))

    for one, other in zip(*both(monkeypatch, compute), strict=True):
        close(other, one, 2e-5)


@with_values
def test_gradients_below_opaque_strokes(monkeypatch: pytest.MonkeyPatch) -> None:
    """What lies under an alpha of exactly 1 has no gradient, and what covers it has one: nothing divides by 1 - alpha."""
    brush, canvas = brush_called("bezier"), random(1, 3, 16, 16, seed=1)
    strokes = random(1, 4, 13, seed=3)
    strokes[..., 6:10] = 1  # discs that cover the canvas
    strokes[..., 0:2], strokes[..., 4:6] = 0.4, 0.6
    strokes.requires_grad_()

    def compute() -> tuple[Tensor, Tensor]:
        painted = paint(canvas, strokes, brush)
        return painted.detach(), torch.autograd.grad(painted.square().sum(), strokes)[0]

    expected, ours = both(monkeypatch, compute)
    close(ours[0], expected[0], 4e-6)
    close(ours[1], expected[1], 2e-5)
    assert ours[1][0, -1, 10:].abs().min() > 1


@with_values
@pytest.mark.parametrize("name", ["bezier", "ink"])
def test_importance(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from renderer.ops import triton_composite

    monkeypatch.setattr(triton_composite, "LEAST_DEPTH", 1)  # 4 strokes in segments of 3 and 1
    brush, size = brush_called(name), (17, 20)
    canvas, target = random(2, 3, *size, seed=1), random(2, 3, *size, seed=2)
    strokes = random(2, 4, brush.space.width, seed=3)
    expected, ours = both(monkeypatch, lambda: importance(strokes, canvas, target, brush) * target[0].numel())
    close(ours, expected, 1e-5)
    assert expected.abs().max() > 1


@with_values
@pytest.mark.parametrize(("name", "colours"), [("bezier", 0), ("bezier", 3), ("ink", 3)])
def test_scores_and_greedy_painting(name: str, colours: int, monkeypatch: pytest.MonkeyPatch) -> None:
    from renderer.ops import triton_optimal_colour

    monkeypatch.setattr(triton_optimal_colour, "PAINT_SIDE", 16)
    brush, size, B, K = brush_called(name), (18, 20), 2, 3
    canvas, target = random(B, 3, *size, seed=1), random(B, 3, *size, seed=2)
    palette = random(colours, 3, seed=5) if colours else None
    strokes, weight = random(B, K, brush.space.width, seed=3).requires_grad_(), random(B, K, seed=4)

    def score() -> tuple[Tensor, ...]:
        scored = score_candidates(strokes, canvas, target, brush, palette=palette)
        (gradient,) = torch.autograd.grad((scored.gain * weight).sum(), strokes)
        return scored.gain.detach(), scored.strokes.detach(), gradient

    expected, ours = both(monkeypatch, score)
    close(ours[0], expected[0], 4e-6)
    close(ours[1], expected[1], 4e-6)
    close(ours[2], expected[2], 2e-5)

    order = expected[0].argsort(1, descending=True)
    with torch.no_grad():
        scored = score_candidates(strokes, canvas, target, brush, palette=palette)
    for least, limit in ((expected[0] * 0.5, 2), (torch.full((B, K), -torch.inf), K)):

        def greedy(least: Tensor = least, limit: int = limit) -> tuple[Tensor, ...]:
            with torch.no_grad():
                how = {"order": order, "min_gain": least, "max_strokes": limit, "palette": palette}
                return paint_greedily(scored, canvas, target, brush, **how)

        one, other = both(monkeypatch, greedy)
        close(other[0], one[0], 4e-6)
        close(other[1], one[1], 4e-6)
        assert other[2].equal(one[2])


@with_values
def test_greedy_painting_is_differentiable_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    brush, canvas, target = brush_called("bezier"), random(1, 3, 16, 16, seed=1), random(1, 3, 16, 16, seed=2)
    strokes = random(1, 3, 13, seed=3).requires_grad_()

    def compute() -> Tensor:
        scored = score_candidates(strokes, canvas, target, brush)
        how = {"order": torch.tensor([[2, 0, 1]]), "min_gain": torch.full((1, 3), -torch.inf), "max_strokes": 3}
        painted, _, _ = paint_greedily(scored, canvas, target, brush, **how)
        return torch.autograd.grad((painted - target).square().sum(), strokes)[0]

    expected, ours = both(monkeypatch, compute)
    close(ours, expected, 2e-5)


@with_values
def test_operations_follow_the_rules_of_torch() -> None:
    """Fake implementations and autograd formulas agree with the kernels, so that `torch.compile` may trace them."""
    from renderer.ops.triton_composite import composite
    from renderer.ops.triton_encode import encode_stroke_map
    from renderer.ops.triton_optimal_colour import score

    brush, canvas = brush_called("bezier"), random(1, 3, 9, 8, seed=1)
    assert isinstance(brush, StrokeMap)
    strokes = random(2, 13, seed=3).requires_grad_()
    shapes, grids, sharpness, box, colour = (part.detach() for part in brush.codes(strokes, (9, 8)))
    for tensor in (shapes, grids, colour):
        tensor.requires_grad_()
    checks = ("test_schema", "test_faketensor", "test_autograd_registration")
    torch.library.opcheck(encode_stroke_map, (strokes, list(brush.body.parameters()), 9, 8), test_utils=checks)
    torch.library.opcheck(composite, (canvas, shapes, grids, sharpness, colour, box), test_utils=checks)
    torch.library.opcheck(
        score, (canvas, random(1, 3, 9, 8, seed=2), shapes, grids, sharpness, box, None), test_utils=checks
    )


INTEGERS = {"B", "N", "K", "P", "H", "W", "DEPTH", "SEGMENTS", "STRIDE", "LIMIT", "COLOURS"}
ADDRESSES = {"box": "*i32", "listings": "*i32", "order": "*i64", "painted": "*i64"}
BRUSHES = {"stroke map": {"KIND": 0, "ROWS": 8, "COLUMNS": 8}, "texture": {"KIND": 1, "ROWS": 25, "COLUMNS": 17}}
KERNELS = [
    "composite forward",
    "composite backward",
    "importance",
    "score",
    "score backward",
    "paint",
    "encode",
    "encode backward",
]


@pytest.mark.skipif(INTERPRETED, reason="interpreted kernels are not compiled")
@pytest.mark.parametrize("capability", SHARED)
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("brush", BRUSHES)
def test_kernels_compile_for_gpus(kernel: str, brush: str, capability: int) -> None:
    from renderer.ops import triton_composite as c
    from renderer.ops import triton_encode as e
    from renderer.ops import triton_optimal_colour as o

    function, warps, side = {
        "composite forward": (c._forward, c.FORWARD_WARPS, c.SIDE),
        "composite backward": (c._backward, c.BACKWARD_WARPS, c.SIDE),
        "importance": (c._backward, c.BACKWARD_WARPS, c.SIDE),
        "score": (o._score, o.SCORE_WARPS, c.SIDE),
        "score backward": (o._score_backward, o.SCORE_BACKWARD_WARPS, c.SIDE),
        "paint": (o._paint, o.PAINT_WARPS, o.PAINT_SIDE),
        "encode": (e._encode, e.WARPS, 0),
        "encode backward": (e._encode_backward, e.WARPS, 0),
    }[kernel]
    constants = {**BRUSHES[brush], "SIDE": side, "CHUNK": c.CHUNK, "NODES": 16 if "map" in brush else 32}
    if "encode" in kernel:
        if brush != "stroke map":
            pytest.skip("textures are encoded by PyTorch")
        constants = {"HIDDEN": 128, "NODES": 128, "PADDED": 128, "WIDE": 128, "ROWS": e.ROWS, "K": 32}
    constants["LEAVE_OUT"] = kernel == "importance"
    names = function.arg_names
    constants = {name: value for name, value in constants.items() if name in names}
    kinds = {name: "i32" if name in INTEGERS else ADDRESSES.get(name, "*fp32") for name in names}
    source = triton.compiler.ASTSource(
        fn=function, signature={**kinds, **dict.fromkeys(constants, "constexpr")}, constexprs=constants
    )
    target = triton.backends.compiler.GPUTarget("cuda", capability, 32)
    compiled = triton.compile(source, target=target, options={"num_warps": warps})
    assert len(compiled.asm["cubin"]) > 1000
    assert compiled.metadata.shared <= SHARED[capability]
