"""What `train_renderer` can learn: the Bezier brush, or a brush of MyPaint in one of the three forms."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, cast

import torch
from torch import nn
from tqdm import tqdm

from renderer.brush import Brush
from renderer.brushes.bezier import ExactBezier
from renderer.brushes.mypaint import MyPaint
from renderer.learned.data import BrushPoints, BrushViews, Draws, Pool, Together, drawn
from renderer.learned.fidelity import fidelity, traits
from renderer.learned.load import KINDS
from renderer.learned.neural_brush import NeuralBrush
from renderer.learned.objectives import BETAS, Critic, Encoder, fit_adversarially, fit_variationally, point_loss
from renderer.learned.stochastic import TILE
from renderer.learned.train import SIDES, Progress, RandomStrokes, alpha_error, fit

VIEWS = 16  # strokes a batch that are seen through windows: each is a thousand places
LATENT, GRAIN = 8, 3
# A task's seeds: strokes in points, in windows, the order of batches, random numbers.
STREAMS = 4


@dataclass(frozen=True)
class Config:
    """Options of the training."""

    arch: Literal["stroke-map", "huang2019"] = "stroke-map"
    """Which network for the Bezier brush: ours, or one built like Huang's (2019)."""
    brush: str | None = None
    """Learn this brush of MyPaint instead: a name (ink, charcoal, deevad/pen ...) or a .myb file."""
    form: Literal["reconstruction", "gan", "vae"] = "reconstruction"
    """How a brush of MyPaint is learned; gan and vae are for brushes of chance (charcoal, pencil, impasto ...)."""
    strokes: int = 100_000
    """Strokes of MyPaint's brush to learn from; each is met many times."""
    steps: int | None = None
    """Batches of strokes; by default as many as suit what is learned."""
    batch: int = 64
    """Strokes a batch."""
    learning_rate: float = 2e-3
    """Of Adam; falls linearly to zero."""
    hidden: int = 128
    """Width of our network's layers."""
    grid: int = 8
    """Nodes a side of our network's maps of the Bezier brush."""
    minutes_between_saves: float = 2.0
    test_strokes: int = 2000
    """Strokes, never trained on, that the alpha MSE in the checkpoint is measured on (128 px)."""
    seed: int = 0
    device: str = "auto"
    workers: int = 1
    """Processes that draw with the true brush (0: none but this one)."""
    resume: str | None = None
    """A run folder to go on with; all other options are then read from it."""
    runs: str = "runs"
    """Where run folders are made."""


@dataclass(frozen=True)
class Task:
    """One thing to learn.

    kind, settings: of the checkpoint that holds the network
    objects: all that has to be saved for going on, the network among them
    learn: steps from the number of those already done on
    measure: figures for the checkpoint, on so many strokes
    """

    kind: str
    settings: dict[str, Any]
    network: nn.Module
    brush: Brush
    objects: dict[str, Any]
    learn: Callable[[int], Iterator[Progress]]
    measure: Callable[[int, int], dict[str, float]]


def bezier_task(config: Config, steps: int, device: torch.device) -> Task:
    """A network that draws the Bezier brush, from strokes drawn on the way."""
    mine = config.arch == "stroke-map"
    settings = {"hidden": config.hidden, "grid": config.grid} if mine else {}
    network, brush = KINDS[config.arch](**settings).to(device), ExactBezier()
    optimizer = torch.optim.Adam(network.parameters(), config.learning_rate)
    data = RandomStrokes(brush, config.batch, steps, config.seed, SIDES if mine else (128,))

    def measure(n: int, seed: int) -> dict[str, float]:
        return {"alpha_mse": alpha_error(cast(Brush, network), brush, n, seed)}

    def learn(done: int) -> Iterator[Progress]:
        return fit(network, optimizer, data, done, config.learning_rate, config.workers)

    return Task(config.arch, settings, network, brush, {"network": network, "optimizer": optimizer}, learn, measure)


def brush_task(config: Config, steps: int, device: torch.device) -> Task:
    """A neural brush, from strokes of the true one that are drawn first, and anew when a training is resumed."""
    brush = MyPaint(str(config.brush))
    settings = {
        "brush": Path(str(config.brush)).stem,
        **asdict(traits(brush)),
        "hidden": config.hidden,
        "latent": LATENT if config.form == "vae" else 0,
        "grain": GRAIN if config.form == "gan" else 0,
        "myb": brush.path.read_text(encoding="utf-8"),
    }
    network = NeuralBrush(**settings).to(device)
    adam = partial(torch.optim.Adam, lr=config.learning_rate)
    objects: dict[str, Any] = {"network": network}
    seeds = [config.seed * STREAMS + stream for stream in range(STREAMS)]

    def pool(data: Any) -> Pool:
        bar = tqdm(drawn(data, config.workers), "true strokes", len(data), unit="batch", leave=False)
        return Pool(list(bar), steps, seeds[2])

    def points() -> Pool:
        count = -(-config.strokes // config.batch)
        return pool(BrushPoints(brush, network.reach, config.batch, count, seeds[0]))

    def views(side: int, whole: bool) -> Pool:
        return pool(BrushViews(brush, VIEWS, max(1, config.strokes // 4 // VIEWS), seeds[1], side, whole))

    if config.form == "reconstruction":
        objects["optimizer"] = adam(network.parameters())

        def learn(done: int) -> Iterator[Progress]:
            return fit(network, objects["optimizer"], points(), done, config.learning_rate, 0, point_loss)
    elif config.form == "gan":
        objects["critic"] = Critic().to(device)
        objects["optimizer"] = adam(network.parameters(), betas=BETAS)
        objects["critic_optimizer"] = adam(objects["critic"].parameters(), betas=BETAS)

        def learn(done: int) -> Iterator[Progress]:
            random = Draws(((2, TILE, TILE), (VIEWS, 2)), steps, seeds[3])
            data = Together(points(), views(48, whole=False), random)
            optimizers = objects["optimizer"], objects["critic_optimizer"]
            return fit_adversarially(network, objects["critic"], *optimizers, data, done, config.learning_rate)
    else:
        objects["encoder"] = Encoder(LATENT).to(device)
        objects["optimizer"] = adam([*network.parameters(), *objects["encoder"].parameters()])

        def learn(done: int) -> Iterator[Progress]:
            data = Together(views(64, whole=True), Draws(((VIEWS, LATENT),), steps, seeds[3]))
            return fit_variationally(
                network, objects["encoder"], objects["optimizer"], data, done, config.learning_rate
            )

    def measure(n: int, seed: int) -> dict[str, float]:
        return fidelity(cast(Brush, network), brush, n, seed)

    return Task("neural-brush", settings, network, brush, objects, learn, measure)
