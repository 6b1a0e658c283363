"""Papers and grounds that a painting is drawn on: a relief and a tint for every pixel, at any size.

Fibres, lines and threads have sizes in fractions of the canvas' short side, so that a larger canvas shows the same sheet in
more pixels.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from renderer.errors import InputError
from renderer.io.images import fit, read_image, to_bytes
from renderer.io.read import guarded, one_line
from renderer.material.noise_tiles import Array, canvas_field

Size = tuple[int, int]
"""(height, width) in pixels."""


PHOTOGRAPH = "data:image/jpeg;base64,"  # how the text of a paper from a file begins
LONGEST_PHOTOGRAPH = 1024  # pixels on its long side


@dataclass(frozen=True)
class Sheet:
    """A paper at one size.

    relief: (h, w) with mean 0 and variance about 1, high where the sheet is thick
    tint: (h, w, 3) or (1, 1, 3), what the background's colour is multiplied by
    depth: height of one unit of relief, as a fraction of the short side
    """

    relief: Array
    tint: Array
    depth: float


Paper = Callable[[Size, int], Sheet]
"""(size, seed) -> the sheet of that size."""


def _normal(field: Array) -> Array:
    return np.asarray((field - field.mean()) / max(1e-6, float(field.std())), np.float32)


def _tint(colour: tuple[float, float, float], shade: Array, amount: float) -> Array:
    tint = np.array(colour, np.float32) * (1 + amount * shade[..., None])
    return np.clip(tint, 0, 1).astype(np.float32)


def smooth(size: Size, seed: int) -> Sheet:
    """A smooth sheet, white and flat."""
    return Sheet(np.zeros((1, 1), np.float32), np.ones((1, 1, 3), np.float32), 0.0)


def rough(size: Size, seed: int) -> Sheet:
    """Cold-pressed cotton paper: soft bumps of many sizes."""
    relief = (
        0.62 * canvas_field(size, 0.0028, seed)
        + 0.50 * canvas_field(size, 0.0047, seed + 1)
        + 0.40 * canvas_field(size, 0.0014, seed + 2)
        + 0.25 * canvas_field(size, 0.019, seed + 3)
    )
    relief = _normal(relief + 0.18 * (relief**2 - 1))  # wide bumps, narrow valleys
    return Sheet(relief, _tint((0.985, 0.975, 0.95), relief, 0.006), 3.0e-4)


def washi(size: Size, seed: int) -> Sheet:
    """Japanese paper of mulberry: long curved fibres in a soft, cloudy sheet."""
    fibres = _fibres(size, 420, (0.10, 0.42), 0.0011, seed) + 0.5 * _fibres(size, 2200, (0.02, 0.09), 0.0008, seed + 1)
    bright = _fibres(size, 26, (0.15, 0.5), 0.0022, seed + 2)
    cloud, fine = canvas_field(size, 0.03, seed + 3), canvas_field(size, 0.0016, seed + 4)
    relief = _normal(1.0 * fibres + 0.9 * bright + 0.25 * cloud + 0.35 * fine)
    shade = 0.5 * cloud + 0.35 * fine
    tint = _tint((0.955, 0.925, 0.86), shade.astype(np.float32), 0.014)
    tint = tint * (1 - 0.05 * np.clip(fibres, 0, 2)[..., None] * np.array([0.5, 0.7, 1.0], np.float32))
    return Sheet(relief, np.clip(tint + 0.035 * bright[..., None], 0, 1).astype(np.float32), 1.8e-4)


def laid(size: Size, seed: int) -> Sheet:
    """Laid paper: close lines of the mould's wires, and chain lines across them."""
    short = min(size)
    y = (np.arange(size[0], dtype=np.float32)[:, None] + 0.5) / short
    x = (np.arange(size[1], dtype=np.float32)[None] + 0.5) / short
    waver = 0.0016 * canvas_field(size, 0.09, seed)
    wires = np.cos(2 * np.pi * (y + waver) * 130)
    chain = np.exp(-((((x + 0.7 * waver) * 14) % 1 - 0.5) ** 2) / (2 * 0.035**2))
    mould = 0.55 * canvas_field(size, 0.0022, seed + 1) + 0.35 * canvas_field(size, 0.0045, seed + 2)
    strength = 1 + 0.3 * canvas_field(size, 0.04, seed + 3)
    relief = _normal(0.55 * wires * strength + 0.7 * chain + 1.3 * mould)
    cloud = canvas_field(size, 0.035, seed + 4)
    return Sheet(relief, _tint((0.965, 0.945, 0.895), (0.6 * relief + cloud).astype(np.float32), 0.006), 1.6e-4)


