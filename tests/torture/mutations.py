"""Damage to JSON, tables, text and safetensors files that keeps enough of their form to reach the code behind the parser."""

from __future__ import annotations

import csv
import io
import json
import random
from typing import Any

from tests.torture.fuzz_images import mutate

NUMBERS = (0, -1, -8, 1, 2, 3.5, -0.0, 1e-320, 1e308, 10**6, 2**31, 2**63 - 1, 2**63, 10**30, 10**400)
TEXTS = (
    "",
    "x",
    "a" * 300,
    "\0",
    "\ud800",
    "\u2028",
    "é\n",
    "1",
    "NaN",
    "../../etc/passwd",
    "9" * 5001,
    "{}",
    "nan",
    "-1",
)
DEEP: Any = []
for _ in range(200):
    DEEP = [DEEP]
VALUES = (*NUMBERS, *TEXTS, None, True, False, float("nan"), float("inf"), [], {}, [[]], {"": 1}, ["x"] * 50, DEEP)
CELLS = (
    "",
    '"',
    "x" * 140_000,
    "9" * 5001,
    "\0",
    "=1+1",
    "-1",
    "1e400",
    "nan",
    "٣",
    "\ufeff",
    "3.0",
    ",",
    "\x85",
    " 1 ",
)
BYTES = (
    b"\xff\xfe",
    b"\xed\xa0\x80",
    b"\0",
    b"\xef\xbb\xbf",
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b'"' + b"a" * 200_000,
    b"\r",
)


def damaged_json(value: Any, rng: random.Random, names: list[str]) -> Any:
    """A copy in which one value, somewhere, is another one, gone, nested, or under another name."""
    if isinstance(value, str) and value[:1] in "{[" and rng.random() < 0.8:
        try:
            return json.dumps(damaged_json(json.loads(value), rng, names))
        except ValueError:
            pass
    if isinstance(value, (dict, list)) and value and rng.random() < 0.85:
        copy: Any = value.copy()
        place = rng.choice([*copy]) if isinstance(copy, dict) else rng.randrange(len(copy))
        kind = rng.randrange(12)
        if kind == 0:
            del copy[place]
        elif kind == 1 and isinstance(copy, dict):
            copy[rng.choice([*TEXTS, *names])] = copy.pop(place)
        elif kind == 1:
            copy.insert(place, copy[place])
        elif kind == 2 and isinstance(copy, dict):
            copy[rng.choice([*TEXTS, *names])] = rng.choice(VALUES)
        elif kind == 3:
            copy[place] = [copy[place]]
        else:
            copy[place] = damaged_json(copy[place], rng, names)
        return copy
    if isinstance(value, int) and not isinstance(value, bool) and rng.random() < 0.3:
        return value + rng.choice((-1, 1, 7, 1000))
    return rng.choice(VALUES)


def json_text(value: Any) -> bytes:
    """The value as bytes that need not be JSON or UTF-8: NaN and half surrogate pairs are written as they are."""
    text = _dumps(value)
    return text.encode("utf-8", "surrogatepass")


def _dumps(value: Any) -> str:
    if isinstance(value, int) and abs(value) > 10**300:
        return "1" + "0" * 400
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(str(key))}:{_dumps(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_dumps, value)) + "]"
    return json.dumps(value)


def damage_json(data: bytes, rng: random.Random) -> bytes:
    """Damage to a file of JSON, or of one JSON object a line."""
    lines = data.split(b"\n")
    filled = [number for number, line in enumerate(lines) if line.strip()]
    whole = len(filled) == 1 or not data.startswith(b'{"')
    if rng.random() < 0.25 or not filled:
        return damage_bytes(data, rng)
    if whole:
        value = json.loads(data)
        for _ in range(rng.choice((1, 1, 2, 4))):
            value = damaged_json(value, rng, _names(value))
        return json_text(value)
    for _ in range(rng.choice((1, 1, 2, 4))):
        number = rng.choice(filled)
        kind = rng.randrange(8)
        try:
            value = json.loads(lines[number])
        except (ValueError, RecursionError):
            continue
        if kind == 0:
            lines[number] = lines[rng.choice(filled)]
        elif kind == 1:
            lines.insert(number, lines[rng.choice(filled)])
        else:
            lines[number] = json_text(damaged_json(value, rng, _names(value)))
    return b"\n".join(lines)


