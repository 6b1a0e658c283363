"""Check and measure painting on a GPU, in under five minutes.

    python -m experiments.gpu_check --json gpu.json
    python -m experiments.gpu_check --json gpu.json --device cpu --dry-run    # smallest sizes, on any machine

Every part is written to the file as soon as it is done. A part that fails leaves its error there, and the others go on.
"""

from __future__ import annotations

import json
import math
import platform
import re
import statistics
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from agents.optimal_colour import paint_greedily, score_candidates
from agents.planner import paint_refined, refine_independently
from agents.registry import BatchAgent
from experiments.bench.launches import without_graphs
from experiments.cli import choose_device, require, run
from kaokore.fake_faces import draw_face
from painter import Painter
from painter.optimize import OptimizeConfig, optimize
from renderer.brush import Brush, load_brush
from renderer.canvas import blank, paint
from renderer.errors import InputError
from renderer.io.files import atomic
from renderer.io.images import fit, read_image
from renderer.ops import cuda_graph
from renderer.ops.triton_strokes import StrokeCodes, encode
from renderer.strokes import BEZIER

Figures = dict[str, Any]
Size = tuple[int, int]
ROOT = Path(__file__).resolve().parents[1]
COVERAGE = 8.0  # area of all strokes' boxes, in canvases: about that of an agent's 200 strokes
KAOKORE_FACES = 8573


@dataclass(frozen=True)
class Config:
    """Options of the check."""

    json: str = "gpu.json"
    """Where to write the figures."""
    device: str = "cuda"
    """What to measure."""
    dry_run: bool = False
    """Smallest sizes: only whether everything runs."""
    parts: str = "correctness,drawing,graphs,agent,optimizer,agreement,tests,profile,tuning,recording"
    """Which parts, in this order, separated by commas."""
    seconds: float = 250.0
    """No part begins later than this."""
    counts: tuple[int, ...] = (200, 2048, 20000)
    """Strokes that are drawn."""
    sizes: tuple[str, ...] = ("128x128", "512x512", "2040x1344")
    """Canvases that they are drawn on, width x height."""
    batches: tuple[int, ...] = (1, 16, 64, 256, 512)
    """Faces that the agent paints at once."""
    strokes: int = 200
    """Strokes of a face."""
    side: int = 128
    """Pixels of a face's long side."""
    steps: int = 200
    """Gradient steps of the optimiser."""


def gpu_check(config: Config) -> Path:
    """Check and measure painting on a GPU, in under five minutes."""
    parts = [name.strip() for name in config.parts.split(",") if name.strip()]
    unknown = [name for name in parts if name not in PARTS]
    if unknown or not parts:
        raise InputError(f"--parts takes {', '.join(PARTS)}, separated by commas, not {config.parts!r}.")
    if config.dry_run:
        config = replace(config, counts=(3,), sizes=("24x16",), batches=(1, 2), strokes=5, side=24, steps=3)
    if config.device.startswith("cuda") and not torch.cuda.is_available():
        raise InputError("There is no GPU here; use --device cpu --dry-run to try the command.")
    device = choose_device(config.device)
    require(config, seconds=0, strokes=1, side=1, steps=1)
    if min(*config.counts, *config.batches, 1) < 1:
        raise InputError("--counts and --batches are numbers of 1 or more.")
    if not all(re.fullmatch(r"[1-9]\d{0,3}x[1-9]\d{0,3}", text) for text in config.sizes):
        raise InputError("--sizes are widths and heights in pixels, such as 512x512.")
    begun = time.monotonic()
    figures: Figures = {"machine": machine(device)}
    _write(figures, config.json)
    for name in parts:
        figures[name] = {}
        if time.monotonic() - begun > config.seconds:
            figures[name]["skipped"] = "no time was left"
            continue
        with _measured(figures[name], device):
            PARTS[name](config, device, figures[name])
        _write(figures, config.json)
        print(f"{name}: {figures[name]['seconds']:.1f} s {figures[name].get('error', '')}", flush=True)
    figures["seconds"] = time.monotonic() - begun
    _write(figures, config.json)
    print(json.dumps(figures, indent=1))
    return Path(config.json)


