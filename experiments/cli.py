"""What all scripts share at the edge: options from a dataclass, one sentence for a mistake, exit codes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TypeVar

import torch
import tyro

from kaokore import DatasetError
from renderer.errors import InputError

Config = TypeVar("Config")


def run(function: Callable[[Config], object], config: type[Config], description: str | None = None) -> None:
    """Reads `config` from the command line and calls `function` with it.

    Exit code 2 and one sentence for the user's mistakes, 130 for Ctrl-C; what was finished stays on disk.
    """
    options = tyro.cli(config, description=description or function.__doc__)
    try:
        function(options)
    except (InputError, DatasetError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("Stopped; everything finished so far is kept.", file=sys.stderr)
        sys.exit(130)


def choose_device(name: str) -> torch.device:
    """`auto` is the GPU where there is one. Raises `InputError` for a device that this machine does not have."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"The device {name!r} cannot be used here: {reason}") from error
    return device
