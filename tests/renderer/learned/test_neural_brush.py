"""A learned brush of MyPaint keeps the contract of every renderer, with any weights; and its own promises."""

import copy
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from painter.optimize import OptimizeConfig, optimize
from renderer.brush import Brush, Window, load_brush
from renderer.brushes.mixed import mixed
from renderer.brushes.mypaint import MYPAINT
from renderer.canvas import blank, over, paint, paint_steps
from renderer.io.checkpoint import Checkpoint, CheckpointError
from renderer.learned.curve_coordinates import ITERATIONS, LEAST, STARTS
from renderer.learned.neural_brush import CAP, NeuralBrush
from renderer.ops import decode_texture, native
from tests.renderer.pretend_gpu import pretend_gpu

SIZE = (30, 42)  # not square
OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {"directed": False, "sized": False},
    "sized and directed": {},
    "grain": {"directed": False, "sized": False, "grain": 2},
    "latent": {"directed": False, "latent": 3},
}


def make(name: str = "plain", **options: Any) -> NeuralBrush:
    """Random weights, with visible marks."""
    torch.manual_seed(0)
    network = NeuralBrush("test", 1.8, **{"hidden": 16, "along": 14, "across": 9, **OPTIONS[name], **options})
    network.requires_grad_(False).eval()
    network.body[-1].get_parameter("weight").mul_(4)
    network.body[-1].get_parameter("bias").add_(0.3)
    return network


@pytest.fixture(params=OPTIONS)
def network(request: pytest.FixtureRequest) -> NeuralBrush:
    return make(request.param)


def sample(n: int, seed: int = 0) -> Tensor:
    strokes = MYPAINT.sample(n, torch.Generator().manual_seed(seed))
    strokes[:, MYPAINT.columns("radius")] *= 0.6
    return strokes


def test_shapes_and_range(network: NeuralBrush) -> None:
    assert isinstance(network, Brush)
    strokes = sample(5)
    mark = network(strokes, SIZE)
    assert mark.alpha.shape == (5, 1, *SIZE)
    assert torch.equal(mark.colour[:, :, 0, 0], MYPAINT.get(strokes, "colour"))
    assert mark.alpha.min() >= 0
    assert mark.alpha.max() <= 1
    assert mark.alpha.flatten(1).amax(1).min() > 0.01, "every stroke is visible"
    assert network(strokes[:0], SIZE).alpha.shape == (0, 1, *SIZE)
    window = Window(torch.tensor([3] * 5), torch.tensor([-4] * 5), 11, 9)
    assert network(strokes, SIZE, window).alpha.shape == (5, 1, 11, 9)


@pytest.mark.parametrize("field", ["opacity", "pressure", "radius"])
def test_without_opacity_pressure_or_radius_nothing_changes(network: NeuralBrush, field: str) -> None:
    strokes = sample(6, 1)
    strokes[:, MYPAINT.columns(field)] = 0
    canvas = torch.rand(6, 3, *SIZE, generator=torch.Generator().manual_seed(2))
    assert torch.equal(over(canvas, network(strokes, SIZE)), canvas)
    assert torch.equal(paint(canvas[0], strokes, network), canvas[0])


def test_pressure_at_one_point_is_visible(network: NeuralBrush) -> None:
    strokes = sample(6, 1)
    strokes[:, MYPAINT.columns("pressure")] = torch.tensor([0.0, 0.0, 1.0])
    assert network(strokes, SIZE).alpha.flatten(1).amax(1).min() > 0.005


def test_opacity_multiplies_the_mark(network: NeuralBrush) -> None:
    strokes = MYPAINT.put(sample(6), "opacity", torch.full((6, 1), 1.0))
    half = MYPAINT.put(strokes, "opacity", torch.full((6, 1), 0.5))
    torch.testing.assert_close(network(half, SIZE).alpha, 0.5 * network(strokes, SIZE).alpha)


def test_a_batch_equals_one_by_one(network: NeuralBrush) -> None:
    strokes = sample(4, 3)
    together = network(strokes, SIZE).alpha
    for i in range(4):
        torch.testing.assert_close(network(strokes[i : i + 1], SIZE).alpha[0], together[i], rtol=0, atol=1e-4)


def test_drawing_is_deterministic(network: NeuralBrush) -> None:
    assert torch.equal(network(sample(3), SIZE).alpha, network(sample(3), SIZE).alpha)


