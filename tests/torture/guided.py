"""Fuzz one reader guided by coverage, with atheris: inputs that reach new code are kept and damaged further.

    pip install atheris
    python -m tests.torture.guided --target journal --count 100000

The targets and what counts as a finding are those of `tests.torture.fuzz_readers`. At the first finding, its file stays in
--keep and the exit code is 77.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["renderer", "kaokore", "experiments", "agents"], enable_loader_override=False):
    from tests.torture import fuzz_readers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", choices=fuzz_readers.TARGETS, required=True)
    parser.add_argument("--count", type=int, default=100_000, help="damaged inputs")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, default=Path("fuzz-guided"), help="folder for the files of findings")
    options = parser.parse_args()
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
    atheris.Fuzz()


if __name__ == "__main__":
    main()
