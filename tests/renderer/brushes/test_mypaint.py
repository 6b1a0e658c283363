"""MyPaint brushes; tests that need the engine are skipped without it."""

import itertools
import json
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import avg_pool2d

from renderer.brush import Brush, Mark, Window
from renderer.brushes import mypaint, mypaint_engine
from renderer.brushes.mypaint import BRUSHES, MYPAINT, MyPaint, find_brush
from renderer.brushes.mypaint_settings import SCALED, Setting, scaled
from renderer.canvas import blank, over, paint_steps
from renderer.errors import InputError
from renderer.strokes import BEZIER

SIZE = (40, 70)  # not square, and not of whole tiles
ONE_SENTENCE = r"^[^\n]+\.$"


def installed() -> bool:
    try:
        mypaint_engine.load()
    except InputError:
        return False
    return bool(list(mypaint.FOLDER.glob("*/brushes")))


engine = pytest.mark.skipif(not installed(), reason="needs MyPaint's engine and brushes: `make brushes`")
# Of constant width; pressure changes its width; stochastic; stochastic with dabs of varying colour.
NAMES = ["liner", "ink", "charcoal", "impressionist"]
brushes = pytest.mark.parametrize("name", NAMES)


def sample(n: int, seed: int = 0) -> Tensor:
    return MYPAINT.sample(n, torch.Generator().manual_seed(seed))


def stroke(**values: object) -> Tensor:
    """An opaque black stroke of constant pressure from left to right through the middle, with `values` in physical units."""
    even = {"start": [0.2, 0.5], "bend": [0.5, 0.5], "end": [0.8, 0.5], "radius": 0.05, "pressure": 1, "opacity": 1}
    strokes = torch.zeros(1, MYPAINT.width)
    for field, value in {**even, **values}.items():
        strokes = MYPAINT.put(strokes, field, torch.tensor(value, dtype=torch.float32))
    return strokes


def test_paths_and_colours_match_bezier() -> None:
    """Code that places and colours strokes works for both spaces."""
    for name in ("start", "bend", "end"):
        assert MYPAINT.field(name) == BEZIER.field(name)
        assert MYPAINT.columns(name) == BEZIER.columns(name)
    assert MYPAINT.field("colour") == BEZIER.field("colour")
    assert MYPAINT.field("radius").high == BEZIER.field("radius").high


@engine
@brushes
def test_shapes_and_range(name: str) -> None:
    brush = MyPaint(name)
    assert isinstance(brush, Brush)
    strokes = sample(5)
    for size in ((16, 16), SIZE, (130, 9)):
        mark = brush(strokes, size)
        assert isinstance(mark, Mark)
        assert mark.alpha.shape == (5, 1, *size)
        assert mark.colour.shape == ((5, 3, *size) if brush.textured else (5, 3, 1, 1))
        for values in mark:
            assert values.dtype == torch.float32
            assert values.min() >= 0
            assert values.max() <= 1
        assert mark.alpha.flatten(1).std(1).max() > 0.01, "something is drawn"
        if not brush.textured:
            assert torch.equal(mark.colour[:, :, 0, 0], MYPAINT.get(strokes, "colour"))
    assert brush(strokes[:0], SIZE).alpha.shape == (0, 1, *SIZE)
    assert brush(strokes.double(), SIZE).alpha.dtype == torch.float64


@engine
@brushes
@pytest.mark.parametrize("field", ["radius", "pressure", "opacity"])
def test_without_radius_pressure_or_opacity_nothing_changes(name: str, field: str) -> None:
    strokes = sample(4, 1)
    strokes[:, MYPAINT.columns(field)] = 0
    canvas = torch.rand(4, 3, *SIZE, generator=torch.Generator().manual_seed(2))
    brush = MyPaint(name)
    assert torch.equal(over(canvas, brush(strokes, SIZE)), canvas)
    assert brush.patches(strokes, SIZE).box.tolist() == [[0, 0, 0, 0]] * 4
    *_, painted = paint_steps(canvas[0], strokes, brush)
    assert torch.equal(painted, canvas[0])


