"""The command line of every script: options from a dataclass, one line for invalid input, exit codes."""

from __future__ import annotations

import argparse
import inspect
import io
import math
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import torch

from kaokore import fetch_image
from renderer.errors import InputError
from renderer.io.standard_streams import checked_streams

Config = TypeVar("Config")
Presets = Mapping[str, tuple[str, Config]]  # a line of help and the configuration, by name
KAOKORE = "kaokore:"  # prefix of the number of a face


class Command(NamedTuple):
    """A subcommand: a function, its options, and presets of them."""

    function: Callable[[Any], object]
    config: type[Any]
    presets: Presets[Any] | None = None


def run(
    function: Callable[[Config], object],
    config: type[Config],
    description: str | None = None,
    presets: Presets[Config] | None = None,
    *,
    renamed: Mapping[str, str] | None = None,
    arguments: Sequence[str] | None = None,
    prog: str | None = None,
) -> None:
    """Read `config` from the command line and call `function` with it.

    An `InputError` is reported in one line, with exit code 2. The exit code after Ctrl-C is 130; finished work stays on
    disk. For output that nobody takes, see `checked_streams`. Options of a nested dataclass have its field's name as a
    prefix (`--training.horizon`), unless the field's type is marked with `tyro.conf.OmitArgPrefixes`.

    Args:
        function: Function of the command.
        config: Dataclass of the options.
        description: Help text of the command; by default the docstring of `function`.
        presets: Sets of defaults by name. A name may be the first argument; the default is the first preset.
        renamed: New names of options by old names, which still work and warn.
        arguments: The command line; by default `sys.argv[1:]`.
        prog: The command's name in its help; by default `python -m experiments.NAME`.
    """
    with checked_streams():
        _run(function, config, description, presets, renamed or {}, arguments, prog)


def _run(
    function: Callable[[Config], object],
    config: type[Config],
    description: str | None,
    presets: Presets[Config] | None,
    renamed: Mapping[str, str],
    arguments: Sequence[str] | None,
    prog: str | None,
) -> None:
    import tyro

    warnings.formatwarning = _one_line
    given = renamed_options(renamed, sys.argv[1:] if arguments is None else arguments)
    settings: dict[str, Any] = {"description": description or function.__doc__, "prog": prog or program()}
    options: Any
    try:
        if presets is None:
            options = tyro.cli(config, args=given, **settings)
        else:
            options = tyro.extras.overridable_config_cli(
                {name: (_preset_help(name, presets, settings["description"]), presets[name][1]) for name in presets},
                args=_with_preset(given, presets),
                **settings,
            )
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")  # file names need not be valid text
        function(options)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("Stopped; everything finished so far is kept.", file=sys.stderr)
        sys.exit(130)


@contextmanager
def ctrl_c_waits() -> Iterator[None]:
    """Let Ctrl-C raise `KeyboardInterrupt` only after the block, so that what belongs together is done together.

    For the main thread, where Python raises it.
    """
    waiting: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: waiting.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if waiting:
            signal.raise_signal(signal.SIGINT)


def _one_line(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
) -> str:
    """Format a warning as one line, without its place in the code."""
    return f"warning: {message}\n"


def run_subcommand(
    commands: Mapping[str, Command],
    description: str | None = None,
    *,
    renamed: Mapping[str, str] | None = None,
    arguments: Sequence[str] | None = None,
) -> None:
    """Run the subcommand that the first argument names; the other arguments are its options.

    Args:
        commands: Subcommands by name.
        description: Help text of the command.
        renamed: See `run`.
        arguments: The command line; by default `sys.argv[1:]`.
    """
    given = sys.argv[1:] if arguments is None else arguments
    name = choose(given, {name: command.config.__doc__ or "" for name, command in commands.items()}, description)
    function, config, presets = commands[name]
    run(
        function,
        config,
        config.__doc__,
        presets,
        renamed=renamed,
        arguments=given[1:],
        prog=f"{program()} {name}",
    )


def choose(
    arguments: Sequence[str], commands: Mapping[str, str], description: str | None, prog: str | None = None
) -> str:
    """Return the subcommand that the first of `arguments` names; exit with a list of `commands` for --help or another.

    Args:
        arguments: The command line.
        commands: Help texts by subcommand, of which the first line is shown.
        description: Help text of the command itself.
        prog: The command's name in its help; by default `python -m experiments.NAME`.
    """
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog or program(), description=description, formatter_class=formatter)
    subparsers = parser.add_subparsers(dest="command", required=True)
    for name, about in commands.items():
        subparsers.add_parser(name, help=about.strip().partition("\n")[0].replace("%", "%%"), add_help=False)
    with checked_streams():
        return str(parser.parse_args(arguments[:1]).command)


