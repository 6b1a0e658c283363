"""The public API: what `Painter` accepts, promises and refuses."""

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from agents.planner import Planning
from painter import OptimizeConfig, Painter, Painting, Step, StrokeConstraints
from painter.losses import mse
from painter.refine import Region
from renderer.canvas import blank
from renderer.errors import InputError
from renderer.io.layered import Layer, layers_of
from renderer.strokes import BEZIER

FEW_STEPS = OptimizeConfig(steps=60)


def photograph(height: int = 24, width: int = 36, seed: int = 0) -> torch.Tensor:
    """A smooth image (3, H, W) of a few colours, on the 8-bit grid."""
    coarse = torch.rand(1, 3, 4, 6, generator=torch.Generator().manual_seed(seed))
    smooth = torch.nn.functional.interpolate(coarse, (height, width), mode="bilinear")[0]
    return (smooth * 255).round() / 255


@pytest.fixture(scope="module")
def agent() -> Painter:
    return Painter("agent", device="cpu")


@pytest.fixture(scope="module")
def optimizer() -> Painter:
    return Painter("optimize", device="cpu", config=FEW_STEPS)


def error(painting: Painting, image: torch.Tensor) -> float:
    return (painting.render() - image).square().mean().item()


@pytest.mark.parametrize("method", ["agent", "optimize", "hybrid", "lines"])
def test_every_method_paints_a_likeness_with_the_strokes_asked_for(method: str) -> None:
    image = photograph()
    painting = Painter(method, device="cpu", config=FEW_STEPS).paint(image, strokes=15, size=36)  # type: ignore[arg-type]
    assert painting.strokes.shape == (15, BEZIER.width)
    assert painting.size() == (24, 36)
    assert painting.provenance["method"] == method
    assert error(painting, image) < (1 - image).square().mean().item() / 4


def test_all_kinds_of_images_give_the_same_painting(agent: Painter, tmp_path: Path) -> None:
    image = photograph()
    array = (image * 255).byte().permute(1, 2, 0).numpy()
    Image.fromarray(array).save(tmp_path / "face.png")
    kinds = [image, (image * 255).byte(), array, array / 255.0, Image.fromarray(array), str(tmp_path / "face.png")]
    kinds += [tmp_path / "face.png", np.uint16(array) * 257, Image.fromarray(array).convert("RGBA")]
    first, *others = (agent.paint(kind, strokes=6, size=36).strokes for kind in kinds)
    for strokes in others:
        torch.testing.assert_close(strokes, first, atol=1e-3, rtol=0)


def test_the_last_step_is_the_painting(agent: Painter) -> None:
    image, shown = photograph(), list[Step]()
    painting = agent.paint(image, strokes=20, size=36, on_step=shown.append)
    steps = list(agent.steps(image, strokes=20, size=36))
    assert torch.equal(steps[-1].strokes, painting.strokes)
    assert [step.progress for step in steps] == sorted(step.progress for step in steps)
    assert steps[-1].progress == 1
    assert len(shown) == len(steps)
    assert steps[0].canvas.shape == image.shape
    assert (steps[-1].canvas - painting.render()).abs().mean() < 0.02


def test_seed_background_constraints_and_provenance(optimizer: Painter) -> None:
    image = photograph()
    constraints = StrokeConstraints(opaque=True, min_radius=0.05, palette=3)
    options = {"strokes": 8, "size": 36, "constraints": constraints, "background": "#204060", "seed": 3}
    painting = optimizer.paint(image, provenance={"note": "mine"}, **options)
    assert torch.equal(painting.strokes, optimizer.paint(image, **options).strokes)
    assert painting.background == pytest.approx((0x20 / 255, 0x40 / 255, 0x60 / 255))
    assert (BEZIER.get(painting.strokes, "opacity") == 1).all()
    assert len(BEZIER.get(painting.strokes, "colour").unique(dim=0)) <= 3
    assert painting.provenance == {
        **{"method": "optimize", "seed": 3, "opaque": True, "min_radius": 0.05, "palette": 3, "note": "mine"}
    }
    mean = optimizer.paint(image, strokes=1, size=36, background="mean").background
    assert mean == pytest.approx(image.mean((1, 2)).tolist())


