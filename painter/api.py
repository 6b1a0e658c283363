"""The public API: a `Painter` repaints images stroke by stroke.

from painter import Painter

painter = Painter("agent", brush="ink")
painting = painter.paint("face.jpg", strokes=200)
painting.save("face.safetensors")
painting.export("face.svg")
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from agents.planner import DEFAULT_PLANNING, Planning
from agents.registry import Agent, load_agent
from painter.faint_features import DEFAULT_FEATURES, check_amount
from painter.losses.pixels import Loss, mse
from painter.methods import AUTO, METHODS, Method, Step, Task, batch_steps, default_method, method_steps
from painter.optimize import DEFAULT_CONFIG, OptimizeConfig
from painter.persistent import DEFAULT_CLIP_CONFIG, ClipConfig, ClipFrame, paint_clip
from painter.refine import Region, refine_steps
from renderer.brush import Brush, load_brush, not_differentiable
from renderer.canvas import blank, magnification
from renderer.constraints import UNCONSTRAINED, Constraint, StrokeConstraints, as_constraints, parse_colour
from renderer.errors import InputError
from renderer.io.images import as_image, fit, resize
from renderer.io.painting import Colour, Painting

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

    ImageLike = str | Path | Image.Image | np.ndarray | Tensor

Layers = list[tuple[str, int]]
"""Names of consecutive strokes and how many there are."""

WHITE: Colour = (1.0, 1.0, 1.0)
MAX_STROKES = 100_000
MAX_SIZE = 8192  # pixels a side while painting; a finished painting can be rendered larger
SMALLEST_SIZE, LARGEST_SIZE = 128, 1024  # pixels, of `default_size`
STROKES_OF_SMALLEST = 200


class Painter:
    """Repaints images with one brush and one method; loads its checkpoints once and can then paint many images.

    Args:
        method: how strokes are found. `agent`: a policy and planning, under a second a face. `optimize`: gradient descent
            on the strokes. `hybrid`: the agent's strokes, optimised. `lines`: the agent paints masses, then ink lines
            are traced on them. `auto`: `hybrid` for a painting with a time budget (`seconds=`), else `agent`.
        brush: a name (`bezier`, `ink`, `flat+ink` ...), a checkpoint file, `module:Class`, or a `Brush`; differentiable.
        agent: the agent's checkpoint (name or file), `module:Class`, or a callable as `agents.registry.Agent`.
        device: `auto` (a GPU where there is one), `cpu`, `cuda`, `cuda:1` ...
        config: how strokes are optimised (optimize, hybrid, lines).
        planning: how much the agent plans before each round.

    Raises:
        InputError: for an unknown method, brush, agent or device, and for a brush that is not differentiable.
    """

    def __init__(
        self,
        method: Method | Literal["auto"] = "auto",
        *,
        brush: str | Brush = "bezier",
        agent: str | Agent = "agent",
        device: torch.device | str = "auto",
        config: OptimizeConfig = DEFAULT_CONFIG,
        planning: Planning = DEFAULT_PLANNING,
    ) -> None:
        if method not in (*METHODS, AUTO):
            raise InputError(f"There is no method {method!r}; choose one of {', '.join(METHODS)}, or {AUTO}.")
        self.method = method
        self.device = choose_device(device)
        self.brush = load_brush(brush, self.device) if isinstance(brush, str) else brush
        if not self.brush.differentiable:
            raise not_differentiable(brush if isinstance(brush, str) else type(brush).__name__)
        self.config = config
        self.agent: Agent | None = None
        if method != "optimize":
            self.agent = load_agent(agent, self.brush, self.device, planning) if isinstance(agent, str) else agent

    def paint(self, image: ImageLike, *, on_step: Callable[[Step], object] | None = None, **options: Any) -> Painting:
        """Paint one image.

        Args:
            image: see `steps`.
            on_step: called after each step of the work, to show progress.
            options: those of `steps`.

        Returns:
            The finished painting, on the CPU.
        """
        task, provenance = self._task(image, **options)
        return self._finish(self._run(task), task, provenance, on_step=on_step)

    def steps(
        self,
        image: ImageLike,
        *,
        strokes: int = 200,
        seconds: float | None = None,
        size: int = 128,
        constraints: StrokeConstraints | Constraint | Sequence[Constraint] = UNCONSTRAINED,
        background: str | Colour = "#ffffff",
        seed: int | torch.Generator = 0,
        loss: Loss = mse,
        penalty: Callable[[Tensor], Tensor] | None = None,
        features: float = DEFAULT_FEATURES,
        provenance: Mapping[str, Any] | None = None,
    ) -> Iterator[Step]:
        """Paint one image and yield after each step of the work.

        Args:
            image: a file, a PIL image, an array (H, W, 3) or a tensor (3, H, W); see `renderer.io.images.as_image`.
            strokes: how many, exactly.
            seconds: a time budget for the painting, instead of the configured number of steps; the agent plans less.
            size: pixels on the long side; the painting can be rendered at any size. With less than 8 pixels on the short
                side, the work is done on a larger canvas, since strokes shorter than a pixel are drawn too dark.
            constraints: limits on all strokes: `StrokeConstraints`, or one or several objects with their method `apply`.
            background: what the painting begins on: `#c69c5a`, (r, g, b) in [0, 1], or `mean`, the image's mean colour.
            seed: of all randomness; with equal seeds, machines and numbers of threads, paintings are equal. With another
                number of threads, the strokes may differ, see docs/reproducibility.md. Or a generator on the CPU, to share
                with a random loss.
            loss: what optimising lowers (optimize, hybrid), see `painter.losses`.
            penalty: strokes (B, n, P) -> (B,), added to the loss.
            features: how much of their contrast faint features gain while the agent paints (agent, hybrid), in [0, 4], so
                that few strokes show closed eyes on a white face; see `painter.faint_features`.
            provenance: what `paint` records in the painting beside its own entries; anything that JSON can hold.

        Yields:
            `Step` with `canvas`, `strokes` and `progress` in [0, 1]; the strokes of the last one are the painting.

        Raises:
            InputError: for an image that cannot be read and options out of range.
        """
        task, _ = self._task(
            image,
            strokes=strokes,
            seconds=seconds,
            size=size,
            constraints=constraints,
            background=background,
            seed=seed,
            loss=loss,
            penalty=penalty,
            features=features,
            provenance=provenance,
        )
        yield from self._run(task)

    def paint_batch(
        self,
        images: Sequence[ImageLike],
        *,
        on_step: Callable[[int, Step], object] | None = None,
        seed: int | Sequence[int] = 0,
        provenance: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
        **options: Any,
    ) -> list[Painting]:
        """Paint several images at once, of any sizes; each as `paint` alone would paint it, within rounding.

        Images of one size share every operation (`agent`, `optimize` and `hybrid`; `lines` takes one after another), so
        that a GPU is busy. A palette that is chosen from each image separates them again. A time budget counts for each
        image: B images take B times as long.

        Args:
            images: see `steps`.
            on_step: called with the index of an image and a step of it, to show progress.
            seed: one for all images, or one for each.
            provenance: what each painting records beside its own entries; one for all images, or one for each.
            options: those of `steps`.

        Returns:
            The finished paintings, on the CPU, in the order of the images.

        Raises:
            InputError: as `steps`.
        """
        limits = as_constraints(options.pop("constraints", UNCONSTRAINED)).to(self.device)
        seeds = [seed] * len(images) if isinstance(seed, int) else seed
        records = provenance if isinstance(provenance, Sequence) else [provenance] * len(images)
        works = [
            self._task(image, constraints=limits, seed=own, provenance=record, **options)
            for image, own, record in zip(images, seeds, records, strict=True)
        ]
        strokes = [task.target.new_zeros(0, self.brush.space.width) for task, _ in works]
        layers: list[Layers] = [[] for _ in works]
        method = self._method(self._config(options.get("seconds")))
        for i, step in batch_steps(method, [task for task, _ in works], self.brush, self.agent):
            layers[i] = layers_after(layers[i], step, len(strokes[i]))
            strokes[i] = step.strokes
            if on_step is not None:
                on_step(i, step)
        records = [{**record, **layer_record(parts)} for (_, record), parts in zip(works, layers, strict=True)]
        return [
            self._painting(painted, task, record)
            for painted, (task, _), record in zip(strokes, works, records, strict=True)
        ]

    def paint_clip(
        self, frames: Iterable[ImageLike], config: ClipConfig = DEFAULT_CLIP_CONFIG, **options: Any
    ) -> Iterator[ClipFrame]:
        """Paint the frames of a video with strokes that persist from frame to frame; see `painter.persistent.paint_clip`.

        Args:
            frames: images of one size, as for `steps`; read as they are needed.
            config: how strokes follow.
            options: those of `steps`.

        Yields:
            A `ClipFrame` for each frame, with its `painting`.
        """
        return paint_clip(self, frames, config, **options)

    def refine(
        self,
        painting: Painting,
        image: ImageLike,
        *,
        on_step: Callable[[Step], object] | None = None,
        **options: Any,
    ) -> Painting:
        """Improve a painting, or repaint a region of it.

        Args:
            painting: see `refine_steps`.
            image: see `refine_steps`.
            on_step: called after each step of the work, to show progress.
            options: those of `refine_steps`.

        Returns:
            A new painting with the strokes of the old one, improved where they may be, and the added ones on top.
        """
        steps, task = self._refinement(painting, image, **options)
        method = self._method(task.config)
        record: dict[str, Any] = {"refined_by": method, "strokes_before": len(painting.strokes)}
        old = {key: value for key, value in painting.provenance.items() if key != "layers"}
        layers = painting.provenance.get("layers")
        if layers and method in ("agent", "lines"):  # which leave the old strokes as they are
            added = task.count - len(painting.strokes)
            record["layers"] = [*layers, *([["refined", added]] if added else [])]
        return self._finish(steps, task, {**old, **record}, background=painting.background, on_step=on_step)

    def refine_steps(
        self,
        painting: Painting,
        image: ImageLike,
        *,
        region: ImageLike | None = None,
        strokes: int = 0,
        locked: Tensor | slice | Sequence[int] | None = None,
        seconds: float | None = None,
        constraints: StrokeConstraints | Constraint | Sequence[Constraint] = UNCONSTRAINED,
        seed: int = 0,
        loss: Loss = mse,
    ) -> Iterator[Step]:
        """Improve a painting, or repaint a region of it, and yield after each step.

        Methods `agent` and `lines` add strokes and leave the old ones as they are; `optimize` and `hybrid` also move the
        old strokes that are not locked.

        Args:
            painting: made with this painter's brush; its size is the working size.
            image: what to paint, as for `steps`; it is scaled to the painting's size.
            region: a mask, white (above one half) where the painting may change, of any size. Outside of it nothing
                changes, bit for bit, at the working size: strokes that reach outside are locked, and new ones stay inside.
            strokes: how many to add on top.
            locked: old strokes that stay as they are: indices, a slice, or a bool tensor (N,).
            seconds: as for `steps`.
            constraints: as for `steps`.
            seed: as for `steps`.
            loss: as for `steps`.

        Yields:
            `Step`; the strokes of the last one are the painting.

        Raises:
            InputError: for a painting of another brush, an empty region, and as `steps`.
        """
        steps, _ = self._refinement(
            painting,
            image,
            region=region,
            strokes=strokes,
            locked=locked,
            seconds=seconds,
            constraints=constraints,
            seed=seed,
            loss=loss,
        )
        yield from steps

    def painting_so_far(self, step: Step, provenance: Mapping[str, Any] | None = None) -> Painting:
        """The strokes of a step as a painting, such as of work that is stopped.

        Args:
            step: what `steps` yields, or `on_step` is called with.
            provenance: what the painting records beside the method.
        """
        red, green, blue = step.background[:, 0, 0].tolist()
        record = {"method": self.method, **(provenance or {})}
        return Painting.by(self.brush, step.strokes, step.background.shape[1:], (red, green, blue), record)

    def _run(self, task: Task) -> Iterator[Step]:
        return method_steps(self._method(task.config), task, self.brush, self.agent)

    def _method(self, config: OptimizeConfig) -> Method:
        """The method for a time budget, if there is one."""
        return default_method(config.seconds) if self.method == "auto" else self.method

    def _task(
        self,
        image: ImageLike,
        *,
        strokes: int = 200,
        seconds: float | None = None,
        size: int = 128,
        constraints: StrokeConstraints | Constraint | Sequence[Constraint] = UNCONSTRAINED,
        background: str | Colour = "#ffffff",
        seed: int | torch.Generator = 0,
        loss: Loss = mse,
        penalty: Callable[[Tensor], Tensor] | None = None,
        features: float = DEFAULT_FEATURES,
        provenance: Mapping[str, Any] | None = None,
    ) -> tuple[Task, dict[str, Any]]:
        """What to paint, and what the painting records of how it was made."""
        if not 1 <= strokes <= MAX_STROKES:
            raise InputError(f"strokes must be between 1 and {MAX_STROKES:,}, not {strokes}.")
        if not 1 <= size <= MAX_SIZE:
            raise InputError(f"size must be between 1 and {MAX_SIZE} pixels, not {size}.")
        target = fit(as_image(image, size), size)
        height, width = target.shape[1:]
        times = magnification((height, width))
        if times > 1:
            target = resize(as_image(image, times * size), (times * height, times * width))
        colour = background_colour(background, target)
        generator = seed if isinstance(seed, torch.Generator) else torch.Generator().manual_seed(seed)
        limits = as_constraints(constraints)
        task = Task(
            target.to(self.device),
            blank((target.shape[1], target.shape[2]), colour, self.device),
            strokes,
            limits.for_image(target).to(self.device),
            self._config(seconds),
            loss,
            penalty,
            generator,
            times,
            check_amount(features),
        )
        record = {"method": self._method(task.config), "seed": generator.initial_seed(), **limits.provenance()}
        return task, {**record, **(provenance or {})}

    def _refinement(
        self,
        painting: Painting,
        image: ImageLike,
        *,
        region: ImageLike | None = None,
        strokes: int = 0,
        locked: Tensor | slice | Sequence[int] | None = None,
        seconds: float | None = None,
        constraints: StrokeConstraints | Constraint | Sequence[Constraint] = UNCONSTRAINED,
        seed: int = 0,
        loss: Loss = mse,
    ) -> tuple[Iterator[Step], Task]:
        if not 0 <= strokes <= MAX_STROKES - len(painting.strokes):
            raise InputError(
                f"strokes must be 0 at least, and {MAX_STROKES:,} at most with the old ones, not {strokes}."
            )
        self.brush.space.require(painting.space)
        times = magnification(painting.size())
        size = (times * painting.height, times * painting.width)
        target = resize(as_image(image, max(size)), size)
        mask = None if region is None else Region.of(as_image(region), size)
        task = Task(
            target.to(self.device),
            blank(size, painting.background, self.device),
            len(painting.strokes) + strokes,
            as_constraints(constraints).for_image(target).to(self.device),
            self._config(seconds),
            loss,
            generator=torch.Generator().manual_seed(seed),
            times=times,
        )
        fixed = torch.zeros(len(painting.strokes), dtype=torch.bool)
        if locked is not None:
            fixed[torch.as_tensor(locked) if not isinstance(locked, slice) else locked] = True
        start = painting.strokes.to(self.device)
        return refine_steps(
            self._method(task.config), task, self.brush, self.agent, start, fixed.to(self.device), mask
        ), task

    def _config(self, seconds: float | None) -> OptimizeConfig:
        if seconds is None:
            return self.config
        if not 0 < seconds < math.inf:
            raise InputError(f"seconds must be a positive number, not {seconds}.")
        return replace(self.config, seconds=seconds)

    def _finish(
        self,
        steps: Iterator[Step],
        task: Task,
        provenance: Mapping[str, Any],
        background: Colour | None = None,
        on_step: Callable[[Step], object] | None = None,
    ) -> Painting:
        strokes, layers = task.target.new_zeros(0, self.brush.space.width), Layers()
        for step in steps:
            layers = layers_after(layers, step, len(strokes))
            strokes = step.strokes
            if on_step is not None:
                on_step(step)
        return self._painting(strokes, task, {**provenance, **layer_record(layers)}, background)

    def _painting(
        self, strokes: Tensor, task: Task, provenance: Mapping[str, Any], background: Colour | None = None
    ) -> Painting:
        if background is None:
            red, green, blue = task.canvas[:, 0, 0].tolist()
            background = red, green, blue
        size = [side // task.times for side in task.target.shape[1:]]
        return Painting.by(self.brush, strokes, size, background, provenance)


def layers_after(layers: Layers, step: Step, before: int) -> Layers:
    """The layers after a step that began with `before` strokes."""
    added = len(step.strokes) - before
    if step.layer is None or added <= 0:
        return layers
    if layers and layers[-1][0] == step.layer:
        return [*layers[:-1], (step.layer, layers[-1][1] + added)]
    return [*layers, (step.layer, added)]


def layer_record(layers: Layers) -> dict[str, Any]:
    """What a painting records for `renderer.io.layered.layers_of`."""
    return {"layers": [list(layer) for layer in layers]} if layers else {}


def default_size(strokes: int) -> int:
    """The size in pixels at which so many strokes are painted by default: in proportion to their square root.

    Each stroke then has about as many pixels as the 200 strokes that the agent was trained with on 128 pixels a side.

    >>> [default_size(strokes) for strokes in (10, 200, 500, 5000, 100_000)]
    [128, 128, 200, 640, 1024]
    """
    side = SMALLEST_SIZE * math.sqrt(strokes / STROKES_OF_SMALLEST)
    return min(LARGEST_SIZE, max(SMALLEST_SIZE, 8 * round(side / 8)))


def background_colour(background: str | Colour, image: Tensor) -> Colour:
    """What `#c69c5a`, `mean` (of `image`, (3, H, W)) or (r, g, b) stand for, in [0, 1]. Raises `InputError`."""
    if not isinstance(background, str):
        return background
    if background == "mean":
        red, green, blue = image.mean((1, 2)).tolist()
        return red, green, blue
    try:
        return parse_colour(background)
    except InputError:
        raise InputError(f"A background is one colour, such as '#c69c5a', or mean, not {background!r}.") from None


def choose_device(name: torch.device | str = "auto") -> torch.device:
    """The device called `name`; `auto` is a GPU where there is one. Raises `InputError` for one that cannot be used."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()  # `meta`, for one, holds no values
    except (RuntimeError, AssertionError, ImportError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0].split(". ")[0].rstrip(".")
        raise InputError(f"The device {str(name)!r} cannot be used here ({reason}); use auto or cpu.") from error
    return device
