"""Colour profiles of images: from the colours of a profile to sRGB.

A profile of curves and a matrix (Adobe RGB, Display P3, ProPhoto, grey, the gamma and primaries of a PNG) is computed in
floating point, so that 16-bit images keep their bits. One with tables (CMYK, printers, scanners, Lab) goes through
LittleCMS (`PIL.ImageCms`) with the perceptual intent, at 8 bits a channel, whatever the image's depth. Colours outside
sRGB are clipped. Formats: ICC.1:2010 (profile version 4), PNG (third edition), section 11.3.2.
"""

from __future__ import annotations

import functools
import io
import struct
from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image, ImageCms

Converter = Callable[[np.ndarray], np.ndarray]  # (H, W, channels) -> (H, W, 1 | 3), float32 in [0, 1]
Curve = Callable[[np.ndarray], np.ndarray]  # a channel in [0, 1] to linear light

SRGB = (0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)  # x and y of white, red, green, blue
D50 = (0.9642, 1.0, 0.8249)
BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
ICC_SPACES = {b"GRAY": "L", b"RGB ": "RGB", b"CMYK": "CMYK"}
ICC_CLASSES = (b"scnr", b"mntr", b"prtr", b"spac")


class ProfileError(ValueError):
    """A colour profile is damaged or does not belong to the image."""


@functools.lru_cache(maxsize=16)  # most images of a folder have the same profile
def icc_converter(profile: bytes, mode: str) -> Converter | None:
    """The function from the colours of an ICC profile to sRGB.

    Args:
        profile: the embedded file.
        mode: L, RGB or CMYK: the channels of the pixels. Grey pixels may have an RGB profile.

    Returns:
        None where the profile is sRGB itself, within 1/255.

    Raises:
        ProfileError: for a damaged profile, or one for other channels.
    """
    if len(profile) < 132 or profile[36:40] != b"acsp" or profile[12:16] not in ICC_CLASSES:
        raise ProfileError("it is no ICC profile of an image")
    space = ICC_SPACES.get(profile[16:20], "other")
    if space != mode and (space, mode) != ("RGB", "L"):
        raise ProfileError(f"it describes {profile[16:20].decode('latin-1').strip()} and the pixels are {mode}")
    try:
        with np.errstate(all="ignore"):
            return _unless_srgb(
                _computed(profile) or _cms_converter(ImageCms.ImageCmsProfile(io.BytesIO(profile)), space), mode
            )
    except ProfileError:
        raise
    except (ImageCms.PyCMSError, ArithmeticError, LookupError, OSError, ValueError, struct.error) as error:
        raise ProfileError("it is damaged") from error


def png_converter(gamma: float | None, chromaticities: Sequence[float] | None, mode: str) -> Converter | None:
    """The function from the colours of a PNG with the chunks gAMA and cHRM to sRGB, or None where they are sRGB's.

    Args:
        gamma: the exponent from light to values. Within 5 % of 1/2.2, which stands for the curve of sRGB in a PNG, it is
            taken as that (as libpng does).
        chromaticities: x and y of white, red, green and blue.
        mode: L or RGB, the channels of the pixels.

    Raises:
        ProfileError: for values that describe no colours.
    """
    if gamma is not None and not 0.01 <= gamma <= 100:
        raise ProfileError(f"its gamma is {gamma}")
    curve: Curve = _srgb_to_linear
    if gamma is not None and abs(gamma * 2.2 - 1) > 0.05:
        curve = _parametric(1 / gamma)
    matrix = np.eye(3)
    if chromaticities is not None and mode == "RGB":
        matrix = _from_xyz() @ _to_xyz(chromaticities)
    with np.errstate(all="ignore"):
        return _unless_srgb(_matrix_converter([curve] * (1 if mode == "L" else 3), matrix), mode)


