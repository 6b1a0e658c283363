"""Call what enters the kernels with malformed tensors: each call gives the right picture or one line, never a signal.

    python -m tests.torture.fuzz_kernels --n 20000

Calls run in child processes, so that a crash is a finding too. The same --n and --seed make the same calls; the exit code
is 1 if there is a finding.
"""

from __future__ import annotations

import argparse
import faulthandler
import functools
import random
import subprocess
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from agents.optimal_colour import paint_greedily, score_candidates
from agents.planner import paint_refined, refine_independently
from painter.importance import importance
from renderer.brush import Brush, load_brush
from renderer.canvas import blank, lay, paint, paint_steps
from renderer.constraints import StrokeConstraints, palette_of
from renderer.errors import InputError
from renderer.ops import native
from renderer.ops.composite import composite, error_without
from renderer.ops.decode_stroke_map import decode_stroke_map
from renderer.ops.decode_texture import decode_texture
from renderer.ops.draw_discs import draw_discs
from renderer.ops.optimal_compositing import composite_greedily, score_marks
from renderer.ops.refine_strokes import (
    COLUMNS,
    Averages,
    Limits,
    StrokeMapWeights,
    descend,
    pack,
    refine_each,
    refine_together,
    score_strokes,
    squared_error,
)

CHUNK = 2500  # calls of one child process
BRUSHES = ("bezier", "ink", "watercolour", "analytic", "exact", "flat+ink")
Arguments = dict[str, Any]


@functools.cache
def brush_called(name: str) -> Brush:
    return load_brush(name)


def with_gradient(result: Tensor, *leaves: Any) -> list[Tensor]:
    """The result and its gradients."""
    wanted = [leaf for leaf in leaves if isinstance(leaf, Tensor) and leaf.requires_grad]
    if not result.requires_grad or not wanted:
        return [result]
    return [
        result,
        *(g for g in torch.autograd.grad(result.square().sum(), wanted, allow_unused=True) if g is not None),
    ]


def _paint(brush: Brush, canvas: Any, strokes: Any) -> list[Tensor]:
    strokes = strokes.requires_grad_() if isinstance(strokes, Tensor) and strokes.is_floating_point() else strokes
    return with_gradient(paint(canvas, strokes, brush), strokes)


def _greedy(
    brush: Brush, canvas: Any, target: Any, strokes: Any, order: Any, min_gain: Any, most: Any, palette: Any
) -> Any:
    well = torch.rand(2, 3, 12, 15, generator=torch.Generator().manual_seed(1))
    drawn = score_candidates(well.flatten()[: 8 * brush.space.width].view(2, 4, -1), well, well, brush)
    candidates = replace(drawn, strokes=strokes)
    return paint_greedily(
        candidates, canvas, target, brush, order=order, min_gain=min_gain, max_strokes=most, palette=palette
    )


