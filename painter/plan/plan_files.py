"""Files of a paint plan: HTML and PDF to print, CSV and JSON for other programs."""

from __future__ import annotations

import base64
import csv
import io
import json
import textwrap
from collections import Counter
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from painter.plan.load_pictures import finished_picture, grid_step, load_pictures, png, with_grid
from painter.plan.paint_plan import Load, PaintPlan, PaletteColour
from renderer.errors import InputError
from renderer.io.files import atomic
from renderer.io.svg import hex_of, stroke_id

FORMAT = "kaokore-plan/1"
A4 = (8.27, 11.69)  # inches
PER_PAGE = (3, 2)  # rows and columns of loads on a page
STYLE = """
@page { size: A4; margin: 14mm }
body { font: 15px/1.4 sans-serif; max-width: 60em; margin: 1em auto; padding: 0 1em; color: #111; background: #fff }
* { print-color-adjust: exact; -webkit-print-color-adjust: exact }
header { display: flex; gap: 2em; flex-wrap: wrap }
header img { width: 20em; border: 1px solid #999 }
header div { flex: 1 }
table { border-collapse: collapse; width: 100% }
td, th { text-align: left; padding: .3em .6em; border-bottom: 1px solid #ddd }
.swatch { display: inline-block; width: 2.4em; height: 1.5em; border: 1px solid #666; vertical-align: middle }
.loads { display: grid; grid-template-columns: repeat(3, 1fr); gap: 1em }
figure { margin: 0; break-inside: avoid }
figure img { width: 100%; border: 1px solid #999 }
figcaption { font-size: 85% }
table { break-inside: avoid }
@media print { body { max-width: none; margin: 0; padding: 0; font-size: 11px } }
"""


