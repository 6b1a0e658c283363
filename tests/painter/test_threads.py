"""What a seed promises when PyTorch computes with several threads."""

from collections.abc import Iterator

import pytest
import torch
from torch.nn.functional import interpolate

from agents.planner import Planning
from painter import Painter
from painter.losses import mse
from painter.optimize import OptimizeConfig


@pytest.fixture(autouse=True)
def number_of_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("method", ["agent", "optimize"])
def test_paintings_are_the_same_with_as_many_threads_and_as_good_with_others(method: str) -> None:
    config = OptimizeConfig(steps=8, relocations=1)
    painter = Painter(method, device="cpu", config=config, planning=Planning(1, 2))  # type: ignore[arg-type]
    coarse = torch.rand(1, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    image = interpolate(coarse, (32, 32), mode="bilinear")[0]
    errors, strokes = {}, {}
    for threads in (1, 2, 1, 2):
        torch.set_num_threads(threads)
        painting = painter.paint(image, strokes=8, size=32)
        if threads in strokes:
            assert torch.equal(painting.strokes, strokes[threads])
        strokes[threads] = painting.strokes
        errors[threads] = float(mse(painting.render(brush=painter.brush)[None], image[None]))
    assert max(errors.values()) < 1.1 * min(errors.values())
