"""Pictures in and out: files to tensors `(3, H, W)` of sRGB in [0, 1], and back."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from renderer.errors import InputError
from renderer.files import atomic

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif")
MOST_PIXELS = 500_000_000  # beyond, decoding alone would take many GiB


class PictureError(InputError):
    """A picture cannot be read."""


def read_picture(path: str | Path, longest: int | None = None) -> Tensor:
    """`(3, H, W)` float32 in [0, 1], turned as its EXIF data say, transparency over white, 16 bits scaled and not cut.

    `longest`: the side (pixels) that the picture will be reduced to later; a JPEG much larger is decoded smaller then,
    by halves and never below twice that side. Raises `PictureError` in one sentence.
    """
    path = Path(path)
    if not path.is_file():
        raise PictureError(f"There is no picture {path}.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                width, height = image.size
                if width * height > MOST_PIXELS:
                    raise PictureError(
                        f"{path} has {width}x{height} pixels, more than can be read here; reduce it first."
                    )
                if longest is not None:
                    image.draft("RGB", (2 * longest, 2 * longest))
                values = _values(image)
    except PictureError:
        raise
    except (UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise PictureError(f"{path} is not a picture that can be read.") from error
    except (OSError, SyntaxError, ValueError, EOFError, MemoryError) as error:
        raise PictureError(f"{path} is damaged: {str(error) or type(error).__name__}.") from error
    return torch.from_numpy(values).permute(2, 0, 1).contiguous()


def _values(image: Image.Image) -> np.ndarray:
    """(H, W, 3) float32 in [0, 1]."""
    # Pillow keeps 16 bits only for greyscale; 16-bit colour comes as 8 bits.
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        grey = np.asarray(ImageOps.exif_transpose(image)).astype(np.float32)
        top = 65535.0 if grey.max() > 255 or image.mode != "F" else (255.0 if grey.max() > 1 else 1.0)
        return np.repeat((grey / top).clip(0, 1)[:, :, None], 3, 2)
    image = ImageOps.exif_transpose(image)
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return np.asarray(image.convert("RGB")).astype(np.float32) / 255


def fit(picture: Tensor, longest: int) -> Tensor:
    """The whole picture `(3, H, W)` with `longest` pixels on its long side, by area interpolation (OpenCV's INTER_AREA).

    The short side keeps the aspect ratio, with at least one pixel.
    """
    height, width = picture.shape[1:]
    scale = longest / max(height, width)
    return _resize(picture, (max(1, round(height * scale)), max(1, round(width * scale))))


def _resize(picture: Tensor, size: tuple[int, int]) -> Tensor:
    if size == tuple(picture.shape[1:]):
        return picture
    image = np.ascontiguousarray(picture.permute(1, 2, 0).numpy())
    resized = cv2.resize(image, (size[1], size[0]), interpolation=cv2.INTER_AREA)
    return torch.from_numpy(resized).permute(2, 0, 1).contiguous().clamp(0, 1)


def fit_square(image: Image.Image, side: int) -> np.ndarray:
    """A (nearly square) image as `(3, side, side)` uint8, by area interpolation."""
    pixels = cv2.resize(np.asarray(image.convert("RGB")), (side, side), interpolation=cv2.INTER_AREA)
    return pixels.transpose(2, 0, 1)


def find_pictures(inputs: Iterable[str | Path]) -> list[Path]:
    """The picture files among `inputs`: files as they are, folders as their pictures by name (not their subfolders).

    Raises `PictureError` for what is not there and for a folder without pictures.
    """
    found: list[Path] = []
    for path in map(Path, inputs):
        if path.is_dir():
            inside = sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES and file.is_file())
            if not inside:
                raise PictureError(f"The folder {path} holds no pictures ({', '.join(SUFFIXES)}).")
            found += inside
        elif path.exists():
            found.append(path)
        else:
            raise PictureError(f"There is no picture or folder {path}.")
    return found


def to_bytes(picture: Tensor) -> np.ndarray:
    """`(3, H, W)` in [0, 1] -> `(H, W, 3)` uint8, rounded."""
    return (picture.detach().clamp(0, 1) * 255).round().byte().permute(1, 2, 0).contiguous().cpu().numpy()


def write_png(picture: Tensor, path: str | Path) -> None:
    """Writes `(3, H, W)` in [0, 1] as an 8-bit PNG, whole or not at all. Raises `InputError`."""
    with atomic(path) as temporary:
        Image.fromarray(to_bytes(picture)).save(temporary, format="PNG")