def canvas(size: Size, seed: int) -> Sheet:
    """Primed linen: a plain weave with threads of uneven breadth."""
    short, threads = min(size), 190.0
    y = (np.arange(size[0], dtype=np.float32)[:, None] + 0.5) / short * threads
    x = (np.arange(size[1], dtype=np.float32)[None] + 0.5) / short * threads
    # Threads wander, each along its own length.
    x = x + 0.28 * canvas_field(size, (0.12, 0.008), seed)
    y = y + 0.28 * canvas_field(size, (0.008, 0.12), seed + 1)
    over = np.cos(np.pi * x) * np.cos(np.pi * y)  # its sign says which thread lies on top
    warp = np.abs(np.sin(np.pi * x)) * (0.75 + 0.25 * np.tanh(3 * over))
    weft = np.abs(np.sin(np.pi * y)) * (0.75 - 0.25 * np.tanh(3 * over))
    slub = 1 + 0.16 * canvas_field(size, (0.05, 0.006), seed + 2) + 0.16 * canvas_field(size, (0.006, 0.05), seed + 3)
    relief = _normal(np.maximum(warp, weft) * slub + 0.06 * canvas_field(size, 0.0018, seed + 4))
    return Sheet(relief, _tint((0.975, 0.96, 0.93), relief, 0.010), 2.6e-4)


def _fibres(size: Size, count: int, lengths: tuple[float, float], breadth: float, seed: int) -> Array:
    """Curved lines at random, about 1 on a line and 0 beside it; crossing lines add up."""
    import cv2

    short, random = min(size), np.random.default_rng(seed)
    count = int(count * size[0] * size[1] / short**2)
    total: Array = np.zeros(size, np.float32)
    layers = 4
    thick = max(1.0, breadth * short)
    strength = min(1.0, breadth * short)
    for _ in range(layers):
        layer = np.zeros(size, np.uint8)
        for _ in range(-(-count // layers)):
            place, shape = random.random(2), random.random(5)
            length = lengths[0] + (lengths[1] - lengths[0]) * shape[0] ** 2
            steps = np.linspace(-0.5, 0.5, 13)
            angle = 2 * math.pi * shape[1] + 2.4 * (shape[2] - 0.5) * steps + 1.2 * (shape[3] - 0.5) * np.cos(9 * steps)
            points = np.cumsum(np.stack((np.cos(angle), np.sin(angle)), -1), 0) * length / 13
            points = points - points[6] + place * (size[1] / short, size[0] / short)
            value = int(255 * (0.35 + 0.65 * shape[4]))
            cv2.polylines(
                layer,
                [np.rint(points * short * 16).astype(np.int32)],
                False,
                value,
                max(1, round(thick)),
                cv2.LINE_AA,
                4,
            )
        total += layer
    total = cv2.GaussianBlur(total, (0, 0), max(0.5, 0.35 * thick))
    return np.asarray(strength * total / 255, np.float32)


def embedded_paper(path: str) -> str:
    """An image file as text that a painting can hold, and `make_sheet` reads. Raises `InputError`."""
    import cv2

    image = read_image(path, LONGEST_PHOTOGRAPH)
    image = fit(image, min(LONGEST_PHOTOGRAPH, max(image.shape[1:])))
    _, data = cv2.imencode(".jpg", to_bytes(image)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])
    return PHOTOGRAPH + base64.b64encode(data.tobytes()).decode()


def _photograph(text: str, size: Size) -> Sheet:
    """The sheet that a photograph or scan shows, mirrored at its edges; dark is deep."""
    import cv2

    with guarded("The photograph of a paper", InputError, "cannot be read"):
        data = base64.b64decode(text[len(PHOTOGRAPH) :], validate=True)
        decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
        if decoded is None or max(decoded.shape) > LONGEST_PHOTOGRAPH:
            raise ValueError("it is damaged or too large")
    image: Array = decoded[..., ::-1].astype(np.float32) / 255
    scale = min(size) / min(image.shape[:2])
    shape = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    image = cv2.resize(image, shape, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    while image.shape[0] < size[0] or image.shape[1] < size[1]:  # mirrored as often as it takes
        down, across = (min(have, max(0, side - have)) for side, have in zip(size, image.shape[:2], strict=True))
        image = cv2.copyMakeBorder(image, 0, down, 0, across, cv2.BORDER_REFLECT)
    image = image[: size[0], : size[1]]
    grey = image.mean(-1)
    relief = _normal(grey - cv2.GaussianBlur(grey, (0, 0), 0.02 * min(size)))  # its grain, not its light
    tint = image / max(1e-3, float(np.quantile(image, 0.99)))
    return Sheet(relief, np.clip(tint, 0, 1).astype(np.float32), 3e-4)


_PAPERS: dict[str, Paper] = {"none": smooth, "rough": rough, "washi": washi, "laid": laid, "canvas": canvas}


def register_paper(name: str, paper: Paper) -> None:
    """Let `--paper` find a paper; one registered earlier under the name is replaced."""
    _PAPERS[name] = paper


def paper_names() -> list[str]:
    """The papers that `make_sheet` knows, in a fixed order."""
    return list(_PAPERS)


def check_paper(name: str) -> None:
    """Raise `InputError` unless `name` is a paper or the text of `embedded_paper`."""
    if name not in _PAPERS and not name.startswith(PHOTOGRAPH):
        raise InputError(f"There is no paper {one_line(name)}; choose one of {', '.join(_PAPERS)}, or an image file.")


def make_sheet(name: str, size: Size, seed: int = 0) -> Sheet:
    """The sheet of a paper by its name, or of the text of `embedded_paper`. Raises `InputError`."""
    check_paper(name)
    return _PAPERS[name](size, seed) if name in _PAPERS else _photograph(name, size)
