"""Colours and numbers of images on the way in: mode x depth x byte order x profile x reduced size."""

import io
import itertools
import random
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image, ImageCms

from renderer.io import images
from renderer.io.colour_profiles import SRGB, ProfileError, icc_converter, png_converter
from renderer.io.images import ImageError, as_image, read_image
from tests.renderer.io import icc
from tests.torture.fuzz_images import mutate

COLOURS = np.array([[200, 100, 50], [30, 160, 90], [20, 24, 30], [250, 240, 235]], np.uint8)
ADOBE = icc.rgb(icc.ADOBE[0], icc.gamma_curve(icc.ADOBE[1]))
PROPHOTO = icc.rgb(icc.PROPHOTO[0], icc.gamma_curve(icc.PROPHOTO[1]))
SRGB_ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
# From linear Adobe RGB and ProPhoto RGB to linear sRGB (B. Lindbloom, ProPhoto with Bradford's adaptation).
TO_SRGB = {
    ADOBE: [[1.39836, -0.39836, 0.0], [0.0, 1.0, 0.0], [0.0, -0.04293, 1.04293]],
    PROPHOTO: [[2.03437, -0.72758, -0.30675], [-0.22883, 1.23173, -0.00290], [-0.00857, -0.15329, 1.16179]],
}


def patches(colours: np.ndarray = COLOURS) -> np.ndarray:
    """(32, 32, C): four squares of one colour each."""
    return np.kron(colours.reshape(2, 2, -1), np.ones((16, 16, 1), colours.dtype))


