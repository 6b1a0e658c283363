"""Painting launches few kernels on a GPU, however many strokes and pictures there are."""

import json
from pathlib import Path
from typing import Any

import pytest

from experiments.bench.__main__ import Config, bench
from experiments.bench.launches import round_launches


@pytest.fixture(scope="module")
def launches(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    path = bench(Config(launches=True, json=str(tmp_path_factory.mktemp("launches") / "launches.json")))
    return json.loads(Path(path).read_text())["launches"]


@pytest.mark.parametrize(("what", "most"), [("optimize_step_200", 150), ("agent_round", 1500), ("agent_200", 20_000)])
def test_few_launches(launches: dict[str, Any], what: str, most: int) -> None:
    assert 10 < launches[what]["launches"] <= most


def test_gradient_steps_do_not_wait(launches: dict[str, Any]) -> None:
    assert launches["optimize_step_200"]["host_waits"] == 0
    assert launches["agent_round"]["host_waits"] <= 3
    assert launches["agent_200"]["host_waits"] <= 60


def test_launches_of_a_round_do_not_depend_on_strokes_and_batch() -> None:
    counts = [round_launches("bezier", "agent", batch, strokes, 64) for batch, strokes in ((1, 20), (3, 24))]
    assert counts[0] == counts[1]
