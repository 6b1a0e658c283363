"""Repaint pictures stroke by stroke.

    python -m experiments.repaint face.jpg --out paintings
    python -m experiments.repaint kaokore:42 folder/ --out paintings --method hybrid --strokes 500 --seconds 20

For each picture: painting.png, painting.svg, painting.mp4, painting.gif and strokes.safetensors in a folder of its name,
and a line in metrics.csv.
"""

from __future__ import annotations

import csv
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

import torch
import tyro
from torch import Tensor
from tqdm import tqdm

from agents.registry import Agent, load_agent
from experiments.cli import KAOKORE, choose_device, picture_path, require, require_gradient, run
from experiments.outputs import finishing_brush, write_painting
from experiments.runs import describe_run
from kaokore import DatasetError
from painter.api import METHODS, Colour, Method, paint_with
from painter.losses.perceptual import Perceptual
from painter.metrics import Measures, measure
from painter.optimize import OptimizeConfig
from renderer.brush import Brush
from renderer.constraints import StrokeConstraints, palette_of, parse_palette
from renderer.errors import InputError
from renderer.io.files import atomic, check_writable
from renderer.io.images import find_images, fit, read_image
from renderer.io.painting import Painting
from renderer.learned.load import load_brush
from renderer.strokes import BEZIER

COLUMNS = ("input", "method", "strokes", "seconds", "mse", "psnr", "ssim", "perceptual")
MOST_STROKES = 100_000
LARGEST = 4096  # pixels a side while painting; strokes can be replayed larger


@dataclass(frozen=True)
class Config:
    """Options of a painting."""

    input: tyro.conf.Positional[tuple[str, ...]]
    """Pictures, folders of pictures, or kaokore:ID."""
    out: str
    """Folder for the results."""
    method: str = "agent"
    """agent: the policy paints; optimize: strokes are optimised; hybrid: the policy's strokes are refined; lines: the
    policy paints masses, then ink lines are drawn on them."""
    strokes: int = 200
    """How many strokes, exactly."""
    seconds: float | None = None
    """Time for optimising (optimize, hybrid), instead of a fixed number of steps."""
    size: int = 128
    """Pixels on the long side."""
    renderer: str = "bezier"
    """What to paint with: bezier, MyPaint's brushes as they were learned (ink, watercolour ...), two or more of them
    (watercolour+ink; with --method lines, the last one draws the lines), analytic, or a checkpoint of your own."""
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
    """The only colours: how many to choose from each picture (8), or which ('#1a1a1a,#c0392b,#f5e6c8')."""
    background: str = "#ffffff"
    """The colour that the painting begins on: '#c69c5a', or mean, the picture's own."""
    seed: int = 0
    device: str = "auto"
    """auto, cpu, cuda, cuda:1 ..."""
    video: bool = True
    """Write the film (mp4 and gif)."""
    video_size: int = 512
    """Pixels on the long side of the film."""
    root: str | None = None
    """KaoKore's folder for kaokore:ID; else KAOKORE_ROOT, else data/kaokore."""


def repaint(config: Config) -> None:
    """Repaint pictures stroke by stroke."""
    _check(config)
    out = Path(config.out)
    rows = _read_rows(out / "metrics.csv")
    inputs = _find(config)
    device = choose_device(config.device)
    renderer = load_brush(config.renderer, device)
    agent = None if config.method == "optimize" else load_agent(config.agent, renderer, device)
    perceptual = Perceptual()
    check_writable(out)
    constraints = {
        "opaque": config.opaque,
        "smallest": config.min_radius,
        "largest": config.max_radius,
        "blend": config.blend,
        "palette": config.palette,
    }
    provenance = {
        "method": config.method,
        **constraints,
        "seed": config.seed,
        "renderer": config.renderer,
        **describe_run(),
    }
    brush = finishing_brush(renderer)
    mistakes = 0
    for name, stem, path in inputs:
        try:
            target = fit(read_image(path, config.size), config.size)
            background = _background(config, target)
            strokes, seconds = _paint(config, target.to(device), renderer, agent, background, stem)
            painting = Painting.by(renderer, strokes, target.shape[1:], background, {"input": name, **provenance})
            picture = painting.render(renderer=brush)
            measures = measure(picture, target, perceptual)
            write_painting(painting, picture, out / stem, config.video_size if config.video else None, brush)
            row = _row(name, config, len(strokes), seconds, measures)
            rows = [*(old for old in rows if (old["input"], old["method"]) != (name, config.method)), row]
            _write_rows(rows, out / "metrics.csv")
            print(
                f"{out / stem}: {len(strokes)} strokes in {seconds:.1f} s, mse {measures.mse:.5f}, ssim {measures.ssim:.3f}"
            )
        except (InputError, DatasetError) as error:
            if len(inputs) == 1:
                raise
            mistakes += 1
            print(f"error: {error}", file=sys.stderr)
    print(f"Open {out}/*/painting.png, painting.svg or painting.mp4; the figures are in {out}/metrics.csv.")
    if mistakes:
        raise InputError(f"{mistakes} of {len(inputs)} inputs could not be painted; the others are done.")


