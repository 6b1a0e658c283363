"""Write the model card of a checkpoint from its metadata, or the page of all shipped checkpoints.

    python -m experiments.model_card ink --out ink.md
    python -m experiments.model_card runs/my_run/best.safetensors --out README.md --picture painting.png
    python -m experiments.model_card --shipped

The card is Markdown with the metadata that the Hugging Face Hub reads. `--shipped` writes checkpoints/README.md and a
picture of each checkpoint in docs/images/checkpoints/.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import tyro
from torch import Tensor

from experiments.cli import run
from painter.api import Painter
from renderer.errors import InputError
from renderer.io.checkpoint import FOLDER, Checkpoint
from renderer.io.files import atomic
from renderer.io.images import write_jpeg
from renderer.io.model_cards import model_card, overview
from renderer.learned.strip_brush import SUFFIX

ROOT = FOLDER.parent
PICTURES = Path("docs/images/checkpoints")
FACE = ROOT / "docs/images/hikime.png"
SIDE, STROKES = 224, 300  # pixels of a picture's side; strokes of a painting in it


@dataclass(frozen=True)
class Config:
    """Options of a model card."""

    checkpoint: tyro.conf.Positional[str] = ""
    """A name, a file, or an address of the Hub."""
    out: str | None = None
    """The file to write; else NAME.md, for a checkpoint of that name."""
    picture: str | None = None
    """The address of a picture for the card."""
    shipped: bool = False
    """Write checkpoints/README.md and the pictures of all shipped checkpoints instead."""


def write_card(config: Config) -> Path:
    """Write the model card of a checkpoint, or the page of all shipped ones."""
    if config.shipped == bool(config.checkpoint):
        raise InputError("Give a checkpoint, or --shipped.")
    if config.shipped:
        for name, checkpoint in shipped().items():
            write_jpeg(picture_of(name, checkpoint), ROOT / PICTURES / f"{name}.jpg")
        out, text = FOLDER / "README.md", shipped_page()
    else:
        checkpoint = Checkpoint.load(config.checkpoint)
        name = config.checkpoint if Path(config.checkpoint).name == config.checkpoint else Path(config.checkpoint).stem
        out, text = Path(config.out or f"{name}.md"), model_card(checkpoint, name, config.picture)
    with atomic(out) as temporary:
        temporary.write_text(text, encoding="utf-8")
    print(f"Wrote {out}.")
    return out


def shipped() -> dict[str, Checkpoint]:
    """All shipped checkpoints by name."""
    return {path.stem: Checkpoint.load(path.stem) for path in sorted(FOLDER.glob("*.safetensors"))}


def shipped_page() -> str:
    """The page of all shipped checkpoints, from their metadata."""
    checkpoints = shipped()
    return overview(checkpoints, {name: f"../{PICTURES}/{name}.jpg" for name in checkpoints})


def picture_of(name: str, checkpoint: Checkpoint) -> Tensor:
    """A picture (3, H, W) of what a checkpoint does: strokes and a painting, faces, or the recall of each class."""
    if checkpoint.kind == "classifier":
        return _recall(checkpoint)
    if checkpoint.kind == "stylegan":
        from kaokore.stylegan import load_generator
        from kaokore.stylegan.generator import image_grid

        generator, draws = load_generator(name), torch.Generator().manual_seed(1)
        return image_grid(generator.synthesise(generator.sample_styles(10, draws)).clamp(0, 1), 5)
    brush = f"strips:{name.removesuffix(SUFFIX)}" if checkpoint.kind == "strips" else name
    painter = Painter("agent", brush="bezier" if checkpoint.kind == "policy" else brush)
    painting = painter.paint(FACE, strokes=STROKES, size=160)
    stages = [painting.edit(remove=slice(count, None)).render(SIDE, painter.brush) for count in (10, 60, STROKES)]
    if checkpoint.kind == "policy":
        return torch.cat(stages, 2)
    return torch.cat((_strokes(painter), stages[-1]), 2)


def _strokes(painter: Painter) -> Tensor:
    """Six strokes of a brush, from broad to thin, below one another."""
    from renderer.canvas import blank, paint

    space = painter.brush.space
    strokes = space.default_strokes(6)
    rows = torch.linspace(0.1, 0.9, 6)
    radius = torch.linspace(0.06, 0.008, 6)[:, None].expand(-1, space.field("radius").size)
    for field, value in (
        ("start", torch.stack((torch.full((6,), 0.12), rows), 1)),
        ("end", torch.stack((torch.full((6,), 0.88), rows - 0.06), 1)),
        ("bend", torch.tensor([0.5, 0.0]).expand(6, -1)),
        ("radius", radius),
        ("colour", torch.tensor([0.12, 0.1, 0.12]).expand(6, -1)),
    ):
        strokes = space.put(strokes, field, value)
    if "pressure" in space:
        strokes = space.put(strokes, "pressure", torch.tensor([0.3, 1.0, 0.4]).expand(6, -1))
    return paint(blank((SIDE, SIDE), (0.96, 0.93, 0.86)), strokes, painter.brush)


def _recall(checkpoint: Checkpoint) -> Tensor:
    """Bars of the recall of each class."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    recall = checkpoint.about["evaluation"]["recall"]
    figure = Figure((2 * SIDE / 100, SIDE / 100), layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    bars = axes.barh([*recall][::-1], [*recall.values()][::-1], color="#3f5a78")
    axes.bar_label(bars, fmt="%.2f", padding=-28, color="white")
    axes.set(xlim=(0, 1), xlabel="recall on dev faces")
    canvas.draw()
    return torch.from_numpy(np.array(canvas.buffer_rgba()))[:, :, :3].permute(2, 0, 1).float() / 255


if __name__ == "__main__":
    run(write_card, Config, __doc__)