def centres(image: torch.Tensor) -> np.ndarray:
    """(4, 3): the colours of the squares, from 0 to 255."""
    h, w = image.shape[1:]
    picked = [image[:, y, x] for y, x in itertools.product((h // 4, h - h // 4 - 1), (w // 4, w - w // 4 - 1))]
    return torch.stack(picked).numpy() * 255


def encode(linear: np.ndarray) -> np.ndarray:
    linear = np.clip(linear, 0, 1)
    return 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def expected(profile: bytes | None, colours: np.ndarray = COLOURS) -> np.ndarray:
    if profile not in TO_SRGB:
        return colours.astype(float)
    gamma = icc.ADOBE[1] if profile == ADOBE else icc.PROPHOTO[1]
    return encode((colours / 255) ** gamma @ np.transpose(TO_SRGB[profile]))


def png(path: Path, values: np.ndarray, chunks: dict[bytes, bytes] | None = None) -> None:
    """A PNG of (H, W, 1 to 4), uint8 or uint16, with chunks of one's own."""
    height, width, channels = values.shape
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    rows = b"".join(b"\0" + row.astype(values.dtype.newbyteorder(">")).tobytes() for row in values)
    head = struct.pack(">IIBBBBB", width, height, 8 * values.dtype.itemsize, kind, 0, 0, 0)
    parts = {b"IHDR": head, **(chunks or {}), b"IDAT": zlib.compress(rows), b"IEND": b""}
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + b"".join(
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
            for name, data in parts.items()
        )
    )


def iccp(profile: bytes) -> dict[bytes, bytes]:
    return {b"iCCP": b"name\0\0" + zlib.compress(profile)}


def write(kind: str, path: Path, profile: bytes | None) -> None:
    pixels = patches()
    deep = pixels.astype(np.uint16) * 257
    if kind == "png16":
        png(path, deep, None if profile is None else iccp(profile))
    elif kind.startswith("tif16"):
        tags = [] if profile is None else [(34675, 7, len(profile), profile, True)]
        tifffile.imwrite(path, deep, byteorder=kind[-1], photometric="rgb", extratags=tags, metadata=None)
    else:
        options = {"jpg": {"quality": 100, "subsampling": 0}, "webp": {"lossless": True}, "avif": {"quality": 100}}
        Image.fromarray(pixels).save(path, icc_profile=profile, **options.get(kind, {}))


@pytest.mark.parametrize("reduced", [False, True], ids=["full", "reduced"])
@pytest.mark.parametrize("profile", [None, SRGB_ICC, ADOBE, PROPHOTO], ids=["none", "srgb", "adobe", "prophoto"])
@pytest.mark.parametrize("kind", ["jpg", "png", "png16", "tif", "tif16<", "tif16>", "webp", "avif"])
def test_colour_of_profiles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, profile: bytes | None, reduced: bool
) -> None:
    path = tmp_path / f"a.{kind.rstrip('16<>')}"
    write(kind, path, profile)
    if reduced:
        monkeypatch.setattr(images, "MANY_PIXELS", 100)
    image = read_image(path, 4)
    assert image.shape == ((3, 8, 8) if reduced else (3, 32, 32))
    stored = COLOURS
    if kind in ("jpg", "avif"):  # by a codec with losses
        with Image.open(path) as opened:
            stored = centres(torch.from_numpy(np.array(opened)).permute(2, 0, 1) / 255).round().astype(np.uint8)
        assert np.abs(stored.astype(int) - COLOURS).max() <= 4
    np.testing.assert_allclose(centres(image), expected(profile, stored), atol=0.6)


def test_the_known_values_agree_with_little_cms() -> None:
    """Adobe RGB (200, 100, 50) is not far from sRGB (226, 100, 40); ignored, it would be 26 of 255 away."""
    assert np.abs(expected(ADOBE)[0] - [226, 100, 40]).max() < 3
    for profile in (ADOBE, PROPHOTO):
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        cms = ImageCms.profileToProfile(Image.fromarray(COLOURS[None]), source, ImageCms.createProfile("sRGB"))
        np.testing.assert_allclose(np.asarray(cms)[0], expected(profile), atol=1.01)


def test_sixteen_bits_stay_fine_through_a_profile(tmp_path: Path) -> None:
    """Steps of 1/65535 in Adobe RGB are different colours in sRGB."""
    ramp = np.repeat(np.arange(20_000, 20_064, dtype=np.uint16)[None, :, None], 3, 2)
    png(tmp_path / "a.png", ramp, iccp(ADOBE))
    values = read_image(tmp_path / "a.png")[1, 0].double().numpy()
    assert (np.diff(values) > 0).all()
    np.testing.assert_allclose(values * 255, encode((ramp[0, :, 0] / 65535) ** icc.ADOBE[1]), atol=2e-3)


CURVES = {
    "gamma": (icc.gamma_curve(2.0), lambda x: x**2),
    "identity": (b"curv" + bytes(8), lambda x: x),
    "table": (icc.table_curve([0, 0.1, 0.4, 1]), lambda x: np.interp(x, [0, 1 / 3, 2 / 3, 1], [0, 0.1, 0.4, 1])),
    "para0": (icc.parametric_curve(0, 1.5), lambda x: x**1.5),
    "para1": (icc.parametric_curve(1, 2, 1.25, -0.25), lambda x: np.maximum(1.25 * x - 0.25, 0) ** 2),
    "para2": (icc.parametric_curve(2, 2, 1.2, -0.3, 0.1), lambda x: np.maximum(1.2 * x - 0.3, 0) ** 2 + 0.1),
    "para3": (
        icc.parametric_curve(3, 2.2, 0.9, 0.1, 0.5, 0.2),
        lambda x: np.where(x >= 0.2, (0.9 * x + 0.1) ** 2.2, 0.5 * x),
    ),
    "para4": (
        icc.parametric_curve(4, 2, 0.8, 0.1, 0.3, 0.2, 0.1, 0.05),
        lambda x: np.where(x >= 0.2, (0.8 * x + 0.1) ** 2 + 0.1, 0.3 * x + 0.05),
    ),
}


@pytest.mark.parametrize("name", CURVES)
@pytest.mark.parametrize("depth", [8, 16])
def test_grey_profiles(tmp_path: Path, name: str, depth: int) -> None:
    tag, curve = CURVES[name]
    grey = np.linspace(0, 255, 16).astype(np.uint8).reshape(4, 4, 1)
    png(tmp_path / "a.png", grey if depth == 8 else grey.astype(np.uint16) * 257, iccp(icc.grey(tag)))
    image = read_image(tmp_path / "a.png")
    np.testing.assert_allclose(image[0] * 255, encode(curve(grey[:, :, 0] / 255)), atol=0.05)
    assert torch.equal(image[0], image[2])


def test_grey_with_a_colour_profile(tmp_path: Path) -> None:
    Image.fromarray(patches()[:, :, 0]).save(tmp_path / "a.png", icc_profile=ADOBE)
    reds = np.repeat(COLOURS[:, :1], 3, 1)
    np.testing.assert_allclose(centres(read_image(tmp_path / "a.png")), expected(ADOBE, reds), atol=0.6)


# With a black of 0, so that its compensation, a part of the perceptual intent, changes nothing.
INK_LAB = [(100, 0, 0), (25, 0, 0), (85, -5, 80), (14, 0, 5), (50, 60, 0), (12, 5, 0), (48, 65, 45), (11, 4, 3)]
INK_LAB += [(60, -15, -40), (13, -2, -4), (50, -60, 25), (10, -4, 2), (25, 20, -45), (9, 1, -3), (22, 0, 0), (0, 0, 0)]


@pytest.mark.parametrize("suffix", ["tif", "jpg"])
@pytest.mark.parametrize("reduced", [False, True])
def test_cmyk_profiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, reduced: bool) -> None:
    """Solid inks have the colours of the profile's table, not those of a naive conversion."""
    inks = np.array([[0, 255, 0, 0], [255, 0, 0, 0], [0, 0, 0, 255], [0, 0, 0, 0]], np.uint8)
    image = Image.frombytes("CMYK", (32, 32), patches(inks).tobytes())
    options = {"quality": 100, "subsampling": 0} if suffix == "jpg" else {}
    image.save(tmp_path / f"a.{suffix}", icc_profile=icc.table(b"CMYK", INK_LAB), **options)
    if reduced:
        monkeypatch.setattr(images, "MANY_PIXELS", 100)
    lab = [INK_LAB[4], INK_LAB[8], INK_LAB[1], INK_LAB[0]]
    np.testing.assert_allclose(
        centres(read_image(tmp_path / f"a.{suffix}", 4)), from_lab(np.array(lab, float)), atol=2.5
    )


