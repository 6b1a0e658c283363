"""Paint the content of an image instead of its pixels; with --style, in the style of another image.

    python -m experiments.stylize face.jpg --out stylized --renderer ink
    python -m experiments.stylize kaokore:42 --out stylized --style waves.jpg --curve-weight 10 --strokes 400

Intrinsic style transfer (Nakano 2019): the style comes from the brush. Writes painting.png, painting.svg,
strokes.safetensors, painting.mp4 and painting.gif to a folder in --out that has the image's name. What is painted already
with the same options is skipped; other options make another folder.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import tyro
from torch import Tensor

from experiments.cli import picture_path, require, run
from experiments.outputs import (
    VIDEO_SIDE,
    finished_files,
    output_size,
    paint_image,
    part_of,
    progress_bar,
    save_unfinished,
    write_folder,
)
from experiments.results import find_folder, fingerprint, plain_options, printable
from painter import Painter
from painter.losses.content import ContentConfig, Norm, content_loss
from painter.losses.guidance import Penalty, colour_guide, curve_guide, direction_field, orientation, weighted_penalty
from painter.losses.perceptual import Perceptual, Source
from painter.losses.pixels import Loss, weighted
from painter.losses.style import Measure, StyleConfig, match_colours, style_loss
from painter.metrics import compute_metrics
from painter.optimize import OptimizeConfig
from renderer.brush import require_gradient
from renderer.errors import InputError
from renderer.io.files import check_writable
from renderer.io.images import fit, read_image
from renderer.strokes import StrokeSpace

LARGEST = 2048  # pixels a side while painting


@dataclass(frozen=True)
class Config:
    """What is painted, and in which style."""

    input: tyro.conf.Positional[str]
    """An image, or kaokore:ID."""
    out: str
    """Folder for the results."""
    renderer: str = "ink"
    """The brush, as in experiments.repaint: ink, bezier, watercolour, a checkpoint of your own ..."""
    strokes: int = 200
    steps: int = 400
    """Gradient steps."""
    stage_shares: tuple[float, ...] | None = None
    """Shares of the strokes in each stage, coarse to fine (`--stage-shares 10 40 150`); by default, fine ones have most."""
    size: int = 128
    """Pixels on the long side while painting."""
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
    style: str | None = None
    """The style image: a file, or kaokore:ID."""
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


# Every option that a painting depends on, besides the images.
RESULT_OPTIONS = (
    *("renderer", "strokes", "steps", "stage_shares", "size", "content", "content_weights", "content_source"),
    *("content_norm", "content_scale", "content_window", "pixels", "style_loss", "style_layers", "style_weight"),
    *("colour_weight", "curve_weight", "field", "seed"),
)


def stylize(config: Config) -> None:
    """Paint the content of an image with a brush and, with --style, in the style of another image."""
    content, style = _check(config)
    target = _read(config.input, config)
    reference = None if config.style is None else _read(config.style, config)
    record, out = _record(config), Path(config.out)
    folder, done = find_folder(out, Path(record["input"]).stem, record["fingerprint"])
    size = output_size(config.output_size, picture_path(config.input, config.root))
    if done and not config.again and finished_files(folder, config.video, size):
        print(f"{folder}: painted already; --again paints it again.")
        return
    optimize = OptimizeConfig(steps=config.steps, stage_shares=config.stage_shares)
    painter = Painter("optimize", brush=config.renderer, device=config.device, config=optimize)
    check_writable(out)
    target = target.to(painter.device)
    reference = None if reference is None else reference.to(painter.device)

    generator = torch.Generator().manual_seed(config.seed)
    recoloured = target
    parts: list[tuple[float, Loss]] = [(1.0, content_loss(content, device=painter.device, generator=generator))]
    if reference is not None:
        recoloured = match_colours(target, reference) if config.colour_weight > 0 else target
        parts.append((config.style_weight, style_loss(reference, style)))
    with progress_bar(folder.name) as show:
        result = paint_image(
            painter,
            recoloured,
            on_progress=part_of(show, 0, 0.9),
            on_stop=lambda painting: save_unfinished(painting, folder, size),
            strokes=config.strokes,
            seed=generator,
            loss=weighted(*parts),
            penalty=weighted_penalty(*_guides(config, painter.brush.space, target, reference)),
            provenance=record,
        )
        write_folder(
            result.painting, folder, size, config.video_size if config.video else None, part_of(show, 0.9, 0.99)
        )
        show(0.99, "measuring")
        metrics = compute_metrics(result.image, target.cpu(), Perceptual())
        show(1.0, "")
    print(
        f"{folder}: {len(result.painting.strokes)} strokes in {result.seconds:.1f} s, perceptual distance "
        f"{metrics.perceptual:.3f}, mse {metrics.mse:.5f}. "
        f"Open {folder}/painting.png{' or painting.mp4' if config.video else ''}."
    )


def _record(config: Config) -> dict[str, Any]:
    """What the painting records: names and options, and nothing of this machine. Raises `InputError`."""
    options, files = plain_options(config, RESULT_OPTIONS)
    images = [picture_path(name, config.root) for name in (config.input, config.style) if name is not None]
    named = dict(zip(("input", "style"), (printable(path.name) for path in images), strict=False))
    return {**named, **options, "fingerprint": fingerprint(images[0], options, *images[1:], *files)}


def _check(config: Config) -> tuple[ContentConfig, StyleConfig]:
    """The configurations of content and style. Raises `InputError` for invalid options, before any work."""
    require(config, strokes=1, steps=1, size=8, video_size=1, style_weight=0, colour_weight=0, curve_weight=0)
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
    return fit(read_image(picture_path(name, config.root), config.size), config.size)


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
