"""Compiled kernels: they match PyTorch, and painting works without them."""

import copy
import functools
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from agents.optimal_colour import paint_greedily, score_candidates
from renderer.brush import Brush, Mark, Window
from renderer.brushes.bezier import AnalyticBezier, BezierBrush, bounds
from renderer.canvas import over, paint
from renderer.learned.stroke_map import StrokeMap
from renderer.ops import decode_stroke_map, native
from renderer.strokes import BEZIER

SOURCES = sorted(native.FOLDER.glob("*.c"))
SIZE = (18, 26)

compiled = pytest.mark.skipif(native.load(SOURCES[0]) is None, reason="there is no C compiler")


def sample(*shape: int, seed: int = 0) -> Tensor:
    """Strokes `(*shape, P)`, some of them thin."""
    generator = torch.Generator().manual_seed(seed)
    strokes = torch.rand(*shape, 13, generator=generator)
    strokes[..., BEZIER.columns("radius")] *= torch.rand(*shape, 1, generator=generator)
    return strokes


def pictures(n: int, seed: int, size: tuple[int, int] = SIZE) -> Tensor:
    return torch.rand(n, 3, *size, generator=torch.Generator().manual_seed(seed))


class Boxed(BezierBrush):
    """Any brush, cut off at `bounds`, so that soft edges beyond the boxes are left out of comparisons."""

    def __init__(self, inner: Brush) -> None:
        self.inner = inner

    def __call__(self, strokes: Tensor, size: tuple[int, int], window: Window | None = None) -> Mark:
        n = len(strokes)
        h, w = size if window is None else (window.height, window.width)
        x, y = torch.arange(w).expand(n, w), torch.arange(h).expand(n, h)
        if window is not None:
            x, y = x + window.left[:, None], y + window.top[:, None]
        left, top, right, bottom = bounds(strokes, size)
        across = (x >= left[:, None]) & (x < torch.maximum(right, left + 1)[:, None])
        down = (y >= top[:, None]) & (y < torch.maximum(bottom, top + 1)[:, None])
        mark = self.inner(strokes, size, window)
        return Mark(mark.alpha * (down[:, None, :, None] & across[:, None, None, :]), mark.colour)


def close(actual: Tensor, expected: Tensor, relative: float = 1e-4) -> None:
    """Equal up to a fraction of the largest value."""
    actual, expected = actual.detach(), expected.detach().to(actual)
    torch.testing.assert_close(actual, expected, rtol=0, atol=relative * float(expected.abs().max()) + 1e-7)


@functools.cache
def network() -> StrokeMap:
    torch.manual_seed(1)
    module = StrokeMap(hidden=16, grid=5)
    module.body[-1].weight.data.mul_(12)  # so that maps vary and t is clamped at both ends
    return module


@compiled
@pytest.mark.parametrize(
    "window", [None, Window(torch.arange(12) - 3, torch.arange(12) - 2, 11, 7)], ids=["whole", "window"]
)
def test_stroke_map(window: Window | None) -> None:
    fast, slow = network(), copy.deepcopy(network()).double()
    results = []
    for module, dtype in ((fast, torch.float32), (slow, torch.float64)):
        module.zero_grad()
        strokes = sample(12, seed=2).to(dtype).requires_grad_()
        assert (native.load_for(decode_stroke_map.SOURCE, strokes) is None) == (dtype == torch.float64)
        alpha = module(strokes, SIZE, window).alpha
        weights = torch.rand(alpha.shape, generator=torch.Generator().manual_seed(3)).to(dtype)
        (alpha * weights).sum().backward()
        results.append((alpha, strokes.grad, *(parameter.grad for parameter in module.parameters())))
    maps = fast._geometry(sample(12, seed=2), SIZE)[1]
    assert maps.min() < 0, "some t are clamped"
    assert maps.max() > 1
    (alpha, *gradients), (expected, *expected_gradients) = results
    close(alpha, expected)
    for gradient, wanted in zip(gradients, expected_gradients, strict=True):
        assert wanted.abs().max() > 0
        close(gradient, wanted, 1e-3)


@compiled
def test_stroke_map_wider_than_a_block_of_the_kernel() -> None:
    """The kernel computes rows 256 pixels at a time."""
    gradients = []
    for module, dtype in ((network(), torch.float32), (copy.deepcopy(network()).double(), torch.float64)):
        strokes = sample(2, seed=4).to(dtype).requires_grad_()
        module(strokes, (4, 600)).alpha.square().sum().backward()
        gradients.append(strokes.grad)
    close(gradients[0], gradients[1], 1e-3)


