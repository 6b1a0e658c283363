"""Options of the benchmark."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Config:
    """What is measured, with what, and for how long."""

    json: str = "bench.json"
    """The file for the figures."""
    only: str = "renderer,painting,batch,neighbours"
    """Sections to measure, separated by commas: renderer, painting, batch (several images at once), neighbours (beside
    other busy processes)."""
    launches: bool = False
    """Count the launches and waits of painting on a GPU, instead of measuring; no GPU is needed."""
    seconds_each: float = 2.0
    """Time budget for the turns of each measurement; three turns are taken in any case."""
    batch: int = 256
    """Random strokes per call, where brushes are timed."""
    test_strokes: int = 2000
    """Strokes for the alpha MSE; none of them was trained on."""
    renderer: str = "bezier"
    """The learned brush called `ours`."""
    baseline: str = "huang2019"
    """The baseline's checkpoint. Without it, speed is that of random weights, and the alpha MSE is its training's record."""
    agent: str = "agent"
    """The agent's checkpoint."""
    counts: tuple[int, ...] = (200, 1000, 5000)
    """Strokes of an optimisation step, for time and memory; the naive baseline takes the first."""
    sides: tuple[int, ...] = (128, 512, 1024)
    """Canvas sides of an optimisation step, in pixels; the naive baseline takes the first."""
    agent_counts: tuple[int, ...] = (50, 200, 1000)
    """Strokes that the agent paints."""
    images: int = 16
    """Images of the batch (section batch)."""
    agent_strokes: int = 200
    """Strokes of each image (section batch)."""
    neighbour_strokes: int = 50
    """Strokes of the face (section neighbours)."""
    optimize_steps: int = 100
    """Gradient steps of the optimiser (section batch)."""
    threads: int | None = None
    """PyTorch's threads; by default, its own choice."""
    seed: int = 0
    """Seed of the strokes that are timed, and of the baseline's random weights."""
