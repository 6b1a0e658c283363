"""Images: files to tensors `(3, H, W)` of sRGB in [0, 1], and back."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from renderer.errors import InputError
from renderer.io.files import atomic

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif")
MANY_PIXELS = 50_000_000  # a larger image is reduced as it is read, where so many pixels are not needed
MOST_PIXELS = 500_000_000  # beyond, decoding alone would take many GiB
ORIENTATION = 0x0112  # the EXIF tag


class ImageError(InputError):
    """An image cannot be read."""


def read_image(path: str | Path, longest: int | None = None) -> Tensor:
    """Read an image as `(3, H, W)` float32 in [0, 1].

    Rotated as its EXIF data say, transparency laid over white, 16 bits scaled; of an animation, the first frame. Colour
    profiles are ignored, and 16-bit colour keeps all its bits in PNG only.

    Args:
        path: the file.
        longest: the side (pixels) that the image will be reduced to later. A huge image is then read smaller, but never
            below twice that side.

    Raises:
        ImageError: for a file that is missing, damaged, too large or not an image.
    """
    path = Path(path)
    if not os.path.isfile(path):  # unlike Path.is_file, also where a name is too long
        raise ImageError(f"There is no image {path}.")
    try:
        with _unguarded(), Image.open(path) as image:
            width, height = image.size
            if width * height > MOST_PIXELS:
                raise ImageError(f"{path} has {width}x{height} pixels, more than can be read here; reduce it first.")
            factor = _factor(image.size, longest)
            image.draft(None, (width // factor, height // factor))  # lets JPEG, and only JPEG, decode a smaller one
            image.load()
            pixels = _turned(_pixels(image, path), _orientation(image))
        factor = _factor(pixels.shape[:2], longest)
        pixels = _resize(pixels, (pixels.shape[0] // factor, pixels.shape[1] // factor))
    except InputError:
        raise
    except UnidentifiedImageError as error:
        raise ImageError(f"{path} is not an image that can be read.") from error
    except MemoryError as error:
        raise ImageError(f"There is not enough memory for the image {path}; reduce it first.") from error
    except Exception as error:  # Pillow raises errors of many types for damaged files
        reason = getattr(error, "strerror", None) or (str(error).splitlines() or [type(error).__name__])[0]
        raise ImageError(f"{path} cannot be read or is damaged ({reason.rstrip('.')}).") from error
    return torch.from_numpy(np.float32(pixels) / np.float32(_top(pixels))).permute(2, 0, 1).contiguous().clamp_(0, 1)


@contextmanager
def _unguarded() -> Iterator[None]:
    """Turn off Pillow's limit on pixels, which is lower than ours, and its warnings about metadata."""
    limit = Image.MAX_IMAGE_PIXELS
    try:
        Image.MAX_IMAGE_PIXELS = None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def _factor(size: tuple[int, ...], longest: int | None) -> int:
    """The integer factor that reduces an image below `MANY_PIXELS`, but not below twice `longest`."""
    if longest is None:
        return 1
    return max(1, min(math.ceil(math.sqrt(size[0] * size[1] / MANY_PIXELS)), max(size) // (2 * longest), min(size)))


def _pixels(image: Image.Image, path: Path) -> np.ndarray:
    """The pixels `(H, W, 3)` in the type of the file: uint8, uint16, int32 or float32."""
    if image.mode.startswith("I") or image.mode == "F":
        grey = np.nan_to_num(np.asarray(image))
        return np.repeat(grey[:, :, None], 3, 2)
    if image.format == "PNG" and image.mode in ("RGB", "RGBA") and _depth(path) == 16:  # Pillow would keep 8 bits
        deep = np.asarray(cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED))
        if deep.shape[2] == 3:
            return deep[:, :, ::-1]
        alpha = deep[:, :, 3:] / np.float32(65535)
        return (deep[:, :, 2::-1] * alpha + 65535 * (1 - alpha)).round().astype(np.uint16)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))


def _depth(path: Path) -> int:
    """Bits per channel of a PNG; they follow the signature, the head of the first chunk, width and height."""
    with path.open("rb") as file:
        return file.read(25)[24]


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(ORIENTATION, 1))
    except Exception:  # an image with damaged EXIF data can still be read
        return 1