def machine(device: torch.device) -> Figures:
    """What the figures depend on."""
    versions: Figures = {"torch": torch.__version__, "python": platform.python_version()}
    if device.type == "cuda":
        import triton

        card = torch.cuda.get_device_properties(device)
        versions |= {"card": card.name, "multiprocessors": card.multi_processor_count, "triton": triton.__version__}
        versions["memory_mib"] = card.total_memory // 2**20
    return versions


def correctness(config: Config, device: torch.device, figures: Figures) -> None:
    """The kernels against the same operations on the CPU: largest differences, and relative ones of gradients."""
    size, count = ((16, 24), 5) if config.dry_run else ((100, 128), 200)
    for name in ("bezier", "ink", "watercolour"):
        results = []
        for place in ("cpu", device):
            brush = load_brush(name, place).mean_brush()
            strokes, weight, canvas, target = _inputs(brush, count, size, place)
            strokes.requires_grad_()
            painted = paint(canvas, strokes, brush)
            gradients = torch.autograd.grad((painted * weight).sum(), strokes)
            scored = score_candidates(strokes, canvas, target, brush)
            gradients += torch.autograd.grad(scored.gain.sum(), strokes)
            with torch.no_grad():
                gain = scored.gain.detach()
                proposed = score_candidates(strokes, canvas, target, brush)
                order = gain.argsort(1, descending=True)
                greedy = paint_greedily(
                    proposed, canvas, target, brush, order=order, min_gain=gain * 0.3, max_strokes=count // 2
                )
            values = (painted, gain, *gradients, greedy[0], greedy[2].float())
            results.append([value.detach().double().cpu() for value in values])
        named = ("paint", "gain", "paint_gradient", "gain_gradient", "greedy", "greedy_real")
        compared = {key: (b - a, a) for key, a, b in zip(named, *results, strict=True)}
        found = {key: float(difference.norm() / reference.norm()) for key, (difference, reference) in compared.items()}
        found["paint_largest_difference"] = float(compared["paint"][0].abs().max())
        found["within_rounding"] = all(value < 1e-3 for value in found.values())
        figures[name] = found


def drawing(config: Config, device: torch.device, figures: Figures) -> None:
    """Forward and backward milliseconds by strokes and canvas, of everything and of the kernels alone."""
    brush = load_brush("bezier", device)
    for text in config.sizes:
        width, height = (int(side) for side in text.split("x"))
        size = (height, width)
        for count in config.counts:
            with _measured(figures.setdefault(f"{count}@{text}", {}), device) as found:
                strokes, canvas = covering(count).to(device)[None], blank(size, device=device)[None]
                codes = encode(brush, strokes[0], size)
                found |= {"megapixels_touched": COVERAGE * width * height / 1e6}
                found |= _pass_times(lambda s, c=canvas: paint(c, s, brush), strokes, device)  # type: ignore[misc]
                if codes is not None:
                    found |= _kernel_times(canvas, codes, device)


def covering(count: int, seed: int = 0) -> Tensor:
    """`(count, P)` random strokes of BEZIER whose boxes cover the canvas COVERAGE times in all."""
    generator = torch.Generator().manual_seed(seed)
    strokes = BEZIER.sample(count, generator)
    side = min(1.0, (COVERAGE / count) ** 0.5)
    start = strokes[:, BEZIER.columns("start")]
    sign = torch.rand(count, 2, generator=generator).round() * 2 - 1
    length = 0.6 * side * (0.8 + 0.4 * torch.rand(count, 2, generator=generator))
    strokes = BEZIER.put(strokes, "radius", torch.full((count, 2), 0.2 * side))
    return BEZIER.put(strokes, "end", start + sign * length)