@engine
@pytest.mark.parametrize("name", [*NAMES, "calligraphy", "pencil"])
def test_mark_depends_on_its_stroke_only(name: str) -> None:
    """Not on the batch, on earlier strokes, on earlier sizes, or on the number of threads."""
    brush, strokes = MyPaint(name), sample(8, 3)
    together = brush(strokes, SIZE)
    brush(sample(2, 4), (300, 200))
    order = [5, 2, 7, 0, 1, 6, 4, 3]
    for marks in (
        [brush(strokes[i : i + 1], SIZE) for i in order],
        [Mark(alpha[None], colour[None]) for alpha, colour in zip(*brush(strokes[order], SIZE), strict=True)],
        [
            Mark(alpha[None], colour[None])
            for alpha, colour in zip(*MyPaint(name, threads=3)(strokes[order], SIZE), strict=True)
        ],
    ):
        for i, mark in zip(order, marks, strict=True):
            assert torch.equal(mark.alpha[0], together.alpha[i])
            assert torch.equal(mark.colour[0], together.colour[i])


@engine
def test_seed_changes_the_noise() -> None:
    strokes = sample(4)
    first, same, other = (MyPaint("charcoal", seed)(strokes, SIZE).alpha for seed in (7, 7, 8))
    assert torch.equal(first, same)
    assert not torch.equal(first, other)
    assert first.mean() == pytest.approx(float(other.mean()), rel=0.3), "the same brush"
    liner = [MyPaint("liner", seed)(strokes, SIZE).alpha for seed in (7, 8)]
    assert torch.equal(*liner), "a brush without noise"


@engine
@brushes
def test_colour_does_not_change_alpha(name: str) -> None:
    brush, strokes = MyPaint(name), sample(4, 5)
    light, dark = (brush(MYPAINT.put(strokes, "colour", torch.full((4, 3), v)), SIZE) for v in (0.9, 0.2))
    assert torch.equal(light.alpha, dark.alpha)
    assert not torch.equal(light.colour, dark.colour)


@engine
def test_textured_brush_varies_its_colour_only_on_the_mark() -> None:
    mark = MyPaint("impressionist")(stroke(colour=[0.6, 0.3, 0.2]), (64, 64))
    seen, flat = mark.alpha[0, 0] > 0.5, torch.tensor([0.6, 0.3, 0.2])[:, None]
    assert mark.colour[0][:, seen].std(1).max() > 0.005
    assert (mark.colour[0][:, seen] - flat).abs().mean() < 0.1
    assert torch.allclose(mark.colour[0][:, mark.alpha[0, 0] == 0], flat, atol=1e-6)


@engine
@pytest.mark.parametrize("name", [*NAMES, "calligraphy", "wash", "impasto"])
def test_marks_do_not_depend_on_resolution(name: str) -> None:
    """Slow tracking, speeds, jitter and noise are the same at 64 and at 1,024 pixels."""
    brush, strokes = MyPaint(name), sample(6, 6)
    small = brush(strokes, (64, 96)).alpha
    large = avg_pool2d(brush(strokes, (1024, 1536)).alpha, 16)
    other = MyPaint(name, seed=1)(strokes, (64, 96)).alpha
    error, stroke_noise = ((small - alpha).abs().mean() / small.mean() for alpha in (large, other))
    assert error < 0.02 + 0.25 * stroke_noise


@engine
@brushes
def test_window_equals_crop(name: str) -> None:
    brush, strokes = MyPaint(name), sample(4, 4)
    whole = torch.nn.functional.pad(brush(strokes, SIZE).alpha, (5, 20, 5, 20))
    left, top = torch.tensor([0, 5, 50, -3]), torch.tensor([0, 7, 22, 11])  # the last two hang over edges
    window = brush(strokes, SIZE, Window(left, top, 24, 21)).alpha
    for i in range(4):
        x, y = int(left[i]) + 5, int(top[i]) + 5
        crop = whole[i, 0, y : y + 24, x : x + 21].clone()
        inside = torch.zeros_like(whole[0, 0])
        inside[5 : 5 + SIZE[0], 5 : 5 + SIZE[1]] = 1
        seen = inside[y : y + 24, x : x + 21]
        assert (window[i, 0] * seen - crop).abs().max() < 0.02
        assert (window[i, 0] * seen - crop).abs().mean() < 1e-3


@engine
@brushes
def test_paint_steps_equal_over(name: str) -> None:
    brush, strokes = MyPaint(name, threads=2), sample(7, 8)
    canvas = torch.rand(3, *SIZE, generator=torch.Generator().manual_seed(9))
    expected = [canvas]
    for i in range(7):
        expected.append(over(expected[-1][None], brush(strokes[i : i + 1], SIZE))[0])
    before = canvas.clone()
    steps = [step.clone() for step in paint_steps(canvas, strokes, brush, every=3)]
    assert torch.equal(canvas, before)
    assert len(steps) == 4
    for step, i in zip(steps, (0, 3, 6, 7), strict=True):
        torch.testing.assert_close(step, expected[i], rtol=0, atol=1e-6)


