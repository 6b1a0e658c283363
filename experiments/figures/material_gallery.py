"""Make the gallery of materials: ten faces of KaoKore and five photographs, drawn in every material.

    python -m experiments.figures.material_gallery --root data/kaokore --out docs/gallery_materials.md

Writes the page, and beside it in images/materials a sheet and cut-outs at 100 % of each material, a film, and light on gold.
Paintings, and whole pictures to look at, are kept in --work and used again. The photographs are those of scikit-image.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from experiments.cli import require, run
from experiments.figures.elements import contact_sheet
from experiments.painting_options import PaintingOptions
from kaokore import fetch_image, resolve_root
from renderer.errors import InputError
from renderer.io.files import atomic
from renderer.io.from_json import from_json
from renderer.io.images import fit, read_image, write_jpeg
from renderer.io.painting import Painting
from renderer.io.read import guarded, read_json
from renderer.material.finish import Finish

BROAD = PaintingOptions(strokes=900, opaque=True, max_radius=0.07)
GLAZES = PaintingOptions(strokes=500)
DABS = PaintingOptions(strokes=1200, opaque=True, min_radius=0.006, max_radius=0.03, background="mean")
PLANS = {"broad": BROAD, "glazes": GLAZES, "dabs": DABS}
MATERIALS = {  # the plan of each material, and what to look for
    "oil": ("broad", "Hairs leave ridges, ends are ragged, thick paint has gloss."),
    "impressionist": ("dabs", "Thick dabs of broken colour."),
    "watercolour": ("glazes", "Wavering outlines with dark rims; pigment settles in rough paper."),
    "gouache": ("broad", "Flat and opaque, dry at its edges."),
    "ink": ("glazes", "Black ink on washi; hairs run dry."),
    "charcoal": ("glazes", "Black grains on the tooth of laid paper."),
    "pastel": ("glazes", "Coloured grains on the tooth of rough paper."),
}


@dataclass(frozen=True)
class Config:
    """Contents of the gallery."""

    root: str | None = None
    """KaoKore's folder; by default KAOKORE_ROOT, or data/kaokore."""
    faces: tuple[str, ...] = ("3928", "8373", "5860", "7577", "2293", "7303", "5947", "4371", "5805", "2274")
    """IDs: ten faces of the dev split, chosen for variety."""
    photographs: tuple[str, ...] = ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg", "camera.png")
    """Files of scikit-image's data."""
    materials: tuple[str, ...] = tuple(MATERIALS)
    """Materials to draw; the others of an existing gallery are kept."""
    close: tuple[int, ...] = (3, 4, 10)
    """The pictures that are shown at 100 %, by their places, from 0."""
    size: int = 1536
    """Pixels on the long side."""
    shown: int = 228
    """Pixels of each picture on a sheet."""
    cut: int = 440
    """Pixels of a cut-out."""
    work: str = "runs/material_gallery"
    """Folder for paintings and whole pictures."""
    seed: int = 0
    out: str = "gallery_materials.md"


@dataclass(frozen=True)
class Figures:
    """Of one material.

    Attributes:
        seconds: of processor time to draw and write one picture, on average; None where all were drawn before.
    """

    seconds: float | None


