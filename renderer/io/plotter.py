"""HPGL and G-code for plotters, converted from centre lines by vpype (https://vpype.readthedocs.io)."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from renderer.errors import InputError
from renderer.io.files import atomic
from renderer.io.svg_centre_lines import PENS, place_on, write_centre_lines

if TYPE_CHECKING:
    from renderer.io.painting import Painting

DEVICE = "hp7475a"
PAPERS = {"a4": (190, 250), "a3": (255, 395)}  # mm, short and long side that the device reaches
DEFAULT_LONGEST = 250.0  # mm, which fits on A4
TOLERANCE = "0.05mm"  # between a curve and its polyline


def write_plot(
    painting: Painting,
    path: str | Path,
    canvas: tuple[float, float] | None = None,
    pens: Sequence[float] = PENS,
) -> None:
    """Write the centre lines of a painting as HPGL (.hpgl; HP 7475A, A4 or A3) or G-code (.gcode, mm), whole or not at all.

    Lines of each layer are joined and sorted, so that the pen travels little.

    Args:
        painting: see `centre_lines`.
        path: ends in .hpgl or .gcode.
        canvas: see `place_on`; by default 250 mm on the long side.
        pens: see `centre_lines`.

    Raises:
        InputError: where vpype (or vpype-gcode) is not installed, for a canvas too large for the device, and as of
            `centre_lines`.
    """
    path = Path(path)
    needed = ("vpype_cli", "vpype_gcode") if path.suffix.lower() == ".gcode" else ("vpype_cli",)
    if not all(map(importlib.util.find_spec, needed)):
        raise InputError("Plotter files need vpype: pip install 'kaokore-painter[plotter]'.")
    if canvas is None:
        factor = DEFAULT_LONGEST / max(painting.size())
        canvas = painting.width * factor, painting.height * factor
    canvas = place_on(painting, canvas).canvas
    command = ["gwrite", "--profile", "gcodemm"] if path.suffix.lower() == ".gcode" else _hpgl(canvas)
    with tempfile.TemporaryDirectory() as folder, atomic(path) as temporary:
        source = Path(folder) / "lines.svg"
        write_centre_lines(painting, source, canvas, pens)
        read = ["read", "--quantization", "0.2mm", str(source), "linesimplify", "--tolerance", TOLERANCE]
        # In a process of its own: vpype changes warnings and logging, and leaves files open.
        program = [sys.executable, "-c", "from vpype_cli import cli; cli()", *read, "linemerge", "linesort"]
        run = subprocess.run([*program, *command, str(temporary)], capture_output=True, text=True, check=False)
        if run.returncode:
            reason = (run.stderr.strip().splitlines() or ["no reason given"])[-1].rstrip(".")
            raise InputError(f"vpype could not write {path}: {reason}.")


def _hpgl(canvas: tuple[float, float]) -> list[str]:
    for paper, (short, long) in PAPERS.items():
        if min(canvas) <= short and max(canvas) <= long:
            landscape = ["--landscape"] if canvas[0] > canvas[1] else []
            return [*f"write --format hpgl --device {DEVICE} --page-size {paper} --center --quiet".split(), *landscape]
    raise InputError(f"The plotter {DEVICE} draws 255x395 mm at most, not {canvas[0]:g}x{canvas[1]:g}.")
