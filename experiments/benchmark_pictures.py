"""Measure paintings of the pictures in any folder: a table of PSNR, SSIM, LPIPS and seconds that others can cite.

    python -m experiments.benchmark_pictures --folder photos --strokes 256 512 1024
    python -m experiments.benchmark_pictures --folder kodak --size 768 --seconds 60 --out kodak
    python -m experiments.benchmark_pictures --folder photos --methods optimize primitive-beziers

Every picture is painted at its own size (or --size), rendered by the reference brush, and compared with the picture that was
painted. Writes `benchmark.csv` (a row for each painting, after each painting), `benchmark.md` (the table, which is printed
too) and `benchmark.json` (means, with the configuration and the machine) to --out; a run that was interrupted goes on.

`primitive-beziers` and `primitive-ellipses` are the modes 6 and 7 of https://github.com/fogleman/primitive, where that
command is installed.
"""

from __future__ import annotations

import csv
import io
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any, Literal

from torch import Tensor
from tqdm import tqdm

from experiments.cli import require, run
from experiments.evaluate import load_lpips_or_say_why
from experiments.figures.elements import markdown_table
from experiments.outputs import paint_image
from experiments.results import write_rows
from experiments.runs import describe_run, without_folders
from painter import Painter
from painter.losses.perceptual import Perceptual
from painter.methods import METHODS, Method
from painter.metrics import compute_metrics, lpips_distance
from painter.optimize import OptimizeConfig
from renderer.errors import InputError
from renderer.io.files import atomic
from renderer.io.images import find_images, fit, read_image, write_png
from renderer.io.read import guarded, read_text

Peer = Literal["primitive-beziers", "primitive-ellipses"]
PRIMITIVE_MODES: dict[Peer, int] = {"primitive-beziers": 6, "primitive-ellipses": 7}
MEASURES = {"psnr": "PSNR (dB)", "ssim": "SSIM", "perceptual": "perceptual", "lpips": "LPIPS", "seconds": "s"}
Row = dict[str, Any]


@dataclass(frozen=True)
class Config:
    """What is measured."""

    folder: str
    """The pictures, of any format and shape."""
    strokes: tuple[int, ...] = (256, 512, 1024)
    """Numbers of strokes to paint with."""
    methods: tuple[Method | Peer, ...] = ("optimize",)
    size: int | None = None
    """Pixels on the long side; by default, each picture keeps its size."""
    seconds: float | None = None
    """Time budget of a painting; by default, --steps."""
    steps: int = 600
    """Gradient steps of optimize and hybrid."""
    renderer: str = "bezier"
    """The brush to paint with: a name, or a checkpoint file."""
    seed: int = 0
    device: str = "auto"
    """auto, cpu, cuda, cuda:1 ..."""
    out: str = "benchmark"
    """Folder for the results."""


def benchmark_pictures(config: Config) -> list[Row]:
    """Paint and measure all pictures; returns a row for each painting."""
    if not config.strokes or min(config.strokes) < 1:
        raise InputError("--strokes are numbers of 1 or more.")
    require(config, steps=1, **{name: 1 for name in ("size",) if config.size is not None})
    if config.seconds is not None:
        require(config, seconds=0)
    if shutil.which("primitive") is None and any(method in PRIMITIVE_MODES for method in config.methods):
        raise InputError("The command primitive is not installed; see https://github.com/fogleman/primitive.")
    settings = OptimizeConfig(steps=config.steps, seconds=config.seconds)
    painters: dict[str, Painter] = {
        method: Painter(method, brush=config.renderer, device=config.device, config=settings)
        for method in METHODS
        if method in config.methods
    }
    files = find_images([config.folder], on_skip=lambda line: print(line, file=sys.stderr))
    out = Path(config.out)
    rows = _rows_so_far(out, config)
    perceptual, lpips = Perceptual(), load_lpips_or_say_why()
    done = {(row["input"], row["method"], row["strokes"]) for row in rows}
    work = [(file, method, count) for file in files for method in config.methods for count in config.strokes]
    for file, method, count in tqdm([item for item in work if (item[0].name, *item[1:]) not in done], disable=None):
        picture = _read(file, config.size)
        if method in PRIMITIVE_MODES:
            painted, seconds = paint_with_primitive(picture, count, PRIMITIVE_MODES[method])
        else:
            result = paint_image(painters[method], picture, strokes=count, seed=config.seed)
            painted, seconds = result.image, result.seconds
        size = f"{picture.shape[2]}x{picture.shape[1]}"
        row: Row = {"input": file.name, "size": size, "method": method, "strokes": count, "seconds": seconds}
        row |= asdict(compute_metrics(painted, picture, perceptual))
        if lpips is not None:
            row["lpips"] = lpips_distance(lpips, painted, picture)
        rows.append(row)
        write_rows(out / "benchmark.csv", rows[0], rows)
    _write_report(out, config, rows)
    return rows


