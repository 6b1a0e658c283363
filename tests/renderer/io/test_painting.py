import base64
import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import save_file

from renderer.brush import load_brush
from renderer.brushes.bezier import AnalyticBezier, ExactBezier
from renderer.brushes.mypaint import MYPAINT, MyPaint
from renderer.canvas import blank, paint, paint_steps
from renderer.errors import InputError
from renderer.io import files
from renderer.io import painting as module
from renderer.io.images import fit, to_bytes
from renderer.io.painting import FORMAT, LARGEST, Painting, PaintingError, reference_brush, schedule
from renderer.io.video import show_video
from renderer.strokes import BEZIER, Field, SpaceError, StrokeSpace
from tests.renderer.brushes.test_mypaint import engine

MADE_BY = {"command": "python -m experiments.repaint", "seed": 3, "nested": {"list": [1, 2.5, None, "顔"]}}
DOTS = StrokeSpace("dots", (Field("at", 2, 0.0, 1.0, "x, y"), Field("grey", 1, 0.0, 1.0, "")))


def painting(n: int = 6, height: int = 24, width: int = 32, seed: int = 0) -> Painting:
    strokes = BEZIER.sample(n, torch.Generator().manual_seed(seed))
    return Painting(strokes, BEZIER, height, width, (0.9, 0.8, 0.7), MADE_BY)


def metadata(**changes: object) -> dict[str, str]:
    about = {
        "format": FORMAT,
        "space": json.loads(BEZIER.to_json()),
        "height": 8,
        "width": 8,
        "background": [1, 1, 1],
        "made_by": {},
    }
    return {"painting": json.dumps({key: value for key, value in {**about, **changes}.items() if value != "left out"})}


@settings(deadline=None)
@given(
    st.lists(st.lists(st.floats(0, 1, width=32), min_size=13, max_size=13), max_size=4),
    st.tuples(*3 * [st.floats(0, 1)]),
    st.integers(1, LARGEST),
    st.integers(1, LARGEST),
    st.dictionaries(st.text(), st.integers() | st.text() | st.floats(allow_nan=False)),
)
def test_round_trip(tmp_path_factory, rows, background, height, width, provenance) -> None:
    path = tmp_path_factory.getbasetemp() / "painting.safetensors"
    saved = Painting(torch.tensor(rows).reshape(-1, 13), BEZIER, height, width, background, provenance)
    saved.save(path)
    first = path.read_bytes()
    loaded = Painting.load(path)
    assert loaded.strokes.dtype == torch.float32
    np.testing.assert_array_equal(
        loaded.strokes.view(torch.int32), saved.strokes.view(torch.int32)
    )  # the bits: also -0.0
    assert (loaded.space, loaded.height, loaded.width) == (BEZIER, height, width)
    assert (loaded.background, loaded.provenance) == (background, provenance)
    loaded.save(path)
    assert path.read_bytes() == first


def test_brush_of_another_space_draws_its_paintings(tmp_path: Path) -> None:
    class Bar(AnalyticBezier):
        """Draws Bezier strokes of another name, half as strong."""

        space = StrokeSpace("bars", BEZIER.fields)

        def __call__(self, strokes, size, window=None):  # type: ignore[no-untyped-def]
            mark = super().__call__(strokes, size, window)
            return mark._replace(alpha=mark.alpha / 2)

    strokes = BEZIER.sample(3, torch.Generator().manual_seed(0))
    painting = Painting.by(Bar(), strokes, (12, 16))
    torch.testing.assert_close(painting.render(), paint(blank((12, 16)), strokes, Bar()))
    assert painting.edit(remove=[0]).render().shape == (3, 12, 16)
    painting.save(tmp_path / "a.safetensors")
    loaded = Painting.load(tmp_path / "a.safetensors")
    with pytest.raises(
        SpaceError, match=r"no reference brush for strokes of the space 'bars'; choose the brush [^\n]*\.$"
    ):
        loaded.render()
    assert torch.equal(loaded.render(brush=Bar()), painting.render())
    assert Painting.by(AnalyticBezier(), strokes, (12, 16)).brush is None, "the exact brush draws it"


def test_any_space_and_precision_is_kept(tmp_path: Path) -> None:
    saved = Painting(torch.rand(3, 3, dtype=torch.float64).requires_grad_(), DOTS, 5, 6)
    saved.save(tmp_path / "new" / "dots.safetensors")
    loaded = Painting.load(tmp_path / "new" / "dots.safetensors")
    assert loaded.space == DOTS
    assert torch.equal(loaded.strokes, saved.strokes)
    with pytest.raises(SpaceError, match="no reference brush for strokes of the space 'dots'"):
        loaded.render()
    with pytest.raises(SpaceError):
        loaded.render(brush=ExactBezier())