def _check(config: Config) -> None:
    if config.method not in METHODS:
        raise InputError(f"There is no method {config.method!r}; choose one of {', '.join(METHODS)}.")
    if not 1 <= config.strokes <= MOST_STROKES:
        raise InputError(f"--strokes must be between 1 and {MOST_STROKES:,}, not {config.strokes}.")
    for option, value in (("--size", config.size), ("--film-size", config.video_size)):
        if not 1 <= value <= LARGEST:
            raise InputError(f"{option} must be between 1 and {LARGEST} pixels, not {value}.")
    if config.seconds is not None and not 0 < config.seconds < float("inf"):
        raise InputError(f"--seconds must be a positive number, not {config.seconds}.")
    require(config, steps=1)
    _limits(config, torch.zeros(3, 1, 1)).apply(BEZIER.sample(1), BEZIER)  # so that mistakes are found before work
    _background(config, torch.zeros(3, 1, 1))
    require_gradient(config.renderer)
    if not config.input:
        raise InputError("Nothing to paint: give pictures, folders of pictures or kaokore:ID.")


def _limits(config: Config, picture: Tensor) -> StrokeConstraints:
    palette = None
    if config.palette is not None:
        count = int(config.palette) if config.palette.isascii() and config.palette.isdecimal() else None
        if count == 0:
            raise InputError("--palette needs one colour at least.")
        palette = parse_palette(config.palette) if count is None else palette_of(picture, count)
        palette = palette.to(picture.device)
    return StrokeConstraints(config.opaque, config.min_radius, config.max_radius, palette, config.blend)


def _background(config: Config, picture: Tensor) -> Colour:
    if config.background == "mean":
        red, green, blue = picture.mean((1, 2)).tolist()
        return red, green, blue
    try:
        (colour,) = parse_palette(config.background)
    except (InputError, ValueError):
        raise InputError(
            f"--background is one colour, such as '#c69c5a', or mean, not {config.background!r}."
        ) from None
    red, green, blue = colour.tolist()
    return red, green, blue


def _find(config: Config) -> list[tuple[str, str, Path]]:
    """Name, folder name and file of every input, each file once; equal folder names get a number."""
    found: list[tuple[str, str, Path]] = []
    taken, files = {"metrics.csv"}, set[Path]()
    for given in config.input:
        if given.startswith(KAOKORE):
            named = [(given, picture_path(given, config.root))]
        else:
            named = [(str(path), path) for path in find_images([given])]
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


def _paint(
    config: Config, target: Tensor, renderer: Brush, agent: Agent | None, background: Colour, label: str
) -> tuple[Tensor, float]:
    """The strokes, and the seconds that painting took."""
    generator = torch.Generator().manual_seed(config.seed)
    optimize = OptimizeConfig(steps=config.steps, seconds=config.seconds)
    method = cast(Method, config.method)  # checked at the start
    constraints = _limits(config, target)
    work = (method, target, config.strokes, renderer, agent, optimize, generator)
    begun = time.monotonic()
    strokes = target.new_zeros(0, renderer.space.width)
    with tqdm(
        total=100, desc=label, unit="%", bar_format="{desc}: {percentage:3.0f}%|{bar}| {elapsed} {postfix}"
    ) as bar:
        for progress in paint_with(*work, constraints, background):
            strokes = progress.strokes
            bar.n = min(100, int(100 * progress.spent))
            bar.set_postfix_str(f"{len(strokes)} strokes", refresh=False)
            bar.update(0)
    return strokes, time.monotonic() - begun


def _row(name: str, config: Config, strokes: int, seconds: float, measures: Measures) -> dict[str, str]:
    row = {"input": name, "method": config.method, "strokes": str(strokes), "seconds": f"{seconds:.3f}"}
    return row | {key: f"{value:.6g}" for key, value in asdict(measures).items()}


def _read_rows(path: Path) -> list[dict[str, str]]:
    """The lines of an earlier run, which are kept."""
    try:
        with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
            reader = csv.DictReader(file)
            columns, rows = tuple(reader.fieldnames or ()), list(reader)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except (OSError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path} cannot be read ({reason}); choose another --out.") from error
    if columns != COLUMNS or any(None in (*row, *row.values()) for row in rows):
        raise InputError(f"{path} is not a table of this program; choose another --out.")
    return rows


def _write_rows(rows: list[dict[str, str]], path: Path) -> None:
    # Names of files need not be UTF-8: their bytes come through.
    with atomic(path) as temporary, temporary.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    run(repaint, Config, __doc__)
