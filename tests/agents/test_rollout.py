"""Tests of the painting agent: exact stroke counts on any picture, and strokes that reproduce the canvas."""

import copy
import math
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from agents.planner import NO_PLANNING, Planning
from agents.policy import Policy
from agents.registry import AdjustableAgent
from agents.rollout import PolicyAgent, grids_for, paint_picture, paint_pictures, rollout_round
from renderer.brush import load_brush
from renderer.brushes.mypaint import MYPAINT
from renderer.canvas import blank, paint
from renderer.constraints import UNCONSTRAINED, StrokeConstraints, nearest, palette_of
from renderer.errors import InputError
from renderer.learned.stroke_map import StrokeMap
from renderer.strokes import BEZIER


def make_policy() -> Policy:
    torch.manual_seed(0)
    return Policy(width=16, blocks=1, each=2)


def make_brush() -> StrokeMap:
    torch.manual_seed(1)
    return StrokeMap(hidden=8, grid=4).requires_grad_(False)


POLICY, BRUSH = make_policy(), make_brush()


def picture(height: int, width: int, seed: int = 0) -> Tensor:
    """A picture with smooth areas and edges."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, 4, 5, generator=generator)
    target = torch.nn.functional.interpolate(coarse, (height, width), mode="bilinear")[0]
    target[:, : height // 3, : width // 2] *= 0.3
    return target


def painted(target: Tensor, count: int, constraints: StrokeConstraints = UNCONSTRAINED) -> tuple[list[Tensor], Tensor]:
    """Canvases, starting with the blank one, and all strokes."""
    canvases, strokes = [torch.ones_like(target)], []
    for canvas, new in paint_picture(POLICY, BRUSH, canvases[0], target, count, constraints=constraints):
        assert len(new) > 0
        canvases.append(canvas.clone())
        strokes.append(new)
    return canvases, torch.cat(strokes)


PICTURES = {
    "ordinary": picture(24, 32),
    "large": picture(90, 70),
    "white": torch.ones(3, 24, 32),
    "one-pixel": torch.full((3, 1, 1), 0.3),
    "one-white-pixel": torch.ones(3, 1, 1),
    "strip": picture(5, 200),
    "tall": picture(60, 4),
}


@pytest.mark.parametrize("count", [1, 2, 3, 7, 50, 173])
@pytest.mark.parametrize("name", PICTURES)
def test_stroke_count_is_exact(name: str, count: int) -> None:
    target = PICTURES[name]
    canvases, strokes = painted(target, count)
    assert strokes.shape == (count, BEZIER.width)
    assert 0 <= strokes.min() <= strokes.max() <= 1
    size = (target.shape[1], target.shape[2])
    torch.testing.assert_close(paint(blank(size), strokes, BRUSH), canvases[-1], rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", ["ordinary", "large", "strip", "tall"])
def test_error_falls_in_every_round(name: str) -> None:
    canvases, _ = painted(PICTURES[name], 60)
    errors = [float((canvas - PICTURES[name]).square().mean()) for canvas in canvases]
    assert all(after <= before + 1e-9 for before, after in pairwise(errors))
    assert errors[-1] < 0.7 * errors[0], "also with untrained weights, because gains are computed exactly"


@pytest.mark.parametrize("opaque", [False, True])
@pytest.mark.parametrize("colours", [None, 3])
def test_strokes_satisfy_constraints(opaque: bool, colours: int | None) -> None:
    target = PICTURES["ordinary"]
    palette = None if colours is None else palette_of(target, colours)
    canvases, strokes = painted(target, 30, StrokeConstraints(opaque, 0.03, 0.1, palette))
    radius = BEZIER.get(strokes, "radius")
    assert 0.03 - 1e-6 <= radius.min() <= radius.max() <= 0.1 + 1e-6
    assert not opaque or (BEZIER.get(strokes, "opacity") == 1).all()
    if palette is not None:
        used = BEZIER.get(strokes, "colour")
        assert torch.equal(nearest(used, palette), used)
        assert len(used.unique(dim=0)) > 1
    errors = [float((canvas - target).square().mean()) for canvas in (canvases[0], canvases[-1])]
    assert errors[1] < 0.7 * errors[0]


def test_painting_is_deterministic() -> None:
    (first, strokes), (second, again) = (painted(PICTURES["ordinary"], 30) for _ in range(2))
    assert torch.equal(strokes, again)
    assert torch.equal(first[-1], second[-1])


def test_stroke_count_changes_only_the_last_round() -> None:
    target = PICTURES["ordinary"]
    rounds = [
        [new for _, new in paint_picture(POLICY, BRUSH, torch.ones_like(target), target, count)] for count in (15, 40)
    ]
    assert len(rounds[0]) >= 3
    for short, long in zip(rounds[0][:-1], rounds[1], strict=False):
        torch.testing.assert_close(short, long)


def test_policy_paints_with_a_mypaint_brush() -> None:
    """Strokes are converted to the brush's stroke space and refined in it, pressure included."""
    brush, target = load_brush("ink"), picture(32, 40)
    strokes = torch.cat([new for _, new in paint_picture(POLICY, brush, torch.ones_like(target), target, 24)])
    assert strokes.shape == (24, MYPAINT.width)
    error = (paint(torch.ones_like(target), strokes, brush) - target).square().mean()
    assert error < 0.1 * (1 - target).square().mean()
    assert len(MYPAINT.get(strokes, "pressure").unique()) > 24


