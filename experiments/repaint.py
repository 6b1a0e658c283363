"""Repaint images stroke by stroke.

    python -m experiments.repaint face.jpg --out paintings
    python -m experiments.repaint kaokore:42 folder/ --out paintings --strokes 500 --seconds 20
    python -m experiments.repaint face.jpg --out paintings --renderer watercolour --output-size 3000
    python -m experiments.repaint face.jpg --out oil --strokes 900 --opaque --max-radius 0.07 --material oil
    python -m experiments.repaint face.jpg --out more --start paintings/face/strokes.safetensors --mask eyes.png --strokes 50

Each image gives a folder of its name with painting.png, painting.svg, painting.mp4, painting.gif and strokes.safetensors,
and a row in metrics.csv; contact_sheet.png shows the first ones. What is painted already with the same options is skipped;
other options make another folder. Ctrl-C saves the strokes so far.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
import tyro
from tqdm.auto import tqdm

from experiments.batches import Finished, Job, choose_batch, continue_painting, paint_in_batches
from experiments.cli import KAOKORE, picture_path, run
from experiments.clip import Config as ClipOptions
from experiments.clip import repaint_clip
from experiments.contact_sheet import CONTACT_SHEET, write_contact_sheet
from experiments.cores import available_cores
from experiments.finish_options import FinishOptions
from experiments.outputs import VIDEO_SIDE, batch_bar, finished_files, json_line, output_size
from experiments.painting_options import PaintingOptions
from experiments.results import METRICS, STROKES, MetricsTable, find_folder, fingerprint, plain_options, printable
from painter.losses import load_loss
from painter.methods import AUTO, default_method
from painter.selection import select_strokes
from painter.workers import Workers
from renderer.brush import Brush
from renderer.brushes.solid import coverage
from renderer.errors import InputError
from renderer.io.clip_file import CLIP_SUFFIXES
from renderer.io.files import check_writable
from renderer.io.images import find_images
from renderer.io.painting import Pace, Painting
from renderer.io.svg import hex_of
from renderer.io.video import LARGEST_VIDEO, Timing
from renderer.learned.load import shipped_brushes
from renderer.material.grounds import GROUND_COLOURS
from renderer.strokes import BEZIER

OPAQUE = 0.97  # coverage from which a brush counts as opaque
COLUMNS = (
    *("input", "method", "strokes", "seconds", "mse", "psnr", "ssim", "perceptual"),
    *("folder", "renderer", "size", "seed", "options"),
)


WORTH_WORKERS = 4  # images; fewer are written sooner than processes start
MOST_WORKERS = 32  # each takes about 300 MB


@dataclass(frozen=True)
class Config(PaintingOptions, FinishOptions):
    """Options of a painting."""

    input: tyro.conf.Positional[tuple[str, ...]]
    """Images, folders of images, kaokore:ID, or videos."""
    out: str
    """Folder for the results."""
    method: str = field(default=AUTO, kw_only=True)
    """auto: hybrid with --seconds, else agent. agent: a policy and planning; optimize: gradient descent on the strokes;
    hybrid: the agent's strokes, optimised; lines: the agent paints masses, then ink lines are traced on them."""
    seconds: float | None = None
    """Time for each painting, in all methods, instead of a fixed number of steps."""
    batch: str = "auto"
    """How many images are painted at once; auto chooses by their size and the device. Paintings differ from those of
    another batch by rounding."""
    again: bool = False
    """Repaint what is painted already with the same options."""
    start: str | None = None
    """A painting's strokes.safetensors, to go on with: --strokes are added (0 adds none); optimize and hybrid improve the
    old ones, too. The size and the background are those of the painting, and by default the brush."""
    mask: str | None = None
    """With --start, an image that is white where the painting may change; elsewhere nothing changes."""
    lock: str | None = None
    """With --start, strokes that stay as they are: 0:100, the first hundred; -50:, the last fifty; or a colour
    ('#c0392b'), those of about this colour."""
    loss: str = "mse"
    """What optimize and hybrid lower: mse, perceptual, content, total_variation, or module:function."""
    output_size: int | None = None
    """Pixels on the long side of painting.png, at which painting.svg is first shown, too. By default those of the input,
    between 1,536 and 4,096. Strokes have no resolution; metrics are of the size while painting."""
    video: bool = True
    """Write the video (mp4 and gif)."""
    video_size: int = VIDEO_SIDE
    """Pixels on the long side of the video; a GIF has 480 at most."""
    video_seconds: float | None = None
    """Length of new videos, with their pauses; by default 20 strokes a second, between 2 and 10 seconds, and the pauses.
    `replay` makes another video of a finished painting."""
    fps: float | None = None
    """Frames a second of new videos: by default 30, or 12.5 of a GIF, which has 50 at most."""
    pace: str = "ease"
    """ease: slow at first, when strokes change most; even: as many strokes in every frame; by-area: as much painted area in
    every frame."""
    contact_sheet: bool = True
    """Draw contact_sheet.png: the first inputs, stages of their paintings, and the paintings."""
    json: bool = False
    """Print one line of JSON for each input on standard output, and nothing else there."""
    root: str | None = None
    """KaoKore's folder for kaokore:ID; else KAOKORE_ROOT, else data/kaokore."""