# Public functions: name -> function. Their arguments are those of `sound`.
PUBLIC: dict[str, Callable[..., Any]] = {
    "paint": _paint,
    "lay": lambda brush, canvas, strokes: lay(canvas, strokes, brush),
    "paint_steps": lambda brush, canvas, strokes, every: [*paint_steps(canvas, strokes, brush, every)][-1],
    "patches": lambda brush, strokes, size: brush.patches(strokes, size).alpha,
    "stream": lambda brush, strokes, size: [p.alpha for p in brush.stream(strokes, size, 2)],
    "call": lambda brush, strokes, size: brush(strokes, size).alpha,
    "score_candidates": lambda brush, canvas, target, strokes, palette: (
        score_candidates(strokes, canvas, target, brush, palette=palette).gain
    ),
    "paint_greedily": _greedy,
    "paint_refined": lambda brush, canvas, target, strokes: paint_refined(
        strokes, canvas, target, brush, mask=torch.ones(2, 4, dtype=torch.bool), steps=1
    )[0],
    "refine_independently": lambda brush, canvas, target, strokes: refine_independently(
        strokes, canvas, target, brush, cell_size=torch.full((2, 4), 0.2), steps=1
    ),
    "importance": lambda brush, canvas, target, strokes: importance(strokes, canvas, target, brush),
    "constraints": lambda palette: StrokeConstraints(palette=palette).colours,
    "palette_of": lambda image: palette_of(image, 3),
    "blank": lambda size: blank(size),
}
# Operations: they may raise PyTorch's errors too, but never end the process, nor compute anything but the reference.
OPERATIONS: dict[str, Callable[..., Any]] = {
    "composite": lambda canvas, alpha, colour, box, start, picture: with_gradient(
        composite(canvas, alpha, colour, box, start, picture), canvas, alpha, colour
    ),
    "error_without": error_without,
    "draw_discs": draw_discs,
    "decode_stroke_map": lambda shapes, maps, sharpness, box, start, total: with_gradient(
        decode_stroke_map(shapes, maps, sharpness, box, start, total), shapes, maps
    ),
    "decode_texture": lambda shapes, logits, box, start, total: with_gradient(
        decode_texture(shapes, logits, box, start, total), shapes, logits
    ),
    "score_marks": lambda canvas, target, alpha, box, start, palette: with_gradient(
        score_marks(canvas, target, alpha, box, start, palette)[0], alpha
    ),
    "composite_greedily": lambda canvas, target, alpha, box, start, order, least, limit, palette: with_gradient(
        composite_greedily(canvas, target, alpha, box, start, order, least, limit, palette)[0], canvas, alpha
    ),
    "score_strokes": lambda strokes, canvas, target, weights, palette: score_strokes(
        strokes, canvas, target, _stroke_map(weights), palette
    )[0],
    "squared_error": lambda strokes, canvas, target, weights: with_gradient(
        squared_error(strokes, canvas, target, _stroke_map(weights)), strokes
    ),
    "refine_each": lambda strokes, canvas, target, weights, palette, step_size: refine_each(
        strokes,
        canvas,
        target,
        _stroke_map(weights),
        step_size=step_size,
        steps=2,
        lr=0.1,
        limits=Limits(0.1, 0.5, True, palette),
    ),
    "refine_together": lambda strokes, canvas, target, weights, palette, step_size, mask: refine_together(
        strokes,
        canvas,
        target,
        _stroke_map(weights),
        step_size=step_size,
        mask=mask,
        steps=[2, 1],
        lr=0.1,
        limits=Limits(palette=palette),
    )[0],
    "descend": lambda strokes, canvas, target, weights, palette, step_size, mean, square, locked: descend(
        strokes,
        canvas,
        target,
        _stroke_map(weights),
        lr=step_size,
        averages=Averages(mean, square, (0.8, 0.95)),
        step=1,
        rate=0.5,
        limits=Limits(0.1, 0.5, True, palette),
        locked=locked,
    ),
}


def _stroke_map(weights: Any) -> StrokeMapWeights:
    return StrokeMapWeights(weights, hidden=8, grid=4, sharpness=4.5, radius=0.25, mirrored=0.01)


def sound(name: str, rng: random.Random) -> Arguments:
    """Sound arguments of a function."""
    generator = torch.Generator().manual_seed(rng.randrange(1 << 30))

    def rand(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator)

    if name in OPERATIONS:
        return _sound_operation(name, rand)
    if name in ("constraints", "palette_of", "blank"):
        return {
            "constraints": {"palette": rand(4, 3)},
            "palette_of": {"image": rand(3, 6, 7)},
            "blank": {"size": (4, 5)},
        }[name]
    differentiable = name.startswith(("score", "paint_g", "refine"))
    brush = brush_called(rng.choice(BRUSHES[:4] if differentiable else BRUSHES))
    one = name in ("paint_steps", "patches", "stream", "call") or (
        name in ("paint", "importance") and rng.random() < 0.5
    )
    lead = () if one else (2,)
    strokes = rand(*lead, 4, brush.space.width)
    arguments: Arguments = {"brush": brush, "canvas": rand(*lead, 3, 12, 15), "target": rand(*lead, 3, 12, 15)}
    arguments |= {
        "strokes": strokes,
        "size": (12, 15),
        "every": 2,
        "palette": None if rng.random() < 0.5 else rand(3, 3),
    }
    arguments |= {"order": torch.arange(4).repeat(2, 1), "min_gain": torch.full((2, 4), -torch.inf), "most": 3}
    return {key: arguments[key] for key in WANTED[name]}


