"""Agents by name, file and class."""

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor

from agents.planner import Planning
from agents.registry import Agent, load_agent, register_agent
from renderer.brush import Brush
from renderer.brushes.bezier import ExactBezier
from renderer.canvas import paint
from renderer.constraints import UNCONSTRAINED, StrokeConstraints
from renderer.errors import InputError
from renderer.io.checkpoint import Checkpoint, CheckpointError


class SingleStroke:
    """Paints the same grey stroke `count` times."""

    def __init__(self, brush: Brush, device: torch.device | str, planning: Planning) -> None:
        self.brush, self.planning = brush, planning

    def __call__(
        self, canvas: Tensor, target: Tensor, count: int, *, constraints: StrokeConstraints = UNCONSTRAINED
    ) -> Iterator[tuple[Tensor, Tensor]]:
        for _ in range(count):
            strokes = constraints.apply(torch.full((1, self.brush.space.width), 0.5), self.brush.space)
            canvas = paint(canvas, strokes, self.brush)
            yield canvas, strokes


def _strokes(agent: Agent, count: int) -> Tensor:
    canvas = torch.ones(3, 16, 16)
    return torch.cat([strokes for _, strokes in agent(canvas, torch.zeros(3, 16, 16), count)])


def test_shipped_agent_paints_the_number_of_strokes_asked_for() -> None:
    assert _strokes(load_agent("agent", ExactBezier(), planning=Planning(0, 0)), 3).shape == (3, 13)


def test_agent_class_is_loaded_by_module_and_name() -> None:
    agent = load_agent(f"{__name__}:SingleStroke", ExactBezier(), planning=Planning(1, 2))
    assert isinstance(agent, SingleStroke)
    assert agent.planning == Planning(1, 2)
    assert _strokes(agent, 2).shape == (2, 13)


@pytest.mark.parametrize("name", ["no_such_module:Agent", f"{__name__}:NoSuchClass", ":Agent"])
def test_unknown_class_is_one_clear_error(name: str) -> None:
    with pytest.raises(InputError, match="No agent"):
        load_agent(name, ExactBezier())


def test_registered_kind_is_loaded_from_its_checkpoint(tmp_path: Path) -> None:
    Checkpoint("test-single-stroke", {}, {"unused": torch.zeros(1)}).save(tmp_path / "one.safetensors")
    with pytest.raises(CheckpointError):
        load_agent(str(tmp_path / "one.safetensors"), ExactBezier())
    register_agent(
        "test-single-stroke", lambda checkpoint, brush, device, planning: SingleStroke(brush, device, planning)
    )
    assert _strokes(load_agent(str(tmp_path / "one.safetensors"), ExactBezier()), 4).shape == (4, 13)


def test_class_in_a_new_module(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("an_agent_of_mine")
    module.Mine = SingleStroke  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "an_agent_of_mine", module)
    assert isinstance(load_agent("an_agent_of_mine:Mine", ExactBezier()), SingleStroke)