def repaint(config: Config) -> None:
    """Repaint images stroke by stroke."""
    if config.method == AUTO:
        config = replace(config, method=default_method(config.seconds))
    _check(config)
    config = replace(config, size=config.working_size(), background=background_on(config))  # what is recorded
    if any(Path(name).suffix.lower() in CLIP_SUFFIXES for name in config.input):
        _repaint_clips(config)
        return
    start = None if config.start is None else Painting.load(config.start)
    if start is not None:
        config = _continuing(config, start)
    out = Path(config.out)
    table = MetricsTable(out / METRICS, COLUMNS)
    inputs = _find(config)
    painter = config.painter()
    if config.opaque:
        _warn_of_translucent_marks(painter.brush, config.renderer)
    check_writable(out)
    names: dict[Path, str] = {}  # of the inputs, by the folders of their results
    shown: list[tuple[Path, Path]] = []  # inputs and folders of their results
    mistakes = 0

    def say(line: str) -> None:
        if not config.json:
            tqdm.write(line, file=sys.stdout)

    def say_json(name: str, status: str, **record: Any) -> None:
        if config.json:
            tqdm.write(json_line({"input": name, "status": status, **record}), file=sys.stdout)

    def fail(name: str, error: InputError) -> None:
        nonlocal mistakes
        say_json(name, "failed", error=str(error))
        if len(inputs) == 1:
            raise error
        mistakes += 1
        tqdm.write(f"error: {error}", file=sys.stderr)
        advance()

    def jobs() -> Iterator[Job]:
        for name, stem, path in inputs:
            try:
                record = _record(config, path)
                size = output_size(config.output_size, path)
                folder, done = find_folder(out, stem, record["fingerprint"], names)
            except InputError as error:
                fail(name, error)
                continue
            shown.append((path, folder))
            if done and not config.again and _finished(folder, table, config, size):
                say(f"{folder}: painted already; --again repaints it.")
                say_json(name, "painted already", folder=str(folder))
                advance()
                continue
            names[folder] = name
            yield Job(path, folder, record, size)

    def report(job: Job, result: Callable[[], Finished]) -> None:
        try:
            finished = result()
            table.put(_row(names[job.folder], job.folder.name, config, finished))
        except InputError as error:
            fail(names[job.folder], error)
            return
        line = f"{job.folder}: {finished.strokes} strokes in {finished.seconds:.1f} s"
        metrics = finished.metrics
        say(f"{line}, mse {metrics.mse:.5f}, ssim {metrics.ssim:.3f}")
        about = {"strokes": finished.strokes, "seconds": finished.seconds, **asdict(metrics)}
        say_json(names[job.folder], "painted", folder=str(job.folder), **about)
        advance()

    options: dict[str, Any] = {
        "seconds": config.seconds,
        "constraints": config.constraints(),
        "seed": config.seed,
        "loss": load_loss(config.loss, painter.device),
    }
    several = len(inputs) >= WORTH_WORKERS
    with (
        batch_bar(inputs[0][1], len(inputs)) as (show, advance),
        Workers(min(available_cores(), MOST_WORKERS) if several else 0, ["experiments.outputs"]) as workers,
    ):
        if start is not None:
            if len(inputs) != 1:
                raise InputError(f"--start goes on with the painting of one image, not of {len(inputs)}.")
            locked = None if config.lock is None else select_strokes(start, config.lock)
            video_size = config.video_size if config.video else None
            options |= {"strokes": config.strokes, "region": config.mask, "locked": locked, "timing": _timing(config)}
            for job in jobs():
                report(job, partial(continue_painting, painter, start, job, video_size, show, **options))
        else:
            paint_in_batches(
                painter,
                jobs(),
                batch=_batch(config, painter.device, len(inputs)),
                size=config.working_size(),
                video_size=config.video_size if config.video else None,
                workers=workers,
                report=report,
                on_progress=show,
                timing=_timing(config),
                strokes=config.strokes,
                background=config.background,
                features=config.features,
                **options,
            )
    sheet = out / CONTACT_SHEET
    if config.contact_sheet and shown and (names or not sheet.is_file()):
        write_contact_sheet(shown, sheet)
    if not config.json:
        _show_addresses(out, [folder for _, folder in shown], sheet if config.contact_sheet else None)
    if mistakes:
        raise InputError(f"{mistakes} of {len(inputs)} inputs could not be painted; the others are done.")


