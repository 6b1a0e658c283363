"""Run the kernels under AddressSanitizer and UndefinedBehaviorSanitizer: painting, optimising, the agent, malformed tensors.

    python -m tests.torture.sanitize

The kernels are compiled with the sanitizers into a folder of their own and loaded by a child process, which has the
sanitizers' library loaded first. The exit code is 1 if there is a report.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

FLAGS = (
    "-fsanitize=address,undefined,float-cast-overflow",
    "-fno-sanitize-recover=all",
    "-fno-omit-frame-pointer",
    "-g",
)
SIDE = 20


def sanitized() -> None:
    """Let `renderer.ops.native` compile with the sanitizers."""
    from renderer.ops import native

    native.COMPILE = (*native.COMPILE, *FLAGS)
    native.LINK = (*native.LINK, *FLAGS[:1])


def work(calls: int) -> None:
    """Use every kernel, forward and backward, on small sizes, and `calls` malformed calls."""
    sanitized()
    from painter import Painter
    from renderer.brush import load_brush
    from renderer.canvas import blank, paint, paint_steps
    from renderer.learned.load import shipped_brushes
    from renderer.ops import native
    from tests.torture.fuzz_kernels import finding

    torch.set_num_threads(2)
    for source in native.FOLDER.glob("*.c"):
        if native.load(source) is None:
            sys.exit(f"{source.name} cannot be compiled with the sanitizers")
    generator = torch.Generator().manual_seed(0)
    for name in [*shipped_brushes(), "flat+ink", "analytic", "exact"]:
        brush = load_brush(name)
        for size in ((SIDE, SIDE), (1, 1), (1, 9), (9, 1), (2, 3), (7, 300)):
            strokes = brush.space.sample(12, generator)
            strokes[:3] = strokes[:3].round()  # at the limits of the space
            strokes[3:5, brush.space.columns("start")] = -1.5  # outside of the canvas
            strokes[4, brush.space.columns("end")] = 2.5
            strokes.requires_grad_(brush.differentiable)
            painted = paint(blank(size), strokes, brush)
            if brush.differentiable:
                painted.square().sum().backward()
            for _ in paint_steps(blank(size), strokes.detach(), brush, chunk=5):
                pass
    face = torch.rand(3, SIDE, SIDE + 3, generator=generator)
    for method in ("agent", "optimize", "hybrid"):
        for brush_name in ("bezier", "ink"):
            Painter(method, brush=brush_name).paint(face, strokes=12, seconds=1, size=SIDE)
    for index in range(calls):
        _, wrong = finding(index, seed=2)
        if wrong:
            print(wrong)
    print("no report")


def main(calls: int = 300) -> int:
    """Run the child process; print its report, and return how many findings there are (0 or 1)."""
    library = subprocess.run(["gcc", "-print-file-name=libasan.so"], capture_output=True, text=True, check=True)
    ubsan = subprocess.run(["gcc", "-print-file-name=libubsan.so"], capture_output=True, text=True, check=True)
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {
            "LD_PRELOAD": f"{Path(library.stdout.strip()).resolve()} {Path(ubsan.stdout.strip()).resolve()}",
            "ASAN_OPTIONS": "detect_leaks=0:halt_on_error=1:abort_on_error=0:exitcode=77",
            "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
            "XDG_CACHE_HOME": folder,
        }
        child = [sys.executable, "-m", "tests.torture.sanitize", "--child", str(calls)]
        ran = subprocess.run(child, env=environment, capture_output=True, text=True)
    print((ran.stdout + ran.stderr)[-6000:])
    return 0 if ran.returncode == 0 and ran.stdout.endswith("no report\n") and "runtime error" not in ran.stderr else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=300, help="number of malformed calls")
    parser.add_argument("--child", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child is not None:
        work(given.child)
    else:
        sys.exit(main(given.calls))
