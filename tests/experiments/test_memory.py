"""Peak memory, measured in a process of its own; `tests.torture.memory` measures the largest sizes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
MIB = 2**20
CODE = """
import json, sys
from pathlib import Path
import torch
from experiments.repaint import Config, repaint
from renderer.io.painting import Painting
from renderer.strokes import BEZIER
from tests.torture.memory import peak_bytes, small_strokes

torch.set_num_threads(1)
folder = Path(sys.argv[1])

def render(side):
    Painting(small_strokes(20), BEZIER, side, side).export(folder / "painting.png", size=side)

def paint(side):
    options = {"strokes": 8, "size": side, "output_size": side, "video": False, "device": "cpu"}
    repaint(Config(("docs/images/hikime.png",), str(folder / str(side)), **options))

render(64)  # imports are not of the size
figures = {"render": peak_bytes(lambda: render(2200))}
figures["repaint"] = [peak_bytes(lambda: paint(side))[0] for side in (400, 1024)]  # above 384 px, metrics take the same
print(json.dumps(figures))
"""


@pytest.fixture(scope="module")
def peaks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int, int]]:
    """In bytes: of `render`, the peak and the memory before; of `repaint`, the peaks of two sizes."""
    folder = tmp_path_factory.mktemp("memory")
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(folder)], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True
    )
    figures: dict[str, tuple[int, int]] = json.loads(done.stdout.splitlines()[-1])
    return figures


@pytest.mark.slow
def test_an_image_takes_little_more_than_its_canvas(peaks: dict[str, tuple[int, int]]) -> None:
    """The canvas in floats, in bytes, and Pillow's copy of four bytes a pixel: 19 bytes a pixel, and marks of 20 strokes."""
    peak, before = peaks["render"]
    assert peak - before < (12 + 3 + 4) * 2200**2 + 40 * MIB


def test_the_agent_takes_memory_by_the_pixel(peaks: dict[str, tuple[int, int]]) -> None:
    """Memory that grows in proportion to the pixels must stay below 1.5 GiB in all at 2,048 px."""
    small, large = peaks["repaint"]
    each = max(0, large - small) / (1024**2 - 400**2)
    assert large + each * (2048**2 - 1024**2) < 1536 * MIB
