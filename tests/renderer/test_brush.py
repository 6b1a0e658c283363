"""Every brush keeps the contract, and the registry finds it."""

import functools
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from renderer import brush as registry
from renderer.brush import Brush, brush_names, concatenated, load_brush, register_brush, require_gradient
from renderer.brushes.bezier import AnalyticBezier, BezierBrush, ExactBezier
from renderer.brushes.mixed import Mixed
from renderer.errors import InputError
from renderer.io.checkpoint import Checkpoint
from renderer.learned.huang2019 import Huang2019
from renderer.learned.load import load_learned_brush
from renderer.learned.stroke_map import StrokeMap
from tests.renderer.brush_contract import (
    CHECKS,
    SIZE,
    check_bounds_contain_the_mark,
    check_brush,
    check_patches_equal_the_whole_mark,
    sample,
)
from tests.renderer.brushes.test_mypaint import installed
from tests.renderer.brushes.test_scanned import brush as scanned
from tests.renderer.learned.test_neural_brush import make

REGISTERED = [name for name in brush_names() if not name.endswith(":NAME")]
MYPAINT = ["mypaint:ink", "mypaint:charcoal", "mypaint:impressionist", "mypaint:ink+mypaint:impressionist"]


def huang2019() -> Huang2019:
    """With its initial weights it draws a nearly even grey: make strokes visible."""
    torch.manual_seed(0)
    brush = Huang2019().requires_grad_(False)
    brush.convolution[-1].get_parameter("weight").mul_(200)
    return brush


def stroke_map() -> StrokeMap:
    torch.manual_seed(0)
    return StrokeMap(hidden=16, grid=4).requires_grad_(False)


NETWORKS: dict[str, Callable[[], Brush]] = {
    "huang2019": huang2019,
    "stroke-map": stroke_map,
    "neural-brush, grain": lambda: make("grain"),
    "neural-brush, latent": lambda: make("latent"),
    "scanned": scanned,
}
STRIPS = ["strips:charcoal", "strips:impressionist"]
BRUSHES = [*REGISTERED, *STRIPS, "ink+watercolour", "flat+ink+liner", *MYPAINT, *NETWORKS]


@functools.cache
def load(name: str) -> Brush:
    if "mypaint:" in name and not installed():
        pytest.skip("needs MyPaint's engine and brushes: `make brushes`")
    return NETWORKS[name]() if name in NETWORKS else load_brush(name)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
@pytest.mark.parametrize("name", BRUSHES)
def test_contract(name: str, check: Callable[[Brush], None]) -> None:
    if name == "huang2019" and check in (check_bounds_contain_the_mark, check_patches_equal_the_whole_mark):
        pytest.skip(
            "a network of whole canvases: nothing keeps its marks to the curve, around which patches cut them off"
        )
    check(load(name))


class Broken(BezierBrush):
    """`ExactBezier` with a mistake."""

    def __init__(self, **changes: object) -> None:
        self.changes = changes

    def __call__(self, strokes, size, window=None):  # type: ignore[no-untyped-def]
        change = self.changes
        mark = ExactBezier()(strokes, size, None if change.get("window") else window)
        if change.get("batch") and len(strokes) > 1:
            mark = mark._replace(alpha=mark.alpha.flip(0))
        if change.get("range"):
            mark = mark._replace(alpha=2 * mark.alpha)
        if change.get("opacity"):
            mark = mark._replace(alpha=(mark.alpha + 0.01).clamp(max=1))
        return mark

    def bounds(self, strokes, size):  # type: ignore[no-untyped-def]
        left, top, right, bottom = super().bounds(strokes, size)
        return left, top, (left + right) // 2 + 1 if self.changes.get("bounds") else right, bottom


def test_contract_detects_mistakes() -> None:
    check_brush(Broken())
    for change in ("window", "batch", "range", "opacity", "bounds"):
        with pytest.raises(AssertionError):
            check_brush(Broken(**{change: True}))
    lying = Broken()
    lying.differentiable = True
    with pytest.raises((AssertionError, RuntimeError)):
        check_brush(lying)


def test_concatenated() -> None:
    brush = ExactBezier()
    strokes = sample(brush, 9)
    whole = brush.patches(strokes, SIZE)
    parts = concatenated(list(brush.stream(strokes, SIZE, 4)))
    for i in range(9):
        for ours, wanted in zip(parts.on(torch.zeros(3, *SIZE), i), whole.on(torch.zeros(3, *SIZE), i), strict=True):
            assert torch.equal(ours, wanted)


# The registry.


@pytest.fixture(autouse=True)
def _restored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_FACTORIES", dict(registry._FACTORIES))


