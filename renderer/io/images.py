"""Read and write images: files, PIL images, arrays and tensors to `(3, H, W)` of sRGB in [0, 1], and back."""

from __future__ import annotations

import math
import os
import struct
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image, PngImagePlugin, UnidentifiedImageError
from PIL.Jpeg2KImagePlugin import Jpeg2KImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.TiffImagePlugin import TiffImageFile
from torch import Tensor

from renderer.errors import InputError
from renderer.io.colour_profiles import Converter, ProfileError, icc_converter, lab_converter, png_converter
from renderer.io.files import atomic

# What Pillow reads, but vector graphics (EPS and WMF start other programs), videos, and formats that it only recognises.
COMMON = ("PNG", "JPEG", "TIFF", "JPEG2000")
OTHERS = (  # one that any file may seem to have comes last
    *(
        "GIF",
        "BMP",
        "WEBP",
        "AVIF",
        "PPM",
        "QOI",
        "ICO",
        "ICNS",
        "CUR",
        "PSD",
        "DDS",
        "DIB",
        "SGI",
        "SUN",
        "FITS",
        "BLP",
    ),
    *("FTEX", "XBM", "XPM", "MSP", "DCX", "PCX", "PIXAR", "PCD", "TGA"),
)
MANY_PIXELS = 50_000_000  # a larger image is reduced while it is read, where so many pixels are not needed
MAX_PIXELS = 150_000_000  # decoders take 4 to 12 bytes a pixel
MAX_BYTES = 600_000_000  # of colour with 16 bits a channel and more; larger, 8 bits are kept
MAX_TEXT = 16 << 20  # bytes of a text or profile in a PNG; some profiles are larger than the 1 MiB that Pillow allows
BAND = 1_000_000  # pixels that are converted at once
HOW_TO_REDUCE = "reduce it first, for example by `magick IMAGE -resize 4096x4096 SMALLER.png`"
NAMES_SHOWN = 5  # of the files that a folder scan skips
WHITE = (1.0, 1.0, 1.0)
ORIENTATION = 0x0112  # tags of EXIF and TIFF
BITS, PHOTOMETRIC, SAMPLES, PLANES, EXTRA_SAMPLES, SAMPLE_FORMAT = 258, 262, 277, 284, 338, 339
PROFILE = 34675

Colour = tuple[float, float, float]
Channels = tuple[np.ndarray, np.ndarray | None]  # colour (H, W, 1 | 3 | 4), opacity (H, W, 1), of the file's own type

_PILLOW = threading.Lock()  # what `_own_limits` replaces belongs to all threads


class ImageError(InputError):
    """An image cannot be read."""


def read_image(path: str | Path, longest: int | None = None, *, background: Colour = WHITE) -> Tensor:
    """Read an image file.

    Colours become sRGB, from an embedded ICC profile or from gAMA and cHRM of a PNG. A profile that is damaged or belongs
    to other channels is ignored with a warning. EXIF orientation is applied. Of an animation, the first image is read.
    Grey keeps 16 bits and floats in every format; colour keeps them in PNG and TIFF up to `MAX_BYTES` and is read at 8
    bits a channel elsewhere. White is the greatest number of 8 and 16 bits. For wider integers and floats it is guessed,
    see `_white`: what is brighter or infinite is white, what is negative or NaN is black.

    Args:
        path: a file in one of the formats `COMMON` and `OTHERS`.
        longest: the side (pixels) that the image will be reduced to later. An image of more than `MANY_PIXELS` comes
            reduced then, not below twice that side; JPEG and JPEG 2000 are decoded at a smaller size.
        background: the colour under transparent pixels, in [0, 1].

    Returns:
        `(3, H, W)` float32 in [0, 1].

    Raises:
        ImageError: in one sentence, for a file that cannot be read, or has more than `MAX_PIXELS` to decode (in full, half
            of that; of WebP, a third).
    """
    path = Path(path)
    if not os.path.isfile(path):  # unlike Path.is_file, also where a name is too long
        raise ImageError(f"There is no image {path}.")
    with _image_errors(str(path)) as notes, _open(path) as image:
        wanted = _wanted(image, longest)
        _bound(image, path, wanted)
        return _to_tensor(image, path, wanted, background, notes)


def long_side(path: str | Path) -> int:
    """Pixels on the long side of an image file, from its header. Raises `ImageError`."""
    path = Path(path)
    if not os.path.isfile(path):
        raise ImageError(f"There is no image {path}.")
    with _image_errors(str(path)), _open(path) as image:
        return max(image.size)


