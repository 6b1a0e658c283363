"""Repaint images stroke by stroke.

    python -m experiments.repaint face.jpg --out paintings
    python -m experiments.repaint kaokore:42 folder/ --out paintings --method hybrid --strokes 500 --seconds 20

Each image gives a folder of its name with painting.png, painting.svg, painting.mp4, painting.gif and strokes.safetensors,
and a row in metrics.csv. What is painted already with the same options is skipped; other options make another folder.
"""

from __future__ import annotations

import os
import sys
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, cast

import torch
import tyro
from torch import Tensor

from experiments.cli import KAOKORE, picture_path, require, require_gradient, run
from experiments.outputs import Result, paint_image, write_painting
from experiments.results import METRICS, MetricsTable, find_folder, fingerprint, new_folder
from painter.api import MAX_SIZE, MAX_STROKES, Painter, background_colour
from painter.losses.perceptual import Perceptual
from painter.methods import METHODS, Method
from painter.metrics import Metrics, compute_metrics
from painter.optimize import OptimizeConfig
from renderer.constraints import StrokeConstraints, parse_palette
from renderer.errors import InputError
from renderer.io.files import check_writable
from renderer.io.images import find_images, fit, read_image
from renderer.strokes import BEZIER

COLUMNS = (
    *("input", "method", "strokes", "seconds", "mse", "psnr", "ssim", "perceptual"),
    *("folder", "renderer", "size", "seed", "options"),
)


@dataclass(frozen=True)
class Config:
    """Options of a painting."""

    input: tyro.conf.Positional[tuple[str, ...]]
    """Images, folders of images, or kaokore:ID."""
    out: str
    """Folder for the results."""
    method: str = "agent"
    """agent: a policy and planning; optimize: gradient descent on the strokes; hybrid: the agent's strokes, optimised;
    lines: the agent paints masses, then ink lines are traced on them."""
    strokes: int = 200
    """How many strokes, exactly."""
    seconds: float | None = None
    """Time for optimising (optimize, hybrid), instead of a fixed number of steps."""
    size: int = 128
    """Pixels on the long side."""
    renderer: str = "bezier"
    """The brush: bezier, a learned MyPaint brush (ink, watercolour ...), two or more of them (watercolour+ink; with
    --method lines, the last one draws the lines), analytic, a checkpoint of your own, or module:Class."""
    blend: float | None = None
    """Of several brushes, paint with this mixture only: 0 is the first, 1 the last."""
    agent: str = "agent"
    """The agent's checkpoint."""
    steps: int = OptimizeConfig.steps
    """Gradient steps of optimize and hybrid when no --seconds are given; lines take a fifth."""
    opaque: bool = False
    """No transparency, as a physical painter needs it."""
    min_radius: float = StrokeConstraints.min_radius
    """Least radius of a stroke, as a fraction of the short side."""
    max_radius: float = StrokeConstraints.max_radius
    """Greatest radius of a stroke, as a fraction of the short side."""
    palette: str | None = None
    """The only colours: how many to choose from each image (8), or which ('#1a1a1a,#c0392b,#f5e6c8')."""
    background: str = "#ffffff"
    """The colour that the painting begins on: '#c69c5a', or mean, the image's mean colour."""
    seed: int = 0
    again: bool = False
    """Repaint what is painted already with the same options."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1 ..."""
    video: bool = True
    """Write the video (mp4 and gif)."""
    video_size: int = 512
    """Pixels on the long side of the video."""
    root: str | None = None
    """KaoKore's folder for kaokore:ID; else KAOKORE_ROOT, else data/kaokore."""


def repaint(config: Config) -> None:
    """Repaint images stroke by stroke."""
    _check(config)
    out = Path(config.out)
    table = MetricsTable(out / METRICS, COLUMNS)
    inputs = _find(config)
    painter = Painter(
        cast(Method, config.method),  # checked at the start
        brush=config.renderer,
        agent=config.agent,
        device=config.device,
        config=OptimizeConfig(steps=config.steps),
    )
    perceptual = Perceptual()
    check_writable(out)
    mistakes = 0
    for name, stem, path in inputs:
        try:
            target = fit(read_image(path, config.size), config.size)
            record = _record(config, path)
            folder, done = find_folder(out, stem, record["fingerprint"])
            if done and not config.again and _finished(folder, table, config):
                print(f"{folder}: painted already; --again repaints it.")
                continue
            result = paint_image(
                painter,
                target,
                label=stem,
                strokes=config.strokes,
                seconds=config.seconds,
                constraints=_constraints(config),
                background=config.background,
                seed=config.seed,
                provenance=record,
            )
            with new_folder(folder) as temporary:
                write_painting(result.painting, result.image, temporary, config.video_size if config.video else None)
            metrics = compute_metrics(result.image, target, perceptual)
            table.put(_row(name, folder.name, config, result, metrics))
            print(
                f"{folder}: {len(result.painting.strokes)} strokes in {result.seconds:.1f} s, "
                f"mse {metrics.mse:.5f}, ssim {metrics.ssim:.3f}"
            )
        except InputError as error:
            if len(inputs) == 1:
                raise
            mistakes += 1
            print(f"error: {error}", file=sys.stderr)
    print(f"Open {out}/*/painting.png, painting.svg or painting.mp4; the metrics are in {out}/metrics.csv.")
    if mistakes:
        raise InputError(f"{mistakes} of {len(inputs)} inputs could not be painted; the others are done.")