def test_target_is_not_modified() -> None:
    target = picture(12, 12)
    before = target.clone()
    painted(target, 5)
    assert torch.equal(target, before)


def test_policy_with_nan_weights_is_an_error() -> None:
    policy = copy.deepcopy(POLICY)
    policy.head.weight.data.fill_(math.nan)
    with pytest.raises(InputError, match="finite"):
        list(paint_picture(policy, BRUSH, torch.ones(3, 8, 8), torch.zeros(3, 8, 8), 3))


def test_zero_strokes() -> None:
    assert list(paint_picture(POLICY, BRUSH, torch.ones(3, 8, 8), torch.zeros(3, 8, 8), 0)) == []


@settings(deadline=None)
@given(height=st.integers(1, 2000), width=st.integers(1, 2000), done=st.integers(0, 20_000))
def test_grids_have_nearly_square_cells(height: int, width: int, done: int) -> None:
    grids = grids_for((height, width), done)
    short, long = min(height, width), max(height, width)
    assert [min(grid) for grid in grids] == [2 << i for i in range(len(grids))], "2, 4, 8 on the short side"
    for i, (rows, columns) in enumerate(grids):
        assert (rows >= columns) == (height >= width) or rows == columns
        cells = max(rows, columns) / min(rows, columns)
        assert cells == pytest.approx(long / short, abs=0.5 / min(rows, columns) + 1e-9), "cells are nearly square"
        if i > 0:
            assert short / min(rows, columns) >= 4
            assert min(rows, columns) ** 2 <= 4 * (done + 4)


def test_grids_get_finer_with_more_strokes() -> None:
    assert grids_for((128, 128), 0) == [(2, 2), (4, 4)]
    assert grids_for((128, 128), 12) == [(2, 2), (4, 4), (8, 8)]
    assert grids_for((128, 192), 10_000) == [(2, 3), (4, 6), (8, 12), (16, 24), (32, 48)]
    assert grids_for((128, 128), 10_000, min_cell_pixels=16) == [(2, 2), (4, 4), (8, 8)]


def test_round_of_a_batch_equals_single_rounds() -> None:
    target = torch.stack((picture(20, 20, 1), picture(20, 20, 2)))
    canvas = torch.ones_like(target)
    grids = [(2, 2), (4, 4)]
    with torch.no_grad():
        result = rollout_round(POLICY, BRUSH, canvas, target, grids=grids, max_strokes=6)
    assert result.strokes.shape == (2, 6, 13)
    assert result.mask.shape == (2, 6)
    assert result.gain.shape == (2, 2 * (4 + 16))
    torch.testing.assert_close(paint(canvas, result.strokes, BRUSH), result.canvas, rtol=0, atol=1e-5)
    for i in range(2):
        with torch.no_grad():
            alone = rollout_round(POLICY, BRUSH, canvas[i : i + 1], target[i : i + 1], grids=grids, max_strokes=6)
        torch.testing.assert_close(alone.canvas[0], result.canvas[i], rtol=0, atol=1e-4)


