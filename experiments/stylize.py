"""Paint an image in the strokes of another one, and keep its face.

    python -m experiments.stylize face.jpg --out stylized --style print.jpg
    python -m experiments.stylize face.jpg --out stylized --style print.jpg --material ink --colours 0.5 --scale 1.5
    python -m experiments.stylize face.jpg --out stylized --content relu2_2 relu3_3 --renderer ink

The style's strokes are measured: palette, widths, lengths, curvature, directions and density (style.png, style.json). They
set the strokes of the painting, while the lines and features of the image stay (docs/style.md). With options of --method
losses (--content, --style-weight ...), strokes are optimised for losses on a network's features instead (Nakano 2019).
Writes painting.png, painting.svg, strokes.safetensors, painting.mp4 and painting.gif to a folder in --out that has the
image's name. What is painted already with the same options is skipped; other options make another folder.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
import tyro
from torch import Tensor

from experiments.cli import picture_path, require, run
from experiments.finish_options import FinishOptions
from experiments.outputs import (
    VIDEO_SIDE,
    OnProgress,
    finished_files,
    ignore,
    output_size,
    paint_image,
    part_of,
    progress_bar,
    save_unfinished,
    write_folder,
)
from experiments.results import find_folder, fingerprint, plain_options, printable
from painter import Painter, Painting
from painter.losses.content import ContentConfig, Norm, content_loss
from painter.losses.guidance import Penalty, colour_guide, curve_guide, direction_field, orientation, weighted_penalty
from painter.losses.perceptual import Perceptual, Source
from painter.losses.pixels import Loss, weighted
from painter.losses.style import Measure, StyleConfig, match_colours, style_loss
from painter.metrics import compute_metrics
from painter.optimize import OptimizeConfig
from painter.style_analysis import StyleAnalysis, analyse_style
from painter.style_sheet import style_sheet
from painter.styled_painting import DEFAULT_STYLED, StyledConfig, styled_paintings
from renderer.brush import require_gradient
from renderer.errors import InputError
from renderer.io.files import check_writable
from renderer.io.images import fit, read_image, write_png
from renderer.material.finish import Finish
from renderer.strokes import StrokeSpace

LARGEST = 2048  # pixels a side while painting


@dataclass(frozen=True)
class Config(FinishOptions):
    """What is painted, and in which style."""

    input: tyro.conf.Positional[str]
    """An image, or kaokore:ID."""
    out: str
    """Folder for the results."""
    renderer: str | None = None
    """The brush, as in experiments.repaint: bezier, ink, watercolour, a checkpoint of your own ...; by default bezier, and
    ink for losses."""
    style: str | None = None
    """The style image: a file, or kaokore:ID. Without one, strokes are those of the image itself."""
    method: Literal["strokes", "losses"] | None = None
    """strokes: those of the style are measured and set the painting's; losses: strokes are optimised for losses on features.
    By default strokes, unless options of losses are given."""
    strokes: int | None = None
    """How many strokes, at most; by default 3,000, and 200 for losses."""
    size: int | None = None
    """Pixels on the long side while painting; by default 512, and 128 for losses."""
    styled: tyro.conf.OmitArgPrefixes[StyledConfig] = DEFAULT_STYLED
    steps: int = 400
    """Gradient steps (losses, as all options up to --field)."""
    stage_shares: tuple[float, ...] | None = None
    """Shares of the strokes in each stage, coarse to fine (`--stage-shares 10 40 150`); by default, fine ones have most."""
    content: tuple[str, ...] = ContentConfig.layers
    """Layers of VGG whose features the painting should share with the image; deeper layers constrain it less."""
    content_weights: tuple[float, ...] = ContentConfig.weights
    """A weight for each of these layers."""
    content_source: Source = ContentConfig.source
    """The network, also of the style loss: hed (VGG16, installed), imagenet (VGG16) or vgg19 (both downloaded)."""
    content_norm: Norm = ContentConfig.norm
    content_scale: float = ContentConfig.scale
    """Resolution of the content loss, as a fraction; at 0.5, a step takes about a third of the time."""
    content_window: float = ContentConfig.window
    """Side of the random window of the canvas that the content loss of a step covers, as a fraction."""
    pixels: float = ContentConfig.pixels
    """Weight of the pixels beside these layers."""
    style_loss: Measure = StyleConfig.measure
    """nearest: distance of each feature to the nearest one of the style image; gram: correlations of features."""
    style_layers: tuple[str, ...] = StyleConfig.layers
    style_weight: float = 1.0
    """Weight of the style loss."""
    colour_weight: float = 10.0
    """Weight of the style image's colours, which the image is given first; 0 keeps the image's own colours."""
    curve_weight: float = 0.0
    """Weight of the strokes' alignment with --field."""
    field: str = "style"
    """Direction of strokes: style or content (the lines of those images), circles, rays, waves, or an angle in degrees."""
    seed: int = 0
    """Of all randomness. Equal seeds and numbers of threads (OMP_NUM_THREADS) give equal paintings."""
    again: bool = False
    """Paint again what is painted already with the same options."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1 ..."""
    output_size: int | None = None
    """Pixels on the long side of painting.png; by default those of the input, between 1,536 and 4,096."""
    video: bool = True
    """Write the video (mp4 and gif)."""
    video_size: int = VIDEO_SIDE
    """Pixels on the long side of the video; a GIF has 480 at most."""
    root: str | None = None
    """KaoKore's folder for kaokore:ID; by default KAOKORE_ROOT, or data/kaokore."""


