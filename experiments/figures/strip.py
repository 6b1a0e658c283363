"""The README's strip: faces of KaoKore coming into being, stroke by stroke.

    python -m experiments.figures.strip --root ../shared/kaokore --out docs/images/strip.png

Only paintings are shown, never the data set's own images, which its authors ask not to redistribute.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from tqdm import tqdm

from agents.registry import load_agent
from experiments.cli import run
from kaokore import fetch_image, resolve_root
from painter.methods import paint_with
from painter.optimize import OptimizeConfig
from renderer.io.images import fit, read_image, write_png
from renderer.io.painting import Painting
from renderer.learned.load import load_brush


@dataclass(frozen=True)
class Config:
    """What the strip shows."""

    root: str | None = None
    """KaoKore's folder; else KAOKORE_ROOT, else data/kaokore."""
    faces: tuple[str, ...] = ("1790", "5330", "3909", "7577", "2188", "4300", "1832", "6350")
    """IDs, a column each."""
    agent_strokes: tuple[int, ...] = (10, 50, 200)
    """Rows painted by the agent alone."""
    hybrid_strokes: int = 500
    """The last row: as many strokes of the agent, refined."""
    steps: int = 600
    size: int = 128
    """Pixels while painting."""
    shown: int = 160
    """Pixels of each painting in the strip: strokes are drawn again at this size."""
    seed: int = 0
    out: str = "strip.png"


def strip(config: Config) -> None:
    """The README's strip: faces of KaoKore coming into being, stroke by stroke."""
    from torchvision.utils import make_grid  # here, because it takes over a second

    renderer = load_brush("bezier")
    agent = load_agent("agent", renderer)
    root = resolve_root(config.root)
    targets = [fit(read_image(fetch_image(root, face)), config.size) for face in config.faces]
    rows = [("agent", count) for count in config.agent_strokes] + [("hybrid", config.hybrid_strokes)]
    pictures = []
    for method, count in rows:
        for target in tqdm(targets, desc=f"{method} {count}"):
            generator, optimize = torch.Generator().manual_seed(config.seed), OptimizeConfig(steps=config.steps)
            *_, last = paint_with(method, target, count, renderer, agent, optimize, generator)  # type: ignore[arg-type]
            pictures.append(Painting.by(renderer, last.strokes, target.shape[1:]).render(config.shown))
    write_png(make_grid(torch.stack(pictures), len(targets), padding=3, pad_value=1.0), config.out)
    print(
        f"{config.out}: {len(targets)} faces; rows: " + ", ".join(f"{method} {count}" for method, count in rows) + "."
    )


if __name__ == "__main__":
    run(strip, Config, __doc__)
