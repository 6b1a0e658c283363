"""Cartoon faces in the manner of KaoKore: flat colours, ink lines, line eyes and a hook nose (hikime kagibana)."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

SIZE = 256  # pixels
BALD = 4
"""Added to the status labels 0 to 3: a priest, whom the data set does not label."""

Point = tuple[float, float]
Colour = tuple[int, int, int]

_FINE = 4 * SIZE  # drawn four times as large and then averaged, for smooth edges
_INK = (38, 32, 34)
_PAPERS = ((216, 196, 152), (188, 160, 98), (150, 168, 132), (128, 150, 168), (206, 186, 176), (172, 140, 110))
_ROBES = ((166, 52, 44), (46, 76, 128), (70, 108, 68), (134, 78, 130), (214, 150, 56), (96, 84, 72), (224, 212, 190))
_SKINS = ((246, 236, 218), (238, 220, 194), (232, 206, 178))
_DEMONS = ((196, 84, 66), (104, 142, 108), (104, 124, 160))


def draw_face(rng: np.random.Generator, female: bool, status: int) -> np.ndarray:
    """Draw a face as an array (256, 256, 3) of uint8 RGB.

    `status`: 0 noble (court hat, or long hair and high brows), 1 warrior (shaven crown and topknot, or tied hair), 2
    incarnation (red, green or blue skin and horns), 3 commoner (headscarf), 4 priest (`BALD`).
    """
    paper = _pick(rng, _PAPERS)
    robe, collar = (_ROBES[index] for index in rng.permutation(len(_ROBES))[:2])
    skin = _pick(rng, _DEMONS if status == 2 else _SKINS)
    centre = (0.5 + rng.uniform(-0.04, 0.04), 0.49 + rng.uniform(-0.03, 0.03))
    pen = _Pen(_tint(rng, paper), centre, scale=rng.uniform(0.95, 1.3))
    for _ in range(rng.integers(0, 4)):  # bands of mist
        pen.mist(rng.uniform(0, 1), rng.uniform(0, 1), rng.uniform(0.02, 0.05), _tint(rng, paper, 24))
    width = rng.uniform(0.20, 0.225)

    long_hair = female and status != BALD
    if long_hair:  # falls behind the shoulders
        pen.oval((0, -0.02), (width + 0.085, 0.33), _INK)
        pen.shape([(-width - 0.08, 0), (width + 0.08, 0), (width + 0.10, 0.6), (-width - 0.10, 0.6)], _INK)
    _robe(pen, robe, collar, skin)
    if not long_hair and status in (0, 1):
        pen.oval((0, -0.07), (width + 0.035, 0.235), _INK)
    pen.oval((0, 0), (width, 0.26), skin, line=0.007)
    pen.oval((-width - 0.005, 0.03), (0.025, 0.05), skin, line=0.006)
    _hair(pen, width, female, status, _tint(rng, robe, 30), skin)
    _features(pen, rng, female, status)

    face = cv2.resize(pen.canvas, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(face[:, ::-1]) if rng.random() < 0.5 else face


def _robe(pen: _Pen, robe: Colour, collar: Colour, skin: Colour) -> None:
    pen.shape([(-0.09, 0.15), (0.09, 0.15), (0.12, 0.40), (-0.12, 0.40)], skin, line=0.006)
    left = [*_curve((-0.10, 0.27), (-0.30, 0.31), (-0.46, 0.62)), (0.10, 0.66)]
    pen.shape([*_curve((0.10, 0.27), (0.30, 0.31), (0.46, 0.62)), (-0.10, 0.66)], robe, line=0.006)
    pen.shape(left, robe, line=0.006)
    pen.shape([(-0.13, 0.25), (-0.08, 0.24), (0.12, 0.62), (0.02, 0.62)], collar, line=0.005)
    pen.shape([(0.13, 0.25), (0.08, 0.24), (-0.06, 0.48), (-0.01, 0.58)], collar, line=0.005)


def _hair(pen: _Pen, width: float, female: bool, status: int, cloth: Colour, skin: Colour) -> None:
    top = [
        *_curve((-width, -0.05), (-width * 0.9, -0.31), (0, -0.30)),
        *_curve((0, -0.30), (width * 0.9, -0.31), (width, -0.05)),
    ]
    if status == BALD:
        pen.line(_curve((-0.08, -0.20), (0, -0.225), (0.08, -0.20)), 0.004)
    elif status == 3:  # a headscarf, knotted at the side
        pen.shape([*top, *_curve((width, -0.05), (0, -0.20), (-width, -0.05))], cloth, line=0.006)
        pen.shape([(width - 0.02, -0.10), (width + 0.10, -0.17), (width + 0.07, -0.05)], cloth, line=0.006)
        pen.shape([(width - 0.02, -0.08), (width + 0.11, -0.03), (width + 0.04, 0.03)], cloth, line=0.006)
    elif female:  # parted in the middle
        for side in (-1, 1):
            lock = [
                (0, -0.31),
                *_curve((0, -0.24), (side * width, -0.20), (side * width * 0.98, 0.12)),
                (side * (width + 0.05), 0.14),
            ]
            pen.shape([*lock, *_curve((side * (width + 0.06), -0.05), (side * width, -0.32), (0, -0.31))], _INK)
    elif status == 2:  # a wild mane
        spikes = [
            (x, -0.27 - 0.05 * (k % 2) + 0.9 * x * x)
            for k, x in enumerate(np.linspace(-width - 0.04, width + 0.04, 15))
        ]
        pen.shape([*spikes, *_curve((width, -0.06), (0, -0.22), (-width, -0.06))], _INK)
    elif status == 1:  # shaven crown, topknot
        pen.shape(
            [
                *top,
                *_curve((width, -0.05), (width * 0.7, -0.16), (0.09, -0.20)),
                *_curve((-0.09, -0.20), (-width * 0.7, -0.16), (-width, -0.05)),
            ],
            _INK,
        )
        pen.shape(_curve((-0.10, -0.20), (0, -0.35), (0.10, -0.20)), skin)
        pen.shape([(-0.025, -0.27), (0.025, -0.27), (0.05, -0.38), (-0.02, -0.40)], _INK)
    else:  # a noble's tall lacquered hat over a hairline
        pen.shape([*top, *_curve((width, -0.05), (0, -0.22), (-width, -0.05))], _INK)
        pen.shape(
            [(-0.13, -0.24), *_curve((-0.12, -0.40), (-0.02, -0.52), (0.09, -0.46)), (0.13, -0.24)],
            (58, 52, 58),
            line=0.006,
        )
        pen.line(_curve((-0.13, -0.26), (0, -0.30), (0.13, -0.26)), 0.006, (112, 104, 108))
    if status == 2:
        for side in (-1, 1):
            pen.shape(
                [*_curve((side * 0.07, -0.25), (side * 0.09, -0.33), (side * 0.14, -0.40)), (side * 0.13, -0.24)],
                (232, 214, 160),
                line=0.006,
            )


def _features(pen: _Pen, rng: np.random.Generator, female: bool, status: int) -> None:
    turn = rng.uniform(0.02, 0.05)  # three-quarter view: the features sit to one side
    tilt, bow = rng.uniform(-0.008, 0.012), rng.uniform(0.008, 0.022)
    for side in (-1, 1):
        x = turn + side * 0.088
        if status == 2:  # round staring eyes
            pen.oval((x, -0.02), (0.040, 0.030), (250, 246, 226), line=0.007)
            pen.oval((x + 0.006, -0.018), (0.013, 0.015), _INK)
            pen.line([(x - side * 0.05, -0.055), (x + side * 0.05, -0.095)], 0.018)
            continue
        pen.line(_curve((x - 0.045, side * tilt), (x, -bow), (x + 0.045, -side * tilt)), 0.009)
        pen.line(_curve((x - 0.030, 0.012), (x, 0.020), (x + 0.030, 0.012)), 0.004)
        if female and status == 0:  # shaved brows, painted again high on the forehead
            pen.oval((x, -0.125), (0.035, 0.014), (122, 110, 108), angle=side * 8)
        else:
            pen.line(_curve((x - 0.05, -0.055), (x, -0.082 - bow), (x + 0.05, -0.060)), 0.012 if status == 1 else 0.008)
    nose = 0.012 if female else 0.020
    pen.line(
        [*_curve((turn + 0.015, -0.01), (turn + 0.03, 0.05), (turn + 0.035 + nose, 0.085)), (turn + 0.005, 0.095)],
        0.007,
    )
    red = (186, 58, 52)
    if status == 2:
        pen.oval((turn, 0.155), (0.075, 0.026), red, line=0.007)
        for side in (-1, 1):
            pen.shape(
                [(turn + side * 0.05, 0.165), (turn + side * 0.03, 0.165), (turn + side * 0.04, 0.13)], (250, 246, 226)
            )
    else:
        pen.oval((turn + 0.005, 0.15), (0.026 if female else 0.036, 0.013), red)
        pen.line(_curve((turn - 0.03, 0.149), (turn + 0.005, 0.154), (turn + 0.04, 0.147)), 0.004)
    if not female and status in (0, 1) and rng.random() < 0.6:  # moustache and a tuft
        for side in (-1, 1):
            pen.line(
                _curve((turn + side * 0.012, 0.122), (turn + side * 0.05, 0.120), (turn + side * 0.075, 0.145)), 0.006
            )
        pen.line([(turn + 0.005, 0.19), (turn + 0.008, 0.225)], 0.010)


class _Pen:
    """Draws on a large square in face units: (0, 0) is the middle of the face, 1 the side of the image."""

    def __init__(self, paper: Colour, centre: Point, scale: float) -> None:
        self.canvas = np.full((_FINE, _FINE, 3), paper, np.uint8)
        self.centre, self.scale = np.array(centre), scale

    def _pixels(self, points: Sequence[Point]) -> np.ndarray:
        return np.rint((self.centre + self.scale * np.asarray(points)) * _FINE).astype(np.int32)

    def _thick(self, width: float) -> int:
        return max(1, round(width * self.scale * _FINE))

    def shape(self, points: Sequence[Point], colour: Colour, line: float = 0.0) -> None:
        """Draw a filled polygon, with an ink outline of width `line`."""
        cv2.fillPoly(self.canvas, [self._pixels(points)], colour)
        if line:
            cv2.polylines(self.canvas, [self._pixels(points)], True, _INK, self._thick(line))

    def line(self, points: Sequence[Point], width: float, colour: Colour = _INK) -> None:
        """Draw an open stroke with round ends."""
        cv2.polylines(self.canvas, [self._pixels(points)], False, colour, self._thick(width))

    def oval(self, centre: Point, axes: Point, colour: Colour, angle: float = 0.0, line: float = 0.0) -> None:
        """Draw a filled ellipse with half-axes `axes`, rotated by `angle` degrees."""
        turn, theta = np.deg2rad(angle), np.linspace(0, 2 * np.pi, 180, endpoint=False)
        x, y = axes[0] * np.cos(theta), axes[1] * np.sin(theta)
        points = np.stack([x * np.cos(turn) - y * np.sin(turn), x * np.sin(turn) + y * np.cos(turn)], axis=1) + centre
        self.shape(points.tolist(), colour, line)

    def mist(self, x: float, y: float, radius: float, colour: Colour) -> None:
        """Draw a band of mist, in units of the image."""
        ends = np.rint(np.array([(x - 0.4, y), (x + 0.3, y)]) * _FINE).astype(np.int32)
        cv2.line(self.canvas, tuple(ends[0].tolist()), tuple(ends[1].tolist()), colour, round(2 * radius * _FINE))


def _curve(start: Point, control: Point, end: Point, n: int = 24) -> list[Point]:
    """`n` points of a quadratic Bezier curve."""
    t = np.linspace(0, 1, n)[:, None]
    points = (1 - t) ** 2 * np.array(start) + 2 * t * (1 - t) * np.array(control) + t**2 * np.array(end)
    return [(float(x), float(y)) for x, y in points]


def _pick(rng: np.random.Generator, colours: Sequence[Colour]) -> Colour:
    return _tint(rng, colours[int(rng.integers(len(colours)))])


def _tint(rng: np.random.Generator, colour: Colour, spread: int = 12) -> Colour:
    """`colour`, lighter or darker by up to `spread`, with a small change of hue."""
    shift = rng.integers(-spread, spread + 1) + rng.integers(-4, 5, 3)
    red, green, blue = (int(value) for value in np.clip(np.array(colour) + shift, 0, 255))
    return red, green, blue