def agent(config: Config, device: torch.device, figures: Figures) -> None:
    """Faces a second: one by one through `Painter`, and in batches of rounds."""
    painter = Painter("agent", device=device)
    faces = _faces(config)
    painter.paint(faces[0], strokes=config.strokes, size=config.side)
    seconds = _seconds(lambda: painter.paint(faces[0], strokes=config.strokes, size=config.side), device)
    figures["one_by_one"] = {"seconds_a_face": seconds, "faces_per_second": 1 / seconds}
    for batch in config.batches:
        with _measured(figures.setdefault(f"batch_{batch}", {}), device) as found:
            target = torch.stack([faces[i % len(faces)] for i in range(batch)]).to(device)
            _paint_together(painter, target, min(config.strokes, 20))  # warm
            seconds = _seconds(lambda t=target: _paint_together(painter, t, config.strokes), device)  # type: ignore[misc]
            canvas, strokes = _paint_together(painter, target, config.strokes)
            found["faces_per_second"] = batch / seconds
            found["seconds_for_kaokore"] = KAOKORE_FACES * seconds / batch
            found["strokes_a_face"], found["mse"] = strokes / batch, float((canvas - target).square().mean())
    with _measured(figures.setdefault("many", {}), device) as found:
        # Different faces in batches, as many as stand for the whole collection.
        batch, total = config.batches[-1], 2 if config.dry_run else 2048
        generator = np.random.default_rng(1)
        drawn = [draw_face(generator, female=i % 2 == 0, status=i % 4) for i in range(min(total, 64))]
        pool = torch.stack([fit(torch.from_numpy(face).permute(2, 0, 1).float() / 255, config.side) for face in drawn])

        def paint_all() -> list[Tensor]:
            errors = []
            for first in range(0, total, batch):
                count = min(batch, total - first)
                index = (torch.arange(first, first + count) * 7) % len(pool)
                target = pool[index].roll(first // batch, -1).to(device)
                canvas, _ = _paint_together(painter, target, config.strokes)
                errors.append((canvas - target).square().mean((1, 2, 3)))
            return errors

        begun = time.monotonic()
        errors = torch.cat(paint_all()).cpu()
        seconds = time.monotonic() - begun
        found |= {"faces": total, "batch": batch, "faces_per_second": total / seconds, "mse": float(errors.mean())}
        found["seconds_for_kaokore"] = KAOKORE_FACES * seconds / total


def _paint_together(painter: Painter, target: Tensor, count: int) -> tuple[Tensor, int]:
    """Canvases `(B, 3, H, W)` of pictures that the agent paints at once, and how many strokes are on them."""
    assert isinstance(painter.agent, BatchAgent)
    canvases, painted = list(torch.ones_like(target)), 0
    for i, canvas, strokes in painter.agent.paint_batch(canvases, list(target), count):
        canvases[i] = canvas
        painted += len(strokes)
    return torch.stack(canvases), painted


def optimizer(config: Config, device: torch.device, figures: Figures) -> None:
    """Gradient steps a second of one picture."""
    face = _faces(config)[0]
    for count in (config.strokes, 5 * config.strokes):
        painter = Painter("optimize", device=device, config=OptimizeConfig(steps=config.steps))
        painter.paint(face, strokes=count, size=config.side)
        seconds = _seconds(lambda p=painter, n=count: p.paint(face, strokes=n, size=config.side), device)  # type: ignore[misc]
        figures[f"{count}_strokes"] = {"steps_per_second": config.steps / seconds, "seconds": seconds}
        with without_graphs():
            plain = _seconds(lambda p=painter, n=count: p.paint(face, strokes=n, size=config.side), device)  # type: ignore[misc]
        figures[f"{count}_strokes"]["steps_per_second_without_graphs"] = config.steps / plain


def graphs(config: Config, device: torch.device, figures: Figures) -> None:
    """Whether recorded steps give the strokes of steps one by one.

    Sums of atomic additions differ in rounding from run to run, which many steps of Adam enlarge; hence few steps.
    """
    face, brush = _faces(config)[0].to(device)[None], load_brush("bezier", device)
    canvas, strokes = torch.ones_like(face), covering(20).to(device)[None]

    def optimized() -> Tensor:
        how = {"start": strokes[0], "config": OptimizeConfig(steps=5, relocations=0)}
        *_, last = optimize(face[0], brush, 20, canvas=canvas[0], **how)  # type: ignore[arg-type]
        return last.strokes

    def jointly() -> Tensor:
        return paint_refined(strokes, canvas, face, brush, mask=torch.ones_like(strokes[..., 0]) > 0, steps=5)[0]

    def independently() -> Tensor:
        size = torch.full_like(strokes[..., 0], 0.1)
        return refine_independently(strokes, canvas, face, brush, cell_size=size, steps=5)

    for name, call in (("optimize", optimized), ("jointly", jointly), ("independently", independently)):
        recorded = call().double()
        with without_graphs():
            difference = (recorded - call().double()).abs()
        figures[name] = {"largest": float(difference.max()), "median": float(difference.median())}
        figures[name]["agree"] = float(difference.median()) < 1e-5
        figures[name]["changed"] = float((recorded.flatten() - strokes.flatten()).abs().median())


def recording(config: Config, device: torch.device, figures: Figures) -> None:
    """Whether a step is recorded and replayed, and whether one that cannot be recorded goes on without."""
    if device.type != "cuda":
        return
    state = torch.zeros(3, device=device)
    counted = cuda_graph.RepeatedStep(lambda: state.add_(1), record=True)
    for _ in range(5):
        counted()
    figures["recorded"], figures["after_five_steps"] = counted._graph is not None, state.tolist()
    waiting = cuda_graph.RepeatedStep(lambda: state.add_(state[0].item()), record=True)
    for _ in range(3):
        waiting()
    figures["waiting_step_falls_back"], figures["after_three_more"] = waiting._graph is None, state.tolist()


def agreement(config: Config, device: torch.device, figures: Figures) -> None:
    """The error of paintings made here over that of paintings made on the CPU, face by face."""
    for method in ("agent", "optimize"):
        painters = [
            Painter(method, device=place, config=OptimizeConfig(steps=config.steps)) for place in ("cpu", device)
        ]
        errors: list[list[float]] = []
        for face in _faces(config, 2 if config.dry_run else 16):
            pair = []
            for painter in painters:
                strokes = painter.paint(face, strokes=config.strokes, size=config.side).strokes
                brush = load_brush("bezier")
                canvas = paint(blank((face.shape[1], face.shape[2])), strokes, brush)
                pair.append(float((canvas - face).square().mean()))
            errors.append(pair)
        cpu, here = (statistics.mean(column) for column in zip(*errors, strict=True))
        figures[method] = {"mse_cpu": cpu, "mse": here, "ratio": here / cpu, "by_face": errors}
        # Paintings diverge chaotically from rounding errors, so that single faces differ: their mean log ratio counts.
        logs = [math.log(pair[1] / pair[0]) for pair in errors]
        spread = 2 * statistics.stdev(logs) / math.sqrt(len(logs))
        middle = statistics.mean(logs)
        figures[method]["ratio_95_percent"] = [math.exp(middle - spread), math.exp(middle + spread)]
        figures[method]["equal_within_noise"] = abs(middle) <= max(spread, 0.01)


def tests(config: Config, device: torch.device, figures: Figures) -> None:
    """`tests/renderer/test_cuda.py`."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "tests/renderer/test_cuda.py"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100)
    figures["exit_code"] = ran.returncode
    figures["output"] = ran.stdout[-3000:].splitlines()


def profile(config: Config, device: torch.device, figures: Figures) -> None:
    """Where the time of one face and of optimiser steps goes, kernel by kernel."""
    face = _faces(config)[0]
    for method in ("agent", "optimize"):
        painter = Painter(method, device=device, config=OptimizeConfig(steps=min(config.steps, 20)))
        painter.paint(face, strokes=config.strokes, size=config.side)
        activities = [torch.profiler.ProfilerActivity.CPU]
        if device.type == "cuda":
            activities.append(torch.profiler.ProfilerActivity.CUDA)
        with torch.profiler.profile(activities=activities) as profiler:
            painter.paint(face, strokes=config.strokes, size=config.side)
        figures[method] = _kernels(profiler)
    if device.type == "cuda":
        painter = Painter("agent", device=device)
        target = torch.stack(_faces(config, 64)).repeat(4, 1, 1, 1).to(device)
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profiler:
            _paint_together(painter, target, config.strokes)
        figures["agent_256_faces"] = _kernels(profiler)


def _kernels(profiler: torch.profiler.profile) -> Figures:
    """The kernels that took longest."""
    kernels = [event for event in profiler.key_averages() if event.device_type.name == "CUDA"]
    kernels.sort(key=lambda event: -event.self_device_time_total)
    return {
        "launches": sum(event.count for event in kernels),
        "milliseconds": sum(event.self_device_time_total for event in kernels) / 1e3,
        "kernels": [
            f"{event.self_device_time_total / 1e3:9.3f} ms {event.count:7d} x {event.key[:80]}"
            for event in kernels[:25]
        ],
    }


def tuning(config: Config, device: torch.device, figures: Figures) -> None:
    """Milliseconds of the kernels with other numbers of warps and of programs."""
    if device.type != "cuda":
        return
    from renderer.ops import triton_composite as c
    from renderer.ops import triton_optimal_colour as o

    brush = load_brush("bezier", device)
    size, count = (1344, 2040), 2048
    strokes, canvas = covering(count).to(device), blank(size, device=device)[None]
    codes = encode(brush, strokes, size)
    assert codes is not None
    codes = StrokeCodes(*(part.detach() for part in codes))
    drawn, grad = (canvas, *codes[:3], codes.colour, codes.box), torch.rand_like(canvas)
    cases: list[tuple[Any, str, tuple[int, ...], Callable[[], object]]] = [
        (c, "FORWARD_WARPS", (1, 2, 4), lambda: c.composite(*drawn)),
        (c, "BACKWARD_WARPS", (1, 2, 4), lambda: c.composite_backward(*drawn, grad)),
        (c, "BACKWARD_PROGRAMS", (2, 4, 8), lambda: c.composite_backward(*drawn, grad)),
        (c, "FORWARD_PROGRAMS", (8, 16, 32), lambda: c.composite(*drawn)),
    ]
    small, number = (128, 128), 1024
    proposals = encode(brush, covering(number).to(device), small)
    assert proposals is not None
    proposals = StrokeCodes(*(part.detach() for part in proposals))
    seen, wanted = torch.rand(1, 3, *small, device=device), torch.rand(1, 3, *small, device=device)
    gain, best = o.score(seen, wanted, *proposals[:4], None)
    order, least = torch.arange(number, device=device)[None], torch.full((number,), -torch.inf, device=device)
    cases += [
        (o, "SCORE_WARPS", (1, 2, 4), lambda: o.score(seen, wanted, *proposals[:4], None)),
        (o, "SCORE_BACKWARD_WARPS", (2, 4, 8), lambda: o.score_backward(seen, wanted, *proposals[:4], best, gain)),
        (o, "PAINT_WARPS", (4, 8, 16), lambda: o.paint_greedily(seen, wanted, *proposals[:4], order, least, 66, None)),
    ]
    for number_of_case, (module, name, values, call) in enumerate(cases):
        chosen = getattr(module, name)
        try:
            for value in values:
                setattr(module, name, value)
                figures[f"{number_of_case}_{name}={value}"] = _milliseconds(call, device)
        finally:
            setattr(module, name, chosen)


PARTS = {
    "correctness": correctness,
    "drawing": drawing,
    "agent": agent,
    "optimizer": optimizer,
    "graphs": graphs,
    "agreement": agreement,
    "tests": tests,
    "profile": profile,
    "tuning": tuning,
    "recording": recording,
}


@contextmanager
def _measured(figures: Figures, device: torch.device) -> Iterator[Figures]:
    """Adds seconds, peak memory and, instead of raising it, an error."""
    begun = time.monotonic()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    try:
        yield figures
    except Exception as error:  # whatever it is, the other parts are still worth their time
        figures["error"] = f"{type(error).__name__}: {error}"[:500]
        figures["traceback"] = traceback.format_exc().splitlines()[-12:]
    figures["seconds"] = time.monotonic() - begun
    if device.type == "cuda":
        figures["peak_mib"] = torch.cuda.max_memory_allocated(device) / 2**20


def _pass_times(draw: Callable[[Tensor], Tensor], strokes: Tensor, device: torch.device) -> Figures:
    """Milliseconds of drawing, and of the gradient into the strokes after it."""

    def both() -> None:
        shapes = strokes.detach().requires_grad_()
        torch.autograd.grad(draw(shapes).square().mean(), shapes)

    with torch.no_grad():
        forward = _milliseconds(lambda: draw(strokes), device)
    step = _milliseconds(both, device)
    return {"forward_ms": forward, "backward_ms": step - forward, "step_ms": step}


def _kernel_times(canvas: Tensor, codes: StrokeCodes, device: torch.device) -> Figures:
    from renderer.ops.triton_composite import composite, composite_backward

    shapes, grids, sharpness, box, colour = (part.detach() for part in codes)
    grad = torch.rand_like(canvas)
    tensors = (canvas, shapes, grids, sharpness, colour, box)
    return {
        "kernel_forward_ms": _milliseconds(lambda: composite(*tensors), device),
        "kernel_backward_ms": _milliseconds(lambda: composite_backward(*tensors, grad), device),
    }


def _milliseconds(call: Callable[[], object], device: torch.device, budget: float = 0.25) -> float:
    """The median of one call's time."""
    call()
    call()
    times: list[float] = []
    begun = time.monotonic()
    while len(times) < 5 or time.monotonic() - begun < budget:
        if device.type == "cuda":
            start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            start.record()
            call()
            end.record()
            torch.cuda.synchronize(device)
            times.append(start.elapsed_time(end))
        else:
            before = time.perf_counter()
            call()
            times.append((time.perf_counter() - before) * 1e3)
    return statistics.median(times)


def _seconds(call: Callable[[], object], device: torch.device) -> float:
    """Of one call that has been made before."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    begun = time.monotonic()
    call()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.monotonic() - begun


def _inputs(brush: Brush, count: int, size: Size, device: torch.device | str) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Strokes (2, count, P) of medium size, weights, canvas and target (2, 3, H, W), the same on every device."""
    generator = torch.Generator().manual_seed(0)
    strokes = brush.space.sample(2 * count, generator).view(2, count, -1)
    start, end = (brush.space.columns(name) for name in ("start", "end"))
    strokes[..., end] = (strokes[..., start] + 0.3 * (strokes[..., end] - 0.5)).clamp(0, 1)
    strokes[..., brush.space.columns("radius")] *= 0.3
    weight, canvas, target = torch.rand(3, 2, 3, *size, generator=generator).unbind()
    return strokes.to(device), weight.to(device), canvas.to(device), target.to(device)


def _faces(config: Config, count: int = 4) -> list[Tensor]:
    """A picture of the docs and drawn faces, (3, side, side), `count` in all."""
    generator = np.random.default_rng(0)
    drawn = [draw_face(generator, female=i % 2 == 0, status=i % 4) for i in range(count - 1)]
    faces = [torch.from_numpy(face).permute(2, 0, 1).float() / 255 for face in drawn]
    picture = read_image(ROOT / "docs" / "images" / "hikime.png")
    side = min(picture.shape[1:])
    return [fit(face, config.side) for face in (picture[:, :side, :side], *faces)]


def _write(figures: Figures, path: str) -> None:
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    run(gpu_check, Config, __doc__)