def _turned(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """The pixels `(H, W, 3)`, rotated and mirrored by one of EXIF's orientations 1 to 8."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels


def _top(pixels: np.ndarray) -> float:
    """The value of white: known for integers of 8 and 16 bits, guessed from the values for wider types."""
    if pixels.dtype == np.uint8:
        return 255
    guesses = (1, 255, 65535) if pixels.dtype.kind == "f" else (65535,)
    return 65535 if pixels.dtype == np.uint16 else next((top for top in guesses if pixels.max() <= top), pixels.max())


def fitted_size(size: tuple[int, int], longest: int) -> tuple[int, int]:
    """`size` (height, width) scaled to `longest` pixels on the long side; the short side has at least one.

    >>> fitted_size((600, 400), 128)
    (128, 85)
    """
    height, width = (max(1, round(side * longest / max(size))) for side in size)
    return height, width


def fit(image: Tensor, longest: int) -> Tensor:
    """Resize an image `(3, H, W)` to `longest` pixels on its long side, by area interpolation (OpenCV's INTER_AREA)."""
    height, width = image.shape[1:]
    resized = _resize(image.permute(1, 2, 0).cpu().numpy(), fitted_size((height, width), longest))
    return torch.from_numpy(resized).permute(2, 0, 1).contiguous().clamp(0, 1)


def resize(image: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize an image (3, H, W) to exactly `size` (height, width), by area interpolation."""
    resized = _resize(image.permute(1, 2, 0).cpu().numpy(), size)
    return torch.from_numpy(np.ascontiguousarray(resized)).permute(2, 0, 1).contiguous().clamp(0, 1)


def as_image(image: str | Path | Image.Image | np.ndarray | Tensor, longest: int | None = None) -> Tensor:
    """Convert a file, a PIL image, an array or a tensor to `(3, H, W)` float32 sRGB in [0, 1], on the CPU.

    Args:
        image: a file, a PIL image of any mode, an array (H, W) or (H, W, 1 | 3 | 4), or a tensor (1 | 3 | 4, H, W).
            Arrays and tensors hold uint8, uint16, bool, or floats in [0, 1]; a fourth channel is opacity, laid over white.
        longest: the side that the image will be reduced to later, see `read_image`.

    Raises:
        ImageError: for a file that cannot be read, other shapes, and floats outside [0, 1].
    """
    if isinstance(image, (str, os.PathLike)):
        return read_image(image, longest)
    if isinstance(image, Image.Image):
        if image.mode not in ("L", "RGB", "RGBA", "I;16"):
            image = image.convert("RGBA" if image.has_transparency_data else "RGB")
        return as_image(_turned(np.atleast_3d(np.asarray(image)), _orientation(image)))
    if isinstance(image, Tensor):
        values = image.detach().cpu()
        values = values[None] if values.dim() == 2 else values
    else:
        values = torch.from_numpy(np.array(np.atleast_3d(image))).movedim(-1, 0)  # a copy: not all arrays are writable
    if values.dim() != 3 or values.shape[0] not in (1, 3, 4) or 0 in values.shape:
        order = "(3, H, W)" if isinstance(image, Tensor) else "(H, W, 3)"
        raise ImageError(f"An image has the shape {order}, not {tuple(image.shape)}.")
    whites = {torch.uint8: 255.0, torch.uint16: 65535.0, torch.bool: 1.0}
    if not values.is_floating_point() and values.dtype not in whites:
        raise ImageError(f"An image holds uint8, uint16, bool or floats, not {values.dtype}.")
    values = values.float() / whites.get(values.dtype, 1.0)
    if not bool(((values >= 0) & (values <= 1)).all()):  # false for NaN, too
        raise ImageError("An image's floats must be numbers between 0 and 1.")
    if values.shape[0] == 4:
        values = values[:3] * values[3:] + (1 - values[3:])
    return values.expand(3, -1, -1).contiguous()


def _resize(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    if size == pixels.shape[:2]:
        return pixels
    if pixels.dtype == np.int32:  # OpenCV cannot
        pixels = pixels.astype(np.float64)
    return cv2.resize(np.ascontiguousarray(pixels), size[::-1], interpolation=cv2.INTER_AREA)


def fit_square(image: Image.Image, side: int) -> np.ndarray:
    """A (nearly square) image as `(3, side, side)` uint8, by area interpolation."""
    return _resize(np.asarray(image.convert("RGB")), (side, side)).transpose(2, 0, 1)


def find_images(inputs: Iterable[str | Path]) -> list[Path]:
    """List the image files among `inputs`: files as they are, folders as their images by name (without subfolders).

    Raises `ImageError` for a path that does not exist and for a folder without images.
    """
    found: list[Path] = []
    for path in map(Path, inputs):
        if os.path.isdir(path):
            inside = _images_in(path)
            if not inside:
                raise ImageError(f"The folder {path} holds no images ({', '.join(SUFFIXES)}).")
            found += inside
        elif os.path.exists(path):
            found.append(path)
        else:
            raise ImageError(f"There is no image or folder {path}.")
    return found


def _images_in(folder: Path) -> list[Path]:
    try:
        files = sorted(folder.iterdir())
    except OSError as error:
        raise ImageError(f"The folder {folder} cannot be read: {error.strerror}.") from error
    # Hidden files are left out: macOS writes a `._face.jpg` beside every face.jpg on other file systems.
    return [f for f in files if f.suffix.lower() in SUFFIXES and not f.name.startswith(".") and f.is_file()]


def to_bytes(image: Tensor) -> np.ndarray:
    """Convert `(3, H, W)` in [0, 1] to `(H, W, 3)` uint8, rounded."""
    return (image.detach().clamp(0, 1) * 255).round().byte().permute(1, 2, 0).contiguous().cpu().numpy()


def write_jpeg(image: Tensor, path: str | Path) -> None:
    """Write `(3, H, W)` in [0, 1] as a JPEG, whole or not at all. Raises `InputError`."""
    with atomic(path) as temporary:
        Image.fromarray(to_bytes(image)).save(temporary, "JPEG", quality=85, optimize=True)


def write_png(
    image: Tensor | np.ndarray, path: str | Path, *, colours: int | None = None, optimize: bool = False
) -> None:
    """Write an 8-bit PNG, whole or not at all.

    Args:
        image: `(3, H, W)` in [0, 1], or uint8 `(H, W, 3)` or `(H, W)`.
        path: the file.
        colours: the most colours that the file may have; without dithering.
        optimize: take longer for a smaller file.

    Raises:
        InputError: when the file cannot be written.
    """
    pixels = Image.fromarray(image if isinstance(image, np.ndarray) else to_bytes(image))
    if colours is not None:
        pixels = pixels.quantize(colours, dither=Image.Dither.NONE)
    with atomic(path) as temporary:
        pixels.save(temporary, format="PNG", optimize=optimize)
