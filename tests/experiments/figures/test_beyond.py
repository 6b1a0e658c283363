"""Pictures of other kinds are painted as faces are."""

from pathlib import Path

import pytest
import torch
from PIL import Image

from agents.registry import load_agent
from experiments.figures.beyond import Config, beyond, others
from painter.methods import paint_with
from painter.optimize import OptimizeConfig
from renderer.canvas import paint
from renderer.errors import InputError
from renderer.learned.load import load_brush

PICTURES = others(64)


@pytest.mark.parametrize("name", PICTURES)
def test_the_agent_paints_it(name: str) -> None:
    """A hundred strokes leave a small part of the picture's variance."""
    target, renderer = PICTURES[name], load_brush("bezier")
    assert max(target.shape[1:]) == 64
    assert 0 <= target.min() <= target.max() <= 1
    ways = OptimizeConfig(), torch.Generator()
    *_, last = paint_with("agent", target, 100, renderer, load_agent("agent", renderer), *ways)
    painted = paint(torch.ones_like(target), last.strokes, renderer)
    error, variance = (painted - target).square().mean(), (target - target.mean((1, 2), True)).square().mean()
    assert (
        error < (0.5 if name == "hubble deep field" else 0.15) * variance
    )  # stars: a thousand points, a hundred strokes


def test_the_page_and_its_sheet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = beyond(Config(strokes=8, size=40, out=str(tmp_path / "beyond.md")))
    with Image.open(tmp_path / "images" / "beyond.jpg") as sheet:
        assert sheet.width == 3 * 48
    text = out.read_text()
    assert text.count("| 40 x") == len(PICTURES)
    assert all(f"| {name} |" in text for name in PICTURES)
    assert all(line in text for line in capsys.readouterr().out.splitlines() if line.startswith("|"))


def test_mistakes(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--strokes"):
        beyond(Config(strokes=0, out=str(tmp_path / "beyond.md")))
