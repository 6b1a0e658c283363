"""Make the gallery: faces of KaoKore painted with every shipped brush, and a short video of each.

    python -m experiments.figures.gallery --root data/kaokore --out docs/gallery.md

Writes the page, and beside it in images/gallery a contact sheet and a video for each brush. Paintings are optimised
through learned brushes and rendered by their reference brushes. Shows paintings only, because the data set's authors ask
not to redistribute their images.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tqdm import tqdm

from experiments.cli import require, run
from experiments.figures.elements import contact_sheet
from kaokore import fetch_image, resolve_root
from painter import Painter
from painter.methods import Method
from painter.optimize import OptimizeConfig
from renderer.constraints import StrokeConstraints
from renderer.errors import InputError
from renderer.io.files import atomic
from renderer.io.from_json import from_json
from renderer.io.images import fit, read_image, write_jpeg
from renderer.io.painting import reference_brush
from renderer.io.read import guarded, read_json


@dataclass(frozen=True)
class Look:
    """A way to paint: its name, its description, and options of `experiments.repaint`."""

    name: str
    description: str
    brush: str
    method: Method = "agent"
    strokes: int = 300
    min_radius: float = 0.0
    max_radius: float = 1.0
    background: str = "#ffffff"

    def options(self) -> str:
        """The options on the command line."""
        parts = [f"--renderer {self.brush} --method {self.method} --strokes {self.strokes}"]
        parts += [f"--min-radius {self.min_radius}"] if self.min_radius else []
        parts += [f"--max-radius {self.max_radius}"] if self.max_radius < 1 else []
        parts += [f"--background {self.background}"] if self.background != "#ffffff" else []
        return " ".join(parts)


LOOKS = (
    Look("masses-and-ink", "Flat colour, then ink lines, as in the picture scrolls.", "flat+ink", "lines", 400),
    Look("ink", "One soft-pointed brush for masses and lines.", "ink", "lines", 350),
    Look("watercolour", "Soft edges, denser under pressure.", "watercolour", strokes=150),
    Look("flat", "A broad bristle brush with square ends.", "flat", strokes=200, min_radius=0.015),
    Look("calligraphy", "A broad nib at a constant angle.", "calligraphy", strokes=300),
    Look("charcoal", "Random grain.", "charcoal", strokes=700, min_radius=0.004, max_radius=0.05),
    Look("impressionist", "Dabs of slightly varied colours.", "impressionist", "agent", 900, 0.004, 0.03, "mean"),
)


@dataclass(frozen=True)
class Config:
    """Contents of the gallery."""

    root: str | None = None
    """KaoKore's folder; by default KAOKORE_ROOT, or data/kaokore."""
    faces: tuple[str, ...] = ("3928", "8373", "5860", "7577", "2293", "7303", "5947", "4371", "5805", "2274")
    """IDs: ten faces of the dev split, chosen for variety."""
    video_face: int = 3
    """The face that the videos show, by its place among the faces, from 0."""
    looks: tuple[str, ...] = tuple(look.name for look in LOOKS)
    """Looks to paint; the others of an existing gallery are kept."""
    size: int = 256
    """Pixels while painting."""
    shown: int = 256
    """Pixels of each painting on a sheet."""
    video_size: int = 320
    """Pixels of the videos."""
    steps: int = OptimizeConfig.steps
    """Gradient steps of method lines, which takes a fifth."""
    seed: int = 0
    out: str = "gallery.md"


@dataclass(frozen=True)
class Figures:
    """Means over the faces, at the size of painting.

    Attributes:
        mse: of the painting, rendered by the reference brush, to the face.
        preview_mse: between the painting rendered by the learned and by the reference brush.
    """

    mse: float
    preview_mse: float


