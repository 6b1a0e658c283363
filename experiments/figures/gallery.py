"""The gallery: faces of KaoKore as every shipped brush paints them, and a short film of each brush at work.

    python -m experiments.figures.gallery --root ../shared/kaokore --out docs/gallery.md

Writes the page, and beside it in images/gallery a sheet and a film of each brush. Paintings are optimised through learned
brushes and shown as the true ones draw them. Only paintings are shown, never the data set's own images, which its authors
ask not to redistribute.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from agents.registry import load_agent
from experiments.cli import require, run
from kaokore import fetch_image, resolve_root
from painter.api import WHITE
from painter.methods import Method, paint_with
from painter.optimize import OptimizeConfig
from renderer.constraints import StrokeConstraints
from renderer.errors import InputError
from renderer.io.files import atomic
from renderer.io.images import fit, read_image, write_jpeg
from renderer.io.painting import Painting
from renderer.io.video import write_mp4
from renderer.learned.load import load_brush


@dataclass(frozen=True)
class Look:
    """A way to paint: its name, what it is, and the options of `experiments.repaint`."""

    name: str
    words: str
    renderer: str
    method: Method = "agent"
    strokes: int = 300
    min_radius: float = 0.0
    max_radius: float = 1.0
    mean_background: bool = False

    def options(self) -> str:
        """As they are typed."""
        parts = [f"--renderer {self.renderer} --method {self.method} --strokes {self.strokes}"]
        parts += [f"--min-radius {self.min_radius}"] if self.min_radius else []
        parts += [f"--max-radius {self.max_radius}"] if self.max_radius < 1 else []
        parts += ["--background mean"] if self.mean_background else []
        return " ".join(parts)


LOOKS = (
    Look("masses-and-ink", "Flat colour, then ink lines: as the scrolls were painted.", "flat+ink", "lines", 400),
    Look("ink", "One soft-pointed brush for masses and lines.", "ink", "lines", 350),
    Look("watercolour", "Soft edges, denser where it is pressed.", "watercolour", strokes=150),
    Look("flat", "A broad bristle brush with square ends.", "flat", strokes=200, min_radius=0.015),
    Look("calligraphy", "A broad nib that is held at one angle.", "calligraphy", strokes=300),
    Look("charcoal", "Grains that fall by chance.", "charcoal", strokes=700, min_radius=0.004, max_radius=0.05),
    Look(
        "impressionist",
        "Dabs of slightly varied colours.",
        "impressionist",
        "agent",
        900,
        0.004,
        0.03,
        mean_background=True,
    ),
)


@dataclass(frozen=True)
class Config:
    """What the gallery shows."""

    root: str | None = None
    """KaoKore's folder; else KAOKORE_ROOT, else data/kaokore."""
    faces: tuple[str, ...] = ("3928", "8373", "5860", "7577", "2293", "7303", "5947", "4371", "5805", "2274")
    """IDs: ten of the dev split, chosen for being unlike one another."""
    filmed: int = 3
    """Which of the faces the films show, from 0 on."""
    looks: tuple[str, ...] = tuple(look.name for look in LOOKS)
    """Which brushes to show; others stay on the page as they were made."""
    size: int = 256
    """Pixels while painting."""
    shown: int = 256
    """Pixels of each painting on a sheet: strokes are drawn again at this size."""
    video_size: int = 320
    steps: int = OptimizeConfig.steps
    seed: int = 0
    out: str = "gallery.md"


@dataclass(frozen=True)
class Figures:
    """Means over the faces, at the size of painting.

    Attributes:
        mse: of the painting, rendered by the reference brush, to the face.
        apart: between the painting rendered by the learned and by the reference brush.
    """

    mse: float
    apart: float