# Options of losses only.
LOSS_OPTIONS = (
    *("steps", "stage_shares", "content", "content_weights", "content_source", "content_norm", "content_scale"),
    *(
        "content_window",
        "pixels",
        "style_loss",
        "style_layers",
        "style_weight",
        "colour_weight",
        "curve_weight",
        "field",
    ),
)
# Every option that a painting depends on, besides the images, those of losses, and those of strokes.
RESULT_OPTIONS = ("renderer", "strokes", "size", "seed")
FINISH_OPTIONS = ("material", "paper", "relief", "ground", "light")
BY_METHOD: dict[str, dict[str, Any]] = {
    "strokes": {"renderer": "bezier", "strokes": 3000, "size": 512},
    "losses": {"renderer": "ink", "strokes": 200, "size": 128},
}


def stylize(config: Config) -> None:
    """Paint an image in the strokes of another one, or with losses on features."""
    config = _complete(config)
    content, style = _check(config)
    finish = config.finish()
    target = _read(config.input, config)
    reference = None if config.style is None else _read(config.style, config)
    record, out = _record(config), Path(config.out)
    folder, done = find_folder(out, Path(record["input"]).stem, record["fingerprint"])
    size = output_size(config.output_size, picture_path(config.input, config.root))
    if done and not config.again and finished_files(folder, config.video, size):
        print(f"{folder}: painted already; --again paints it again.")
        return
    optimize = OptimizeConfig(steps=config.steps, stage_shares=config.stage_shares)
    painter = Painter("optimize", brush=str(config.renderer), device=config.device, config=optimize)
    check_writable(out)
    report: Callable[[Path], object] = ignore
    with progress_bar(folder.name) as show:
        begun = time.monotonic()
        on_stop = partial(save_unfinished, folder=folder, size=size)
        if config.method == "strokes":
            picture = target if reference is None else reference
            analysis = analyse_style(picture)
            if config.material is None:
                finish = replace(finish or Finish(), material=analysis.material)
            report = partial(_write_report, picture=picture, analysis=analysis)
            strokes = styled_paintings(
                target.to(painter.device),
                picture,
                painter.brush,
                int(config.strokes or 0),
                analysis=analysis,
                config=config.styled,
                seed=config.seed,
                provenance=record,
            )
            painting = _last(strokes, part_of(show, 0, 0.9), on_stop)
        else:
            painting = _paint_with_losses(
                config, content, style, target, reference, painter, record, part_of(show, 0, 0.9), on_stop
            )
        seconds = time.monotonic() - begun
        painting = painting if finish is None else painting.with_finish(finish)
        video = config.video_size if config.video else None
        write_folder(painting, folder, size, video, part_of(show, 0.9, 0.99), also=report)
        show(0.99, "measuring")
        metrics = compute_metrics(painting.render(), target, Perceptual())
        show(1.0, "")
    print(
        f"{folder}: {len(painting.strokes)} strokes in {seconds:.1f} s, perceptual distance "
        f"{metrics.perceptual:.3f}, mse {metrics.mse:.5f}. "
        f"Open {folder}/painting.png{' or painting.mp4' if config.video else ''}."
    )


def _complete(config: Config) -> Config:
    """The options with the method that they belong to, and its defaults. Raises `InputError` for options of both."""
    given = [name for name in LOSS_OPTIONS if getattr(config, name) != getattr(Config, name)]
    method = config.method or ("losses" if given else "strokes")
    if given and method == "strokes":
        raise InputError(f"--{given[0].replace('_', '-')} belongs to --method losses.")
    missing = {name: value for name, value in BY_METHOD[method].items() if getattr(config, name) is None}
    return replace(config, method=method, **missing)


def _last(
    steps: Iterator[tuple[float, Painting]], on_progress: OnProgress, on_stop: Callable[[Painting], object]
) -> Painting:
    """The last painting of a sequence; `on_stop` gets that so far at Ctrl-C."""
    painting = None
    try:
        for progress, painting in steps:
            on_progress(progress, f"{len(painting.strokes)} strokes")
    except KeyboardInterrupt:
        if painting is not None:
            on_stop(painting)
        raise
    assert painting is not None, "there is a stroke at least"
    return painting


