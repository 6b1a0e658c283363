"""Images in the strokes of others: a sheet of pairs, and how well gender is recognised in stylized faces.

Examples:

    python -m experiments.figures.style_pairs --out docs/images/style_pairs.jpg
    python -m experiments.figures.style_pairs --faces 40
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor
from tqdm import tqdm

from experiments.cli import KAOKORE, picture_path, require, run
from experiments.figures.elements import contact_sheet
from kaokore.classify import load_classifier
from kaokore.loading import load_images
from painter import Painter, Painting
from painter.api import default_size
from painter.style_analysis import StyleAnalysis, analyse_style
from painter.styled_painting import styled_paintings
from renderer.brush import Brush, load_brush
from renderer.errors import InputError
from renderer.io.images import fit, read_image, resize, write_jpeg
from renderer.material.finish import Finish

WORKING = 512  # pixels on the long side while painting
EXAMPLE = "example:"  # prefix of an image of scikit-image
PAIRS = (
    *("kaokore:7577+kaokore:7632", "example:astronaut.png+kaokore:7764", "kaokore:2207+kaokore:5414"),
    *("kaokore:8345+kaokore:6385", "kaokore:3928+example:rocket.jpg", "kaokore:2919+example:coffee.png"),
    *("kaokore:7385+example:page.png", "kaokore:7489+example:ihc.png"),
)


@dataclass(frozen=True)
class Config:
    """Which images, in the strokes of which."""

    pairs: tuple[str, ...] = PAIRS
    """CONTENT+STYLE: files, kaokore:ID, or example:NAME of an image that scikit-image has."""
    strokes: int = 3000
    plain_strokes: int = 1000
    """Of the plain paintings that stand for the faces of KaoKore, and that stylized faces are compared with."""
    side: int = 256
    """Pixels of an image of the sheet."""
    out: str | None = None
    """The sheet, a JPEG: content, style and painting of each pair, two pairs in a row."""
    faces: int = 0
    """Classify the gender of so many dev faces, plain and in the styles in turn."""
    bare: bool = False
    """Classify bare strokes only; drawing them in a material takes three times as long as painting."""
    seed: int = 0
    root: str | None = None
    """KaoKore's folder; by default KAOKORE_ROOT, or data/kaokore."""


def style_pairs(config: Config) -> None:
    """Paint pairs of images, and classify stylized faces."""
    require(config, strokes=1, plain_strokes=1, side=16, faces=0)
    pairs = [tuple(pair.split("+")) for pair in config.pairs]
    if not pairs or any(len(pair) != 2 for pair in pairs):
        raise InputError("Pairs are CONTENT+STYLE, and there is one at least.")
    brush, plain = load_brush("bezier"), Painter("agent")
    if config.out is not None:
        cells: list[Tensor] = []
        for content, style in tqdm(pairs, desc="pairs", disable=None):
            target, reference = _read(content, config), _read(style, config)
            painting, analysis = _stylized(target, reference, None, brush, config)
            cells += [_shown(content, target, plain, config), _shown(style, reference, plain, config)]
            cells.append(_square(painting.render(2 * WORKING, finish=Finish(analysis.material)), config.side))
        rows = [cells[i : i + 6] for i in range(0, len(cells), 6)]
        write_jpeg(contact_sheet(rows, gap=6), config.out)
        print(f"{config.out}: {len(pairs)} pairs.")
    if config.faces:
        _recognise(config, [style for _, style in pairs], brush, plain)


def _recognise(config: Config, styles: list[str], brush: Brush, plain: Painter) -> None:
    """Print how many faces have the right gender unpainted, painted plainly, and stylized."""
    loaded = load_images(config.root, "dev", 256, task="gender", count=config.faces, seed=config.seed)
    classifier = load_classifier("kaokore-gender")
    pictures = [_read(style, config) for style in styles]
    analyses = [analyse_style(picture) for picture in pictures]
    right: dict[str, list[bool]] = {}
    for i, (pixels, label) in enumerate(
        zip(tqdm(loaded.images, desc="faces", disable=None), loaded.labels, strict=True)
    ):
        face, k = pixels / 255, i % len(styles)
        painting, analysis = _stylized(fit(face, WORKING), pictures[k], analyses[k], brush, config)
        images = {
            "unpainted": face,
            "plain": _plain(face, plain, config).render(WORKING),
            "stylized": painting.render(WORKING),
        }
        if not config.bare:
            images["stylized, with material"] = painting.render(WORKING, finish=Finish(analysis.material))
        for name, image in images.items():
            right.setdefault(name, []).append(int(classifier.scores(image[None])[0].argmax()) == int(label))
    for name, answers in right.items():
        print(f"{name}: {sum(answers)} of {len(answers)}")
    for k, style in enumerate(styles):
        part = right["stylized"][k :: len(styles)]
        print(f"{style}: {sum(part)} of {len(part)}")


def _stylized(
    target: Tensor, style: Tensor, analysis: StyleAnalysis | None, brush: Brush, config: Config
) -> tuple[Painting, StyleAnalysis]:
    analysis = analyse_style(style) if analysis is None else analysis
    *_, (_, painting) = styled_paintings(target, style, brush, config.strokes, analysis=analysis, seed=config.seed)
    return painting, analysis


def _plain(image: Tensor, painter: Painter, config: Config) -> Painting:
    return painter.paint(image, strokes=config.plain_strokes, size=default_size(config.plain_strokes), seed=config.seed)


def _shown(name: str, image: Tensor, painter: Painter, config: Config) -> Tensor:
    """An image of the sheet; faces of KaoKore are shown as plain paintings."""
    if name.startswith(KAOKORE):
        image = _plain(image, painter, config).render(WORKING)
    return _square(image, config.side)


def _square(image: Tensor, side: int) -> Tensor:
    """The middle of an image (3, H, W), as a square of `side` pixels."""
    height, width = image.shape[1:]
    short = min(height, width)
    top, left = (height - short) // 2, (width - short) // 2
    return resize(image[:, top : top + short, left : left + short], (side, side))


def _read(name: str, config: Config) -> Tensor:
    if name.startswith(EXAMPLE):
        import skimage

        path = Path(os.path.dirname(skimage.__file__)) / "data" / name.removeprefix(EXAMPLE)
    else:
        path = picture_path(name, config.root)
    return fit(read_image(path), WORKING)


if __name__ == "__main__":
    run(style_pairs, Config, __doc__)
