"""The tasks of `train_renderer`: the Bezier brush, and MyPaint brushes with one of three objectives."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

import torch
from torch import nn
from tqdm import tqdm

from experiments.trainer import RunOptions
from renderer.brush import Brush, ReferenceBrush
from renderer.brushes.bezier import ExactBezier
from renderer.brushes.mypaint import MyPaint
from renderer.brushes.scanned import Scanned, is_scan
from renderer.learned.data import BrushPoints, BrushViews, Pool, RandomNormals, Zipped, iterate
from renderer.learned.fidelity import fidelity, traits
from renderer.learned.load import KINDS
from renderer.learned.neural_brush import NeuralBrush
from renderer.learned.objectives import BETAS, Critic, Encoder, fit_adversarially, fit_variationally, point_loss
from renderer.learned.processes import Processes
from renderer.learned.stochastic import TILE
from renderer.learned.train import SIDES, Progress, RandomStrokes, alpha_error, alpha_loss, fit

VIEWS = 16  # strokes in a batch that is rendered in windows, each of about a thousand pixels
LATENT, GRAIN = 8, 3
# Seeds of a task: strokes at points, strokes in windows, the order of batches, random numbers of the networks.
STREAMS = 4


class Plan(NamedTuple):
    """Amounts of work of a training: reference strokes, batches, strokes of the last test, processes that render."""

    strokes: int
    steps: int
    test_strokes: int
    workers: int


# Default number of steps: ten to thirty minutes on two cores.
STEPS = {"bezier": 14_000, "reconstruction": 200_000, "gan": 20_000, "vae": 10_000}
# On two cores, MyPaint draws these strokes in 20 seconds, and the steps take 80.
QUICK = Plan(strokes=12_000, steps=12_000, test_strokes=500, workers=2)


@dataclass(frozen=True, kw_only=True)
class Config(RunOptions):
    """Options of the training."""

    arch: Literal["stroke-map", "huang2019"] = "stroke-map"
    """Network for the Bezier brush: that of this project, or that of Huang et al. (2019)."""
    brush: str | None = None
    """Brush to train on instead: one of MyPaint, by name (ink, charcoal, deevad/pen ...) or .myb file; or a file that
    `scan_brush` wrote."""
    form: Literal["reconstruction", "gan", "vae"] = "reconstruction"
    """Objective for another brush; gan and vae are for stochastic brushes (charcoal, pencil, impasto ...)."""
    quick: bool = False
    """Learn another brush in about two minutes on two cores, good enough to paint with: fewer strokes and steps."""
    out: str | None = None
    """Also write the finished brush to this file; my_brush is my_brush.safetensors, for `repaint --renderer my_brush`."""
    strokes: int | None = None
    """Strokes of the other brush in the training set; 100,000 by default, 12,000 with --quick."""
    steps: int | None = None
    """Batches; the default depends on the brush and the objective; 12,000 with --quick."""
    batch: int = 64
    """Strokes in a batch."""
    learning_rate: float = 2e-3
    """Adam's; it decreases linearly to zero."""
    hidden: int = 128
    """Width of the layers (stroke-map)."""
    grid: int = 8
    """Nodes per side of the Bezier brush's maps (stroke-map)."""
    evaluate_every: int | None = None
    """Steps between evaluations; by default a tenth of all steps."""
    test_strokes: int | None = None
    """New strokes for the alpha MSE in the checkpoint, at 128 pixels; 2,000 by default, 500 with --quick."""
    workers: int | None = None
    """Processes that render with the reference brush; 0 uses this process; 1 by default, 2 with --quick."""

    def resolved(self) -> Plan:
        """The amounts of work: those that are given, and the defaults for the others."""
        kind = "bezier" if self.brush is None else self.form
        usual = QUICK if self.quick else Plan(100_000, STEPS[kind], 2000, 1)
        given = {name: getattr(self, name) for name in usual._fields}
        return usual._replace(**{name: value for name, value in given.items() if value is not None})


@dataclass(frozen=True)
class Task:
    """A network and how it is trained.

    kind, settings: kind and configuration of the network's checkpoint
    network: the network, which is a `Brush`
    brush: the reference brush
    objects: all that a resumed training needs, with the network
    train: takes the number of steps done and yields after each further step
    evaluate: takes a number of strokes and a seed and returns metrics by name
    """

    kind: str
    settings: dict[str, Any]
    network: nn.Module
    brush: Brush
    objects: dict[str, Any]
    train: Callable[[int], Iterator[Progress]]
    evaluate: Callable[[int, int], dict[str, float]]


