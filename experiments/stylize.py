"""Paint what a picture shows and not its pixels; with --style, in the manner of another picture.

    python -m experiments.stylize face.jpg --out stylized --renderer ink
    python -m experiments.stylize kaokore:42 --out stylized --style waves.jpg --curve-weight 10 --strokes 400

Intrinsic style transfer (Nakano 2019): the style is the brush. Writes painting.png, painting.svg, strokes.safetensors,
painting.mp4 and painting.gif.
"""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import tyro
from torch import Tensor
from tqdm import tqdm

from experiments.cli import choose_device, picture_path, require, require_gradient, run
from experiments.outputs import finishing_brush, write_painting
from experiments.runs import describe_run
from painter.losses.content import ContentConfig, Norm, content_loss
from painter.losses.guidance import Penalty, colour_guide, curve_guide, direction_field, orientation, weighted_penalty
from painter.losses.perceptual import Perceptual, Source
from painter.losses.pixels import Loss, weighted
from painter.losses.style import Measure, StyleConfig, match_colours, style_loss
from painter.metrics import compute_metrics
from painter.optimize import OptimizeConfig, optimize
from renderer.canvas import blank
from renderer.errors import InputError
from renderer.io.files import check_writable
from renderer.io.images import fit, read_image
from renderer.io.painting import Painting
from renderer.learned.load import load_brush
from renderer.strokes import StrokeSpace

LARGEST = 2048  # pixels a side while painting


@dataclass(frozen=True)
class Config:
    """What is painted, and in which manner."""

    input: tyro.conf.Positional[str]
    """A picture, or kaokore:ID."""
    out: str
    """Folder for the results."""
    renderer: str = "ink"
    """What to paint with, as in experiments.repaint: ink, bezier, watercolour, a checkpoint of your own ..."""
    strokes: int = 200
    steps: int = 400
    """Gradient steps."""
    stage_shares: tuple[float, ...] | None = None
    """How strokes are divided among layers, coarse to fine: `--stage-shares 10 40 150`; by default mostly to fine ones."""
    size: int = 128
    """Pixels on the long side while painting."""
    content: tuple[str, ...] = ContentConfig.layers
    """Layers of VGG in which the painting has to be like its picture: the deeper, the freer (relu3_3 alone: very free)."""
    content_weights: tuple[float, ...] = ContentConfig.weights
    """A weight for each of these layers."""
    content_source: Source = ContentConfig.source
    """The network, for style, too: hed (VGG16, installed), imagenet (VGG16) or vgg19 (both downloaded)."""
    content_norm: Norm = ContentConfig.norm
    content_scale: float = ContentConfig.scale
    """Resolution at which content is looked at: at 0.5, a step takes about a third of the time."""
    content_window: float = ContentConfig.window
    """Side of the part of the canvas that each step looks at, as a fraction."""
    pixels: float = ContentConfig.pixels
    """Weight of the pixels themselves beside these layers."""
    style: str | None = None
    """A picture, or kaokore:ID, in whose manner to paint."""
    style_loss: Measure = StyleConfig.measure
    """nearest: every place looks like some place of the style picture; gram: correlations of features."""
    style_layers: tuple[str, ...] = StyleConfig.layers
    style_weight: float = 1.0
    """Weight of the style picture's textures, beside content."""
    colour_weight: float = 10.0
    """Weight of its colours: the picture is given them before, and strokes are drawn to them; 0 keeps the picture's own."""
    curve_weight: float = 0.0
    """Weight of the strokes' courses along --field."""
    field: str = "style"
    """Where strokes run: style or content (as those pictures' lines), circles, rays, waves, or an angle in degrees."""
    seed: int = 0
    device: str = "auto"
    """auto, cpu, cuda, cuda:1 ..."""
    video: bool = True
    """Write the film (mp4 and gif)."""
    video_size: int = 512
    """Pixels on the long side of the film."""
    root: str | None = None
    """KaoKore's folder for kaokore:ID; else KAOKORE_ROOT, else data/kaokore."""


def stylize(config: Config) -> None:
    """Paint what a picture shows, in the manner of a brush and, if wanted, of another picture."""
    content, style = _check(config)
    device = choose_device(config.device)
    target = _read(config.input, config).to(device)
    reference = None if config.style is None else _read(config.style, config).to(device)
    renderer = load_brush(config.renderer, device)
    brush = finishing_brush(renderer)
    out = Path(config.out)
    check_writable(out)

    generator = torch.Generator().manual_seed(config.seed)
    shown = target
    parts: list[tuple[float, Loss]] = [(1.0, content_loss(content, device=device, generator=generator))]
    if reference is not None:
        shown = match_colours(target, reference) if config.colour_weight > 0 else target
        parts.append((config.style_weight, style_loss(reference, style)))
    guides = _guides(config, renderer.space, target, reference)
    height, width = target.shape[1:]
    background = blank((height, width), device=device)
    begun = time.monotonic()
    steps = optimize(
        shown,
        renderer,
        config.strokes,
        canvas=background,
        config=OptimizeConfig(steps=config.steps, stage_shares=config.stage_shares),
        loss=weighted(*parts),
        generator=generator,
        penalty=weighted_penalty(*guides),
    )
    strokes = target.new_zeros(0, renderer.space.width)
    for progress in (bar := tqdm(steps, total=config.steps, desc=Path(config.input).stem)):
        strokes = progress.strokes
        bar.set_postfix_str(f"{len(strokes)} strokes, loss {progress.loss:.3f}", refresh=False)
    seconds = time.monotonic() - begun

    painting = Painting.by(renderer, strokes, target.shape[-2:], provenance=asdict(config) | describe_run())
    picture = painting.render(brush=brush)
    write_painting(painting, picture, out, config.video_size if config.video else None, brush)
    metrics = compute_metrics(picture, target.cpu(), Perceptual())
    print(
        f"{out}: {len(strokes)} strokes in {seconds:.1f} s, perceptual distance {metrics.perceptual:.3f}, "
        f"mse {metrics.mse:.5f}. Open {out}/painting.png{' or painting.mp4' if config.video else ''}."
    )


def _check(config: Config) -> tuple[ContentConfig, StyleConfig]:
    """What content and style are; raises `InputError` for mistakes before any work."""
    require(config, strokes=1, steps=1, size=8, video_size=1, style_weight=0, colour_weight=0, curve_weight=0)
    if config.size > LARGEST:
        raise InputError(f"--size can be {LARGEST} at most, not {config.size}; strokes can be replayed larger.")
    if config.stage_shares is not None and not (
        config.stage_shares and all(0 < share < math.inf for share in config.stage_shares)
    ):
        raise InputError(f"--stage-shares are positive numbers, one for each layer, not {config.stage_shares}.")
    require_gradient(config.renderer)
    if config.style is None and config.curve_weight > 0 and config.field == "style":
        raise InputError("There is no --style whose lines strokes could follow; give one, or another --field.")
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
