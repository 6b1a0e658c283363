"""Paint plans: the palette, recipes, the order of loads, and the files."""

import base64
import csv
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from painter.plan import make_plan, write_plan
from painter.plan.load_order import before, fewest_loads, owners
from painter.plan.load_pictures import OUTLINE, load_pictures
from painter.plan.paint_plan import PaintPlan, _check
from painter.plan.palette import choose_palette, colour_name, nearest_colours, to_lab
from painter.plan.tube_paints import PAINTS, mixture, recipes
from renderer.brush import load_brush
from renderer.brushes.bezier import ExactBezier
from renderer.brushes.solid import Solid
from renderer.canvas import blank, paint
from renderer.errors import InputError
from renderer.io.painting import Painting
from renderer.strokes import BEZIER


def painting(n: int = 60, colours: int = 5, seed: int = 0, scale: float = 0.4) -> Painting:
    generator = torch.Generator().manual_seed(seed)
    strokes = BEZIER.sample(n, generator)
    strokes[:, BEZIER.columns("radius")] *= scale
    strokes[:, BEZIER.columns("end")].lerp_(strokes[:, BEZIER.columns("start")], 1 - scale)
    strokes[:, BEZIER.columns("opacity")] = 1
    palette = torch.rand(colours, 3, generator=generator).mul(255).round() / 255
    strokes[:, BEZIER.columns("colour")] = palette[torch.randint(colours, (n,), generator=generator)]
    return Painting(strokes, BEZIER, 48, 64, (0.9, 0.9, 0.8))


@pytest.fixture(scope="module")
def plan() -> PaintPlan:
    return make_plan(painting(), canvas=(400, 400), brush=ExactBezier(1))


def in_order(plan: PaintPlan, order: np.ndarray, size: int) -> torch.Tensor:
    """The plan's strokes in another order."""
    canvas = blank(plan.painting.size(size), plan.painting.background)
    return paint(canvas, plan.painting.strokes[torch.from_numpy(order)], plan.brush)


def test_the_picture_stays_the_same_in_far_fewer_loads() -> None:
    plan = make_plan(painting(100, scale=0.3), brush=ExactBezier(1))
    for size, most in ((512, 1e-12), (200, 1e-5)):  # strokes were compared at 512
        difference = plan.picture(size) - in_order(plan, plan.numbers.argsort(), size)
        assert difference.square().mean() < most
    assert len(plan.loads) < plan.changes / 2
    assert sorted([*plan.numbers, *range(100)]) != sorted(plan.numbers), "some of the strokes"
    assert len(plan.numbers) + plan.hidden == 100
    backwards = in_order(plan, np.arange(len(plan.numbers))[::-1].copy(), 200)
    assert (plan.picture(200) - backwards).square().mean() > 1e-3, "another order is another picture"


def test_strokes_left_out_cannot_be_seen() -> None:
    made = painting(90)
    plan = make_plan(made, brush=ExactBezier(1))
    whole = paint(blank(made.size(512), made.background), made.strokes, plan.brush)
    assert (whole - plan.picture()).square().mean() < 1e-10
    assert plan.hidden > 5


def test_a_violating_order_is_caught() -> None:
    made = painting(40)
    size = made.size(256)
    patches = Solid(load_brush("exact")).patches(made.strokes, size)
    owner = owners(patches, size)
    colours = nearest_colours(
        BEZIER.get(made.strokes, "colour"), choose_palette(made.strokes[:, -3:], torch.ones(40), 5)
    )
    order = before(patches, owner, colours.numpy())
    assert len(order.first) > 20
    _check(order, np.arange(40))
    i, j = int(order.first[0]), int(order.then[0])
    swapped = np.arange(40)
    swapped[[i, j]] = j, i
    with pytest.raises(AssertionError, match="change the picture"):
        _check(order, swapped)
    with pytest.raises(AssertionError, match="change the picture"):
        _check(order, np.arange(40)[::-1])
    without = np.delete(swapped, [i, j])  # what is left out cannot be in the wrong place
    _check(order, without)


def test_loads_hold_every_stroke_once_and_one_colour(plan: PaintPlan) -> None:
    assert [i for load in plan.loads for i in load.strokes] == list(range(len(plan.numbers)))
    for load in plan.loads:
        wanted = torch.tensor(plan.palette[load.colour].colour)
        for i in load.strokes:
            torch.testing.assert_close(BEZIER.get(plan.painting.strokes[i], "colour"), wanted)
        assert list(load.brush) == sorted(load.brush, reverse=True)
    assert all(a.colour != b.colour for a, b in zip(plan.loads, plan.loads[1:], strict=False))