def write_plan(plan: PaintPlan, path: str | Path) -> Path:
    """Write a plan as .html, .pdf, .csv or .json, whole or not at all. Raises `InputError` for another suffix."""
    path = Path(path)
    writers: dict[str, Callable[[PaintPlan], str | bytes]] = {
        ".html": to_html,
        ".pdf": to_pdf,
        ".csv": to_csv,
        ".json": to_json,
    }
    if path.suffix.lower() not in writers:
        raise InputError(f"{path} should end in one of {', '.join(writers)}.")
    content = writers[path.suffix.lower()](plan)
    with atomic(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def stroke_rows(plan: PaintPlan) -> list[dict[str, Any]]:
    """A row for each stroke in the order of painting: load, id as in the painting's SVG, colour, brush and place in mm."""
    rows = []
    for number, load in enumerate(plan.loads, 1):
        colour = plan.palette[load.colour]
        for index, brush in zip(load.strokes, load.brush, strict=True):
            row = {"load": number, "stroke": index + 1, "id": stroke_id(int(plan.numbers[index]))}
            row |= {"letter": colour.letter, "colour": hex_of(colour.colour), "name": colour.name, "brush_mm": brush}
            rows.append(row | {f"{key}_mm": round(value, 1) for key, value in plan.millimetres(index).items()})
    return rows


def to_csv(plan: PaintPlan) -> str:
    """`stroke_rows` as comma-separated values."""
    rows = stroke_rows(plan)
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()


def to_json(plan: PaintPlan) -> str:
    """The whole plan as a JSON object."""
    about = {
        "format": FORMAT,
        "canvas_mm": plan.canvas,
        "offset_mm": plan.offset,
        "ground": _colour_json(plan.ground),
        "palette": [_colour_json(colour) for colour in plan.palette],
        "hidden_strokes": plan.hidden,
        "changes_of_colour_before": plan.changes,
        "loads": len(plan.loads),
        "mse": plan.difference,
        "strokes": stroke_rows(plan),
    }
    return json.dumps(about, indent=1) + "\n"


def _colour_json(colour: PaletteColour) -> dict[str, Any]:
    recipe = {
        "parts": dict(colour.recipe.parts),
        "expected": hex_of(colour.recipe.colour),
        "error": colour.recipe.error,
    }
    return {"letter": colour.letter, "colour": hex_of(colour.colour), "name": colour.name, "recipe": recipe}


def to_html(plan: PaintPlan) -> str:
    """A page that needs no other file and prints on A4."""
    figures = "\n".join(
        f"<figure>{_image(png(picture), f'load {number}')}{_html_caption(plan, number, load)}</figure>"
        for number, (load, picture) in enumerate(zip(plan.loads, load_pictures(plan), strict=True), 1)
    )
    rows = "\n".join(
        f"<tr><td><b>{colour.letter}</b></td><td>{_swatch(colour.colour)}</td><td>{escape(colour.name)}</td>"
        f"<td><code>{hex_of(colour.colour)}</code></td><td>{escape(str(colour.recipe))}</td>"
        f"<td>{_swatch(colour.recipe.colour)}</td><td>{colour.recipe.error:.0f}</td></tr>"
        for colour in (*plan.palette, plan.ground)
    )
    notes = "\n".join(f"<p>{escape(note)}</p>" for note in _notes(plan))
    finished = _image(png(with_grid(finished_picture(plan), plan)), "the finished picture")
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Paint plan</title><style>{STYLE}</style></head><body>
<h1>Paint plan</h1>
<header>{finished}<div>{notes}</div></header>
<h2>Palette</h2>
<table>
<tr><th></th><th>colour</th><th>name</th><th>sRGB</th><th>try to mix, in parts</th><th>expected</th><th>error</th></tr>
{rows}
</table>
<p>{escape(_about_mixing())}</p>
<h2>Loads of paint</h2>
<div class="loads">
{figures}
</div>
</body></html>
"""


def to_pdf(plan: PaintPlan) -> bytes:
    """The same on A4 pages."""
    from matplotlib.backends.backend_pdf import PdfPages
    from matplotlib.figure import Figure

    def page() -> Figure:
        return Figure(figsize=A4)

    buffer = io.BytesIO()
    with PdfPages(buffer, metadata={"Title": "Paint plan", "CreationDate": None}) as pages:
        pages.savefig(_first_page(plan, page()))
        pictures = load_pictures(plan)
        rows, columns = PER_PAGE
        for first in range(0, len(plan.loads), rows * columns):
            figure = page()
            for place, load in enumerate(plan.loads[first : first + rows * columns]):
                axes = figure.add_subplot(rows, columns, place + 1)
                axes.imshow(next(pictures), interpolation="none")
                axes.set_xticks([])
                axes.set_yticks([])
                title, brushes = _caption(plan, first + place + 1, load)
                axes.set_xlabel(f"{title}\n{_wrapped(brushes, 60)}", fontsize=8)
            figure.subplots_adjust(left=0.06, right=0.94, bottom=0.07, top=0.97, hspace=0.26, wspace=0.08)
            pages.savefig(figure)
    return buffer.getvalue()


def _first_page(plan: PaintPlan, figure: Any) -> Any:
    figure.text(0.08, 0.95, "Paint plan", fontsize=18, weight="bold")
    axes = figure.add_axes((0.08, 0.58, 0.45, 0.34), anchor="NW")
    axes.imshow(with_grid(finished_picture(plan, 720), plan))
    axes.set_axis_off()
    figure.text(0.56, 0.92, "\n\n".join(map(_wrapped, _notes(plan))), fontsize=8, va="top")
    colours = [*plan.palette, plan.ground]
    height = min(0.032, 0.5 / len(colours))
    for i, colour in enumerate(colours):
        y = 0.54 - height * i
        swatch = figure.add_axes((0.12, y - 0.3 * height, 0.06, 0.8 * height))
        swatch.set_facecolor(colour.colour)
        swatch.set_xticks([])
        swatch.set_yticks([])
        figure.text(0.08, y, colour.letter, fontsize=10, weight="bold")
        figure.text(0.2, y, f"{colour.name}  {hex_of(colour.colour)}", fontsize=8)
        figure.text(0.45, y, f"{colour.recipe}  (error {colour.recipe.error:.0f})", fontsize=8)
    figure.text(0.08, 0.03, _wrapped(_about_mixing(), 120), fontsize=7)
    return figure


def _notes(plan: PaintPlan) -> list[str]:
    width, height = plan.canvas
    strokes = sum(len(load.strokes) for load in plan.loads)
    painted = f"{plan.painting.width * plan.scale:.0f} x {plan.painting.height * plan.scale:.0f} mm"
    brushes = sorted({brush for load in plan.loads for brush in load.brush})
    return [
        f"Canvas {width:.0f} x {height:.0f} mm, the picture {painted}. A grid line every {grid_step(plan)} mm from "
        "the canvas' left and upper edge.",
        f"{strokes} strokes in {len(plan.loads)} loads of paint; in the painting's own order, the colour changes "
        f"{plan.changes} times. {plan.hidden} strokes are left out, because others cover them or they are too faint.",
        f"Brushes: {', '.join(map(str, brushes))} mm wide.",
        "Paint opaquely, load after load. Within a load, begin where you like. Outlined strokes are the new ones.",
        f"Mean squared error between the plan's picture and the painting with all of its colours: {plan.difference:.5f}.",
    ]


def _about_mixing() -> str:
    return (
        "The mixtures are computed (Kubelka-Munk, three bands, approximate colours of usual tube paints) and were not "
        "compared with real paint: begin with them and correct by eye. The error is the CIEDE2000 between the wanted and "
        "the computed colour; above 10 it is easily seen. The row without a letter is the canvas."
    )


def _caption(plan: PaintPlan, number: int, load: Load) -> tuple[str, str]:
    colour, count = plan.palette[load.colour], len(load.strokes)
    brushes = ", ".join(f"{times} x {width} mm" for width, times in sorted(Counter(load.brush).items(), reverse=True))
    return f"{number}. {colour.letter} {colour.name}", f"{count} stroke{'s' * (count > 1)}: {brushes}"


def _html_caption(plan: PaintPlan, number: int, load: Load) -> str:
    title, brushes = _caption(plan, number, load)
    swatch = _swatch(plan.palette[load.colour].colour)
    return f"<figcaption>☐ <b>{escape(title)}</b> {swatch}<br>{escape(brushes)}</figcaption>"


def _swatch(colour: tuple[float, float, float]) -> str:
    return f'<span class="swatch" style="background:{hex_of(np.clip(colour, 0, 1))}"></span>'


def _image(content: bytes, about: str) -> str:
    return f'<img alt="{escape(about)}" src="data:image/png;base64,{base64.b64encode(content).decode()}">'


def _wrapped(text: str, width: int = 52) -> str:
    return textwrap.fill(text, width)
