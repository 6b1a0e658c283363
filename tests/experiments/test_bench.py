import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from agents.policy import Policy
from experiments.bench import batch_speed
from experiments.bench import renderer_speed as bench_renderer
from experiments.bench.__main__ import Config, bench
from experiments.bench.painting_speed import linear, naive_paint, painterly
from experiments.bench.timing import in_turns
from renderer.brush import load_brush
from renderer.canvas import blank, paint
from renderer.errors import InputError
from renderer.io.checkpoint import Checkpoint
from renderer.learned.huang2019 import Huang2019
from renderer.strokes import BEZIER

SPEEDS = ("forward_strokes_per_s", "forward_backward_strokes_per_s")
TINY = Config(
    only="renderer,painting",
    seconds_each=0,
    batch=4,
    test_strokes=4,
    counts=(3, 6),
    sides=(24, 40),
    agent_counts=(2, 5),
)
WINDOWS = tuple(f"windows_{key}" for key in SPEEDS)


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """All figures, with a baseline and an agent (both untrained)."""
    folder = tmp_path_factory.mktemp("bench")
    Checkpoint("huang2019", {}, Huang2019().state_dict(), BEZIER).save(folder / "baseline.safetensors")
    small = {"width": 16, "blocks": 1, "each": 1}
    Checkpoint("policy", small, Policy(**small).state_dict(), BEZIER).save(folder / "agent.safetensors")
    given = {name: str(folder / f"{name}.safetensors") for name in ("baseline", "agent")}
    return json.loads(bench(replace(TINY, json=str(folder / "new" / "bench.json"), **given)).read_text())


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """All figures, where neither baseline nor agent was trained."""
    config = replace(TINY, json=str(tmp_path_factory.mktemp("bench") / "bench.json"), baseline="none-b", agent="none-a")
    return json.loads(bench(config).read_text())


def numbers(figures: dict[str, Any]) -> Iterator[tuple[str, float]]:
    """All numbers by name; checks that each null has a note."""
    for key, value in figures.items():
        if isinstance(value, dict):
            yield from ((f"{key}.{inner}", number) for inner, number in numbers(value))
        elif isinstance(value, list):
            yield from ((key, number) for number in value)
        elif value is None:
            assert figures["note"].endswith("."), key
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield key, value


@pytest.mark.slow
@pytest.mark.parametrize("which", ["full", "bare"])
def test_every_figure_is_positive_or_null_with_a_note(which: str, request: pytest.FixtureRequest) -> None:
    may_be_zero = ("load_before", "step_mib", "linear")  # a least squares cost of two tiny steps may be negative
    for key, value in numbers(request.getfixturevalue(which)):
        assert math.isfinite(value), key
        assert value > 0 or any(name in key for name in may_be_zero), key


@pytest.mark.slow
def test_the_file_records_what_was_measured(full: dict[str, Any]) -> None:
    assert full["machine"]["cpu"]
    assert {"cores", "threads", "torch"} <= set(full["machine"])
    assert full["made_by"]["command"].startswith("python -m experiments.")
    setting = full["renderer"]["setting"]
    assert (setting["batch"], setting["side"], setting["threads"]) == (TINY.batch, 128, torch.get_num_threads())
    assert set(full["renderer"]) == {"setting", "ours", "huang2019", "ratio", "analytic", "exact"}
    cases = {f"{count}@{side}" for count in TINY.counts for side in TINY.sides}
    assert set(full["painting"]["megapixels_touched"]) == cases
    assert cases < set(full["painting"]["step_ms"])
    assert full["painting"]["memory"]["case"] == "6@40"
    assert full["painting"]["memory"]["peak_mib"] > 20
    assert {"2", "5"} < set(full["painting"]["agent"]["seconds"])
    assert set(full["painting"]["agent"]["mse"]) == {"2", "5"}


@pytest.mark.slow
@pytest.mark.parametrize("which", ["full", "bare"])
def test_a_ratio_is_the_quotient(which: str, request: pytest.FixtureRequest) -> None:
    figures = request.getfixturevalue(which)["renderer"]
    ours, theirs, ratio = figures["ours"], figures["huang2019"], figures["ratio"]
    for key in (*SPEEDS, *WINDOWS):
        assert ratio[key] == pytest.approx(ours[key] / theirs[key.removeprefix("windows_")])
        assert ours[f"{key}_range"][0] <= ours[key] <= ours[f"{key}_range"][1]
    if which == "full":
        assert ratio["alpha_mse"] == pytest.approx(ours["alpha_mse"] / theirs["alpha_mse"])
        assert ours["alpha_mse"] < 1e-3 < theirs["alpha_mse"]  # the one was trained, the other was not
    else:
        assert theirs["alpha_mse"] is ratio["alpha_mse"] is None
        assert "--arch huang2019" in theirs["note"]
    naive = request.getfixturevalue(which)["painting"]["naive"]
    step_ms = request.getfixturevalue(which)["painting"]["step_ms"]
    assert naive["times_ours"] == pytest.approx(naive["step_ms"] / step_ms[naive["case"]])


