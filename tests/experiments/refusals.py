"""Run a command in this process, and check that it refuses invalid input in one line."""

import sys
from collections.abc import Callable

import pytest


def exit_code(monkeypatch: pytest.MonkeyPatch, start: Callable[[], object], *arguments: object) -> int:
    """Run `start` with command-line arguments, the first of which is the command's name; return the exit code."""
    monkeypatch.setattr(sys, "argv", [str(argument) for argument in arguments])
    try:
        start()
    except SystemExit as stopped:
        return int(stopped.code or 0)
    return 0


def refusal(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    start: Callable[[], object],
    *arguments: object,
) -> str:
    """Run a command that must end with exit code 2 and an error message, and return the message.

    Our own messages are one line that begins with "error: "; those of the option parser are longer.
    """
    assert exit_code(monkeypatch, start, *arguments) == 2
    printed = capsys.readouterr()
    assert "Traceback" not in printed.err
    assert printed.err.strip()
    if printed.err.startswith("error: "):
        assert printed.err.count("\n") == 1
    return printed.err


def option_list(options: dict[str, object]) -> list[object]:
    """Options by name as command-line arguments; None leaves an option out."""
    return [part for name, value in options.items() if value is not None for part in (f"--{name}", value)]
