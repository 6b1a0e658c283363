"""ICC profiles for tests, written by hand."""

import struct
from collections.abc import Sequence

# Red, green, blue in XYZ under D50, and gamma (Adobe RGB (1998); ISO 22028-2).
ADOBE = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457)), 563 / 256
PROPHOTO = ((0.79767, 0.28804, 0.0), (0.13519, 0.71187, 0.0), (0.03135, 0.00009, 0.82521)), 1.8


def fixed(*numbers: float) -> bytes:
    return struct.pack(f">{len(numbers)}i", *(round(number * 65536) for number in numbers))


def gamma_curve(gamma: float) -> bytes:
    return b"curv" + struct.pack(">IIH", 0, 1, round(gamma * 256))


def table_curve(table: Sequence[float]) -> bytes:
    return b"curv" + struct.pack(f">II{len(table)}H", 0, len(table), *(round(65535 * y) for y in table))


def parametric_curve(function: int, *numbers: float) -> bytes:
    return b"para" + struct.pack(">IHH", 0, function, 0) + fixed(*numbers)


def profile(space: bytes, tags: dict[bytes, bytes], *, kind: bytes = b"mntr", pcs: bytes = b"XYZ ") -> bytes:
    """Version 2, perceptual, D50."""
    tags = {b"wtpt": b"XYZ " + bytes(4) + fixed(0.9642, 1, 0.8249), **tags}
    offset = 128 + 4 + 12 * len(tags)
    table, data = struct.pack(">I", len(tags)), b""
    for name, tag in tags.items():
        table += struct.pack(">4sII", name, offset + len(data), len(tag))
        data += tag + bytes(-len(tag) % 4)
    head = struct.pack(
        ">I4sI4s4s4s12s4s", offset + len(data), bytes(4), 0x02400000, kind, space, pcs, bytes(12), b"acsp"
    )
    head += bytes(28) + fixed(0.9642, 1, 0.8249)
    return head + bytes(128 - len(head)) + table + data


def rgb(primaries: Sequence[Sequence[float]], curve: bytes) -> bytes:
    tags = {
        name + b"XYZ": b"XYZ " + bytes(4) + fixed(*xyz) for name, xyz in zip((b"r", b"g", b"b"), primaries, strict=True)
    }
    return profile(b"RGB ", tags | {name + b"TRC": curve for name in (b"r", b"g", b"b")})


def grey(curve: bytes) -> bytes:
    return profile(b"GRAY", {b"kTRC": curve})


def table(space: bytes, nodes: Sequence[Sequence[float]]) -> bytes:
    """A profile with a table: L*a*b* at the corners of the cube of inks or lights, the last channel fastest (lut8Type)."""
    channels = {b"CMYK": 4, b"RGB ": 3}[space]
    lab = [round(x) for L, a, b in nodes for x in (L * 2.55, a + 128, b + 128)]
    line = bytes(range(256))
    lut = b"mft1" + struct.pack(">I4B", 0, channels, 3, 2, 0) + fixed(1, 0, 0, 0, 1, 0, 0, 0, 1)
    return profile(space, {b"A2B0": lut + line * channels + bytes(lab) + line * 3}, kind=b"prtr", pcs=b"Lab ")
