"""Brushes of strips look like their reference brushes: in distribution, at every size, and without a lattice."""

import dataclasses
from pathlib import Path

import pytest
import torch
from torch.nn.functional import avg_pool2d

from renderer.brush import load_brush
from renderer.brushes.mypaint import MYPAINT, MyPaint
from renderer.errors import InputError
from renderer.io.checkpoint import FOLDER, Checkpoint, CheckpointError
from renderer.learned import strips as module
from renderer.learned.fidelity import appearance_distance
from renderer.learned.neural_brush import NeuralBrush
from renderer.learned.strip_brush import StripBrush, load_strips
from renderer.learned.strips import MEANS, PRESSURES, RANKS, Strips, _before_cut, endless, fit_strips
from tests.renderer.brushes.test_mypaint import engine

SHIPPED = [path.stem.removesuffix("-strips") for path in sorted(FOLDER.glob("*-strips.safetensors"))]


def straight(radius: float = 0.05, pressure: float = 0.6) -> torch.Tensor:
    stroke = MYPAINT.default_strokes(1)
    stroke[:, :6] = torch.tensor([0.1, 0.5, 0.5, 0.5, 0.9, 0.5])
    stroke = MYPAINT.put(stroke, "radius", torch.tensor(radius))
    stroke = MYPAINT.put(stroke, "pressure", torch.full((1, 3), pressure))
    return MYPAINT.put(stroke, "opacity", torch.ones(1, 1))


def test_stochastic_brushes_have_strips() -> None:
    assert SHIPPED == ["charcoal", "impressionist"]
    for name in SHIPPED:
        about = Checkpoint.load(f"{name}-strips").about
        assert about["kernel_distance"] < 0.2, "in thousandths; charcoal's GAN has .58"


@engine
def test_strips_are_as_near_to_the_reference_brush_as_another_seed() -> None:
    """The unbiased estimate is 0 on average for another seed, so that its own spread is what it is compared with."""
    reference, gan = MyPaint("charcoal"), load_brush("charcoal")
    brush, other = load_brush("strips:charcoal"), reference.with_seed(1)
    ours, noise, before = (
        [1e3 * appearance_distance(each, reference, 150, seed) for seed in (0, 1)] for each in (brush, other, gan)
    )
    spread = max(map(abs, noise))
    assert sum(ours) / 2 < 2 * max(spread, 0.15)
    assert sum(ours) < 0.5 * sum(before)


@pytest.mark.parametrize("name", SHIPPED)
@pytest.mark.parametrize("radius", [0.02, 0.05, 0.12])
def test_no_lattice(name: str, radius: float) -> None:
    """Along a straight stroke, no frequency of alpha stands out of its neighbourhood."""
    side = 320
    alpha = load_brush(f"strips:{name}")(straight(radius), (side, side)).alpha[0, 0]
    middle, reach = side // 2, max(4, int(radius * side))
    rows = alpha[middle - reach : middle + reach, 40:280]
    power = torch.fft.rfft((rows - rows.mean(1, keepdim=True)) * torch.hann_window(240), dim=1).abs().square().mean(0)
    power = power[12:]  # grains are shorter than a twelfth
    around = power.unfold(0, 15, 1).median(1).values
    assert (power[7:-7] / around.clamp(min=1e-3 * float(power.max()))).max() < 8


@pytest.mark.parametrize("name", SHIPPED)
def test_loops_show_neither_seams_nor_mirror_images(name: str) -> None:
    strips = Strips.load(f"{name}-strips")
    loops, colours = endless(strips)
    assert (colours is None) == (strips.colours is None)
    assert loops.shape[2] > 2.5 * strips.ranks.shape[2], "a loop goes through all strips of a pressure"
    half = 24  # rows on both sides of an axis
    for group, cut in zip(loops[-3:].float(), strips.ranks[-3:].float(), strict=True):  # by pressure
        usual = (cut[:, 1:] - cut[:, :-1]).abs().mean(2).max()
        for loop in group:
            rows = torch.arange(len(loop))
            around = loop[(rows[:, None] + torch.arange(-half, half + 1)) % len(loop)]
            unlike = (around[:, half + 1 :] - around[:, :half].flip(1)).abs().mean((1, 2))
            assert unlike.min() > 0.3 * unlike.mean()
            assert (loop.roll(-1, 0) - loop).abs().mean(1).max() < 1.3 * usual, "nowhere more than in a strip itself"