def test_profiles_of_tables(tmp_path: Path) -> None:
    corners = [(60 * g + 25 * r + 15 * b, 0, 0) for r, g, b in itertools.product((0, 1), repeat=3)]
    colours = np.array([[0, 0, 0], [255, 0, 0], [0, 255, 0], [255, 255, 255]], np.uint8)
    Image.fromarray(patches(colours)).save(tmp_path / "a.png", icc_profile=icc.table(b"RGB ", corners))
    lab = np.array([[0, 0, 0], [25, 0, 0], [60, 0, 0], [100, 0, 0]], float)
    np.testing.assert_allclose(centres(read_image(tmp_path / "a.png")), from_lab(lab), atol=2)


def from_lab(lab: np.ndarray) -> np.ndarray:
    """CIE L*a*b* under D50 -> sRGB from 0 to 255, by the textbook."""
    fy = (lab[:, 0] + 16) / 116
    f = np.stack((fy + lab[:, 1] / 500, fy, fy - lab[:, 2] / 200), 1)
    xyz = np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29)) * [0.9642, 1, 0.8249]
    matrix = [
        [3.1338561, -1.6168667, -0.4906146],
        [-0.9787684, 1.9161415, 0.0334540],
        [0.0719453, -0.2289914, 1.4052427],
    ]
    return encode(xyz @ np.transpose(matrix))


def test_lab(tmp_path: Path) -> None:
    lab = np.array([[50, 0, 0], [60, 40, 20], [40, -30, 10], [80, 5, -30]], float)
    stored = np.round(lab * [2.55, 1, 1]).astype(np.int64).astype(np.uint8)  # a and b as in TIFF, with a sign
    Image.frombytes("LAB", (32, 32), patches(stored).tobytes()).save(tmp_path / "a.tif")
    np.testing.assert_allclose(centres(read_image(tmp_path / "a.tif")), from_lab(lab), atol=2)


@pytest.mark.parametrize(
    ("chunks", "gamma"),
    [
        ({b"gAMA": struct.pack(">I", 100_000)}, 1.0),
        ({b"gAMA": struct.pack(">I", 55_556)}, 1.8),
        ({b"gAMA": struct.pack(">I", 45_455)}, None),
        ({b"gAMA": struct.pack(">I", 100_000), b"sRGB": b"\0"}, None),
    ],
    ids=["linear", "1.8", "as sRGB", "sRGB wins"],
)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3])
def test_gamma_of_a_png(
    tmp_path: Path, chunks: dict[bytes, bytes], gamma: float | None, dtype: type, channels: int
) -> None:
    pixels = patches(COLOURS[:, :channels]).astype(dtype) * (257 if dtype == np.uint16 else 1)
    png(tmp_path / "a.png", pixels, chunks)
    shown = np.broadcast_to(COLOURS[:, :channels], (4, 3)).astype(float)
    right = shown if gamma is None else encode((shown / 255) ** gamma)
    np.testing.assert_allclose(centres(read_image(tmp_path / "a.png")), right, atol=0.05)
    with Image.open(tmp_path / "a.png") as opened:
        np.testing.assert_allclose(centres(as_image(opened)), right, atol=1)


