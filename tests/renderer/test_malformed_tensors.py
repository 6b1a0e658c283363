"""Malformed tensors are refused with one line, or painted right; none reaches a kernel. More in tests/torture."""

import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from agents.optimal_colour import paint_greedily, score_candidates
from agents.planner import paint_refined
from renderer import BEZIER, InputError, StrokeConstraints, blank, load_brush, paint, paint_steps
from renderer.brush import Brush, Mark, Window
from renderer.ops import native
from renderer.ops.composite import SOURCE, composite
from renderer.strokes import MYPAINT
from tests.torture.fuzz_kernels import OPERATIONS, main, sound

compiled = pytest.mark.skipif(native.load(SOURCE) is None, reason="there is no C compiler")


def strokes(*shape: int, width: int = 13) -> Tensor:
    return torch.rand(*shape, width, generator=torch.Generator().manual_seed(0))


def bad(value: float) -> Tensor:
    given = strokes(3)
    given[1, 4] = value
    return given


MALFORMED: dict[str, tuple[Callable[[], Tensor], Callable[[], Tensor], str]] = {
    "ten columns": (lambda: blank((32, 32)), lambda: strokes(5)[:, :10], "P = 13"),
    "twelve columns": (lambda: blank((32, 32)), lambda: strokes(5)[:, :12], "P = 13"),
    "another space": (lambda: blank((32, 32)), lambda: MYPAINT.sample(5), "P = 13"),
    "one channel": (lambda: torch.ones(1, 32, 32), lambda: strokes(5), r"\(3, H, W\)"),
    "one channel of a batch": (lambda: torch.ones(1, 1, 32, 32), lambda: strokes(1, 5), r"\(3, H, W\)"),
    "three strokes, two canvases": (lambda: torch.ones(2, 3, 8, 8), lambda: strokes(3, 4), "2 canvases"),
    "two strokes, one canvas": (lambda: torch.ones(1, 3, 8, 8), lambda: strokes(2, 3), "1 canvases"),
    "no height": (lambda: torch.ones(3, 0, 8), lambda: strokes(3), "at least 1 pixel"),
    "no width": (lambda: torch.ones(1, 3, 8, 0), lambda: strokes(1, 3), "at least 1 pixel"),
    "no batch": (lambda: torch.ones(3, 8, 8), lambda: strokes(1, 3), r"\(N, P\)"),
    "NaN": (lambda: blank((8, 8)), lambda: bad(float("nan")), "not finite"),
    "infinite": (lambda: blank((8, 8)), lambda: bad(float("inf")), "not finite"),
    "huge": (lambda: blank((8, 8)), lambda: bad(1e30), "beyond 100"),
    "NaN canvas": (lambda: blank((8, 8)) * float("nan"), lambda: strokes(3), "not finite"),
    "half precision": (lambda: blank((8, 8)), lambda: strokes(3).half(), "torch.float32 or torch.float64"),
    "integers": (lambda: blank((8, 8)).long(), lambda: strokes(3), "torch.float32 or torch.float64"),
    "no tensor": (lambda: None, lambda: strokes(3), "not NoneType"),  # type: ignore[dict-item,return-value]
    "other precision than the weights": (lambda: blank((8, 8)).double(), lambda: strokes(3).double(), "convert one"),
    "other precision than the canvas": (lambda: blank((8, 8)), lambda: strokes(3).double(), "both need the same"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_painting_refuses(name: str) -> None:
    canvas, given, message = MALFORMED[name]
    brush = load_brush("bezier")
    with pytest.raises(InputError, match=message) as error:
        paint(canvas(), given(), brush)
    assert "\n" not in str(error.value)
    with pytest.raises(InputError):
        list(paint_steps(canvas(), given(), brush))


@pytest.mark.parametrize("name", ["bezier", "ink", "charcoal", "analytic", "exact", "flat+ink", "ink+charcoal"])
def test_brushes_refuse(name: str) -> None:
    brush = load_brush(name)
    sound = brush.space.sample(3)
    assert len(brush.patches(sound, (6, 7))) == 3
    for given, size in (
        (sound[:, :-1], (6, 7)),
        (sound[0], (6, 7)),
        (sound * float("nan"), (6, 7)),
        (sound.half(), (6, 7)),
        (sound, (0, 7)),
    ):
        for draw in (brush, brush.patches, lambda *args: list(brush.stream(*args))):
            with pytest.raises(InputError):
                draw(given, size)


@pytest.mark.parametrize("name", ["bezier", "ink", "exact"])
def test_memory_layout_does_not_matter(name: str) -> None:
    brush = load_brush(name)
    canvas, given = torch.rand(2, 3, 20, 30), brush.space.sample(10).view(2, 5, -1)
    expected = paint(canvas, given, brush)
    assert torch.equal(paint(canvas.to(memory_format=torch.channels_last), given, brush), expected)
    assert torch.equal(paint(canvas.mT.contiguous().mT, given.mT.contiguous().mT, brush), expected)
    one = canvas[:1].expand(2, -1, -1, -1)
    assert torch.equal(paint(one, given, brush), paint(one.contiguous(), given, brush))


def test_double_precision_is_not_read_as_single() -> None:
    brush = load_brush("analytic")
    canvas, target, given = (torch.rand(2, *shape).double() for shape in ((3, 9, 9), (3, 9, 9), (4, 13)))
    expected = score_candidates(given.float(), canvas.float(), target.float(), brush, palette=torch.rand(3, 3))
    torch.manual_seed(0)
    palette = torch.rand(3, 3)
    single = score_candidates(given.float(), canvas.float(), target.float(), brush, palette=palette)
    for given_palette in (palette, palette.double()):
        double = score_candidates(given, canvas, target, brush, palette=given_palette)
        torch.testing.assert_close(double.gain.float(), single.gain, rtol=1e-3, atol=1e-3)
        mixed = score_candidates(given.float(), canvas.float(), target.float(), brush, palette=given_palette)
        torch.testing.assert_close(mixed.gain, single.gain, rtol=1e-3, atol=1e-3)
    assert expected.gain.shape == (2, 4)
    with pytest.raises(InputError, match="both need the same"):
        score_candidates(given.float(), canvas.float(), target, brush)


def test_candidates_refuse() -> None:
    brush = load_brush("bezier")
    canvas, target = torch.rand(2, 3, 9, 9), torch.rand(2, 3, 9, 12)
    with pytest.raises(InputError, match="both need the same shape"):
        score_candidates(strokes(2, 4), canvas, target, brush)
    for palette in (torch.rand(2, 2), torch.rand(3), torch.rand(0, 3), torch.ones(2, 3, dtype=torch.long)):
        with pytest.raises(InputError, match="palette"):
            score_candidates(strokes(2, 4), canvas, canvas, brush, palette=palette)
        with pytest.raises(InputError, match="palette"):
            StrokeConstraints(palette=palette)
    with pytest.raises(InputError, match=r"\[0, 1\]"):
        StrokeConstraints(palette=torch.full((2, 3), 1.5))
    constraints = StrokeConstraints(palette=torch.rand(2, 3).double())
    assert constraints.colours is not None
    assert constraints.colours.dtype == torch.float32
    candidates = score_candidates(strokes(2, 4), canvas, canvas, brush)
    least = torch.zeros(2, 4)
    for order in (torch.zeros(2, 4), torch.arange(4)[None], torch.full((2, 4), 9)):
        with pytest.raises(InputError):
            paint_greedily(candidates, canvas, canvas, brush, order=order, min_gain=least, max_strokes=2)
    order = torch.zeros(2, 4, dtype=torch.long)
    for least in (
        torch.zeros(2, 4, dtype=torch.complex64),
        torch.zeros(2, 4, dtype=torch.bool),
        torch.zeros(2, 4).double(),
    ):
        with pytest.raises(InputError, match="min_gain is a tensor"):
            paint_greedily(candidates, canvas, canvas, brush, order=order, min_gain=least, max_strokes=2)
    with pytest.raises(InputError, match="mask is a tensor"):
        paint_refined(strokes(2, 4), canvas, canvas, brush, mask=torch.ones(2, 4), steps=1)


class Outside(Brush):
    """A faulty brush: its boxes lie outside of the canvas."""

    space = BEZIER

    def __call__(self, strokes: Tensor, size: tuple[int, int], window: Window | None = None) -> Mark:
        assert window is not None
        alpha = torch.ones(len(strokes), 1, window.height, window.width)
        return Mark(alpha, self.space.get(strokes, "colour")[:, :, None, None])

    def bounds(self, strokes: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        zero = torch.zeros(len(strokes), dtype=torch.long)
        return zero - 900, zero - 900, zero - 890, zero - 890


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_brush_with_boxes_outside_of_the_canvas_is_refused(dtype: torch.dtype) -> None:
    with pytest.raises(InputError, match="outside"):
        paint(blank((8, 8)).to(dtype), strokes(3).to(dtype), Outside())


@compiled
@pytest.mark.parametrize(
    ("tensor", "why"),
    [
        (torch.rand(4, 3).double(), "float32"),
        (torch.rand(3, 4).T, "strides"),
        (torch.rand(4, 2), r"\(4, 3\)"),
        (torch.rand(4, 3, device="meta"), "on meta"),
        (None, "not NoneType"),
        ([[0.0]], "not list"),
    ],
)
def test_a_kernel_call_verifies_every_operand(tensor: Any, why: str) -> None:
    with pytest.raises(InputError, match=why):
        native.call(SOURCE, "composite_forward", (native.floats(tensor, 4, 3),))


BOXES: dict[str, tuple[list[list[int]], list[int], list[int]]] = {
    "outside": ([[0, 0, 2, 2], [7, 7, 2, 2]], [0, 4], [0, 0]),
    "negative": ([[0, 0, 2, 2], [-1, 0, 2, 2]], [0, 4], [0, 0]),
    "beyond memory": ([[0, 0, 2, 2], [0, 0, 2, 2]], [0, 5], [0, 0]),
    "with a gap": ([[0, 0, 2, 2], [0, 0, 1, 2]], [0, 4], [0, 0]),
    "overlapping": ([[0, 0, 2, 2], [0, 0, 2, 2]], [0, 0], [0, 0]),
    "overflowing": ([[0, 0, 1 << 33, 1 << 33], [0, 0, 2, 2]], [0, 4], [0, 0]),
    "on no canvas": ([[0, 0, 2, 2], [0, 0, 2, 2]], [0, 4], [0, 1]),
}


@compiled
@pytest.mark.parametrize("name", BOXES)
def test_kernels_refuse_boxes(name: str) -> None:
    box, start, picture = (torch.tensor(part) for part in BOXES[name])
    with pytest.raises(InputError):
        composite(torch.ones(1, 3, 8, 8), torch.ones(8), torch.ones(2, 3), box, start, picture)


@compiled
def test_boxes_in_any_order_are_drawn() -> None:
    box, start = torch.tensor([[0, 0, 2, 2], [3, 3, 0, 2], [1, 4, 2, 2]]), torch.tensor([4, 4, 0])
    painted = composite(torch.ones(1, 3, 8, 8), torch.ones(8), torch.zeros(3, 3), box, start, torch.zeros(3).long())
    assert int((painted == 0).sum()) == 24


def test_fuzz(capsys: pytest.CaptureFixture[Any]) -> None:
    assert main(n=60, seed=1) == 0, capsys.readouterr().out


@compiled
def test_the_fuzz_calls_every_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    called, call = set(), native.call

    def record(source: Path, name: str, *arguments: Any) -> None:
        called.add(name)
        call(source, name, *arguments)

    monkeypatch.setattr(native, "call", record)
    for name, function in OPERATIONS.items():
        function(**sound(name, random.Random(0)))
    assert called == {name for source in native.FOLDER.glob("*.c") for name in native.functions(source)}


def test_the_fuzz_finds_a_crash() -> None:
    """A signal in the child process is a finding."""
    code = (
        "import os, pathlib, tests.torture.fuzz_kernels as fuzz\n"
        "fuzz.finding = lambda *_: os.abort()\n"
        "fuzz.run(3, 9, 0, pathlib.Path('/dev/null'))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode < 0
