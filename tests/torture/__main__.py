"""Torture the product: `python -m tests.torture [PART ...]`, or `make torture`, which runs every part.

A part is a module of this folder that can be run by itself (`python -m tests.torture.kill --help`); its exit code is 1 after
a finding. What it prints is its report.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def parts() -> list[str]:
    """Names of all modules of this folder that can be run."""
    files = sorted(path for path in HERE.glob("*.py") if path.name != "__main__.py")
    return [path.stem for path in files if 'if __name__ == "__main__":' in path.read_text(encoding="utf-8")]


def main() -> int:
    """Run parts one after the other; the exit code is 1 if one of them found something."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", nargs="*", metavar="PART", help=f"by default all: {', '.join(parts())}")
    results, chosen = [], parser.parse_args().part or parts()
    if unknown := set(chosen) - set(parts()):
        parser.error(f"there is no part {', '.join(unknown)}")
    for part in chosen:
        print(f"== {part}", flush=True)
        begun = time.monotonic()
        code = subprocess.run([sys.executable, "-m", f"tests.torture.{part}"], cwd=ROOT).returncode
        results.append((part, code, time.monotonic() - begun))
    print("== all")
    for part, code, seconds in results:
        print(f"{part:20} {'passed' if code == 0 else f'FAILED (exit code {code})':24} {seconds:6.0f} s")
    return int(any(code for _, code, _ in results))


if __name__ == "__main__":
    sys.exit(main())
