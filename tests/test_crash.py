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


def test_killed_jobs_lose_nothing() -> None:
    said = torture("kill", "--kills", "3", "--only", "repaint,download,journal,stylegan,studio")
    assert said.count(" 3 kills ") == 4
    assert said.count(" 12 kills ") == 1
    assert said.count(" 0 findings") == 5


def test_full_and_read_only_disks() -> None:
    said = torture("disk", "--only", "download,journal,.png")
    if "SKIPPED" in said:
        pytest.skip(said.strip())
    assert said.count(" 0 findings") == 3
