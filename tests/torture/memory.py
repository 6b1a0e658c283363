"""Peak memory of painting and rendering at the largest sizes; each case in a process of its own.

    python -m tests.torture.memory                     # all cases; many minutes
    python -m tests.torture.memory render repaint      # these only

Exits with 1 where a case takes more memory than it may.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

GIB = 2**30


def render(folder: Path) -> None:
    """Render 20,000 strokes at 8,192 x 8,192 px as a PNG."""
    from renderer.io.painting import Painting
    from renderer.strokes import BEZIER

    Painting(small_strokes(20_000), BEZIER, 8192, 8192).export(folder / "painting.png", size=8192)


def large_marks(folder: Path) -> None:
    """Render strokes that cover the canvas at 8,192 x 8,192 px, by the reference and by a learned brush with grain."""
    from renderer.brush import load_brush
    from renderer.io.painting import Painting

    for name in ("exact", "charcoal"):
        brush = load_brush(name)
        strokes = brush.space.put(brush.space.sample(1, torch.Generator().manual_seed(0)), "start", torch.zeros(1, 2))
        strokes = brush.space.put(strokes, "end", torch.ones(1, 2))
        Painting(strokes, brush.space, 8192, 8192).export(folder / f"{name}.png", size=8192, brush=brush)


def repaint(folder: Path) -> None:
    """Paint a face by the agent at 2,048 px and write all results."""
    _repaint(folder, 2048)


def repaint_largest(folder: Path) -> None:
    """Paint a face by the agent at 8,192 px and write all results."""
    _repaint(folder, 8192)


def videos(folder: Path) -> None:
    """Write an MP4 of 1,024 px, a GIF and an SVG of 20,000 strokes that were painted at 8,192 px."""
    from renderer.io.painting import Painting
    from renderer.strokes import BEZIER

    painting = Painting(small_strokes(20_000), BEZIER, 8192, 8192)
    painting.export(folder / "painting.mp4", size=1024)
    painting.export(folder / "painting.gif")
    painting.export(folder / "painting.svg", size=8192)


CASES: dict[str, tuple[Callable[[Path], None], float]] = {
    "render": (render, 4 * GIB),
    "large_marks": (large_marks, 4 * GIB),
    "repaint": (repaint, 1.5 * GIB),
    "repaint_largest": (repaint_largest, 8 * GIB),
    "videos": (videos, 1.5 * GIB),
}
"""What runs, and the bytes that it may take in all."""


def small_strokes(count: int) -> torch.Tensor:
    """Bezier strokes (count, 13) as small as those of a painting with many: 0.2 % to 1 % of the canvas' side in radius."""
    from renderer.strokes import BEZIER

    generator = torch.Generator().manual_seed(0)
    strokes = BEZIER.sample(count, generator)
    radius = 0.002 * 5 ** torch.rand(count, 1, generator=generator)
    start = strokes[:, BEZIER.columns("start")]
    end = (start + 4 * radius * (2 * torch.rand(count, 2, generator=generator) - 1)).clamp(0, 1)
    return BEZIER.put(BEZIER.put(strokes, "radius", radius.expand(-1, 2)), "end", end)


def _repaint(folder: Path, size: int) -> None:
    from experiments.repaint import Config
    from experiments.repaint import repaint as start

    face = Path(__file__).resolve().parents[2] / "docs" / "images" / "hikime.png"
    start(Config((str(face),), str(folder), size=size, output_size=size, device="cpu"))


def peak_bytes(function: Callable[[], object]) -> tuple[int, int]:
    """The peak memory of this process during a call, and what it had before; on Linux."""
    before = _status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    function()
    return _status("VmHWM"), before


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


def main(names: list[str]) -> int:
    """Run cases, each in a new process; returns the exit code."""
    failed = 0
    for name in names or CASES:
        begun = time.monotonic()
        code = (
            "import sys, tempfile; from pathlib import Path; from tests.torture.memory import CASES, peak_bytes\n"
            "with tempfile.TemporaryDirectory() as folder:\n"
            "    peak, _ = peak_bytes(lambda: CASES[sys.argv[1]][0](Path(folder)))\n"
            "print(peak)"
        )
        done = subprocess.run([sys.executable, "-c", code, name], stdout=subprocess.PIPE, text=True)
        limit = CASES[name][1]
        peak = int(done.stdout.split()[-1]) if done.returncode == 0 else None
        ok = peak is not None and peak <= limit
        failed += not ok
        shown = f"{peak / GIB:.2f} GiB" if peak is not None else f"exit code {done.returncode}"
        verdict = "ok" if ok else "TOO MUCH"
        seconds = time.monotonic() - begun
        print(f"{name:<16} {shown} of {limit / GIB:.1f} GiB in {seconds:.0f} s: {verdict}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