def lab_converter() -> Converter:
    """The function from CIE L*a*b* under D50, as in the 8 bits of TIFF and Pillow, to sRGB."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
    # LittleCMS's interpolation between precomputed colours is 7/255 off here.
    return _cms_converter(profile, "LAB", ImageCms.Intent.RELATIVE_COLORIMETRIC, ImageCms.Flags.NOOPTIMIZE)


def _unless_srgb(convert: Converter, mode: str) -> Converter | None:
    """`convert`, or None where it changes no colour of a grid by more than 1/255."""
    if mode == "CMYK":
        return convert
    axis = np.linspace(0, 1, 18, dtype=np.float32)  # multiples of 15/255, exact in 8 bits
    grid = np.stack(np.meshgrid(*[axis] * len(mode)), -1).reshape(18, -1, len(mode))  # L or RGB
    converted = convert(grid)
    return None if np.abs(converted - grid).max() <= 1.001 / 255 else convert


def _matrix_converter(curves: Sequence[Curve], matrix: np.ndarray) -> Converter:
    """One curve a channel, then a matrix to linear sRGB. Values are rounded to 16 bits, the most that files have."""
    levels = np.linspace(0, 1, 65536)
    tables = [curve(levels).clip(0, 1).astype(np.float32) for curve in curves]
    if not all(np.isfinite(table).all() and table[0] < table[-1] for table in tables):
        raise ProfileError("its curve does not rise")

    def convert(values: np.ndarray) -> np.ndarray:
        index = (values * np.float32(65535) + np.float32(0.5)).astype(np.uint16)
        if len(tables) == 1:
            return _linear_to_srgb(tables[0][index])
        linear = np.stack([tables[i][index[..., min(i, index.shape[2] - 1)]] for i in range(3)], -1)
        return _linear_to_srgb(linear @ np.float32(matrix.T))

    return convert


def _srgb_to_linear(values: np.ndarray) -> np.ndarray:
    """IEC 61966-2-1."""
    return np.where(values <= 0.04045, values / 12.92, ((np.maximum(values, 0.04045) + 0.055) / 1.055) ** 2.4)


def _linear_to_srgb(linear: np.ndarray) -> np.ndarray:
    linear = linear.clip(0, 1)
    curved = np.float32(1.055) * linear ** np.float32(1 / 2.4) - np.float32(0.055)
    return np.where(linear <= 0.0031308, np.float32(12.92) * linear, curved)


def _to_xyz(chromaticities: Sequence[float]) -> np.ndarray:
    """The matrix from linear RGB of these primaries to XYZ, adapted to D50 by Bradford's method."""
    xy = np.array(chromaticities, np.float64).reshape(4, 2)
    if not (np.isfinite(xy).all() and (xy[:, 1] > 1e-4).all() and (xy.sum(1) <= 1.0001).all()):
        raise ProfileError("its primaries are no colours")
    white, *primaries = np.column_stack((xy, 1 - xy.sum(1))) / xy[:, 1:]
    columns = np.array(primaries).T
    if abs(np.linalg.det(columns)) < 1e-6:
        raise ProfileError("its primaries lie on a line")
    cone = BRADFORD @ white
    if (cone <= 0).any():
        raise ProfileError("its white is no colour")
    adapt = np.linalg.inv(BRADFORD) @ np.diag(BRADFORD @ D50 / cone) @ BRADFORD
    return adapt @ (columns * np.linalg.solve(columns, white))


def _from_xyz() -> np.ndarray:
    return np.linalg.inv(_to_xyz(SRGB))


def _computed(profile: bytes) -> Converter | None:
    """The converter of an ICC profile of curves and a matrix, or None if the profile has tables."""
    tags: dict[bytes, bytes] = {}
    (count,) = struct.unpack_from(">I", profile, 128)
    for i in range(min(count, 100)):
        name, offset, size = struct.unpack_from(">4sII", profile, 132 + 12 * i)
        tags[name] = profile[offset : offset + size]
    if b"A2B0" in tags or profile[20:24] != b"XYZ ":
        return None
    if profile[16:20] == b"GRAY":
        return _matrix_converter([_curve(tags[b"kTRC"])], np.eye(3))
    if profile[16:20] != b"RGB ":
        return None
    xyz = np.column_stack([_xyz(tags[name]) for name in (b"rXYZ", b"gXYZ", b"bXYZ")])
    return _matrix_converter([_curve(tags[name]) for name in (b"rTRC", b"gTRC", b"bTRC")], _from_xyz() @ xyz)


def _xyz(tag: bytes) -> np.ndarray:
    return np.array(struct.unpack(">4s4x3i", tag[:20])[1:]) / 65536


def _curve(tag: bytes) -> Curve:
    """The types curv and para of ICC.1:2010, sections 10.5 and 10.15."""
    kind, count, function = tag[:4], *struct.unpack_from(">I", tag, 8), *struct.unpack_from(">H", tag, 8)
    if kind == b"curv" and count == 0:
        return _parametric(1)
    if kind == b"curv" and count == 1:
        return _parametric(struct.unpack_from(">H", tag, 12)[0] / 256)
    if kind == b"curv" and count <= 65536:
        table = np.frombuffer(tag, ">u2", count, 12) / 65535
        return lambda values: np.interp(values, np.linspace(0, 1, count), table)
    if kind != b"para" or function > 4:
        raise ProfileError("it has a curve of an unknown type")
    g, a, b, c, d, e, f = (
        np.array([*struct.unpack_from(f">{(1, 3, 4, 5, 7)[function]}i", tag, 12), *[0] * 7])[:7] / 65536
    )
    if function == 0:
        return _parametric(g)
    if function in (1, 2):  # zero or c, up to where the power begins
        return _parametric(g, a, b, 0, -b / a, c, c)
    return _parametric(g, a, b, c, d, e, f)


def _parametric(g: float, a: float = 1, b: float = 0, c: float = 0, d: float = 0, e: float = 0, f: float = 0) -> Curve:
    """`(a x + b)^g + e` from `d` on, and `c x + f` below."""
    return lambda x: np.where(x >= d, np.maximum(a * x + b, 0) ** g + e, c * x + f)


def _cms_converter(
    profile: ImageCms.ImageCmsProfile,
    mode: str,
    intent: ImageCms.Intent = ImageCms.Intent.PERCEPTUAL,
    flags: ImageCms.Flags = ImageCms.Flags.HIGHRESPRECALC,
) -> Converter:
    """Through LittleCMS, in 8 bits."""
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    transform = ImageCms.ImageCmsTransform(profile, srgb, mode, "RGB", intent, flags=flags)
    channels = len(Image.new(mode, (1, 1)).getbands())

    def convert(values: np.ndarray) -> np.ndarray:
        height, width = values.shape[:2]
        bytes_ = (values * 255 + 0.5).astype(np.uint8)
        bytes_ = np.ascontiguousarray(np.broadcast_to(bytes_, (height, width, channels)))  # grey in an RGB profile
        image = transform.apply(Image.frombytes(mode, (width, height), bytes_.tobytes()))
        return np.asarray(image, np.float32) / 255

    return convert