def summarise(rows: list[Row]) -> Iterator[Row]:
    """Means over the pictures for each method and number of strokes, and the standard error of PSNR."""
    for method, count in dict.fromkeys((row["method"], row["strokes"]) for row in rows):
        group = [row for row in rows if (row["method"], row["strokes"]) == (method, count)]
        means = {name: mean(row[name] for row in group) for name in MEASURES if name in group[0]}
        error = stdev(row["psnr"] for row in group) / len(group) ** 0.5 if len(group) > 1 else 0.0
        yield {"method": method, "strokes": count, "pictures": len(group), **means, "psnr_standard_error": error}


def paint_with_primitive(picture: Tensor, count: int, mode: int) -> tuple[Tensor, float]:
    """Run `primitive` on a picture `(3, H, W)`; returns its picture of the same size, and seconds. Raises `InputError`."""
    longest = str(max(picture.shape[1:]))
    with tempfile.TemporaryDirectory() as folder:
        given, made = Path(folder) / "picture.png", Path(folder) / "painting.png"
        write_png(picture, given)
        command = ["primitive", "-i", str(given), "-o", str(made), "-n", str(count), "-m", str(mode)]
        begun = time.monotonic()
        done = subprocess.run([*command, "-r", longest, "-s", longest], capture_output=True, text=True, check=False)
        seconds = time.monotonic() - begun
        if done.returncode or not made.exists():
            raise InputError(f"primitive failed: {(done.stderr.strip().splitlines() or ['no message'])[-1]}")
        painted = fit(read_image(made), int(longest))
    if painted.shape != picture.shape:
        raise InputError(f"primitive made a picture of {tuple(painted.shape)}, not {tuple(picture.shape)}.")
    return painted, seconds


def _read(file: Path, size: int | None) -> Tensor:
    return read_image(file) if size is None else fit(read_image(file, size), size)


def _rows_so_far(out: Path, config: Config) -> list[Row]:
    """The rows of an interrupted run into the same folder, whose configuration must be the same."""
    record, table = out / "benchmark.config.json", out / "benchmark.csv"
    own = json.dumps(without_folders(asdict(config)), indent=2)
    rows: list[Row] = []
    if table.exists():
        with guarded(record, InputError, "is damaged"):
            same = record.exists() and read_text(record) == own
        if not same:
            raise InputError(f"{out} holds the benchmark of another configuration; choose another --out.")
        with guarded(table, InputError, "is damaged or no table of this benchmark"):
            for row in csv.DictReader(io.StringIO(read_text(table, errors="surrogateescape"), newline="")):
                texts = {name: row[name] for name in ("input", "size", "method")}
                numbers = {name: float(value) for name, value in row.items() if name not in texts}
                rows.append({**texts, **numbers, "strokes": int(row["strokes"])})
    with atomic(record) as temporary:
        temporary.write_text(own, encoding="utf-8")
    return rows


def _write_report(out: Path, config: Config, rows: list[Row]) -> None:
    summary = list(summarise(rows))
    heads = {"method": "method", "strokes": "strokes", "pictures": "pictures"}
    heads |= {name: head for name, head in MEASURES.items() if name in summary[0]}
    formats = {"psnr": ".2f", "ssim": ".3f", "perceptual": ".4f", "lpips": ".3f", "seconds": ".1f"}
    cells = [[format(row[name], formats.get(name, "")) for name in heads] for row in summary]
    table = markdown_table(list(heads.values()), cells)
    print(table)
    report = {"config": without_folders(asdict(config)), **describe_run(), "results": summary}
    for name, text in (("benchmark.md", table + "\n"), ("benchmark.json", json.dumps(report, indent=2))):
        with atomic(out / name) as temporary:
            temporary.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    run(benchmark_pictures, Config, __doc__)
