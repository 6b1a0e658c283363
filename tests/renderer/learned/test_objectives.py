"""The training objectives of neural brushes, their data and their measures."""

import copy
from dataclasses import asdict
from typing import Any

import pytest
import torch

from renderer.brush import Window
from renderer.brushes.mypaint import MYPAINT, MyPaint
from renderer.learned.data import (
    BrushPoints,
    BrushViews,
    Points,
    Pool,
    RandomNormals,
    Views,
    Zipped,
    iterate,
    on_path,
    painterly,
)
from renderer.learned.fidelity import appearance_distance, fidelity, traits
from renderer.learned.neural_brush import NeuralBrush
from renderer.learned.objectives import Critic, Encoder, fit_adversarially, fit_variationally, point_loss
from renderer.learned.stochastic import TILE
from renderer.learned.train import Progress, fit
from tests.renderer.brushes.test_mypaint import engine

SMALL: dict[str, Any] = {"hidden": 16, "along": 14, "across": 9}


def teacher(**options: Any) -> NeuralBrush:
    """Another network in place of the reference brush, where only its marks matter."""
    torch.manual_seed(1)
    network = NeuralBrush("test", 1.5, False, False, **{**SMALL, **options}).requires_grad_(False)
    network.body[-1].get_parameter("weight").mul_(6)
    return network


def points(brush: NeuralBrush, n: int = 6, places: int = 60) -> Points:
    generator = torch.Generator().manual_seed(2)
    strokes = painterly(n, generator)
    owner = torch.arange(n).repeat_interleave(places)
    x, y = (at.flatten().floor() + 0.5 for at in on_path(strokes, 48, torch.rand(n, places, generator=generator)))
    return Points(strokes, (48, 48), owner, x, y, brush.at(strokes, (48, 48), owner, x, y))


def views(brush: NeuralBrush, side: int = 64, n: int = 4) -> Views:
    strokes = painterly(n, torch.Generator().manual_seed(3))
    zero = torch.zeros(n, dtype=torch.long)
    return Views(strokes, (side, side), zero, zero, brush(strokes, (side, side), Window(zero, zero, side, side)).alpha)


def test_painterly_strokes() -> None:
    strokes = painterly(4000, torch.Generator().manual_seed(0))
    assert strokes.shape == (4000, MYPAINT.width)
    assert 0 <= strokes.min() <= strokes.max() <= 1
    assert torch.equal(strokes[:, MYPAINT.columns("opacity")], torch.ones(4000, 1))
    length = (MYPAINT.get(strokes, "end") - MYPAINT.get(strokes, "start")).norm(dim=1)
    radius = MYPAINT.get(strokes, "radius")[:, 0]
    assert (length <= 12.01 * radius)[:2000].all(), "short ones"
    assert radius[2000:3000].mean() < 0.5 * radius[3000:].mean(), "thin ones"
    even = MYPAINT.get(strokes, "pressure").std(1) < 1e-6
    assert even[::2].all()
    assert not even[1::2].any()


def test_pool_changes_its_order_every_pass() -> None:
    batches = [torch.tensor(i) for i in range(5)]
    pool = Pool(batches, 14, seed=1)
    seen = [int(pool[i]) for i in range(len(pool))]
    assert len(seen) == 14
    assert sorted(seen[:5]) == sorted(seen[5:10]) == list(range(5))
    assert seen[:5] != seen[5:10]
    assert [int(Pool(batches, 14, seed=1)[i]) for i in (13, 2, 7)] == [seen[13], seen[2], seen[7]], (
        "in any order of access"
    )
    assert [int(Pool(batches, 14, seed=2)[i]) for i in range(14)] != seen


def test_random_normals_depend_on_seed_and_index_alone() -> None:
    (a, b), (c, _) = RandomNormals(((2, 3), (4,)), 9, 1)[5], RandomNormals(((2, 3), (4,)), 9, 1)[6]
    assert (a.shape, b.shape) == ((2, 3), (4,))
    assert torch.equal(a, RandomNormals(((2, 3), (4,)), 9, 1)[5][0])
    assert not torch.equal(a, c)
    assert len(Zipped(RandomNormals(((1,),), 4, 0), RandomNormals(((1,),), 7, 0))) == 4


def student(**options: Any) -> NeuralBrush:
    torch.manual_seed(0)
    return NeuralBrush("test", 1.5, False, False, **{**SMALL, **options})


def test_reconstruction_learns() -> None:
    network, data = student(hidden=32), Pool([points(teacher())], 300, 0)
    optimizer = torch.optim.Adam(network.parameters())
    losses = [p.loss for p in fit(network, optimizer, data, 0, 1e-2, 0, point_loss)]
    assert losses[-1] < 0.1 * losses[0]


def adversarial(steps: int) -> tuple[dict[str, Any], Any]:
    network = student(grain=2)
    critic = Critic(8)
    objects = {
        "network": network,
        "critic": critic,
        "optimizer": torch.optim.Adam(network.parameters()),
        "critic_optimizer": torch.optim.Adam(critic.parameters()),
    }
    true = teacher(grain=2)
    data = Zipped(Pool([points(true)], steps, 0), Pool([views(true, 48)], steps, 0))
    return objects, Zipped(*data.sets, RandomNormals(((2, TILE, TILE), (4, 2)), steps, 0))