@pytest.mark.parametrize(
    "change",
    [
        {"strokes": torch.full((2, 13), float("nan"))},
        {"strokes": torch.full((2, 13), 1.0001)},
        {"strokes": torch.full((2, 13), -0.1)},
        {"strokes": torch.zeros(2, 12)},
        {"strokes": torch.zeros(13)},
        {"strokes": torch.zeros(2, 13, dtype=torch.int64)},
        {"height": 0},
        {"width": LARGEST + 1},
        {"background": (0.0, 0.0)},
        {"background": (0.0, 0.0, float("nan"))},
    ],
)
def test_what_cannot_be_is_refused(change: dict) -> None:
    good = {"strokes": torch.rand(2, 13), "space": BEZIER, "height": 4, "width": 4, "background": (0.0, 0.0, 1.0)}
    Painting(**good)
    with pytest.raises(PaintingError, match=r"^[^\n]+\.$"):
        Painting(**{**good, **change})
    assert issubclass(PaintingError, InputError)


@pytest.mark.parametrize(
    "about",
    [
        {},
        {"format": "pt"},
        {"painting": "[1]"},
        {"painting": "{"},
        metadata(format="kaokore-painting/0"),
        metadata(space="left out"),
        metadata(space={"name": "bezier", "fields": [{"name": "x"}]}),
        metadata(space={"name": "bezier", "fields": [{"name": "x", "size": "13", "low": 0, "high": 1, "unit": ""}]}),
        metadata(space=json.loads(DOTS.to_json())),
        metadata(height="left out"),
        metadata(height="tall"),
        metadata(width=0),
        metadata(width=float("inf")),
        metadata(background=[1, 1]),
        metadata(background=None),
        metadata(made_by=3),
    ],
)
def test_foreign_files_are_one_sentence(tmp_path: Path, about: dict[str, str]) -> None:
    path = tmp_path / "x.safetensors"
    save_file({"strokes": torch.zeros(2, 13)}, path, metadata())
    assert len(Painting.load(path).strokes) == 2  # the frame of this test is right
    save_file({"strokes": torch.zeros(2, 13)}, path, about)
    with pytest.raises(PaintingError, match=r"^[^\n]+\.$") as caught:
        Painting.load(path)
    assert str(path) in str(caught.value)


def test_damaged_files_are_one_sentence(tmp_path: Path) -> None:
    painting().save(tmp_path / "whole.safetensors")
    whole = (tmp_path / "whole.safetensors").read_bytes()
    files = {"cut": whole[:-5], "head": whole[:30], "empty": b"", "text": b"strokes, please", "png": b"\x89PNG" * 9}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    save_file({"weights": torch.zeros(2, 13)}, tmp_path / "other", metadata())
    save_file({"strokes": torch.full((2, 13), float("nan"))}, tmp_path / "nan", metadata())
    for name in (*files, "other", "nan", "missing", "", "long" * 99):
        with pytest.raises(PaintingError, match=r"^[^\n]+\.$") as caught:
            Painting.load(tmp_path / name)
        assert str(tmp_path / name) in str(caught.value)


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    path = tmp_path / "a.safetensors"
    painting(2).save(path)

    def fail(temporary: Path) -> None:
        temporary.write_bytes(b"half")
        raise error

    monkeypatch.setattr(files, "sync", fail)
    with pytest.raises(InputError if isinstance(error, OSError) else KeyboardInterrupt, match=r"No space|^$"):
        painting(3).save(path)
    assert list(tmp_path.iterdir()) == [path]
    assert len(Painting.load(path).strokes) == 2