def _write_report(folder: Path, picture: Tensor, analysis: StyleAnalysis) -> None:
    write_png(style_sheet(picture, analysis), folder / "style.png")
    report = json.dumps({**analysis.record(), "material": analysis.material}, indent=1)
    (folder / "style.json").write_text(report, encoding="utf-8")


def _paint_with_losses(
    config: Config,
    content: ContentConfig,
    style: StyleConfig,
    target: Tensor,
    reference: Tensor | None,
    painter: Painter,
    record: dict[str, Any],
    on_progress: OnProgress,
    on_stop: Callable[[Painting], object],
) -> Painting:
    """Optimise strokes for the losses of the options."""
    target = target.to(painter.device)
    reference = None if reference is None else reference.to(painter.device)
    generator = torch.Generator().manual_seed(config.seed)
    recoloured = target
    parts: list[tuple[float, Loss]] = [(1.0, content_loss(content, device=painter.device, generator=generator))]
    if reference is not None:
        recoloured = match_colours(target, reference) if config.colour_weight > 0 else target
        parts.append((config.style_weight, style_loss(reference, style)))
    return paint_image(
        painter,
        recoloured,
        on_progress=on_progress,
        on_stop=on_stop,
        strokes=int(config.strokes or 0),
        seed=generator,
        loss=weighted(*parts),
        penalty=weighted_penalty(*_guides(config, painter.brush.space, target, reference)),
        provenance=record,
    ).painting


def _record(config: Config) -> dict[str, Any]:
    """What the painting records: names and options, and nothing of this machine. Raises `InputError`."""
    options, files = plain_options(config, (*RESULT_OPTIONS, *(LOSS_OPTIONS if config.method == "losses" else ())))
    if config.method == "strokes":
        options |= {"method": "strokes", **asdict(config.styled)}
    given, papers = plain_options(
        config, (name for name in FINISH_OPTIONS if getattr(config, name) != getattr(Config, name))
    )
    images = [picture_path(name, config.root) for name in (config.input, config.style) if name is not None]
    named = dict(zip(("input", "style"), (printable(path.name) for path in images), strict=False))
    result = fingerprint(images[0], options | given, *images[1:], *files, *papers)
    return {**named, **options, **given, "fingerprint": result}


def _check(config: Config) -> tuple[ContentConfig, StyleConfig]:
    """The configurations of content and style. Raises `InputError` for invalid options, before any work."""
    require(config, strokes=1, steps=1, size=8, video_size=1, style_weight=0, colour_weight=0, curve_weight=0)
    config.styled.check()
    assert config.size is not None  # see `_complete`
    assert config.renderer is not None
    if config.size > LARGEST:
        raise InputError(
            f"--size can be {LARGEST} at most, not {config.size}; a finished painting can be rendered larger."
        )
    if config.stage_shares is not None and not (
        config.stage_shares and all(0 < share < math.inf for share in config.stage_shares)
    ):
        raise InputError(f"--stage-shares are positive numbers, one for each stage, not {config.stage_shares}.")
    require_gradient(config.renderer)
    output_size(config.output_size)
    if config.style is None and config.curve_weight > 0 and config.field == "style":
        raise InputError("--curve-weight with --field style requires --style.")
    if config.field not in ("style", "content"):
        direction_field(config.field, (1, 1))
    content = ContentConfig(
        config.content_source,
        config.content,
        config.content_weights,
        config.content_norm,
        config.pixels,
        config.content_scale,
        config.content_window,
    )
    return content, StyleConfig(config.style_loss, config.content_source, config.style_layers)


def _read(name: str, config: Config) -> Tensor:
    side = int(config.size or 0)
    return fit(read_image(picture_path(name, config.root), side), side)


def _guides(
    config: Config, space: StrokeSpace, target: Tensor, reference: Tensor | None
) -> list[tuple[float, Penalty]]:
    guides = []
    if reference is not None and config.colour_weight > 0:
        guides.append((config.colour_weight, colour_guide(reference, space)))
    if config.curve_weight > 0:
        size = (target.shape[-2], target.shape[-1])
        if config.field == "content":
            field = orientation(target)
        elif config.field == "style" and reference is not None:
            field = orientation(torch.nn.functional.interpolate(reference[None], size, mode="bilinear")[0])
        else:
            field = direction_field(config.field, size).to(target)
        guides.append((config.curve_weight, curve_guide(field, space)))
    return guides


if __name__ == "__main__":
    run(stylize, Config, __doc__, renamed={"--budgets": "--stage-shares", "--film-size": "--video-size"})
