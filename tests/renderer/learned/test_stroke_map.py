"""Properties of the stroke map; `test_brush.py` has the contract of all brushes."""

import copy
import re
from pathlib import Path

import pytest
import torch
from torch import Tensor

from renderer.brush import load_brush
from renderer.brushes.bezier import AnalyticBezier
from renderer.io.checkpoint import Checkpoint, CheckpointError
from renderer.learned.stroke_map import MAX_GRID, StrokeMap
from renderer.ops import decode_stroke_map
from renderer.strokes import BEZIER

SIZE = (20, 28)


def network(grid: int = 5) -> StrokeMap:
    torch.manual_seed(0)
    module = StrokeMap(8, grid).requires_grad_(False)
    module.body[-1].weight.mul_(3)
    return module


def strokes(n: int = 8) -> Tensor:
    return BEZIER.sample(n, torch.Generator().manual_seed(1))


@pytest.mark.parametrize("grid", [2, 3, MAX_GRID])
def test_maps_of_every_size(grid: int) -> None:
    slow = copy.deepcopy(network(grid)).double()(strokes().double(), SIZE).alpha
    torch.testing.assert_close(network(grid)(strokes(), SIZE).alpha, slow.float(), rtol=0, atol=5e-5)


@pytest.mark.parametrize("grid", [-1, 0, 1, MAX_GRID + 1, 1000])
def test_map_too_large_for_the_kernel_is_an_error(grid: int, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="2 to 64 nodes"):
        StrokeMap(8, grid)
    Checkpoint("stroke-map", {"hidden": 8, "grid": grid}, {}, BEZIER).save(tmp_path / "some.safetensors")
    with pytest.raises(CheckpointError, match="cannot build a stroke-map"):
        load_brush(str(tmp_path / "some.safetensors"))


def test_limit_matches_the_kernel() -> None:
    source = decode_stroke_map.SOURCE.with_name("stroke_map_pixels.h").read_text()
    assert re.findall(r"#define MAX_GRID (\d+)", source) == [str(MAX_GRID)]


@pytest.mark.parametrize(("name", "axis"), [("across", 0), ("down", 1)])
def test_mirrored_stroke_has_the_mirrored_mark(name: str, axis: int) -> None:
    """For any weights: the network's input does not contain position, size and mirror images."""
    mirrored = strokes()
    for field in ("start", "end"):
        columns = BEZIER.columns(field)
        mirrored[:, columns.start + axis] = 1 - mirrored[:, columns.start + axis]
    expected = network()(strokes(), SIZE).alpha.flip(3 - axis)
    torch.testing.assert_close(network()(mirrored, SIZE).alpha, expected, rtol=0, atol=1e-4)


def test_marks_are_translated_and_scaled_exactly() -> None:
    """Translated by whole pixels, and on a canvas of twice the size with half of all lengths."""
    moved = strokes()
    for field in ("start", "end"):
        moved = BEZIER.put(moved, field, 0.2 + 0.4 * BEZIER.get(moved, field))
    shift = torch.tensor([4 / SIZE[1], 3 / SIZE[0]])
    there = moved
    for field in ("start", "end"):
        there = BEZIER.put(there, field, BEZIER.get(there, field) + shift)
    alpha = network()(moved, SIZE).alpha
    torch.testing.assert_close(network()(there, SIZE).alpha[..., 3:, 4:], alpha[..., :-3, :-4], rtol=0, atol=1e-4)

    small = moved
    for field in ("start", "end", "radius"):
        small = BEZIER.put(small, field, BEZIER.get(small, field) / 2)
    large = (SIZE[0] * 2, SIZE[1] * 2)
    torch.testing.assert_close(network()(small, large).alpha[..., : SIZE[0], : SIZE[1]], alpha, rtol=0, atol=1e-4)


def test_nothing_is_drawn_outside_the_stroke() -> None:
    """Even with random weights, every pixel's disc is a disc of the stroke: alpha is at most that of all discs."""
    opaque = BEZIER.put(strokes(), "opacity", torch.ones(8, 2))
    alpha = network()(opaque, SIZE).alpha
    assert (alpha <= AnalyticBezier(256)(opaque, SIZE).alpha + 0.02).all()
    assert alpha.flatten(1).amax(1).min() > 0.1, "something is drawn"
