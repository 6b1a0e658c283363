"""No tensor is made on the wrong device: forward on CUDA without a GPU, on tensors that have a shape and no values.

No default device is set: it would hide what is made on the CPU by mistake. What needs values (`.item()`, `nonzero`) and
backward passes cannot run here; the last tests run everything where there is a real GPU.
"""

from collections.abc import Iterator

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from agents.learn import LearnConfig, learn_episode
from agents.planning import promising, refine
from agents.policy import Policy
from agents.rounds import paint_picture, play
from painter import features, placement
from painter.fit import alpha_error
from painter.huang2019 import Huang2019
from painter.load import load_renderer
from painter.losses import pixels, total_variation
from painter.stroke_map import StrokeMap
from painter.transfer import TransferConfig, transfer
from renderer.bezier import AnalyticBezier, ExactBezier, bounds
from renderer.canvas import blank, paint
from renderer.fitted import candidates, paint_fitted
from renderer.protocol import Window
from renderer.space import BEZIER
from renderer.worth import worth

SIZE = (16, 24)


@pytest.fixture
def fake() -> Iterator[None]:
    with FakeTensorMode():
        yield


def on_cuda(*tensors: torch.Tensor) -> None:
    assert tensors
    for tensor in tensors:
        assert tensor.device.type == "cuda"


def rand(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, device="cuda")


def learned() -> StrokeMap:
    with torch.device("cuda"):  # while it is made only: fake modules cannot be moved
        return StrokeMap(hidden=8, grid=4)


def huang() -> Huang2019:
    with torch.device("cuda"):
        return Huang2019()


@pytest.mark.usefixtures("fake")
def test_a_forgotten_device_is_caught() -> None:
    """The test of these tests."""
    with pytest.raises(RuntimeError, match="device"):
        rand(3) + torch.zeros(3)


@pytest.mark.usefixtures("fake")
@pytest.mark.parametrize("make", [learned, huang, lambda: AnalyticBezier(8)])
def test_renderers(make) -> None:  # type: ignore[no-untyped-def]
    renderer, strokes = make(), rand(4, 13)
    window = Window(*torch.zeros(2, 4, dtype=torch.long, device="cuda"), 8, 8)
    for mark in (renderer(strokes, SIZE), renderer(strokes, SIZE, window)):
        on_cuda(*mark)


@pytest.mark.usefixtures("fake")
def test_canvas() -> None:
    strokes = rand(2, 5, 13)
    on_cuda(blank(SIZE, device="cuda"), *bounds(strokes[0], SIZE))
    on_cuda(BEZIER.put(strokes, "radius", rand(2, 5, 2)), BEZIER.get(strokes, "colour"))
    painted = paint(rand(2, 3, *SIZE), strokes, learned())
    target = rand(2, 3, *SIZE)
    on_cuda(painted, pixels(painted, target), total_variation(painted, target))


@pytest.mark.usefixtures("fake")
def test_an_agents_round() -> None:
    with torch.device("cuda"):
        policy = Policy(width=16, blocks=1, each=2)
    renderer = learned()
    canvas, target = rand(2, 3, *SIZE), rand(2, 3, *SIZE)
    strokes = policy(canvas, target, (2, 3))
    proposed = candidates(canvas, target, strokes, renderer)
    order = proposed.gain.argsort(1, descending=True) + torch.arange(2, device="cuda")[:, None] * 12
    on_cuda(strokes, proposed.strokes, proposed.gain)
    on_cuda(*paint_fitted(canvas, target, proposed, order, proposed.gain * 0.5, 3, renderer))
    played = play(policy, renderer, canvas, target, [(2, 3), (4, 6)], 3)
    on_cuda(*played)


@pytest.mark.usefixtures("fake")
def test_planning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.autograd, "grad", lambda _, shapes: (torch.zeros_like(shapes),))
    renderer, canvas, target = learned(), rand(2, 3, *SIZE), rand(2, 3, *SIZE)
    on_cuda(refine(rand(2, 4, 13), rand(2, 4), canvas, target, renderer, 2))


@pytest.mark.usefixtures("fake")
def test_placement(monkeypatch: pytest.MonkeyPatch) -> None:
    # Which spots are drawn needs values, and so does Kornia's check of sigma.
    monkeypatch.setattr(placement, "gaussian_blur2d", lambda image, *_: image)
    monkeypatch.setattr(torch, "multinomial", lambda chance, *_, **__: 7)
    on_cuda(placement.place(rand(3, *SIZE), rand(3, *SIZE), 5, 0.1))


@pytest.mark.usefixtures("fake")
def test_perceptual(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "_load_hed", lambda _: None)
    with torch.device("cuda"):
        perceptual = features.Perceptual("hed")
    on_cuda(*perceptual.features(rand(1, 3, 16, 16)), perceptual(rand(2, 3, 16, 16), rand(2, 3, 16, 16)))


@pytest.fixture
def _gpu() -> None:
    if not torch.cuda.is_available():
        pytest.skip("there is no GPU")


@pytest.mark.usefixtures("_gpu")
def test_everything_on_a_gpu() -> None:
    shipped, exact = load_renderer("bezier", "cuda"), ExactBezier()
    assert isinstance(shipped, nn.Module)
    assert alpha_error(shipped, exact, 50, seed=0) < 1e-3
    target = rand(3, *SIZE)
    canvas = torch.ones_like(target)
    config = TransferConfig(steps=10, stages=2, moves=1, moved=0.3)
    *_, last = transfer(target, shipped, 6, canvas, config, generator=torch.Generator().manual_seed(0))
    on_cuda(last.strokes, worth(canvas, last.strokes, shipped, target))
    torch.manual_seed(0)
    policy = Policy(width=16, blocks=1, each=2).to("cuda")
    optimizer = torch.optim.Adam(policy.parameters())
    generator = torch.Generator().manual_seed(0)
    for progress in learn_episode(policy, optimizer, shipped, target[None], LearnConfig(limits=(2, 3)), generator):
        on_cuda(progress.canvas)
    strokes = torch.cat([new for _, new in paint_picture(policy, shipped, canvas, target, 9)])
    assert len(strokes) == 9
    on_cuda(strokes, promising(rand(2, 6), torch.tensor([0, 0, 1, 1, 2, 2], device="cuda"), 2))


@pytest.mark.usefixtures("_gpu")
def test_a_gpu_paints_what_a_cpu_paints() -> None:
    strokes, canvas = BEZIER.sample(20, torch.Generator().manual_seed(0)), torch.ones(3, *SIZE)
    ours = paint(canvas.cuda(), strokes.cuda(), load_renderer("bezier", "cuda")).cpu()
    # A CPU leaves out what lies more than a pixel beyond an outline.
    torch.testing.assert_close(ours, paint(canvas, strokes, load_renderer("bezier")), rtol=0, atol=0.03)