def test_primaries_of_a_png(tmp_path: Path) -> None:
    """Adobe RGB as gAMA and cHRM is the same as its ICC profile, which wins where both are."""
    adobe = struct.pack(">8I", 31270, 32900, 64000, 33000, 21000, 71000, 15000, 6000)
    chunks = {b"gAMA": struct.pack(">I", round(100_000 / icc.ADOBE[1] * 0.9)), b"cHRM": adobe}
    png(tmp_path / "a.png", patches(), chunks)
    linear = (COLOURS / 255) ** (icc.ADOBE[1] / 0.9)
    right = encode(linear @ np.transpose(TO_SRGB[ADOBE]))
    np.testing.assert_allclose(centres(read_image(tmp_path / "a.png")), right, atol=0.3)
    png(tmp_path / "b.png", patches(), {**chunks, **iccp(PROPHOTO)})
    np.testing.assert_allclose(centres(read_image(tmp_path / "b.png")), expected(PROPHOTO), atol=0.6)


DAMAGED = {
    "empty": b"x",
    "noise": np.random.default_rng(0).bytes(500),
    "cut": ADOBE[:200],
    "cmyk": icc.table(b"CMYK", INK_LAB),
    "grey": icc.grey(icc.gamma_curve(1)),
    "a curve of an unknown type": icc.rgb(icc.ADOBE[0], b"what" + bytes(12)),
    "no primaries": icc.profile(b"RGB ", {}),
    "a named profile": icc.profile(b"RGB ", {}, kind=b"nmcl"),
    "a table cut short": icc.table(b"RGB ", [(0, 0, 0)] * 8)[:-300],
    "a constant curve": icc.rgb(icc.ADOBE[0], icc.parametric_curve(1, 2, 0, 1)),
    "a curve of no numbers": icc.rgb(icc.ADOBE[0], icc.parametric_curve(1, 2, 0, 0)),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_wrong_profiles_are_ignored_with_a_warning(tmp_path: Path, name: str) -> None:
    Image.fromarray(patches()).save(tmp_path / "a.png", icc_profile=DAMAGED[name])
    with pytest.warns(UserWarning, match=r"^[^\n]*a\.png: the colour profile is ignored, because [^\n]*\.$") as caught:
        image = read_image(tmp_path / "a.png")
    assert caught[0].filename == __file__
    np.testing.assert_allclose(centres(image), COLOURS, atol=0.01)


@pytest.mark.parametrize(
    "chunks",
    [{b"gAMA": bytes(4)}, {b"cHRM": bytes(32)}, {b"cHRM": struct.pack(">8I", *[30_000] * 8)}],
    ids=["gamma 0", "no primaries", "one primary"],
)
def test_wrong_chunks_are_ignored_with_a_warning(tmp_path: Path, chunks: dict[bytes, bytes]) -> None:
    png(tmp_path / "a.png", patches(), chunks)
    with pytest.warns(UserWarning, match="ignored"):
        image = read_image(tmp_path / "a.png")
    np.testing.assert_allclose(centres(image), COLOURS, atol=0.01)


def test_a_profile_of_more_than_a_mebibyte(tmp_path: Path) -> None:
    """Pillow refuses such a PNG by default."""
    large = icc.rgb(icc.ADOBE[0], icc.gamma_curve(icc.ADOBE[1])) + np.random.default_rng(0).bytes(1_500_000)
    png(tmp_path / "a.png", patches(), iccp(large))
    np.testing.assert_allclose(centres(read_image(tmp_path / "a.png")), expected(ADOBE), atol=0.6)


def test_srgb_is_recognised_by_its_numbers() -> None:
    assert icc_converter(SRGB_ICC, "RGB") is None
    assert png_converter(0.45455, SRGB, "RGB") is None
    assert icc_converter(ADOBE, "RGB") is not None
    with pytest.raises(ProfileError, match="the pixels are CMYK"):
        icc_converter(ADOBE, "CMYK")


def test_damaged_profiles_give_no_other_errors() -> None:
    rng = random.Random(0)
    profiles = [
        ADOBE,
        SRGB_ICC,
        icc.table(b"CMYK", INK_LAB),
        icc.grey(CURVES["para4"][0]),
        icc.rgb(icc.ADOBE[0], CURVES["table"][0]),
    ]
    refused = 0
    for i in range(120):
        damaged = mutate(profiles[i % len(profiles)], rng, profiles)
        mode = ("RGB", "RGB", "CMYK", "L", "RGB")[i % len(profiles)]
        try:
            convert = icc_converter(damaged, mode)
        except ProfileError as error:
            refused += "\n" not in str(error)
            continue
        if convert is not None:
            converted = convert(np.float32(np.linspace(0, 1, 12 * len(mode)).reshape(3, 4, len(mode))))
            assert converted.shape[2] in (1, 3)
            assert ((converted >= 0) & (converted <= 1)).all()
    assert 30 < refused < 120


GREYS = np.array([[0, 40, 90], [128, 200, 255]])


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("reduced", [False, True])
@pytest.mark.parametrize(
    ("dtype", "white"),
    [
        ("u1", 255),
        ("i1", 127),
        ("u2", 65535),
        ("i2", 32767),
        ("i2", 255),
        ("u4", 255),
        ("u4", 65535),
        ("u4", 2**32 - 1),
        ("i4", 65535),
        ("i4", 2**31 - 1),
        ("f4", 1),
        ("f4", 255),
        ("f4", 65535),
    ],
)
def test_numbers_of_grey_tiff(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, order: str, dtype: str, white: float, reduced: bool
) -> None:
    numbers = (np.kron(GREYS, np.ones((16, 16))) / 255 * white).astype(dtype)
    tifffile.imwrite(tmp_path / "a.tif", numbers, byteorder=order, metadata=None)
    if reduced:
        monkeypatch.setattr(images, "MANY_PIXELS", 100)
    image = read_image(tmp_path / "a.tif", 3)
    right = numbers.astype(np.float64) / white
    right = right.reshape(4, 8, 6, 8).mean((1, 3)) if reduced else right
    np.testing.assert_allclose(image, np.broadcast_to(right, (3, *right.shape)), atol=1e-6)


def test_negative_integers_are_black(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.array([[-5, 0, 32767]], np.int16), metadata=None)
    assert read_image(tmp_path / "a.tif")[0].tolist() == [[0, 0, 1]]


@pytest.mark.parametrize(
    ("odd", "shown"), [(1.02, 1), (3.0, 1), (1000.0, 1), (np.inf, 1), (-np.inf, 0), (np.nan, 0), (-0.5, 0)]
)
def test_one_odd_float_changes_no_other(tmp_path: Path, odd: float, shown: float) -> None:
    values = np.random.default_rng(0).random((40, 40), np.float32)
    values[3, 5] = odd
    Image.fromarray(values).save(tmp_path / "a.tif")
    right = values.copy()
    right[3, 5] = shown
    assert np.array_equal(read_image(tmp_path / "a.tif")[0], right)
    assert np.array_equal(as_image(Image.fromarray(values))[1], right)


def test_highlights_and_stars(tmp_path: Path) -> None:
    """Highlights of a scene over 1 are white; a few stars on black tell the range just as well as a bright image."""
    scene = np.linspace(0, 4, 400, dtype=np.float32).reshape(20, 20)
    Image.fromarray(scene).save(tmp_path / "scene.tif")
    np.testing.assert_array_equal(read_image(tmp_path / "scene.tif")[0], scene.clip(0, 1))
    sky = np.zeros((100, 100), np.float32)
    sky[::30, ::30] = 200
    Image.fromarray(sky).save(tmp_path / "sky.tif")
    np.testing.assert_allclose(read_image(tmp_path / "sky.tif").max(), 200 / 255)
    Image.fromarray(sky * 0).save(tmp_path / "black.tif")
    assert read_image(tmp_path / "black.tif").max() == 0


def test_portable_greymaps_of_sixteen_bits(tmp_path: Path) -> None:
    (tmp_path / "a.pgm").write_bytes(b"P5 3 1 65535\n" + struct.pack(">3H", 0, 200, 65535))
    np.testing.assert_allclose(read_image(tmp_path / "a.pgm")[0], [[0, 200 / 65535, 1]], atol=1e-6)


BACKGROUND = (1.0, 0.5, 0.0)


def over(colour: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    return (colour * alpha + np.array(BACKGROUND) * (1 - alpha)).transpose(2, 0, 1)


@pytest.mark.parametrize("mode", ["RGBA", "RGBa", "LA", "La", "PA"])
@pytest.mark.parametrize("reduced", [False, True])
def test_transparency_of_modes(monkeypatch: pytest.MonkeyPatch, mode: str, reduced: bool) -> None:
    alphas = np.array([255, 0, 128, 51], np.uint8)[:, None]
    pixels = patches(np.concatenate((COLOURS, alphas), 1))
    if mode in ("LA", "La"):
        pixels = pixels[:, :, [0, 3]]
    if mode == "PA":
        image = Image.new("P", (32, 32))
        image.putpalette(COLOURS.tobytes())
        image.putdata(patches(np.arange(4, dtype=np.uint8)[:, None]).ravel().tolist())
        image = image.convert("PA")
        image.putalpha(Image.fromarray(pixels[:, :, 3]))
    else:
        image = Image.fromarray(pixels).convert(mode)
    assert image.mode == mode
    if reduced:
        monkeypatch.setattr(images, "MANY_PIXELS", 100)
    alpha = alphas / 255
    colour = np.broadcast_to(COLOURS[:, :1], (4, 3)) if mode in ("LA", "La") else COLOURS
    right = colour * alpha + 255 * np.array(BACKGROUND) * (1 - alpha)
    shown = as_image(image, 4, background=BACKGROUND)
    assert shown.shape == ((3, 8, 8) if reduced else (3, 32, 32))
    np.testing.assert_allclose(centres(shown), right, atol=1.0 if mode.endswith("a") else 0.01)


@pytest.mark.parametrize("kind", ["1", "L", "RGB", "P", "P with a table", "I;16", "RGB 16"])
def test_transparency_of_one_colour(tmp_path: Path, kind: str) -> None:
    """The chunk tRNS: one colour is clear."""
    path = tmp_path / "a.png"
    colour = np.array([[[0.0] * 3, [1.0] * 3]])
    alpha = np.array([[[0.0], [1.0]]])
    if kind == "1":
        Image.fromarray(np.array([[False, True]])).save(path, transparency=0)
    elif kind == "L":
        Image.fromarray(np.array([[0, 255]], np.uint8)).save(path, transparency=0)
    elif kind == "RGB":
        Image.fromarray(np.uint8(colour * 255)).save(path, transparency=(0, 0, 0))
    elif kind == "I;16":
        png(path, np.array([[[300], [65535]]], np.uint16), {b"tRNS": struct.pack(">H", 300)})
    elif kind == "RGB 16":
        clear = np.array([[[300, 400, 500], [65535] * 3]], np.uint16)
        png(path, clear, {b"tRNS": struct.pack(">3H", 300, 400, 500)})
    else:
        image = Image.fromarray(np.array([[0, 1]], np.uint8), "L").convert("P")
        image.putpalette([0, 0, 0, 255, 255, 255])
        table = kind == "P with a table"
        alpha[0, :, 0] = [102 / 255, 1] if table else [0, 1]
        image.save(path, transparency=bytes([102, 255]) if table else 0)
    np.testing.assert_allclose(read_image(path, background=BACKGROUND), over(colour, alpha), atol=1e-6)


def test_premultiplied_and_deep_tiff(tmp_path: Path) -> None:
    """Opacity of a 16-bit TIFF, beside the colour or already in it."""
    colour = np.array([[[60000, 30000, 12000], [20000, 40000, 5000]]], np.uint16)
    alpha = np.array([[[65535], [32768]]], np.uint16)
    right = over(colour / 65535, alpha / 65535)
    plain = np.concatenate((colour, alpha), 2)
    tifffile.imwrite(tmp_path / "a.tif", plain, photometric="rgb", extrasamples=["unassalpha"], metadata=None)
    np.testing.assert_allclose(read_image(tmp_path / "a.tif", background=BACKGROUND), right, atol=1e-5)
    mixed = np.concatenate(((colour * (alpha / 65535)).astype(np.uint16), alpha), 2)
    tifffile.imwrite(tmp_path / "b.tif", mixed, photometric="rgb", extrasamples=["assocalpha"], metadata=None)
    np.testing.assert_allclose(read_image(tmp_path / "b.tif", background=BACKGROUND), right, atol=1.5 / 255)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_orientation_of_tiff(tmp_path: Path, orientation: int, dtype: type) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (2, 3, 3)).astype(np.uint8)
    values = pixels.astype(dtype) * (257 if dtype == np.uint16 else 1)
    tags = [(274, 3, 1, orientation, True)]
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="rgb", extratags=tags, metadata=None)
    Image.fromarray(pixels).save(tmp_path / "b.png", exif=exif(orientation))
    assert torch.equal(read_image(tmp_path / "a.tif"), read_image(tmp_path / "b.png"))


