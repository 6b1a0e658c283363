"""What all scripts share at the edge: options from a dataclass, one sentence for a mistake, exit codes."""

from __future__ import annotations

import argparse
import io
import math
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import torch
import tyro
from tqdm import tqdm

from kaokore import fetch_image
from renderer.errors import InputError

Config = TypeVar("Config")
KAOKORE = "kaokore:"  # before the number of one of its faces


def require_gradient(renderer: str) -> None:
    """Raises `InputError` for the name of a true brush, through which nothing can be optimised."""
    if renderer == "exact" or "mypaint:" in renderer:
        raise InputError("Painting needs a gradient, which a true brush has not; use --renderer bezier or ink.")


def run(
    function: Callable[[Config], object],
    config: type[Config],
    description: str | None = None,
    presets: Mapping[str, Config] | None = None,
) -> None:
    """Reads `config` from the command line and calls `function` with it. The first of `presets` is the default.

    Exit code 2 and one sentence for the user's mistakes, 130 for Ctrl-C; what was finished stays on disk.
    """
    arguments = sys.argv[1:]
    default: Any = None
    if presets:
        first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
        first.add_argument("--preset", choices=presets, default=next(iter(presets)))
        chosen, arguments = first.parse_known_args(arguments)
        default = presets[chosen.preset]
        names = ", ".join(presets)
        description = (
            f"{description or function.__doc__}\n--preset sets all defaults: {names} (shown: {chosen.preset})."
        )
    options: Any = tyro.cli(
        config,
        description=description or function.__doc__,
        args=arguments,
        default=default,
        config=(tyro.conf.OmitArgPrefixes,),  # --horizon, not --learn.horizon
    )
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # names of files need not be text
    try:
        function(options)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("Stopped; everything finished so far is kept.", file=sys.stderr)
        sys.exit(130)


def require(config: object, **least: float) -> None:
    """Raises `InputError` unless the options named are numbers and at least so large, and the seed fits all streams."""
    for name, low in least.items():
        value = getattr(config, name)
        if not low <= value < math.inf:
            raise InputError(f"--{name.replace('_', '-')} must be at least {low}, not {value}.")
    seed = getattr(config, "seed", 0)
    if not 0 <= seed < 2**32:
        raise InputError(f"--seed must be between 0 and {2**32 - 1:,}, not {seed}.")


def picture_path(given: str, root: str | None) -> Path:
    """The file of a picture, or of kaokore:ID, which is downloaded where missing. Raises `DatasetError`."""
    return fetch_image(root, given.removeprefix(KAOKORE)) if given.startswith(KAOKORE) else Path(given)


def choose_device(name: str) -> torch.device:
    """`auto` is the GPU where there is one. Raises `InputError` for a device that this machine does not have."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()  # a number that comes back, which `meta` has not
    except (RuntimeError, AssertionError, ImportError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0].split(". ")[0].rstrip(".")
        raise InputError(f"The device {name!r} cannot be used here ({reason}); use auto or cpu.") from error
    return device


def progress(description: str, unit: str = "image") -> Callable[[Iterable[Any]], Iterable[Any]]:
    """A progress bar on stderr, for the `track` option of library functions."""
    return partial(tqdm, desc=description, unit=unit, leave=False)
