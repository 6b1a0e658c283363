"""Read damaged images of every format: each gives an image or an `ImageError`, within bounded memory.

    python -m tests.torture.fuzz_images --n 100000

Reading runs in child processes, so that a crash is a finding too. A finding's file stays in --keep; the exit code is 1.
"""

from __future__ import annotations

import argparse
import io
import json
import multiprocessing
import os
import random
import resource
import struct
import sys
import tempfile
import time
import warnings
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image, ImageCms

from renderer.io.images import ImageError, read_image

CHUNK = 2000  # inputs of one child process
MAX_GROWTH = 1500  # MiB of a child: what decoding `MAX_PIXELS` pixels takes, and the pixels converted
SPLATS = (b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\0", b"\0\0\xff\xff", b"\xff\xff\0\0", b"\x80\0", b"\xff")


def seeds() -> dict[str, bytes]:
    """Small sound images: name with its suffix -> file."""
    rng = np.random.default_rng(0)
    pixels = np.kron(rng.integers(0, 256, (4, 6, 3), np.uint8), np.ones((4, 4, 1), np.uint8))
    rgb = Image.fromarray(pixels)
    rgba = rgb.copy()
    rgba.putalpha(rgb.getchannel("G"))
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = Image.Exif()
    exif[0x0112] = 6
    saved = [
        *(
            (rgb, suffix, {})
            for suffix in ("bmp", "dib", "jpg", "j2k", "jp2", "ppm", "ico", "icns", "tga", "pcx", "sgi")
        ),
        *((rgb, suffix, {}) for suffix in ("qoi", "dds", "mpo", "avif", "webp", "tif", "png", "gif")),
        *((rgb.convert(mode), suffix, {}) for mode, suffix in (("1", "xbm"), ("1", "msp"), ("L", "pfm"), ("P", "blp"))),
        *((rgba, suffix, {}) for suffix in ("png", "webp", "tif", "tga", "ico", "dds", "jp2", "avif", "sgi")),
        (rgb, "png", {"icc_profile": profile, "exif": exif}),
        (rgb.quantize(8), "png", {"transparency": 3}),
        (rgb, "jpg", {"progressive": True, "icc_profile": profile, "exif": exif}),
        (rgb.convert("CMYK"), "jpg", {}),
        (rgb, "gif", {"save_all": True, "append_images": [rgb.rotate(90)]}),
        (rgb, "webp", {"save_all": True, "append_images": [rgb.rotate(90)], "lossless": True}),
        (rgb, "tga", {"compression": "tga_rle"}),
        *((rgb, "tif", {"compression": kind}) for kind in ("tiff_lzw", "tiff_adobe_deflate", "jpeg", "packbits")),
        (rgb.convert("YCbCr"), "tif", {}),
        (rgb.convert("1"), "tif", {"compression": "group4"}),
    ]
    files: dict[str, bytes] = {}
    formats = Image.registered_extensions()
    for number, (image, suffix, options) in enumerate(saved):
        with io.BytesIO() as buffer:
            mode = "F" if suffix == "pfm" else image.mode
            image.convert(mode).save(buffer, formats[f".{suffix}"], **options)
            files[f"{number}.{suffix}"] = buffer.getvalue()
    for name, array in (
        ("u2", pixels.astype(np.uint16) * 257),
        ("f4", pixels.astype(np.float32) / 255),
        ("i2", pixels[:, :, 0].astype(np.int16)),
        ("f4", pixels[:, :, 0].astype(np.float64)),
    ):
        with io.BytesIO() as buffer:
            photometric = "rgb" if array.ndim == 3 else "minisblack"
            tifffile.imwrite(buffer, array, photometric=photometric, metadata=None, byteorder="<>"[array.ndim % 2])
            files[f"{name}-{array.ndim}.tif"] = buffer.getvalue()
    files["sun.ras"] = struct.pack(">8I", 0x59A66A95, 24, 16, 24, 24 * 16 * 3, 1, 0, 0) + pixels.tobytes()
    header = "".join(
        f"{card:80}" for card in ("SIMPLE  = T", "BITPIX  = 8", "NAXIS   = 2", "NAXIS1  = 24", "NAXIS2  = 16")
    )
    files["a.fits"] = f"{header}{'END':80}".ljust(2880).encode() + pixels[:, :, 0].tobytes().ljust(2880, b"\0")
    files["a.xpm"] = b'/* XPM */\nstatic char *a[] = {\n"2 2 2 1",\n"a c #ff0000",\n"b c #00ff00",\n"ab",\n"ba"\n};\n'
    files["a.psd"] = (
        b"8BPS" + struct.pack(">H6xHIIHH", 1, 3, 16, 24, 8, 3) + bytes(14) + pixels.transpose(2, 0, 1).tobytes()
    )
    return files


def mutate(data: bytes, rng: random.Random, others: list[bytes]) -> bytes:
    """A damaged copy: bytes changed (mostly in the head), numbers made large, cut, repeated, or joined to another file."""
    damaged = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        reach = min(len(damaged), rng.choice((32, 200, 1 << 30)))
        at = rng.randrange(max(1, reach))
        kind = rng.randrange(8)
        if kind < 3:
            damaged[at : at + 1] = bytes([rng.randrange(256)])
        elif kind == 3 and damaged:
            damaged[min(at, len(damaged) - 1)] ^= 1 << rng.randrange(8)
        elif kind == 4:
            splat = rng.choice(SPLATS)
            damaged[at : at + len(splat)] = splat
        elif kind == 5:
            del damaged[rng.randrange(len(damaged) + 1) :]
        elif kind == 6:
            length = rng.randrange(1, 64)
            damaged[at:at] = damaged[at : at + length] * rng.choice((1, 1, 40))
        else:
            other = rng.choice(others)
            damaged[at:] = other[min(at, len(other)) :]
    return _with_checksums(damaged) if damaged.startswith(b"\x89PNG") and rng.random() < 0.7 else bytes(damaged)


def _with_checksums(png: bytearray) -> bytes:
    """Right checksums in the chunks of a PNG, without which no decoder looks at them."""
    at = 8
    while at + 12 <= len(png):
        end = at + 8 + int.from_bytes(png[at : at + 4], "big")
        if end + 4 > len(png):
            break
        png[end : end + 4] = zlib.crc32(png[at + 4 : end]).to_bytes(4, "big")
        at = end + 4
    return bytes(png)


def damaged_files(numbers: range, seed: int) -> Iterator[tuple[int, str, bytes]]:
    """Number, suffix and content of damaged files, equal for equal seeds; the formats take turns."""
    files = seeds()
    names, contents = list(files), list(files.values())
    for i in numbers:
        name = names[i % len(names)]
        yield i, Path(name).suffix, mutate(files[name], random.Random(f"{seed} {i}"), contents)


def read_damaged(path: Path, longest: int | None) -> str:
    """`read` or `refused`; every exception, also for an image that is none, is a finding."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".*colour profile is ignored")
        try:
            image = read_image(path, longest)
        except ImageError as error:
            if "\n" in str(error):
                raise ValueError("an error of several lines") from error
            return "refused"
    assert image.ndim == 3
    assert image.shape[0] == 3
    assert bool(((image >= 0) & (image <= 1)).all()), "values out of range"
    return "read"


def _work(numbers: range, seed: int, folder: Path, keep: Path) -> None:
    """Read some files; leaves report.json, and the number of the present file in current.txt."""
    with open(os.devnull, "wb") as nothing:  # libtiff writes there what it finds
        os.dup2(nothing.fileno(), 2)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    outcomes: Counter[str] = Counter()
    findings: list[str] = []
    slowest = (0.0, "")
    for i, suffix, data in damaged_files(numbers, seed):
        path = folder / f"{i}{suffix}"
        path.write_bytes(data)
        (folder / "current.txt").write_text(path.name)
        begun = time.monotonic()
        try:
            outcomes[f"{suffix} {read_damaged(path, 16 if i % 4 else None)}"] += 1
        except Exception as error:
            findings.append(f"{path.name}: {type(error).__name__}: {error}")
            (keep / path.name).write_bytes(data)
        slowest = max(slowest, (time.monotonic() - begun, path.name))
        path.unlink()
    growth = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024
    report = {"outcomes": outcomes, "findings": findings, "slowest": slowest, "growth": growth}
    (folder / "report.json").write_text(json.dumps(report))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=100_000, help="damaged inputs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, default=Path("fuzz-images"), help="folder for the files of findings")
    options = parser.parse_args()
    options.keep.mkdir(parents=True, exist_ok=True)
    outcomes: Counter[str] = Counter()
    findings: list[str] = []
    slowest, growth, begun = (0.0, ""), 0, time.monotonic()
    context = multiprocessing.get_context("fork")
    for first in range(0, options.n, CHUNK):
        numbers = range(first, min(options.n, first + CHUNK))
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            child = context.Process(target=_work, args=(numbers, options.seed, folder, options.keep))
            child.start()
            child.join()
            if child.exitcode:
                current = folder / (folder / "current.txt").read_text()
                (options.keep / current.name).write_bytes(current.read_bytes())
                findings.append(
                    f"{current.name}: the process ended with {child.exitcode}; the rest of its files is skipped"
                )
                continue
            report = json.loads((folder / "report.json").read_text())
        outcomes.update(report["outcomes"])
        findings += report["findings"]
        slowest = max(slowest, tuple(report["slowest"]))
        growth = max(growth, report["growth"])
        if report["growth"] > MAX_GROWTH:
            findings.append(f"inputs {numbers.start} to {numbers.stop - 1} took {report['growth']} MiB")
        print(f"\r{numbers.stop:,} inputs, {len(findings)} findings", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    for suffix in sorted({key.split()[0] for key in outcomes}):
        print(f"{suffix:6} {outcomes[f'{suffix} read']:7,} read {outcomes[f'{suffix} refused']:7,} refused")
    print(
        f"{sum(outcomes.values()):,} inputs in {time.monotonic() - begun:.0f} s: {len(findings)} findings; "
        f"slowest {slowest[0]:.2f} s ({slowest[1]}), memory of a process grew by at most {growth:,} MiB"
    )
    print(*findings, sep="\n")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