@compiled
def test_stroke_map_far_from_the_stroke_is_zero_and_finite() -> None:
    strokes = sample(3, seed=5).requires_grad_()
    alpha = network()(strokes, SIZE, Window(torch.full((3,), 9000), torch.full((3,), -9000), 4, 4)).alpha
    alpha.sum().backward()
    assert not alpha.any()
    assert strokes.grad is not None
    assert strokes.grad.isfinite().all()


def without_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "load_for", lambda *_: None)


def gradients_of(result: Callable[..., Tensor], *inputs: Tensor) -> list[Tensor]:
    leaves = [tensor.clone().requires_grad_() for tensor in inputs]
    value = result(*leaves)
    value.backward()
    return [value.detach(), *(leaf.grad for leaf in leaves if leaf.grad is not None)]


@compiled
def test_paint(monkeypatch: pytest.MonkeyPatch) -> None:
    brush = Boxed(AnalyticBezier(12))
    canvas, strokes, weights = pictures(2, 0), sample(2, 9, seed=6), pictures(2, 1)
    # `over`, stroke after stroke
    expected = canvas
    for i in range(9):
        expected = over(expected, brush(strokes[:, i], SIZE))
    close(paint(canvas, strokes, brush), expected, 1e-6)

    def objective(canvas: Tensor, strokes: Tensor) -> Tensor:
        return (paint(canvas, strokes, brush) - weights).square().sum()

    with_kernel = gradients_of(objective, canvas, strokes)
    without_kernels(monkeypatch)
    for actual, wanted in zip(with_kernel, gradients_of(objective, canvas, strokes), strict=True):
        close(actual, wanted)