@engine
def test_patches_are_small() -> None:
    patches = MyPaint("liner").patches(stroke(start=[0.1, 0.1], end=[0.2, 0.1]), (2048, 2048))
    left, _, width, height = patches.box[0].tolist()
    assert (height, width) < (230, 430)
    assert 0.1 * 2048 - 120 < left < 0.1 * 2048
    assert patches.alpha.max() == pytest.approx(1, abs=1e-3)


# Known values: the liner is opaque, of constant width, with the radius of the stroke.
@engine
@pytest.mark.parametrize("side", [48, 128, 400])
def test_length_and_width_of_a_line(side: int) -> None:
    alpha = MyPaint("liner")(stroke(radius=0.05), (side, side)).alpha[0, 0]
    area = (0.6 * 0.1 + torch.pi * 0.05**2) * side**2
    assert alpha.sum() == pytest.approx(area, rel=0.07)
    assert alpha[side // 2, int(0.2 * side) : int(0.8 * side)].min() > 0.97
    assert alpha[: int(0.43 * side)].max() < 0.02


@engine
def test_curve_bends_towards_its_control_point() -> None:
    alpha = MyPaint("liner")(stroke(start=[0.1, 0.1], end=[0.9, 0.9], bend=[1.0, 0.0]), (64, 64)).alpha[0, 0]
    assert alpha[19, 44] > 0.9, "the middle of the curve"
    assert alpha[32, 32] < 0.01
    assert alpha[44, 19] < 0.01


@engine
def test_pressure_varies_along_the_stroke() -> None:
    alpha = MyPaint("ink")(stroke(pressure=[0.1, 1.0, 0.1]), (128, 128)).alpha[0, 0]
    width = alpha.sum(0)
    assert width[64] > 1.5 * width[30]
    assert width[64] > 1.5 * width[98]


@engine
@brushes
def test_dots_are_visible(name: str) -> None:
    """The engine itself draws only moving pens; here the first dab is at the start."""
    alpha = MyPaint(name)(stroke(start=[0.5, 0.5], end=[0.5, 0.5], radius=0.1), (64, 64)).alpha[0, 0]
    assert alpha.max() > 0.1
    rows, columns = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    centre = (torch.stack((columns, rows)) * alpha).sum((1, 2)) / alpha.sum()
    assert (centre - 31.5).abs().max() < 10


@engine
def test_hairlines_fade() -> None:
    brush = MyPaint("liner")
    sums = [float(brush(stroke(radius=r), (64, 64)).alpha.sum()) for r in (0.0005, 0.001, 0.002, 0.004)]
    for thin, thick in itertools.pairwise(sums):
        assert 0 < thin < thick < 3.5 * thin


@engine
def test_invalid_strokes() -> None:
    brush = MyPaint("liner")
    bad = sample(2)
    bad[1, 3] = torch.nan
    for strokes in (bad, sample(2) + 1, sample(2)[:, :-1], sample(2)[0], torch.zeros(2, 0)):
        with pytest.raises(InputError, match=ONE_SENTENCE):
            brush(strokes, SIZE)
        with pytest.raises(InputError, match=ONE_SENTENCE):
            brush.patches(strokes, SIZE)
        with pytest.raises(InputError, match=ONE_SENTENCE):
            list(paint_steps(blank(SIZE), strokes, brush))


@engine
def test_every_named_brush_leaves_a_mark() -> None:
    for name in BRUSHES:
        assert MyPaint(name)(stroke(), (64, 64)).alpha.max() > 0.3, name


GOOD = {"version": 3, "settings": {"opaque": {"base_value": 1.0, "inputs": {}}}}


def changed(path: Path, **settings: object) -> Path:
    data = json.loads(find_brush("liner").read_text())
    path.write_text(json.dumps({**data, "settings": {**data["settings"], **settings}}))
    return path


@engine
def test_own_brush_file(tmp_path: Path) -> None:
    path = changed(tmp_path / "mine.myb", unheard_of={"base_value": 1, "inputs": {}})
    assert torch.equal(MyPaint(path)(sample(2), SIZE).alpha, MyPaint("liner")(sample(2), SIZE).alpha)
    assert torch.equal(MyPaint("deevad/liner")(sample(2), SIZE).alpha, MyPaint("liner")(sample(2), SIZE).alpha)


@engine
@pytest.mark.parametrize(
    "text",
    [
        "",
        "version 2\nopaque 1.0",
        "[]",
        "3",
        '"brush"',
        json.dumps(GOOD)[:-9],
        json.dumps({**GOOD, "version": 2}),
        json.dumps({"version": 3}),
        json.dumps({"version": 3, "settings": {}}),
        json.dumps({"version": 3, "settings": {"unheard_of": {"base_value": 1, "inputs": {}}}}),
        json.dumps({"version": 3, "settings": {"opaque": 1}}),
        json.dumps({"version": 3, "settings": {"opaque": {"inputs": {}}}}),
        json.dumps({"version": 3, "settings": {"opaque": {"base_value": float("nan"), "inputs": {}}}}),
        json.dumps({"version": 3, "settings": {"dabs_per_second": {"base_value": 1e9, "inputs": {}}}}),
        "[" * 100_000,
    ],
)
def test_invalid_brush_files(tmp_path: Path, text: str) -> None:
    path = tmp_path / "brush.myb"
    path.write_text(text)
    with pytest.raises(InputError, match=ONE_SENTENCE):
        MyPaint(path)
    path.write_bytes(b"\xff\xfe{")
    with pytest.raises(InputError, match=ONE_SENTENCE):
        MyPaint(path)


@engine
@pytest.mark.parametrize(
    "points", [[[0, 1]], [[1, 0], [0, 1]], [[0, 0], [1, float("inf")]], [[0, 0]] * 65, [[0], [1]], 5]
)
def test_curves_that_would_end_the_process(tmp_path: Path, points: object) -> None:
    path = changed(tmp_path / "brush.myb", hardness={"base_value": 0.5, "inputs": {"pressure": points}})
    with pytest.raises(InputError, match=ONE_SENTENCE):
        MyPaint(path)
    changed(path, hardness={"base_value": 0.5, "inputs": {"unheard_of": [[0, 0], [1, 1]]}})
    assert MyPaint(path)(stroke(), SIZE).alpha.any()


@engine
@pytest.mark.parametrize(
    "name", ["", "deevad", "deevad/", "deevad/nobody", "../..", "no/such\0brush", "/nowhere.myb", "a" * 5000]
)
def test_unknown_brushes(name: str) -> None:
    with pytest.raises(InputError, match=ONE_SENTENCE):
        MyPaint(name)


@engine
def test_brush_that_only_erases_is_an_error() -> None:
    with pytest.raises(InputError, match=r"leaves no mark of its own"):
        MyPaint("deevad/kneaded_eraser")
    with pytest.raises(InputError, match=r"at least 1 thread"):
        MyPaint("liner", threads=0)


def test_missing_engine_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^[^\n]*run `make brushes` first\.$"):
        mypaint_engine.load("libmypaint-that-is-not-there.so")
    monkeypatch.setattr(mypaint, "load", lambda: mypaint_engine.load("libmypaint-that-is-not-there.so"))
    with pytest.raises(InputError, match=r"make brushes"):
        MyPaint("liner")
    with pytest.raises(InputError, match=r"make brushes"):
        find_brush("liner", tmp_path)


def test_newest_collection_comes_first(tmp_path: Path) -> None:
    for version in ("1.0", "2.0"):
        folder = tmp_path / version / "brushes" / "mine"
        folder.mkdir(parents=True)
        (folder / "pen.myb").touch()
    assert find_brush("mine/pen", tmp_path) == tmp_path / "2.0" / "brushes" / "mine" / "pen.myb"
    (tmp_path / "2.0" / "brushes" / "mine" / "pen.myb").unlink()
    assert find_brush("mine/pen.myb", tmp_path) == tmp_path / "1.0" / "brushes" / "mine" / "pen.myb"
    with pytest.raises(InputError, match=r"'mine/quill' among pen"):
        find_brush("mine/quill", tmp_path)


@given(
    st.sampled_from([*SCALED, "slow_tracking", "offset_by_speed", "dabs_per_second", "radius_logarithmic"]),
    st.floats(0, 3),
    st.floats(0.1, 8),
    st.floats(0.1, 8),
)
@settings(max_examples=60, deadline=None)
def test_scaling_composes_and_inverts(name: str, base: float, a: float, b: float) -> None:
    setting = Setting(base, {"brush_radius": ((0.0, 0.0), (2.0, 1.0))})
    once, twice = scaled(name, setting, a * b), scaled(name, scaled(name, setting, a), b)
    assert once.base == pytest.approx(twice.base, rel=1e-6, abs=1e-6)
    assert once.inputs["brush_radius"][1] == pytest.approx(twice.inputs["brush_radius"][1])
    assert scaled(name, setting, 1.0).base == pytest.approx(base, abs=1e-9)
