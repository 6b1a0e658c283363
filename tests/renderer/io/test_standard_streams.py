"""Commands whose output nobody takes: one line or none, the right exit code, never a traceback."""

import subprocess
import sys
from pathlib import Path

import pytest

from renderer.io.standard_streams import CLOSED, UNWRITTEN

ROOT = Path(__file__).parents[3]
LINE = "error: The output cannot be written: No space left on device.\n"
PROGRAM = """
import sys
from renderer.io.standard_streams import checked_streams
with checked_streams(), checked_streams():
    for i in range(int(sys.argv[1])):
        print("a line", flush=sys.argv[2] == "flush")
    if sys.argv[2] == "stderr":
        print("a warning", file=sys.stderr)
    if sys.argv[2] == "bug":
        open("/nowhere/at/all")
"""


def run(*command: object, out: str = "full", err: str = "pipe") -> tuple[int, str]:
    """The exit code and what is said on stderr, with stdout full, closed (nobody reads it) or missing."""
    with Path("/dev/full").open("w") as full:
        outputs = {"full": full, "closed": subprocess.PIPE, "missing": None, "pipe": subprocess.PIPE}
        arguments = [sys.executable, *map(str, command)]
        if out == "missing":
            arguments = ["sh", "-c", '"$@" >&-', "sh", *arguments]
        process = subprocess.Popen(arguments, cwd=ROOT, stdout=outputs[out], stderr=outputs[err], text=True)
        if process.stdout is not None:
            process.stdout.close()
        said = ""
        if process.stderr is not None:
            with process.stderr as stream:
                said = stream.read()
        return process.wait(60), said


@pytest.mark.parametrize("lines", [1, 100_000])
@pytest.mark.parametrize("mode", ["flush", "none"])
def test_output_that_nobody_takes(lines: int, mode: str) -> None:
    assert run("-c", PROGRAM, lines, mode) == (UNWRITTEN, LINE)
    assert run("-c", PROGRAM, lines, mode, out="closed") == (CLOSED, "")
    assert run("-c", PROGRAM, lines, mode, out="missing") == (0, "")
    assert run("-c", PROGRAM, lines, mode, err="full") == (UNWRITTEN, "")


def test_a_full_standard_error() -> None:
    assert run("-c", PROGRAM, 0, "stderr", out="pipe", err="full")[0] == UNWRITTEN


def test_errors_of_other_files_stay_what_they_are() -> None:
    code, said = run("-c", PROGRAM, 0, "bug", out="full")
    assert code == 1
    assert "FileNotFoundError" in said


def test_commands() -> None:
    assert run("-m", "kaokore", "fetch", "--help") == (UNWRITTEN, LINE)
    assert run("-m", "experiments", "--help", out="closed") == (CLOSED, "")
    assert run("-m", "experiments.replay", "--help", out="closed") == (CLOSED, "")