def test_render_is_paint(monkeypatch: pytest.MonkeyPatch) -> None:
    one = painting(9)
    expected = paint(blank((24, 32), one.background), one.strokes, ExactBezier())
    torch.testing.assert_close(one.render(), expected, atol=1e-5, rtol=0)
    monkeypatch.setattr(module, "AT_ONCE", 1)  # a stroke at a time
    torch.testing.assert_close(one.render(), expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(one.render(brush=AnalyticBezier()), expected, atol=0.3, rtol=0)


@pytest.mark.parametrize("name", ["exact", "bezier", "ink", "flat+ink"])
def test_bands_draw_the_same_picture(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """On a large canvas, the mark of a learned brush is drawn in bands of rows; bit for bit as at once."""
    brush = load_brush(name)
    strokes = brush.space.sample(12, torch.Generator().manual_seed(3))
    one = Painting(strokes, brush.space, 60, 80)
    pictures = []
    for at_once in (60 * 80, 1000, 100):  # the whole mark of one stroke, a dozen rows, one or two
        monkeypatch.setattr(module, "AT_ONCE", at_once)
        pictures.append(one.render(brush=brush))
    assert torch.equal(pictures[0], pictures[1])
    assert torch.equal(pictures[0], pictures[2])
    monkeypatch.undo()
    # Strokes drawn together differ by rounding: a network computes them in one product.
    torch.testing.assert_close(pictures[0], one.render(brush=brush), atol=1e-3, rtol=0)


@pytest.mark.parametrize(
    ("height", "width", "longest", "size"),
    [(24, 32, None, (24, 32)), (24, 32, 64, (48, 64)), (30, 7, 15, (15, 4)), (1, 900, 30, (1, 30)), (5, 5, 1, (1, 1))],
)
def test_render_at_any_size(height: int, width: int, longest: int | None, size: tuple[int, int]) -> None:
    one = painting(4, height, width)
    assert one.size(longest) == size
    picture = one.render(longest)
    assert picture.shape == (3, *size)
    assert 0 <= picture.min() <= picture.max() <= 1


def test_resolution_does_not_enter() -> None:
    one = painting(8, 32, 32)
    assert (fit(one.render(128), 32) - one.render()).abs().mean() < 0.01


@pytest.mark.parametrize("longest", [0, -4, LARGEST + 1])
def test_impossible_sizes_are_one_sentence(longest: int) -> None:
    with pytest.raises(PaintingError, match=rf"1 to {LARGEST} pixels .*, not {longest}\.$"):
        painting().render(longest)


def test_large_canvases_take_fewer_samples() -> None:
    samples = [reference_brush(BEZIER, (size, 10)).supersample for size in (10, 1024, 1025, 4096, LARGEST)]
    assert samples == [4, 4, 2, 2, 1]


def test_fewer_discs_on_large_canvases_show_the_same_strokes() -> None:
    strokes = BEZIER.sample(20, torch.Generator().manual_seed(0))
    all_discs, few = (ExactBezier(2, error)(strokes, (600, 600)).alpha for error in (0.0, 1 / 16))
    assert torch.quantile((all_discs - few).abs().mean((1, 2, 3)), 0.5) < 1e-3
    assert ((all_discs - few) ** 2).mean() < 1e-4


def test_no_strokes_is_the_ground() -> None:
    one = painting(0)
    assert torch.equal(one.render(), blank((24, 32), one.background))
    frames = [frame.clone() for frame in one.frames(3)]
    assert len(frames) == 3
    assert all(torch.equal(frame, one.render()) for frame in frames)


@pytest.mark.parametrize("count", [1, 2, 4, 40])
def test_frames_run_from_ground_to_picture(count: int) -> None:
    one = painting(7)
    frames = [frame.clone() for frame in one.frames(count, 16)]
    shown = schedule(7, count)
    assert len(frames) == len(shown) == count
    for frame, strokes in zip(frames, shown, strict=True):
        part = Painting(one.strokes[:strokes], BEZIER, 24, 32, one.background)
        torch.testing.assert_close(frame.clamp(0, 1), part.render(16), atol=1e-5, rtol=0)
    assert shown[0] == 0
    assert count == 1 or shown[-1] == 7


@given(st.integers(0, 5000), st.integers(2, 400))
def test_pace(strokes: int, frames: int) -> None:
    shown = schedule(strokes, frames)
    assert (shown[0], shown[-1], len(shown)) == (0, strokes, frames)
    steps = np.diff(shown)
    assert steps.min() >= 0
    assert strokes == 0 or shown[1] >= 1  # something happens at once
    half = frames // 2
    assert steps[:half].sum() <= steps[-half:].sum() + 1  # early strokes get more time


def test_notebooks_show_it(monkeypatch: pytest.MonkeyPatch) -> None:
    one = painting()
    shown = one._repr_mimebundle_()
    assert shown["text/plain"] == repr(one)
    with Image.open(io.BytesIO(base64.b64decode(shown["image/png"]))) as image:
        assert image.size == (384, 288)
        np.testing.assert_array_equal(np.asarray(image), to_bytes(one.render(384)))
    film = show_video(painting(1, 16, 16), 16)
    html = film._repr_html_()
    assert html.startswith("<video ")
    assert "data:video/mp4;base64,AAAA" in html
    assert "http" not in html
    assert film.mp4[4:8] == b"ftyp"


@engine
@pytest.mark.parametrize("myb", [False, True])
def test_strokes_of_mypaint_remember_their_brush(tmp_path: Path, myb: bool) -> None:
    """By name, or by the brush file's own text, whatever is installed later."""
    brush = MyPaint("liner")
    record = {"brush": "elsewhere", "myb": brush.path.read_text()} if myb else {"brush": "liner"}
    strokes = MYPAINT.sample(4, torch.Generator().manual_seed(0))
    Painting(strokes, MYPAINT, 20, 30, provenance={"input": "face", **record}).save(tmp_path / "a.safetensors")
    *_, canvas = paint_steps(blank((40, 60)), strokes, brush)
    assert torch.equal(Painting.load(tmp_path / "a.safetensors").render(60), canvas.clamp(0, 1))
    assert brush.provenance()["brush"] == "liner"
    assert ExactBezier().provenance() == {}


@pytest.mark.parametrize("provenance", [{}, {"brush": 3}, {"brush": "no/such"}, {"brush": "mine", "myb": "no brush"}])
def test_an_unknown_brush_is_one_sentence(provenance: dict) -> None:
    with pytest.raises(PaintingError, match=r"^[^\n]+\.$"):
        Painting(MYPAINT.sample(1), MYPAINT, 20, 30, provenance=provenance).render()