def test_first_stroke_has_the_largest_gain_unless_noise_changes_it() -> None:
    target = picture(20, 20, 1)[None]
    canvas = torch.ones_like(target)
    with torch.no_grad():
        greedy = rollout_round(POLICY, BRUSH, canvas, target, grids=[(2, 2)], max_strokes=1)
        decrease = (canvas - target).square().sum() - (greedy.canvas - target).square().sum()
        torch.testing.assert_close(decrease, greedy.gain.max(), rtol=1e-3, atol=1e-4)
        noise = torch.full_like(greedy.gain, 1e-6)
        second = int(greedy.gain[0].topk(2).indices[1])
        noise[0, second] = 1e6
        explored = rollout_round(POLICY, BRUSH, canvas, target, grids=[(2, 2)], max_strokes=1, noise=noise)
        decrease = (canvas - target).square().sum() - (explored.canvas - target).square().sum()
        torch.testing.assert_close(decrease, greedy.gain[0, second], rtol=1e-3, atol=1e-4)


def test_higher_min_gain_ratio_paints_fewer_strokes() -> None:
    target = picture(20, 20, 1)[None]
    counts = []
    with torch.no_grad():
        for min_gain_ratio in (1.0, 0.5, -math.inf):
            result = rollout_round(
                POLICY,
                BRUSH,
                torch.ones_like(target),
                target,
                grids=[(2, 2), (4, 4)],
                max_strokes=40,
                min_gain_ratio=min_gain_ratio,
            )
            counts.append(int(result.mask.sum()))
    assert 1 <= counts[0] < counts[1] < counts[2] == 40


def test_radius_is_at_most_one_cell() -> None:
    policy = copy.deepcopy(POLICY)
    policy.head.bias.data.view(2, 10)[:, 6:8] = 50
    target = torch.rand(1, 3, 16, 40)
    with torch.no_grad():
        for rows, columns in ((2, 5), (4, 10), (3, 4)):
            radius = BEZIER.get(policy(target, target, (rows, columns)), "radius")
            expected = torch.tensor(min(1 / rows, 40 / columns / 16)).clamp(max=BEZIER.field("radius").high)
            torch.testing.assert_close(radius, expected.expand_as(radius))


@pytest.mark.parametrize("size", [(16, 16), (9, 30), (40, 7)])
@pytest.mark.parametrize("grid", [(2, 2), (3, 5)])
def test_policy_proposes_strokes_near_each_cell(size: tuple[int, int], grid: tuple[int, int]) -> None:
    target = picture(*size)[None].expand(2, -1, -1, -1)
    with torch.no_grad():
        strokes = POLICY(torch.ones_like(target), target, grid)
    rows, columns = grid
    assert strokes.shape == (2, 2 * rows * columns, 13)
    assert 0 <= strokes.min() <= strokes.max() <= 1
    torch.testing.assert_close(strokes[0], strokes[1])
    scale = torch.tensor([columns, rows])
    cells = strokes[0].view(2, rows, columns, 13)
    for y in range(rows):
        for x in range(columns):
            for name in ("start", "end"):
                at = BEZIER.get(cells[:, y, x], name) * scale
                assert (at - torch.tensor([x + 0.5, y + 0.5])).abs().max() <= 1.5 + 1e-5
    side = min(size[0] / rows, size[1] / columns) / min(size)
    assert BEZIER.get(strokes, "radius").max() <= side + 1e-6
    assert math.isclose(float(strokes[..., BEZIER.columns("colour")].mean()), float(target.mean()), rel_tol=0.1)


@pytest.mark.parametrize("steps", [(0, 0), (2, 3)])
def test_pictures_painted_together_are_each_alone(steps: tuple[int, int]) -> None:
    targets = [picture(24, 32, seed) for seed in range(3)]
    targets.append(picture(40, 30, 5))
    targets[1] = torch.ones(3, 24, 32)  # each stroke of a white picture raises the error
    canvases = [torch.ones_like(target) for target in targets]
    how: dict[str, Any] = {"planning": Planning(*steps)}
    together: list[list[torch.Tensor]] = [[] for _ in targets]
    finished = list(canvases)
    for i, canvas, new in paint_pictures(POLICY, BRUSH, canvases, targets, 21, **how):
        together[i].append(new)
        finished[i] = canvas
    for rounds, painted, canvas, target in zip(together, finished, canvases, targets, strict=True):
        alone = list(paint_picture(POLICY, BRUSH, canvas, target, 21, **how))
        assert [len(new) for new in rounds] == [len(new) for _, new in alone]
        if steps == (0, 0):
            assert torch.equal(torch.cat(rounds), torch.cat([new for _, new in alone]))
            torch.testing.assert_close(painted, alone[-1][0], atol=1e-6, rtol=0)
        # Matrix products of few and of many strokes differ by rounding, and each round sees what the one before painted.
        torch.testing.assert_close(rounds[0], alone[0][1], atol=1e-4, rtol=0)
        errors = [(canvas - target).square().mean() for canvas in (painted, alone[-1][0])]
        torch.testing.assert_close(*errors, atol=1e-4, rtol=0.05)


