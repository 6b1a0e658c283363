import os
import re
import struct
import subprocess
import sys
import warnings
import zlib
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from renderer.errors import InputError
from renderer.io import images as pictures
from renderer.io.files import atomic
from renderer.io.images import (
    ImageError,
    find_images,
    fit,
    fit_square,
    fitted_size,
    read_image,
    to_bytes,
    write_jpeg,
    write_png,
)
from tests.torture.fuzz_images import damaged_files, read_damaged, seeds


def noise(*shape: int, dtype: type = np.uint8) -> np.ndarray:
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


def numbers(picture: torch.Tensor) -> np.ndarray:
    return picture.permute(1, 2, 0).numpy()


def write_deep_png(path: Path, values: np.ndarray, colour_type: int) -> None:
    """A PNG with 16 bits a channel, from (H, W, C); neither Pillow nor OpenCV writes them with grey and alpha."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    height, width = values.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    head = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    parts = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + parts)


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif"])
def test_bytes_come_back_exactly(tmp_path: Path, suffix: str) -> None:
    pixels = noise(5, 7, 3)
    Image.fromarray(pixels).save(tmp_path / f"a.{suffix}")
    picture = read_image(tmp_path / f"a.{suffix}")
    assert picture.dtype == torch.float32
    assert picture.is_contiguous()
    np.testing.assert_array_equal(numbers(picture), pixels.astype(np.float32) / 255)


@pytest.mark.parametrize(
    ("mode", "suffix"),
    [("L", "png"), ("1", "png"), ("P", "png"), ("P", "gif"), ("CMYK", "tif"), ("CMYK", "jpg"), ("L", "jpg")],
)
def test_every_mode_is_colour(tmp_path: Path, mode: str, suffix: str) -> None:
    image = Image.new("RGB", (16, 8), (200, 40, 90)).convert(mode)
    image.save(tmp_path / f"a.{suffix}")
    expected = np.asarray(image.convert("RGB")) / 255
    np.testing.assert_allclose(numbers(read_image(tmp_path / f"a.{suffix}")), expected, atol=3 / 255)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["jpg", "png", "deep"])
def test_exif_turns(tmp_path: Path, orientation: int, kind: str) -> None:
    pixels = np.kron(noise(2, 3, 3), np.ones((16, 16, 1), np.uint8))
    image = Image.fromarray(pixels)
    exif = image.getexif()
    exif[pictures.ORIENTATION] = orientation
    path = tmp_path / f"a.{kind.replace('deep', 'png')}"
    image.save(path, exif=exif)
    if kind == "deep":  # the same metadata around 16-bit data
        eight = path.read_bytes()
        write_deep_png(path, pixels.astype(np.uint16) * 257, 2)
        at = eight.index(b"eXIf") - 4
        chunk = eight[at : at + 12 + struct.unpack(">I", eight[at : at + 4])[0]]
        deep = path.read_bytes()
        path.write_bytes(deep[:33] + chunk + deep[33:])
    with Image.open(path) as opened:
        expected = np.asarray(ImageOps.exif_transpose(opened)) / 255
    np.testing.assert_allclose(numbers(read_image(path)), expected, atol=1e-6)


def test_damaged_exif_does_not_matter(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4), "red").save(tmp_path / "a.jpg", exif=b"Exif\0\0nonsense")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_image(tmp_path / "a.jpg").shape == (3, 4, 4)


def test_transparency_lies_over_white(tmp_path: Path) -> None:
    pixels = noise(6, 5, 4)
    pixels[:, :, 3] = [0, 64, 128, 200, 255]
    Image.fromarray(pixels).save(tmp_path / "rgba.png")
    alpha = pixels[:, :, 3:] / 255
    expected = pixels[:, :, :3] / 255 * alpha + 1 - alpha
    np.testing.assert_allclose(numbers(read_image(tmp_path / "rgba.png")), expected, atol=1 / 255)

    Image.fromarray(pixels[:, :, [0, 3]]).save(tmp_path / "la.png")
    np.testing.assert_allclose(
        numbers(read_image(tmp_path / "la.png"))[:, :, 0],
        pixels[:, :, 0] / 255 * alpha[:, :, 0] + 1 - alpha[:, :, 0],
        atol=1 / 255,
    )

    palette = Image.new("P", (2, 1))
    palette.putpalette([255, 0, 0, 0, 0, 255])
    palette.putpixel((1, 0), 1)
    for suffix in ("png", "gif"):
        palette.save(tmp_path / f"p.{suffix}", transparency=0)
        assert numbers(read_image(tmp_path / f"p.{suffix}")).tolist() == [[[1, 1, 1], [0, 0, 1]]]


def test_sixteen_bits_are_scaled(tmp_path: Path) -> None:
    deep = noise(5, 7, 4, dtype=np.uint16)
    for suffix in ("png", "tif"):
        Image.fromarray(deep[:, :, 0]).save(tmp_path / f"grey.{suffix}")
        grey = numbers(read_image(tmp_path / f"grey.{suffix}"))
        np.testing.assert_allclose(grey, np.repeat(deep[:, :, :1] / 65535, 3, 2), atol=1e-6)

    write_deep_png(tmp_path / "rgb.png", deep[:, :, :3], 2)
    np.testing.assert_allclose(numbers(read_image(tmp_path / "rgb.png")), deep[:, :, :3] / 65535, atol=1e-6)

    alpha = deep[:, :, 3:] / 65535
    write_deep_png(tmp_path / "rgba.png", deep, 6)
    expected = deep[:, :, :3] / 65535 * alpha + 1 - alpha
    np.testing.assert_allclose(numbers(read_image(tmp_path / "rgba.png")), expected, atol=2e-5)

    write_deep_png(tmp_path / "la.png", deep[:, :, [0, 3]], 4)
    expected = np.repeat(deep[:, :, :1] / 65535 * alpha + 1 - alpha, 3, 2)
    np.testing.assert_allclose(numbers(read_image(tmp_path / "la.png")), expected, atol=2e-5)


@pytest.mark.parametrize("white", [1.0, 255.0, 65535.0])
def test_floats_are_scaled(tmp_path: Path, white: float) -> None:
    values = np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4)
    Image.fromarray(values * white).save(tmp_path / "a.tif")
    np.testing.assert_allclose(numbers(read_image(tmp_path / "a.tif"))[:, :, 0], values, atol=1e-6)


def test_an_animation_is_its_first_picture(tmp_path: Path) -> None:
    Image.new("RGB", (3, 3), "red").save(
        tmp_path / "a.gif", save_all=True, append_images=[Image.new("RGB", (3, 3), "blue")], duration=100
    )
    assert read_image(tmp_path / "a.gif")[:, 0, 0].tolist() == [1, 0, 0]


def test_huge_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """20,000 pixels wide, and more than Pillow allows: read without its limit, which stays, and given back reduced."""
    Image.new("L", (20_000, 300), 128).save(tmp_path / "wide.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1_000_000)
    monkeypatch.setattr(pictures, "MANY_PIXELS", 2_000_000)
    with pytest.raises(Image.DecompressionBombError):
        Image.open(tmp_path / "wide.png")
    picture = read_image(tmp_path / "wide.png", 128)
    assert Image.MAX_IMAGE_PIXELS == 1_000_000
    assert picture.shape == (3, 4, 257)  # as far as twice the side allows
    torch.testing.assert_close(picture, torch.full_like(picture, 128 / 255))

    monkeypatch.setattr(pictures, "MAX_PIXELS", 1000)
    with pytest.raises(ImageError, match=r"wide.png has 20000x300 pixels.*\.$"):
        read_image(tmp_path / "wide.png")


def test_what_counts_as_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """JPEG and JPEG 2000 count by the size that is decoded, a progressive JPEG by its own, WebP threefold."""
    image = Image.fromarray(np.kron(noise(30, 40, 3), np.ones((10, 10, 1), np.uint8)))
    image.save(tmp_path / "a.jpg")
    image.save(tmp_path / "progressive.jpg", progressive=True)
    for suffix in ("jp2", "webp", "png", "gif"):
        image.save(tmp_path / f"a.{suffix}")
    monkeypatch.setattr(pictures, "MANY_PIXELS", 10_000)
    monkeypatch.setattr(pictures, "MAX_PIXELS", 119_000)
    for name in ("a.jpg", "a.jp2"):
        assert read_image(tmp_path / name, 50).shape == (3, 75, 100)
        with pytest.raises(ImageError, match="400x300 pixels, more than the 59,500"):  # half, in full
            read_image(tmp_path / name)
    for name in ("progressive.jpg", "a.png", "a.gif"):
        with pytest.raises(ImageError, match=r"more than the 119,000 .*; reduce it first, for example by `[^`\n]*`\.$"):
            read_image(tmp_path / name, 50)
    monkeypatch.setattr(pictures, "MAX_PIXELS", 3 * 119_000)
    assert read_image(tmp_path / "progressive.jpg", 50).shape == (3, 75, 100)
    with pytest.raises(ImageError, match="more than the 119,000"):
        read_image(tmp_path / "a.webp", 50)


def test_threads_leave_the_limits_of_pillow_alone(tmp_path: Path) -> None:
    for suffix in ("png", "gif", "webp"):
        Image.fromarray(noise(64, 64, 3)).save(tmp_path / f"a.{suffix}")
    before = Image.MAX_IMAGE_PIXELS, list(warnings.filters), cv2.utils.logging.getLogLevel()
    paths = [tmp_path / f"a.{suffix}" for suffix in ("png", "gif", "webp")] * 20
    with ThreadPoolExecutor(8) as threads:
        assert {image.shape for image in threads.map(read_image, paths)} == {(3, 64, 64)}
    assert (Image.MAX_IMAGE_PIXELS, list(warnings.filters), cv2.utils.logging.getLogLevel()) == before


@pytest.mark.parametrize("suffix", ["png", "jpg", "jp2", "tif", "webp", "bmp"])
def test_reducing_early_changes_little(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str) -> None:
    y, x = np.mgrid[:300, :400] / 60
    smooth = (np.stack((np.sin(x + y), np.cos(x * y), np.sin(x)), 2) * 120 + 128).astype(np.uint8)
    Image.fromarray(smooth).save(tmp_path / f"a.{suffix}")
    whole = read_image(tmp_path / f"a.{suffix}", 50)
    assert whole.shape == (3, 300, 400)
    monkeypatch.setattr(pictures, "MANY_PIXELS", 10_000)
    reduced = read_image(tmp_path / f"a.{suffix}", 50)
    assert reduced.shape == (3, 75, 100)  # as far as twice the side allows
    difference = (fit(whole, 50) - fit(reduced, 50)).abs()
    # A halved JPEG 2000 lies up to half a pixel aside; the steepest edge of this image shows it.
    assert difference.max() < (0.15 if suffix == "jp2" else 0.02)
    assert difference.mean() < (0.03 if suffix == "jp2" else 0.005)
    assert read_image(tmp_path / f"a.{suffix}").shape == whole.shape


def test_bad_files_are_one_sentence(tmp_path: Path) -> None:
    files = {"text.png": b"not an image", "empty.jpg": b""}
    for suffix in ("png", "jpg", "gif", "tif", "bmp", "webp"):
        Image.fromarray(noise(40, 40, 3)).save(tmp_path / "whole", suffix.replace("jpg", "jpeg").replace("tif", "tiff"))
        files[f"cut.{suffix}"] = (tmp_path / "whole").read_bytes()[:300]
    write_deep_png(tmp_path / "whole", noise(40, 40, 3, dtype=np.uint16), 2)
    files["cut-deep.png"] = (tmp_path / "whole").read_bytes()[:3000]
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    for name in (*files, "missing.png", "", "long" * 99):
        with pytest.raises(ImageError, match=r"^[^\n]*[^.\n]\.$") as caught:
            read_image(tmp_path / name)
        assert str(tmp_path / name) in str(caught.value)
    assert issubclass(ImageError, InputError)


def test_damage_never_crashes(tmp_path: Path) -> None:
    """A few of what `tests.torture.fuzz_images` reads: an image or an `ImageError`, whatever is damaged."""
    outcomes = Counter()
    for i, suffix, data in damaged_files(range(600), seed=1):
        (tmp_path / f"a{suffix}").write_bytes(data)
        outcomes[read_damaged(tmp_path / f"a{suffix}", 16 if i % 4 else None)] += 1
    assert min(outcomes["read"], outcomes["refused"]) > 100


def test_the_seeds_of_fuzzing_are_sound(tmp_path: Path) -> None:
    for name, data in seeds().items():
        (tmp_path / name).write_bytes(data)
        assert read_image(tmp_path / name).shape[0] == 3, name


def huge_files() -> dict[str, bytes]:
    """Small files whose heads promise more pixels than can be read: each format's own size fields are overwritten."""
    files = {suffix: data for name, data in seeds().items() for suffix in [Path(name).suffix[1:]]}
    big = 60_000
    both = struct.pack(">II", big, big)

    def patched(suffix: str, at: int, size: bytes) -> bytes:
        return files[suffix][:at] + size + files[suffix][at + len(size) :]

    def png(data: bytes) -> bytes:
        return (
            data[:16] + both + data[24:29] + struct.pack(">I", zlib.crc32(data[12:16] + both + data[24:29])) + data[33:]
        )

    jpeg, jp2, tiff, ico = files["jpg"], files["jp2"], files["tif"], files["ico"]
    frame = jpeg.index(b"\xff\xc0")
    siz = jp2.index(b"\xff\x4f\xff\x51") + 8
    ihdr = jp2.index(b"ihdr") + 4
    nested = ico.index(b"\x89PNG")
    gif = b"GIF89a" + struct.pack("<HHBBB", big, big, 0x80, 0, 0) + bytes(6)
    gif += b"," + struct.pack("<HHHHB", 0, 0, big, big, 0) + b"\x02\x02\x44\x01\0;"
    entries = struct.unpack_from("<H", tiff, struct.unpack_from("<I", tiff, 4)[0])[0]
    for entry in range(entries):
        at = struct.unpack_from("<I", tiff, 4)[0] + 2 + 12 * entry
        if struct.unpack_from("<H", tiff, at)[0] in (256, 257):
            tiff = tiff[:at] + struct.pack("<HHII", struct.unpack_from("<H", tiff, at)[0], 4, 1, big) + tiff[at + 12 :]
    return {
        "gif": gif,
        "png": png(files["png"]),
        "jpg": jpeg[: frame + 5] + struct.pack(">HH", big, big) + jpeg[frame + 9 :],
        "bmp": patched("bmp", 18, struct.pack("<ii", big, big)),
        "tif": tiff,
        "jp2": jp2[:ihdr] + both + jp2[ihdr + 8 : siz] + both + jp2[siz + 8 :],
        "ico": ico[:nested] + png(ico[nested:]),
        "tga": patched("tga", 12, struct.pack("<HH", big, big)),
        "ppm": b"P6 60000 60000 255\n" + bytes(99),
        "pfm": b"Pf 60000 60000 -1.0\n" + bytes(99),
        "qoi": patched("qoi", 4, both),
        "psd": patched("psd", 14, both),
        "sgi": patched("sgi", 6, struct.pack(">HH", big, big)),
        "ras": patched("ras", 4, both),
        "dds": patched("dds", 12, struct.pack("<II", big, big)),
        "pcx": patched("pcx", 8, struct.pack("<HH", big, big)),
        "fits": files["fits"].replace(b"= 24   ", b"= 60000").replace(b"= 16   ", b"= 60000"),
    }


