"""The file `run.json` of a run: settings and network hashes that all rows share, and the sessions that wrote them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from experiments.runs import describe_run
from renderer.errors import InputError
from renderer.io.files import atomic
from renderer.io.from_json import from_json
from renderer.io.read import guarded, read_json


def record(path: Path, settings: dict[str, Any], checkpoints: dict[str, str]) -> None:
    """Add a session to the run file, which is created if needed.

    Raises `InputError` when the run was started with other settings or checkpoints: its rows must be comparable.
    """
    empty: dict[str, Any] = {"settings": settings, "checkpoints": {}, "sessions": []}
    earlier = read_run(path) if path.exists() else empty
    changed = differences(earlier, {"settings": settings, "checkpoints": checkpoints})
    if changed:
        raise InputError(
            f"{path.parent} was started with another {changed[0]}; choose another --out, or the same options."
        )
    now = {
        "settings": settings,
        "checkpoints": earlier["checkpoints"] | checkpoints,
        "sessions": [*earlier["sessions"], describe_run()],
    }
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(now, indent=1), encoding="utf-8")


def read_run(path: Path) -> dict[str, Any]:
    """Read a run file. Raises `InputError` when it is missing or damaged."""
    with guarded(path, InputError, "is not the record of a run of `paint`"):
        run = read_json(path)
        from_json(list[str], [session["command"] for session in run["sessions"]], "command")
        from_json(tuple[str, int], [run["settings"][name] for name in ("split", "size")], "settings")
        return {
            "settings": from_json(dict[str, Any], run["settings"], "settings"),
            "checkpoints": from_json(dict[str, str], run["checkpoints"], "checkpoints"),
            "sessions": from_json(list[dict[str, Any]], run["sessions"], "sessions"),
        }


def differences(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """Settings and checkpoints that differ between two runs; those that only one of them has do not count."""
    return [
        name
        for part in ("settings", "checkpoints")
        for name in one[part]
        if name in other[part] and one[part][name] != other[part][name]
    ]