def _check(config: Config) -> None:
    """Find the user's mistakes before any work."""
    if config.method not in METHODS:
        raise InputError(f"There is no method {config.method!r}; choose one of {', '.join(METHODS)}.")
    if not 1 <= config.strokes <= MAX_STROKES:
        raise InputError(f"--strokes must be between 1 and {MAX_STROKES:,}, not {config.strokes}.")
    for option, value in (("--size", config.size), ("--video-size", config.video_size)):
        if not 1 <= value <= MAX_SIZE:
            raise InputError(f"{option} must be between 1 and {MAX_SIZE} pixels, not {value}.")
    if config.seconds is not None and not 0 < config.seconds < float("inf"):
        raise InputError(f"--seconds must be a positive number, not {config.seconds}.")
    require(config, steps=1)
    _constraints(config).for_image(torch.zeros(3, 1, 1)).apply(BEZIER.sample(1), BEZIER)
    background_colour(config.background, torch.zeros(3, 1, 1))
    require_gradient(config.renderer)
    if not config.input:
        raise InputError("Nothing to paint: give images, folders of images or kaokore:ID.")


def _constraints(config: Config) -> StrokeConstraints:
    palette: Tensor | int | None = None
    if config.palette is not None:
        counted = config.palette.isascii() and config.palette.isdecimal()
        if counted and len(config.palette) > 9:
            raise InputError("--palette is colours, or a number of them with at most nine digits.")
        palette = int(config.palette) if counted else parse_palette(config.palette)
    return StrokeConstraints(config.opaque, config.min_radius, config.max_radius, palette, config.blend)


def _find(config: Config) -> list[tuple[str, str, Path]]:
    """Name, folder name and file of every input, each file once; equal folder names get a number."""
    found: list[tuple[str, str, Path]] = []
    taken, files = {"metrics.csv"}, set[Path]()
    for given in config.input:
        if given.startswith(KAOKORE):
            named = [(given, picture_path(given, config.root))]
        else:
            named = [(str(path), path) for path in find_images([given], on_skip=_show_skipped)]
        for name, path in named:
            if path.resolve() in files:
                continue
            plain = path.stem if path.stem.strip(".") else "picture"  # a folder `..` would be another one
            stem, number = plain, 1
            while stem in taken:
                number += 1
                stem = f"{plain}-{number}"
            found.append((name, stem, path))
            taken.add(stem)
            files.add(path.resolve())
    return found


def _show_skipped(line: str) -> None:
    print(line, file=sys.stderr)


# Every option that a painting depends on.
RESULT_OPTIONS = (
    *("method", "strokes", "seconds", "size", "renderer", "blend", "agent", "steps"),
    *("opaque", "min_radius", "max_radius", "palette", "background", "seed"),
)


def _record(config: Config, path: Path) -> dict[str, Any]:
    """What the painting records: the input's name and the options, and nothing of this machine."""
    options = {name: getattr(config, name) for name in RESULT_OPTIONS}
    if os.path.isfile(config.agent):
        options["agent"] = Path(config.agent).name
    if os.path.isfile(config.renderer):
        options["renderer"] = Path(config.renderer).name
    name = path.name.encode(errors="backslashreplace").decode()  # names of files need not be UTF-8
    return {"input": name, **options, "fingerprint": fingerprint(path, options)}


def _finished(folder: Path, table: MetricsTable, config: Config) -> bool:
    """Whether nothing is missing of a result: its files, and its row in the table."""
    wanted = ["painting.png", "painting.svg", *(["painting.mp4", "painting.gif"] if config.video else [])]
    return all((folder / name).is_file() for name in wanted) and any(
        row["folder"] == folder.name for row in table.rows()
    )


def _row(name: str, folder: str, config: Config, result: Result, metrics: Metrics) -> dict[str, str]:
    defaults = {field.name: field.default for field in fields(Config)}
    options = {key: getattr(config, key) for key in RESULT_OPTIONS if getattr(config, key) != defaults[key]}
    for shown in ("method", "strokes", "size", "renderer", "seed"):  # they have columns of their own
        options.pop(shown, None)
    row = {"input": name, "method": config.method, "strokes": str(len(result.painting.strokes))}
    row["seconds"] = f"{result.seconds:.3f}"
    row |= {key: f"{value:.6g}" for key, value in asdict(metrics).items()}
    row |= {"folder": folder, "renderer": config.renderer, "size": str(config.size), "seed": str(config.seed)}
    return row | {"options": " ".join(f"{key}={value}" for key, value in options.items())}


if __name__ == "__main__":
    renamed = {
        "--smallest": "--min-radius",
        "--largest": "--max-radius",
        "--ground": "--background",
        "--film-size": "--video-size",
    }
    run(repaint, Config, __doc__, renamed=renamed)