def test_a_generator_as_seed_is_shared_with_the_loss() -> None:
    painter = Painter("optimize", device="cpu", config=OptimizeConfig(steps=3))
    image = photograph()
    plain = painter.paint(image, strokes=5, size=36, seed=7)
    generator = torch.Generator().manual_seed(7)
    shared = painter.paint(image, strokes=5, size=36, seed=generator)
    assert torch.equal(plain.strokes, shared.strokes)
    assert shared.provenance["seed"] == 7
    assert not torch.equal(generator.get_state(), torch.Generator().manual_seed(7).get_state())


def test_only_the_pixel_loss_is_optimised_through_the_mean_of_a_stochastic_brush() -> None:
    painter = Painter("optimize", brush="charcoal", device="cpu", config=OptimizeConfig(steps=3))
    mean = Painter("optimize", brush=painter.brush.mean_brush(), device="cpu", config=painter.config)
    image = photograph()

    def squares(canvas: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return mse(canvas, target)

    for loss, same in ((mse, True), (squares, False)):
        first, second = (one.paint(image, strokes=5, size=36, loss=loss).strokes for one in (painter, mean))
        assert torch.equal(first, second) == same


@pytest.mark.parametrize("method", ["agent", "optimize", "hybrid", "lines"])
@pytest.mark.parametrize("palette", [None, 3])
def test_a_batch_is_each_image_alone(method: str, palette: int | None) -> None:
    config = OptimizeConfig(steps=6, stages=3, relocations=1, relocate_fraction=0.4)
    painter = Painter(method, device="cpu", config=config, planning=Planning(1, 2))  # type: ignore[arg-type]
    images = [photograph(seed=1), photograph(30, 20, seed=2), photograph(seed=3)]
    options = {"strokes": 7, "size": 36, "seed": 4, "constraints": StrokeConstraints(palette=palette)}
    seen: list[list[Step]] = [[] for _ in images]
    together = painter.paint_batch(images, on_step=lambda i, step: seen[i].append(step), **options)
    for painting, steps, image in zip(together, seen, images, strict=True):
        alone = painter.paint(image, **options)
        # Sums in another order differ by rounding, which the steps of planning enlarge in a few strokes.
        assert (painting.strokes - alone.strokes).abs().median() < 1e-4
        assert (painting.render() - alone.render()).abs().mean() < 0.01
        assert (painting.size(), painting.provenance) == (alone.size(), alone.provenance)
        assert torch.equal(steps[-1].strokes, painting.strokes)
        assert [step.progress for step in steps] == sorted(step.progress for step in steps)


def test_agents_that_take_one_picture_paint_a_batch_too() -> None:
    def agent(
        canvas: torch.Tensor, target: torch.Tensor, count: int, **_: object
    ) -> Iterator[tuple[torch.Tensor, ...]]:
        yield target, target.mean().expand(count, BEZIER.width)

    images = [photograph(seed=1), photograph(seed=2)]
    paintings = Painter("agent", agent=agent, device="cpu").paint_batch(images, strokes=3, size=36, features=0)  # type: ignore[arg-type]
    for painting, image in zip(paintings, images, strict=True):
        torch.testing.assert_close(painting.strokes, image.mean().expand(3, BEZIER.width))
    assert Painter("agent", agent=agent, device="cpu").paint_batch([]) == []  # type: ignore[arg-type]


@pytest.mark.parametrize("method", ["agent", "optimize", "hybrid"])
def test_nothing_changes_outside_a_region(method: str) -> None:
    image = photograph(48, 64)
    painter = Painter(method, device="cpu", config=FEW_STEPS)  # type: ignore[arg-type]
    old = painter.paint(photograph(48, 64, seed=7), strokes=25, size=64)
    mask = np.zeros((96, 128), bool)
    mask[20:70, 30:100] = True
    new = painter.refine(old, image, region=mask, strokes=10)
    inside = Region.of(torch.from_numpy(mask).float().expand(3, -1, -1), (48, 64)).inside
    before, after = old.render(), new.render()
    assert torch.equal(before[:, ~inside], after[:, ~inside])
    assert (after - image)[:, inside].square().mean() < (before - image)[:, inside].square().mean()
    assert len(new.strokes) == 35
    assert new.provenance["strokes_before"] == 25


def test_locked_strokes_stay_bit_for_bit(optimizer: Painter) -> None:
    image = photograph()
    old = optimizer.paint(image, strokes=10, size=36)
    new = optimizer.refine(old, image, locked=[0, 3], strokes=2)
    assert torch.equal(new.strokes[[0, 3]], old.strokes[[0, 3]])
    assert not torch.equal(new.strokes[:10], old.strokes)
    assert torch.equal(optimizer.refine(old, image, locked=slice(None)).strokes, old.strokes)


def test_an_agent_adds_strokes_and_leaves_the_old_ones(agent: Painter) -> None:
    image = photograph()
    old = agent.paint(image, strokes=6, size=36)
    new = agent.refine(old, image, strokes=9)
    assert torch.equal(new.strokes[:6], old.strokes)
    assert len(new.strokes) == 15
    assert error(new, image) < error(old, image)
    assert torch.equal(agent.refine(old, image).strokes, old.strokes)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"strokes": 0}, "strokes must be between"),
        ({"size": 0}, "size must be between"),
        ({"seconds": -1.0}, "seconds must be a positive"),
        ({"background": "red"}, "one colour"),
        ({"image": torch.rand(2, 5, 5)}, "shape"),
        ({"image": torch.rand(3, 5, 5) * 2}, "between 0 and 1"),
        ({"image": np.zeros((5, 5, 3), np.int64)}, "uint8"),
        ({"image": "missing.png"}, "missing.png"),
    ],
)
def test_bad_options_are_refused_in_one_line(agent: Painter, options: dict, message: str) -> None:
    with pytest.raises(InputError, match=rf"^[^\n]*{message}[^\n]*\.$"):
        agent.paint(**{"image": photograph(), **options})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "magic"}, "choose one of agent"),
        ({"brush": "exact"}, "not differentiable"),
        ({"agent": "nobody"}, "nobody"),
        ({"device": "cuda:99"}, "cannot be used"),
    ],
)
def test_bad_painters_are_refused_in_one_line(options: dict, message: str) -> None:
    with pytest.raises(InputError, match=rf"^[^\n]*{message}[^\n]*\.$"):
        Painter(**options)