def background_on(config: Config) -> str:
    """The background to paint with: unless it is given, the mean colour of the ground."""
    given = config.ground is None or config.background != Config.background
    return config.background if given else hex_of(GROUND_COLOURS[str(config.ground)])


def _timing(config: Config) -> Timing:
    return Timing(config.video_seconds, config.fps, cast(Pace, config.pace))  # checks it


def _repaint_clips(config: Config) -> None:
    """Paint videos frame by frame (`experiments.clip`)."""
    if not all(Path(name).suffix.lower() in CLIP_SUFFIXES for name in config.input):
        raise InputError("Repaint clips and images in separate runs.")
    if config.finish() is not None:
        raise InputError("Clips are drawn without --material, --paper, --relief, --ground and --light.")
    if config.seconds is not None or _timing(config) != Timing():
        raise InputError(
            "--seconds, --video-seconds, --fps and --pace are not for clips; see python -m experiments.clip --help."
        )
    for name in config.input:
        shared = {item.name: getattr(config, item.name) for item in fields(PaintingOptions)}
        options = ClipOptions(name, config.out, video_size=config.video_size, again=config.again, **shared)
        if config.json:
            print(json_line({"input": name, **repaint_clip(options, say=lambda line: None)}))
        else:
            repaint_clip(options)


def _check(config: Config) -> None:
    """Find the user's mistakes before any work."""
    if config.start is None:
        config.check()
        for option in ("mask", "lock"):
            if getattr(config, option) is not None:
                raise InputError(f"--{option} requires --start, the painting to go on with.")
    else:
        if config.size is not None:
            raise InputError("--size is not for --start: a painting keeps the size at which it was painted.")
        replace(config, strokes=max(1, config.strokes)).check()
        if not config.strokes >= 0:
            raise InputError(f"--strokes must be at least 0 with --start, not {config.strokes}.")
    if config.loss != "mse" and config.method not in ("optimize", "hybrid"):
        raise InputError(f"--loss is for the methods optimize and hybrid, not {config.method}.")
    if not 1 <= config.video_size <= LARGEST_VIDEO:
        raise InputError(f"--video-size must be between 1 and {LARGEST_VIDEO} pixels, not {config.video_size}.")
    _timing(config)
    config.finish()  # checks it
    output_size(config.output_size)
    if config.seconds is not None and not 0 < config.seconds < float("inf"):
        raise InputError(f"--seconds must be a positive number, not {config.seconds}.")
    if not re.fullmatch(r"auto|[1-9][0-9]{0,5}", config.batch):
        raise InputError(f"--batch must be auto or a number of images, not {config.batch!r}.")
    if not config.input:
        raise InputError("Nothing to paint: give images, folders of images or kaokore:ID.")


