"""Tests of the optimiser and of stroke placement."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from painter.losses.pixels import mse, total_variation
from painter.optimize import OptimizeConfig, OptimizeStep, optimize
from painter.placement import _draw_positions, place
from renderer.brush import Brush, Mark, Window, load_brush
from renderer.canvas import blank, paint
from renderer.constraints import StrokeConstraints
from renderer.strokes import BEZIER

SIZE = (24, 32)
TINY = OptimizeConfig(
    steps=80, stages=3, relocations=2, relocate_fraction=0.2, radius=(0.25, 0.1), geometry_lr=0.02, colour_lr=0.05
)


@pytest.fixture(scope="module")
def brush() -> Brush:
    return load_brush("bezier")


@pytest.fixture(scope="module")
def target() -> Tensor:
    """A red disc on a background that darkens to the right."""
    y, x = torch.meshgrid(torch.arange(SIZE[0]) + 0.5, torch.arange(SIZE[1]) + 0.5, indexing="ij")
    picture = (1 - x / SIZE[1]).expand(3, *SIZE).clone() * 0.7
    disc = (x - 12) ** 2 + (y - 11) ** 2 < 49
    picture[:, disc] = torch.tensor([0.9, 0.2, 0.1])[:, None]
    return picture


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def run(target: Tensor, brush: Brush, count: int, config: OptimizeConfig = TINY, **more) -> list[OptimizeStep]:  # type: ignore[no-untyped-def]
    more.setdefault("generator", generator())
    return list(optimize(target, brush, count, canvas=blank(SIZE), config=config, **more))


def error(strokes: Tensor, target: Tensor, brush: Brush) -> float:
    return float((paint(blank(SIZE), strokes, brush) - target).square().mean())


class Fainter(Brush):
    """A reference brush whose marks are fainter than what a brush has learned."""

    space = BEZIER

    def __init__(self, learned: Brush) -> None:
        self.learned = learned

    def __call__(self, strokes: Tensor, size: tuple[int, int], window: Window | None = None) -> Mark:
        mark = self.learned(strokes, size, window)
        return Mark(0.9 * mark.alpha, mark.colour)


def test_the_errors_of_the_learned_brush_are_made_up_for(
    target: Tensor, brush: Brush, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference, errors = Fainter(brush), []
    for known in (reference, None):
        monkeypatch.setattr(type(brush), "quick_reference", lambda self, known=known: known)
        strokes = run(target, brush, 8, replace(TINY, steps=60, relocations=0))[-1].strokes
        errors.append(error(strokes, target, reference))
    assert errors[0] < 0.8 * errors[1]


def test_loss_falls(target: Tensor, brush: Brush) -> None:
    steps = run(target, brush, 16)
    assert len(steps) == 80
    assert [step.step for step in steps] == list(range(1, 81))
    assert steps[-1].progress == 1
    before = error(torch.zeros(0, 13), target, brush)
    after = error(steps[-1].strokes, target, brush)
    assert before > 0.2
    assert after < 0.008
    assert after == pytest.approx(steps[-1].loss, rel=0.5)


@pytest.mark.parametrize("count", [1, 2, 5, 30])
def test_stroke_count_is_exact(target: Tensor, brush: Brush, count: int) -> None:
    for config in (OptimizeConfig(steps=10), OptimizeConfig(steps=10, stages=50), OptimizeConfig(steps=10, stages=1)):
        strokes = run(target, brush, count, config)[-1].strokes
        assert strokes.shape == (count, 13)
        assert 0 <= strokes.min() <= strokes.max() <= 1
        assert not strokes.requires_grad


def test_constraints_hold_at_every_step(target: Tensor, brush: Brush) -> None:
    constraints = StrokeConstraints(
        opaque=True, min_radius=0.03, max_radius=0.12, palette=torch.tensor([[0.0, 0, 0], [1, 1, 1], [1, 0, 0]])
    )
    steps = run(target, brush, 6, constraints=constraints)
    for step in steps:
        torch.testing.assert_close(constraints.apply(step.strokes, BEZIER), step.strokes, rtol=0, atol=1e-7)
    first, last = (error(steps[i].strokes, target, brush) for i in (0, -1))
    assert last < 0.8 * first, "the error falls within the constraints"


def test_optimisation_is_deterministic(target: Tensor, brush: Brush) -> None:
    first, again = (run(target, brush, 12)[-1].strokes for _ in range(2))
    assert torch.equal(first, again)
    assert not torch.equal(first, run(target, brush, 12, generator=generator(1))[-1].strokes)


def test_start_strokes_are_refined(target: Tensor, brush: Brush) -> None:
    start = place(target, blank(SIZE), 12, radius=0.12, generator=generator())
    before = start.clone()
    for relocations in (0, 2):
        config = OptimizeConfig(steps=40, relocations=relocations, relocate_fraction=0.25)
        refined = run(target, brush, 12, config, start=start)[-1].strokes
        assert refined.shape == start.shape
        assert error(refined, target, brush) < 0.5 * error(start, target, brush)
    assert torch.equal(start, before)
    # After few steps, the strokes are close to the first ones and in the same order.
    near = run(target, brush, 12, OptimizeConfig(steps=3, relocations=0), start=start)[-1].strokes
    assert (near - start).abs().max() < 0.1


def test_batch_equals_single_pictures(target: Tensor, brush: Brush) -> None:
    """With start strokes and no placement."""
    pictures = torch.stack((target, target.flip(-1), 1 - target))
    start = torch.stack(
        [place(picture, blank(SIZE), 6, radius=0.12, generator=generator(i)) for i, picture in enumerate(pictures)]
    )
    config = OptimizeConfig(steps=12, relocations=0)
    canvases = blank(SIZE).expand(3, -1, -1, -1)
    *_, batch = optimize(pictures, brush, 6, canvas=canvases, config=config, start=start)
    single = [run(picture, brush, 6, config, start=start[i])[-1] for i, picture in enumerate(pictures)]
    assert batch.strokes.shape == (3, 6, 13)
    torch.testing.assert_close(batch.strokes, torch.stack([p.strokes for p in single]), rtol=1e-4, atol=1e-4)
    assert batch.loss == pytest.approx(sum(p.loss for p in single) / 3, rel=1e-3)


def test_batch_without_start_strokes(target: Tensor, brush: Brush) -> None:
    pictures = torch.stack((target, target.flip(-1)))
    *_, last = optimize(
        pictures, brush, 16, canvas=blank(SIZE).expand(2, -1, -1, -1), config=TINY, generator=generator()
    )
    for picture, strokes in zip(pictures, last.strokes, strict=True):
        assert error(strokes, picture, brush) < 0.008


def test_stage_shares_set_the_strokes_of_each_stage(target: Tensor, brush: Brush) -> None:
    config = OptimizeConfig(steps=40, relocations=0, stage_shares=(1, 1, 2), growth=0.75)
    counts = [len(step.strokes) for step in run(target, brush, 20, config)]
    assert sorted(set(counts)) == [5, 10, 20]
    assert counts[0] == 5
    assert counts[-1] == 20


def test_penalty_is_followed(target: Tensor, brush: Brush) -> None:
    """A penalty on opacity lowers it."""
    opacity = BEZIER.columns("opacity")
    thick, thin = (
        run(target, brush, 8, penalty=penalty)[-1].strokes[:, opacity].mean()
        for penalty in (None, lambda strokes: strokes[..., opacity].mean((1, 2)))
    )
    assert thin < thick - 0.1


def test_strokes_are_added_to_start_strokes(target: Tensor, brush: Brush) -> None:
    start = place(target, blank(SIZE), 4, radius=0.12, generator=generator())
    config = OptimizeConfig(steps=20, relocations=0, stages=2)
    strokes = run(target, brush, 9, config, start=start)[-1].strokes
    assert strokes.shape == (9, 13)
    assert (strokes[:4] - start).abs().mean() < 0.15
    assert run(target, brush, 3, config, start=start)[-1].strokes.shape == (3, 13)


def test_time_budget_ends(target: Tensor, brush: Brush) -> None:
    steps = run(target, brush, 4, OptimizeConfig(steps=1, seconds=0.2, stages=2))
    assert steps[-1].progress == 1
    assert steps[-1].strokes.shape == (4, 13)


@pytest.mark.parametrize("seconds", [1e-6, 0.02])
def test_a_short_time_budget_gives_all_strokes(target: Tensor, brush: Brush, seconds: float) -> None:
    steps = run(target, brush, 25, OptimizeConfig(seconds=seconds))
    assert len(steps[-1].strokes) == 25


def test_relocated_strokes_are_those_proposed(target: Tensor, brush: Brush) -> None:
    asked = []

    def propose(canvas: Tensor, picture: Tensor, count: int) -> Tensor:
        assert canvas.shape == picture.shape
        asked.append(count)
        return torch.full((count, 13), 0.25)

    config = OptimizeConfig(steps=20, relocations=1, relocate_fraction=0.4, relative_lr=1e-6)
    start = BEZIER.sample(10, generator())
    strokes = run(target, brush, 10, config, start=start, propose=propose)[-1].strokes
    assert asked == [4]
    assert torch.allclose(strokes[6:], torch.tensor(0.25), atol=1e-3)
    kept = (strokes[:6, None] - start).abs().amax(-1).amin(1)  # distance to the nearest of the strokes at the start
    assert (kept < 1e-3).all()


def test_relative_steps_are_in_proportion_to_the_thickness(target: Tensor, brush: Brush) -> None:
    start = torch.full((2, 13), 0.4)
    start[0, 6:8] = 0.8
    moved = run(target, brush, 2, OptimizeConfig(steps=1, relative_lr=0.01), start=start)[-1].strokes - start
    thick, thin = moved[:, :2].abs().amax(-1).tolist()
    assert thick == pytest.approx(2 * thin, rel=0.01)


def test_custom_loss_is_followed(target: Tensor, brush: Brush) -> None:
    """A loss on the red channel leaves green and blue free."""

    def red(canvas: Tensor, target: Tensor) -> Tensor:
        return (canvas[:, :1] - target[:, :1]).square().mean((1, 2, 3))

    strokes = run(target, brush, 12, loss=red)[-1].strokes
    difference = (paint(blank(SIZE), strokes, brush) - target).square().mean((1, 2))
    assert difference[0] < 0.006
    assert difference[0] < 0.5 * difference[1]


def test_perfect_canvas_stays_perfect(brush: Brush) -> None:
    """Strokes are placed also where there is no error."""
    white = torch.ones(3, *SIZE)
    strokes = run(white, brush, 6)[-1].strokes
    assert strokes.shape == (6, 13)
    assert strokes.isfinite().all()
    assert error(strokes, white, brush) < 1e-3


def test_losses() -> None:
    canvas, target = torch.rand(2, 3, 5, 6), torch.rand(2, 3, 5, 6)
    torch.testing.assert_close(mse(canvas, target), torch.stack([((canvas - target)[i] ** 2).mean() for i in (0, 1)]))
    stripes = torch.tensor([0.0, 1.0]).repeat(3).expand(1, 3, 5, 6)
    flat = torch.zeros(1, 3, 5, 6)
    assert total_variation(stripes, flat).tolist() == [1.0]
    assert total_variation(flat, stripes).tolist() == [0.0], "variation of the target is free"
    assert total_variation(stripes, stripes).tolist() == [0.0]


# Placement.


def test_strokes_are_placed_where_the_error_is() -> None:
    target = torch.full((3, 40, 60), 0.5)
    canvas = target.clone()
    canvas[:, 25:35, 40:52] += 0.4
    strokes = place(target, canvas, 30, radius=0.05, generator=generator())
    centre = (BEZIER.get(strokes, "start") + BEZIER.get(strokes, "end")) / 2 * torch.tensor([60, 40])
    near = (centre[:, 0] > 36) & (centre[:, 0] < 56) & (centre[:, 1] > 21) & (centre[:, 1] < 39)
    assert near.float().mean() > 0.9
    torch.testing.assert_close(BEZIER.get(strokes, "colour"), torch.full((30, 3), 0.5))
    torch.testing.assert_close(BEZIER.get(strokes, "radius"), torch.full((30, 2), 0.05))
    torch.testing.assert_close(BEZIER.get(strokes, "opacity"), torch.full((30, 2), 0.9))


@pytest.mark.parametrize("degrees", [0, 30, 90, 120])
def test_strokes_lie_along_an_edge(degrees: int) -> None:
    y, x = torch.meshgrid(torch.arange(48.0) - 23.5, torch.arange(64.0) - 31.5, indexing="ij")
    angle = math.radians(degrees)
    side = x * math.sin(angle) - y * math.cos(angle)  # distance from a line in the direction (cos, sin)
    target = torch.sigmoid(side).expand(3, -1, -1)
    canvas = target + 0.5 * torch.exp(-(x**2 + y**2) / 20)  # error in the middle
    strokes = place(target, canvas, 8, radius=0.06, generator=generator())
    along = (BEZIER.get(strokes, "end") - BEZIER.get(strokes, "start")) * torch.tensor([64.0, 48.0])
    assert along.norm(dim=1) == pytest.approx([3 * 0.06 * 48] * 8, rel=0.02)
    across = (along[:, 0] * math.sin(angle) - along[:, 1] * math.cos(angle)).abs() / along.norm(dim=1)
    assert across.max() < math.sin(math.radians(10))


def test_placed_strokes_repel_each_other() -> None:
    target, canvas = torch.zeros(3, 48, 48), torch.ones(3, 48, 48)
    strokes = place(target, canvas, 12, radius=0.1, generator=generator())
    centre = (BEZIER.get(strokes, "start") + BEZIER.get(strokes, "end")) / 2 * 48
    distance = torch.cdist(centre, centre) + 100 * torch.eye(12)
    assert distance.min(1).values.median() > 4.8, "one radius"


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (2, 40), (16, 16)])
@pytest.mark.parametrize("same", [True, False])
def test_many_strokes_on_small_pictures(size: tuple[int, int], same: bool) -> None:
    """Also without any error, and when every pixel has been drawn many times."""
    target = torch.rand(3, *size, generator=generator())
    canvas = target.clone() if same else torch.ones(3, *size)
    strokes = place(target, canvas, 60, radius=0.25, generator=generator())
    assert strokes.shape == (60, 13)
    assert 0 <= strokes.min() <= strokes.max() <= 1


def test_positions_are_those_of_multinomial() -> None:
    weight = torch.rand(6, 7, generator=generator(1)) ** 4
    for seed in range(20):
        expected = torch.multinomial(weight.flatten(), 1, generator=generator(seed))
        assert _draw_positions(weight, 1, 1.0, generator(seed)).equal(expected)
    # A position that was drawn lowers the weight around it.
    pairs = torch.stack([_draw_positions(weight, 2, 0.5, generator(seed)) for seed in range(40)])
    assert (pairs[:, 0] == pairs[:, 1]).float().mean() < 0.1