WANTED = {
    "paint": ("brush", "canvas", "strokes"),
    "lay": ("brush", "canvas", "strokes"),
    "paint_steps": ("brush", "canvas", "strokes", "every"),
    **dict.fromkeys(("patches", "stream", "call"), ("brush", "strokes", "size")),
    "score_candidates": ("brush", "canvas", "target", "strokes", "palette"),
    "paint_greedily": ("brush", "canvas", "target", "strokes", "order", "min_gain", "most", "palette"),
    **dict.fromkeys(("paint_refined", "refine_independently", "importance"), ("brush", "canvas", "target", "strokes")),
}


def _sound_operation(name: str, rand: Callable[..., Tensor]) -> Arguments:
    box = torch.tensor([[0, 0, 5, 4], [3, 2, 4, 6], [9, 8, 2, 1], [1, 1, 10, 3]])
    area = box[:, 2] * box[:, 3]
    start, total = area.cumsum(0) - area, int(area.sum())
    alpha, pictures = rand(total).requires_grad_(), {"canvas": rand(2, 3, 12, 15), "target": rand(2, 3, 12, 15)}
    boxes = {"box": box, "start": start}
    if name == "composite":
        picture = torch.tensor([0, 0, 1, 1])
        return {"canvas": pictures["canvas"], "alpha": alpha, "colour": rand(4, 3), **boxes, "picture": picture}
    if name == "error_without":
        pictures = {"canvas": rand(3, 12, 15), "target": rand(3, 12, 15)}
        return {**pictures, "alpha": rand(total), "colour": rand(4, 3), **boxes}
    if name == "draw_discs":
        curves = rand(4, 10) * torch.tensor([8.0, 8, 8, 8, 8, 8, 3, 1, 1, 0.1])
        return {"curves": curves, **boxes, "total": total, "samples": 2, "outline_error": 0.1}
    if name == "decode_stroke_map":
        shapes = (rand(4, 14) * 8).requires_grad_()
        return {"shapes": shapes, "maps": rand(4, 2, 5, 5), "sharpness": torch.tensor(4.5), **boxes, "total": total}
    if name == "decode_texture":
        shapes = (rand(4, 15) * 8 + 0.5).requires_grad_()
        return {"shapes": shapes, "logits": rand(4, 12, 5), **boxes, "total": total}
    palette = {"palette": rand(3, 3)}
    if name in ("score_strokes", "squared_error", "refine_each", "refine_together", "descend"):
        strokes = rand(2, 4, COLUMNS)
        sides = ((8, 6), (8, 8), (8, 8), (32, 8))  # of the perceptron of `_stroke_map`
        weights = {"weights": pack([(rand(*side) - 0.5, rand(side[0]) - 0.5) for side in sides])}
        if name == "squared_error":
            return {"strokes": strokes.requires_grad_(), **pictures, **weights}
        steps = {} if name == "score_strokes" else {"step_size": rand(2, 4, COLUMNS) / 10}
        more = {"mask": rand(2, 4) > 0.2} if name == "refine_together" else {}
        if name == "descend":
            more = {"mean": rand(2, 4, COLUMNS), "square": rand(2, 4, COLUMNS), "locked": (rand(4) > 0.5).float()}
        return {"strokes": strokes, **pictures, **weights, **palette, **steps, **more}
    if name == "score_marks":
        return {**pictures, "alpha": alpha, **boxes, **palette}
    order = {"order": torch.tensor([[1, 0], [2, 3]]), "least": torch.full((2, 2), -torch.inf), "limit": 2}
    return {**pictures, "alpha": alpha, **boxes, **order, **palette}


