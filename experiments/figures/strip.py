"""Make the README's strip: faces of KaoKore at increasing numbers of strokes.

    python -m experiments.figures.strip --root data/kaokore --out docs/images/strip.png

Shows paintings only, because the data set's authors ask not to redistribute their images.
"""

from __future__ import annotations

from dataclasses import dataclass

from tqdm import tqdm

from experiments.cli import run
from experiments.figures.elements import contact_sheet
from kaokore import fetch_image, resolve_root
from painter import Painter
from painter.optimize import OptimizeConfig
from renderer.io.images import write_png


@dataclass(frozen=True)
class Config:
    """Contents of the strip."""

    root: str | None = None
    """KaoKore's folder; by default KAOKORE_ROOT, or data/kaokore."""
    faces: tuple[str, ...] = ("1790", "5330", "3909", "7577", "2188", "4300", "1832", "6350")
    """IDs, a column each."""
    agent_strokes: tuple[int, ...] = (10, 50, 200)
    """Strokes of each row painted by the agent alone."""
    hybrid_strokes: int = 500
    """Strokes of the last row, by method hybrid."""
    steps: int = 600
    """Gradient steps of the last row."""
    size: int = 128
    """Pixels while painting."""
    shown: int = 160
    """Pixels of each painting in the strip."""
    seed: int = 0
    out: str = "strip.png"


def strip(config: Config) -> None:
    """Make the README's strip: faces of KaoKore at increasing numbers of strokes."""
    agent, hybrid = Painter("agent"), Painter("hybrid", config=OptimizeConfig(steps=config.steps))
    root = resolve_root(config.root)
    faces = [fetch_image(root, face) for face in config.faces]
    rows = []
    for painter, count in (*((agent, count) for count in config.agent_strokes), (hybrid, config.hybrid_strokes)):
        paintings = [
            painter.paint(face, strokes=count, size=config.size, seed=config.seed)
            for face in tqdm(faces, desc=f"{painter.method} {count}", disable=None)
        ]
        rows.append([painting.render(config.shown) for painting in paintings])
    write_png(contact_sheet(rows, gap=3), config.out)
    print(f"Wrote {config.out}: {len(faces)} faces, {len(rows)} rows.")


if __name__ == "__main__":
    run(strip, Config, __doc__)