def test_known_orders() -> None:
    """Three strokes in a row, of which the second covers the first and the third the second; then a free one."""
    at = torch.tensor([0.2, 0.35, 0.5, 0.9])
    strokes = BEZIER.default_strokes(4)
    strokes[:, BEZIER.columns("opacity")] = 1
    for name in ("start", "end"):
        strokes[:, BEZIER.columns(name)] = torch.stack((at, torch.full((4,), 0.5)), 1)
    strokes[:, BEZIER.columns("radius")] = 0.4
    patches = Solid(load_brush("exact")).patches(strokes, (100, 100))
    owner = owners(patches, (100, 100))
    colours = np.array([0, 1, 0, 1])
    order = before(patches, owner, colours)
    assert set(zip(order.first.tolist(), order.then.tolist(), strict=True)) == {(0, 1), (1, 2)}
    loads = fewest_loads(order, colours, np.arange(4))
    assert [(colour, strokes.tolist()) for colour, strokes in loads] in (
        [(0, [0]), (1, [1, 3]), (0, [2])],
        [(1, [3]), (0, [0]), (1, [1]), (0, [2])],
    )
    assert len(loads) == 3


def test_every_pixel_has_a_colour_of_the_plan(plan: PaintPlan) -> None:
    found = {tuple(c) for c in (plan.picture().flatten(1).T * 255).round().int().tolist()}
    allowed = [plan.painting.background, *(colour.colour for colour in plan.palette)]
    assert found <= {tuple(round(255 * value) for value in colour) for colour in allowed}


def test_a_palette_of_its_own_is_kept(plan: PaintPlan) -> None:
    own = {tuple(c) for c in (painting().strokes[:, -3:] * 255).round().int().tolist()}
    assert {tuple(round(255 * value) for value in colour.colour) for colour in plan.palette} == own


def test_palettes_have_the_extremes_and_no_averages() -> None:
    generator = torch.Generator().manual_seed(0)
    colours = torch.rand(500, 3, generator=generator).mul(255).round() / 255
    weights = torch.rand(500, generator=generator)
    palette = choose_palette(colours, weights, 7)
    assert palette.shape == (7, 3)
    assert torch.equal(palette, choose_palette(colours, weights, 7))
    codes = {tuple(c) for c in (colours * 255).round().int().tolist()}
    assert {tuple(c) for c in (palette * 255).round().int().tolist()} <= codes
    lightness, chosen = to_lab(colours)[:, 0], to_lab(palette)[:, 0]
    assert (chosen[0], chosen[-1]) == pytest.approx((lightness.min(), lightness.max()), abs=1e-4)
    assert (np.diff(chosen) > 0).all()
    # Two crowds of colours, red and green: their average is brown, which is in neither.
    crowds = torch.cat((torch.tensor([[0.8, 0.1, 0.1]]), torch.tensor([[0.1, 0.7, 0.1]]))).repeat(50, 1)
    crowds = (crowds + 0.02 * torch.rand(100, 3, generator=generator)).clamp(0, 1)
    for colour in choose_palette(crowds, torch.ones(100), 3):
        assert (colour[0] - colour[1]).abs() > 0.4
    assert len(choose_palette(colours, torch.zeros(500), 7)) == 0
    assert len(choose_palette(torch.rand(9000, 3, generator=generator), torch.ones(9000), 5)) == 5


def test_colour_names() -> None:
    names = {
        (0, 0, 0): "black",
        (255, 255, 255): "white",
        (128, 128, 128): "grey",
        (200, 30, 30): "red",
        (30, 60, 160): "blue",
        (40, 130, 60): "green",
        (240, 220, 60): "yellow",
        (110, 65, 35): "brown",
        (235, 160, 160): "pink",
        (195, 155, 85): "ochre",
    }
    assert {code: colour_name(np.array(code) / 255) for code in names} == names


def test_recipes() -> None:
    paints = torch.tensor(list(PAINTS.values())) / 255
    for recipe, name in zip(recipes(paints), PAINTS, strict=True):
        assert recipe.parts == ((name, 1),)
        assert recipe.error < 1.5  # the darkest reflectance is limited
    names = list(PAINTS)

    def mixed(**parts: int) -> np.ndarray:
        return mixture(np.array([[parts.get(name.replace(" ", "_"), 0) for name in names]], float))[0]

    red, green, blue = mixed(phthalo_blue=1, cadmium_yellow=5)
    assert green > max(red, blue), "blue and yellow give green"
    pink = recipes(torch.tensor([[0.9, 0.6, 0.6]]))[0]
    assert pink.parts[0][0] == "titanium white"
    assert {name for name, _ in pink.parts} & {"cadmium red", "alizarin crimson"}
    assert pink.error < 10
    for recipe in recipes(torch.rand(5, 3, generator=torch.Generator().manual_seed(0))):
        row = np.array([[dict(recipe.parts).get(name, 0) for name in names]], float)
        np.testing.assert_allclose(mixture(row)[0], recipe.colour, atol=1e-6)


