"""A few cases of `make torture`: kills of long jobs, and disks that take nothing more."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def torture(part: str, *options: str) -> str:
    """The report of a part, which must find nothing. It forks, so it has a process of its own."""
    command = [sys.executable, "-m", f"tests.torture.{part}", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_killed_jobs_lose_nothing() -> None:
    said = torture("kill", "--kills", "2", "--only", "repaint,download,journal,stylegan,studio")
    assert said.count(" 2 kills ") == 4
    assert said.count(" 8 kills ") == 1
    assert said.count(" 0 findings") == 5


@pytest.mark.slow
def test_full_and_read_only_disks() -> None:
    said = torture("disk", "--only", "download,journal,.png")
    if "SKIPPED" in said:
        pytest.skip(said.strip())
    assert said.count(" 0 findings") == 3