def test_only_one_section(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = bench(replace(TINY, json=str(tmp_path / "bench.json"), only="renderer"))
    assert set(json.loads(out.read_text())) == {"machine", "made_by", "renderer"}
    assert [path.name for path in tmp_path.iterdir()] == ["bench.json"]
    printed = capsys.readouterr().out
    assert "ratio" in printed
    assert str(out) in printed


def test_without_weights_the_record_of_the_training_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench_renderer, "RECORDS", tmp_path)
    (tmp_path / "large.json").write_text('{"alpha_mse": 0.25, "steps": 9}')
    out = bench(replace(TINY, json=str(tmp_path / "bench.json"), only="renderer", baseline="large"))
    figures = json.loads(out.read_text())["renderer"]
    assert figures["huang2019"]["alpha_mse"] == 0.25
    assert figures["ratio"]["alpha_mse"] == pytest.approx(figures["ours"]["alpha_mse"] / 0.25)
    assert "when it was trained (docs/large.json)" in figures["huang2019"]["note"]
    assert "note" not in figures["ratio"]
    assert "not shipped" in capsys.readouterr().out


def test_turns_alternate() -> None:
    calls = ""

    def call(name: str) -> None:
        nonlocal calls
        calls += name

    times = in_turns({"A": lambda: call("A"), "B": lambda: call("B")}, 0)
    assert calls == "AB" * 4  # a warm-up, three turns
    assert [len(values) for values in times.values()] == [3, 3]


def test_the_naive_baseline_paints_the_same_image() -> None:
    renderer, strokes = load_brush(), painterly(20, seed=1).requires_grad_()
    pictures = [painter(blank((40, 40)), strokes, renderer) for painter in (paint, naive_paint)]
    torch.testing.assert_close(*pictures, atol=1e-3, rtol=0)
    mine, naive = (torch.autograd.grad(picture.square().sum(), strokes)[0] for picture in pictures)
    assert torch.nn.functional.cosine_similarity(mine.flatten(), naive.flatten(), dim=0) > 0.99


def test_linear_recovers_the_costs() -> None:
    cases = [(200, 128), (1000, 128), (200, 512), (1000, 512)]
    megapixels = [0.1, 0.4, 1.0, 6.0]
    step_ms = [2 + 0.005 * count + 11 * pixels for (count, _), pixels in zip(cases, megapixels, strict=True)]
    assert list(linear(cases, step_ms, megapixels).values()) == pytest.approx([2, 5, 11, 0], abs=1e-9)


@pytest.mark.parametrize(
    "options",
    [
        {"only": "speed"},
        {"only": ""},
        {"batch": 0},
        {"counts": ()},
        {"threads": 0},
        {"seconds_each": -1.0},
        {"renderer": "exact"},
    ],
)
def test_invalid_options_are_reported_in_one_line(tmp_path: Path, options: dict) -> None:
    with pytest.raises(InputError, match=r"^[^\n]+\.$"):
        bench(replace(TINY, **{"json": str(tmp_path / "bench.json"), **options}))
    assert not list(tmp_path.iterdir())


def test_another_network_is_not_the_baseline(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="huang2019 is needed"):
        bench(replace(TINY, json=str(tmp_path / "bench.json"), only="renderer", baseline="bezier"))


def test_batches_and_neighbours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_speed, "TURNS", 2)
    small = {"width": 16, "blocks": 1, "each": 1}
    Checkpoint("policy", small, Policy(**small).state_dict(), BEZIER).save(tmp_path / "agent.safetensors")
    config = replace(
        TINY, json=str(tmp_path / "bench.json"), only="batch,neighbours", images=2, agent_strokes=2, optimize_steps=2
    )
    figures = json.loads(bench(replace(config, agent=str(tmp_path / "agent.safetensors"))).read_text())
    batch, neighbours = figures["batch"], figures["neighbours"]
    assert batch["setting"]["images"] == 2
    for method in ("agent", "optimize"):
        assert batch[method]["times_alone"] > 0
        assert len(batch[method]["times_alone_range"]) == 2
    for way in ("default", "spinning"):
        assert neighbours[way]["quiet_seconds"] > 0
        low, high = neighbours[way]["times_quiet_range"]
        assert 0 < low <= neighbours[way]["times_quiet"] <= high
    assert neighbours["spinning_times_default"] > 0