def test_bombs_are_refused_before_they_are_decoded(tmp_path: Path) -> None:
    """60,000 x 60,000 pixels (3.6 GB at one byte each) in less than 4 KB: refused in one line, in little memory."""
    files = huge_files()
    for suffix, data in files.items():
        (tmp_path / f"a.{suffix}").write_bytes(data)
    code = """
import resource, sys
from renderer.io.images import ImageError, read_image
for path in sys.argv[1:]:
    for longest in (None, 128) if not path.endswith("jpg") else (None,):  # a JPEG is decoded at an eighth, in 250 MB
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        try:
            read_image(path, longest)
            print(0, "read", path)
        except ImageError as error:
            print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, error)
"""
    paths = [str(tmp_path / f"a.{suffix}") for suffix in files]
    done = subprocess.run([sys.executable, "-c", code, *paths], capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert len(lines) == 2 * len(files) - 1
    for line in lines:
        growth, message = line.split(" ", 1)
        assert int(growth) < 100_000, line  # KiB
        assert re.search("more than the (150|75),000,000", message) or ("jp2" in line and "damaged" in line), line


@given(st.integers(1, 5000), st.integers(1, 5000), st.integers(1, 4096))
def test_fitted_size(height: int, width: int, longest: int) -> None:
    sides = fitted_size((height, width), longest)
    assert max(sides) == longest
    assert min(sides) == max(1, round(min(height, width) * longest / max(height, width)))
    assert height == width or (sides[0] >= sides[1]) == (height > width) or sides[0] == sides[1]


@pytest.mark.parametrize(
    ("size", "longest"), [((60, 40), 30), ((40, 61), 33), ((8, 6), 29), ((1, 1), 5), ((1, 300), 7), ((9, 9), 9)]
)
def test_fit_is_area_interpolation(size: tuple[int, int], longest: int) -> None:
    pixels = noise(*size, 3)
    fitted = fit(torch.from_numpy(pixels).permute(2, 0, 1) / 255, longest)
    height, width = fitted.shape[1:]
    assert max(height, width) == longest
    expected = cv2.resize(pixels.astype(np.float32) / 255, (width, height), interpolation=cv2.INTER_AREA)
    np.testing.assert_allclose(numbers(fitted), expected.reshape(height, width, 3), atol=1e-6)
    if longest == 30:  # a whole factor: the mean of each block
        blocks = pixels.reshape(30, 2, 20, 2, 3).mean((1, 3)) / 255
        np.testing.assert_allclose(numbers(fitted), blocks, atol=1e-6)


def test_fit_square() -> None:
    pixels = noise(20, 20, 3)
    square = fit_square(Image.fromarray(pixels), 10)
    assert square.dtype == np.uint8
    np.testing.assert_allclose(square, pixels.reshape(10, 2, 10, 2, 3).mean((1, 3)).transpose(2, 0, 1), atol=0.51)


def test_find_pictures(tmp_path: Path) -> None:
    (tmp_path / "folder" / "sub").mkdir(parents=True)
    for name in ("b.PNG", "a.jpeg", "c.webp", "notes.txt", "._a.jpeg", "sub/d.png"):
        (tmp_path / "folder" / name).touch()
    (tmp_path / "odd.name").touch()
    (tmp_path / "empty").mkdir()
    os.mkfifo(tmp_path / "pipe.png")
    found = find_images([tmp_path / "odd.name", str(tmp_path / "folder")])
    assert [path.name for path in found] == ["odd.name", "a.jpeg", "b.PNG", "c.webp"]
    assert find_images([]) == []
    for name, match in (
        ("empty", "holds no images"),
        ("missing", "no image"),
        ("pipe.png", "no image"),  # opening it would wait for ever
        ("long" * 99, "no image or folder"),
    ):
        with pytest.raises(ImageError, match=match):
            find_images([tmp_path / "odd.name", tmp_path / name])


def test_what_a_folder_scan_skips_is_said(tmp_path: Path) -> None:
    """Once a folder, with the reasons."""
    (tmp_path / "sub").mkdir()
    for name in (
        "a.jfif",
        "b.avif",
        "c.jp2",
        "d.mpo",
        "notes.txt",
        "film.mpg",
        "logo.eps",
        "page.pdf",
        ".hidden",
        "face",
    ):
        (tmp_path / name).touch()
    lines: list[str] = []
    assert [path.name for path in find_images([tmp_path], lines.append)] == ["a.jfif", "b.avif", "c.jp2", "d.mpo"]
    reasons = "face (no image), film.mpg (MPEG is not read), logo.eps (EPS is not read), notes.txt (no image)"
    assert lines == [f"6 files of {tmp_path} were skipped: {reasons}, page.pdf (PDF is not read), 1 more."]
    for name in ("a.jfif", "b.avif", "c.jp2", "d.mpo"):
        (tmp_path / name).unlink()
    with pytest.raises(
        ImageError, match=r"holds no images that can be read: 6 files of [^\n]* were skipped: face \(no"
    ):
        find_images([tmp_path])


READABLE = {
    **{
        "png": "RGB",
        "apng": "RGB",
        "jpg": "RGB",
        "jpe": "RGB",
        "jfif": "RGB",
        "webp": "RGB",
        "avif": "RGB",
        "jp2": "RGB",
    },
    **{"j2k": "RGB", "gif": "P", "bmp": "RGB", "dib": "RGB", "tif": "RGB", "ppm": "RGB", "pgm": "L", "pbm": "1"},
    **{"pfm": "F", "ico": "RGB", "icns": "RGB", "dds": "RGB", "tga": "RGB", "pcx": "RGB", "sgi": "RGB"},
    **{"msp": "1", "xbm": "1", "mpo": "RGB", "qoi": "RGB", "blp": "P"},
}


@pytest.mark.parametrize("suffix", READABLE)
def test_formats_of_pillow(tmp_path: Path, suffix: str) -> None:
    """What a folder scan finds is read, to the same colours as Pillow reads."""
    image = Image.fromarray(np.kron(noise(4, 4, 3), np.ones((32, 32, 1), np.uint8))).convert(READABLE[suffix])
    image.save(tmp_path / f"a.{suffix}", **{"lossless": True} if suffix == "webp" else {})
    assert find_images([tmp_path]) == [tmp_path / f"a.{suffix}"]
    read = read_image(tmp_path / f"a.{suffix}")
    with Image.open(tmp_path / f"a.{suffix}") as opened:
        expected = np.asarray(opened.convert("RGB")) / 255
    if suffix == "pfm":  # numbers from 0 to 255 that Pillow cuts to bytes
        expected = np.repeat(np.asarray(image)[:, :, None], 3, 2) / 255
    np.testing.assert_allclose(numbers(read), expected, atol=1e-6)


def test_png_out_and_in(tmp_path: Path) -> None:
    picture = torch.tensor([0.0, 0.4 / 255, 0.6 / 255, 0.5, 254.5 / 255 + 1e-4, 1.0, 1.5, -0.5]).expand(3, 2, 8)
    assert to_bytes(picture)[0, :, 0].tolist() == [0, 0, 1, 128, 255, 255, 255, 0]
    write_png(picture, tmp_path / "new" / "a.png")
    np.testing.assert_array_equal(numbers(read_image(tmp_path / "new" / "a.png")), to_bytes(picture) / np.float32(255))
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.png"]


def test_bytes_are_written_as_they_are(tmp_path: Path) -> None:
    pixels = torch.from_numpy(noise(16, 16, 3)).permute(2, 0, 1)
    write_png(pixels, tmp_path / "a.png")
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "a.png")), pixels.permute(1, 2, 0))
    flat = torch.full((3, 16, 16), 90, dtype=torch.uint8)
    write_jpeg(flat, tmp_path / "a.jpg")
    assert np.abs(np.asarray(Image.open(tmp_path / "a.jpg")).astype(int) - 90).max() <= 1