NUMBERS = (float("nan"), float("inf"), -float("inf"), 1e30, -1e30, 3e38, 1e9, -1e9, 101.0, -5.0, 1e-38, 0.0)
WHOLE = (-1, -(1 << 62), 1 << 62, 1 << 31, -(1 << 31), 1000, 16, 5, 0, (1 << 63) - 1)
DTYPES = (
    torch.float64,
    torch.float16,
    torch.bfloat16,
    torch.int64,
    torch.int32,
    torch.bool,
    torch.complex64,
    torch.uint8,
)


def mutate(value: Any, rng: random.Random) -> Any:
    """A malformed value instead of a sound one, or a sound one in another layout."""
    if isinstance(value, tuple):
        return tuple(rng.choice((0, -1, 1, 2, 7, value[k])) for k in range(len(value)))
    if isinstance(value, int):
        return rng.choice((0, -1, 1, value + 1, value - 1, 1000))
    if not isinstance(value, Tensor):
        return torch.rand(rng.choice(((2, 2), (3,), (0, 3), (4, 4), (3, 3)))).to(
            rng.choice((torch.float32, torch.float64))
        )
    kind = rng.randrange(12)
    value = value.detach()
    if kind == 0:
        return value.to(rng.choice(DTYPES))
    if kind == 1 and value.dim() > 0:  # fewer
        k = rng.randrange(value.dim())
        return value.narrow(k, 0, rng.randrange(value.shape[k]) if value.shape[k] > 0 else 0)
    if kind == 2 and value.dim() > 0:  # more
        k = rng.randrange(value.dim())
        return torch.cat([value] * rng.choice((2, 3)), k)
    if kind == 3:
        return value[None] if rng.random() < 0.5 or value.dim() == 0 else value[0] if len(value) > 0 else value
    if kind == 4 and value.dim() > 1:  # another layout of the same values
        order = rng.sample(range(value.dim()), value.dim())
        return value.permute(order).contiguous().permute([order.index(k) for k in range(value.dim())])
    if kind == 5 and value.dim() > 1:
        return value.transpose(rng.randrange(value.dim()), rng.randrange(value.dim()))
    if kind == 6 and value.dim() > 0:  # every other value of memory
        return torch.stack((value, value), -1)[..., 0]
    if kind == 7 and value.dim() > 0:  # all values one in memory
        return value.flatten()[:1].expand(value.shape) if value.numel() > 0 else value
    if kind == 8:
        return value.to("meta") if rng.random() < 0.3 else torch.zeros(0)
    if kind == 9:
        return None
    value = value.clone(memory_format=torch.contiguous_format)
    if value.numel() > 0 and value.dtype in (torch.float32, torch.float64, torch.int64):
        for _ in range(rng.choice((1, 1, 3, value.numel()))):
            at = rng.randrange(value.numel())
            value.view(-1)[at] = rng.choice(NUMBERS if value.is_floating_point() else WHOLE)
    return value


def sound_and_damaged(index: int, seed: int) -> tuple[str, Arguments, list[str]]:
    """The call of an index: its function, its arguments, and which of them are malformed."""
    rng = random.Random(f"{seed} {index}")
    name = rng.choice([*PUBLIC, *OPERATIONS])
    arguments = sound(name, rng)
    names = rng.sample([key for key in arguments if key != "brush"], 1)
    if rng.random() < 0.3:
        names = rng.choices([key for key in arguments if key != "brush"], k=2)
    for key in names:
        arguments[key] = mutate(arguments[key], rng)
    return name, arguments, names


@contextmanager
def without_kernels() -> Iterator[None]:
    loaded = native.load_for
    native.load_for = lambda *_: None
    try:
        yield
    finally:
        native.load_for = loaded


def outcome(call: Callable[[], Any]) -> Any:
    """A list of tensors, or the error."""
    try:
        result = call()
    except Exception as error:
        return error
    parts = result if isinstance(result, (list, tuple)) else [result]
    return [part for part in parts if isinstance(part, Tensor)]


def _is_moderate(value: Tensor) -> bool:
    return bool((value.to(torch.complex128).abs() < 1e6).all())


