"""The four ways to paint, each a generator of steps over tensors: agent, optimize, hybrid and lines."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

import torch
from torch import Tensor

from agents.registry import AdjustableAgent, Agent, BatchAgent, RefiningAgent, adjusted
from painter.coarse_to_fine import optimize_coarse_to_fine
from painter.faint_features import strengthen_features
from painter.lines import remove_lines, trace_lines
from painter.losses.pixels import Loss, mse
from painter.optimize import DEFAULT_CONFIG, OptimizeConfig, Proposer, optimize
from renderer.brush import Brush
from renderer.canvas import paint
from renderer.constraints import UNCONSTRAINED, StrokeConstraints
from renderer.convert import translation

Method = Literal["agent", "optimize", "hybrid", "lines"]
METHODS: tuple[Method, ...] = get_args(Method)
AUTO = "auto"  # of the methods, the one of `default_method`

FEW_STROKES = 200  # up to which faint features are strengthened as asked
MAX_LINE_SHARE = 0.6  # of all strokes, at most, become lines
MIN_MASS_RADIUS = 0.012  # of the strokes below the lines, as a fraction of the short side
AGENT_SHARE = 0.8  # of the agent's work, the part of its rounds; it refines the whole painting in the rest
AGENT_PROGRESS = 0.1  # of hybrid's work, the part of the agent; the optimiser takes the rest
LINES_AGENT_TIME = 0.6  # of a time budget for lines, what the agent may take
LEAST_TIME = 0.3  # hybrid optimises only if there is this part of the agent's time left: few steps would do harm
RELOCATIONS = 4  # times as many relocations in hybrid: the agent knows well where strokes are missing
ENOUGH_STEPS, ENOUGH_TIME = 150, 1.5  # of hybrid's optimiser, in agent's times: with less, it takes smaller steps
RELATIVE_LR = 0.15  # of hybrid: strokes that are good already take steps in units of their own size
BETAS = (0.8, 0.95)  # of Adam in hybrid
MASS_PROGRESS = 0.3  # of the work of lines, the part of the masses


@dataclass(frozen=True)
class Task:
    """What to paint, on what, and within which limits.

    Attributes:
        target: the image (3, H, W), sRGB in [0, 1].
        canvas: what the first stroke falls on, (3, H, W).
        count: how many strokes the painting gets, exactly.
        constraints: hold for every stroke, also while strokes are optimised.
        config: how strokes are optimised (optimize, hybrid, lines).
        loss: what optimising lowers (optimize, hybrid); (B, 3, H, W) twice -> (B,).
        penalty: added to the loss; strokes (B, n, P) -> (B,).
        generator: the source of all randomness; on the CPU.
        times: how many times as large as the painting target and canvas are, see `renderer.canvas.magnification`.
        features: how much the agent's image strengthens faint features, see `painter.faint_features`; with more than
            `FEW_STROKES` strokes, which show them anyway, less.
    """

    target: Tensor
    canvas: Tensor
    count: int
    constraints: StrokeConstraints = UNCONSTRAINED
    config: OptimizeConfig = DEFAULT_CONFIG
    loss: Loss = mse
    penalty: Callable[[Tensor], Tensor] | None = None
    generator: torch.Generator = field(default_factory=torch.Generator)
    times: int = 1
    features: float = 0.0

    def agent_target(self) -> Tensor:
        """The image that the agent paints (3, H, W)."""
        return strengthen_features(self.target, self.features * min(1.0, FEW_STROKES / self.count))


@dataclass(frozen=True)
class Step:
    """A painting in progress.

    Attributes:
        progress: the part of the work that is done, in [0, 1].
        strokes: the strokes so far, (n, P), in painting order.
        layer: a name for the strokes that this step added, for files with layers; None where steps mean nothing to a person.
    """

    progress: float
    strokes: Tensor
    _start: Tensor
    _brush: Brush
    layer: str | None = None

    @property
    def background(self) -> Tensor:
        """The canvas (3, H, W) in [0, 1] under the strokes."""
        return self._start

    @property
    def canvas(self) -> Tensor:
        """The canvas (3, H, W) in [0, 1] with these strokes; drawn anew at each access."""
        with torch.no_grad():
            return paint(self._start, self.strokes, self._brush).clamp(0, 1)


def default_method(seconds: float | None) -> Method:
    """The best method for a time budget, if there is one: measured in docs/agent.md, "Against the clock"."""
    return "agent" if seconds is None else "hybrid"


def method_steps(method: Method, task: Task, brush: Brush, agent: Agent | None) -> Iterator[Step]:
    """Paint by one of `METHODS`; the strokes of the last step are the painting.

    agent: the agent paints. optimize: strokes are optimised. hybrid: the agent's strokes are optimised. lines: the agent
    paints the masses, and strokes that follow the ink lines are laid on them. All but optimize need an `agent`.
    """
    for _, step in batch_steps(method, [task], brush, agent):
        yield step


def batch_steps(method: Method, tasks: Sequence[Task], brush: Brush, agent: Agent | None) -> Iterator[tuple[int, Step]]:
    """Paint several images at once by one of `METHODS`, each as it would be painted alone, within rounding.

    The agent paints all tasks of equal counts and constraints together (`agents.registry.BatchAgent`; another agent paints
    them one after another), the optimiser all that are alike but for the images. A time budget counts for each image: B
    images take B times as long. Lines are painted one image after another.

    Yields:
        The index of a task and a step of it; the strokes of its last step are its painting.
    """
    mean = brush.mean_brush()  # where the grain of a stochastic brush falls cannot be planned
    if method == "optimize":
        yield from _optimize(tasks, brush, None)
        return
    assert agent is not None, f"{method} needs an agent"
    if method == "lines":
        for i, task in enumerate(tasks):
            for step in _lines(task, mean, agent):
                yield i, step
        return
    refines = isinstance(agent, RefiningAgent)
    share = AGENT_PROGRESS if method == "hybrid" else AGENT_SHARE if refines else 1.0
    started, seconds = time.monotonic(), tasks[0].config.seconds if tasks else None
    if seconds is not None:
        agent = adjusted(agent, seconds=seconds)
    strokes = [task.target.new_zeros(0, brush.space.width) for task in tasks]
    rounds = [0] * len(tasks)
    for i, fresh in _agent_rounds(tasks, agent):
        strokes[i] = torch.cat((strokes[i], fresh))
        rounds[i] += 1
        layer = f"round {rounds[i]}" if method == "agent" else None  # optimising moves strokes through the whole order
        yield i, Step(share * len(strokes[i]) / tasks[i].count, strokes[i], tasks[i].canvas, mean, layer)
    used = (time.monotonic() - started) / max(1, len(tasks))
    left = None if seconds is None else seconds - used
    rest = [rest_of_budget(task.config, used) for task in tasks] if method == "hybrid" else []
    optimises = method == "hybrid" and None not in rest
    if left is None or not optimises:
        strokes = _refined(tasks, strokes, agent, left)
    if optimises:
        tasks = [replace(task, config=_after_agent(c, used)) for task, c in zip(tasks, rest, strict=True) if c]
        for i, step in _optimize(tasks, brush, strokes, agent):
            yield i, replace(step, progress=share + (1 - share) * step.progress)
    elif refines or method == "hybrid":
        for i, task in enumerate(tasks):
            yield i, Step(1.0, strokes[i], task.canvas, mean)


def rest_of_budget(config: OptimizeConfig, used: float) -> OptimizeConfig | None:
    """How to optimise after an agent that has taken `used` seconds of a time budget; None where too little is left."""
    if config.seconds is None:
        return config
    left = config.seconds - used
    return None if left < LEAST_TIME * used else replace(config, seconds=left)


def _after_agent(config: OptimizeConfig, used: float) -> OptimizeConfig:
    """How hybrid optimises in the rest of the budget, after an agent that has taken `used` seconds.

    The strokes are good already. Large steps would spoil them, unless there are enough steps to come to rest again.
    """
    share = min(1.0, config.steps / ENOUGH_STEPS if config.seconds is None else config.seconds / (ENOUGH_TIME * used))
    lr = RELATIVE_LR * share if config.relative_lr is None else config.relative_lr
    relocations = RELOCATIONS * config.relocations if share == 1 else 0
    return replace(config, relative_lr=lr, betas=BETAS, relocations=relocations)


def _agent_rounds(tasks: Sequence[Task], agent: Agent) -> Iterator[tuple[int, Tensor]]:
    """The index of a task and the strokes of a round of it."""
    if not isinstance(agent, BatchAgent):
        for i, task in enumerate(tasks):
            for _, fresh in agent(task.canvas, task.agent_target(), task.count, constraints=task.constraints):
                yield i, fresh
        return
    for indices in _alike(tasks, lambda task: (task.count, id(task.constraints))):
        first = tasks[indices[0]]
        canvases, targets = [tasks[i].canvas for i in indices], [tasks[i].agent_target() for i in indices]
        for k, _, fresh in agent.paint_batch(canvases, targets, first.count, constraints=first.constraints):
            yield indices[k], fresh


def _refined(tasks: Sequence[Task], strokes: Sequence[Tensor], agent: Agent, seconds: float | None) -> list[Tensor]:
    """The strokes of each task, refined together in so many seconds for each, if the agent can."""
    refined = list(strokes)
    if not isinstance(agent, RefiningAgent):
        return refined
    for indices in _alike(tasks, lambda task: (task.target.shape, task.count, id(task.constraints))):
        canvases = torch.stack([tasks[i].canvas for i in indices])
        targets = torch.stack([tasks[i].agent_target() for i in indices])
        painted = torch.stack([strokes[i] for i in indices])
        time_left = None if seconds is None else seconds * len(indices)
        limits = tasks[indices[0]].constraints
        results = agent.refine(canvases, targets, painted, constraints=limits, seconds=time_left)
        for i, result in zip(indices, results, strict=True):
            refined[i] = result
    return refined


def _optimize(
    tasks: Sequence[Task], brush: Brush, start: Sequence[Tensor] | None, agent: Agent | None = None
) -> Iterator[tuple[int, Step]]:
    """Optimise the strokes of tasks; an agent that knows of strokes on a canvas proposes what is relocated."""

    def key(task: Task) -> Hashable:
        return task.target.shape, task.count, task.config, id(task.constraints), id(task.loss), id(task.penalty)

    for indices in _alike(tasks, key):
        group = [tasks[i] for i in indices]
        task, config = group[0], group[0].config
        # Losses on features see the grain of a stochastic brush; pixels would only fit it.
        drawn_with = brush.mean_brush() if task.loss is mse else brush
        optimizer = optimize_coarse_to_fine if task.loss is mse else optimize
        steps = optimizer(
            torch.stack([task.target for task in group]),
            drawn_with,
            task.count,
            canvas=torch.stack([task.canvas for task in group]),
            config=config if config.seconds is None else replace(config, seconds=config.seconds * len(group)),
            loss=task.loss,
            start=None if start is None else torch.stack([start[i] for i in indices]),
            generator=[task.generator for task in group],
            constraints=task.constraints,
            penalty=task.penalty,
            propose=_proposer(agent, task) if isinstance(agent, AdjustableAgent) else None,
        )
        for step in steps:
            for i, strokes in zip(indices, step.strokes, strict=True):
                yield i, Step(step.progress, strokes, tasks[i].canvas, drawn_with)


def _proposer(agent: AdjustableAgent, task: Task) -> Proposer:
    """The strokes that the agent adds to a canvas with those of a task."""
    small = agent.adjusted(existing=task.count)

    def propose(canvas: Tensor, target: Tensor, count: int) -> Tensor:
        return torch.cat([fresh for _, fresh in small(canvas, target, count, constraints=task.constraints)])

    return propose


def _alike(tasks: Sequence[Task], key: Callable[[Task], Hashable]) -> list[list[int]]:
    """The indices of tasks, in groups of an equal key."""
    groups: dict[Hashable, list[int]] = {}
    for i, task in enumerate(tasks):
        groups.setdefault(key(task), []).append(i)
    return list(groups.values())


def _lines(task: Task, brush: Brush, agent: Agent) -> Iterator[Step]:
    """Masses first, then lines with the last of several brushes, as the scrolls were painted (`painter.lines`)."""
    limits, started, seconds = task.constraints, time.monotonic(), task.config.seconds
    if seconds is not None:
        agent = adjusted(agent, seconds=LINES_AGENT_TIME * seconds)
    traced = translation(brush, {"brush": 1.0})(trace_lines(task.target, int(MAX_LINE_SHARE * task.count)))
    strokes, canvas = task.target.new_zeros(0, brush.space.width), task.canvas
    broad = replace(limits, min_radius=max(limits.min_radius, min(MIN_MASS_RADIUS, limits.max_radius)), brush=0.0)
    for painted, fresh in agent(task.canvas, remove_lines(task.target), task.count - len(traced), constraints=broad):
        canvas, strokes = painted, torch.cat((strokes, fresh))
        yield Step(MASS_PROGRESS * len(strokes) / task.count, strokes, task.canvas, brush, "masses")
    if len(traced) == 0:
        return
    # No line is relocated: one of low importance is still a line. And lines only settle, for a fifth of the steps and at
    # low learning rates: optimised freely, they would blur into the noise of old paper.
    config = task.config
    settle = replace(
        config,
        seconds=None if seconds is None else max(seconds - (time.monotonic() - started), 1e-3),
        steps=-(-config.steps // 5),
        relocations=0,
        geometry_lr=config.geometry_lr / 6,
        colour_lr=config.colour_lr / 8,
    )
    thin = replace(task, canvas=canvas, count=len(traced), config=settle, loss=mse, penalty=None)
    thin = replace(thin, constraints=replace(limits, brush=1.0))
    for _, step in _optimize([thin], brush, [traced]):
        progress = MASS_PROGRESS + (1 - MASS_PROGRESS) * step.progress
        yield Step(progress, torch.cat((strokes, step.strokes)), task.canvas, brush, "lines")
