"""Paintings drawn in a material: the same at every size, about as planned on average, and only where it is asked for."""

import itertools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn.functional import avg_pool2d

from renderer.brush import load_brush
from renderer.brushes.mypaint import MYPAINT
from renderer.errors import InputError
from renderer.io.images import to_bytes
from renderer.io.painting import Painting
from renderer.material import surface
from renderer.material.deposit import stroke_numbers
from renderer.material.finish import Finish
from renderer.material.lighting import lit
from renderer.material.materials import Material, load_material, material_names, register_material
from renderer.material.path_coordinates import coordinates
from renderer.strokes import BEZIER

COLOURED = ("oil", "impressionist", "watercolour", "gouache", "pastel")


def bezier_strokes(count: int = 6) -> torch.Tensor:
    strokes = BEZIER.sample(count, torch.Generator().manual_seed(1))
    strokes = BEZIER.put(strokes, "radius", 0.02 + 0.3 * BEZIER.get(strokes, "radius"))
    return BEZIER.put(strokes, "opacity", 0.4 + 0.6 * BEZIER.get(strokes, "opacity"))


@pytest.fixture(scope="module")
def painting() -> Painting:
    return Painting(bezier_strokes(), BEZIER, 32, 40)


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Surfaces are drawn at a third of their usual size, which shows the same logic sooner."""
    monkeypatch.setattr(surface, "LEAST_SHORT", 256)


@pytest.mark.parametrize("name", [name for name in material_names() if name != "none"])
def test_a_material_is_seen_and_keeps_the_painting(painting: Painting, name: str) -> None:
    plain, drawn = painting.render(256), painting.render(256, finish=Finish(name, paper="none", relief=0))
    assert drawn.shape == plain.shape
    assert float(drawn.min()) >= 0
    assert float(drawn.max()) <= 1
    assert float((drawn - plain).abs().mean()) > 0.002
    if name in COLOURED:
        coarse = avg_pool2d(drawn - plain, 32)
        assert float(coarse.abs().mean()) < 0.05, "about as much is covered"
    assert torch.equal(drawn, painting.render(256, finish=Finish(name, paper="none", relief=0)))


@pytest.mark.parametrize("name", ["oil", "watercolour", "charcoal"])
def test_a_larger_canvas_shows_the_same_material(painting: Painting, name: str) -> None:
    finish = Finish(name)
    small, large = painting.render(320, finish=finish), painting.render(960, finish=finish)
    plain = float((small - painting.render(320)).abs().mean())
    assert float((avg_pool2d(large, 3) - small).abs().mean()) < 0.45 * plain, (
        "small surfaces are drawn larger than here"
    )


def test_nothing_is_added_unless_asked_for(painting: Painting, tmp_path: Path) -> None:
    recorded = painting.with_finish(Finish("oil"))
    plain = painting.render(256)
    assert torch.equal(recorded.render(256), plain), "metrics see the bare strokes"
    assert torch.equal(recorded.render(256, finish=Finish()), plain)
    recorded.save(tmp_path / "a.safetensors")
    read = Painting.load(tmp_path / "a.safetensors")
    assert read.finish == Finish("oil")
    read.export(tmp_path / "a.png", size=256)
    read.export(tmp_path / "b.png", size=256, finish=Finish())
    with Image.open(tmp_path / "a.png") as a, Image.open(tmp_path / "b.png") as b:
        assert np.array_equal(np.asarray(a), to_bytes(painting.render(256, finish=Finish("oil"))))
        assert np.array_equal(np.asarray(b), to_bytes(plain))
    assert read.with_finish(None).finish is None


@pytest.mark.parametrize("size", [60, 256])  # drawn several times as large, and as it is
def test_a_video_ends_with_the_painting(painting: Painting, size: int) -> None:
    finish = Finish("oil", ground="gold")
    frames = [(canvas.clone(), boxes) for canvas, boxes in painting.changes(4, size, finish=finish)]
    assert torch.allclose(frames[-1][0], painting.render(size, finish=finish), atol=1e-5)
    for (before, _), (after, boxes) in itertools.pairwise(frames):
        changed = (before != after).any(0)
        for left, top, width, height in boxes:
            changed[top : top + height, left : left + width] = False
        assert not changed.any(), "boxes hold what has changed"


def test_a_stroke_has_its_own_noise(painting: Painting) -> None:
    strokes = BEZIER.put(
        BEZIER.put(bezier_strokes(2), "radius", torch.full((2, 2), 0.05)), "bend", torch.full((2, 2), 0.5)
    )
    strokes[0, :2], strokes[0, 4:6] = torch.tensor([0.1, 0.1]), torch.tensor([0.4, 0.1])
    strokes[1, :2], strokes[1, 4:6] = torch.tensor([0.1, 0.9]), torch.tensor([0.4, 0.9])
    both = Painting(strokes, BEZIER, 40, 40)
    one = both.edit(remove=[0])
    finish = Finish("oil")
    images = [each.render(256, finish=finish)[:, 128:] for each in (both, one)]
    assert torch.allclose(*images, atol=1e-6), "whatever other strokes there are"
    assert not np.array_equal(stroke_numbers(strokes[0].numpy(), 0), stroke_numbers(strokes[1].numpy(), 0))
    assert not np.array_equal(stroke_numbers(strokes[0].numpy(), 0), stroke_numbers(strokes[0].numpy(), 1))


def test_bands_do_not_show(painting: Painting, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = painting.render(256, finish=Finish("oil"))
    monkeypatch.setattr(surface, "AT_ONCE", 5_000)
    banded = painting.render(256, finish=Finish("oil"))
    difference = (whole - banded).abs().amax(0)
    assert float((difference > 0.02).float().mean()) < 0.002


def test_brushes_of_other_spaces() -> None:
    strokes = MYPAINT.sample(3, torch.Generator().manual_seed(0))
    painting = Painting(strokes, MYPAINT, 32, 32, provenance={"brush": "ink"})
    brush = load_brush("ink")
    drawn = painting.render(256, brush, Finish("ink"))
    assert float((drawn - painting.render(256, brush)).abs().mean()) > 0.005


def test_coordinates_along_and_across() -> None:
    stroke = BEZIER.default_strokes(1)
    stroke[0, :2], stroke[0, 4:6] = torch.tensor([0.2, 0.5]), torch.tensor([0.8, 0.5])
    box = torch.tensor([[0, 0, 100, 100]])
    (path,) = coordinates(stroke, BEZIER, (100, 100), box)
    assert path.length == pytest.approx(60, abs=0.1)
    assert path.along[50, 49] == pytest.approx(29.5, abs=0.1)
    assert path.along[50, 9] == pytest.approx(-10.5, abs=0.3)
    assert path.along[50, 89] == pytest.approx(69.5, abs=0.3)
    assert path.across[59, 49] == pytest.approx(9.5, abs=0.1)


def test_light_changes_only_what_is_not_flat() -> None:
    colour, height = np.full((40, 40, 3), 0.5, np.float32), np.zeros((40, 40), np.float32)
    assert np.allclose(lit(colour, height, 40, relief=1, azimuth=135, gloss=0.5), colour, atol=1e-6)
    y, x = np.mgrid[:40, :40]
    height += np.exp(-((x - 20) ** 2 + (y - 20) ** 2) / 50).astype(np.float32) * 0.02
    assert lit(colour, height, 40, relief=0, azimuth=135) is colour
    left = lit(colour, height, 40, relief=1, azimuth=180)
    assert left[20, 14].mean() > 0.52 > 0.48 > left[20, 26].mean()
    above = lit(colour, height, 40, relief=1, azimuth=90)
    assert above[14, 20].mean() > 0.52 > 0.48 > above[26, 20].mean()


def test_a_material_of_ones_own(painting: Painting) -> None:
    register_material("crayon", replace(load_material("pastel"), streaks=0.1))
    painting.render(64, finish=Finish("crayon"))
    with pytest.raises(InputError, match="between -10 and 10"):
        Material(hairs=float("nan"))
    with pytest.raises(InputError, match="softness"):
        Material(softness=0)


@pytest.mark.parametrize(
    "wrong",
    [{"material": "mud"}, {"paper": "vellum"}, {"ground": "mud"}, {"relief": 2.0}, {"relief": -0.1}, {"light": 1e9}],
)
def test_wrong_finishes(wrong: dict[str, object], tmp_path: Path, painting: Painting) -> None:
    with pytest.raises(InputError):
        Finish(**wrong)  # type: ignore[arg-type]
    record = {**Finish().record(), **wrong}
    replace(painting, provenance={"finish": record}).save(tmp_path / "a.safetensors")
    with pytest.raises(InputError, match="records a finish that cannot be drawn"):
        Painting.load(tmp_path / "a.safetensors").export(tmp_path / "a.png", size=64)


@pytest.mark.parametrize("record", [3, "oil", [], {"materials": "oil"}, {"relief": "1"}])
def test_damaged_records(record: object, painting: Painting) -> None:
    with pytest.raises(InputError, match="records a finish"):
        _ = replace(painting, provenance=json.loads(json.dumps({"finish": record}))).finish