def finding(index: int, seed: int) -> tuple[str, str | None]:
    """How the call of an index ended, and what is wrong with that."""
    name, arguments, names = sound_and_damaged(index, seed)
    function = PUBLIC.get(name) or OPERATIONS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = outcome(lambda: function(**arguments))
        with without_kernels():
            expected = outcome(lambda: function(**arguments))
    what = f"call {index} of seed {seed}, {name} with malformed {names}"
    if isinstance(found, InputError):
        one_line = "\n" not in str(found) and len(str(found)) < 400
        return "refused", None if one_line else f"{what}: an error of several lines"
    given = [value for value in arguments.values() if isinstance(value, Tensor)]
    no_data = any(value.is_meta for value in given)
    if isinstance(found, Exception):
        if name in OPERATIONS or (no_data and isinstance(found, NotImplementedError)):
            return "refused by PyTorch", None
        return "foreign error", f"{what}: {type(found).__name__}: {str(found)[:200]}"
    if isinstance(expected, Exception):
        # The kernels may draw what PyTorch refuses to index, such as empty boxes.
        return "painted", None if name in OPERATIONS else f"{what}: painted, but the reference says {expected}"
    # Values of canvases and marks are only carried along, and the direction of a gradient step amplifies rounding.
    if name.startswith("refine") or not all(value.is_meta or _is_moderate(value) for value in given):
        return "painted", None
    for ours, wanted in zip(found, expected, strict=False):  # without a kernel, there may be no gradient to a canvas
        if ours.shape != wanted.shape or ours.device != wanted.device:
            return "wrong", f"{what}: {tuple(ours.shape)} instead of {tuple(wanted.shape)}"
        if ours.device.type == "meta" or ours.numel() == 0:
            continue
        if name in PUBLIC and ours.is_floating_point() and not ours.isfinite().all():
            return "wrong", f"{what}: values that are not finite"
        least = wanted.double().nan_to_num(0, 0, 0).abs().amax().clamp(min=1)
        error = ((ours.double() - wanted.double()).abs() / least).nan_to_num(0, 0, 0).amax()
        if error > 0.02 and least < 1e6:
            return "wrong", f"{what}: {float(error):.3g} off the reference"
    return "painted", None


def run(first: int, last: int, seed: int, log: Path) -> None:
    """Make the calls of a range and write a line for each; the last line without an outcome is where a crash was."""
    faulthandler.enable()
    torch.set_num_threads(2)
    with log.open("a", buffering=1) as file:
        for index in range(first, last):
            file.write(f"{index} ")
            how, wrong = finding(index, seed)
            file.write(f"{how}|{wrong or ''}\n")


def main(n: int = 20_000, seed: int = 0) -> int:
    """Make `n` calls in child processes; print the counts and the findings, and return the number of findings."""
    counts: Counter[str] = Counter()
    findings: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        first = 0
        while first < n:
            last = min(first + CHUNK, n)
            log.write_text("")
            child = [sys.executable, "-m", "tests.torture.fuzz_kernels", "--child", f"{first} {last} {seed} {log}"]
            ran = subprocess.run(child, capture_output=True, text=True)
            lines = log.read_text().splitlines()
            for line in lines:
                how, _, wrong = line.partition(" ")[2].partition("|")
                if how:
                    counts[how] += 1
                if wrong:
                    findings.append(wrong)
            if ran.returncode != 0:
                at = int(lines[-1].split()[0]) if lines else first
                counts["crashed"] += 1
                name, _, names = sound_and_damaged(at, seed)
                findings.append(
                    f"call {at}, {name} with malformed {names}: exit code {ran.returncode}\n{ran.stderr[-800:]}"
                )
                last = at + 1
            first = last
    for line in findings[:40]:
        print(line)
    print(
        f"{n} calls: "
        + ", ".join(f"{count} {how}" for how, count in counts.most_common())
        + f"; {len(findings)} findings"
    )
    return len(findings)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=20_000, help="number of calls")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        begin, end, its_seed, path = given.child.split(" ", 3)
        run(int(begin), int(end), int(its_seed), Path(path))
    else:
        sys.exit(min(main(given.n, given.seed), 1))
