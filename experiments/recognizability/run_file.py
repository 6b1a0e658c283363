"""What all rows of a run share, in `run.json`: settings, the networks' fingerprints, and the sessions that made them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from experiments.runs import describe_run
from renderer.errors import InputError
from renderer.io.files import atomic


def record(path: Path, settings: dict[str, Any], checkpoints: dict[str, str]) -> None:
    """Writes what all rows of a run share. Raises `InputError` when the run in this folder was begun with something else:
    a mixture of two would be the figure of neither."""
    empty: dict[str, Any] = {"settings": settings, "checkpoints": {}, "sessions": []}
    earlier = read_run(path) if path.exists() else empty
    changed = differences(earlier, {"settings": settings, "checkpoints": checkpoints})
    if changed:
        raise InputError(
            f"{path.parent} was begun with another {changed[0]}; choose another --out, or the same options."
        )
    now = {
        "settings": settings,
        "checkpoints": earlier["checkpoints"] | checkpoints,
        "sessions": [*earlier["sessions"], describe_run()],
    }
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(now, indent=1), encoding="utf-8")


def read_run(path: Path) -> dict[str, Any]:
    """What `paint` wrote about a run. Raises `InputError`."""
    try:
        run = json.loads(path.read_text(encoding="utf-8"))
        return {key: type(empty)(run[key]) for key, empty in (("settings", {}), ("checkpoints", {}), ("sessions", []))}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is no record of a run of legibility ({error}).") from error


def differences(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """What two runs do not share; a checkpoint that only one of them uses is no difference."""
    return [
        name
        for part in ("settings", "checkpoints")
        for name in one[part]
        if name in other[part] and one[part][name] != other[part][name]
    ]
