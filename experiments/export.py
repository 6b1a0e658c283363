"""Write a saved painting for other programs and for a hand with a brush.

    python -m experiments.export paintings/face/strokes.safetensors --out face.ora
    python -m experiments.export paintings/face/strokes.safetensors --out face.psd --layer-strokes 50
    python -m experiments.export paintings/face/strokes.safetensors --out plan.pdf --colours 8 --canvas-size 300x400
    python -m experiments.export paintings/face/strokes.safetensors --out face.html
    python -m experiments.export paintings/face/strokes.safetensors --out lines.svg --centre-lines --pens 0.3 0.8

Layers for Krita, GIMP and Photoshop (.ora, .psd); vectors with layers (.svg); a page that plays it, to share (.html); a plan
of how to repaint it by hand (.pdf, .csv, .json; .html with --plan); lines for a plotter (.svg, .hpgl, .gcode). Strokes of
MyPaint brushes are drawn by MyPaint's own engine, or by a learned brush with --renderer ink.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path

import tyro

from experiments.cli import run
from renderer.brush import Brush, load_brush
from renderer.errors import InputError
from renderer.io.painting import Painting
from renderer.io.svg_centre_lines import PENS

LAYERED, PAGE, PLOTS = (".ora", ".psd", ".svg"), ".html", (".hpgl", ".gcode")
PLANS = (".pdf", ".csv", ".json")


@dataclass(frozen=True)
class Config:
    """Options of an export."""

    strokes: tyro.conf.Positional[str]
    """A painting's strokes.safetensors."""
    out: str
    """The file to write: .ora (Krita, GIMP, MyPaint), .psd (Photoshop), .svg (Inkscape, Illustrator); .html (a page that
    draws the strokes, to share); a plan: .pdf (.html with --plan) to print, .csv or .json; for a plotter .hpgl, .gcode, or
    .svg with --centre-lines."""
    plan: bool = False
    """Write an .html of a plan to repaint it by hand, instead of a page that plays the painting."""
    size: int | None = None
    """Pixels on the long side; 1,536 by default. Plans and plots are in mm instead."""
    renderer: str = "exact"
    """exact (the reference brush), analytic, mypaint:BRUSH, or a learned brush (bezier, ink)."""
    layer_strokes: int | None = None
    """Strokes in each layer. By default, masses and lines, or the rounds of the agent."""
    colours: int = 8
    """Of a plan or a plot: how many colours to mix, or pens, at most."""
    canvas_size: str | None = None
    """Of a plan or a plot: width and height of the canvas or sheet in mm, as 300x400. By default, 300 on the long side."""
    centre_lines: bool = False
    """Write an .svg of the strokes' paths as open lines."""
    pens: tuple[float, ...] = PENS
    """Of a plot: widths of the pens in mm."""


def export(config: Config) -> Path:
    """Write a saved painting for other programs and for a hand with a brush."""
    out = Path(config.out)
    suffix = out.suffix.lower()
    if suffix not in (*LAYERED, PAGE, *PLOTS, *PLANS):
        known = ", ".join((*LAYERED, PAGE, *PLOTS, *PLANS))
        raise InputError(f"--out {out} should end in one of {known}; the command replay writes images and videos.")
    painting = Painting.load(config.strokes)
    brush = None if config.renderer == "exact" else load_brush(config.renderer)
    if suffix in PLOTS or config.centre_lines:
        print(_write_plot(painting, out, config))
    elif suffix in PLANS or config.plan:
        print(_write_plan(painting, out, brush, config))
    elif suffix == PAGE and config.canvas_size is not None:
        raise InputError("--canvas-size is of a plan or a plot; for a plan as a page, add --plan.")
    else:
        painting.export(out, size=config.size, brush=brush, layer_strokes=config.layer_strokes)
        print(f"Wrote {out}: {len(painting.strokes)} strokes.")
    return out


def _write_plot(painting: Painting, out: Path, config: Config) -> str:
    if out.suffix.lower() not in (".svg", *PLOTS):
        raise InputError(f"--centre-lines are for .svg, .hpgl and .gcode, not {out}.")
    from painter.plan.palette import in_few_colours  # here, because it takes long

    painting = painting.edit(recolour=lambda colours: in_few_colours(colours, config.colours))
    canvas = None if config.canvas_size is None else _millimetres(config.canvas_size)
    painting.export(out, centre_lines=True, canvas=canvas, pens=config.pens)
    return f"Wrote {out}: {len(painting.strokes)} strokes as lines for pens of {', '.join(map(str, config.pens))} mm."


def _write_plan(painting: Painting, out: Path, brush: Brush | None, config: Config) -> str:
    from painter.plan import make_plan, write_plan  # here, because it takes long

    canvas = None if config.canvas_size is None else _millimetres(config.canvas_size)
    plan = make_plan(painting, colours=config.colours, canvas=canvas, brush=brush)
    write_plan(plan, out)
    strokes = sum(len(load.strokes) for load in plan.loads)
    return (
        f"Wrote {out}: {strokes} strokes in {len(plan.palette)} colours and {len(plan.loads)} loads of paint "
        f"(in the painting's own order, {plan.changes}); {plan.hidden} strokes cannot be seen."
    )


def _millimetres(text: str) -> tuple[float, float]:
    """Width and height of `300x400`."""
    match = re.fullmatch(r"([\d.]+)[x×]([\d.]+)", text)
    try:
        width, height = map(float, match.groups()) if match else (math.nan, math.nan)
    except ValueError:
        width = height = math.nan
    if math.isnan(width):
        raise InputError(f"--canvas-size is a width and a height in mm, such as 300x400, not {text}.")
    return width, height


if __name__ == "__main__":
    run(export, Config, __doc__)