def gallery(config: Config) -> Path:
    """The gallery: faces of KaoKore as every shipped brush paints them, and a short film of each brush at work."""
    require(config, size=1, shown=1, video_size=16, steps=1)
    known = {look.name: look for look in LOOKS}
    for name in config.looks:
        if name not in known:
            raise InputError(f"There is no look {name!r}; choose among {', '.join(known)}.")
    if not 0 <= config.filmed < len(config.faces):
        raise InputError(f"--filmed is a face's place, from 0 to {len(config.faces) - 1}, not {config.filmed}.")
    out, root = Path(config.out), resolve_root(config.root)
    targets = [fit(read_image(fetch_image(root, face)), config.size) for face in config.faces]
    folder = out.parent / "images" / "gallery"
    record = folder / "figures.json"
    figures = json.loads(record.read_text(encoding="utf-8")) if record.exists() else {}
    for name in config.looks:
        figures[name] = asdict(_show(known[name], targets, config, folder))
        with atomic(record) as temporary:
            temporary.write_text(json.dumps(figures, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    sections = [_section(look, Figures(**figures[look.name]), config) for look in LOOKS if look.name in figures]
    with atomic(out) as temporary:
        temporary.write_text(_page(sections, config.size), encoding="utf-8")
    print(f"Open {out}: {len(config.faces)} faces by {len(sections)} brushes; sheets and films are in {folder}.")
    return out


def _show(look: Look, targets: Sequence[Tensor], config: Config, folder: Path) -> Figures:
    """Paints all faces in one way, and writes its sheet and its film."""
    renderer = load_brush(look.renderer)
    agent = load_agent("agent", renderer)
    constraints = StrokeConstraints(min_radius=look.min_radius, max_radius=look.max_radius)
    from torchvision.utils import make_grid  # here, because it takes over a second

    sheet, figures = [], []
    for i, target in enumerate(tqdm(targets, desc=look.name)):
        generator, optimize = torch.Generator().manual_seed(config.seed), OptimizeConfig(steps=config.steps)
        red, green, blue = target.mean((1, 2)).tolist() if look.mean_background else WHITE
        background = (red, green, blue)
        work = (look.method, target, look.strokes, renderer, agent, optimize, generator, constraints, background)
        *_, last = paint_with(*work)
        provenance = {"look": asdict(look), "seed": config.seed}
        painting = Painting.by(renderer, last.strokes, target.shape[1:], background, provenance)
        true, preview = painting.render(), painting.render(brush=renderer)
        figures.append((float((true - target).square().mean()), float((true - preview).square().mean())))
        sheet.append(true if config.shown == config.size else painting.render(config.shown))
        if i == config.filmed:
            write_mp4(painting, folder / f"{look.name}.mp4", config.video_size)
    grid = make_grid(torch.stack(sheet), -(-len(sheet) // 2), padding=4, pad_value=1.0)
    write_jpeg(grid, folder / f"{look.name}.jpg")
    return Figures(*(sum(column) / len(column) for column in zip(*figures, strict=True)))


def _section(look: Look, mean: Figures, config: Config) -> str:
    title, face = look.name.replace("-", " ").capitalize(), config.faces[config.filmed]
    return (
        f"## {title}\n\n{look.words} {look.strokes} strokes. [Film](images/gallery/{look.name}.mp4).\n\n"
        f"![Ten faces, {title.lower()}](images/gallery/{look.name}.jpg)\n\n"
        f"`repaint kaokore:{face} --size {config.size} {look.options()}`: MSE {mean.mse:.4f}; preview and "
        f"true brush differ by {mean.apart:.5f}.\n"
    )


def _page(sections: Sequence[str], size: int) -> str:
    return (
        "# Gallery\n\n"
        "Made by `python -m experiments.figures.gallery`. The strokes were found through learned brushes; what is shown is "
        f"drawn by MyPaint's own. MSE is over RGB in [0, 1] at {size} px, a mean over the faces shown.\n\n"
        '*Painted after faces of the "KaoKore Dataset" (collected by CODH from multiple organizations),\n'
        "[doi:10.20676/00000353](https://doi.org/10.20676/00000353), CC BY-SA 4.0.*\n\n" + "\n".join(sections)
    )


if __name__ == "__main__":
    run(gallery, Config, __doc__, renamed={"--film-size": "--video-size"})
