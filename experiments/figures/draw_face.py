"""Draw a face in the style of *hikime kagibana* ("line for an eye, hook for a nose"), as an example image free of licences.

    python -m experiments.figures.draw_face --out docs/images/hikime.png --size 512 --seed 0

The faces of Heian picture scrolls and of later books: white, full-cheeked, in three-quarter view, brows smudged high on
the forehead, hair falling over layered robes. No image is copied; every line is computed. Coordinates are units of the
drawing, y downwards, independent of the size in pixels.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from experiments.cli import require, run
from experiments.figures.elements import png_path
from experiments.figures.ink_drawing import INK, Array, Pair, Sheet, closed, curve, rotate, translate
from renderer.errors import InputError
from renderer.io.images import write_png

HAIR, SHEEN, SHELL_WHITE, SKIN_LINE = "#1f1b1c", "#4a474c", "#f0e9d9", "#6b5041"
ROUGE, SMUDGE, LIP, LOWER_LIP, LIP_LINE = "#e39c82", "#3a302d", "#b5322b", "#c8503e", "#5a1b18"
GOLD, FLAKE, OCHRE = "#dbb871", "#efd692", "#8d6a35"
TATAMI, STRAW, LINEN = "#54795c", "#2f5040", "#e2d4ad"
# Robes in traditional colour combinations (kasane): innermost first; the last is the pattern of the outermost.
ROBES = (
    "#efe6d2 #c8402a #d9a441 #4f7f5a #ece0c4 #6a8790 #e3d3a2",
    "#efe6d2 #5d8a63 #e2d3a6 #d2603a #7d5a86 #a2382d #e0b25a",
    "#efe6d2 #d9a441 #b23a34 #e6c9b8 #3f6a78 #5a6f47 #dfc27a",
    "#efe6d2 #b8342c #e9d9b4 #7b6a9c #4f7f5a #c08048 #f0e2bd",
)


@dataclass(frozen=True)
class Config:
    """Options of the drawing."""

    out: str = "docs/images/hikime.png"
    """The PNG to write."""
    size: int = 512
    """Pixels of its side, 16 to 1024."""
    seed: int = 0
    """Changes the background, the robes and, slightly, the features."""


def room(sheet: Sheet) -> None:
    """Draw paper, a tatami floor with its border, bands of gold cloud and flakes of gold."""
    sheet.canvas *= 1 + 0.03 * sheet.mottle(3, 7, 20)[..., None]
    edge = curve("-10,330 522,180", 12)
    mats = sheet.fill(np.concatenate((edge, curve("522,522 -10,522", 2))), TATAMI)
    sheet.ink([translate(edge, 0, y) for y in np.arange(2, 360, 3.6)], 0.9, STRAW, 0.35, within=mats)
    for top, bottom, pigment in ((0, 17, LINEN), (2, 15, INK), (7.5, 9.5, OCHRE)):
        sheet.fill(np.concatenate((translate(edge, 0, top), translate(edge[::-1], 0, bottom))), pigment)

    around = np.deg2rad(np.arange(-90, 91, 6))
    end = 14 * np.stack((np.cos(around), np.sin(around)), -1)
    for bands in (((60, -60, 168), (86, -60, 108), (36, -60, 232)), ((44, 386, 580), (70, 440, 580))):
        ends = [(translate(end, right, y), translate(-end, left, y)) for y, left, right in bands]
        clouds = [np.concatenate((right, left, right[:1])) for right, left in ends]
        sheet.ink(clouds, 2.6, OCHRE, 0.8)
        sheet.lay(sheet.area(*clouds) * sheet.body, GOLD)
    square = curve("-1,-1 1,-1", 2)
    square = np.concatenate((square, -square))
    places = sheet.rng.uniform(0, 512, 260), sheet.rng.triangular(30, 40, 170, 260)
    flakes = [translate(rotate(square * sheet.rng.uniform(0.4, 1.2), x), x, y) for x, y in zip(*places, strict=True)]
    sheet.lay(sheet.area(*flakes), FLAKE, 0.8)


def brocade(sheet: Sheet, within: Array, pigment: str, tilt: float) -> None:
    """Draw tortoise-shell hexagons, each with a flower of four petals (kikko ni hanabishi)."""
    size, lattice, petals = 17.0, [], []
    around = np.deg2rad(np.arange(0, 361, 60))
    corners = size * np.stack((np.sin(around), np.cos(around)), -1)
    hexagon = np.linspace(corners[:-1], corners[1:], 5, axis=1).reshape(-1, 2)
    petal = size * closed("0.08,0 0.3,-0.2 0.6,-0.13 0.52,0 0.6,0.13 0.3,0.2", 6)
    for row in range(-22, 23):
        for column in range(-20, 21):
            at = np.array([3**0.5 * size * (column + row % 2 / 2), 1.5 * size * row])
            if abs(rotate(at, tilt)).max() < 270:
                lattice.append(hexagon + at)
                petals += [rotate(petal, quarter) + at for quarter in (0, 90, 180, 270)]

    def draped(points: Array) -> Array:
        x, y = rotate(points, tilt).T
        return np.stack((x + 4 * np.sin(y / 37) + 256, y + 5 * np.sin(x / 43) + 430), -1)

    sheet.ink(map(draped, lattice), 1.2, pigment, 0.62, within=within)
    sheet.lay(sheet.area(*map(draped, petals)) * within * sheet.body, pigment, 0.8)


def robe(sheet: Sheet, layers: Sequence[str]) -> None:
    """Draw layers crossed left over right; each inner one shows as a stripe at the collar."""
    *plain, pattern = layers
    sheet.fill(closed("250,300 345,300 352,350 330,430 262,380"), SHELL_WHITE)
    neck = [curve("270,346 300,359 332,354"), curve("282,358 304,369 326,366")]
    sheet.ink(neck, 1.1, SKIN_LINE, 0.7, (0.2, 0.1))
    for k, pigment in enumerate(plain):  # each layer's collar lies one stripe further out
        lower = curve("236,320 268,374 318,426 372,478 420,532") + k * curve("-9.5,4 -9.5,4 -8,7.6 0,7.6 0,7.6")
        upper = curve("362,334 353,374 324,416 262,478 206,540") + k * curve("9.5,4 9.5,6 4,8.5 -4,8.5 -4,8.5")
        left = np.concatenate((lower, curve("420,570 -40,570 -40,480 30,424 120,372"), lower[:1]))
        right = np.concatenate((upper, curve("200,570 570,570 560,470 522,432 456,384"), upper[:1]))
        for panel, hem, inwards, tilt in ((left, lower, (-15, 9), 24.0), (right, upper, (16, 9), -32.0)):
            shape = sheet.fill(panel, pigment)
            if k == len(plain) - 1:
                brocade(sheet, shape, pattern, tilt)
                sheet.ink([translate(hem, *inwards)], 1.5, INK, 0.8, within=shape)
                folds = ("216,420 204,470 210,530", "446,404 462,452 456,530", "402,446 388,486 392,530")
                sheet.ink(map(curve, folds), 2.2, INK, 0.7, (0.1, 0.5), shape)
            sheet.ink([panel], 1.6, INK, 0.85)


def strands(rng: np.random.Generator, a: Array, b: Array, shares: Iterable[float], waver: float) -> list[Array]:
    """Hairs between curve `a` (share 0) and curve `b` (share 1), each with a random slow wave."""
    t = np.linspace(0, 1, len(a))[:, None]
    hairs = []
    for share in shares:
        bend = waver * t * np.sin(t * rng.uniform(2, 6) + rng.uniform(0, 6)) * [1, 0]
        hairs.append(a + (share + rng.normal(0, 0.012)) * (b - a) + bend)
    return hairs


def features(sheet: Sheet, tilt: float, slant: float, raised: float, smile: float) -> None:
    """Draw the face: shell-white, full low in the cheeks."""

    def head(points: Array, degrees: float = 0, centre: Pair = (0, 0)) -> Array:
        return rotate(rotate(points, degrees, centre), tilt, (285, 250))

    cheeks = "365,254 361,290 338,322 296,336 248,322 212,278"
    outline = head(closed(f"262,112 318,112 350,146 357,190 354,214 {cheeks} 200,222 212,158"))
    sheet.fill(outline, SHELL_WHITE)
    sheet.ink([outline], 1.5, SKIN_LINE)
    sheet.smudge(head(np.array([262, 268])), (36, 27), tilt, ROUGE, 0.34)
    # A line for an eye ...
    for at, *lines in (
        (
            (282, 216),
            "256,222 269,217.5 286,215 306,216",
            "280,217.4 284.5,217.9 289,217",
            "267,222 284,221.4 299,219",
            "258,215 277,207.5 302,207.5",
        ),
        (
            (344, 215),
            "334,215.5 343,213.2 354,214.5",
            "342,214.6 344.5,215.3 347,214.8",
            "337,218 344,218.5 351,217.5",
            "336,207 344,204.8 353,206",
        ),
    ):
        lid, iris, below, above = ([head(curve(line), slant, at)] for line in lines)
        sheet.ink(lid, 2.0, ends=(0.2, 0.25))
        sheet.ink(iris, 3.2, opacity=0.8, ends=(0.7, 0.7))
        sheet.ink(below, 0.9, INK, 0.65, (0.2, 0.2))
        sheet.ink(above, 0.9, SKIN_LINE, 0.6, (0.2, 0.2))
    # ... a hook for a nose, brows smudged high on the forehead, a small red mouth.
    sheet.ink([head(curve("323,204 328,226 334,247 335,256 329,261 318,260"))], 1.8, ends=(0.2, 0.3))
    sheet.smudge(head(np.array([280, 166 + raised])), (19, 7.5), tilt - 9, SMUDGE, 0.6)
    sheet.smudge(head(np.array([338, 162 + raised])), (12, 7), tilt - 9, SMUDGE, 0.6)
    sheet.fill(head(closed("312,289 323,290 333,289 328,295.5 320,296.5"), smile, (323, 290)), LOWER_LIP)
    sheet.fill(head(closed("310,288 318,284 323,286 328,284 335,288 323,290"), smile, (323, 290)), LIP)
    sheet.ink([head(curve("309,288 318,289.5 324,290 336,288"), smile, (323, 290))], 1.1, LIP_LINE)
    sheet.ink([head(curve("316,309 323,311 330,309"))], 0.9, SKIN_LINE, 0.6, (0.1, 0.1))


def face(size: int, seed: int) -> NDArray[np.uint8]:
    """The image, (size, size, 3), values 0-255; the same for the same seed."""
    rng = np.random.default_rng(seed)
    tilt, slant, raised, smile = rng.uniform((6, -2.5, -3, -5), (11, 2.5, 3, 5)).tolist()
    sheet = Sheet(size, rng)

    def fall(knots: str) -> Array:
        """A curve of hair that follows the head above and hangs straight below."""
        points = curve(knots, 120)
        return points + np.clip((420 - points[:, 1:]) / 200, 0, 1) * (rotate(points, tilt - 7, (285, 250)) - points)

    room(sheet)
    # Hair on the far side falls behind the shoulder.
    outer = fall("300,92 346,102 380,146 393,210 398,280 408,340 424,400")
    inner = fall("300,112 336,132 352,180 352,240 346,310 350,360 360,420")
    sheet.fill(np.concatenate((outer, inner[::-1])), HAIR)
    sheet.fill(fall("330,110 240,130 190,230 180,350 262,372 352,330 360,200"), HAIR)
    sheet.ink(strands(rng, outer, inner, rng.uniform(-0.12, 0.02, 7), 5), 1.2, HAIR)
    sheet.ink(strands(rng, outer, inner, rng.uniform(0.1, 0.7, 14), 3), 1.0, SHEEN, 0.28)
    robe(sheet, ROBES[seed % len(ROBES)].split())
    features(sheet, tilt, slant, raised, smile)
    # Hair on the near side: the mass, its sheen, and fine strands hanging over cheek and robe.
    outer = fall("330,96 296,74 240,78 188,116 150,188 114,280 66,390 0,530")
    inner = fall("334,112 300,120 262,146 232,204 214,280 194,360 164,440 132,530")
    sheet.fill(np.concatenate((outer, inner[::-1])), HAIR)
    sheet.ink(strands(rng, outer, inner, rng.uniform(0.06, 0.95, 46), 4), 1.0, SHEEN, 0.28)
    sheet.ink(strands(rng, outer, inner, rng.uniform(-0.07, 0.0, 9), 6), 1.3, HAIR)
    sheet.ink(strands(rng, outer, inner, np.linspace(1.0, 1.42, 10), 3), 1.35, HAIR)
    sheet.ink([fall("333,113 330,103 322,93")], 1.8, SHELL_WHITE, 0.6, (1, 0.1))
    sheet.age()
    return sheet.image()


def draw_face(config: Config) -> Path:
    """Draw a face in the style of hikime kagibana."""
    out = png_path(config.out)
    if not 16 <= config.size <= 1024:
        raise InputError(f"--size is the side in pixels, between 16 and 1024, not {config.size}.")
    require(config)
    write_png(face(config.size, config.seed), out, optimize=True)
    print(f"{out}: {config.size} x {config.size} pixels.")
    return out


if __name__ == "__main__":
    run(draw_face, Config, __doc__)
