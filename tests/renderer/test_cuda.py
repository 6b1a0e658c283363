"""Tests on a real GPU, skipped without one: results match those of a CPU. `test_pretend_gpu.py` runs anywhere."""

import pytest
import torch
from torch import nn

from agents.huang2019 import TINY, LearningToPaint
from agents.policy import Policy
from agents.rollout import paint_picture
from agents.train import TrainConfig, train_episode
from painter.importance import importance
from painter.optimize import OptimizeConfig, optimize
from renderer.brush import load_brush
from renderer.brushes.bezier import ExactBezier
from renderer.canvas import paint
from renderer.learned.train import alpha_error
from renderer.strokes import BEZIER

SIZE = (16, 24)


def on_cuda(*tensors: torch.Tensor) -> None:
    assert tensors
    for tensor in tensors:
        assert tensor.device.type == "cuda"


def rand(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, device="cuda")


@pytest.fixture
def _gpu() -> None:
    if not torch.cuda.is_available():
        pytest.skip("there is no GPU")


@pytest.mark.usefixtures("_gpu")
def test_everything_on_a_gpu() -> None:
    shipped, exact = load_brush("bezier", "cuda"), ExactBezier()
    assert isinstance(shipped, nn.Module)
    assert alpha_error(shipped, exact, 50, seed=0) < 1e-3
    target = rand(3, *SIZE)
    canvas = torch.ones_like(target)
    config = OptimizeConfig(steps=10, stages=2, relocations=1, relocate_fraction=0.3)
    *_, last = optimize(target, shipped, 6, canvas=canvas, config=config, generator=torch.Generator().manual_seed(0))
    on_cuda(last.strokes, importance(last.strokes, canvas, target, shipped))
    torch.manual_seed(0)
    policy = Policy(width=16, blocks=1, each=2).to("cuda")
    optimizer = torch.optim.Adam(policy.parameters())
    generator = torch.Generator().manual_seed(0)
    for progress in train_episode(
        policy, optimizer, shipped, target[None], TrainConfig(round_strokes=(2, 3)), generator
    ):
        on_cuda(progress.canvas)
    strokes = torch.cat([new for _, new in paint_picture(policy, shipped, canvas, target, 9)])
    assert len(strokes) == 9
    on_cuda(strokes)
    learner = LearningToPaint(shipped, TINY, "cuda")
    on_cuda(learner.rollout(rand(2, 3, 32, 32), generator))
    learner.update(0.0, generator)


@pytest.mark.usefixtures("_gpu")
def test_gpu_matches_cpu() -> None:
    strokes, canvas = BEZIER.sample(20, torch.Generator().manual_seed(0)), torch.ones(3, *SIZE)
    ours = paint(canvas.cuda(), strokes.cuda(), load_brush("bezier", "cuda")).cpu()
    # Both leave out alpha more than a pixel beyond an outline.
    torch.testing.assert_close(ours, paint(canvas, strokes, load_brush("bezier")), rtol=0, atol=0.03)