def _continuing(config: Config, start: Painting) -> Config:
    """The options for going on with a painting: its size and, unless another is given, its brush."""
    config = replace(config, size=max(start.size()))
    name = start.provenance.get("renderer")
    # Only shipped brushes: a painting may come from anywhere, and must not choose files or modules.
    shipped = isinstance(name, str) and set(name.split("+")) <= set(shipped_brushes())
    if shipped and config.renderer == Config.renderer and start.space != BEZIER:
        config = replace(config, renderer=str(name))
    return config


def _batch(config: Config, device: torch.device, count: int) -> int:
    """How many images are painted at once."""
    if config.batch != "auto":
        return int(config.batch)
    most = choose_batch(config.method, config.working_size(), config.strokes, device)
    return -(-count // -(-count // most))  # batches of about one size


def _find(config: Config) -> list[tuple[str, str, Path]]:
    """Name, folder name and file of every input, each file once; equal folder names get a number."""
    found: list[tuple[str, str, Path]] = []
    taken, files = {METRICS, CONTACT_SHEET}, set[Path]()
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


MORE_OPTIONS = (
    "features",
    "start",
    "mask",
    "lock",
    "loss",
    "material",
    "paper",
    "relief",
    "ground",
    "light",
)  # recorded only where they are given


def _record(config: Config, path: Path) -> dict[str, Any]:
    """What the painting records: the input's name and the options, and nothing of this machine."""
    more = [name for name in MORE_OPTIONS if getattr(config, name) != getattr(Config, name)]
    options, files = plain_options(config, [*RESULT_OPTIONS, *more])
    finish = config.finish()
    if finish is not None:
        options["finish"] = finish.record()
    return {"input": printable(path.name), **options, "fingerprint": fingerprint(path, options, *files)}


def _finished(folder: Path, table: MetricsTable, config: Config, size: int) -> bool:
    """Whether nothing is missing of a result: its files, and its row in the table."""
    return finished_files(folder, config.video, size) and any(row["folder"] == folder.name for row in table.rows())


def _show_addresses(out: Path, folders: list[Path], sheet: Path | None) -> None:
    """Say where the results are."""
    if len(folders) == 1:
        files = sorted(file for file in folders[0].glob("*") if file.name.startswith("painting."))
        found = [*files, folders[0] / STROKES, *([sheet] if sheet else []), out / METRICS]
        print("\n".join(str(path) for path in found if path.is_file()))
    else:
        more = f", all at a glance in {sheet}" if sheet and sheet.is_file() else ""
        print(f"Open {out}/*/painting.png, painting.svg or painting.mp4{more}; the metrics are in {out}/metrics.csv.")


def _warn_of_translucent_marks(brush: Brush, name: str) -> None:
    """Say where --opaque cannot hold, because the brush itself is translucent."""
    covered = coverage(brush.mean_brush())
    if covered < OPAQUE:
        print(
            f"warning: marks of {name} cover {covered:.0%} even where they are opaque, so that colours mix; bezier, liner, "
            f"ink and calligraphy cover all, and replay --renderer solid:{name} draws the strokes in exactly their colours.",
            file=sys.stderr,
        )


def _row(name: str, folder: str, config: Config, finished: Finished) -> dict[str, str]:
    defaults = {item.name: item.default for item in fields(Config)}
    names = (*RESULT_OPTIONS, *MORE_OPTIONS)
    options = {key: getattr(config, key) for key in names if getattr(config, key) != defaults[key]}
    for shown in ("method", "strokes", "size", "renderer", "seed"):  # they have columns of their own
        options.pop(shown, None)
    row = {"input": name, "method": config.method, "strokes": str(finished.strokes)}
    row["seconds"] = f"{finished.seconds:.3f}"
    row |= {key: f"{value:.6g}" for key, value in asdict(finished.metrics).items()}
    row |= {"folder": folder, "renderer": config.renderer, "size": str(config.size), "seed": str(config.seed)}
    return row | {"options": " ".join(f"{key}={value}" for key, value in options.items())}


if __name__ == "__main__":
    renamed = {
        "--smallest": "--min-radius",
        "--largest": "--max-radius",
        "--film-size": "--video-size",
    }
    run(repaint, Config, __doc__, renamed=renamed)
