"""Repaint images stroke by stroke.

    python -m experiments.repaint face.jpg --out paintings
    python -m experiments.repaint kaokore:42 folder/ --out paintings --method hybrid --strokes 500 --seconds 20

Each image gives a folder of its name with painting.png, painting.svg, painting.mp4, painting.gif and strokes.safetensors,
and a row in metrics.csv. What is painted already with the same options is skipped; other options make another folder.
"""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import tyro

from experiments.cli import KAOKORE, picture_path, run
from experiments.outputs import Result, finished_files, paint_image, write_painting
from experiments.painting_options import PaintingOptions
from experiments.results import METRICS, MetricsTable, find_folder, fingerprint, new_folder, plain_options, printable
from painter.api import MAX_SIZE
from painter.losses.perceptual import Perceptual
from painter.metrics import Metrics, compute_metrics
from renderer.errors import InputError
from renderer.io.files import check_writable
from renderer.io.images import find_images, fit, read_image

COLUMNS = (
    *("input", "method", "strokes", "seconds", "mse", "psnr", "ssim", "perceptual"),
    *("folder", "renderer", "size", "seed", "options"),
)


@dataclass(frozen=True)
class Config(PaintingOptions):
    """Options of a painting."""

    input: tyro.conf.Positional[tuple[str, ...]]
    """Images, folders of images, or kaokore:ID."""
    out: str
    """Folder for the results."""
    seconds: float | None = None
    """Time for optimising (optimize, hybrid), instead of a fixed number of steps."""
    again: bool = False
    """Repaint what is painted already with the same options."""
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
    painter = config.painter()
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
                constraints=config.constraints(),
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
    config.check()
    if not 1 <= config.video_size <= MAX_SIZE:
        raise InputError(f"--video-size must be between 1 and {MAX_SIZE} pixels, not {config.video_size}.")
    if config.seconds is not None and not 0 < config.seconds < float("inf"):
        raise InputError(f"--seconds must be a positive number, not {config.seconds}.")
    if not config.input:
        raise InputError("Nothing to paint: give images, folders of images or kaokore:ID.")


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
    options, files = plain_options(config, RESULT_OPTIONS)
    return {"input": printable(path.name), **options, "fingerprint": fingerprint(path, options, *files)}


def _finished(folder: Path, table: MetricsTable, config: Config) -> bool:
    """Whether nothing is missing of a result: its files, and its row in the table."""
    return finished_files(folder, config.video) and any(row["folder"] == folder.name for row in table.rows())


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