def test_load_by_name() -> None:
    assert isinstance(load_brush("exact"), ExactBezier)
    assert isinstance(load_brush("analytic"), AnalyticBezier)
    assert isinstance(load_brush(), StrokeMap)
    assert isinstance(load_brush("ink+flat"), Mixed)
    assert {"exact", "analytic", "mypaint:NAME", "bezier", "ink"} <= set(brush_names())
    assert not {"agent", "stylegan", "kaokore-gender"} & set(brush_names())


def test_register_factory_import_and_family() -> None:
    register_brush("fine", lambda: ExactBezier(8))
    assert load_brush("fine").supersample == 8  # type: ignore[attr-defined]
    register_brush("plain", "renderer.brushes.bezier:ExactBezier")
    assert load_brush("plain").supersample == 4  # type: ignore[attr-defined]
    register_brush("exact:", lambda text: ExactBezier(int(text)))
    assert load_brush("exact:2").supersample == 2  # type: ignore[attr-defined]
    assert isinstance(load_brush("exact"), ExactBezier), "beside the family"
    register_brush("fine", lambda: ExactBezier(2))
    assert load_brush("fine").supersample == 2, "a later one replaces it"  # type: ignore[attr-defined]
    for name in ("", "a+b", "a:b", "+"):
        with pytest.raises(InputError, match="cannot be called"):
            register_brush(name, ExactBezier)


def test_load_from_a_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "brushes_of_mine.py").write_text(
        "from renderer.learned.stroke_map import StrokeMap\n\ndef small():\n    return StrokeMap(8, 4)\n\nnothing = dict\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    brush = load_brush("brushes_of_mine:small")
    assert isinstance(brush, nn.Module)
    assert not any(parameter.requires_grad for parameter in brush.parameters())
    assert not brush.training
    for name, reason in {
        "brushes_of_mine:large": "no attribute 'large'",
        "brushes_of_nobody:small": "No module named",
        ":small": "No brush ':small'",
        "brushes_of_mine:nothing": "A dict is not a brush",
    }.items():
        with pytest.raises(InputError, match=reason):
            load_brush(name)


@pytest.mark.parametrize("name", ["nowhere", "ink+nowhere", "nowhere.safetensors", "", "../ink"])
def test_unknown_brush_error_lists_brushes_only(name: str) -> None:
    listed = r"^There is no brush [^\n]* exact, analytic, mypaint:NAME, [^\n]*bezier, [^\n]*\.$"
    with pytest.raises(InputError, match=listed) as error:
        load_brush(name)
    assert "kaokore" not in str(error.value)


@pytest.mark.parametrize("name", ["nowhere", "agent"])
def test_error_of_learned_brushes_lists_brushes_only(name: str) -> None:
    with pytest.raises(
        InputError, match=r"^[^\n]*learned brush[^\n]*choose one of bezier, [^\n]*ink, [^\n]*\.$"
    ) as error:
        load_learned_brush(name)
    assert "kaokore" not in str(error.value)


def test_a_file_without_its_suffix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    network = stroke_map()
    Checkpoint("stroke-map", {"hidden": 16, "grid": 4}, network.state_dict(), network.space).save("mine.safetensors")
    assert isinstance(load_brush("mine"), StrokeMap)
    Path("ink.safetensors").write_bytes(Path("mine.safetensors").read_bytes())
    assert not isinstance(load_brush("ink"), StrokeMap), "a shipped one comes first"


def test_errors_name_the_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a brush that can be learned; without the engine, and before anything is loaded."""
    monkeypatch.chdir(tmp_path)
    scanned().save("scan.safetensors")
    train = "learn it by `python -m experiments.train_renderer --brush"
    for name, advice in {
        "exact": "use bezier or ink.",
        "mypaint:ink": "use ink.",
        "mypaint:ink+mypaint:flat": "use ink+flat.",
        "watercolour+mypaint:ink": "use watercolour+ink.",
        "mypaint:my.myb": f"{train} my.myb --quick`.",
        "ink+mypaint:a b.myb": f"{train} 'a b.myb' --quick`.",
        "scan": f"{train} scan.safetensors --quick`.",
        "scan.safetensors": f"{train} scan.safetensors --quick`.",
    }.items():
        with pytest.raises(InputError) as error:
            require_gradient(name)
        assert str(error.value) == f"Brush {name!r} is not differentiable; {advice}"
    for name in ("bezier", "ink+flat", "nowhere", "module:Class"):
        require_gradient(name)
    Path("my.myb").touch()
    with pytest.raises(InputError, match=r"use mypaint:my\.myb, or learn it by `python [^\n]*\.$"):
        load_brush("my.myb")
