"""Brushes of scanned strips. `tests/renderer/test_brush.py` has the contract."""

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from renderer.brush import load_brush
from renderer.brushes.mixed import MixedReference
from renderer.brushes.mypaint import MYPAINT
from renderer.brushes.scanned import ACROSS, CAP, MAX_STRIPS, UNIT, Scanned, is_strips
from renderer.errors import InputError
from renderer.io.painting import Painting, reference_brush

ONE_LINE = r"^[^\n]+\.$"
SIDE = 96


def strips(lengths: tuple[float, ...] = (3, 6, 12, 12), seed: int = 0) -> list[Tensor]:
    """Marks with square ends, lengths in radii, and bristles of random strength."""
    generator = torch.Generator().manual_seed(seed)
    parts = []
    for length in lengths:
        strip = torch.zeros(round(length * UNIT) + 2 * CAP, ACROSS)
        inner = slice(CAP - UNIT, ACROSS - CAP + UNIT)
        bristles = 0.4 + 0.6 * torch.rand(2 * UNIT, generator=generator)
        strip[CAP - UNIT : -CAP + UNIT, inner] = bristles
        parts.append((255 * strip).to(torch.uint8))
    return parts


def brush(seed: int = 0) -> Scanned:
    return Scanned("made-up", strips(), seed)


def stroke(**values: object) -> Tensor:
    even = {"start": [0.2, 0.5], "bend": [0.5, 0.5], "end": [0.8, 0.5], "radius": 0.1, "pressure": 1, "opacity": 1}
    strokes = torch.zeros(1, MYPAINT.width)
    for field, value in {**even, **values}.items():
        strokes = MYPAINT.put(strokes, field, torch.tensor(value, dtype=torch.float32))
    return strokes


def test_a_strip_lies_along_the_path() -> None:
    """Its length, ends and breadth are those of the stroke."""
    strip = torch.zeros(6 * UNIT + 2 * CAP, ACROSS, dtype=torch.uint8)
    strip[CAP - UNIT : -CAP + UNIT, CAP - UNIT : CAP] = 255  # only left of the path
    alpha = Scanned("half", [strip])(stroke(radius=0.125), (SIDE, SIDE)).alpha[0, 0]
    radius, middle = SIDE / 8, SIDE // 2
    assert alpha[middle - int(radius) + 1 : middle - 1, SIDE // 2].min() > 0.9
    assert alpha[middle + 1 :].max() < 0.1
    seen = (alpha[middle - 4] > 0.5).nonzero()[:, 0]
    assert seen.min() == pytest.approx(0.2 * SIDE - radius, abs=1.5)
    assert seen.max() == pytest.approx(0.8 * SIDE + radius, abs=1.5)


def test_strips_are_chosen_by_proportions_and_noise() -> None:
    """Equal strokes take equal strips, strokes elsewhere others; a short one never a long one."""
    one, other = brush(), brush(seed=1)
    strokes = MYPAINT.sample(60, torch.Generator().manual_seed(0))
    long, short = one._choose(strokes, torch.full((60,), 12.0)), one._choose(strokes, torch.full((60,), 3.0))
    assert set(long.tolist()) == {1, 2, 3}
    assert set(short.tolist()) == {0, 1, 2}
    assert torch.equal(long, one._choose(strokes, torch.full((60,), 12.0)))
    assert not torch.equal(long, other._choose(strokes, torch.full((60,), 12.0)))
    assert torch.equal(other(strokes, (20, 20)).alpha, one.with_seed(1)(strokes, (20, 20)).alpha)


def test_pressure_is_the_breadth_and_thin_strokes_fade() -> None:
    one = Scanned("one", strips((6,)))

    def breadth(pressure: object, at: float, radius: float = 0.1) -> float:
        alpha = one(stroke(pressure=pressure, radius=radius), (SIDE, SIDE)).alpha[0, 0]
        return float(alpha[:, round(at * SIDE)].sum())

    assert breadth(0.5, 0.5) == pytest.approx(breadth(1, 0.5) / 2, rel=0.2)
    assert breadth([0.2, 0.6, 1.0], 0.25) < 0.5 * breadth([0.2, 0.6, 1.0], 0.75)
    assert breadth(0, 0.5) == breadth(1, 0.5, 0.0) == 0
    hair = breadth(1, 0.5, 0.004), breadth(1, 0.5, 0.002), breadth(1, 0.5, 0.001)
    assert hair[0] > hair[1] > hair[2] > 0
    assert hair[1] == pytest.approx(2 * hair[2], rel=0.05)


def test_marks_are_alike_at_any_size() -> None:
    """A large mark averaged down is nearly the small one."""
    strokes = stroke(bend=[0.2, 0.8], end=[0.8, 0.7])
    small = brush()(strokes, (64, 64)).alpha
    large = torch.nn.functional.avg_pool2d(brush()(strokes, (256, 256)).alpha, 4)
    assert (small - large).abs().mean() < 0.01


def test_save_load_and_load_brush(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    brush().save("mine.safetensors")
    strokes = MYPAINT.sample(5, torch.Generator().manual_seed(1))
    expected = brush()(strokes, (40, 30)).alpha
    for name in ("mine.safetensors", "mine"):
        loaded = load_brush(name)
        assert isinstance(loaded, Scanned)
        assert loaded.name == "made-up"
        assert torch.equal(loaded(strokes, (40, 30)).alpha, expected)
    assert isinstance(load_brush("mine+mine"), MixedReference)


def test_a_painting_holds_the_strips(tmp_path: Path) -> None:
    """So that it is drawn again without the file of the brush."""
    strokes = MYPAINT.sample(5, torch.Generator().manual_seed(1))
    painting = Painting.by(brush(), strokes, (40, 30))
    expected = painting.render(brush=brush())
    painting.save(tmp_path / "p.safetensors")
    again = Painting.load(tmp_path / "p.safetensors")
    assert torch.equal(again.render(), expected)
    assert isinstance(reference_brush(MYPAINT, (8, 8), again.provenance), Scanned)


@pytest.mark.parametrize(
    "change",
    [
        {"rows": []},
        {"rows": [10**9]},
        {"rows": "many"},
        {"rows": [2 * CAP + 1]},
        {"alpha": "%%%"},
        {"alpha": "AAAA"},
        {"alpha": 5},
        {"format": "kaokore-strips/9"},
    ],
)
def test_damaged_text(change: dict[str, object]) -> None:
    text = brush().provenance()["myb"]
    assert is_strips(text)
    assert len(Scanned.from_text("mine", text).strips) == 4
    with pytest.raises(InputError, match=ONE_LINE):
        Scanned.from_text("mine", json.dumps(json.loads(text) | change))


def test_invalid_strips() -> None:
    good = strips((3,))[0]
    for wrong in (
        [],
        [good] * (MAX_STRIPS + 1),
        [good.float()],
        [good[:, 1:]],
        [good[: 2 * CAP]],
        [good * 0],
        [good[0]],
    ):
        with pytest.raises(InputError, match=ONE_LINE):
            Scanned("mine", wrong)


def test_damaged_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.safetensors"
    brush().save(path)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(InputError, match=ONE_LINE):
        load_brush(str(path))
