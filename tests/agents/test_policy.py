"""Tests of the policy: bounds on its proposals for any weights, and independence of the resolution."""

import pytest
import torch
from torch import Tensor

from agents.policy import CELL_PIXELS, Policy
from renderer.strokes import BEZIER

GRIDS = [(2, 2), (3, 5), (5, 2), (1, 4)]


def policy(each: int = 3) -> Policy:
    torch.manual_seed(0)
    return Policy(width=16, blocks=1, each=each).requires_grad_(False)


def pictures(grid: tuple[int, int], cell: int = CELL_PIXELS) -> tuple[Tensor, Tensor]:
    """Canvas and target (2, 3, H, W) of `cell` pixels a cell."""
    generator = torch.Generator().manual_seed(1)
    canvas, target = torch.rand(2, 2, 3, grid[0] * cell, grid[1] * cell, generator=generator)
    return canvas, target


@pytest.mark.parametrize("grid", GRIDS)
def test_strokes_stay_in_the_neighbouring_cells_for_any_weights(grid: tuple[int, int]) -> None:
    network = policy()
    network.head.weight.normal_(0, 30, generator=torch.Generator().manual_seed(2))
    strokes = network(*pictures(grid), grid)
    rows, columns = grid
    assert strokes.shape == (2, 3 * rows * columns, BEZIER.width)
    assert strokes.isfinite().all()
    assert 0 <= strokes.min() <= strokes.max() <= 1
    y, x = torch.meshgrid(torch.arange(rows) + 0.5, torch.arange(columns) + 0.5, indexing="ij")
    centre = torch.stack((x, y), -1).flatten(0, 1)
    reach = []
    for name in ("start", "end"):
        away = BEZIER.get(strokes, name).view(2, 3, -1, 2) * torch.tensor([columns, rows]) - centre
        reach.append(away.abs().max())
    assert max(reach) <= 1.5 + 1e-5
    assert min(reach) > 0.9, "the bound is reached"
    short = min(rows, columns)
    assert BEZIER.get(strokes, "radius").max() <= 1 / short + 1e-6, "at most a cell"


def test_radius_is_limited_by_the_shorter_side_of_a_cell() -> None:
    """Radii are fractions of the canvas' short side."""
    network = policy()
    network.head.bias.fill_(100.0)
    canvas, target = torch.rand(2, 1, 3, 32, 128)
    strokes = network(canvas, target, (8, 8))  # cells of 4 x 16 pixels
    torch.testing.assert_close(BEZIER.get(strokes, "radius"), torch.full((1, 192, 2), 4 / 32), rtol=1e-3, atol=0)


@pytest.mark.parametrize("grid", GRIDS)
def test_proposals_do_not_depend_on_the_resolution(grid: tuple[int, int]) -> None:
    canvas, target = pictures(grid)
    larger = (picture.repeat_interleave(3, 2).repeat_interleave(3, 3) for picture in (canvas, target))
    torch.testing.assert_close(policy()(*larger, grid), policy()(canvas, target, grid), rtol=0, atol=1e-4)


def test_colour_is_the_mean_of_the_target_in_the_cell() -> None:
    canvas, target = pictures((3, 5))
    colour = BEZIER.get(policy()(canvas, target, (3, 5)), "colour").view(2, 3, 3, 5, 3)
    cells = target.view(2, 3, 3, CELL_PIXELS, 5, CELL_PIXELS).mean((3, 5)).permute(0, 2, 3, 1)
    for proposal in range(3):
        torch.testing.assert_close(colour[:, proposal], cells)


def test_exchanging_canvas_and_target_changes_proposals() -> None:
    canvas, target = pictures((2, 2))
    shapes = slice(0, BEZIER.columns("colour").start)
    one, other = policy()(canvas, target, (2, 2)), policy()(target, canvas, (2, 2))
    assert not torch.allclose(one[..., shapes], other[..., shapes], atol=1e-4)


def test_proposals_are_local() -> None:
    """A change many cells away changes a proposal only through the normalisation over the whole picture."""
    canvas, target = pictures((2, 24))
    changed = target.clone()
    changed[..., -2 * CELL_PIXELS :] = 0
    difference = (policy()(canvas, changed, (2, 24)) - policy()(canvas, target, (2, 24))).abs().amax((0, 2))
    by_cell = difference.view(3, 2, 24).amax((0, 1))
    assert by_cell[-1] > 1e-3
    assert by_cell[0] < by_cell[-1] / 10, "through the normalisation only"