def test_a_refinement_needs_a_painting_of_the_same_brush_and_a_region(agent: Painter) -> None:
    old = agent.paint(photograph(), strokes=3, size=36)
    with pytest.raises(InputError, match="region is empty"):
        agent.refine(old, photograph(), region=blank((8, 8), (0.0, 0.0, 0.0)))
    with pytest.raises(InputError, match="stroke"):
        Painter("agent", brush="ink", device="cpu").refine(old, photograph())


def test_edits_give_a_changed_copy(agent: Painter) -> None:
    painting = agent.paint(photograph(), strokes=6, size=36)
    assert torch.equal(painting.edit(remove=[0, 2]).strokes, painting.strokes[[1, 3, 4, 5]])
    assert torch.equal(painting.edit(order=[5, 4, 3, 2, 1, 0]).strokes, painting.strokes.flip(0))
    assert torch.equal(painting.edit(order=[5, 4, 3, 2, 1, 0], remove=[5]).strokes, painting.strokes[:5].flip(0))
    red = painting.edit(recolour=lambda colours: colours * 0 + colours.new_tensor([1.0, 0.0, 0.0]))
    assert BEZIER.get(red.strokes, "colour").unique(dim=0).tolist() == [[1, 0, 0]]
    blue = red.edit(recolour={"#ff0000": "#0000ff"}, background=(0.0, 0.0, 0.0))
    assert BEZIER.get(blue.strokes, "colour").unique(dim=0).tolist() == [[0, 0, 1]]
    assert blue.background == (0, 0, 0)
    for wrong in ({"remove": [6]}, {"order": [0, 0, 1, 2, 3, 4]}):
        with pytest.raises(InputError):
            painting.edit(**wrong)