def as_image(
    image: str | Path | Image.Image | np.ndarray | Tensor, longest: int | None = None, *, background: Colour = WHITE
) -> Tensor:
    """Convert what people hold images in to `(3, H, W)` float32 sRGB in [0, 1], on the CPU.

    Args:
        image: a file, a PIL image of any mode, an array (H, W) or (H, W, 1 | 3 | 4), or a tensor (H, W) or
            (1 | 3 | 4, H, W). Files and PIL images are read as `read_image` says. Arrays and tensors hold uint8, uint16,
            bool, or floats in [0, 1]; a fourth channel is opacity.
        longest: the side that the image will be reduced to later, see `read_image`.
        background: the colour under transparent pixels, in [0, 1].

    Raises:
        ImageError: for a file that cannot be read, other shapes and types, and floats outside [0, 1].
    """
    if isinstance(image, (str, os.PathLike)):
        return read_image(image, longest, background=background)
    if isinstance(image, Image.Image):
        with _image_errors("The PIL image") as notes:
            return _to_tensor(image, None, _wanted(image, longest), background, notes)
    if isinstance(image, Tensor):
        shape, values = "(3, H, W)", image.detach().cpu()
        array = (values.float() if values.is_floating_point() else values).numpy()
        array = array[:, :, None] if array.ndim == 2 else np.moveaxis(array, 0, -1)
    elif isinstance(image, np.ndarray):
        shape, array = "(H, W, 3)", np.atleast_3d(image)
    else:
        raise ImageError(f"An image is a file, a PIL image, an array or a tensor, not {type(image).__name__}.")
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4) or 0 in array.shape:
        raise ImageError(f"An image has the shape {shape}, not {tuple(image.shape)}.")
    kind = array.dtype.str[1:]  # without the byte order
    if array.dtype.kind not in "bf" and kind not in ("u1", "u2"):
        raise ImageError(f"An image holds uint8, uint16, bool or floats, not {image.dtype}.")
    array = array.astype(np.float32) / np.float32(_greatest(array.dtype))
    if not ((array >= 0) & (array <= 1)).all():  # false for NaN, too
        raise ImageError("An image's floats must be numbers between 0 and 1.")
    flat = _over(array[:, :, :3], array[:, :, 3:] if array.shape[2] == 4 else None, background)
    return torch.from_numpy(flat).permute(2, 0, 1).expand(3, -1, -1).contiguous()


@contextmanager
def _image_errors(name: str) -> Iterator[list[str]]:
    """Turns every error into an `ImageError` in one sentence. Yields a list, of which the texts become warnings."""
    notes: list[str] = []
    try:
        with _PILLOW, _own_limits():
            yield notes
    except InputError:
        raise
    except UnidentifiedImageError as error:
        raise ImageError(f"{name} is not an image that can be read.") from error
    except Image.DecompressionBombError as error:
        raise ImageError(
            f"{name} has more than the {MAX_PIXELS:,} pixels that can be read; {HOW_TO_REDUCE}."
        ) from error
    except MemoryError as error:
        raise ImageError(f"There is not enough memory for the image {name}; reduce it first.") from error
    except Exception as error:  # Pillow raises errors of many types for damaged files
        reason = getattr(error, "strerror", None) or (str(error).splitlines() or [type(error).__name__])[0]
        raise ImageError(f"{name} cannot be read or is damaged ({reason.rstrip('.')}).") from error
    for note in notes:
        warnings.warn(f"{name}: {note}", stacklevel=4)  # at the caller of `read_image` or `as_image`


@contextmanager
def _own_limits() -> Iterator[None]:
    """Pillow with the limits of this module, and neither its warnings of odd metadata nor OpenCV's messages."""
    limits = Image.MAX_IMAGE_PIXELS, PngImagePlugin.MAX_TEXT_CHUNK
    level = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        Image.MAX_IMAGE_PIXELS, PngImagePlugin.MAX_TEXT_CHUNK = MAX_PIXELS // 2, MAX_TEXT  # Pillow allows twice that
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        Image.MAX_IMAGE_PIXELS, PngImagePlugin.MAX_TEXT_CHUNK = limits
        cv2.utils.logging.setLogLevel(level)


class _WideTiff(TiffImageFile):
    """The header of a TIFF that OpenCV decodes and Pillow does not, such as colour in floats."""

    def _setup(self) -> None:
        try:
            super()._setup()
        except SyntaxError:  # after the size is set
            self._mode = "RGB" if self.tag_v2.get(SAMPLES, 1) >= 3 else "L"
            self.info["icc_profile"] = self.tag_v2.get(PROFILE)