def program() -> str:
    """Return the running command, such as `python -m experiments.repaint`, without paths of this machine."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    name = "" if spec is None else spec.name.removesuffix(".__main__")
    if not name.startswith(f"{__package__}."):  # a test, or a file that was started by its path
        name = f"{__package__}.{Path(sys.argv[0]).stem}"
    return f"python -m {name}"


def renamed_options(renamed: Mapping[str, str], arguments: Sequence[str]) -> list[str]:
    """Replace old names of options in `arguments` by the new ones; each gives a `DeprecationWarning`.

    >>> with warnings.catch_warnings():  # the command line shows it
    ...     warnings.simplefilter("ignore")
    ...     renamed_options({"--smallest": "--min-radius"}, ["a.jpg", "--smallest=0.1"])
    ['a.jpg', '--min-radius=0.1']
    """
    current = []
    for argument in arguments:
        option, equals, value = argument.partition("=")
        new = renamed.get(option.replace("_", "-"))
        if new is not None:
            _warn_deprecated(f"{option} is now {new}; the old name will be removed.")
            argument = f"{new}{equals}{value}"
        current.append(argument)
    return current


def _warn_deprecated(message: str) -> None:
    """Warn in the name of the script, because Python shows deprecations only of the module that was started."""
    level, frame = 1, inspect.currentframe()
    while frame is not None and frame.f_globals is globals():
        level, frame = level + 1, frame.f_back
    warnings.warn(message, DeprecationWarning, stacklevel=level)


def _with_preset(arguments: list[str], presets: Presets[Any]) -> list[str]:
    """Return the arguments with the name of a preset first: the given one, that of the old --preset, or the default."""
    for place, argument in enumerate(arguments):
        option, equals, value = argument.partition("=")
        if option == "--preset":
            name = value if equals else "".join(arguments[place + 1 : place + 2])
            if name not in presets:
                raise InputError(f"There is no preset {name!r}; choose one of {', '.join(presets)}.")
            _warn_deprecated(f"--preset {name} is now {name}, as the first argument; --preset will be removed.")
            return [name, *arguments[:place], *arguments[place + (1 if equals else 2) :]]
    # A first argument that is not an option is a preset, or tyro reports the names of the presets.
    return arguments if arguments and not arguments[0].startswith("-") else [next(iter(presets)), *arguments]


def _preset_help(name: str, presets: Presets[Any], description: str | None) -> str:
    width = max(map(len, presets))
    lines = [f"    {other:{width}}  {about}" for other, (about, _) in presets.items()]
    return "\n".join(
        [
            f"{description or ''}\n",
            f"Presets, one of which may come first (the defaults below are of {name}):\n",
            *lines,
        ]
    )


def require(config: object, **least: float) -> None:
    """Raise `InputError` unless the named options are finite and at least so large, and the seed is in [0, 2^32)."""
    for name, low in least.items():
        value = getattr(config, name)
        if not low <= value < math.inf:
            raise InputError(f"--{name.replace('_', '-')} must be at least {low}, not {value}.")
    seed = getattr(config, "seed", 0)
    if not 0 <= seed < 2**32:
        raise InputError(f"--seed must be between 0 and {2**32 - 1:,}, not {seed}.")


def whole_number(text: str) -> int | None:
    """The number that up to nine digits stand for; None for other text, of which Python refuses some thousand digits.

    >>> whole_number("17"), whole_number("-1"), whole_number("9" * 5001)
    (17, None, None)
    """
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 9 else None


def picture_path(picture: str, root: str | None) -> Path:
    """Return the path of an image that is given as a path or as `kaokore:ID`; the latter is downloaded if missing.

    Args:
        picture: A path, or `kaokore:` and the number of a face.
        root: KaoKore's folder; else KAOKORE_ROOT, else data/kaokore.

    Raises:
        DatasetError: There is no such face, or it cannot be downloaded.
    """
    return fetch_image(root, picture.removeprefix(KAOKORE)) if picture.startswith(KAOKORE) else Path(picture)


def choose_device(name: str) -> torch.device:
    """Return the device `name`; "auto" is the GPU if there is one. Raises `InputError` if it cannot be used."""
    if name == "auto":
        if not torch.cuda.is_available():
            return torch.device("cpu")
        number = os.environ.get("LOCAL_RANK")  # each process of torchrun has a GPU of its own
        return torch.device("cuda" if number is None else f"cuda:{number}")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()  # the device `meta` has no values
    except (RuntimeError, AssertionError, ImportError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0].split(". ")[0].rstrip(".")
        raise InputError(f"The device {name!r} cannot be used here ({reason}); use auto or cpu.") from error
    return device


def progress(description: str, unit: str = "image") -> Callable[[Iterable[Any]], Iterable[Any]]:
    """Return a function that shows the progress of an iterable on stderr, for the `track` option of library functions."""
    from tqdm import tqdm

    return lambda items: tqdm(items, description, unit=unit, leave=False, disable=None)
