import struct
import warnings
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from renderer.errors import InputError
from renderer.io import images as module
from renderer.io.files import atomic
from renderer.io.images import (
    ImageError,
    find_images,
    fit,
    fit_square,
    fitted_size,
    read_image,
    to_bytes,
    write_png,
)


def noise(*shape: int, dtype: type = np.uint8) -> np.ndarray:
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


def numbers(picture: torch.Tensor) -> np.ndarray:
    return picture.permute(1, 2, 0).numpy()


def write_deep_png(path: Path, values: np.ndarray, colour_type: int) -> None:
    """A PNG with 16 bits per channel, from (H, W, C); neither Pillow nor OpenCV writes grey with alpha."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    height, width = values.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    head = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    parts = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + parts)


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif"])
def test_8_bit_round_trip(tmp_path: Path, suffix: str) -> None:
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
def test_every_mode_becomes_rgb(tmp_path: Path, mode: str, suffix: str) -> None:
    image = Image.new("RGB", (16, 8), (200, 40, 90)).convert(mode)
    image.save(tmp_path / f"a.{suffix}")
    expected = np.asarray(image.convert("RGB")) / 255
    np.testing.assert_allclose(numbers(read_image(tmp_path / f"a.{suffix}")), expected, atol=3 / 255)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["jpg", "png", "deep"])
def test_exif_orientation(tmp_path: Path, orientation: int, kind: str) -> None:
    pixels = np.kron(noise(2, 3, 3), np.ones((16, 16, 1), np.uint8))
    image = Image.fromarray(pixels)
    exif = image.getexif()
    exif[module.ORIENTATION] = orientation
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


def test_damaged_exif_is_ignored(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4), "red").save(tmp_path / "a.jpg", exif=b"Exif\0\0nonsense")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_image(tmp_path / "a.jpg").shape == (3, 4, 4)


def test_transparency_over_white(tmp_path: Path) -> None:
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


def test_animation_gives_its_first_frame(tmp_path: Path) -> None:
    Image.new("RGB", (3, 3), "red").save(
        tmp_path / "a.gif", save_all=True, append_images=[Image.new("RGB", (3, 3), "blue")], duration=100
    )
    assert read_image(tmp_path / "a.gif")[:, 0, 0].tolist() == [1, 0, 0]


def test_huge_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """20,000 pixels wide, more than Pillow allows: it is read reduced, and Pillow's limit is restored."""
    Image.new("L", (20_000, 300), 128).save(tmp_path / "wide.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1_000_000)
    monkeypatch.setattr(module, "MANY_PIXELS", 2_000_000)
    with pytest.raises(Image.DecompressionBombError):
        Image.open(tmp_path / "wide.png")
    picture = read_image(tmp_path / "wide.png", 128)
    assert Image.MAX_IMAGE_PIXELS == 1_000_000
    assert picture.shape == (3, 150, 10_000)
    torch.testing.assert_close(picture, torch.full_like(picture, 128 / 255))

    monkeypatch.setattr(module, "MOST_PIXELS", 1000)
    with pytest.raises(ImageError, match=r"wide.png has 20000x300 pixels.*\.$"):
        read_image(tmp_path / "wide.png")


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_early_reduction_changes_little(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str) -> None:
    y, x = np.mgrid[:300, :400] / 60
    smooth = (np.stack((np.sin(x + y), np.cos(x * y), np.sin(x)), 2) * 120 + 128).astype(np.uint8)
    Image.fromarray(smooth).save(tmp_path / f"a.{suffix}")
    whole = read_image(tmp_path / f"a.{suffix}", 50)
    assert whole.shape == (3, 300, 400)
    monkeypatch.setattr(module, "MANY_PIXELS", 10_000)
    reduced = read_image(tmp_path / f"a.{suffix}", 50)
    assert reduced.shape == (3, 75, 100)  # not below twice the side
    assert (fit(whole, 50) - fit(reduced, 50)).abs().max() < 0.02
    assert read_image(tmp_path / f"a.{suffix}").shape == whole.shape


def test_invalid_files(tmp_path: Path) -> None:
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


@settings(deadline=None)
@given(st.data())
def test_damaged_files_never_crash(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    suffix = data.draw(st.sampled_from(["png", "jpeg", "gif", "tiff", "bmp", "webp"]))
    path = tmp_path_factory.getbasetemp() / f"damaged.{suffix}"
    Image.fromarray(noise(12, 9, 3)).save(path)
    raw = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        raw[data.draw(st.integers(0, min(len(raw) - 1, 200)))] = data.draw(st.integers(0, 255))
    path.write_bytes(raw)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            picture = read_image(path, 16)
        except ImageError as error:
            assert str(error).count("\n") == 0  # noqa: PT017
        else:
            assert 0 <= picture.min() <= picture.max() <= 1


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
    if longest == 30:  # an integer factor: the mean of each block
        blocks = pixels.reshape(30, 2, 20, 2, 3).mean((1, 3)) / 255
        np.testing.assert_allclose(numbers(fitted), blocks, atol=1e-6)


def test_fit_square() -> None:
    pixels = noise(20, 20, 3)
    square = fit_square(Image.fromarray(pixels), 10)
    assert square.dtype == np.uint8
    np.testing.assert_allclose(square, pixels.reshape(10, 2, 10, 2, 3).mean((1, 3)).transpose(2, 0, 1), atol=0.51)


def test_find_images(tmp_path: Path) -> None:
    (tmp_path / "folder" / "sub").mkdir(parents=True)
    for name in ("b.PNG", "a.jpeg", "c.webp", "notes.txt", "._a.jpeg", "sub/d.png"):
        (tmp_path / "folder" / name).touch()
    (tmp_path / "odd.name").touch()
    (tmp_path / "empty").mkdir()
    found = find_images([tmp_path / "odd.name", str(tmp_path / "folder")])
    assert [path.name for path in found] == ["odd.name", "a.jpeg", "b.PNG", "c.webp"]
    assert find_images([]) == []
    for name, match in (
        ("empty", "holds no images"),
        ("missing", "no image"),
        ("long" * 99, "no image or folder"),
    ):
        with pytest.raises(ImageError, match=match):
            find_images([tmp_path / "odd.name", tmp_path / name])


def test_png_round_trip(tmp_path: Path) -> None:
    picture = torch.tensor([0.0, 0.4 / 255, 0.6 / 255, 0.5, 254.5 / 255 + 1e-4, 1.0, 1.5, -0.5]).expand(3, 2, 8)
    assert to_bytes(picture)[0, :, 0].tolist() == [0, 0, 1, 128, 255, 255, 255, 0]
    write_png(picture, tmp_path / "new" / "a.png")
    np.testing.assert_array_equal(numbers(read_image(tmp_path / "new" / "a.png")), to_bytes(picture) / np.float32(255))
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.png"]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_failed_writing_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    write_png(torch.zeros(3, 2, 2), tmp_path / "a.png")

    def fail(self: Image.Image, path: Path, *_: object, **__: object) -> None:
        path.write_bytes(b"half")
        raise error

    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(InputError if isinstance(error, OSError) else KeyboardInterrupt, match=r"No space|^$"):
        write_png(torch.ones(3, 2, 2), tmp_path / "a.png")
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
    assert read_image(tmp_path / "a.png").max() == 0


def test_path_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="Cannot write"), atomic(tmp_path / "file" / "a.png"):
        pass