def _open(path: Path) -> Image.Image:
    limit = Image.MAX_IMAGE_PIXELS
    try:
        Image.MAX_IMAGE_PIXELS = None  # `_bound` checks these, when it is known how far they are reduced
        with suppress(UnidentifiedImageError):
            return Image.open(path, formats=COMMON)
    finally:
        Image.MAX_IMAGE_PIXELS = limit
    Image.init()
    with suppress(UnidentifiedImageError):
        return Image.open(path, formats=[name for name in OTHERS if name in Image.OPEN])
    try:
        return _WideTiff(path)
    except Exception as error:
        raise UnidentifiedImageError from error


def _wanted(image: Image.Image, longest: int | None) -> int | None:
    """The side that reading need not exceed; None where an image is to be read in full."""
    return None if longest is None or image.width * image.height <= MANY_PIXELS else 2 * longest


def _factor(size: tuple[int, int], wanted: int | None) -> int:
    return 1 if wanted is None else max(1, max(size) // wanted)


def _bound(image: Image.Image, path: Path, wanted: int | None) -> None:
    """Lets JPEG and JPEG 2000 decode a smaller image where one is wanted, and refuses what stays too large."""
    width, height = image.size
    pixels, factor = width * height, _factor(image.size, wanted)
    if isinstance(image, JpegImageFile) and factor > 1:
        image.draft(None, (max(1, width // factor), max(1, height // factor)))
        if not image.info.get("progressive"):  # a progressive file needs the memory of all its pixels
            pixels = image.width * image.height
    elif isinstance(image, Jpeg2KImageFile) and factor > 1:
        # No more than memory needs: each halving moves the image by up to half a pixel (wavelets have no centred boxes).
        needed = math.ceil(math.log2(pixels / MANY_PIXELS) / 2)
        halvings = min(needed, factor.bit_length() - 1, _halvings(path))
        image.reduce = halvings
        pixels >>= 2 * halvings
    # In full, the result is three times the decoded image; the decoder of WebP holds the image three times.
    limit = MAX_PIXELS // 3 if image.format == "WEBP" else MAX_PIXELS if wanted else MAX_PIXELS // 2
    if pixels > limit:
        raise ImageError(
            f"{path} has {width}x{height} pixels, more than the {limit:,} that can be read; {HOW_TO_REDUCE}."
        )


def _halvings(path: Path) -> int:
    """How often a JPEG 2000 file can be halved: the decompositions in the segment COD of its main header."""
    with path.open("rb") as file:
        data = file.read(1 << 16)
    at = data.find(b"\xff\x4f\xff\x51")  # start of the codestream, then its size
    while at >= 0 and data[at : at + 1] == b"\xff":
        if data[at + 1] == 0x52:
            return data[at + 9]
        at += 2 if data[at + 1] == 0x4F else 2 + struct.unpack_from(">H", data, at + 2)[0]
    return 0


def _to_tensor(
    image: Image.Image, path: Path | None, wanted: int | None, background: Colour, notes: list[str]
) -> Tensor:
    """`(3, H, W)`, converted in bands of rows, so that little more than the decoded image and the result is in memory."""
    numbers = _wide_numbers(image, path)
    if numbers is None:
        if isinstance(image, _WideTiff):
            raise ImageError(f"{path} is a TIFF of a kind that is not read; save it with 8 or 16 bits a channel.")
        image.load()
        numbers = _wide_grey(image)
    orientation = _orientation(image)
    convert = _converter(image, notes)
    white = 255.0 if numbers is None else _white(image, numbers[0])
    width, height = image.size
    factor = _factor(image.size, wanted)
    result = np.empty((3, -(-height // factor), -(-width // factor)), np.float32)
    rows = max(1, BAND // (width * factor)) * factor
    for top in range(0, height, rows):
        bottom = min(height, top + rows)
        if numbers is None:
            values, alpha = _channels(image.crop((0, top, width, bottom)), keep=convert is not None)
        else:
            values = numbers[0][top:bottom]
            alpha = None if numbers[1] is None else numbers[1][top:bottom]
        values = _scaled(values, white)
        values = values if convert is None else convert(values)
        flat = _over(values, None if alpha is None else _scaled(alpha, _greatest(alpha.dtype)), background)
        result[:, top // factor : -(-bottom // factor)] = _boxes(flat, factor).transpose(2, 0, 1)
    return torch.from_numpy(np.ascontiguousarray(_turned(result, orientation)))


def _wide_numbers(image: Image.Image, path: Path | None) -> Channels | None:
    """The numbers of a PNG or TIFF file that are not bytes from 0 to 255, decoded by OpenCV; None for others."""
    if path is None or not (_wide_tiff(image) if isinstance(image, TiffImageFile) else _wide_png(image, path)):
        return None
    numbers = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    if numbers is None or numbers.shape[1::-1] != image.size:
        return None
    if numbers.ndim == 3:
        clear = numbers.shape[2] == 4 and (image.mode == "RGBA" or image.format == "PNG")
        return numbers[:, :, 2::-1], numbers[:, :, 3:] if clear else None
    if isinstance(image, TiffImageFile) and image.tag_v2.get(PHOTOMETRIC) == 0:  # white is 0
        numbers = int(_greatest(numbers.dtype)) - numbers
    return numbers[:, :, None], None


def _wide_png(image: Image.Image, path: Path) -> bool:
    wide = image.format == "PNG" and image.mode in ("RGB", "RGBA") and _png_depth(path) == 16
    wide = wide and image.width * image.height * 8 <= MAX_BYTES
    if wide:
        image.load()  # finds damage that OpenCV does not report
    return wide


def _wide_tiff(image: TiffImageFile) -> bool:
    """Whether OpenCV decodes the numbers of a TIFF as they are, where Pillow would cut or misread them."""
    tags = image.tag_v2
    bits, kind, samples = tags.get(BITS, (1,))[0], tags.get(SAMPLE_FORMAT, (1,))[0], tags.get(SAMPLES, 1)
    if bits not in (16, 32, 64) and (bits, kind) != (8, 2):
        return False
    if image.width * image.height * samples * bits > 8 * MAX_BYTES:
        return False
    if tags.get(PHOTOMETRIC) == 2:  # OpenCV confuses separate planes; premultiplied colour (1) is left to Pillow
        return samples in (3, 4) and tags.get(PLANES, 1) == 1 and 1 not in tags.get(EXTRA_SAMPLES, ())
    return samples == 1 and (tags.get(PHOTOMETRIC) == 1 or (tags.get(PHOTOMETRIC) == 0 and kind == 1))


def _wide_grey(image: Image.Image) -> Channels | None:
    """The numbers of a loaded grey image of more than 8 bits, in the machine's byte order; None for others."""
    if image.mode != "F" and not image.mode.startswith("I"):
        return None
    grey = np.asarray(image)
    grey = grey.astype(grey.dtype.newbyteorder("="), copy=False)[:, :, None]
    clear = image.info.get("transparency")
    return grey, grey != clear if isinstance(clear, int) else None


def _white(image: Image.Image, values: np.ndarray) -> float:
    """The number that means white.

    It is known for 16 bits without a sign. Else it follows from the brightest number, without the brightest thousandth of
    those above zero (one at least), which may be faulty: the smallest of 1, 255, 65535 and the greatest number of the type
    that is not below it. Floats can hold highlights, so that numbers up to 16 mean 1; above 65535 white is the brightest.
    """
    if values.dtype == np.uint16 or (image.format == "PPM" and image.mode == "I"):  # Pillow scales PPM to 16 bits
        return 65535
    step = math.ceil(math.sqrt(values.size / 4_000_000))
    some = values[::step, ::step]
    some = some[np.isfinite(some) & (some > 0)]
    top = float(np.percentile(some, 99.9, method="lower")) if some.size else 0.0
    if values.dtype.kind == "f":
        return next((white for limit, white in ((16, 1), (260, 255), (66_000, 65535)) if top <= limit), top)
    greatest = _greatest(values.dtype)
    return next((white for white in (1, 255, 65535) if top <= white < greatest), greatest)


def _greatest(dtype: np.dtype) -> float:
    return 1 if dtype.kind in "bf" else np.iinfo(dtype).max


def _scaled(values: np.ndarray, white: float) -> np.ndarray:
    """Float32 in [0, 1]; NaN is 0."""
    scaled = values.astype(np.float32) / np.float32(white)
    return scaled if values.dtype.kind in "bu" and scaled.max() <= 1 else np.nan_to_num(scaled).clip(0, 1)


def _over(values: np.ndarray, alpha: np.ndarray | None, background: Colour) -> np.ndarray:
    """Colour (H, W, 1 | 3) of opacity `alpha` (H, W, 1) over `background`."""
    return values if alpha is None else values * alpha + np.array(background, np.float32) * (1 - alpha)


def _boxes(pixels: np.ndarray, factor: int) -> np.ndarray:
    """The means of squares of `factor` pixels; those at the right and lower edges may be smaller."""
    if factor == 1:
        return pixels
    for axis in (0, 1):
        starts = np.arange(0, pixels.shape[axis], factor)
        counts = np.diff(starts, append=pixels.shape[axis]).astype(np.float32)
        pixels = np.add.reduceat(pixels, starts, axis) / np.expand_dims(counts, tuple({0, 1, 2} - {axis}))
    return pixels


def _png_depth(path: Path) -> int:
    """Bits a channel of a PNG, which stand after the signature, the first chunk's head, width and height."""
    with path.open("rb") as file:
        return file.read(25)[24]


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation that is still to be applied."""
    if isinstance(image, TiffImageFile):  # Pillow and OpenCV have applied it
        return 1
    try:
        return int(image.getexif().get(ORIENTATION, 1))
    except Exception:  # an image with damaged EXIF data is still an image
        return 1


def _turned(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """`(3, H, W)` as it should be seen; EXIF's orientations 1 to 8 are all turns and mirror images."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(1, 2)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, :, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[:, ::-1]
    return pixels


def _converter(image: Image.Image, notes: list[str]) -> Converter | None:
    """The function from the image's colours to sRGB; None where they are sRGB, or taken for it."""
    mode = "L" if image.mode in ("1", "L", "LA", "La", "F") or image.mode.startswith("I") else "RGB"
    mode = image.mode if image.mode in ("CMYK", "LAB") else mode
    if mode == "LAB":
        return lab_converter()
    info = image.info
    try:
        if info.get("icc_profile"):
            return icc_converter(info["icc_profile"], mode)
        if image.format in ("PNG", None) and "srgb" not in info and mode != "CMYK":  # None: a converted copy
            return png_converter(info.get("gamma"), info.get("chromaticity"), mode)
    except ProfileError as error:
        notes.append(f"the colour profile is ignored, because {error}.")
    return None


def _channels(image: Image.Image, keep: bool) -> Channels:
    """The bytes of an image of up to 8 bits a channel; `keep`: CMYK and LAB stay as they are."""
    if image.mode in ("La", "RGBa"):
        image = image.convert(image.mode.replace("a", "A"))
    if image.has_transparency_data:
        values = np.asarray(image.convert("LA" if image.mode in ("1", "L", "LA") else "RGBA"))
        return values[:, :, :-1], values[:, :, -1:]
    if image.mode not in ("L", "RGB") and not (keep and image.mode in ("CMYK", "LAB")):
        image = image.convert("L" if image.mode == "1" else "RGB")
    return np.atleast_3d(np.asarray(image)), None


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
    """An image (3, H, W) at exactly `size` (height, width), by area interpolation."""
    resized = _resize(image.permute(1, 2, 0).cpu().numpy(), size)
    return torch.from_numpy(np.ascontiguousarray(resized)).permute(2, 0, 1).contiguous().clamp(0, 1)


def _resize(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    if size == pixels.shape[:2]:
        return pixels
    if pixels.dtype == np.int32:  # OpenCV cannot
        pixels = pixels.astype(np.float64)
    return cv2.resize(np.ascontiguousarray(pixels), size[::-1], interpolation=cv2.INTER_AREA)


def fit_square(image: Image.Image, side: int) -> np.ndarray:
    """A (nearly square) image as `(3, side, side)` uint8, by area interpolation."""
    return _resize(np.asarray(image.convert("RGB")), (side, side)).transpose(2, 0, 1)


def find_images(inputs: Iterable[str | Path], on_skip: Callable[[str], object] | None = None) -> list[Path]:
    """The image files among `inputs`: files as they are, folders as their images by name (not their subfolders).

    Args:
        inputs: files and folders.
        on_skip: called once for each folder that holds other things, with a line that says which and why.

    Raises:
        ImageError: for what is not there and for a folder without images.
    """
    found: list[Path] = []
    for path in map(Path, inputs):
        if os.path.isdir(path):
            inside, skipped = _scan(path)
            line = _skipped_line(path, skipped)
            if not inside:
                raise ImageError(f"The folder {path} holds no images that can be read{line and ': ' + line}.")
            if skipped and on_skip is not None:
                on_skip(f"{line}.")
            found += inside
        elif os.path.isfile(path):  # no pipe, whose writer may never come
            found.append(path)
        else:
            raise ImageError(f"There is no image or folder {path}.")
    return found


def _scan(folder: Path) -> tuple[list[Path], dict[str, str]]:
    """The images of a folder, by their suffixes, and the reason for each other name in it."""
    try:
        files = sorted(folder.iterdir())
    except OSError as error:
        raise ImageError(f"The folder {folder} cannot be read: {error.strerror}.") from error
    formats = Image.registered_extensions()
    found: list[Path] = []
    skipped: dict[str, str] = {}
    for file in files:
        kind = formats.get(file.suffix.lower())
        if file.name.startswith("."):  # macOS leaves a `._face.jpg` beside every face.jpg on other file systems
            continue
        if file.is_dir():
            skipped[file.name] = "a folder"
        elif kind in (*COMMON, *OTHERS, "MPO") and file.is_file():
            found.append(file)
        else:
            skipped[file.name] = "no image" if kind is None else f"{kind} is not read"
    return found, skipped


def _skipped_line(folder: Path, skipped: dict[str, str]) -> str:
    """`3 files of photos were skipped: a.txt (no image), ...`, without the full stop; nothing for nothing."""
    if not skipped:
        return ""
    names = [
        f"{name if name.isprintable() else repr(name)} ({reason})"
        for name, reason in list(skipped.items())[:NAMES_SHOWN]
    ]
    more = [f"{len(skipped) - NAMES_SHOWN} more"] if len(skipped) > NAMES_SHOWN else []
    what = "1 file of {} was" if len(skipped) == 1 else f"{len(skipped)} files of {{}} were"
    return f"{what.format(folder)} skipped: {', '.join(names + more)}"


def to_bytes(image: Tensor) -> np.ndarray:
    """`(C, H, W)` in [0, 1] -> `(H, W, C)` uint8, rounded; uint8 stays as it is. Raises `InputError` for others and NaN."""
    if image.dtype != torch.uint8:
        if not image.is_floating_point():
            raise InputError(f"An image holds floats in [0, 1] or uint8, not {image.dtype}.")
        image = image.detach()
    pixels = np.empty((*image.shape[1:], image.shape[0]), np.uint8)
    rows = max(1, BAND // max(1, image.shape[2]))
    for first in range(0, len(pixels), rows):
        band = image[:, first : first + rows]
        if band.dtype != torch.uint8:
            if bool(band.isnan().any()):
                raise InputError("An image with NaN among its pixels cannot be written.")
            band = band.clamp(0, 1).mul_(255).round_().byte()
        pixels[first : first + rows] = band.permute(1, 2, 0).cpu().numpy()
    return pixels


def write_jpeg(image: Tensor, path: str | Path) -> None:
    """Write `(3, H, W)` in [0, 1], or uint8, as a JPEG for a page, whole or not at all. Raises `InputError`."""
    pixels = _to_pil(image)
    with atomic(path) as temporary:
        pixels.save(temporary, "JPEG", quality=85, optimize=True)


def _to_pil(image: Tensor) -> Image.Image:
    if image.ndim != 3 or image.shape[0] != 3 or 0 in image.shape:
        raise InputError(f"An image has the shape (3, H, W), not {tuple(image.shape)}.")
    return Image.fromarray(to_bytes(image))


def write_png(
    image: Tensor | np.ndarray, path: str | Path, *, colours: int | None = None, optimize: bool = False
) -> None:
    """Write an 8-bit PNG, whole or not at all.

    Args:
        image: a tensor `(3, H, W)` in [0, 1] or uint8, or an array of uint8 `(H, W, 3)` or `(H, W)`.
        path: the file.
        colours: the most colours that the file may have; without dithering.
        optimize: take longer for a smaller file.

    Raises:
        InputError: when the file cannot be written, for other types, and for NaN.
    """
    if isinstance(image, Tensor):
        pixels = _to_pil(image)
    elif image.dtype == np.uint8 and (image.ndim == 2 or image.shape[2:] == (3,)):
        pixels = Image.fromarray(image)
    else:
        raise InputError(f"An array of pixels is uint8 (H, W, 3) or (H, W), not {image.dtype} {image.shape}.")
    if colours is not None:
        pixels = pixels.quantize(colours, dither=Image.Dither.NONE)
    with atomic(path) as temporary:
        pixels.save(temporary, format="PNG", optimize=optimize)