def damage_table(data: bytes, rng: random.Random) -> bytes:
    """Damage to a CSV table: cells, columns, rows, bytes."""
    if rng.random() < 0.25:
        return damage_bytes(data, rng)
    rows = [line.split(",") for line in data.decode().split("\n")]
    for _ in range(rng.choice((1, 1, 2, 6))):
        row = rng.choice(rows)
        place = rng.randrange(len(row)) if row else 0
        match rng.randrange(7):
            case 0:
                rows.insert(rng.randrange(len(rows) + 1), list(rng.choice(rows)))
            case 1:
                del row[place : place + 1]
            case 2:
                row.insert(place, rng.choice(CELLS))
            case 3:
                rng.shuffle(row)
            case 4:
                row[place : place + 1] = (
                    [mutate(row[place].encode(), rng, [data]).decode("utf-8", "replace")] if row else []
                )
            case _:
                row[place : place + 1] = [rng.choice(CELLS)]
    if rng.random() < 0.2:
        with io.StringIO() as text:
            csv.writer(text, quoting=csv.QUOTE_ALL).writerows(rows)
            return text.getvalue().encode("utf-8", "surrogatepass")
    return "\n".join(",".join(row) for row in rows).encode("utf-8", "surrogatepass")


def damage_bytes(data: bytes, rng: random.Random) -> bytes:
    """Damage without a view to the form, and runs of what parsers dislike."""
    if rng.random() < 0.15:
        place = rng.randrange(len(data) + 1)
        return data[:place] + rng.choice(BYTES) + data[place:]
    return mutate(data, rng, [data]) if data else rng.choice(BYTES)


def damage_tensors(data: bytes, rng: random.Random) -> bytes:
    """Damage to a safetensors file: its metadata, its list of tensors, or its bytes; the length mostly fits the header."""
    if rng.random() < 0.1:
        return damage_bytes(data, rng)
    length = int.from_bytes(data[:8], "little")
    header, body = json.loads(data[8 : 8 + length]), bytearray(data[8 + length :])
    metadata = header.get("__metadata__", {})
    for _ in range(rng.choice((1, 1, 2, 4))):
        match rng.randrange(8):
            case 0 | 1 | 2 | 3 if metadata:
                name = rng.choice([*metadata])
                changed = damaged_json(metadata[name], rng, _names(metadata))
                metadata[name] = changed if isinstance(changed, str) and rng.random() < 0.97 else _dumps(changed)
            case 4:
                name = rng.choice([*header])
                header[name] = damaged_json(header[name], rng, ["dtype", "shape", "data_offsets"])
            case 5:
                tensor = header.get(rng.choice([*header]))
                if isinstance(tensor, dict) and isinstance(tensor.get("shape"), list):
                    tensor["shape"] = rng.choice(
                        ([], [0], [1], tensor["shape"][::-1], [10**9, 10**9], [10**12, 0], [*tensor["shape"], 1])
                    )
                    tensor["dtype"] = rng.choice(
                        ("F32", "F32", "F64", "F16", "BF16", "F8_E4M3", "I64", "BOOL", "C64", "U16")
                    )
            case 6 if body:
                place = 4 * rng.randrange(len(body) // 4 + 1)
                body[place : place + 4] = rng.choice(
                    (b"\0\0\xc0\x7f", b"\0\0\x80\x7f", b"\xff\xff\x7f\x7f", b"\0\0\0\0")
                )
            case _:
                body = bytearray(mutate(bytes(body), rng, [data])) if rng.random() < 0.3 else body
    text = json_text(header)
    size = len(text) if rng.random() < 0.97 else rng.choice((0, 2**63, 10**11, len(text) + 1))
    return size.to_bytes(8, "little") + text + bytes(body)


def _names(value: Any) -> list[str]:
    return [*value] if isinstance(value, dict) else []