def test_window_equals_crop(network: NeuralBrush) -> None:
    strokes = sample(4, 4)
    whole = torch.nn.functional.pad(network(strokes, SIZE).alpha, (9, 9, 9, 9))
    left, top = torch.tensor([0, 5, 28, -3]), torch.tensor([0, 7, 22, 24])
    window = network(strokes, SIZE, Window(left, top, 11, 10)).alpha
    for i, (x, y) in enumerate(zip(left.tolist(), top.tolist(), strict=True)):
        inside = window[i, :, max(0, -y) : SIZE[0] - y, max(0, -x) : SIZE[1] - x]
        crop = whole[i, :, max(0, y) + 9 :, max(0, x) + 9 :][:, : inside.shape[1], : inside.shape[2]]
        torch.testing.assert_close(inside, crop, rtol=0, atol=1e-5)


def test_bounds_contain_the_mark_and_patches_equal_it(network: NeuralBrush) -> None:
    strokes = sample(30, 5)
    left, top, right, bottom = network.bounds(strokes, SIZE)
    alpha = network(strokes, SIZE).alpha
    patches = network.patches(strokes, SIZE)
    for i in range(30):
        outside = alpha[i, 0].clone()
        outside[top[i] : bottom[i], left[i] : right[i]] = 0
        assert not outside.any()
        below, inside = patches.on(alpha[i], i)
        torch.testing.assert_close(inside, below[0], rtol=0, atol=1e-5)