def exif(orientation: int) -> Image.Exif:
    data = Image.Exif()
    data[images.ORIENTATION] = orientation
    return data


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBX", "YCbCr", "HSV", "CMYK", "I", "I;16", "F"])
def test_files_and_pil_images_agree(tmp_path: Path, mode: str) -> None:
    """`as_image` of a PIL image of every mode; those that a file can hold are read alike."""
    grey = Image.fromarray(patches()[:, :, 1])
    image = {
        "I": lambda: Image.fromarray(np.int32(patches()[:, :, 1])),
        "I;16": lambda: Image.fromarray(patches()[:, :, 1].astype(np.uint16) * 257),
        "F": lambda: Image.fromarray(np.float32(patches()[:, :, 1] / 255)),
        "1": lambda: grey.convert("1", dither=Image.Dither.NONE),
        "L": lambda: grey,
        "P": lambda: Image.fromarray(patches()).quantize(4),
    }.get(mode, lambda: Image.fromarray(patches()).convert(mode))()
    assert image.mode == mode
    greens = np.repeat(COLOURS[:, 1:2], 3, 1)
    right = greens if mode in ("L", "I", "I;16", "F") else 255 * (greens > 127) if mode == "1" else COLOURS
    shown = as_image(image)
    # HSV and YCbCr are rounded to bytes.
    np.testing.assert_allclose(centres(shown), right, atol=3 if mode in ("HSV", "YCbCr") else 0.01)
    if mode not in ("RGBX", "HSV"):
        image.save(tmp_path / "a.tif")
        np.testing.assert_allclose(read_image(tmp_path / "a.tif"), shown, atol=0.02 if mode == "YCbCr" else 1e-6)