def material_gallery(config: Config) -> Path:
    """Make the gallery of materials: ten faces of KaoKore and five photographs, drawn in every material."""
    require(config, size=1, shown=1, cut=1)
    for name in config.materials:
        if name not in MATERIALS:
            raise InputError(f"There is no material {name!r} in the gallery; choose among {', '.join(MATERIALS)}.")
    sources = dict(_sources(config))
    if not all(0 <= place < len(sources) for place in config.close):
        raise InputError(f"--close takes numbers from 0 to {len(sources) - 1}, not {config.close}.")
    out, folder = Path(config.out), Path(config.out).parent / "images" / "materials"
    record = folder / "figures.json"
    with guarded(record, InputError, "is not the figures of a gallery", "; delete it"):
        figures = read_json(record) if record.exists() else {}
        from_json(dict[str, Figures], figures)
    for name in config.materials:
        drawn = _draw(name, sources, config, folder)
        before = figures.get(name, {}).get("seconds")
        figures[name] = asdict(drawn if drawn.seconds is not None else replace(drawn, seconds=before))
        with atomic(record) as temporary:
            temporary.write_text(json.dumps(figures, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    _film_and_light(sources, config, folder)
    with atomic(out) as temporary:
        shown = {name: Figures(**figures[name]) for name in MATERIALS if name in figures}
        temporary.write_text(page(shown, (folder / "light.jpg").is_file()), "utf-8")
    print(f"Wrote {out}: {len(sources)} pictures in {len(figures)} materials; whole pictures are in {config.work}.")
    return out


def _sources(config: Config) -> Iterator[tuple[str, Path]]:
    root = resolve_root(config.root) if config.faces else Path()
    for face in config.faces:
        yield face, fetch_image(root, face)
    for name in config.photographs:
        import skimage  # here, because it takes long to import

        path = Path(skimage.__file__).parent / "data" / name
        if not path.is_file():
            raise InputError(f"scikit-image has no picture {name}.")
        yield path.stem, path


def _painting(name: str, source: Path, plan: str, config: Config) -> Painting:
    """The painting of a picture, which is painted once."""
    options = replace(PLANS[plan], seed=config.seed)
    path = Path(config.work) / f"{name}-{plan}.safetensors"
    if not path.exists():
        target = fit(read_image(source), options.working_size())
        options.painter().paint(
            target,
            strokes=options.strokes,
            size=options.working_size(),
            constraints=options.constraints(),
            background=options.background,
            seed=options.seed,
        ).save(path)
    return Painting.load(path)


def _draw(material: str, sources: Mapping[str, Path], config: Config, folder: Path) -> Figures:
    """Draw all pictures in one material, and write its sheet and cut-outs."""
    sheet, cuts = [], []
    seconds: list[float] = []
    for place, (name, source) in enumerate(tqdm(sources.items(), desc=material, disable=None)):
        painting = _painting(name, source, MATERIALS[material][0], config)
        whole, begun = Path(config.work) / f"{name}-{material}.jpg", time.process_time()
        if not whole.exists():
            write_jpeg(painting.render(config.size, finish=Finish(material)), whole)
            seconds.append(time.process_time() - begun)
        image = read_image(whole)
        sheet.append(_square(image, config.shown))
        if place in config.close:
            cuts.append(_cut(image, config.cut))
    write_jpeg(contact_sheet([sheet[i : i + 5] for i in range(0, len(sheet), 5)]), folder / f"{material}.jpg")
    write_jpeg(contact_sheet([cuts]), folder / f"{material}_100.jpg")
    return Figures(sum(seconds) / len(seconds) if seconds else None)


def _film_and_light(sources: Mapping[str, Path], config: Config, folder: Path) -> None:
    """A film in oil, and a face on gold in light from three sides."""
    name = list(sources)[config.close[0]]
    oil = _painting(name, sources[name], "broad", config)
    oil.export(folder / "oil.mp4", size=min(config.size, 400), finish=Finish("oil"), seconds=6.0, fps=15.0)
    lines = _painting(name, sources[name], "glazes", config)
    # Without the masses of the background, so that the ground shows.
    colours = lines.space.get(lines.strokes, "radius").amax(-1)
    figure = lines.edit(remove=colours > 0.06)
    lights = [
        _cut(figure.render(config.size, finish=Finish("gouache", ground="gold", relief=0.5, light=light)), config.cut)
        for light in (180.0, 90.0, 0.0)
    ]
    write_jpeg(contact_sheet([lights]), folder / "light.jpg")


def _square(image: Tensor, side: int) -> Tensor:
    """The middle square of an image (3, H, W), at `side` pixels."""
    short = min(image.shape[1:])
    top, left = ((extent - short) // 2 for extent in image.shape[1:])
    return fit(image[:, top : top + short, left : left + short], side)


def _cut(image: Tensor, side: int) -> Tensor:
    """A square of `side` pixels around the point where faces have their eyes, at 100 %."""
    _, height, width = image.shape
    side = min(side, height, width)
    top, left = min(int(0.45 * height - side / 2), height - side), int(0.5 * width - side / 2)
    return image[:, max(0, top) : max(0, top) + side, left : left + side]


LIGHT = """
## Light

Gouache on gold, lit from the left, from above and from the right (`--ground gold --relief 0.5 --light 180`, 90, 0).

![A face on gold in three lights](images/materials/light.jpg)
"""


def page(figures: Mapping[str, Figures], light: bool) -> str:
    """The page that shows these materials, and light where there is its image."""
    sections = [_section(name, mean) for name, mean in figures.items()]
    return f"""# Gallery of materials

Made by `python -m experiments.figures.material_gallery`: ten faces and five photographs, planned by the agent and drawn at
1,536 px on the long side. Below each sheet, three cut-outs at 100 %. Times are of one processor.
[How materials work](materials.md).

*Painted after faces of the "KaoKore Dataset" (collected by CODH from multiple organizations),
[doi:10.20676/00000353](https://doi.org/10.20676/00000353), CC BY-SA 4.0, and after photographs in scikit-image, all in the
public domain or CC0: Eileen Collins (NASA), a cat (Stefan van der Walt), coffee (Rachel Michetti), a rocket (SpaceX), and
a cameraman (Lav Varshney).*

{"".join(sections)}## Film

[A face in oil, stroke by stroke](images/materials/oil.mp4).
{LIGHT if light else ""}"""


def _section(name: str, mean: Figures) -> str:
    plan, description = MATERIALS[name]
    options = PLANS[plan]
    given = [f"--strokes {options.strokes}"]
    given += ["--opaque"] if options.opaque else []
    given += [f"--min-radius {options.min_radius}"] if options.min_radius else []
    given += [f"--max-radius {options.max_radius}"] if options.max_radius < 1 else []
    given += [f"--background {options.background}"] if options.background == "mean" else []
    duration = "" if mean.seconds is None else f"\n{mean.seconds:.0f} s to draw a picture.\n"
    return f"""## {name.capitalize()}

{description} `repaint face.jpg --out paintings {" ".join(given)} --material {name}`

![Ten faces and five photographs in {name}](images/materials/{name}.jpg)

![At 100 %](images/materials/{name}_100.jpg)
{duration}
"""


if __name__ == "__main__":
    torch.set_num_threads(1)
    run(material_gallery, Config, __doc__)
