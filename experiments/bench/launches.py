"""Count what painting launches on a GPU, on a machine that has none.

Tensors stay on the CPU, and the code takes the path of a GPU. PyTorch reports each of its operations before it runs it: one
that computes counts as one launch, one that only makes a view or allocates memory does not. The project's Triton kernels
count as what their operations launch, and are computed by their references. An operation that has to know a value on the
host waits for the GPU. CUDA graphs are not counted: with them, a recorded step is one launch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any, ClassVar
from unittest.mock import patch

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from agents import optimal_colour, planner, rollout
from agents.registry import load_agent
from agents.rollout import PolicyAgent, grids_for, rollout_round
from experiments.bench.timing import Figures
from painter import descent
from painter import optimize as optimization
from painter.importance import importance_of_patches
from painter.methods import Task, method_steps
from painter.optimize import OptimizeConfig, optimize
from renderer.brush import Patches, layout, load_brush
from renderer.errors import InputError
from renderer.learned.stroke_map import StrokeMap
from renderer.ops import cuda_graph, triton_strokes
from renderer.ops.composite import composite
from renderer.ops.decode_stroke_map import decode_stroke_map
from renderer.ops.optimal_compositing import composite_greedily, score_marks
from renderer.ops.triton_strokes import corners
from renderer.strokes import BEZIER

KERNELS = {
    "composite": 1,
    "composite_backward": 2,  # clear the sums, walk back
    "importance": 2,
    "score": 1,
    "score_backward": 2,
    "paint_greedily": 4,  # copy the canvas, clear two results, paint
    "encode_stroke_map": 1,
    "encode_stroke_map_backward": 1,
}
"""Launches of each operation of `renderer.ops.triton_*`; copies of tensors that are not contiguous come on top."""
FREE = {
    "empty",
    "new_empty",
    "empty_like",
    "empty_strided",
    "new_empty_strided",
    "lift_fresh",
    "is_same_size",
    "resize_",
}
FREE |= {"_record_function_enter_new", "_record_function_exit"}
WAITS = {"_local_scalar_dense", "nonzero", "masked_select", "_unique2", "equal"}
HOST_READS = {Tensor.tolist, Tensor.cpu, Tensor.numpy}


def count_launches(brush_name: str = "bezier", agent_name: str = "agent", count: int = 200, side: int = 128) -> Figures:
    """Launches and waits of a gradient step, of an agent's round and of an agent's painting.

    Args:
        brush_name: A brush of the kind `StrokeMap`.
        agent_name: An agent's checkpoint.
        count: Number of strokes of the step and of the painting.
        side: Pixels of the canvas' sides.
    """
    brush = load_brush(brush_name)
    if not isinstance(brush, StrokeMap):
        raise InputError(f"Launches are counted for stroke maps such as bezier, not for {brush_name}.")
    target = _picture(1, side)[0]
    agent, task = load_agent(agent_name, brush), Task(target, torch.ones_like(target), count)
    return {
        f"optimize_step_{count}": _counted(_gradient_step(brush, target, count), brush),
        "agent_round": _counted(_round(agent, brush, 1, side, 66), brush),
        f"agent_{count}": _counted(lambda: list(method_steps("agent", task, brush, agent)), brush),
    }


def round_launches(brush_name: str, agent_name: str, batch: int, strokes: int, side: int) -> dict[str, int]:
    """Launches of one round of an agent on `batch` pictures."""
    brush = load_brush(brush_name)
    assert isinstance(brush, StrokeMap)
    return _counted(_round(load_agent(agent_name, brush), brush, batch, side, strokes), brush)


@contextmanager
def without_graphs() -> Iterator[None]:
    """Inside, no step is recorded as a CUDA graph."""

    class NoRecorder:
        kinds: ClassVar[set[str]] = set()

        def record(self, step: Callable[[], object]) -> None:
            """Nothing, as for a step that cannot be recorded."""

    with patch.object(cuda_graph, "_recorder", lambda device: NoRecorder()), ExitStack() as stack:
        if not torch.cuda.is_available():
            stack.enter_context(patch.object(torch.cuda, "current_device", lambda: 0))
        yield


def _picture(batch: int, side: int) -> Tensor:
    return (
        torch.rand(batch, 3, side // 8, side // 8, generator=torch.Generator().manual_seed(0))
        .repeat_interleave(8, -1)
        .repeat_interleave(8, -2)
    )


def _gradient_step(brush: StrokeMap, target: Tensor, count: int) -> Callable[[], object]:
    """One step at each call, while no strokes are placed."""
    steps = optimize(
        target,
        brush,
        count,
        canvas=torch.ones_like(target),
        config=OptimizeConfig(steps=100, relocations=0),
        start=BEZIER.sample(count, torch.Generator().manual_seed(0)),
    )
    return lambda: next(steps)


def _round(agent: Any, brush: StrokeMap, batch: int, side: int, strokes: int) -> Callable[[], object]:
    assert isinstance(agent, PolicyAgent)
    target = _picture(batch, side)
    grids = grids_for((side, side), 2 * strokes)

    def play() -> object:
        with torch.no_grad():
            how: dict[str, Any] = {
                "max_strokes": strokes,
                "min_gain_ratio": 0.0,
                "planning": agent.planning,
            }  # all strokes are painted
            return rollout_round(agent.policy, brush, torch.ones_like(target), target, grids=grids, **how)

    return play


def _counted(call: Callable[[], object], brush: StrokeMap) -> dict[str, int]:
    """Launches and waits of the second of two calls."""
    with ExitStack() as stack:
        stack.enter_context(without_graphs())
        for module in (triton_strokes, planner, optimization, descent, rollout):
            stack.enter_context(patch.object(module, "usable", lambda tensor: True))
        for module in (optimal_colour, planner, optimization):
            stack.enter_context(patch.object(module, "fused", lambda *given: None))
        # On a GPU, the policy sees all pictures at once.
        stack.enter_context(patch.object(rollout, "_propose", lambda policy, *given: policy(*given)))
        counter = _Launches(brush)
        for _ in range(2):
            counter.launches.clear()
            counter.waits = 0
            with counter, _HostReads(counter):
                call()
    return {"launches": counter.launches.total(), "host_waits": counter.waits}


class _Launches(TorchDispatchMode):
    """Counts operations by name. Those of the project's kernels are computed by their references."""

    def __init__(self, brush: StrokeMap) -> None:
        super().__init__()
        self.launches: Counter[str] = Counter()
        self.waits = 0
        self._references = _References(brush)
        # The references of gradients need autograd, which PyTorch turns off in the thread where a mode is called.
        self._elsewhere = ThreadPoolExecutor(1)

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        space, name = func.namespace, func.__name__.split(".")[0]
        if space == "kaokore_painter":
            self.launches[name] += KERNELS[name]
            return self._elsewhere.submit(getattr(self._references, name), *args, **(kwargs or {})).result()
        if name in WAITS:
            self.waits += 1
        if name not in FREE and name not in WAITS and not func.is_view:
            self.launches[name] += 1
        return func(*args, **(kwargs or {}))


