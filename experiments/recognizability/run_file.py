"""The file `run.json` of a run: settings and network hashes that all rows share, and the sessions that wrote them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from experiments.runs import describe_run
from renderer.errors import InputError
from renderer.io.files import atomic


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
    try:
        run = json.loads(path.read_text(encoding="utf-8"))
        return {key: type(empty)(run[key]) for key, empty in (("settings", {}), ("checkpoints", {}), ("sessions", []))}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is not the record of a run of `paint` ({error}).") from error


def differences(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """Settings and checkpoints that differ between two runs; those that only one of them has do not count."""
    return [
        name
        for part in ("settings", "checkpoints")
        for name in one[part]
        if name in other[part] and one[part][name] != other[part][name]
    ]