def gallery(config: Config) -> Path:
    """Make the gallery: faces of KaoKore painted with every shipped brush, and a short video of each."""
    require(config, size=1, shown=1, video_size=16, steps=1)
    known = {look.name: look for look in LOOKS}
    for name in config.looks:
        if name not in known:
            raise InputError(f"There is no look {name!r}; choose among {', '.join(known)}.")
    if not 0 <= config.video_face < len(config.faces):
        raise InputError(f"--video-face must be from 0 to {len(config.faces) - 1}, not {config.video_face}.")
    out, root = Path(config.out), resolve_root(config.root)
    faces = [fetch_image(root, face) for face in config.faces]
    folder = out.parent / "images" / "gallery"
    record = folder / "figures.json"
    with guarded(record, InputError, "is not the figures of a gallery", "; delete it"):
        figures = read_json(record) if record.exists() else {}
        from_json(dict[str, Figures], figures)
    for name in config.looks:
        figures[name] = asdict(_paint(known[name], faces, config, folder))
        with atomic(record) as temporary:
            temporary.write_text(json.dumps(figures, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    sections = [_section(look, Figures(**figures[look.name]), config) for look in LOOKS if look.name in figures]
    with atomic(out) as temporary:
        temporary.write_text(_page(sections, config.size), encoding="utf-8")
    print(f"Wrote {out}: {len(faces)} faces, {len(sections)} looks; sheets and videos are in {folder}.")
    return out


def _paint(look: Look, faces: Sequence[Path], config: Config, folder: Path) -> Figures:
    """Paint all faces in one way, and write the sheet and the video."""
    painter = Painter(look.method, brush=look.brush, config=OptimizeConfig(steps=config.steps))
    reference_brush(painter.brush.space, (1, 1), painter.brush.provenance())  # a missing engine is an error here
    sheet, figures = [], []
    for i, face in enumerate(tqdm(faces, desc=look.name, disable=None)):
        target = fit(read_image(face), config.size)
        painting = painter.paint(
            target,
            strokes=look.strokes,
            size=config.size,
            constraints=StrokeConstraints(min_radius=look.min_radius, max_radius=look.max_radius),
            background=look.background,
            seed=config.seed,
        )
        image, preview = painting.render(), painting.render(brush=painter.brush)
        figures.append((float((image - target).square().mean()), float((image - preview).square().mean())))
        sheet.append(image if config.shown == config.size else painting.render(config.shown))
        if i == config.video_face:
            painting.export(folder / f"{look.name}.mp4", size=config.video_size)
    columns = -(-len(sheet) // 2)
    rows = [sheet[i : i + columns] for i in range(0, len(sheet), columns)]
    write_jpeg(contact_sheet(rows), folder / f"{look.name}.jpg")
    return Figures(*(sum(column) / len(column) for column in zip(*figures, strict=True)))


def _section(look: Look, mean: Figures, config: Config) -> str:
    title, face = look.name.replace("-", " ").capitalize(), config.faces[config.video_face]
    return f"""## {title}

{look.description} {look.strokes} strokes. [Video](images/gallery/{look.name}.mp4).

![Ten faces, {title.lower()}](images/gallery/{look.name}.jpg)

`repaint kaokore:{face} --size {config.size} {look.options()}`

MSE to the faces: {mean.mse:.4f}; between the learned and the reference brush: {mean.preview_mse:.5f}.
"""


def _page(sections: Sequence[str], size: int) -> str:
    return f"""# Gallery

Made by `python -m experiments.figures.gallery`. Strokes were optimised through learned brushes; the images were rendered by
their reference brushes, MyPaint's own. MSE is over RGB in [0, 1] at {size} px, averaged over the faces shown.

*Painted after faces of the "KaoKore Dataset" (collected by CODH from multiple organizations),
[doi:10.20676/00000353](https://doi.org/10.20676/00000353), CC BY-SA 4.0.*

""" + "\n".join(sections)


if __name__ == "__main__":
    run(gallery, Config, __doc__, renamed={"--filmed": "--video-face", "--film-size": "--video-size"})