def test_pictures_show_the_new_strokes(plan: PaintPlan) -> None:
    pictures = list(load_pictures(plan))
    assert len(pictures) == len(plan.loads)
    for picture in pictures:
        assert picture.shape == (270, 360, 3)
        assert (np.abs(picture.astype(int) - OUTLINE).max(2) < 3).sum() > 5
    assert len({picture.tobytes() for picture in pictures}) == len(pictures)


def test_brush_widths_and_places(plan: PaintPlan) -> None:
    assert plan.scale == pytest.approx(400 / 64)
    assert plan.offset == pytest.approx((0, 50))  # 300 mm of 400 are painted
    stroke = BEZIER.put(BEZIER.default_strokes(1), "radius", torch.tensor([0.125, 0.125]))
    stroke = BEZIER.put(stroke, "opacity", torch.ones(2))
    single = make_plan(Painting(stroke, BEZIER, 48, 64), canvas=(160, 300))
    assert single.loads[0].brush == (25,)  # 2 x .125 x 120 mm = 30
    assert single.millimetres(0) == pytest.approx({"start_x": 80, "start_y": 150, "end_x": 80, "end_y": 150})


def test_without_anything_to_see() -> None:
    for made in (painting(0), replace(painting(), strokes=painting().strokes * 0)):
        with pytest.raises(InputError, match=r"^Nothing of this painting can be seen"):
            make_plan(made)


@pytest.mark.parametrize(
    "options",
    [{"colours": 1}, {"colours": 49}, {"canvas": (5, 100)}, {"canvas": (100, 1e9)}, {"brush": load_brush("ink")}],
)
def test_impossible_plans_are_one_line(options: dict) -> None:
    with pytest.raises(InputError, match=r"^[^\n]+\.$"):
        make_plan(painting(5), **options)


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.images: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs) -> None:
        if tag == "img":
            self.images.append(dict(attrs)["src"])
        if tag not in {"img", "meta", "br"}:
            self.open.append(tag)

    def handle_endtag(self, tag) -> None:
        assert self.open.pop() == tag


def test_html(plan: PaintPlan, tmp_path: Path) -> None:
    text = write_plan(plan, tmp_path / "a.html").read_text()
    page = Page(text)
    assert not page.open
    assert len(page.images) == 1 + len(plan.loads)
    for source in page.images:
        content = base64.b64decode(source.removeprefix("data:image/png;base64,"))
        with Image.open(io.BytesIO(content)) as image:
            assert image.size == (360, 270)
    assert not re.search(r"https?://|<script|<link", text), "the page needs no other file"
    assert len(text) < 1_000_000
    assert f"{len(plan.loads)} loads" in text
    for colour in plan.palette:
        assert colour.name in text


def test_pdf(plan: PaintPlan, tmp_path: Path) -> None:
    content = write_plan(plan, tmp_path / "a.pdf").read_bytes()
    assert content.startswith(b"%PDF")
    assert len(re.findall(rb"/Type /Page\b", content)) == 1 + -(-len(plan.loads) // 6)
    assert len(content) < 2_000_000


def test_tables(plan: PaintPlan, tmp_path: Path) -> None:
    with write_plan(plan, tmp_path / "a.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(plan.numbers)
    assert [int(row["load"]) for row in rows] == [n for n, load in enumerate(plan.loads, 1) for _ in load.strokes]
    assert rows[0]["id"] == f"stroke-{plan.numbers[0] + 1:04}"
    about = json.loads(write_plan(plan, tmp_path / "a.json").read_text())
    assert about["loads"] == len(plan.loads)
    assert [str(row["start_x_mm"]) for row in about["strokes"]] == [row["start_x_mm"] for row in rows]
    assert {row["letter"] for row in rows} == {colour["letter"] for colour in about["palette"]}
    with pytest.raises(InputError, match=r"should end in one of \.html"):
        write_plan(plan, tmp_path / "a.docx")
    assert len(list(tmp_path.iterdir())) == 2
