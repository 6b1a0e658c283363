"""Everything runs on the device of the canvas, with the results of the CPU: on a pretended device.

Values and gradients are real; `test_cuda.py` runs on a real GPU where there is one.
"""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from agents import huang2019
from agents import mdp as dynamics
from agents.huang2019 import LearningToPaint
from agents.optimal_colour import paint_greedily, score_candidates
from agents.planner import Planning, paint_refined, refine_independently, top_k_per_cell
from agents.policy import Policy
from agents.rollout import paint_picture, rollout_round
from agents.train import TrainConfig, train_episode
from painter.importance import importance
from painter.losses.perceptual import Perceptual
from painter.losses.pixels import mse, total_variation
from painter.optimize import OptimizeConfig, optimize
from painter.placement import place
from renderer.brush import Window, load_brush
from renderer.brushes.bezier import AnalyticBezier, ExactBezier
from renderer.canvas import blank, paint, paint_steps
from renderer.constraints import StrokeConstraints
from renderer.learned.huang2019 import Huang2019
from renderer.learned.stroke_map import StrokeMap
from renderer.learned.train import RandomStrokes, alpha_error, fit
from renderer.ops import native
from tests.renderer.pretend_gpu import OnGPU, pretend_gpu

Device = torch.device
SIZE = (12, 16)


def random(*shape: int, device: Device, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)).to(device)


def made(build: Callable[[], nn.Module], device: Device) -> nn.Module:
    """Build a module with the same weights on every device."""
    torch.manual_seed(0)
    return build().to(device)


def stroke_map(device: Device) -> nn.Module:
    return made(lambda: StrokeMap(8, 4).requires_grad_(False), device)


def policy(device: Device) -> Policy:
    network = made(lambda: Policy(width=16, blocks=1, each=2), device)
    assert isinstance(network, Policy)
    return network


def batch(device: Device) -> tuple[Tensor, Tensor, Tensor]:
    return (
        random(2, 3, *SIZE, device=device),
        random(2, 3, *SIZE, device=device, seed=1),
        random(2, 6, 13, device=device, seed=2),
    )


BRUSHES: dict[str, Callable[[Device], nn.Module]] = {
    "analytic": lambda device: AnalyticBezier(6),
    "stroke-map": stroke_map,
    "huang2019": lambda device: made(Huang2019, device),
}


def whole(name: str, device: Device) -> list[Tensor]:
    return list(BRUSHES[name](device)(random(3, 13, device=device), SIZE))


def window(name: str, device: Device) -> list[Tensor]:
    left, top = torch.tensor([0, 3, 9], device=device), torch.tensor([-2, 1, 5], device=device)
    return list(BRUSHES[name](device)(random(3, 13, device=device), SIZE, Window(left, top, 6, 5)))


def painting(name: str, device: Device) -> list[Tensor]:
    canvas, _, strokes = batch(device)
    return [paint(canvas, strokes, BRUSHES[name](device)), blank(SIZE, device=device)]


def fitting_colours(device: Device) -> list[Tensor]:
    canvas, target, strokes = batch(device)
    brush = stroke_map(device)
    proposed = score_candidates(strokes, canvas, target, brush)
    order = proposed.gain.argsort(1, descending=True)
    painted = paint_greedily(proposed, canvas, target, brush, order=order, min_gain=proposed.gain * 0.5, max_strokes=4)
    return [proposed.strokes, proposed.gain, *painted]


def proposing(device: Device) -> list[Tensor]:
    return [policy(device)(*batch(device)[:2], (2, 3))]


def a_round(device: Device) -> list[Tensor]:
    noise = random(2, 2 * (4 + 20), device=device)
    canvas, target, _ = batch(device)
    return list(
        rollout_round(
            policy(device), stroke_map(device), canvas, target, grids=[(2, 2), (4, 5)], max_strokes=4, noise=noise
        )
    )


def perceiving(device: Device) -> list[Tensor]:
    return [made(Perceptual, device)(*batch(device)[:2])]


def measuring(device: Device) -> list[Tensor]:
    canvas, target, _ = batch(device)
    return [mse(canvas, target), total_variation(canvas, target)]


def deciding(device: Device) -> list[Tensor]:
    _, target, strokes = batch(device)
    state = dynamics.begin(target)
    after = dynamics.step(state, strokes, stroke_map(device))
    return [dynamics.observe(after, 5), dynamics.l2(state, after), dynamics.finished(after, 1)]


FORWARD: dict[str, Callable[[Device], list[Tensor]]] = {
    **{
        f"{function.__name__}-{name}": lambda device, name=name, function=function: function(name, device)
        for name in BRUSHES
        for function in (whole, window, painting)
    },
    **{
        function.__name__: function
        for function in (fitting_colours, proposing, a_round, perceiving, measuring, deciding)
    },
}


# Functions that read values or differentiate.


def gradients(device: Device) -> list[Tensor]:
    canvas, _, strokes = batch(device)
    strokes.requires_grad_()
    network = made(lambda: StrokeMap(8, 4), device)
    paint(canvas, strokes, network).square().sum().backward()
    return [tensor.grad for tensor in (strokes, *network.parameters()) if tensor.grad is not None]


