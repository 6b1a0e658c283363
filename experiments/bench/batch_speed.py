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
from experiments.cores import available_cores
from painter import Painter
from painter.methods import Method
from painter.optimize import OptimizeConfig
from renderer.errors import InputError
from renderer.io.images import fit, read_image

METHODS_MEASURED: tuple[Method, ...] = ("agent", "optimize")
WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")  # how threads of OpenMP wait; `experiments` sets the latter
PAINT_ON_REQUEST = """
import sys
from experiments.bench.batch_speed import paint_on_request
paint_on_request(int(sys.argv[1]), *sys.argv[2:4], int(sys.argv[4]))
"""


def measure_batch(config: Config) -> Figures:
    """Measure images a second, one at a time and all at once, of the agent and of the optimiser."""
    images, strokes = config.images, config.agent_strokes
    optimize = OptimizeConfig(steps=config.optimize_steps)
    setting = {"images": images, "strokes": strokes, "side": SIDE, "threads": torch.get_num_threads()}
    figures: Figures = {"setting": setting | {"optimize_steps": config.optimize_steps}}
    for method in METHODS_MEASURED:
        painter = Painter(method, brush=config.renderer, agent=config.agent, device="cpu", config=optimize)
        figures[method] = _alone_and_together(painter, _faces(images), strokes, config.seconds_each)
    return figures


def _alone_and_together(painter: Painter, faces: list[Tensor], strokes: int, seconds_each: float) -> Figures:
    def alone() -> None:
        for face in faces:
            painter.paint(face, strokes=strokes, size=SIDE)

    def together() -> None:
        painter.paint_batch(faces, strokes=strokes, size=SIDE)

    times = in_turns({"alone": alone, "together": together}, seconds_each)
    figures: Figures = {"turns": len(times["alone"])}
    for way, values in times.items():
        put(figures, f"{way}_images_per_s", [len(faces) / seconds for seconds in values])
    pairs = zip(times["alone"], times["together"], strict=True)
    put(figures, "times_alone", [alone / together for alone, together in pairs])
    return figures


def measure_neighbours(config: Config) -> Figures:
    """Measure how much longer the agent takes when as many other processes as there are cores are busy, in turns.

    Each way of waiting is measured in a process of its own, because PyTorch reads it when it is loaded: `default`, that of
    every command, and `spinning`, OpenMP's own.
    """
    strokes = config.neighbour_strokes
    setting = {"neighbours": available_cores(), "strokes": strokes, "side": SIDE, "threads": torch.get_num_threads()}
    figures: Figures = {"setting": setting}
    for way in ("default", "spinning"):
        environment = {name: value for name, value in os.environ.items() if name not in WAITING}
        if way == "spinning":
            environment["OMP_WAIT_POLICY"] = "ACTIVE"
        arguments = (str(strokes), config.renderer, config.agent, str(torch.get_num_threads()))
        with subprocess.Popen(
            [sys.executable, "-c", PAINT_ON_REQUEST, *arguments],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as painting:
            figures[way] = _quiet_and_beside(painting)
    figures["spinning_times_default"] = (
        figures["spinning"]["beside_neighbours_seconds"] / figures["default"]["beside_neighbours_seconds"]
    )
    return figures


def _quiet_and_beside(painting: subprocess.Popen[str]) -> Figures:
    _seconds(painting)  # loads kernels
    quiet, beside = [], []
    for _ in range(TURNS):
        quiet.append(_seconds(painting))
        with _busy(available_cores()):
            beside.append(_seconds(painting))
    assert painting.stdin is not None
    painting.stdin.close()
    figures: Figures = {}
    put(figures, "quiet_seconds", quiet)
    put(figures, "beside_neighbours_seconds", beside)
    put(figures, "times_quiet", [b / q for b, q in zip(beside, quiet, strict=True)])
    return figures


def _faces(count: int) -> list[Tensor]:
    """Different images: the shipped face, rolled to the right."""
    face = fit(read_image(FACE), SIDE)
    return [face.roll(5 * i, -1) for i in range(count)]


def paint_on_request(strokes: int, renderer: str, agent: str, threads: int) -> None:
    """Paint a face for each line on stdin, and print the seconds that it took."""
    torch.set_num_threads(threads)
    painter = Painter("agent", brush=renderer, agent=agent, device="cpu")
    (face,) = _faces(1)
    for _ in sys.stdin:
        begun = time.perf_counter()
        painter.paint(face, strokes=strokes, size=SIDE)
        print(time.perf_counter() - begun, flush=True)


def _seconds(painting: subprocess.Popen[str]) -> float:
    assert painting.stdin is not None
    assert painting.stdout is not None
    painting.stdin.write("\n")
    painting.stdin.flush()
    line = painting.stdout.readline()
    if not line:
        raise InputError("The process that paints beside others ended early.")
    return float(line)


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
