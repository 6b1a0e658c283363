"""A page that shows what was measured in a style picture: its lines, palette, widths, lengths and directions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from painter.style_analysis import BINS, SIDE, Lines, StyleAnalysis, find_lines, path_length, to_lab
from renderer.io.images import fit, to_bytes

MARGIN, SMALL, FIGURE = 16, 13, 190  # pixels: between parts, of letters, height of a figure
DARK, LIGHT, INK, FAINT = (20, 90, 200), (230, 120, 20), (30, 30, 30), (190, 190, 190)


def style_sheet(picture: Tensor, analysis: StyleAnalysis) -> np.ndarray[Any, Any]:
    """Draw a page about a style picture.

    Args:
        picture: `(3, H, W)`, sRGB in [0, 1].
        analysis: what `analyse_style` measured in it.

    Returns:
        The page `(h, w, 3)`, uint8.
    """
    picture = fit(picture.detach().cpu().float(), SIDE)
    lines = find_lines(to_lab(picture)[..., 0])
    height, width = lines.size
    top = MARGIN + 20
    page = Image.new("RGB", (2 * max(width, 300) + 3 * MARGIN, top + height + FIGURE + 140), "white")
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(size=SMALL)
    second = 2 * MARGIN + max(width, 300)
    page.paste(Image.fromarray(to_bytes(picture)), (MARGIN, top))
    draw.text((MARGIN, MARGIN), "style picture", INK, font)
    draw.text((second, MARGIN), f"{analysis.lines} lines: blue darker, orange lighter than around", INK, font)
    _draw_lines(draw, lines, (second, top))
    below = top + height + MARGIN
    _draw_palette(draw, analysis, (MARGIN, below, page.width - MARGIN, below + 36))
    below += 36 + MARGIN
    _draw_rose(draw, analysis, (MARGIN + FIGURE // 2, below + FIGURE // 2 + 8), FIGURE // 2 - 12, font)
    lengths = np.array([path_length(path) for path in lines.paths])
    short, left, wide = min(lines.size), 2 * MARGIN + FIGURE, (page.width - 3 * MARGIN - FIGURE) // 2 - MARGIN
    for values, label in ((100 * lines.radii / short, "half width"), (100 * lengths / short, "length")):
        _draw_histogram(draw, values, lengths, (left, below, left + wide, below + FIGURE), label, font)
        left += wide + MARGIN
    text = (
        f"material: {analysis.material}   chroma {analysis.chroma:.0f}   lightness "
        f"{', '.join(f'{value:.0f}' for value in analysis.lightness)}   texture {analysis.texture:.1f}   turning "
        f"{math.degrees(analysis.curvature):.0f} degrees in 10 half widths   lines {100 * analysis.spacing:.1f} % apart on "
        f"{100 * analysis.covered:.0f} % of the area   ink {analysis.ink}, contrast {analysis.contrast:.0f}"
    )
    row = below + FIGURE + MARGIN
    for part in _wrapped(text, page.width - 2 * MARGIN, font):
        draw.text((MARGIN, row), part, INK, font)
        row += SMALL + 5
    return np.asarray(page)


def _draw_lines(draw: ImageDraw.ImageDraw, lines: Lines, at: tuple[int, int]) -> None:
    height, width = lines.size
    draw.rectangle((at[0], at[1], at[0] + width - 1, at[1] + height - 1), outline=FAINT)
    for path, radius, dark in zip(lines.paths, lines.radii, lines.dark, strict=True):
        points = [(at[0] + float(x), at[1] + float(y)) for x, y in path]
        draw.line(points, DARK if dark else LIGHT, max(1, round(radius / 3)))


def _draw_palette(draw: ImageDraw.ImageDraw, analysis: StyleAnalysis, box: tuple[int, int, int, int]) -> None:
    left, top, right, bottom = box
    at = float(left)
    for colour, share in zip(analysis.palette, analysis.shares, strict=True):
        end = at + share * (right - left)
        draw.rectangle((at, top, max(end, at + 1), bottom), fill=colour)
        at = end


def _draw_rose(draw: ImageDraw.ImageDraw, analysis: StyleAnalysis, at: tuple[int, int], radius: int, font: Any) -> None:
    """Directions: sectors whose radius is the root of the length of lines in them, so that areas compare."""
    most = max(*analysis.directions, 1e-9)
    step = 180 / BINS
    for i, share in enumerate(analysis.directions):
        reach = radius * math.sqrt(share / most)
        if reach < 1:
            continue
        box = (at[0] - reach, at[1] - reach, at[0] + reach, at[1] + reach)
        for turn in (0, 180):
            draw.pieslice(box, i * step + turn, (i + 1) * step + turn, fill=FAINT, outline=INK)
    draw.text((at[0] - radius, at[1] - radius - 18), f"directions, anisotropy {analysis.anisotropy:.2f}", INK, font)


def _draw_histogram(
    draw: ImageDraw.ImageDraw,
    values: np.ndarray[Any, Any],
    weights: np.ndarray[Any, Any],
    box: tuple[int, int, int, int],
    label: str,
    font: Any,
) -> None:
    left, top, right, bottom = box
    draw.text((left, top - 10), f"{label}, % of the short side", INK, font)
    draw.line((left, bottom - 18, right, bottom - 18), INK)
    if len(values) == 0:
        return
    low, high = float(values.min()) * 0.9, float(values.max()) * 1.1
    edges = np.geomspace(max(low, 1e-3), max(high, 2e-3), 15)
    counts, _ = np.histogram(values, edges, weights=weights)
    scale = (right - left) / len(counts)
    for i, count in enumerate(counts):
        tall = (bottom - top - 40) * float(count / max(counts.max(), 1e-9))
        draw.rectangle((left + i * scale, bottom - 18 - tall, left + (i + 1) * scale - 2, bottom - 18), fill=FAINT)
        if i % 4 == 0:
            draw.text((left + i * scale, bottom - 15), f"{edges[i]:.2g}", INK, font)


def _wrapped(text: str, width: int, font: Any) -> list[str]:
    """Split a text between its parts, which three spaces separate, into lines of some pixels."""
    rows: list[str] = []
    for part in text.split("   "):
        if rows and font.getlength(f"{rows[-1]}   {part}") <= width:
            rows[-1] += f"   {part}"
        else:
            rows.append(part)
    return rows
