"""Benchmark of painting several images at once, and beside other busy processes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from experiments.bench.config import Config
from experiments.bench.painting_speed import FACE
from experiments.bench.renderer_speed import SIDE
from experiments.bench.timing import TURNS, Figures, in_turns, put
from painter import Painter
from renderer.io.images import fit, read_image


def measure_batch(config: Config) -> Figures:
    """Measure images a second of the agent, one at a time and all at once."""
    images, strokes = config.images, config.agent_strokes
    painter = Painter("agent", brush=config.renderer, agent=config.agent, device="cpu")
    faces = _faces(images)

    def alone() -> None:
        for face in faces:
            painter.paint(face, strokes=strokes, size=SIDE)

    def together() -> None:
        painter.paint_batch(faces, strokes=strokes, size=SIDE)

    times = in_turns({"alone": alone, "together": together}, config.seconds_each)
    threads, turns = torch.get_num_threads(), len(times["alone"])
    setting = {"images": images, "strokes": strokes, "side": SIDE, "threads": threads, "turns": turns}
    figures: Figures = {"setting": setting}
    for way, values in times.items():
        put(figures, f"{way}_images_per_s", [images / seconds for seconds in values])
    pairs = zip(times["alone"], times["together"], strict=True)
    put(figures, "times_alone", [alone / together for alone, together in pairs])
    return figures


def measure_neighbours(config: Config) -> Figures:
    """Measure how much longer the agent takes when as many other processes as there are cores are busy, in turns."""
    strokes = config.agent_strokes
    painter = Painter("agent", brush=config.renderer, agent=config.agent, device="cpu")
    (face,) = _faces(1)
    neighbours = os.cpu_count() or 1
    painter.paint(face, strokes=strokes, size=SIDE)  # loads kernels
    quiet, beside = [], []
    for _ in range(TURNS):
        quiet.append(_seconds(painter, face, strokes))
        with _busy(neighbours):
            beside.append(_seconds(painter, face, strokes))
    setting = {"neighbours": neighbours, "strokes": strokes, "side": SIDE, "threads": torch.get_num_threads()}
    waiting = {"wait_policy": os.environ.get("OMP_WAIT_POLICY"), "spin_count": os.environ.get("GOMP_SPINCOUNT")}
    figures: Figures = {"setting": setting | waiting}
    put(figures, "quiet_seconds", quiet)
    put(figures, "beside_neighbours_seconds", beside)
    put(figures, "times_quiet", [b / q for b, q in zip(beside, quiet, strict=True)])
    return figures


def _faces(count: int) -> list[Tensor]:
    """Different images: the shipped face, rolled to the right."""
    face = fit(read_image(FACE), SIDE)
    return [face.roll(5 * i, -1) for i in range(count)]


def _seconds(painter: Painter, face: Tensor, strokes: int) -> float:
    begun = time.perf_counter()
    painter.paint(face, strokes=strokes, size=SIDE)
    return time.perf_counter() - begun


@contextmanager
def _busy(count: int) -> Iterator[None]:
    """Processes that compute without end, one core each."""
    processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()