def bezier_task(config: Config, steps: int, device: torch.device, processes: Processes) -> Task:
    """A network for the Bezier brush, trained on strokes that are rendered during the training."""
    stroke_map = config.arch == "stroke-map"
    settings = {"hidden": config.hidden, "grid": config.grid} if stroke_map else {}
    network, brush = KINDS[config.arch](**settings).to(device), ExactBezier()
    optimizer = torch.optim.Adam(network.parameters(), config.learning_rate)
    data = RandomStrokes(brush, config.batch, steps, config.seed, SIDES if stroke_map else (128,), processes)

    def evaluate(n: int, seed: int) -> dict[str, float]:
        return {"alpha_mse": alpha_error(cast(Brush, network), brush, n, seed)}

    def train(done: int) -> Iterator[Progress]:
        return fit(
            network, optimizer, data, done, config.learning_rate, config.resolved().workers, alpha_loss, processes
        )

    return Task(config.arch, settings, network, brush, {"network": network, "optimizer": optimizer}, train, evaluate)


def _reference(name: str) -> ReferenceBrush:
    return Scanned.load(name) if is_scan(Path(name)) else MyPaint(name)


def mypaint_task(config: Config, steps: int, device: torch.device) -> Task:
    """A neural brush, trained on strokes of MyPaint or of a scan.

    They are rendered before the training, and again when it is resumed.
    """
    brush = _reference(str(config.brush))
    record = brush.provenance()
    settings = {
        "brush": brush.name if isinstance(brush, Scanned) else Path(str(config.brush)).stem,
        **asdict(traits(brush)),
        "hidden": config.hidden,
        "latent": LATENT if config.form == "vae" else 0,
        "grain": GRAIN if config.form == "gan" else 0,
        "myb": record["myb"],
    }
    network = NeuralBrush(**settings).to(device)
    plan = config.resolved()
    adam = partial(torch.optim.Adam, lr=config.learning_rate)
    objects: dict[str, Any] = {"network": network}
    seeds = [config.seed * STREAMS + stream for stream in range(STREAMS)]

    def pool(data: Any) -> Pool:
        bar = tqdm(iterate(data, plan.workers), "reference strokes", len(data), unit="batch", leave=False, disable=None)
        return Pool(list(bar), steps, seeds[2])

    def points() -> Pool:
        count = -(-plan.strokes // config.batch)
        return pool(BrushPoints(brush, network.reach, config.batch, count, seeds[0]))

    def views(side: int, whole: bool) -> Pool:
        return pool(BrushViews(brush, VIEWS, max(1, plan.strokes // 4 // VIEWS), seeds[1], side, whole))

    if config.form == "reconstruction":
        objects["optimizer"] = adam(network.parameters())

        def train(done: int) -> Iterator[Progress]:
            yield from fit(network, objects["optimizer"], points(), done, config.learning_rate, 0, point_loss)
    elif config.form == "gan":
        objects["critic"] = Critic().to(device)
        objects["optimizer"] = adam(network.parameters(), betas=BETAS)
        objects["critic_optimizer"] = adam(objects["critic"].parameters(), betas=BETAS)

        def train(done: int) -> Iterator[Progress]:
            random = RandomNormals(((2, TILE, TILE), (VIEWS, 2)), steps, seeds[3])
            data = Zipped(points(), views(48, whole=False), random)
            optimizers = objects["optimizer"], objects["critic_optimizer"]
            yield from fit_adversarially(network, objects["critic"], *optimizers, data, done, config.learning_rate)
    else:
        objects["encoder"] = Encoder(LATENT).to(device)
        objects["optimizer"] = adam([*network.parameters(), *objects["encoder"].parameters()])

        def train(done: int) -> Iterator[Progress]:
            data = Zipped(views(64, whole=True), RandomNormals(((VIEWS, LATENT),), steps, seeds[3]))
            yield from fit_variationally(
                network, objects["encoder"], objects["optimizer"], data, done, config.learning_rate
            )

    def evaluate(n: int, seed: int) -> dict[str, float]:
        return fidelity(cast(Brush, network), brush, n, seed)

    return Task("neural-brush", settings, network, brush, objects, train, evaluate)