@compiled
def test_paint_with_more_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each thread owns a band of rows: values and gradients do not depend on how many, not even with more than rows."""
    canvas, strokes = pictures(1, 2, (5, 30)), sample(1, 20, seed=7)
    results = []
    for threads in (1, 3, 8):  # the kernels are told how many
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        results.append(gradients_of(lambda a, b: paint(a, b, network()).square().sum(), canvas, strokes))
    for other in results[1:]:
        for actual, wanted in zip(other, results[0], strict=True):
            assert torch.equal(actual, wanted)


@compiled
def test_boxes_match_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """All boxes at once, with and without kernels, against the whole mark."""
    strokes = sample(15, seed=8)
    fast = network().patches(strokes, SIZE)
    without_kernels(monkeypatch)
    slow = network().patches(strokes, SIZE)
    whole = network()(strokes, SIZE).alpha[:, 0]
    for patches in (fast, slow):
        for i, (left, top, width, height) in enumerate(patches.box.tolist()):
            ours = patches.alpha[patches.start[i] :][: width * height].view(height, width)
            close(ours, whole[i, top : top + height, left : left + width])
            assert left >= 0
            assert top >= 0
            assert top + height <= SIZE[0]
            assert left + width <= SIZE[1]
    assert (fast.box[:, 2:] <= slow.box[:, 2:]).all()


def fitted(canvas: Tensor, target: Tensor, strokes: Tensor, brush: Brush, least: float, limit: int):  # type: ignore[no-untyped-def]
    """One round of an agent: gains, order, paint."""
    proposed = score_candidates(strokes, canvas, target, brush)
    gain = proposed.gain.detach()
    order = gain.argsort(1, descending=True)
    return proposed, paint_greedily(
        proposed, canvas, target, brush, order=order, min_gain=gain * least, max_strokes=limit
    )


@compiled
@pytest.mark.parametrize(("least", "limit"), [(0.5, 5), (0.95, 6), (-torch.inf, 12)])
def test_optimal_compositing(monkeypatch: pytest.MonkeyPatch, least: float, limit: int) -> None:
    brush = Boxed(AnalyticBezier(12))
    canvas, strokes, weights = pictures(2, 3), sample(2, 12, seed=9), pictures(2, 5)
    target = 0.5 * pictures(2, 4)
    target[1] = pictures(1, 4).round()[0] * 1.4 - 0.2  # optimal colours outside [0, 1] here

    def all_of(canvas: Tensor, strokes: Tensor) -> tuple[Tensor, ...]:
        canvas, strokes = canvas.clone().requires_grad_(), strokes.clone().requires_grad_()
        proposed, (painted, chosen, real) = fitted(canvas, target, strokes, brush, least, limit)
        gradient = torch.autograd.grad(proposed.gain.square().sum(), strokes, retain_graph=True)[0]
        gradients = torch.autograd.grad((painted * weights).sum(), (canvas, strokes))
        detached = (proposed.gain, proposed.strokes, painted, chosen * real[..., None], real.float())
        return tuple(tensor.detach() for tensor in (*detached, gradient, *gradients))

    actual = all_of(canvas, strokes)
    without_kernels(monkeypatch)
    expected = all_of(canvas, strokes)
    for ours, wanted in zip(actual, expected, strict=True):
        assert wanted.abs().max() > 0
        close(ours, wanted, 2e-4)
    assert expected[4].all() or least > 0


def test_gradients_of_the_reference_implementations() -> None:
    """The reference implementations against finite differences."""
    brush, size = AnalyticBezier(5), (5, 6)
    strokes = (0.15 + 0.7 * sample(1, 3, seed=10)).double().requires_grad_()
    canvas, target = (picture.double() for picture in pictures(2, 6, size).split(1))
    canvas.requires_grad_()
    assert torch.autograd.gradcheck(lambda c, s: paint(c, s, brush), (canvas, strokes), atol=1e-4)
    assert torch.autograd.gradcheck(lambda s: score_candidates(s, canvas, target, brush).gain, strokes, atol=1e-4)
    assert torch.autograd.gradcheck(
        lambda c, s: fitted(c, target, s, brush, -torch.inf, 3)[1][0], (canvas, strokes), atol=1e-4
    )


@compiled
def test_loading_a_kernel_keeps_subnormal_numbers() -> None:
    for source in SOURCES:
        assert native.load(source) is not None
    assert np.float64(5e-324) * 1.0 != 0
    assert torch.tensor(1e-40).mul(1.0) != 0


# Without kernels. `__wrapped__` bypasses the memory of `functools.cache`.
load = native.load.__wrapped__


@pytest.fixture
def _fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An empty cache, and no warning so far."""
    monkeypatch.delenv("KAOKORE_NATIVE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    native._warn.cache_clear()
    native._warn_of_cache.cache_clear()


@pytest.mark.usefixtures("_fresh")
def test_kernels_can_be_forbidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAOKORE_NATIVE", "0")
    assert not native.available()
    assert load(SOURCES[0]) is None, "and no warning"


@pytest.mark.usefixtures("_fresh")
def test_a_missing_compiler_warns_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CC", "/nonexistent")
    assert not native.available()
    with pytest.warns(RuntimeWarning, match="many times slower") as warned:
        assert [load(source) for source in SOURCES] == [None] * len(SOURCES)
    assert len(warned) == 1
    assert not list((tmp_path / "kaokore-painter").iterdir())


@pytest.fixture
def answer(tmp_path: Path) -> Path:
    source = tmp_path / "answer.c"
    source.write_text("int answer(void) { return 42; }")
    return source


with_gcc = pytest.mark.skipif(shutil.which("gcc") is None, reason="there is no C compiler")
cached = pytest.mark.usefixtures("_fresh")


def kept(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "kaokore-painter").iterdir())


@with_gcc
@cached
def test_without_a_usable_cache_kernels_are_compiled_for_the_process(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, answer: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.warns(RuntimeWarning, match="are not kept"):
        assert load(answer).answer() == 42


@with_gcc
@cached
@pytest.mark.parametrize("mode", [0o777, 0o770, 0o1777])
def test_a_cache_that_others_can_write_is_not_used(tmp_path: Path, answer: Path, mode: int) -> None:
    folder = tmp_path / "kaokore-painter"
    folder.mkdir()
    assert load(answer).answer() == 42
    library = next(path for path in folder.iterdir() if path.suffix == ".so")
    foreign = tmp_path / "foreign.c"
    foreign.write_text("int answer(void) { return 666; }")
    subprocess.run(["gcc", "-shared", "-fPIC", foreign, "-o", library], check=True)
    library.with_suffix(".sha256").write_text(hashlib.sha256(library.read_bytes()).hexdigest())
    folder.chmod(mode)
    with pytest.warns(RuntimeWarning, match="can be written by others"):
        assert load(answer).answer() == 42
    folder.chmod(0o700)


@with_gcc
@cached
def test_a_cache_of_another_user_is_not_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, answer: Path) -> None:
    me = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: me + 1)
    with pytest.warns(RuntimeWarning, match="belongs to another user"):
        assert load(answer).answer() == 42
    assert not kept(tmp_path)