@pytest.mark.parametrize("write", [write_png, write_jpeg])
@pytest.mark.parametrize(
    ("image", "match"),
    [
        (torch.full((3, 2, 2), float("nan")), "NaN"),
        (torch.tensor([[[0.0, 1.0, float("nan")]]]).expand(3, 1, 3), "NaN"),
        (torch.zeros(3, 2, 2, dtype=torch.int64), "uint8, not torch.int64"),
        (torch.zeros(3, 2, 2, dtype=torch.bool), "uint8, not torch.bool"),
        (torch.zeros(2, 2), r"\(3, H, W\)"),
        (torch.zeros(4, 2, 2), r"\(3, H, W\)"),
        (torch.zeros(3, 0, 2), r"\(3, H, W\)"),
    ],
)
def test_what_is_no_image_is_not_written(
    tmp_path: Path, write: Callable[[torch.Tensor, Path], None], image: torch.Tensor, match: str
) -> None:
    with pytest.raises(InputError, match=match):
        write(image, tmp_path / "a.png")
    assert not list(tmp_path.iterdir())


def test_arrays_that_are_written_are_bytes(tmp_path: Path) -> None:
    for array in (
        np.zeros((2, 2, 3)),
        np.zeros((2, 2, 3), np.int64),
        np.zeros((2, 2, 2), np.uint8),
        np.zeros(3, np.uint8),
    ):
        with pytest.raises(InputError, match="uint8"):
            write_png(array, tmp_path / "a.png")


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_nothing_is_left_when_writing_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    write_png(torch.zeros(3, 2, 2), tmp_path / "a.png")

    def fail(self: Image.Image, path: Path, *_: object, **__: object) -> None:
        path.write_bytes(b"half")
        raise error

    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(InputError if isinstance(error, OSError) else KeyboardInterrupt, match=r"No space|^$"):
        write_png(torch.ones(3, 2, 2), tmp_path / "a.png")
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
    assert read_image(tmp_path / "a.png").max() == 0


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="Cannot write"), atomic(tmp_path / "file" / "a.png"):
        pass
