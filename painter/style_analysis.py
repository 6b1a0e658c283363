"""Analyse the strokes of a style picture: palette, widths, lengths, curvature, directions and density of its lines.

    lightness -> ridges at several scales (Lindeberg 1998), dark and light -> skeleton -> paths
    width: scale of the strongest response along a path; length and curvature: of the path; direction: of its segments

No network and no training: what is measured can be shown on one page (`painter.style_sheet`), and sets the strokes of a
painting (`painter.styled_painting`).
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from painter.lines import follow, smooth_path
from renderer.checks import check_canvas
from renderer.constraints import hex_code, palette_of
from renderer.io.images import fit

Array = NDArray[Any]

SIDE = 512  # pixels on the long side while a picture is analysed
SCALES = tuple(1.0 * 1.5**i for i in range(8))  # standard deviations in pixels, to 17: lines up to .1 of the side
HALF_WIDTH = math.sqrt(1.5)  # of a bar, in standard deviations of the Gaussian that responds most strongly to it
WEAK, STRONG = 1.2, 3.0  # responses of a line, everywhere and somewhere at least, in units of CIE L*
LEAST_LENGTH = 6.0  # pixels of a path
PALETTE, PALETTE_SIDE = 8, 160  # colours, and pixels on the long side of the picture that they are chosen from
BINS = 12  # of directions, over 180 degrees
WINDOW = 0.06  # side of the window in which the density of lines is measured, as a fraction of the short side
SECOND = (  # second derivatives xx, xy, yy, by central differences
    np.array([[0, 0, 0], [1, -2, 1], [0, 0, 0]], np.float32),
    np.array([[1, 0, -1], [0, 0, 0], [-1, 0, 1]], np.float32) / 4,
    np.array([[0, 1, 0], [0, -2, 0], [0, 1, 0]], np.float32),
)
MOST_PATHS = 4000  # that are measured: the longest ones


@dataclass(frozen=True)
class StyleAnalysis:
    """What was measured in a style picture. Lengths are fractions of its short side.

    Attributes:
        palette: `#rrggbb`, the largest share first.
        shares: of the picture's area that is nearest to each of these colours; they sum to 1.
        lightness: 5, 50 and 95 % quantiles, CIE L* in [0, 100].
        chroma: mean distance from grey, CIE C*, 0 to about 130.
        lines: number of paths that were measured.
        radius: 10, 50 and 90 % quantiles of half widths, weighted by length.
        length: 50 and 90 % quantiles.
        curvature: median turning in radians along a path of the length of 10 half widths.
        directions: share of the length of all lines in each of 12 bins of 15 degrees, clockwise from the x axis.
        anisotropy: 0 for all directions alike, 1 for a single one.
        coherence: mean local agreement of directions, in [0, 1].
        spacing: median distance between neighbouring lines where there are some.
        covered: part of the area within a line's spacing of a line.
        dark: share of the length that is darker than its surroundings.
        ink: `#rrggbb`, the median colour along dark lines, in order of lightness the darkest third of them.
        contrast: mean difference of lightness between dark lines and their surroundings, CIE L*.
        texture: standard deviation of the lightness at the finest scale, CIE L*.
    """

    palette: tuple[str, ...]
    shares: tuple[float, ...]
    lightness: tuple[float, float, float]
    chroma: float
    lines: int
    radius: tuple[float, float, float]
    length: tuple[float, float]
    curvature: float
    directions: tuple[float, ...]
    anisotropy: float
    coherence: float
    spacing: float
    covered: float
    dark: float
    ink: str
    contrast: float
    texture: float

    def record(self) -> dict[str, Any]:
        """The numbers, as JSON can hold them."""
        return asdict(self)

    @property
    def material(self) -> str:
        """The material of `renderer.material.materials` that is nearest to what was measured.

        Light grey pictures are ink where black and white are far apart, else charcoal; light, thin colour is watercolour;
        flat colour gouache; rough, strong colour impressionist; and all others oil.
        """
        dark, middle, light = self.lightness
        if self.chroma < 6 and middle > 40:
            return "ink" if light - dark > 75 and self.texture < 12 else "charcoal"
        if middle > 72 and self.chroma < 22 and self.texture < 4:
            return "watercolour"
        if self.texture < 2.2:
            return "gouache"
        return "impressionist" if self.texture > 5 and self.chroma > 16 else "oil"


@dataclass(frozen=True)
class Lines:
    """The lines of a picture of `size` (height, width).

    paths: (n, 2) of x, y in pixels each; radii: the half width of each in pixels; dark: whether it is darker than around
    """

    size: tuple[int, int]
    paths: list[Array]
    radii: Array
    dark: Array


def analyse_style(picture: Tensor) -> StyleAnalysis:
    """Measure the strokes of a picture `(3, H, W)`, sRGB in [0, 1]. Raises `InputError` for anything else."""
    check_canvas(picture, "A style picture", values=True)
    picture = fit(picture.detach().cpu().float(), SIDE)
    lab = to_lab(picture)
    return measure(picture, lab, find_lines(lab[..., 0]))


def measure(picture: Tensor, lab: Array, lines: Lines) -> StyleAnalysis:
    """`analyse_style` of a picture `(3, H, W)` with its colours `(H, W, 3)` in CIE L*a*b* and its lines."""
    import cv2  # here, because it takes long to import

    height, width = lines.size
    short = min(height, width)
    palette, shares = _palette(picture, lab)
    lightness, *chroma = np.moveaxis(lab, -1, 0)
    smooth = cv2.GaussianBlur(lightness, (0, 0), 1.5)
    few = lambda values, parts, weights=None: tuple(  # noqa: E731
        round(float(v), 5) for v in _quantiles(values, parts, weights)
    )
    lengths = np.array([path_length(path) for path in lines.paths])
    segments = [np.diff(path[:: max(1, min(4, len(path) - 1))], axis=0) for path in lines.paths]
    moves = np.concatenate(segments) if segments else np.zeros((0, 2))
    angle, weight = np.arctan2(moves[:, 1], moves[:, 0]) % np.pi, np.hypot(*moves.T)
    histogram, _ = np.histogram(angle, BINS, (0, np.pi), weights=weight)
    whole = max(float(weight.sum()), 1e-9)
    doubled = complex((weight * np.exp(2j * angle)).sum() / whole)
    turning = np.array([path_turning(path) for path in lines.paths])
    spacing, covered = _spacing(lines)
    ink, contrast = _ink(lab, lines)
    return StyleAnalysis(
        palette,
        shares,
        few(lightness.ravel(), (0.05, 0.5, 0.95)),  # type: ignore[arg-type]
        round(float(np.hypot(*chroma).mean()), 3),
        len(lines.paths),
        few(lines.radii / short, (0.1, 0.5, 0.9), lengths),  # type: ignore[arg-type]
        few(lengths / short, (0.5, 0.9), lengths),  # type: ignore[arg-type]
        few(turning * 10 * lines.radii / np.maximum(lengths, 1), (0.5,), lengths)[0],
        tuple(round(float(v), 5) for v in histogram / whole),
        round(abs(doubled), 5),
        round(_coherence(picture), 5),
        round(spacing / short, 5),
        round(covered, 5),
        round(float((lengths * lines.dark).sum() / max(lengths.sum(), 1e-9)), 5),
        ink,
        round(contrast, 3),
        round(float((lightness - smooth).std()), 4),
    )


def to_lab(picture: Tensor) -> Array:
    """sRGB `(3, H, W)` in [0, 1] -> CIE L*a*b* (H, W, 3) float32."""
    import cv2

    pixels = picture.detach().cpu().float().clamp(0, 1).permute(1, 2, 0).contiguous().numpy()
    return cv2.cvtColor(pixels, cv2.COLOR_RGB2LAB)


def from_lab(lab: Array) -> Tensor:
    """The inverse of `to_lab`, clipped to [0, 1]."""
    import cv2

    pixels = cv2.cvtColor(np.ascontiguousarray(lab, np.float32), cv2.COLOR_LAB2RGB).clip(0, 1)
    return torch.from_numpy(pixels).permute(2, 0, 1).contiguous()


def find_lines(lightness: Array) -> Lines:
    """Find the lines of a picture of lightness `(H, W)` in [0, 100], dark and light ones.

    The response of a scale is the larger eigenvalue of the Hessian times sigma^1.5, which is largest where sigma is that of
    the line's profile (Lindeberg 1998, section 5.6, gamma = 3/4). Responses are thresholded with hysteresis and thinned.
    """
    import cv2  # here, as the next ones, because it takes long to import
    from skimage.filters import apply_hysteresis_threshold
    from skimage.morphology import skeletonize

    size = lightness.shape[0], lightness.shape[1]
    best, scale, dark = np.zeros(size, np.float32), np.ones(size, np.float32), np.zeros(size, bool)
    for sigma in SCALES:
        if 3 * sigma > min(size):
            break
        smooth = cv2.GaussianBlur(lightness.astype(np.float32), (0, 0), sigma, borderType=cv2.BORDER_REFLECT)
        xx, xy, yy = (cv2.filter2D(smooth, -1, kernel, borderType=cv2.BORDER_REPLICATE) for kernel in SECOND)
        middle, reach = (xx + yy) / 2, np.hypot((xx - yy) / 2, xy)
        high, low = middle + reach, middle - reach
        value = np.where(high > -low, high, low)
        # A blob or the side of an edge curves in both directions or little: only what is long counts.
        response = (np.abs(value) - np.abs(np.where(high > -low, low, high))).clip(0) * sigma**1.5
        better = response > best
        best[better], scale[better], dark[better] = response[better], sigma, value[better] > 0
    paths: list[Array] = []
    radii, darks = [], []
    for sign in (True, False):
        mask = apply_hysteresis_threshold(np.where(dark == sign, best, 0), WEAK, STRONG)
        for path in follow(skeletonize(mask)):
            if path_length(path) < LEAST_LENGTH:
                continue
            x, y = path.astype(int).T
            paths.append(smooth_path(path + 0.5))
            radii.append(HALF_WIDTH * float(np.median(scale[y, x])))
            darks.append(sign)
    longest = sorted(range(len(paths)), key=lambda i: -len(paths[i]))[:MOST_PATHS]
    return Lines(size, [paths[i] for i in longest], np.array(radii)[longest], np.array(darks, bool)[longest])


def path_length(path: Array) -> float:
    """Length of a path (n, 2)."""
    return float(np.hypot(*np.diff(path, axis=0).T).sum())


def path_turning(path: Array) -> float:
    """Sum of the absolute turns of a path (n, 2), in radians, between pieces of about 5 points."""
    corners = path[np.linspace(0, len(path) - 1, max(2, len(path) // 5 + 1)).astype(int)]
    moves = np.diff(corners, axis=0)
    angle = np.arctan2(moves[:, 1], moves[:, 0])
    turns = np.diff(angle)
    return float(np.abs((turns + np.pi) % (2 * np.pi) - np.pi).sum())


def _palette(picture: Tensor, lab: Array) -> tuple[tuple[str, ...], tuple[float, ...]]:
    colours = palette_of(fit(picture, PALETTE_SIDE), PALETTE)
    known = to_lab(colours.T[..., None])[:, 0]
    distance = np.stack([np.square(lab - colour).sum(-1) for colour in known])
    count = np.bincount(distance.argmin(0).ravel(), minlength=len(known)) / lab[..., 0].size
    order = (-count).argsort()
    return tuple(hex_code(colours[i]) for i in order), tuple(round(float(count[i]), 5) for i in order)


def _quantiles(values: Array, parts: tuple[float, ...], weights: Array | None = None) -> Array:
    """Weighted quantiles; 0 without values."""
    if len(values) == 0:
        return np.zeros(len(parts))
    if weights is None:
        return np.quantile(values, parts)
    order = values.argsort()
    reached = weights[order].cumsum()
    return values[order][np.searchsorted(reached, np.array(parts) * reached[-1]).clip(0, len(values) - 1)]


def _spacing(lines: Lines) -> tuple[float, float]:
    """The distance between neighbouring lines in pixels, where there are some, and the part of the area that has some.

    A window of area A with lines of length l has them A / l apart.
    """
    import cv2

    height, width = lines.size
    drawn = np.zeros(lines.size, np.float32)
    for path in lines.paths:
        x, y = path.astype(int).T
        drawn[y.clip(0, height - 1), x.clip(0, width - 1)] = path_length(path) / max(1, len(path) - 1)
    side = max(3, round(WINDOW * min(lines.size)))
    density = cv2.blur(drawn, (side, side))
    some = density > 1.5 / side  # one line and a half across the window
    return (float(1 / np.median(density[some])) if some.any() else 0.0), float(some.mean())


def _ink(lab: Array, lines: Lines) -> tuple[str, float]:
    """The colour of the darkest third of the points on dark lines, and how much darker than around dark lines are."""
    import cv2

    points = [path for path, dark in zip(lines.paths, lines.dark, strict=True) if dark]
    if not points:
        return "#000000", 0.0
    height, width = lines.size
    x, y = np.concatenate(points).astype(int).T
    y, x = y.clip(0, height - 1), x.clip(0, width - 1)
    around = cv2.GaussianBlur(lab[..., 0], (0, 0), 0.02 * min(lines.size))
    on = lab[y, x]
    darkest = on[on[:, 0] <= np.quantile(on[:, 0], 1 / 3)]
    colour = from_lab(np.median(darkest, axis=0)[None, None].astype(np.float32))[:, 0, 0]
    return hex_code(colour), float((around[y, x] - on[:, 0]).mean())


def _coherence(picture: Tensor) -> float:
    from painter.losses.guidance import orientation

    return float(orientation(picture, 0.02).norm(dim=0).mean())