def test_arrays_and_tensors() -> None:
    pixels = patches()
    right = as_image(Image.fromarray(pixels))
    for array in (
        pixels,
        pixels.astype(np.uint16) * 257,
        (pixels.astype(np.uint16) * 257).astype(">u2"),
        pixels / 255,
        np.float32(pixels) / 255,
        np.asfortranarray(pixels),
        np.concatenate((pixels, np.full((32, 32, 1), 255, np.uint8)), 2),
    ):
        torch.testing.assert_close(as_image(array), right, atol=1e-6, rtol=0)
        assert as_image(array).dtype == torch.float32
    for tensor in (right, right.double(), (right * 255).round().byte()):
        torch.testing.assert_close(as_image(tensor), right, atol=1e-6, rtol=0)
    assert torch.equal(as_image(right.requires_grad_()), right.detach())
    torch.testing.assert_close(as_image(torch.rand(3, 4, 5).bfloat16()).shape, torch.Size([3, 4, 5]))
    for mask in (np.eye(4, dtype=bool), np.eye(4), torch.eye(4), torch.eye(4)[None].bool()):
        assert torch.equal(as_image(mask), torch.eye(4).expand(3, -1, -1))
    clear = as_image(torch.tensor([1.0, 0.0, 0.0, 0.25]).reshape(4, 1, 1), background=BACKGROUND)
    torch.testing.assert_close(clear.flatten(), torch.tensor([1.0, 0.375, 0.0]))


@pytest.mark.parametrize(
    "value",
    [
        np.zeros((2, 2, 2)),
        np.zeros((0, 2, 3)),
        np.zeros((1, 2, 2, 3)),
        np.full((2, 2, 3), 1.02),
        np.full((2, 2, 3), np.nan),
        np.full((2, 2, 3), -0.1),
        np.zeros((2, 2, 3), int),
        np.zeros((2, 2, 3), complex),
        np.array([["a"]]),
        np.array([[object()]]),
        torch.zeros(2, 2, 3),
        torch.full((3, 2, 2), float("inf")),
        [[0, 1]],
        None,
    ],
)
def test_no_images(value: object) -> None:
    with pytest.raises(ImageError, match=r"^An image[^\n]*\.$"):
        as_image(value)  # type: ignore[arg-type]
