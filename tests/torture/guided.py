"""Fuzz readers guided by coverage, with atheris: inputs that reach new code are kept and damaged further.

    pip install atheris
    python -m tests.torture.guided --target journal --count 100000

The targets and what counts as a finding are those of `tests.torture.fuzz_readers`. Without --target, all run one after the
other; without atheris, none. A target ends at its first finding, whose file stays in --keep; the exit code is 1.
"""

from __future__ import annotations

import argparse
import importlib.util
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PACKAGES = ["renderer", "kaokore", "experiments", "agents"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", help="a name of `tests.torture.fuzz_readers`")
    parser.add_argument("--count", type=int, default=10_000, help="damaged inputs of each target")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, default=Path("fuzz-guided"), help="folder for the files of findings")
    options = parser.parse_args()
    if importlib.util.find_spec("atheris") is None:
        print("atheris is not installed; nothing was run.")
        return 0
    if options.target is None:
        from tests.torture.fuzz_readers import TARGETS

        return max(_run(name, options) for name in TARGETS)
    import atheris

    with atheris.instrument_imports(include=PACKAGES, enable_loader_override=False):
        from tests.torture import fuzz_readers

    target = fuzz_readers.TARGETS[options.target]
    folder = Path(tempfile.mkdtemp())
    corpus, work = folder / "corpus", folder / "work"
    for made in (corpus, options.keep):
        made.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(target.seeds()):
        (corpus / str(number)).write_bytes(data)

    def read_one(data: bytes) -> None:
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        (work / target.name).write_bytes(data)
        fuzz_readers.try_reading(target, work / target.name)

    def damage(data: bytes, most: int, seed: int) -> bytes:
        if seed % 2:
            try:
                return target.damage(data, random.Random(seed))[:most]
            except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
                pass  # the form that this damage needs is gone
        return bytes(atheris.Mutate(data, most))

    arguments = [
        f"-runs={options.count}",
        f"-seed={options.seed}",
        "-rss_limit_mb=4096",
        "-timeout=20",
        "-max_len=300000",
    ]
    atheris.Setup(
        [sys.argv[0], *arguments, f"-artifact_prefix={options.keep}/", str(corpus)], read_one, custom_mutator=damage
    )
    atheris.Fuzz()  # ends the process
    return 0


def _run(name: str, options: argparse.Namespace) -> int:
    """Run one target in a process of its own; prints its last line. Returns 1 after a finding."""
    command = [sys.executable, "-m", "tests.torture.guided", f"--target={name}", f"--count={options.count}"]
    command += [f"--seed={options.seed}", f"--keep={options.keep / name}"]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace")
    lines = [line for line in done.stderr.splitlines() if "DONE" in line or "Error:" in line] or ["no report"]
    print(f"{name:12} {'passed' if done.returncode == 0 else 'FINDING'}  {lines[-1][:140]}", flush=True)
    return int(done.returncode != 0)


if __name__ == "__main__":
    sys.exit(main())