@with_gcc
@cached
def test_a_link_instead_of_the_cache_is_not_used(tmp_path: Path, answer: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "kaokore-painter").symlink_to(tmp_path / "elsewhere")
    with pytest.warns(RuntimeWarning, match="is no folder"):
        assert load(answer).answer() == 42
    assert not list((tmp_path / "elsewhere").iterdir())


@with_gcc
@cached
def test_no_home(monkeypatch: pytest.MonkeyPatch, answer: Path) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", lambda: (_ for _ in ()).throw(RuntimeError("no home")))
    with pytest.warns(RuntimeWarning, match="no home folder"):
        assert load(answer).answer() == 42
    monkeypatch.setenv("CC", "/nonexistent")
    assert not native.available()


@with_gcc
@cached
@pytest.mark.parametrize("damage", ["truncated", "foreign", "empty", "no hash", "other hash"])
def test_a_damaged_library_is_compiled_again(tmp_path: Path, answer: Path, damage: str) -> None:
    assert native._private_folder() == tmp_path / "kaokore-painter"
    library = native._library(native._private_folder(), answer)
    native._compile(answer, library)
    whole = library.read_bytes()
    record = library.with_suffix(".sha256")
    if damage == "no hash":
        record.unlink()
    elif damage == "other hash":
        record.write_text("0" * 64)
    else:
        library.write_bytes({"truncated": whole[: len(whole) // 2], "foreign": b"\x7fELF" * 99, "empty": b""}[damage])
    assert load(answer).answer() == 42
    assert hashlib.sha256(library.read_bytes()).hexdigest() == record.read_text()


@with_gcc
@cached
def test_a_missing_function_falls_back(monkeypatch: pytest.MonkeyPatch, answer: Path) -> None:
    monkeypatch.setattr(native, "functions", lambda _: ["question"])
    with pytest.warns(RuntimeWarning, match="many times slower"):
        assert load(answer) is None


def test_the_functions_of_the_sources_are_known() -> None:
    assert {name for source in SOURCES for name in native.functions(source)} == {
        "composite_forward",
        "composite_backward",
        "decode_stroke_map_forward",
        "decode_stroke_map_backward",
        "decode_texture_forward",
        "decode_texture_backward",
        "score_marks_forward",
        "score_marks_backward",
        "composite_greedily_forward",
        "composite_greedily_backward",
        "score_strokes",
        "refine_each",
        "refine_together",
        "error_of_strokes",
        "descend",
        "composite_without",
        "draw_discs",
    }


@with_gcc
@cached
def test_processes_compile_at_once(tmp_path: Path, answer: Path) -> None:
    """Three copies of a process that has imported what they need."""
    code = """
import os, pathlib, sys
from renderer.ops import native
children = []
for _ in range(3):
    children.append(os.fork())
    if children[-1] == 0:
        os._exit(native.load(pathlib.Path(sys.argv[1])).answer())
print([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children])
"""
    done = subprocess.run([sys.executable, "-c", code, answer], capture_output=True, text=True, check=True)
    assert done.stdout == "[42, 42, 42]\n", done.stderr
    assert [path.suffix for path in kept(tmp_path)] == [".sha256", ".so"]


@with_gcc
@cached
def test_a_kernel_is_compiled_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, answer: Path) -> None:
    assert load(answer).answer() == 42
    assert [path.suffix for path in kept(tmp_path)] == [".sha256", ".so"], "no temporary files"
    assert (tmp_path / "kaokore-painter").stat().st_mode & 0o777 == 0o700
    with monkeypatch.context() as patch:
        patch.setattr(subprocess, "run", None)
        assert load(answer).answer() == 42
    answer.write_text("int answer(void) { return 43; }")
    assert load(answer).answer() == 43, "a changed source is compiled again"
    answer.write_text("int answer(void) { this is not C }")
    with pytest.warns(RuntimeWarning, match="many times slower"):
        assert load(answer) is None


@compiled
def test_a_filled_cache_needs_no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's cache: to fill another takes seconds."""
    for source in SOURCES:
        assert load(source) is not None
    monkeypatch.setenv("CC", "/nonexistent")
    assert native.available()
    assert all(load(source) is not None for source in SOURCES)


def test_painting_without_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same painting, with and without kernels."""
    canvas, strokes = pictures(1, 8), sample(1, 6, seed=11)
    module: nn.Module = network()
    before = paint(canvas, strokes, module)  # type: ignore[arg-type]
    without_kernels(monkeypatch)
    torch.testing.assert_close(paint(canvas, strokes, module), before, rtol=0, atol=0.03)  # type: ignore[arg-type]