def test_the_cut_between_strips_runs_where_they_are_equal() -> None:
    first, second = torch.zeros(2, 9, 5).numpy()
    second[:] = 9.0
    for column, row in enumerate((3, 4, 5, 5, 4)):
        second[row, column] = 0
    kept = _before_cut(first, second)
    assert kept.sum(0).tolist() == [3, 4, 5, 5, 4]


@pytest.mark.parametrize("name", SHIPPED)
def test_a_stroke_is_the_same_at_every_size(name: str) -> None:
    brush = load_brush(f"strips:{name}")
    small, large = (brush(straight(), (side, side)).alpha for side in (100, 300))
    mean = brush.mean_brush()(straight(), (100, 100)).alpha
    grain = float((small - mean).abs().mean())
    assert grain > 0.005
    assert float((avg_pool2d(large, 3) - small).abs().mean()) < 0.6 * grain


def test_the_mean_is_kept() -> None:
    brush = load_brush("strips:charcoal")
    assert isinstance(brush, StripBrush)
    strokes = straight().expand(16, -1).clone()
    strokes[:, 1] = strokes[:, 5] = torch.linspace(0.45, 0.55, 16)  # strokes of different noise
    drawn, mean = (each(strokes, (96, 96)).alpha.sum() for each in (brush, brush.mean_brush()))
    assert float(drawn / mean) == pytest.approx(1, abs=0.12)


def test_the_impressionist_varies_its_colour() -> None:
    brush = load_brush("strips:impressionist")
    stroke = MYPAINT.put(straight(), "colour", torch.tensor([[0.6, 0.3, 0.2]]))
    mark = brush(stroke, (96, 96))
    seen = mark.colour[0][:, mark.alpha[0, 0] > 0.5]
    assert seen.std(1).max() > 0.03
    assert (seen.mean(1) - torch.tensor([0.6, 0.3, 0.2])).abs().max() < 0.15


@engine
def test_strips_can_be_cut_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"SAMPLES": 3, "SEEDS": 2, "LENGTH": 8, "UNIT": 6}.items():
        monkeypatch.setattr(module, name, value)
    cut, again = (fit_strips(MyPaint("charcoal"), 3.0, torch.Generator().manual_seed(0)) for _ in range(2))
    assert torch.equal(cut.ranks, again.ranks)
    assert cut.ranks.shape == (len(PRESSURES), 2, 12, 36)
    assert cut.colours is None
    assert (cut.alphas[:, 1:].int() >= cut.alphas[:, :-1].int()).all(), "more of a rank is more alpha"
    assert (cut.alphas[1:].int() >= cut.alphas[:-1].int()).all(), "and of the mean"
    ranks = cut.ranks[-1].float() / 255
    assert 0.4 < float(ranks.mean()) < 0.6, "ranks are uniform"
    cut.save(tmp_path / "a.safetensors", {"kernel_distance": 1.0})
    assert torch.equal(Strips.load(tmp_path / "a.safetensors").alphas, cut.alphas)
    network = NeuralBrush("charcoal", 3.0, hidden=4)
    assert StripBrush(network, cut)(straight(), (24, 24)).alpha.shape == (1, 1, 24, 24)


@pytest.mark.parametrize("name", ["ink", "bezier", "nothing", "../charcoal"])
def test_brushes_without_strips(name: str) -> None:
    with pytest.raises(InputError, match="choose one of charcoal, impressionist"):
        load_strips(name)


def test_what_are_no_strips(tmp_path: Path) -> None:
    ranks, alphas = (
        torch.zeros(len(PRESSURES), 1, 4, 4, dtype=torch.uint8),
        torch.zeros(MEANS, RANKS, dtype=torch.uint8),
    )
    for wrong in ((ranks[:2], alphas), (ranks.float(), alphas), (ranks, alphas[:3]), (ranks, alphas, ranks)):
        with pytest.raises(InputError):
            Strips(*wrong)
    dataclasses.replace(Checkpoint.load("ink"), kind="strips").save(tmp_path / "a.safetensors")
    with pytest.raises(CheckpointError):
        Strips.load(tmp_path / "a.safetensors")