class _HostReads(TorchFunctionMode):
    """Counts reads by the host that PyTorch does not report as operations of tensors on the CPU."""

    def __init__(self, counter: _Launches) -> None:
        super().__init__()
        self._counter = counter

    def __torch_function__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        if func in HOST_READS:
            self._counter.waits += 1
        return func(*args, **(kwargs or {}))


class _References:
    """The operations of `renderer.ops.triton_*` for stroke maps, on the CPU."""

    def __init__(self, brush: StrokeMap) -> None:
        self._brush = brush

    def _patches(self, shapes: Tensor, grids: Tensor, sharpness: Tensor, colour: Tensor, box: Tensor) -> Patches:
        left, top, right, bottom = box.long().unbind(1)
        box = torch.stack((left, top, right - left, bottom - top), 1)
        start, total = layout(box)
        return Patches(decode_stroke_map(shapes, grids, sharpness, box, start, total), colour, box, start)

    def composite(self, canvas: Tensor, *codes: Tensor) -> Tensor:
        with torch.no_grad():
            return self._composite(canvas, *codes)

    def _composite(
        self, canvas: Tensor, shapes: Tensor, grids: Tensor, sharpness: Tensor, colour: Tensor, box: Tensor
    ) -> Tensor:
        drawn = self._patches(shapes, grids, sharpness, colour, box)
        picture = torch.arange(len(canvas)).repeat_interleave(len(shapes) // len(canvas))
        return composite(canvas, drawn.alpha, drawn.colour, drawn.box, drawn.start, picture)

    def composite_backward(
        self,
        canvas: Tensor,
        shapes: Tensor,
        grids: Tensor,
        sharpness: Tensor,
        colour: Tensor,
        box: Tensor,
        grad: Tensor,
    ) -> tuple[Tensor, ...]:
        given = [tensor.detach().requires_grad_() for tensor in (canvas, shapes, grids, colour)]
        painted = self._composite(given[0], given[1], given[2], sharpness.detach(), given[3], box)
        of_canvas, of_shapes, of_grids, of_colour = torch.autograd.grad(painted, given, grad)
        return of_canvas, torch.nn.functional.pad(of_shapes, (0, 2)), of_grids, of_colour

    def importance(
        self,
        canvas: Tensor,
        shapes: Tensor,
        grids: Tensor,
        sharpness: Tensor,
        colour: Tensor,
        box: Tensor,
        residual: Tensor,
    ) -> Tensor:
        with torch.no_grad():
            painted = self._composite(canvas, shapes, grids, sharpness, colour, box)
            drawn = self._patches(shapes, grids, sharpness, colour, box)
            return importance_of_patches(drawn, canvas[0], (painted - residual)[0]) * canvas[0].numel()

    def score(
        self,
        canvas: Tensor,
        target: Tensor,
        shapes: Tensor,
        grids: Tensor,
        sharpness: Tensor,
        box: Tensor,
        palette: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            drawn = self._patches(shapes, grids, sharpness, shapes, box)
            return score_marks(canvas, target, drawn.alpha, drawn.box, drawn.start, palette)

    def score_backward(
        self,
        canvas: Tensor,
        target: Tensor,
        shapes: Tensor,
        grids: Tensor,
        sharpness: Tensor,
        box: Tensor,
        colour: Tensor,
        grad: Tensor,
    ) -> tuple[Tensor, Tensor]:
        given = [tensor.detach().requires_grad_() for tensor in (shapes, grids)]
        drawn = self._patches(given[0], given[1], sharpness.detach(), colour, box)
        gain, _ = score_marks(canvas, target, drawn.alpha, drawn.box, drawn.start, None)
        of_shapes, of_grids = torch.autograd.grad(gain, given, grad)
        return torch.nn.functional.pad(of_shapes, (0, 2)), of_grids

    def paint_greedily(
        self,
        canvas: Tensor,
        target: Tensor,
        shapes: Tensor,
        grids: Tensor,
        sharpness: Tensor,
        box: Tensor,
        order: Tensor,
        least: Tensor,
        limit: int,
        palette: Tensor | None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        with torch.no_grad():
            drawn = self._patches(shapes, grids, sharpness, shapes, box)
            return composite_greedily(canvas, target, drawn.alpha, drawn.box, drawn.start, order, least, limit, palette)

    def encode_stroke_map(
        self, strokes: Tensor, weights: list[Tensor], height: int, width: int
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        with torch.no_grad():
            shapes, grids = self._brush._geometry(strokes, (height, width))
            box = corners(*self._brush.bounds(strokes, (height, width)))
            return shapes, grids, box, self._brush.space.get(strokes, "colour").clone()

    def encode_stroke_map_backward(
        self,
        strokes: Tensor,
        weights: list[Tensor],
        height: int,
        width: int,
        grad_shapes: Tensor,
        grad_grids: Tensor,
        grad_colour: Tensor,
    ) -> Tensor:
        strokes = strokes.detach().requires_grad_()
        shapes, grids = self._brush._geometry(strokes, (height, width))
        colour = self._brush.space.get(strokes, "colour")
        return torch.autograd.grad((shapes, grids, colour), strokes, (grad_shapes, grad_grids, grad_colour))[0]