def test_paintings_record_their_layers(agent: Painter) -> None:
    painting = agent.paint(photograph(), strokes=12, size=36)
    layers = layers_of(painting)
    assert [layer.name for layer in layers] == [f"round {i}" for i in range(1, len(layers) + 1)]
    assert len(layers) > 1
    assert layers[-1].end == 12
    together = agent.paint_batch([photograph(), photograph()], strokes=12, size=36)
    assert [other.provenance["layers"] for other in together] == [painting.provenance["layers"]] * 2
    refined = agent.refine(painting, photograph(), strokes=3)
    assert layers_of(refined) == [*layers, Layer("refined", 12, 15)]
    lines = Painter("lines", brush="bezier", device="cpu", config=OptimizeConfig(steps=5))
    with Image.open("docs/images/hikime.png") as image:
        drawn = lines.paint(image.convert("RGB"), strokes=12, size=64)
    assert [layer.name for layer in layers_of(drawn)] == ["masses", "lines"]
    assert "layers" not in Painter("optimize", config=OptimizeConfig(steps=2)).paint(photograph(), size=36).provenance


def test_exports_by_suffix(agent: Painter, tmp_path: Path) -> None:
    painting = agent.paint(photograph(), strokes=6, size=36)
    for suffix in (".png", ".jpg", ".svg", ".ora", ".psd", ".mp4", ".gif", ".json", ".safetensors"):
        assert painting.export(tmp_path / f"face{suffix}", size=48).stat().st_size > 100
    with Image.open(tmp_path / "face.png") as image:
        assert image.size == (48, 32)
    import json

    exported = json.loads((tmp_path / "face.json").read_text())
    stroke = exported["strokes"][2]
    assert stroke["radius"] == pytest.approx(BEZIER.get(painting.strokes, "radius")[2].tolist(), abs=1e-6)
    assert exported["fields"]["radius"]["unit"].endswith("short side")
    with pytest.raises(InputError, match=r"should end in one of .png"):
        painting.export(tmp_path / "face.bmp")
    with pytest.raises(InputError, match="1 to 16384 pixels"):
        painting.export(tmp_path / "face.png", size=0)


@pytest.mark.parametrize("method", ["agent", "optimize", "hybrid", "lines"])
def test_a_time_budget_is_for_the_whole_painting(method: str) -> None:
    """Also one that is over at once: every stroke is painted."""
    painter = Painter(method, device="cpu")  # type: ignore[arg-type]
    for seconds in (1e-6, 0.5):
        started = time.monotonic()
        painting = painter.paint(photograph(), strokes=30, size=36, seconds=seconds)
        assert len(painting.strokes) == 30
        assert time.monotonic() - started < seconds + 10  # the machine may be busy


def test_without_a_method_hybrid_paints_within_a_time_budget() -> None:
    painter, image = Painter(device="cpu"), photograph()
    assert painter.paint(image, strokes=3, size=16).provenance["method"] == "agent"
    painting = painter.paint(image, strokes=3, size=16, seconds=1e-6)
    assert painting.provenance["method"] == "hybrid"
    refined = painter.refine(painting, image, strokes=3, seconds=1e-6)
    assert refined.provenance["refined_by"] == "hybrid"
    assert len(refined.strokes) == 6
    assert torch.equal(refined.strokes[:3], painting.strokes)  # no time was left to optimise them
    assert painter.refine(painting, image, strokes=3).provenance["refined_by"] == "agent"


def test_hybrid_is_no_worse_than_its_agent() -> None:
    image, errors = photograph(), []
    for method in ("agent", "hybrid"):
        painter = Painter(method, device="cpu", config=OptimizeConfig(steps=40))  # type: ignore[arg-type]
        errors.append((painter.paint(image, strokes=20, size=36).render() - image).square().mean())
    assert errors[1] < errors[0]