@pytest.mark.skipif(native.load(decode_texture.SOURCE) is None, reason="there is no C compiler")
@pytest.mark.parametrize("name", ["plain", "sized and directed", "latent"])
@pytest.mark.parametrize("kind", ["any", "thin", "short", "fixed"])
def test_kernel_matches_pytorch(name: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    network, strokes = make(name), sample(24, 16)
    start, end = MYPAINT.columns("start"), MYPAINT.columns("end")
    if kind == "thin":
        strokes[:, MYPAINT.columns("radius")] *= 0.05
    if kind == "short":
        strokes[:, end] = (strokes[:, start] + 0.02 * (strokes[:, end] - 0.5)).clamp(0, 1)
    network.requires_grad_(kind != "fixed")

    def drawn() -> list[Tensor]:
        leaf = strokes.clone().requires_grad_()
        patches = network.patches(leaf, SIZE)
        weight = torch.rand(patches.alpha.shape, generator=torch.Generator().manual_seed(17))
        (patches.alpha * weight).sum().backward()
        weights = [p.grad.clone() for p in network.parameters() if p.grad is not None]
        network.zero_grad()
        assert leaf.grad is not None
        return [patches.alpha.detach(), leaf.grad, *weights]

    fused = drawn()
    monkeypatch.setattr(native, "load_for", lambda *_: None)
    reference = drawn()
    assert len(fused) == len(reference) == 2 + (8 if kind != "fixed" else 0)
    # A pixel on the border of two regions may fall to either side.
    assert ((fused[0] - reference[0]).abs() > 1e-3).float().mean() < 1e-3
    for ours, wanted in zip(fused[1:], reference[1:], strict=True):
        assert (ours - wanted).norm() < 0.01 * wanted.norm()


def test_constants_of_kernel_and_python_match() -> None:
    assert LEAST == 3e-5
    source = decode_texture.SOURCE.read_text()
    found = dict(re.findall(r"#define (\w+) ([\de.-]+)f?\b", source))
    assert found == {
        "NUMBERS": "15",
        "CHUNK": "256",
        "CAP": str(CAP),
        "STARTS": str(STARTS),
        "ITERATIONS": str(ITERATIONS),
        "LEAST": "3e-5",
    }


def test_paint_equals_over(network: NeuralBrush) -> None:
    canvas, strokes = blank(SIZE), sample(6, 6)
    expected = canvas
    for i in range(6):
        expected = over(expected[None], network(strokes[i : i + 1], SIZE))[0]
    torch.testing.assert_close(paint(canvas, strokes, network), expected, rtol=0, atol=1e-4)
    *_, last = paint_steps(canvas, strokes, network)
    torch.testing.assert_close(last, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("field", [field.name for field in MYPAINT.fields])
def test_gradient_into_every_field(network: NeuralBrush, field: str) -> None:
    strokes = (0.25 + 0.5 * sample(8, 7)).requires_grad_()
    goal = torch.rand(8, 3, *SIZE, generator=torch.Generator().manual_seed(6))
    (over(torch.ones(8, 3, *SIZE), network(strokes, SIZE)) - goal).square().sum().backward()
    assert strokes.grad is not None
    assert strokes.grad.isfinite().all()
    assert (strokes.grad[:, MYPAINT.columns(field)].abs().amax(0) > 1e-6).all()


@pytest.mark.parametrize("name", ["plain", "sized and directed", "latent"])
def test_gradients_match_finite_differences(name: str) -> None:
    """Not of a brush with grain, whose position has no gradient."""
    network = copy.deepcopy(make(name)).double()
    strokes = (0.3 + 0.4 * sample(3, 8)).double().requires_grad_()
    weight = torch.rand(3, 1, *SIZE, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
    stroke_noise = network.stroke_noise(strokes)  # which has no gradient
    (network(strokes, SIZE, stroke_noise=stroke_noise).alpha * weight).sum().backward()
    assert strokes.grad is not None
    for column in range(MYPAINT.columns("colour").start):
        step = torch.zeros_like(strokes)
        step[:, column] = 1e-5
        ahead, behind = (
            (network(strokes.detach() + sign * step, SIZE, stroke_noise=stroke_noise).alpha * weight).sum()
            for sign in (1, -1)
        )
        measured, ours = float(ahead - behind) / 2e-5, float(strokes.grad[:, column].sum())
        # Textures have kinks at their nodes, and marks a small step at their reach.
        assert ours == pytest.approx(measured, rel=0.1, abs=0.5)


@pytest.mark.parametrize("axis", [0, 1])
def test_undirected_brush_is_mirrored(axis: int) -> None:
    """For any weights."""
    mirrored = sample(6, 10)
    for field in ("start", "end"):
        mirrored[:, MYPAINT.columns(field).start + axis] = 1 - mirrored[:, MYPAINT.columns(field).start + axis]
    plain, directed = make("plain"), make("sized and directed")
    expected = plain(sample(6, 10), SIZE).alpha.flip(3 - axis)
    assert (plain(mirrored, SIZE).alpha - expected).abs().mean() < 1e-4
    assert (directed(mirrored, SIZE).alpha - directed(sample(6, 10), SIZE).alpha.flip(3 - axis)).abs().mean() > 1e-2


def test_unsized_brush_is_scaled() -> None:
    half = sample(6, 11)
    for field in ("start", "end", "radius"):
        half[:, MYPAINT.columns(field)] /= 2
    large = (2 * SIZE[0], 2 * SIZE[1])
    for name, same in (("plain", True), ("sized and directed", False)):
        network = make(name)
        difference = network(sample(6, 11), SIZE).alpha - network(half, large).alpha[..., : SIZE[0], : SIZE[1]]
        assert bool(difference.abs().max() < 1e-4) is same


def test_marks_do_not_depend_on_resolution() -> None:
    """Marks broader than a few pixels are the same at every size."""
    network, strokes = make("grain"), MYPAINT.put(sample(6, 12), "radius", torch.full((6, 1), 0.2))
    fine = torch.nn.functional.avg_pool2d(network(strokes, (800, 800)).alpha, 4)
    assert (fine - network(strokes, (200, 200)).alpha).abs().mean() < 0.02


def test_grain_differs_between_strokes_and_is_smooth() -> None:
    network = make("grain")
    stroke = MYPAINT.put(sample(1, 13), "start", torch.tensor([[0.3, 0.4]]))
    there, near = (MYPAINT.put(stroke, "bend", MYPAINT.get(stroke, "bend") + step) for step in (0.0, 1e-4))
    assert (network(there, SIZE).alpha - network(near, SIZE).alpha).abs().max() < 0.02
    alike = (network(there, SIZE, mean=True).alpha, network(near, SIZE, mean=True).alpha)
    assert (alike[0] - network(there, SIZE).alpha).abs().max() > 0.02, "the mean brush has no grain"


@pytest.mark.parametrize("name", OPTIONS)
def test_checkpoint_round_trip(name: str, tmp_path: Path) -> None:
    network = make(name, myb="{}")
    config: dict[str, Any] = {
        "brush": "test",
        "reach": 1.8,
        "hidden": 16,
        "along": 14,
        "across": 9,
        **OPTIONS[name],
        "myb": "{}",
    }
    Checkpoint("neural-brush", config, network.state_dict(), MYPAINT).save(tmp_path / "some.safetensors")
    loaded = load_brush(str(tmp_path / "some.safetensors"))
    assert isinstance(loaded, NeuralBrush)
    assert (loaded.brush, loaded.myb) == ("test", "{}")
    assert torch.equal(loaded(sample(3), SIZE).alpha, network(sample(3), SIZE).alpha)


@pytest.mark.parametrize("change", [{"along": 2 * CAP + 1}, {"across": 2}, {"reach": 0.0}])
def test_invalid_textures(change: dict, tmp_path: Path) -> None:
    config: dict[str, Any] = {"brush": "test", "reach": 1.8, **change}
    with pytest.raises(ValueError, match="hold a stroke"):
        NeuralBrush(**config)
    Checkpoint("neural-brush", config, {}, MYPAINT).save(tmp_path / "some.safetensors")
    with pytest.raises(CheckpointError, match="cannot build a neural-brush"):
        load_brush(str(tmp_path / "some.safetensors"))


@pytest.mark.parametrize("name", OPTIONS)
def test_another_device_gives_the_same_result(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "load_for", lambda *_: None)  # as on a GPU

    def everything(device: torch.device) -> list[Tensor]:
        network, strokes = make(name).to(device), sample(4, 15).to(device).requires_grad_()
        canvas = blank(SIZE, device=device)
        painted = paint(canvas, strokes, network)
        painted.square().sum().backward()
        patches = network.patches(strokes.detach(), SIZE)
        assert strokes.grad is not None
        return [painted.detach(), strokes.grad, patches.alpha]

    expected = everything(torch.device("cpu"))
    with pretend_gpu() as device:
        actual = everything(device)
    for ours, wanted in zip(actual, expected, strict=True):
        torch.testing.assert_close(ours.detach().inner, wanted, rtol=1e-3, atol=1e-3)


def test_strokes_can_be_optimised(network: NeuralBrush) -> None:
    target = paint(blank(SIZE), sample(4, 14), network)
    generator = torch.Generator().manual_seed(0)
    config = OptimizeConfig(steps=40, stages=2, radius=(0.1, 0.05))
    steps = list(optimize(target, network, 8, canvas=blank(SIZE), config=config, generator=generator))
    assert steps[-1].strokes.shape == (8, MYPAINT.width)
    assert steps[-1].loss < 0.5 * steps[0].loss


def test_mean_brush_has_no_grain() -> None:
    brush, strokes = make("grain"), sample(6)
    owner = torch.arange(6).repeat_interleave(50)
    x, y = torch.rand(2, 300, generator=torch.Generator().manual_seed(1)) * 30
    mean = brush.at(strokes, SIZE, owner, x, y, mean=True)
    torch.testing.assert_close(brush.mean_brush().at(strokes, SIZE, owner, x, y), mean)
    assert (brush.at(strokes, SIZE, owner, x, y) - mean).abs().max() > 0.01
    assert brush.mean_brush().myb == brush.myb
    plain = make("plain")
    assert plain.mean_brush() is plain
    assert mixed([brush, plain]).mean_brush().brushes[1] is plain


@pytest.mark.parametrize("kernel", [True, False])
def test_almost_dots_have_finite_gradients(kernel: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Strokes of all lengths down to 0, with values at the ends of their ranges, as optimisers produce them."""
    if not kernel:
        monkeypatch.setattr(native, "load", lambda _: None)
    network, generator = make("sized and directed"), torch.Generator().manual_seed(0)
    for side in (8, 24, 64):
        strokes = MYPAINT.sample(200, generator)
        snap = torch.rand(strokes.shape, generator=generator)
        strokes[snap < 0.15], strokes[snap > 0.85] = 0.0, 1.0
        # Strokes to the left are opposite to the direction of dots.
        way = -(10 ** (-2 - 2 * torch.rand(200, 1, generator=generator))) * torch.tensor([1.0, 0.0])
        strokes[:, MYPAINT.columns("end")] = (strokes[:, MYPAINT.columns("start")] + way).clamp(0, 1)
        strokes.requires_grad_()
        (paint(blank((side, side)), strokes, network) - 0.3).square().sum().backward()
        assert strokes.grad is not None
        assert strokes.grad.isfinite().all()


@pytest.mark.parametrize("name", ["ink", "watercolour", "charcoal", "impressionist"])
@pytest.mark.parametrize("field", ["radius", "pressure"])
def test_a_stroke_that_vanished_can_come_back(name: str, field: str) -> None:
    brush = load_brush(name)
    strokes = MYPAINT.default_strokes(1)
    strokes[:, :6] = torch.tensor([0.2, 0.4, 0.5, 0.5, 0.8, 0.6])
    strokes[:, MYPAINT.columns("colour")] = 0
    target = paint(torch.ones(3, 24, 32), strokes, brush)
    gone = MYPAINT.put(strokes, field, torch.tensor(0.0))
    for _ in range(30):
        gone.requires_grad_()
        painted = paint(torch.ones(3, 24, 32), gone, brush)
        loss = (painted - target).square().sum()
        (gradient,) = torch.autograd.grad(loss, gone)
        if not bool((gone[:, MYPAINT.columns(field)] > 0).any()):
            assert torch.equal(painted, torch.ones(3, 24, 32)), "without pressure or radius, no mark"
            first = loss.detach()
        assert gradient[:, MYPAINT.columns(field)].abs().sum() > 0
        step = torch.zeros_like(gone)
        step[:, MYPAINT.columns(field)] = 0.02 * gradient[:, MYPAINT.columns(field)].sign()
        gone = (gone - step).clamp(0, 1).detach()
    assert loss < 0.6 * first