def painting_in_steps(device: Device) -> list[Tensor]:
    canvas, _, strokes = batch(device)
    return [frame.clone() for frame in paint_steps(canvas[0], strokes[0], stroke_map(device))]


def weighing(device: Device) -> list[Tensor]:
    canvas, target, strokes = batch(device)
    return [importance(strokes[0], canvas[0], target[0], stroke_map(device))]


def placing(device: Device) -> list[Tensor]:
    canvas, target, _ = batch(device)
    return [place(target[0], canvas[0], 5, radius=0.1, generator=torch.Generator().manual_seed(0))]


def optimising(device: Device) -> list[Tensor]:
    canvas, target, _ = batch(device)
    config = OptimizeConfig(steps=6, stages=2, relocations=2, relocate_fraction=0.3)
    generator = torch.Generator().manual_seed(0)
    *_, last = optimize(target[0], stroke_map(device), 7, canvas=canvas[0], config=config, generator=generator)
    return [last.strokes]


def planning(device: Device) -> list[Tensor]:
    canvas, target, strokes = batch(device)
    chosen = top_k_per_cell(random(2, 6, device=device), torch.arange(6, device=device) // 2, 2)
    cell = torch.full((2, 6), 0.5, device=device)
    brush = stroke_map(device)
    real = torch.tensor([[True, True, True, False, True, True]] * 2, device=device)
    constraints = StrokeConstraints(True, 0.05, 0.1, random(3, 3, device=device))
    return [
        chosen,
        refine_independently(strokes, canvas, target, brush, cell_size=cell, steps=2, constraints=constraints),
        paint_refined(strokes, canvas, target, brush, mask=real, steps=2)[0],
        paint_refined(strokes, canvas, target, brush, mask=real, steps=2, constraints=constraints)[0],
    ]


def learning_to_paint(device: Device) -> list[Tensor]:
    torch.manual_seed(0)
    learner = LearningToPaint(stroke_map(device), replace(huang2019.TINY, noise=0.1), device)
    generator = torch.Generator().manual_seed(0)
    canvases = learner.rollout(random(2, 3, 32, 32, device=device), generator)
    learner.update(0.0, generator)
    return [canvases, learner.critic.fc.weight.detach()]


def a_picture(device: Device) -> list[Tensor]:
    canvas, target, _ = batch(device)
    rounds = paint_picture(policy(device), stroke_map(device), canvas[0], target[0], 5, planning=Planning(2, 2))
    return [tensor for parts in rounds for tensor in parts]


def learning(device: Device) -> list[Tensor]:
    _, target, _ = batch(device)
    network = policy(device)
    optimizer = torch.optim.SGD(network.parameters(), 0.1)
    config = TrainConfig(round_strokes=(2, 3), horizon=2)
    generator = torch.Generator().manual_seed(0)
    *_, last = train_episode(network, optimizer, stroke_map(device), target, config, generator)
    return [last.canvas, *(parameter.detach() for parameter in network.parameters())]


def fitting_a_brush(device: Device) -> list[Tensor]:
    network = made(lambda: StrokeMap(8, 4), device)
    data = RandomStrokes(ExactBezier(1), 4, 2, 0, (12,))
    for _ in fit(network, torch.optim.SGD(network.parameters(), 0.1), data, workers=0):
        pass
    alpha_error(network, ExactBezier(1), 2, 0, 12)
    return [parameter.detach() for parameter in network.parameters()]


def a_shipped_renderer(device: Device) -> list[Tensor]:
    return [load_brush("bezier", device)(random(2, 13, device=device), SIZE).alpha]


WHOLE = [
    gradients,
    painting_in_steps,
    weighing,
    placing,
    optimising,
    planning,
    learning_to_paint,
    a_picture,
    learning,
    fitting_a_brush,
    a_shipped_renderer,
]


@pytest.mark.parametrize("run", [*FORWARD.values(), *WHOLE], ids=[*FORWARD, *(run.__name__ for run in WHOLE)])
def test_another_device_gives_the_same_result(
    run: Callable[[Device], list[Tensor]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(native, "load_for", lambda *_: None)  # as on a GPU
    expected = run(torch.device("cpu"))
    with pretend_gpu() as device:
        actual = run(device)
    assert len(actual) == len(expected) > 0
    for ours, wanted in zip(actual, expected, strict=True):
        assert isinstance(ours, OnGPU)
        torch.testing.assert_close(ours.detach().inner, wanted.detach(), rtol=1e-4, atol=1e-5)


def test_pretended_device_refuses_cpu_tensors() -> None:
    with pretend_gpu() as device:
        there, here = torch.ones(3, device=device), torch.ones(3)
        with pytest.raises(RuntimeError, match="same device"):
            there + here
        with pytest.raises(RuntimeError, match="same device"):
            here[there.long()]
        with pytest.raises(RuntimeError, match="same device"):
            there[here.long()] = here
        assert there[torch.tensor([0, 1])].device == device, "indices may come from the CPU"
        assert (there + there.cpu().to(device)).tolist() == [2.0, 2.0, 2.0]
        assert (there * torch.tensor(2.0)).device == device, "a single number may come from anywhere"