def variational(steps: int) -> tuple[dict[str, Any], Any]:
    network, encoder = student(latent=2), Encoder(2, 4)
    objects = {
        "network": network,
        "encoder": encoder,
        "optimizer": torch.optim.Adam([*network.parameters(), *encoder.parameters()]),
    }
    return objects, Zipped(Pool([views(teacher(latent=2))], steps, 0), RandomNormals(((4, 2),), steps, 0))


def run(form: str, objects: dict[str, Any], data: Any, done: int = 0, stop: int | None = None) -> list[Progress]:
    function: Any = fit_adversarially if form == "gan" else fit_variationally
    taken = []
    for progress in function(**objects, data=data, done=done, learning_rate=5e-3):
        taken.append(progress)
        if progress.step == stop:
            break
    return taken


FORMS: dict[str, Any] = {"gan": adversarial, "vae": variational}


@pytest.mark.parametrize("form", FORMS)
def test_every_part_is_trained(form: str) -> None:
    objects, data = FORMS[form](60)
    before = {name: copy.deepcopy(part.state_dict()) for name, part in objects.items() if "optimizer" not in name}
    taken = run(form, objects, data)
    assert [progress.step for progress in taken] == list(range(1, 61))
    assert taken[-1].loss < 0.7 * taken[0].loss
    for name, weights in before.items():
        for key, parameter in objects[name].named_parameters():
            assert not torch.equal(parameter, weights[key]), f"{name}.{key}"


@pytest.mark.parametrize("form", FORMS)
def test_an_interrupted_training_ends_as_an_uninterrupted_one(form: str) -> None:
    whole, data = FORMS[form](6)
    run(form, whole, data)
    first, data = FORMS[form](6)
    run(form, first, data, stop=4)
    second, data = FORMS[form](6)
    for name, part in second.items():
        part.load_state_dict(copy.deepcopy(first[name].state_dict()))
    assert [progress.step for progress in run(form, second, data, done=4)] == [5, 6]
    for ours, wanted in zip(second["network"].parameters(), whole["network"].parameters(), strict=True):
        assert torch.equal(ours, wanted)


def test_appearance_distance() -> None:
    brush, other = teacher(), student(hidden=8)
    assert appearance_distance(brush, brush, 40, seed=0) == pytest.approx(0, abs=1e-12)
    assert appearance_distance(other, brush, 40, seed=0) > 1e-4
    # Since pairs are left out, other noise of the same brush is no distance.
    grainy = teacher(grain=2)
    elsewhere = copy.deepcopy(grainy)
    assert elsewhere.grain is not None
    elsewhere.grain.noise.copy_(torch.randn(2, TILE, TILE, generator=torch.Generator().manual_seed(5)))
    assert abs(appearance_distance(elsewhere, grainy, 300, seed=0)) < 0.3 * appearance_distance(
        other, grainy, 300, seed=0
    )


@engine
@pytest.mark.parametrize(
    ("name", "directed", "sized"),
    [("ink", False, False), ("kabura", False, True), ("calligraphy", True, True), ("charcoal", False, False)],
)
def test_traits(name: str, directed: bool, sized: bool) -> None:
    """As measured in docs/brushes.md."""
    found = traits(MyPaint(name))
    assert (found.directed, found.sized) == (directed, sized)
    assert 1 < found.reach < 6


@engine
def test_points_match_the_reference_brush() -> None:
    brush = MyPaint("ink")
    data = BrushPoints(brush, 2.4, 8, 10, seed=1, places=40, sides=(40, 64))
    batch, again = data[3], data[3]
    assert torch.equal(batch.strokes, again.strokes)
    assert torch.equal(batch.x, again.x)
    assert torch.equal(batch.alpha, again.alpha)
    assert batch.size == (64, 64)
    alpha = brush(batch.strokes, batch.size).alpha[batch.owner.long(), 0, batch.y.long(), batch.x.long()]
    torch.testing.assert_close(batch.alpha, alpha.clamp(0, 1))
    assert (batch.alpha > 0.5).float().mean() > 0.1
    assert (batch.alpha == 0).float().mean() > 0.1
    assert not torch.equal(data[4].strokes, batch.strokes)
    other = [part.alpha for part in iterate(data, workers=1)]
    assert torch.equal(other[3], batch.alpha), "from any process"


@engine
@pytest.mark.parametrize("whole", [True, False])
def test_views_match_the_reference_brush(whole: bool) -> None:
    brush = MyPaint("charcoal")
    batch = BrushViews(brush, 6, 5, seed=0, side=32, whole=whole)[1]
    assert batch.alpha.shape == (6, 1, 32, 32)
    assert batch.size == ((32, 32) if whole else (96, 96))
    torch.testing.assert_close(brush(batch.strokes, batch.size, batch.window).alpha.clamp(0, 1), batch.alpha)


@engine
def test_fidelity_of_the_reference_brush_is_perfect() -> None:
    brush = MyPaint("pencil")
    figures = fidelity(brush, brush, 20, seed=0)
    assert figures["alpha_mse"] == 0
    assert figures["kernel_distance"] == pytest.approx(0, abs=1e-9)
    assert figures["alpha_mse_of_noise"] > 1e-5, "a stochastic brush"
    assert asdict(traits(brush))["reach"] > 1