@torch.no_grad()
def test_each_picture_of_a_round_has_its_own_limit() -> None:
    target = torch.stack([picture(20, 20, seed) for seed in range(3)])
    canvas = torch.ones_like(target)
    for planning in (NO_PLANNING, Planning(2, 30)):
        how: dict[str, Any] = {"grids": [(2, 2), (4, 4), (8, 8)], "planning": planning}
        together = rollout_round(POLICY, BRUSH, canvas, target, max_strokes=[2, 9, 5], **how)
        for i, limit in enumerate((2, 9, 5)):
            one = slice(i, i + 1)
            alone = rollout_round(POLICY, BRUSH, canvas[one], target[one], max_strokes=limit, **how)
            assert together.mask[i].sum() == alone.mask.sum() <= limit
            n = int(alone.mask.sum())
            torch.testing.assert_close(together.strokes[i, :n], alone.strokes[0, :n], atol=1e-3, rtol=0)
            torch.testing.assert_close(together.canvas[i], alone.canvas[0], atol=1e-3, rtol=0)
            assert (BRUSH.space.get(together.strokes[i, n:], "opacity") == 0).all()


@pytest.mark.parametrize("seconds", [1e-6, 0.05, 60.0])
def test_a_time_budget_gives_all_strokes(seconds: float) -> None:
    target = picture(24, 32)
    rounds = [*paint_picture(POLICY, BRUSH, torch.ones_like(target), target, 40, seconds=seconds)]
    assert sum(len(strokes) for _, strokes in rounds) == 40
    last = paint(torch.ones_like(target), torch.cat([strokes for _, strokes in rounds]), BRUSH)
    torch.testing.assert_close(rounds[-1][0], last, atol=2e-3, rtol=0)


def test_strokes_are_refined_less_as_time_runs_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a clock that counts calls of the planner: a time budget below what all steps need leaves some out."""
    from agents import rollout

    now, steps = [0.0], []
    refine = rollout.paint_refined

    def counted(*arguments: Any, **options: Any) -> Any:
        now[0] += sum(options["steps"])
        steps.append(sum(options["steps"]))
        return refine(*arguments, **options)

    monkeypatch.setattr(rollout, "paint_refined", counted)
    monkeypatch.setattr(rollout.time, "monotonic", lambda: now[0])
    target = picture(24, 32)
    taken = []
    for seconds in (None, 40.0):
        now[0] = 0.0
        steps.clear()
        [*paint_picture(POLICY, BRUSH, torch.ones_like(target), target, 30, seconds=seconds)]
        taken.append(sum(steps))
    assert taken[1] < taken[0]
    assert taken[1] <= 50


def test_strokes_on_a_painted_canvas_are_proposed_on_fine_grids(monkeypatch: pytest.MonkeyPatch) -> None:
    from agents import rollout

    finest = []

    def watched(*arguments: Any, **options: Any) -> Any:
        finest.append(options["grids"][-1])
        return rollout_round(*arguments, **options)

    monkeypatch.setattr(rollout, "rollout_round", watched)
    target = picture(64, 64)
    agent = PolicyAgent(POLICY, BRUSH, NO_PLANNING)
    assert isinstance(agent, AdjustableAgent)
    for existing in (0, 200):
        strokes = [new for _, new in agent.adjusted(existing=existing)(torch.ones_like(target), target, 6)]
        assert sum(map(len, strokes)) == 6
        assert finest[0] == grids_for((64, 64), existing)[-1]
        finest.clear()
    assert grids_for((64, 64), 200)[-1] > grids_for((64, 64), 0)[-1]
